"""Attrition: how many persons each step of a frame leaves, over all holders.

Question: ``{"method": "attrition"}`` on a frame with ``"rows": "attrition"``.
Result: ``{"steps": [{"step", "n_left", "n_dropped"}]}``, in order.

A number is told only where the persons dropped since the number told before, and those who stay to the
end, are none or at least the threshold. So neither a number nor a difference of two is about few persons.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from salerno.analysis.disclosure.cells import merged
from salerno.analysis.disclosure.persons import check_some
from salerno.analysis.model import Aggregate, Parameter, Question, Released, Result, Scope, Sums
from salerno.analysis.questions import Factor, check_keys, factor
from salerno.analysis.sums.columns import cells_of, integers, keys_of, scatter
from salerno.kernel.errors import Invalid

NAME = "attrition"
LABEL = "Attrition"
PARAMETERS: tuple[Parameter, ...] = ()


@dataclass(frozen=True)
class State:
    """The steps, in order."""

    scope: Scope
    steps: Factor


def start(question: Question, scope: Scope) -> State:
    """Check the question."""
    check_keys(question, PARAMETERS)
    if "step" not in scope.dictionary.variables:
        raise Invalid(
            "no-steps", "The study's frame has no steps", remedy='Give the frame "rows": "attrition".'
        )
    # The agreed levels are sorted as texts; the number that each begins with is its place.
    found = factor(scope, "step", role="step")
    levels = sorted(found.levels, key=lambda level: int(level.partition(".")[0]))
    return State(scope, Factor(found.column, found.datatype, tuple(levels)))


def local(view: ir.Table, state: State) -> Aggregate:
    """Count persons by the last step that they met."""
    expression = view.group_by(**keys_of(view, (state.steps,))).aggregate(n=view.count())

    def finish(table: pa.Table) -> Sums:
        counts = scatter(cells_of(table, (state.steps,)), integers(table, "n"), len(state.steps.levels))
        return {"last": counts, "joined": np.zeros_like(counts)}

    return Aggregate(expression, finish, (Released(view.step.notnull(), (view.step,)),))


def guard(sums: Sums, state: State, scope: Scope) -> Sums:
    """With few holders, join steps until each leaves out none of this holder's persons, or enough."""
    if not scope.few:
        return sums
    last = sums["last"]
    starts = merged(last, scope.policy.min_cell)
    totals = np.zeros_like(last)
    totals[starts] = np.add.reduceat(last, starts)
    inside = np.ones_like(last)
    inside[starts] = 0
    return {"last": totals, "joined": inside}


def step(sums: Sums, state: State) -> Result:
    """The numbers left, where they may be told."""
    last: NDArray[np.int64] = sums["last"]
    min_cell = state.scope.policy.min_cell
    n = int(last.sum())
    check_some(n, state.scope.policy)
    told = set(merged(last, min_cell, sums["joined"] > 0).tolist())
    left = np.cumsum(last[::-1])[::-1].tolist()
    steps: list[dict[str, Any]] = []
    for number, label in enumerate(state.steps.levels):
        both = number in told and number - 1 in told
        steps.append(
            {
                "step": label.partition(". ")[2],
                "n_left": left[number] if number in told else None,
                "n_dropped": 0 if number == 0 else left[number - 1] - left[number] if both else None,
            }
        )
    return Result({"steps": steps}, n, suppressed=len(steps) - len(told))
