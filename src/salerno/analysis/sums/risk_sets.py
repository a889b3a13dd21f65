"""Partial likelihood of Cox's model from sums over risk sets; pure arithmetic on arrays.

Symmetric matrices are kept as their upper triangle in row order ("pairs").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_CHUNK = 8192


@dataclass(frozen=True)
class RiskSums:
    """Sums of exp(eta), times x, times x x', one row per time (or interval).

    Args:
        zero: Shape (times,).
        one: Shape (times, columns).
        two: Shape (times, pairs).
    """

    zero: Array
    one: Array
    two: Array

    def __getitem__(self, rows: slice | NDArray[np.int64] | NDArray[np.bool_]) -> RiskSums:
        return RiskSums(self.zero[rows], self.one[rows], self.two[rows])

    def cumulated(self) -> RiskSums:
        """Running totals from the last row to the first: who is at risk at a time stays until the end."""
        parts = (
            np.flip(np.cumsum(np.flip(a, axis=0), axis=0), axis=0) for a in (self.zero, self.one, self.two)
        )
        return RiskSums(*parts)

    def plus(self, other: RiskSums) -> RiskSums:
        """Sum row by row; a single row is added to each."""
        return RiskSums(self.zero + other.zero, self.one + other.one, self.two + other.two)

    def gathered(self, starts: NDArray[np.int64]) -> RiskSums:
        """Sums over runs of rows that begin at the given positions."""
        return RiskSums(*(np.add.reduceat(a, starts, axis=0) for a in (self.zero, self.one, self.two)))

    @staticmethod
    def empty(n: int, size: int) -> RiskSums:
        """Nothing, for so many times and columns."""
        return RiskSums(np.zeros(n), np.zeros((n, size)), np.zeros((n, size * (size + 1) // 2)))


@dataclass(frozen=True)
class Score:
    """Log partial likelihood, its gradient and information (as pairs)."""

    log_likelihood: float
    gradient: Array
    information: Array

    def plus(self, other: Score) -> Score:
        """Of both."""
        return Score(
            self.log_likelihood + other.log_likelihood,
            self.gradient + other.gradient,
            self.information + other.information,
        )

    @staticmethod
    def empty(size: int) -> Score:
        """Of nobody."""
        return Score(0.0, np.zeros(size), np.zeros(size * (size + 1) // 2))


def score_of(at_risk: RiskSums, dying: RiskSums, deaths: NDArray[np.int64], ties: str) -> Score:
    """What the risk sets take from the log partial likelihood, over event times.

    The events' own ``sum(eta)`` and ``sum(x)`` are to be added by the caller.

    Args:
        at_risk: Sums over the persons at risk at each event time.
        dying: The same over those with an event at it; only Efron's rule needs it.
        deaths: Events at each time, >= 1.
        ties: ``efron`` or ``breslow``.

    Source:
        Efron, JASA 72 (1977) 557; Breslow, Biometrics 30 (1974) 89.
    """
    size = at_risk.one.shape[1]
    upper = np.triu_indices(size)
    result = Score.empty(size)
    n_times = len(deaths)
    if ties == "breslow":
        rows, repeat, share = np.arange(n_times), deaths.astype(np.float64), np.zeros(n_times)
    else:
        rows = np.repeat(np.arange(n_times), deaths)
        order = np.arange(len(rows)) - np.repeat(np.cumsum(deaths) - deaths, deaths)
        repeat, share = np.ones(len(rows)), order / deaths[rows]
    for begin in range(0, len(rows), _CHUNK):
        part = rows[begin : begin + _CHUNK]
        times, less = repeat[begin : begin + _CHUNK], share[begin : begin + _CHUNK]
        zero = at_risk.zero[part] - less * dying.zero[part]
        one = (at_risk.one[part] - less[:, None] * dying.one[part]) / zero[:, None]
        two = (at_risk.two[part] - less[:, None] * dying.two[part]) / zero[:, None]
        two -= one[:, upper[0]] * one[:, upper[1]]
        result = result.plus(Score(-float(times @ np.log(zero)), -(times @ one), times @ two))
    return result


def full(pairs: Array, size: int) -> Array:
    """The symmetric matrix of an upper triangle."""
    matrix = np.zeros((size, size))
    upper = np.triu_indices(size)
    matrix[upper] = pairs
    matrix.T[upper] = pairs
    return matrix
