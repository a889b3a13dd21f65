"""Principal components of standardised variables, from the pooled correlations.

Question: ``{"method": "pca", "variables": ["LAB_TSC", "LAB_TRIG", "LAB_HDL"]}``.
Result: ``{"variables", "eigenvalues", "explained", "loadings", "means", "sds", "n"}``; ``loadings`` has one
row per variable and one column per component, each component's largest loading is positive.
"""

from __future__ import annotations

import numpy as np

from salerno.analysis.model import Result, Sums
from salerno.analysis.sums.covariance import PARAMETERS, Covariance, components, guard, local, pool, start

__all__ = ["LABEL", "NAME", "PARAMETERS", "guard", "local", "start", "step"]

NAME = "pca"
LABEL = "Principal components"


def step(sums: Sums, state: Covariance) -> Covariance | Result:
    """Pool the round, and decompose the correlations."""
    state = pool(sums, state)
    if state.matrix is None or state.means is None:
        return state
    values, vectors = components(state.correlation())
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
