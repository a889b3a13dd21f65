"""How well a score tells events from others: counts of both by bins of the score, and figures from these."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from salerno.analysis.model import Scope, Sums

Counts = NDArray[np.int64]
Array = NDArray[np.float64]

GROUPS = 10
"""Groups of a calibration table."""


def full_runs(classes: Counts, least: int) -> Counts:
    """First positions of runs of neighbours that have nobody or enough of each class.

    Args:
        classes: Persons by class and bin, shape (2, bins).
        least: Fewest persons of a class in a run.

    Returns:
        Increasing start positions, the first of them 0; a rest that is too small joins the run before it.
    """
    starts, totals = [0], classes[:, 0].copy()
    for position in range(1, classes.shape[1]):
        if ((totals > 0) & (totals < least)).any():
            totals += classes[:, position]
        else:
            starts.append(position)
            totals = classes[:, position].copy()
    while len(starts) > 1 and ((totals > 0) & (totals < least)).any():
        starts.pop()
        totals = classes[:, starts[-1] :].sum(axis=1)
    return np.array(starts, dtype=np.int64)


def guard_classes(sums: Sums, scope: Scope) -> Sums:
    """With few holders, join bins until each run has nobody or enough of each class; the runs alone are told.

    Args:
        sums: The holder's ``classes`` of shape (2, bins), ``inner`` and, where there are, ``predicted``.
        scope: What the nodes agree on.
    """
    if not scope.few:
        return sums
    starts = full_runs(sums["classes"], scope.policy.min_cell)
    joined: Sums = {}
    for name in ("classes", "predicted"):
        if name in sums:
            joined[name] = np.zeros_like(sums[name])
            joined[name][..., starts] = np.add.reduceat(sums[name], starts, axis=-1)
    inner = np.ones_like(sums["inner"])
    inner[starts] = 0
    return {**sums, **joined, "inner": inner}


@dataclass(frozen=True)
class Discrimination:
    """How often an event has a higher score than another person.

    Args:
        auc: Area under the ROC curve; ties, and values of one bin, count half.
        std_error: DeLong's standard error.
        resolution: The AUC of the scores themselves lies within so much of it.
    """

    auc: float
    std_error: float
    resolution: float

    def members(self, level: float) -> dict[str, float]:
        """Members of a result."""
        width = float(ndtri(0.5 + level / 2)) * self.std_error
        return {
            "auc": self.auc,
            "auc_std_error": self.std_error,
            "auc_conf_low": max(self.auc - width, 0.0),
            "auc_conf_high": min(self.auc + width, 1.0),
            "auc_resolution": self.resolution,
        }


def discrimination(classes: Counts, inner: Counts) -> Discrimination:
    """The AUC from pooled counts.

    Args:
        classes: Persons by class (others, events) and bin, shape (2, bins), both classes with somebody.
        inner: Bins that some holder has joined with the one before.

    Source:
        DeLong, DeLong and Clarke-Pearson, Biometrics 1988: variance from the placements of both classes.
    """
    starts = np.flatnonzero(np.append(True, inner[1:] == 0))
    others, events = np.add.reduceat(classes, starts, axis=1).astype(np.float64)
    n_others, n_events = others.sum(), events.sum()
    below = (np.cumsum(others) - others / 2) / n_others
    above = 1 - (np.cumsum(events) - events / 2) / n_events
    auc = float(events @ below / n_events)
    spread = [
        (weights @ (placed - auc) ** 2) / max(size - 1, 1) / size
        for weights, placed, size in ((events, below, n_events), (others, above, n_others))
    ]
    return Discrimination(auc, sqrt(sum(spread)), float(events @ others / (2 * n_events * n_others)))


def calibration(classes: Counts, predicted: Array, inner: Counts, least: int) -> list[dict[str, Any]]:
    """Predicted and observed share of events in about ten groups of about equal size.

    Each group has nobody or enough of either class, so no count in it needs hiding.

    Args:
        classes: Persons by class (others, events) and bin.
        predicted: Sum of the predicted probabilities by bin.
        inner: Bins that some holder has joined with the one before.
        least: Fewest persons of a class in a group.
    """
    starts = np.flatnonzero(np.append(True, inner[1:] == 0))
    classes, predicted = np.add.reduceat(classes, starts, axis=1), np.add.reduceat(predicted, starts)
    middle = np.cumsum(classes.sum(axis=0)) - classes.sum(axis=0) / 2
    group = np.minimum((middle * GROUPS / classes.sum()).astype(np.int64), GROUPS - 1)
    firsts = np.flatnonzero(np.append(True, np.diff(group) > 0))
    classes, predicted = np.add.reduceat(classes, firsts, axis=1), np.add.reduceat(predicted, firsts)
    full = full_runs(classes, least)
    classes, predicted = np.add.reduceat(classes, full, axis=1), np.add.reduceat(predicted, full)
    return [
        {
            "group": number,
            "n": int(others + events),
            "events": int(events),
            "predicted": float(total / (others + events)),
            "observed": float(events / (others + events)),
        }
        for number, (others, events, total) in enumerate(
            ((o, e, p) for o, e, p in zip(*classes, predicted, strict=True) if o + e), start=1
        )
    ]
