"""Timing of cohorts: days from a person's first entry into one cohort to that into another.

Question: ``{"method": "cohort_timing", "cohorts": ["asthma", "copd"], "width": 30}`` on a frame with
``"rows": "cohorts"``; ``width`` is that of a bin in days.
Result: ``{"pairs": [{"first", "second", "n", "q25", "median", "q75", "lower", "upper", "counts"}],
"width"}``: quantiles of the days from the first to the second (negative where the second came first), and
a histogram.

Neighbouring bins are joined until each has nobody or enough persons. A quantile is read off within its bin
as if persons were spread evenly in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from salerno.analysis.disclosure.cells import is_small, merged
from salerno.analysis.model import Aggregate, Parameter, Question, Released, Result, Scope, Sums
from salerno.analysis.questions import check_keys, names, number
from salerno.analysis.sums.columns import integers
from salerno.analysis.sums.memberships import cohorts_of
from salerno.analysis.sums.table_one import quantiles

NAME = "cohort_timing"
LABEL = "Time between cohorts"
PARAMETERS = (
    Parameter(name="cohorts", label="Cohorts", kind="columns", hint="All when empty", optional=True),
    Parameter(name="width", label="Width of a bin in days", kind="number", optional=True),
)

REACH_DAYS = 36_600
"""Entries further apart are counted in the outermost bins."""


@dataclass(frozen=True)
class State:
    """The cohorts and the bins: multiples of `width` days around 0."""

    scope: Scope
    cohorts: tuple[str, ...]
    width: int

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Every two cohorts, in the order asked for."""
        return list(combinations(self.cohorts, 2))

    @property
    def half(self) -> int:
        """Bins on each side of 0."""
        return -(-REACH_DAYS // self.width)


def start(question: Question, scope: Scope) -> State:
    """Check the question."""
    check_keys(question, PARAMETERS)
    width = number(question.get("width", 30), key="width", above=1, below=3660, closed=True)
    return State(scope, cohorts_of(scope, names(question, "cohorts", required=False)), int(width))


def local(view: ir.Table, state: State) -> Aggregate:
    """Count persons by pair and bin of days."""
    parts = []
    for place, (first, second) in enumerate(state.pairs):
        both = view.filter((view[first] == 1) & (view[second] == 1))
        days = both[f"{second}_date"].delta(both[f"{first}_date"], unit="day").cast("float64")
        bin_of = (days / state.width).floor().cast("int64") + state.half
        limited = ibis.greatest(ibis.least(bin_of, 2 * state.half - 1), 0)
        parts.append(both.select(pair=ibis.literal(place, type="int64"), bin=limited.cast("int64")))
    every = parts[0] if len(parts) == 1 else ibis.union(*parts, distinct=False)
    expression = every.group_by(["pair", "bin"]).aggregate(n=every.count())

    def finish(table: pa.Table) -> Sums:
        counts = np.zeros((len(state.pairs), 2 * state.half), dtype=np.int64)
        np.add.at(counts, (integers(table, "pair"), integers(table, "bin")), integers(table, "n"))
        return {"counts": counts, "joined": np.zeros_like(counts)}

    released = tuple(Released(((view[a] == 1) & (view[b] == 1)).fill_null(False)) for a, b in state.pairs)
    return Aggregate(expression, finish, released)


def guard(sums: Sums, state: State, scope: Scope) -> Sums:
    """With few holders, join this holder's bins until each has nobody or enough."""
    if not scope.few:
        return sums
    counts, joined = np.zeros_like(sums["counts"]), np.ones_like(sums["counts"])
    for place, bins in enumerate(sums["counts"]):
        if is_small(bins.sum(keepdims=True), scope.policy.min_cell).any():
            continue  # this holder's part of the pair is too small to be told at all
        starts = merged(bins, scope.policy.min_cell)
        counts[place, starts] = np.add.reduceat(bins, starts)
        joined[place, starts] = 0
    return {"counts": counts, "joined": joined}


def step(sums: Sums, state: State) -> Result:
    """Quantiles and histogram of each pair."""
    min_cell = state.scope.policy.min_cell
    pairs: list[dict[str, Any]] = []
    days: list[dict[str, Any]] = []
    suppressed = 0
    for (first, second), bins, joined in zip(state.pairs, sums["counts"], sums["joined"], strict=True):
        n = int(bins.sum())
        head = {"first": first, "second": second}
        if n == 0 or n < min_cell:
            blank: dict[str, Any] = dict.fromkeys(("q25", "q50", "q75"))
            pairs.append(
                {**head, "n": 0 if n == 0 else None, **blank, "lower": [], "upper": [], "counts": []}
            )
            suppressed += n > 0
            continue
        edges, counts = _histogram(bins, joined > 0, state, min_cell)
        low, middle, high = quantiles(edges, counts, (0.25, 0.5, 0.75), whole=True)
        pairs.append(
            {
                **head,
                "n": n,
                "q25": low,
                "q50": middle,
                "q75": high,
            }
        )
        bins_told = zip(edges[:-1].tolist(), edges[1:].tolist(), counts.tolist(), strict=True)
        days += [{**head, "lower": low, "upper": high, "count": count} for low, high, count in bins_told]
    most = max((pair["n"] or 0 for pair in pairs), default=0)
    return Result({"pairs": pairs, "days": days, "width": state.width}, most, suppressed=suppressed)


def _histogram(
    bins: NDArray[np.int64], joined: NDArray[np.bool_], state: State, min_cell: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Edges and counts of the bins that have anybody, joined as far as needed."""
    starts = merged(bins, min_cell, joined)
    counts = np.add.reduceat(bins, starts)
    edges = (np.append(starts, len(bins)) - state.half) * float(state.width)
    used = np.flatnonzero(counts)
    first, last = used[0], used[-1] + 1
    return edges[first : last + 1], counts[first:last]
