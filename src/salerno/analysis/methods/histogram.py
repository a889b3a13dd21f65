"""Histogram of a numeric column, without its smallest and largest value.

Question: ``{"method": "histogram", "variable": "LAB_TSC", "bins": 20}``; ``bins`` is a number, or a rising
list of edges. Result: ``{"variable", "edges", "counts", "below", "above", "n"}``. Each bin has its lower edge
and not its upper one. With a number of bins the first and the last bin also take the values beyond their
outer edges; with given edges those are ``below`` and ``above``. A count that may not be told is null.
Where the policy asks for noise, the edges must be given.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from math import floor

import ibis.expr.types as ir
import numpy as np
from numpy.typing import NDArray

from salerno.analysis.disclosure.cells import hidden_cells, merged
from salerno.analysis.disclosure.persons import check_persons, check_some
from salerno.analysis.grids import N_MAGNITUDES, Bracket, enclosing, magnitude_edges, nice_step
from salerno.analysis.model import Aggregate, Parameter, Question, Result, Scope, Sensitivity, Sums
from salerno.analysis.questions import check_keys, numbers, numeric, required, whole
from salerno.analysis.sums.bins import (
    guard_bins,
    local_brackets,
    local_edges,
    local_magnitudes,
    runs,
)
from salerno.catalogue.model import Datatype, Variable
from salerno.kernel.errors import Invalid

NAME = "histogram"
LABEL = "Histogram"
PARAMETERS = (
    Parameter(name="variable", label="Column"),
    Parameter(name="bins", label="Number of bars", kind="number", optional=True),
)
_MOST_BINS = 200
_BITS = 7
_MOST_ROUNDS = 6


@dataclass(frozen=True)
class State:
    """The question and how far the range is known.

    Args:
        n_bins: Number of bins asked for, 0 where edges are given.
        edges: Edges to count between, once they are known.
        bracket: Range that is being narrowed.
    """

    scope: Scope
    variable: Variable
    n_bins: int
    edges: tuple[float, ...] = ()
    bracket: Bracket | None = None
    rows: int = 0
    n: int = 0
    rounds: int = 0


def start(question: Question, scope: Scope) -> State:
    """Check the question."""
    check_keys(question, PARAMETERS)
    variable = numeric(scope, required(question, "variable"), role="variable")
    bins = question.get("bins", 20)
    if isinstance(bins, (list, tuple)):
        edges = numbers(bins, key="bins")
        if len(edges) < 2 or len(edges) > _MOST_BINS or any(a >= b for a, b in pairwise(edges)):
            raise Invalid(
                "wrong-edges", f"'bins' must be 2 to {_MOST_BINS} rising edges, or a number of bins"
            )
        return State(scope, variable, 0, edges)
    if scope.policy.epsilon:
        raise Invalid(
            "noise-needs-edges",
            "With noise the range of the values is not looked up",
            remedy="Give 'bins' as a list of edges, from knowledge other than these data.",
        )
    return State(scope, variable, whole(bins, key="bins", least=1, most=_MOST_BINS))


def local(view: ir.Table, state: State) -> Aggregate:
    """Count between the edges; where they are not given, by magnitude and over a narrowing range before."""
    if state.edges:
        return local_edges(view, state.variable, state.edges)
    if state.rounds == 0:
        return local_magnitudes(view, state.variable)
    assert state.bracket is not None
    return local_brackets(view, state.variable, [state.bracket])


def sensitivity(state: State) -> Sensitivity:
    """One person is in one bin."""
    return Sensitivity(1, np.ones(len(state.edges) + 1, dtype=np.int64))


def noisy(sums: Sums, state: State, noise: NDArray[np.int64]) -> Sums:
    """The same sums with noise on each bin; who lacks a value is not told then."""
    bins = np.maximum(sums["bins"] + noise, 0)
    n = np.array(bins.sum(), dtype=np.int64)
    return {**sums, "bins": bins, "n": n, "rows": n}


def guard(sums: Sums, state: State, scope: Scope) -> Sums:
    """Refuse to take part with too few persons; with few holders hide or join small bins."""
    if state.rounds == 0:
        check_persons(int(sums["bins"].sum()), scope.policy, who="This holder's part")
    if state.edges:
        if not scope.few:
            return sums
        hidden = hidden_cells(sums["bins"], scope.policy.min_cell)
        return {**sums, "bins": np.where(hidden, 0, sums["bins"]), "hidden": hidden.astype(np.int64)}
    return guard_bins(sums, [state.bracket.n_units if state.bracket else N_MAGNITUDES], scope)


def step(sums: Sums, state: State) -> State | Result:
    """Narrow the range, fix the edges, or answer."""
    min_cell = max(state.scope.policy.min_cell, 1)
    if state.edges:
        state = replace(state, rows=int(sums["rows"]), n=int(sums["n"]))
        check_some(state.n, state.scope.policy)
        return _answer(sums["bins"], sums["hidden"] > 0, state)
    if state.rounds == 0:
        n = int(sums["bins"].sum())
        check_some(n, state.scope.policy)
        state = replace(state, n=n, rounds=1)
        edges = magnitude_edges()
        starts = merged(sums["bins"], min_cell, sums["inner"] > 0)
        filled = np.flatnonzero(np.add.reduceat(sums["bins"], starts))
        ends = np.append(starts[1:], N_MAGNITUDES)
        low, high = edges[int(starts[filled[0]])], edges[int(ends[filled[-1]])]
        return replace(state, bracket=enclosing(low, high, 0, n, bits=_BITS))
    assert state.bracket is not None
    parts = [part for part in runs(sums, [state.bracket], min_cell)[0] if part.count]
    low, high = parts[0].start, parts[-1].end
    span = state.bracket.end - state.bracket.start
    if high - low < span / 4 and state.rounds < _MOST_ROUNDS:
        narrow = enclosing(low, high, 0, state.n, bits=_BITS)
        return replace(state, bracket=narrow, rounds=state.rounds + 1)
    # The outermost enough persons share the end bins, so these edges tell of none of them.
    first, last = parts[0], parts[-1]
    low = first.end if len(parts) > 2 else first.start
    high = last.start if len(parts) > 2 else last.end
    return replace(state, edges=_edges(low, high, state), rounds=state.rounds + 1)


def _edges(low: float, high: float, state: State) -> tuple[float, ...]:
    """Round numbers that cover a range in about as many bins as asked for."""
    step_used = nice_step(high - low, state.n_bins)
    if state.variable.datatype is not Datatype.NUMBER:
        step_used = max(step_used, 1.0)
    first = floor(low / step_used + 1e-9)
    count = max(int(np.ceil((high - first * step_used) / step_used - 1e-9)), 1)
    return tuple(float(f"{(first + i) * step_used:.12g}") for i in range(count + 1))


def _answer(bins: NDArray[np.int64], withheld: NDArray[np.bool_], state: State) -> Result:
    min_cell = state.scope.policy.min_cell
    edges = list(state.edges)
    notes = []
    below: int | None = 0
    above: int | None = 0
    if state.n_bins:
        bins, withheld, edges = _joined(bins, withheld, edges, min_cell)
        notes.append("The end bins include the values beyond their outer edges.")
        hidden = hidden_cells(bins, min_cell, withheld)
        counts = _told(bins, hidden)
    else:
        hidden = hidden_cells(bins, min_cell, withheld)
        below, *counts, above = _told(bins, hidden)
    result = {
        "variable": state.variable.name,
        "edges": edges,
        "counts": counts,
        "below": below,
        "above": above,
        "n": state.n,
    }
    return Result(result, state.n, state.rows - state.n, tuple(notes), int(hidden.sum()))


def _joined(
    bins: NDArray[np.int64], withheld: NDArray[np.bool_], edges: list[float], min_cell: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_], list[float]]:
    """Without the outer counts, and with the ends joined inwards until they hold enough."""
    bins, withheld = bins.copy(), withheld.copy()

    def join(source: int, target: int) -> None:
        nonlocal bins, withheld
        bins[target] += bins[source]
        withheld[target] |= withheld[source]
        bins, withheld = np.delete(bins, source), np.delete(withheld, source)

    join(0, 1)
    join(len(bins) - 1, len(bins) - 2)
    while len(bins) > 1 and bins[0] < min_cell:
        join(0, 1)
        edges = edges[1:]
    while len(bins) > 1 and bins[-1] < min_cell:
        join(len(bins) - 1, len(bins) - 2)
        edges = edges[:-1]
    return bins, withheld, edges


def _told(counts: NDArray[np.int64], hidden: NDArray[np.bool_]) -> list[int | None]:
    return [
        None if blank else int(count) for count, blank in zip(counts.tolist(), hidden.tolist(), strict=True)
    ]
