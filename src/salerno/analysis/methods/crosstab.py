"""Table of counts by two factors, with the chi-square test.

Question: ``{"method": "crosstab", "rows": "DIS_DIAB", "columns": "GENDER"}``.
Result: ``{"row_variable", "column_variable", "rows", "columns", "counts", "row_totals", "column_totals", "n",
"chi_square", "df", "p_value"}``, for two by two also ``chi_square_yates`` and ``p_value_yates``. Counts that
may not be told are null, and then there is no test, since it would tell them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import chdtrc

from salerno.analysis.disclosure.cells import extended, hidden_table, inner, rounded, told
from salerno.analysis.disclosure.persons import check_persons, check_some
from salerno.analysis.model import Aggregate, Parameter, Question, Released, Result, Scope, Sensitivity, Sums
from salerno.analysis.questions import Factor, check_keys, factor, required
from salerno.analysis.sums.columns import cells_of, every, integers, is_listed, keys_of, scatter
from salerno.kernel.errors import Invalid

NAME = "crosstab"
LABEL = "Cross table"
PARAMETERS = (
    Parameter(name="rows", label="Rows"),
    Parameter(name="columns", label="Columns"),
)
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class State:
    """The question, understood."""

    scope: Scope
    rows: Factor
    columns: Factor

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and columns."""
        return len(self.rows.levels), len(self.columns.levels)


def start(question: Question, scope: Scope) -> State:
    """Check the question."""
    check_keys(question, PARAMETERS)
    rows = factor(scope, required(question, "rows"), role="rows")
    columns = factor(scope, required(question, "columns"), role="columns")
    if rows.column == columns.column:
        raise Invalid("repeated-column", "'rows' and 'columns' are the same column")
    return State(scope, rows, columns)


def local(view: ir.Table, state: State) -> Aggregate:
    """Count the holder's rows by cell."""
    factors = (state.rows, state.columns)
    complete = every(is_listed(view, f) for f in factors)
    expression = view.group_by(**keys_of(view, factors, complete)).aggregate(n=view.count())

    def finish(table: pa.Table) -> Sums:
        counts = integers(table, "n")
        size = state.shape[0] * state.shape[1]
        cells = scatter(cells_of(table, factors), counts, size).reshape(state.shape)
        return {
            "total": np.array(counts.sum(), dtype=np.int64),
            "n": np.array(cells.sum(), dtype=np.int64),
            "table": extended(cells),
            "hidden": np.zeros([size + 1 for size in state.shape], dtype=np.int64),
        }

    groups = tuple(view[f.column] for f in factors)
    return Aggregate(expression, finish, (Released(complete, groups),))


def sensitivity(state: State) -> Sensitivity:
    """One person is in one cell."""
    return Sensitivity(1, np.ones(state.shape[0] * state.shape[1], dtype=np.int64))


def noisy(sums: Sums, state: State, noise: NDArray[np.int64]) -> Sums:
    """The same sums with noise on each cell; margins follow, and who lacks a value is not told."""
    cells = inner(sums["table"])
    table = extended(np.maximum(cells + noise.reshape(cells.shape), 0))
    n = np.array(table[-1, -1], dtype=np.int64)
    return {**sums, "table": table, "n": n, "total": n}


def guard(sums: Sums, state: State, scope: Scope) -> Sums:
    """Withhold a table of too few persons; with few holders each small cell and margin as well."""
    check_persons(int(sums["n"]), scope.policy, who="This holder's part")
    if not scope.few:
        return sums
    hidden = hidden_table(sums["table"], scope.policy.min_cell)
    return {**sums, "table": np.where(hidden, 0, sums["table"]), "hidden": hidden.astype(np.int64)}


def step(sums: Sums, state: State) -> Result:
    """Blank out what may not be told, and test the rest."""
    policy = state.scope.policy
    n, table = int(sums["n"]), sums["table"]
    check_some(n, policy)
    hidden = hidden_table(table, policy.min_cell, sums["hidden"] > 0)
    shown = told(table, hidden, policy.rounding)
    is_exact = not hidden.any() and not policy.rounding
    result: dict[str, Any] = {
        "row_variable": state.rows.column,
        "column_variable": state.columns.column,
        "rows": list(state.rows.levels),
        "columns": list(state.columns.levels),
        "counts": [row[:-1] for row in shown[:-1]],
        "row_totals": [row[-1] for row in shown[:-1]],
        "column_totals": shown[-1][:-1],
        "n": int(rounded(n, policy.rounding)),
        **(_tests(inner(table)) if is_exact else {}),
    }
    notes = []
    if hidden.any():
        notes.append("There is no test, since it would tell the counts left out.")
    elif policy.rounding:
        notes.append("There is no test, since it would tell the counts before rounding.")
    return Result(result, n, int(sums["total"]) - n, tuple(notes), int(inner(hidden).sum()))


def _tests(cells: Counts) -> dict[str, Any]:
    """Pearson's chi-square over the levels that occur."""
    used = cells[cells.sum(axis=1) > 0][:, cells.sum(axis=0) > 0].astype(np.float64)
    df = (used.shape[0] - 1) * (used.shape[1] - 1)
    if df == 0:
        return {"chi_square": None, "df": 0, "p_value": None}
    expected = np.outer(used.sum(axis=1), used.sum(axis=0)) / used.sum()
    difference = np.abs(used - expected)
    pearson = float((difference**2 / expected).sum())
    tests: dict[str, Any] = {"chi_square": pearson, "df": df, "p_value": float(chdtrc(df, pearson))}
    if df == 1:
        # R corrects by a half, or by the whole difference where that is smaller.
        yates = float(((difference - np.minimum(0.5, difference)) ** 2 / expected).sum())
        tests |= {"chi_square_yates": yates, "p_value_yates": float(chdtrc(1, yates))}
    return tests
