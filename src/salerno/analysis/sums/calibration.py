"""Outcomes beside fitted means, by groups of the linear predictor; each group has enough persons."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, ndtri

from salerno.analysis.model import Scope, Sums

N_BINS = 10
_ADDED = ("bin_n", "bin_events", "bin_far", "bin_weight", "bin_observed", "bin_expected")


def edges_of(total: float, squares: float, n: float, shift: float = 0.0) -> tuple[float, ...]:
    """Bounds between tenths of the linear predictor, as if it were normal.

    Args:
        total: Pooled sum of the predictor.
        squares: Pooled sum of its squares.
        n: Rows, or their weights.
        shift: Constant to be added.

    Returns:
        Rising bounds; none where the predictor does not vary.
    """
    mean = total / n
    spread = np.sqrt(max(squares / n - mean * mean, 0.0))
    if spread <= 1e-9 * max(abs(mean), 1.0):
        return ()
    bounds = shift + mean + spread * ndtri(np.arange(1, N_BINS) / N_BINS)
    return tuple(float(f"{bound:.6g}") for bound in bounds)


def guard_calibration(sums: Sums, scope: Scope, *, events: bool) -> Sums:
    """With few holders, join a holder's bins until each has nobody or enough."""
    if not scope.few:
        return sums
    starts = _starts(sums, max(scope.policy.min_cell, 1), events=events)
    joined = dict(sums)
    joined["inner"] = np.ones_like(sums["inner"])
    joined["inner"][starts] = 0
    for name in _ADDED:
        joined[name] = np.zeros_like(sums[name])
        joined[name][starts] = np.add.reduceat(sums[name], starts)
    return joined


def diagnostics(sums: Sums, scope: Scope, n: int, dispersion: float, *, events: bool) -> dict[str, Any]:
    """Moments of the Pearson residuals, and calibration; nothing of single rows.

    Args:
        sums: Pooled figures at the fitted coefficients.
        scope: What the nodes agree on.
        n: Rows.
        dispersion: By whose root residuals are divided.
        events: Whether the outcome is yes or no.
    """
    scale = float(np.sqrt(dispersion))
    mean = float(sums["pearson_sum"]) / n / scale
    square = float(sums["pearson"]) / n / dispersion
    cube = float(sums["pearson_cubes"]) / n / (dispersion * scale)
    variance = square - mean * mean
    far = int(sums["bin_far"].sum())
    told = not scope.few and (far == 0 or far >= scope.policy.min_cell)
    return {
        "pearson_residuals": {
            "mean": mean,
            "sd": float(np.sqrt(variance)),
            "skewness": (cube - 3 * mean * square + 2 * mean**3) / variance**1.5 if variance > 0 else None,
            "n_beyond_two": far if told else None,
        },
        "calibration": calibration(sums, scope.policy.min_cell, events=events),
    }


def calibration(sums: Sums, min_cell: int, *, events: bool) -> dict[str, Any]:
    """Figures by group.

    Args:
        sums: Pooled figures by bin.
        min_cell: Fewest persons, and for a yes-or-no outcome fewest events and fewest others, of a group
            that has any.
        events: Whether the outcome is yes or no.

    Returns:
        ``groups`` of ``n``, ``observed``, ``expected`` (means), and ``hosmer_lemeshow`` for yes or no.

    Source:
        Hosmer and Lemeshow, Applied Logistic Regression, 1989, ch. 5: g - 2 degrees of freedom.
    """
    starts = _starts(sums, max(min_cell, 1), events=events)
    added = {name: np.add.reduceat(sums[name], starts) for name in _ADDED}
    filled = added["bin_n"] > 0
    n, weight, observed, expected = (
        added[name][filled] for name in ("bin_n", "bin_weight", "bin_observed", "bin_expected")
    )
    groups = [
        {"n": int(count), "observed": float(o / w), "expected": float(e / w)}
        for count, w, o, e in zip(n, weight, observed, expected, strict=True)
    ]
    result: dict[str, Any] = {"groups": groups}
    df = len(groups) - 2
    if events and df > 0:
        statistic = float(((observed - expected) ** 2 / (expected * (1 - expected / weight))).sum())
        result["hosmer_lemeshow"] = {
            "statistic": statistic,
            "df": df,
            "p_value": float(chdtrc(df, statistic)),
        }
    return result


def _starts(sums: Sums, min_cell: int, *, events: bool) -> NDArray[np.int64]:
    """First bins of runs that have nobody or enough, of events and others alike."""
    counts = [sums["bin_n"]]
    if events:
        counts = [sums["bin_events"], sums["bin_n"] - sums["bin_events"]]
    table = np.stack(counts)
    starts: list[int] = []
    totals = np.zeros(len(counts), dtype=np.int64)
    for place in range(table.shape[1]):
        stays = bool(sums["inner"][place]) or bool(((totals > 0) & (totals < min_cell)).any())
        if starts and stays:
            totals = totals + table[:, place]
        else:
            starts.append(place)
            totals = table[:, place].copy()
    while len(starts) > 1 and ((totals > 0) & (totals < min_cell)).any():
        starts.pop()
        totals = table[:, starts[-1] :].sum(axis=1)
    return np.array(starts, dtype=np.int64)
