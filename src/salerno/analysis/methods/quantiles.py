"""Quantiles by nested histograms: exact to a resolution that the answer states.

Question: ``{"method": "quantiles", "variable": "LAB_TSC", "probabilities": [0.05, 0.5, 0.95]}``.
Result: ``{"variable", "probabilities", "values", "resolution", "n"}``: R's type-7 quantile of the pooled
values lies within ``resolution`` of each value. Bins are halved on as long as the bin that a quantile lies in
would still hold at least the threshold of persons; so ties and large groups give finer answers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, floor, ldexp, log2

import ibis.expr.types as ir
import numpy as np

from salerno.analysis.disclosure.cells import merged
from salerno.analysis.disclosure.persons import check_persons, check_some
from salerno.analysis.grids import LOWEST, N_MAGNITUDES, Bracket, enclosing, magnitude_edges
from salerno.analysis.model import Aggregate, Parameter, Question, Result, Scope, Sums
from salerno.analysis.questions import check_keys, numbers, numeric, required
from salerno.analysis.sums.bins import guard_bins, local_brackets, local_magnitudes, runs
from salerno.catalogue.model import Datatype, Variable

NAME = "quantiles"
LABEL = "Quantiles"
PARAMETERS = (
    Parameter(name="variable", label="Column"),
    Parameter(
        name="probabilities",
        label="Probabilities",
        kind="numbers",
        hint="Between 0 and 1, with commas between them",
        default="0.05, 0.25, 0.5, 0.75, 0.95",
    ),
)
_DIGITS = 33
"""Binary digits after the leading one at which a quantile is fine enough."""
_LEAST_BITS, _MOST_BITS = 2, 7
_MOST_ROUNDS = 20
_QUARTILES = [0.25, 0.5, 0.75]


@dataclass(frozen=True)
class Search:
    """The interval that one order statistic is known to lie in."""

    rank: int
    bracket: Bracket
    is_done: bool = False


@dataclass(frozen=True)
class State:
    """The question and the searches; none before the first round."""

    scope: Scope
    variable: Variable
    probabilities: tuple[float, ...]
    rows: int = 0
    n: int = 0
    rounds: int = 0
    searches: tuple[Search, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether the values are whole numbers, so that an interval of one is a value."""
        return self.variable.datatype is not Datatype.NUMBER

    def open_brackets(self) -> list[Bracket]:
        """The brackets to refine next, in units of their new bins."""
        found = {search.bracket.start: search.bracket for search in self.searches if not search.is_done}
        return [bracket.refined(self.bits(bracket)) for _, bracket in sorted(found.items())]

    def bits(self, bracket: Bracket) -> int:
        """How often to halve the units: not so often that a bin would hold too few on average."""
        per_unit = bracket.count / max(self.scope.policy.min_cell, 1) / bracket.n_units
        wanted = floor(log2(per_unit)) if per_unit >= 1 else 0
        bits = min(max(wanted, _LEAST_BITS), _MOST_BITS)
        if self.scope.policy.min_cell <= 1:
            bits = _MOST_BITS
        return max(min(bits, bracket.exponent), 0) if self.is_whole else bits


def start(question: Question, scope: Scope) -> State:
    """Check the question."""
    check_keys(question, PARAMETERS)
    return State(
        scope=scope,
        variable=numeric(scope, required(question, "variable"), role="variable"),
        probabilities=numbers(
            question.get("probabilities", _QUARTILES), key="probabilities", above=0.0, below=1.0
        ),
    )


def local(view: ir.Table, state: State) -> Aggregate:
    """Count values by magnitude, then in ever finer bins."""
    if not state.searches:
        return local_magnitudes(view, state.variable)
    return local_brackets(view, state.variable, state.open_brackets())


def guard(sums: Sums, state: State, scope: Scope) -> Sums:
    """Refuse to take part with too few persons; with few holders join small bins."""
    if not state.searches:
        check_persons(int(sums["bins"].sum()), scope.policy, who="This holder's part")
        return guard_bins(sums, [N_MAGNITUDES], scope)
    return guard_bins(sums, [bracket.n_units for bracket in state.open_brackets()], scope)


