"""Number of values, missing values, mean, variance and standard deviation.

Question: ``{"method": "describe", "variable": "age"}`` or ``"variables": [...]``; ``by`` one or more factors.
Result: flat ``{"variable", "n", "n_missing", "mean", "variance", "sd"}`` for one variable, otherwise
``{"variables": [{…}, …]}``; with ``by`` each entry has ``"groups": [{"levels", "n", "mean", …}]`` instead.
A figure is null where its group is too small to be told or has too few values.
Each variable uses all rows that have it, unless the question says ``"missing": "complete"``.
"""

from __future__ import annotations

from math import isfinite, sqrt
from typing import Any

import ibis.expr.types as ir
import numpy as np

from salerno.analysis.model import Aggregate, Question, Result, Scope, Sums
from salerno.analysis.questions import check_keys, factor, names, numeric
from salerno.analysis.sums.moments import Moments, guard_moments, local_moments, step_moments
from salerno.kernel.errors import Invalid

NAME = "describe"


def start(question: Question, scope: Scope) -> Moments:
    """Check the question."""
    check_keys(question, {"variable", "variables", "by"})
    if ("variable" in question) == ("variables" in question):
        raise Invalid("missing-key", "A describe question needs either 'variable' or 'variables'")
    key = "variable" if "variable" in question else "variables"
    listed = names(question, key)
    return Moments(
        scope=scope,
        variables=tuple(numeric(scope, name, role=key) for name in listed),
        factors=tuple(factor(scope, name, role="by") for name in names(question, "by", required=False)),
        together=question.get("missing") == "complete",
    )


def local(view: ir.Table, state: Moments) -> Aggregate:
    """Means in the first round, squares around them in the second."""
    return local_moments(view, state)


def guard(sums: Sums, state: Moments, scope: Scope) -> Sums:
    """Withhold what rests on too few persons."""
    return guard_moments(sums, state, scope)


def step(sums: Sums, state: Moments) -> Moments | Result:
    """Pool the round."""
    state = step_moments(sums, state)
    if not state.is_complete:
        return state
    assert state.hidden is not None
    entries = [_entry(state, position) for position in range(len(state.variables))]
    result = entries[0] if len(entries) == 1 else {"variables": entries}
    return Result(result, state.n, state.rows - state.n, suppressed=int(state.hidden.sum()))


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
