"""Number of persons, of all or by the levels of one or more factors.

Question: ``{"method": "count", "by": ["sex", "holder"]}``; ``by`` may be missing.
Result: ``{"n", "by", "groups": [{"levels": ["F", "Finland"], "n": 12 | null}]}``.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from salerno.analysis.disclosure.cells import hidden_cells, rounded, told
from salerno.analysis.disclosure.persons import check_persons
from salerno.analysis.model import Aggregate, Parameter, Question, Released, Result, Scope, Sensitivity, Sums
from salerno.analysis.questions import Factor, check_keys, factor, names
from salerno.analysis.sums.columns import cells_of, every, integers, is_listed, keys_of, scatter

NAME = "count"
LABEL = "Count"
PARAMETERS = (
    Parameter(
        name="by",
        label="By",
        kind="one-or-more",
        hint="Several columns with commas between them",
        optional=True,
    ),
)


@dataclass(frozen=True)
class State:
    """The question, understood."""

    scope: Scope
    factors: tuple[Factor, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of levels of each factor."""
        return tuple(len(f.levels) for f in self.factors)

    @property
    def n_cells(self) -> int:
        """Number of groups."""
        return prod(self.shape)


def start(question: Question, scope: Scope) -> State:
    """Check the question."""
    check_keys(question, PARAMETERS)
    by = names(question, "by", required=False)
    return State(scope, tuple(factor(scope, name, role="by") for name in by))


def local(view: ir.Table, state: State) -> Aggregate:
    """Count the holder's rows by cell."""
    complete = every(is_listed(view, f) for f in state.factors)
    keys = keys_of(view, state.factors, complete)
    expression = (
        view.group_by(**keys).aggregate(n=lambda t: t.count()) if keys else view.aggregate(n=view.count())
    )

    def finish(table: pa.Table) -> Sums:
        counts = integers(table, "n")
        cells = scatter(cells_of(table, state.factors), counts, state.n_cells)
        return {
            "rows": np.array(counts.sum(), dtype=np.int64),
            "n": np.array(cells.sum(), dtype=np.int64),
            "cells": cells,
            "hidden": np.zeros(state.n_cells, dtype=np.int64),
        }

    groups = tuple(view[f.column] for f in state.factors)
    return Aggregate(expression, finish, (Released(complete, groups),))


def sensitivity(state: State) -> Sensitivity:
    """One person is in one cell."""
    return Sensitivity(1, np.ones(state.n_cells, dtype=np.int64))


def noisy(sums: Sums, state: State, noise: NDArray[np.int64]) -> Sums:
    """The same sums with noise on each group; who lacks a value is not told then."""
    cells = np.maximum(sums["cells"] + noise, 0)
    n = np.array(cells.sum(), dtype=np.int64)
    return {**sums, "cells": cells, "n": n, "rows": n}


def guard(sums: Sums, state: State, scope: Scope) -> Sums:
    """Withhold a group that is too small; with few holders each small cell as well."""
    check_persons(int(sums["n"]), scope.policy, who="This holder's part")
    if not scope.few or not state.factors:
        return sums
    hidden = _hidden(sums["cells"], state)
    return {**sums, "cells": np.where(hidden, 0, sums["cells"]), "hidden": hidden.astype(np.int64)}


def step(sums: Sums, state: State) -> Result:
    """Blank out small cells of the total."""
    rows, n = int(sums["rows"]), int(sums["n"])
    cells = sums["cells"]
    rounding = state.scope.policy.rounding
    check_persons(n, state.scope.policy)
    if not state.factors:
        return Result({"n": int(rounded(n, rounding))}, n)
    hidden = _hidden(cells, state, sums["hidden"] > 0)
    levels = np.indices(state.shape).reshape(len(state.factors), -1).T
    groups = [
        {"levels": [f.levels[i] for f, i in zip(state.factors, place, strict=True)], "n": count}
        for count, place in zip(told(cells, hidden, rounding), levels.tolist(), strict=True)
    ]
    result = {"n": int(rounded(n, rounding)), "by": [f.column for f in state.factors], "groups": groups}
    return Result(result, n, rows - n, suppressed=int(hidden.sum()))


def _hidden(
    cells: NDArray[np.int64], state: State, given: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_]:
    """Groups that may not be told, even to one who knows the margins from other questions."""
    table = cells.reshape(state.shape)
    known = None if given is None else given.reshape(state.shape)
    return hidden_cells(table, state.scope.policy.min_cell, known).ravel()