def step(sums: Sums, state: State) -> State | Result:
    """Narrow the brackets, or answer."""
    policy = state.scope.policy
    if not state.searches:
        state = _begin(sums, state)
    else:
        brackets = state.open_brackets()
        found = dict(
            zip((b.start for b in brackets), runs(sums, brackets, max(policy.min_cell, 1)), strict=True)
        )
        searches = tuple(
            search if search.is_done else _narrowed(search, found[search.bracket.start], state)
            for search in state.searches
        )
        state = replace(state, searches=searches, rounds=state.rounds + 1)
    is_last = state.rounds >= min(_MOST_ROUNDS, policy.max_rounds)
    done = all(search.is_done for search in state.searches)
    return _answer(state) if done or is_last else state


def _begin(sums: Sums, state: State) -> State:
    """The magnitude bin of each order statistic that a probability needs."""
    bins, min_cell = sums["bins"], max(state.scope.policy.min_cell, 1)
    n = int(bins.sum())
    check_some(n, state.scope.policy)
    edges = magnitude_edges()
    starts = merged(bins, min_cell, sums["inner"] > 0)
    ends = np.append(starts[1:], len(bins))
    totals = np.add.reduceat(bins, starts)
    below = np.cumsum(totals) - totals
    searches = []
    for rank in sorted({r for p in state.probabilities for r in _ranks(p, n)}):
        run = int(np.flatnonzero(below <= rank)[-1])
        low, high = int(starts[run]), int(ends[run])
        bracket = enclosing(edges[low], edges[high], int(below[run]), int(totals[run]), bits=0)
        searches.append(Search(rank, bracket, _is_fine(bracket, state)))
    return replace(state, rows=int(sums["rows"]), n=n, searches=tuple(searches), rounds=1)


def _ranks(probability: float, n: int) -> tuple[int, int]:
    """The order statistics between which type 7 interpolates, from 0."""
    low = floor((n - 1) * probability + 4e-16 * n)
    return low, min(low + 1, n - 1)


def _narrowed(search: Search, parts: list[Bracket], state: State) -> Search:
    bracket = next(part for part in parts if part.below <= search.rank < part.below + part.count)
    stuck = (bracket.start, bracket.end) == (search.bracket.start, search.bracket.end)
    return Search(search.rank, bracket, stuck or _is_fine(bracket, state))


def _is_fine(bracket: Bracket, state: State) -> bool:
    """Whether a further halving would help nobody, or tell too much."""
    if state.scope.policy.min_cell > 1 and bracket.count < 2 * state.scope.policy.min_cell:
        return True
    if state.is_whole and bracket.exponent <= 0:
        return True
    size = max(abs(bracket.start), abs(bracket.end))
    return bracket.end - bracket.start <= max(ldexp(size, -_DIGITS), ldexp(1.0, LOWEST + 1))


def _answer(state: State) -> Result:
    found = {search.rank: _middle(search.bracket, state) for search in state.searches}
    values, resolutions = [], []
    for probability in state.probabilities:
        low, high = _ranks(probability, state.n)
        share = min(max((state.n - 1) * probability - low, 0.0), 1.0)
        (below, half_below), (above, half_above) = found[low], found[high]
        values.append(below + share * (above - below))
        resolutions.append((1 - share) * half_below + share * half_above)
    result = {
        "variable": state.variable.name,
        "probabilities": list(state.probabilities),
        "values": values,
        "resolution": resolutions,
        "n": state.n,
    }
    notes = ["A quantile is told to the resolution at which enough persons share its interval."]
    return Result(result, state.n, state.rows - state.n, tuple(notes))


def _middle(bracket: Bracket, state: State) -> tuple[float, float]:
    """The middle of a bracket and the largest distance of a value from it."""
    start, end = bracket.start, bracket.end
    if state.is_whole:
        start, end = float(ceil(start)), float(ceil(end) - 1)
    return (start + end) / 2, (end - start) / 2
