"""Quantiles by nested histograms: exact to a resolution that the answer states.

Question: ``{"method": "quantiles", "variable": "LAB_TSC", "probabilities": [0.05, 0.5, 0.95]}``, with
optional ``by`` (a factor) and ``resolution`` (how near is near enough, in the column's unit).
Result: ``{"variable", "probabilities", "values", "resolution", "n"}``, or with ``by`` ``{"variable", "by",
"groups": [{"levels", "n", "probabilities", "values", "resolution"}]}``: R's type-7 quantile of the pooled
values lies within ``resolution`` of each value. Bins are halved on as long as the bin that a quantile lies in
would still hold at least the threshold of persons; so ties and large groups give finer answers. Groups with
too few persons are null.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, floor, ldexp, log2
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from salerno.analysis.disclosure.cells import hidden_cells, merged
from salerno.analysis.disclosure.persons import check_persons, check_some
from salerno.analysis.grids import LOWEST, N_MAGNITUDES, Bracket, enclosing, magnitude_edges
from salerno.analysis.model import Aggregate, Parameter, Question, Released, Result, Scope, Sums
from salerno.analysis.questions import Factor, check_keys, factor, number, numbers, numeric, required
from salerno.analysis.sums.bins import guard_bins, is_binnable, magnitude, places, runs, unit
from salerno.analysis.sums.columns import as_number, cells_of, every, integers, is_listed, keys_of, scatter
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
    Parameter(name="by", label="By group", optional=True),
    Parameter(
        name="resolution",
        label="How near is near enough",
        kind="number",
        hint="In the column's unit; as near as the threshold allows by default",
        optional=True,
        advanced=True,
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
    """The question and the searches by group; none before the first round.

    Args:
        by: The groups; empty for one of all rows.
        wanted: Resolution at which a search may end; 0 where none is asked for.
        n: Values by group.
        hidden: Groups that are not told.
    """

    scope: Scope
    variable: Variable
    probabilities: tuple[float, ...]
    by: tuple[Factor, ...] = ()
    wanted: float = 0.0
    rows: int = 0
    n: tuple[int, ...] = ()
    hidden: tuple[bool, ...] = ()
    rounds: int = 0
    searches: tuple[tuple[Search, ...], ...] = ()

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return len(self.by[0].levels) if self.by else 1

    @property
    def is_whole(self) -> bool:
        """Whether the values are whole numbers, so that an interval of one is a value."""
        return self.variable.datatype is not Datatype.NUMBER

    def open_brackets(self) -> list[list[Bracket]]:
        """By group: the brackets to refine next, in units of their new bins."""
        result = []
        for searches in self.searches:
            found = {search.bracket.start: search.bracket for search in searches if not search.is_done}
            result.append([bracket.refined(self.bits(bracket)) for _, bracket in sorted(found.items())])
        return result

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
    by, wanted = question.get("by"), question.get("resolution")
    return State(
        scope=scope,
        variable=numeric(scope, required(question, "variable"), role="variable"),
        probabilities=numbers(
            question.get("probabilities", _QUARTILES), key="probabilities", above=0.0, below=1.0
        ),
        by=() if by is None else (factor(scope, by, role="by"),),
        wanted=0.0 if wanted is None else number(wanted, key="resolution", above=0.0),
    )


def local(view: ir.Table, state: State) -> Aggregate:
    """Count values by magnitude, then in ever finer bins, of each group."""
    ok = is_binnable(view, state.variable) & every(is_listed(view, f) for f in state.by)
    ok = ok.fill_null(False)
    rows = view.select(x=as_number(view, state.variable), ok=ok, **keys_of(view, state.by, ok))
    opened = state.open_brackets()
    spans = [N_MAGNITUDES] * state.n_groups
    place: ir.Value = magnitude(rows.x, rows.ok)
    if state.searches:
        spans = [sum(bracket.n_units for bracket in brackets) for brackets in opened]
        found = [unit(rows.x, brackets) for brackets in opened if brackets]
        place = rows.ok.ifelse(found[0], ibis.null())
        if state.by:
            levels = [v for v, brackets in zip(state.by[0].values, opened, strict=True) if brackets]
            place = ibis.cases(*((rows["key0"] == v, code) for v, code in zip(levels, found, strict=True)))
    keys = {name: rows[name] for name in rows.columns if name.startswith("key")}
    expression = rows.group_by(**keys, bin=place).aggregate(n=rows.count())
    starts = np.cumsum([0, *spans])

    def finish(table: pa.Table) -> Sums:
        group, bins, counts = cells_of(table, state.by), places(table), integers(table, "n")
        cells = np.where((group < 0) | (bins < 0), -1, starts[np.maximum(group, 0)] + bins)
        sums: Sums = {
            "bins": scatter(cells, counts, int(starts[-1])),
            "inner": np.zeros(int(starts[-1]), dtype=np.int64),
        }
        if not state.searches:
            sums["rows"] = np.array(counts.sum(), dtype=np.int64)
            sums["hidden"] = np.zeros(state.n_groups, dtype=np.int64)
        return sums

    return Aggregate(expression, finish, (Released(ok, tuple(view[f.column] for f in state.by)),))


def guard(sums: Sums, state: State, scope: Scope) -> Sums:
    """Refuse to take part with too few persons; with few holders withhold small groups."""
    if state.searches:
        spans = [bracket.n_units for brackets in state.open_brackets() for bracket in brackets]
        return guard_bins(sums, spans, scope)
    by_group = sums["bins"].reshape(state.n_groups, N_MAGNITUDES)
    check_persons(int(by_group.sum()), scope.policy, who="This holder's part")
    if scope.few:
        hidden = hidden_cells(by_group.sum(axis=1), scope.policy.min_cell)
        by_group = np.where(hidden[:, None], 0, by_group)
        sums = {**sums, "bins": by_group.reshape(-1), "hidden": hidden.astype(np.int64)}
    return guard_bins(sums, [N_MAGNITUDES] * state.n_groups, scope)


def step(sums: Sums, state: State) -> State | Result:
    """Narrow the brackets, or answer."""
    policy = state.scope.policy
    if not state.searches:
        state = _begin(sums, state)
    else:
        opened = state.open_brackets()
        finer = iter(runs(sums, [b for brackets in opened for b in brackets], max(policy.min_cell, 1)))
        groups = []
        for searches, brackets in zip(state.searches, opened, strict=True):
            found = {bracket.start: next(finer) for bracket in brackets}
            groups.append(
                tuple(
                    search if search.is_done else _narrowed(search, found[search.bracket.start], state)
                    for search in searches
                )
            )
        state = replace(state, searches=tuple(groups), rounds=state.rounds + 1)
    is_last = state.rounds >= min(_MOST_ROUNDS, policy.max_rounds)
    done = all(search.is_done for searches in state.searches for search in searches)
    return _answer(state) if done or is_last else state


def _begin(sums: Sums, state: State) -> State:
    """The magnitude bin of each order statistic that a probability needs, by group."""
    bins = sums["bins"].reshape(state.n_groups, N_MAGNITUDES)
    inner = sums["inner"].reshape(state.n_groups, N_MAGNITUDES)
    n = bins.sum(axis=1)
    withheld: NDArray[np.bool_] = np.asarray(sums["hidden"] > 0)
    if not (state.by and withheld.any()):
        check_some(int(n.sum()), state.scope.policy)
    hidden = hidden_cells(n, state.scope.policy.min_cell, withheld)
    searches = tuple(
        () if hidden[i] or not n[i] else _first(bins[i], inner[i], state) for i in range(state.n_groups)
    )
    return replace(
        state,
        rows=int(sums["rows"]),
        n=tuple(n.tolist()),
        hidden=tuple(hidden.tolist()),
        searches=searches,
        rounds=1,
    )


def _first(bins: NDArray[np.int64], inner: NDArray[np.int64], state: State) -> tuple[Search, ...]:
    edges = magnitude_edges()
    starts = merged(bins, max(state.scope.policy.min_cell, 1), inner > 0)
    ends = np.append(starts[1:], len(bins))
    totals = np.add.reduceat(bins, starts)
    below = np.cumsum(totals) - totals
    searches = []
    n = int(bins.sum())
    for rank in sorted({r for p in state.probabilities for r in _ranks(p, n)}):
        run = int(np.flatnonzero(below <= rank)[-1])
        low, high = int(starts[run]), int(ends[run])
        bracket = enclosing(edges[low], edges[high], int(below[run]), int(totals[run]), bits=0)
        searches.append(Search(rank, bracket, _is_fine(bracket, state)))
    return tuple(searches)


def _ranks(probability: float, n: int) -> tuple[int, int]:
    """The order statistics between which type 7 interpolates, from 0."""
    low = floor((n - 1) * probability + 4e-16 * n)
    return low, min(low + 1, n - 1)


def _narrowed(search: Search, parts: Sequence[Bracket], state: State) -> Search:
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
    fine = max(ldexp(size, -_DIGITS), ldexp(1.0, LOWEST + 1), 2 * state.wanted)
    return bracket.end - bracket.start <= fine


def _answer(state: State) -> Result:
    groups = [_quantiles(state, i) for i in range(state.n_groups)]
    n = sum(state.n)
    notes = ["A quantile is told to the resolution at which enough persons share its interval."]
    result: dict[str, Any] = {"variable": state.variable.name}
    if state.by:
        levels = state.by[0].levels
        result["by"] = [state.by[0].column]
        result["groups"] = [{"levels": [level], **group} for level, group in zip(levels, groups, strict=True)]
    else:
        result |= groups[0]
    return Result(result, n, state.rows - n, tuple(notes), sum(state.hidden))


def _quantiles(state: State, group: int) -> dict[str, Any]:
    """The quantiles of a group; null where it is hidden or has nobody."""
    found = {search.rank: _middle(search.bracket, state) for search in state.searches[group]}
    n = state.n[group]
    values: list[float | None] = []
    resolutions: list[float | None] = []
    for probability in state.probabilities:
        if not found:
            values.append(None)
            resolutions.append(None)
            continue
        low, high = _ranks(probability, n)
        share = min(max((n - 1) * probability - low, 0.0), 1.0)
        (below, half_below), (above, half_above) = found[low], found[high]
        values.append(below + share * (above - below))
        resolutions.append((1 - share) * half_below + share * half_above)
    told = None if state.hidden[group] else n
    lists = {"probabilities": list(state.probabilities), "values": values, "resolution": resolutions}
    return {**lists, "n": told}


def _middle(bracket: Bracket, state: State) -> tuple[float, float]:
    """The middle of a bracket and the largest distance of a value from it."""
    start, end = bracket.start, bracket.end
    if state.is_whole:
        start, end = float(ceil(start)), float(ceil(end) - 1)
    return (start + end) / 2, (end - start) / 2
