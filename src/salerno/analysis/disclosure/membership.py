"""Whether a trained model tells who was in its training data: an attack by losses, before its release.

Somebody who knows a person's record can take the model's loss on it for a sign that it was trained on: the
lower the likelier. Each holder looks at the losses of some rows for training and of some that were kept
from it, and tells how many fall into each of a few wide intervals. From the totals follows how well the
best such attack does.

Source:
    Yeom and others, Privacy risk in machine learning: analyzing the connection to overfitting, 2018, for
    the attack; its advantage is the true less the false positive rate of the best threshold. The margin is
    that of Smirnov's one-sided test for two samples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from salerno.kernel.errors import Refused
from salerno.permits.model import DisclosurePolicy

EDGES = np.concatenate([[-1.0, 0.0], np.geomspace(1e-6, 1e3, 55)])
"""Edges of the intervals; losses beyond them fall into the outermost ones."""

_LEVEL = 0.05


@dataclass(frozen=True)
class Membership:
    """How well the attack does.

    Args:
        advantage: True less false positive rate of the best threshold, 0 to 1.
        margin: How much of it may be chance, at the 5 % level.
        rows: Rows for training and rows kept from it that were looked at.
    """

    advantage: float
    margin: float
    rows: tuple[int, int]


def count_losses(losses: Sequence[float]) -> NDArray[np.int64]:
    """Rows by interval of their loss."""
    found = np.searchsorted(EDGES, np.asarray(losses, dtype=np.float64), side="right")
    return np.bincount(found, minlength=len(EDGES) + 1).astype(np.int64)


def measure_membership(inside: NDArray[np.int64], outside: NDArray[np.int64]) -> Membership:
    """The attack's success by the pooled counts of losses."""
    n, m = int(inside.sum()), int(outside.sum())
    if not n or not m:
        return Membership(0.0, 1.0, (n, m))
    gaps = np.cumsum(inside) / n - np.cumsum(outside) / m
    margin = math.sqrt(math.log(1 / _LEVEL) / 2 * (n + m) / (n * m))
    return Membership(float(max(gaps.max(), 0.0)), min(margin, 1.0), (n, m))


def check_membership(found: Membership, policy: DisclosurePolicy) -> None:
    """Withhold a model that tells who was in its training data.

    Raises:
        Refused: The attack does better than the policy allows, by more than chance.
    """
    if found.advantage - found.margin > policy.max_membership_advantage:
        raise Refused(
            "tells-membership",
            "The trained model tells too well whose records it was trained on, so it is withheld",
            rule="the holders' disclosure policy (max_membership_advantage)",
            remedy="Train in fewer rounds or passes, with fewer parameters or more regularisation.",
        )
