"""Number of values, missing values, mean, variance and standard deviation.

Question: ``{"method": "describe", "variable": "age"}`` or ``"variables": [...]``; ``by`` one or more factors.
Result: flat ``{"variable", "n", "n_missing", "mean", "variance", "sd"}`` for ``variable``, and for
``variables`` ``{"variables": [{…}, …]}``;
with ``by`` each entry has ``"groups": [{"levels", "n", "mean", …}]`` instead.
A figure is null where its group is too small to be told or has too few values.
Each variable uses all rows that have it, unless the question says ``"missing": "complete"``.
Where the policy asks for noise, ``bounds`` declare the lowest and highest value of each column, as a pair
or as ``{column: [low, high]}``; values beyond them count as the bounds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite, sqrt
from typing import Any

import ibis.expr.types as ir
import numpy as np
from numpy.typing import NDArray

from salerno.analysis.disclosure.persons import check_persons
from salerno.analysis.model import Aggregate, Parameter, Question, Result, Scope, Sensitivity, Sums
from salerno.analysis.questions import check_keys, factor, names, numeric
from salerno.analysis.sums.bounded import (
    Bounds,
    bounds_of,
    local_bounded,
    means_of,
    noisy_bounded,
)
from salerno.analysis.sums.bounded import sensitivity as sensitivity_of
from salerno.analysis.sums.moments import Moments, guard_moments, local_moments, step_moments
from salerno.kernel.errors import Invalid

NAME = "describe"
LABEL = "Describe"
PARAMETERS = (
    Parameter(
        name="variables", label="Columns", kind="columns", hint="Several columns with commas between them"
    ),
    Parameter(
        name="by",
        label="By",
        kind="one-or-more",
        hint="Several columns with commas between them",
        optional=True,
    ),
    Parameter(name="variable", label="Column, instead of a list", optional=True, advanced=True),
    Parameter(
        name="bounds",
        label="Bounds, where noise is added",
        kind="object",
        hint='As JSON, e.g. {"age": [18, 100]}',
        optional=True,
        advanced=True,
    ),
)


@dataclass(frozen=True)
class State:
    """The moments so far, whether one variable was asked for by itself, and bounds where noise is added."""

    moments: Moments
    is_single: bool
    bounds: Bounds = ()


def start(question: Question, scope: Scope) -> State:
    """Check the question."""
    check_keys(question, PARAMETERS)
    if ("variable" in question) == ("variables" in question):
        raise Invalid("missing-key", "A describe question needs either 'variable' or 'variables'")
    key = "variable" if "variable" in question else "variables"
    listed = names(question, key)
    moments = Moments(
        scope=scope,
        variables=tuple(numeric(scope, name, role=key) for name in listed),
        factors=tuple(factor(scope, name, role="by") for name in names(question, "by", required=False)),
        together=question.get("missing") == "complete",
    )
    bounds = bounds_of(question.get("bounds"), listed) if scope.policy.epsilon else ()
    return State(moments, key == "variable" and len(listed) == 1, bounds)


def local(view: ir.Table, state: State) -> Aggregate:
    """Means in the first round, squares around them in the second; with bounds both at once."""
    if state.bounds:
        return local_bounded(view, state.moments, state.bounds)
    return local_moments(view, state.moments)


def sensitivity(state: State) -> Sensitivity:
    """What one person changes in the numbers that get noise."""
    return sensitivity_of(state.moments)


def noisy(sums: Sums, state: State, noise: NDArray[np.int64]) -> Sums:
    """The same sums with noise; who lacks a value is not told then."""
    return noisy_bounded(sums, noise)


def guard(sums: Sums, state: State, scope: Scope) -> Sums:
    """Withhold what rests on too few persons."""
    return guard_moments(sums, state.moments, scope)


def step(sums: Sums, state: State) -> State | Result:
    """Pool the round."""
    if state.bounds:
        moments = means_of(sums, state.moments, state.bounds)
        check_persons(moments.n, moments.scope.policy)
    else:
        moments = step_moments(sums, state.moments)
    if not moments.is_complete:
        return replace(state, moments=moments)
    assert moments.hidden is not None
    entries = [_entry(moments, position) for position in range(len(moments.variables))]
    result = entries[0] if state.is_single else {"variables": entries}
    notes = ("Values beyond the declared bounds count as the bounds.",) if state.bounds else ()
    return Result(result, moments.n, moments.rows - moments.n, notes, int(moments.hidden.sum()))


def _entry(state: Moments, position: int) -> dict[str, Any]:
    assert state.counts is not None
    name = state.variables[position].name
    n = int(state.counts[:, position].sum())
    if not state.factors:
        return {"variable": name, **_figures(state, 0, position), "n_missing": state.rows - n}
    places = np.indices([len(f.levels) for f in state.factors]).reshape(len(state.factors), -1).T
    groups = [
        {
            "levels": [f.levels[i] for f, i in zip(state.factors, place, strict=True)],
            **_figures(state, group, position),
        }
        for group, place in enumerate(places.tolist())
    ]
    return {"variable": name, "by": [f.column for f in state.factors], "groups": groups}


def _figures(state: Moments, group: int, position: int) -> dict[str, Any]:
    assert state.counts is not None
    assert state.hidden is not None
    assert state.mean is not None
    assert state.variance is not None
    if state.hidden[group, position]:
        return {"n": None, "mean": None, "variance": None, "sd": None}
    mean, variance = float(state.mean[group, position]), float(state.variance[group, position])
    return {
        "n": int(state.counts[group, position]),
        "mean": mean if isfinite(mean) else None,
        "variance": variance if isfinite(variance) else None,
        "sd": sqrt(variance) if isfinite(variance) else None,
    }
