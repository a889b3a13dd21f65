"""Principal components of standardised variables, from the pooled correlations.

Question: ``{"method": "pca", "variables": ["LAB_TSC", "LAB_TRIG", "LAB_HDL"]}``.
Result: ``{"variables", "eigenvalues", "explained", "loadings", "means", "sds", "n"}``; ``loadings`` has one
row per variable and one column per component, each component's largest loading is positive.
"""

from __future__ import annotations

import ibis.expr.types as ir
import numpy as np

from salerno.analysis.model import Aggregate, Parameter, Question, Result, Scope, Sums
from salerno.analysis.questions import check_keys
from salerno.analysis.sums.covariance import (
    Covariance,
    covariance_of,
    guard_covariance,
    local_covariance,
    step_covariance,
)

NAME = "pca"
LABEL = "Principal components"
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
    """Pool the round, and decompose the correlations."""
    state = step_covariance(sums, state)
    if state.matrix is None or state.means is None:
        return state
    values, vectors = np.linalg.eigh(state.correlation())
    values, vectors = values[::-1], vectors[:, ::-1]
    largest = np.argmax(np.abs(vectors), axis=0)
    vectors = vectors * np.sign(vectors[largest, np.arange(len(values))])
    result = {
        "variables": state.names,
        "eigenvalues": values.tolist(),
        "explained": (values / values.sum()).tolist(),
        "loadings": vectors.tolist(),
        "means": state.means.tolist(),
        "sds": np.sqrt(np.diag(state.matrix)).tolist(),
        "n": state.n,
    }
    return Result(result, state.n, state.rows - state.n)
