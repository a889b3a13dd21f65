"""Grids that holders agree on without telling a smallest or largest value.

Values are placed by powers of two, and refined by powers of two: such bins are exact in floating point on
every engine, so the same value falls into the same bin everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, floor, inf, ldexp, log2, log10

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


@dataclass(frozen=True)
class Bracket:
    """A half-open interval with the values known to lie in it, in bins of one unit ``2^exponent``.

    Args:
        low, high: Bounds in units.
        below: Values below the interval.
        count: Values in it.
        floor, ceiling: Bounds that cut the first and last unit, where they do not end with a unit.
    """

    exponent: int
    low: int
    high: int
    below: int
    count: int
    floor: float = -inf
    ceiling: float = inf

    @property
    def n_units(self) -> int:
        """Number of bins."""
        return self.high - self.low

    @property
    def start(self) -> float:
        """Lower bound, which belongs to it."""
        return max(ldexp(self.low, self.exponent), self.floor)

    @property
    def end(self) -> float:
        """Upper bound, which does not."""
        return min(ldexp(self.high, self.exponent), self.ceiling)

    def refined(self, bits: int) -> Bracket:
        """The same interval in units of ``2^(exponent - bits)``."""
        return replace(self, exponent=self.exponent - bits, low=self.low << bits, high=self.high << bits)

    def split(self, counts: NDArray[np.int64], starts: NDArray[np.int64]) -> list[Bracket]:
        """The runs of its unit bins that begin at the given positions, with their counts."""
        ends = np.append(starts[1:], len(counts))
        totals = np.add.reduceat(counts, starts)
        before = self.below + np.cumsum(totals) - totals
        return [
            replace(self, low=self.low + int(a), high=self.low + int(b), below=int(under), count=int(total))
            for a, b, under, total in zip(starts, ends, before, totals, strict=True)
        ]


N_MAGNITUDES = 2 * N_EXPONENTS + 1
"""Negative values by falling exponent, those around zero, positive values by rising exponent."""

LARGEST = 2.0 ** (HIGHEST + 1)
"""Values from here on count as missing in histograms and quantiles."""


def magnitude_edges() -> list[float]:
    """Bounds of the magnitude bins, rising; each bin has its lower bound and not its upper one."""
    positive = [ldexp(1.0, e) for e in range(LOWEST, HIGHEST + 2)]
    return [-edge for edge in reversed(positive)] + positive


def enclosing(start: float, end: float, below: int, count: int, *, bits: int) -> Bracket:
    """The bracket of an interval, in at most ``2^bits + 1`` units."""
    exponent = ceil(log2(end - start)) - bits
    low, high = floor(ldexp(start, -exponent)), ceil(ldexp(end, -exponent))
    return Bracket(exponent, low, high, below, count, start, end)
