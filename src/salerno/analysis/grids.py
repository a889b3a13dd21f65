"""Grids that holders agree on without telling a smallest or largest value.

Values are placed by powers of two, and refined by powers of two: such bins are exact in floating point on
every engine, so the same value falls into the same bin everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, inf, log10

import numpy as np
from numpy.typing import NDArray

LOWEST, HIGHEST = -40, 60
"""Exponents that are told apart; smaller ones count as the lowest, larger ones as the highest."""
N_EXPONENTS = HIGHEST - LOWEST + 1
MOST_TIMES = 10_000
"""Most points of a dense grid of times."""


def upper_bound(counts: NDArray[np.int64]) -> float:
    """A bound that no value exceeds, from the pooled counts by exponent; 0 when all are zero.

    Args:
        counts: Values in ``[2^e, 2^(e+1))`` by e from `LOWEST` to `HIGHEST`.
    """
    filled = np.flatnonzero(counts)
    if not len(filled):
        return 0.0
    # An engine's logarithm may put a power of two into the bin below it, so the bound itself is included.
    return float(2.0 ** (LOWEST + int(filled[-1]) + 1))


def time_resolution(bound: float, *, whole: bool, asked: float | None = None) -> float:
    """The step of the dense grid of times: 1 or a power of ten with at most `MOST_TIMES` points.

    Args:
        bound: Upper bound of the times.
        whole: Whether the times are whole numbers, which a step below 1 would not serve.
        asked: The step that the question asks for.
    """
    if asked is not None:
        return asked
    needed = bound / MOST_TIMES
    step = 10.0 ** ceil(log10(needed)) if needed > 0 else 1.0
    return max(step, 1.0) if whole else step


def nice_step(span: float, pieces: int) -> float:
    """The smallest of 1, 2 or 5 times a power of ten that needs at most so many pieces for the span."""
    if span <= 0:
        return 1.0
    rough = span / pieces
    unit = 10.0 ** floor(log10(rough))
    return next(unit * factor for factor in (1, 2, 5, 10, 20) if unit * factor * (1 + 1e-9) >= rough)


def multiples(step: float, upto: float) -> list[float]:
    """``step``, ``2 step``, … up to a bound."""
    return [step * i for i in range(1, floor(upto / step + 1e-9) + 1)]


def ticks(times: Sequence[float], resolution: float) -> NDArray[np.int64]:
    """Released times as points of the dense grid, rounded down: a tick at or before the time counts."""
    return np.array([floor(time / resolution + 1e-9) for time in times], dtype=np.int64)


def is_bounded(value: float) -> bool:
    """Whether a bound says anything."""
    return value < inf
