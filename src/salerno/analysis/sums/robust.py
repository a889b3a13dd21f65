"""Standard errors that hold when the variance of the outcome is not what the model says."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from salerno.analysis.model import Parameter, Question
from salerno.analysis.questions import choice

Array = NDArray[np.float64]

ERRORS = Parameter(
    name="errors",
    label="Standard errors",
    kind="choice",
    optional=True,
    advanced=True,
    options=(
        ("", "As the model says, or HC1 with clusters"),
        ("HC0", "Robust (HC0)"),
        ("HC1", "Robust, for small samples (HC1)"),
    ),
)


def errors_of(question: Question, *, cluster: bool) -> str:
    """``model``, ``HC0`` or ``HC1``; with clusters HC1 unless told."""
    allowed = ("HC0", "HC1") if cluster else ("model", "HC0", "HC1")
    return str(choice(question, "errors", allowed, "HC1" if cluster else "model"))


def sandwich(bread: Array, meat: Array, errors: str, *, n: int, n_clusters: int | None = None) -> Array:
    """Covariance of the coefficients from the inverse information and the squares of the scores.

    HC1 multiplies by ``n / (n - k)``. With G clusters both are multiplied by ``G / (G - 1)``, and HC1 by
    ``(n - 1) / (n - k)`` more, as in R's ``sandwich::vcovCL`` and in statsmodels and Stata.

    Args:
        bread: Inverse of the expected information at dispersion one.
        meat: Sum over rows, or over clusters, of score times score.
        errors: ``HC0`` or ``HC1``.
        n: Rows.
        n_clusters: Clusters, None without.

    Source:
        White, Econometrica 48 (1980) 817; Liang and Zeger, Biometrika 73 (1986) 13.
    """
    factor = 1.0
    if n_clusters is not None:
        factor *= n_clusters / (n_clusters - 1)
    if errors == "HC1":
        factor *= (n if n_clusters is None else n - 1) / (n - len(bread))
    result: Array = bread @ meat @ bread * factor
    return result
