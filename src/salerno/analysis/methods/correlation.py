"""Pearson's correlations of several variables over complete cases.

Question: ``{"method": "correlation", "variables": ["LAB_TSC", "LAB_TRIG"]}``.
Result: ``{"variables", "matrix", "covariance", "means", "n"}``.
"""

from __future__ import annotations

import ibis.expr.types as ir

from salerno.analysis.model import Aggregate, Parameter, Question, Result, Scope, Sums
from salerno.analysis.questions import check_keys
from salerno.analysis.sums.covariance import (
    Covariance,
    covariance_of,
    guard_covariance,
    local_covariance,
    step_covariance,
)

NAME = "correlation"
LABEL = "Correlation"
PARAMETERS = (
    Parameter(
        name="variables", label="Columns", kind="columns", hint="Several columns with commas between them"
    ),
)


def start(question: Question, scope: Scope) -> Covariance:
    """Check the question."""
    check_keys(question, PARAMETERS)
    return covariance_of(question, scope)


def local(view: ir.Table, state: Covariance) -> Aggregate:
    """Sums in the first round, centred products in the second."""
    return local_covariance(view, state)


def guard(sums: Sums, state: Covariance, scope: Scope) -> Sums:
    """Refuse to take part with too few persons."""
    return guard_covariance(sums, state, scope)


def step(sums: Sums, state: Covariance) -> Covariance | Result:
    """Pool the round."""
    state = step_covariance(sums, state)
    if state.matrix is None or state.means is None:
        return state
    result = {
        "variables": state.names,
        "matrix": state.correlation().tolist(),
        "covariance": state.matrix.tolist(),
        "means": state.means.tolist(),
        "n": state.n,
    }
    return Result(result, state.n, state.rows - state.n)
