"""Partial likelihood of Cox's model from sums over risk sets; pure arithmetic on arrays.

Symmetric matrices are kept as their upper triangle in row order ("pairs").
"""

from __future__ import annotations

from collections.abc import Iterator
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


@dataclass(frozen=True)
class Terms:
    """Some terms of the partial likelihood: one for each event time, with Efron's rule one for each event.

    Args:
        times: Event time of each term.
        weight: Weight of the events behind it.
        less: Share of those dying who are not at risk any more.
        zero: Sum of exp(eta) over the risk set.
        mean: Weighted mean of the columns over it, shape (terms, columns).
        spread: Their covariance, as pairs.
    """

    times: NDArray[np.int64]
    weight: Array
    less: Array
    zero: Array
    mean: Array
    spread: Array


def terms_of(events: Events, ties: str) -> Iterator[Terms]:
    """The terms of all event times, in chunks.

    Args:
        events: Risk sets and events by time.
        ties: ``efron`` or ``breslow``.

    Source:
        Efron, JASA 72 (1977) 557; Breslow, Biometrics 30 (1974) 89.
    """
    at_risk, dying, deaths = events.at_risk, events.dying, events.deaths
    upper = np.triu_indices(at_risk.one.shape[1])
    n_times = len(deaths)
    if ties == "breslow":
        times, weight, less = np.arange(n_times), events.weights, np.zeros(n_times)
    else:
        times = np.repeat(np.arange(n_times), deaths)
        order = np.arange(len(times)) - np.repeat(np.cumsum(deaths) - deaths, deaths)
        weight, less = (events.weights / deaths)[times], order / deaths[times]
    for begin in range(0, len(times), _CHUNK):
        part, share = times[begin : begin + _CHUNK], less[begin : begin + _CHUNK]
        zero = at_risk.zero[part] - share * dying.zero[part]
        mean = (at_risk.one[part] - share[:, None] * dying.one[part]) / zero[:, None]
        spread = (at_risk.two[part] - share[:, None] * dying.two[part]) / zero[:, None]
        spread -= mean[:, upper[0]] * mean[:, upper[1]]
        yield Terms(part, weight[begin : begin + _CHUNK], share, zero, mean, spread)


@dataclass(frozen=True)
class Events:
    """Risk sets and events of one stratum, by rising event time.

    Args:
        at_risk: Sums over the persons at risk at each event time.
        dying: The same over those with an event at it; only Efron's rule needs it.
        deaths: Events at each time, >= 1.
        weights: Sum of their weights.
    """

    at_risk: RiskSums
    dying: RiskSums
    deaths: NDArray[np.int64]
    weights: Array


def score_of(events: Events, ties: str) -> Score:
    """What the risk sets take from the log partial likelihood, over event times.

    The events' own ``sum(eta)`` and ``sum(x)`` are to be added by the caller.
    """
    result = Score.empty(events.at_risk.one.shape[1])
    for t in terms_of(events, ties):
        log_likelihood = -float(t.weight @ np.log(t.zero))
        result = result.plus(Score(log_likelihood, -(t.weight @ t.mean), t.weight @ t.spread))
    return result


@dataclass(frozen=True)
class Drift:
    """Score and information weighted by a function g of time, for a test of proportional hazards.

    Args:
        score: Sum of g times the risk sets' means (to be taken from the events' own sum), shape (columns,).
        first, second: Sums of g and of its square times the information, as pairs.
    """

    score: Array
    first: Array
    second: Array

    def plus(self, other: Drift) -> Drift:
        """Of both."""
        return Drift(self.score + other.score, self.first + other.first, self.second + other.second)

    @staticmethod
    def empty(size: int) -> Drift:
        """Of nobody."""
        pairs = size * (size + 1) // 2
        return Drift(np.zeros(size), np.zeros(pairs), np.zeros(pairs))


def drift_of(events: Events, ties: str, clock: Array) -> Drift:
    """Sums weighted by a function of time, whose value at each event time is given."""
    result = Drift.empty(events.at_risk.one.shape[1])
    for t in terms_of(events, ties):
        g = clock[t.times]
        drift = Drift((t.weight * g) @ t.mean, (t.weight * g) @ t.spread, (t.weight * g * g) @ t.spread)
        result = result.plus(drift)
    return result


@dataclass(frozen=True)
class Increments:
    """What happens at each event time, for hazards and residuals.

    Args:
        hazard: Increment of the cumulative baseline hazard.
        variance: Increment of its variance at known coefficients.
        moved: Sum of means times increments, shape (times, columns).
        dying_hazard, dying_moved: The same as those with an event at this very time are exposed to.
        mean: Mean of the columns that an event is compared with, shape (times, columns).
    """

    hazard: Array
    variance: Array
    moved: Array
    dying_hazard: Array
    dying_moved: Array
    mean: Array


def increments_of(events: Events, ties: str) -> Increments:
    """Increments at each event time."""
    n_times, size = events.at_risk.one.shape
    single: list[Array] = [np.zeros(n_times) for _ in range(3)]
    wide: list[Array] = [np.zeros((n_times, size)) for _ in range(3)]
    for t in terms_of(events, ties):
        step = t.weight / t.zero
        left = step * (1.0 - t.less)
        per_event = t.weight / events.weights[t.times]
        for sums, value in zip(single, (step, step / t.zero, left), strict=True):
            np.add.at(sums, t.times, value)
        for products, factor in zip(wide, (step, left, per_event), strict=True):
            np.add.at(products, t.times, factor[:, None] * t.mean)
    return Increments(single[0], single[1], wide[0], single[2], wide[1], wide[2])


def full(pairs: Array, size: int) -> Array:
    """The symmetric matrix of an upper triangle."""
    matrix = np.zeros((size, size))
    upper = np.triu_indices(size)
    matrix[upper] = pairs
    matrix.T[upper] = pairs
    return matrix
