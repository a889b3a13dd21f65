"""Log-rank test of equal survival in two or more groups.

Question: ``{"method": "log_rank", "time": "time", "event": "status", "by": "sex"}``.
Result: ``{"chi_square", "df", "p_value", "strata": [{"stratum", "n", "observed", "expected"}]}``, equal to
R's ``survdiff`` on the pooled rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import ibis.expr.types as ir
import numpy as np
from scipy.special import chdtrc

from salerno.analysis.disclosure.cells import hidden_cells
from salerno.analysis.disclosure.persons import check_level
from salerno.analysis.model import Aggregate, Parameter, Question, Result, Scope, Sums
from salerno.analysis.questions import EVENT, RESOLUTION, TIME, check_keys, factor, names, required
from salerno.analysis.sums.follow_up import follow_up
from salerno.analysis.sums.life_table import LifeTable, check_withheld, group_names
from salerno.analysis.sums.survival import log_rank
from salerno.kernel.errors import Invalid

NAME = "log_rank"
LABEL = "Compare survival"
PARAMETERS = (
    TIME,
    EVENT,
    Parameter(name="by", label="Column with the groups"),
    RESOLUTION,
)


@dataclass(frozen=True)
class State:
    """What is counted."""

    table: LifeTable


def start(question: Question, scope: Scope) -> State:
    """Check the question."""
    check_keys(question, PARAMETERS)
    follow = follow_up(
        question, scope, time=required(question, "time"), event_column=required(question, "event")
    )
    by = tuple(factor(scope, name, role="by") for name in names(question, "by"))
    return State(LifeTable(scope, follow, by))


def local(view: ir.Table, state: State) -> Aggregate:
    """Survey the times, then count by time."""
    return state.table.local(view)


def guard(sums: Sums, state: State, scope: Scope) -> Sums:
    """Refuse to take part with too few persons; hide single events from few holders."""
    return state.table.guard(sums)


def step(sums: Sums, state: State) -> State | Result:
    """Agree the grid, then test."""
    table = state.table
    policy = table.scope.policy
    if not table.follow.is_agreed:
        return State(table.agreed(sums))
    check_withheld(table, sums)
    died, left = sums["died"][0], sums["left"]
    n = (died + left).sum(axis=1)
    labels = group_names(table.factors)
    columns = ", ".join(f.column for f in table.factors)
    for label, count in zip(labels, n.tolist(), strict=True):
        check_level(count, policy, column=columns, level=label)
    some = np.flatnonzero(n)
    if len(some) < 2:
        raise Invalid("one-group", f"All persons have the same {columns}: there is nothing to compare")
    expected, covariance = log_rank(died[some], left[some])
    observed = died[some].sum(axis=1)
    difference = (observed - expected)[:-1]
    chi_square = float(difference @ np.linalg.pinv(covariance[:-1, :-1]) @ difference)
    df = len(some) - 1
    hidden = hidden_cells(observed, policy.min_cell)
    strata = [
        {
            "stratum": labels[group],
            "n": int(n[group]),
            "observed": None if hidden[i] else int(observed[i]),
            "expected": None if hidden[i] else float(expected[i]),
        }
        for i, group in enumerate(some.tolist())
    ]
    result = {
        "chi_square": chi_square,
        "df": df,
        "p_value": float(chdtrc(df, chi_square)),
        "strata": strata,
    }
    notes = tuple(table.count_notes(sums))
    return Result(result, table.n, table.rows - table.n, notes, int(hidden.sum()))
