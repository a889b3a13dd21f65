"""Pearson's correlations of several variables over complete cases.

Question: ``{"method": "correlation", "variables": ["LAB_TSC", "LAB_TRIG"]}``.
Result: ``{"variables", "matrix", "covariance", "means", "n"}``.
"""

from __future__ import annotations

from salerno.analysis.model import Result, Sums
from salerno.analysis.sums.covariance import PARAMETERS, Covariance, guard, local, pool, start

__all__ = ["LABEL", "NAME", "PARAMETERS", "guard", "local", "start", "step"]

NAME = "correlation"
LABEL = "Correlation"


def step(sums: Sums, state: Covariance) -> Covariance | Result:
    """Pool the round."""
    state = pool(sums, state)
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
