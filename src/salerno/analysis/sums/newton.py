"""Newton's method over rounds: one step per pooled round, with step halving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from salerno.kernel.errors import Refused

Array = NDArray[np.float64]

SINGULAR = 1e-11
"""Smallest share of a column's weighted square that the columns before it may leave unexplained."""
CONVERGED = 1e-8
"""Root mean square change of the linear predictor at which the next point is the maximum."""

_PATIENCE = 12
"""Steps after which one that is no shorter than the last means that there is no maximum."""

_MOST = 22


@dataclass(frozen=True)
class Newton:
    """Where the search is.

    Args:
        names: Names of the coefficients, for errors.
        at: Coefficients at which the next round evaluates.
        weight: Observations behind the log-likelihood (persons, or events in Cox regression).
        best: Last point that did not lower the log-likelihood, with its log-likelihood and step.
        iterations: Accepted points.
        halvings: Halvings of the present step.
    """

    names: tuple[str, ...]
    at: Array
    weight: float
    best: Array | None = None
    log_likelihood: float = -np.inf
    direction: Array | None = None
    iterations: int = 0
    halvings: int = 0


@dataclass(frozen=True)
class Maximum:
    """The maximum: coefficients, inverse information and log-likelihood there."""

    coefficients: Array
    covariance: Array
    log_likelihood: float
    iterations: int


def advance(search: Newton, log_likelihood: float, gradient: Array, information: Array) -> Newton | Maximum:
    """Take a round's sums at ``search.at`` and go on.

    Raises:
        Refused: The columns depend on each other (``design-singular``), or a coefficient runs away
            since the outcome is separated by a term (``separated``), or there is no end (``not-converged``).
    """
    lowered = log_likelihood < search.log_likelihood - 1e-10 * (abs(search.log_likelihood) + 0.1)
    if lowered and search.best is not None and search.direction is not None and search.halvings < 12:
        half = search.direction * 0.5
        return replace(search, at=search.best + half, direction=half, halvings=search.halvings + 1)
    inverse = invert(information, search.names)
    direction = inverse @ gradient
    decrement = float(gradient @ direction)
    if np.sqrt(max(decrement, 0.0) / search.weight) < CONVERGED:
        return Maximum(search.at + direction, inverse, log_likelihood + decrement / 2, search.iterations + 1)
    iterations = search.iterations + 1
    if iterations >= _PATIENCE and search.direction is not None and not search.halvings:
        # Newton's steps shrink ever faster towards a maximum; away to infinity they keep their length.
        runaway = int(np.argmax(np.abs(direction)))
        if direction[runaway] / search.direction[runaway] > 0.5:
            raise separated(search.names[runaway])
    if iterations >= _MOST:
        raise Refused(
            "not-converged",
            f"The model has not converged after {_MOST} steps",
            remedy="Use fewer terms, or join small levels.",
        )
    return replace(
        search,
        at=search.at + direction,
        best=search.at,
        log_likelihood=log_likelihood,
        direction=direction,
        iterations=iterations,
        halvings=0,
    )


def separated(name: str) -> Refused:
    """The error for a coefficient without a finite estimate."""
    return Refused(
        "separated",
        f"The estimate of {name!r} grows without bound: the term separates the outcomes",
        remedy="Leave the term out, or join its levels.",
    )


def invert(information: Array, names: Sequence[str]) -> Array:
    """Inverse of a symmetric positive definite matrix, by pivots on its equilibrated form.

    Raises:
        Refused: A column is a combination of those before it; it is named.
    """
    size = len(names)
    diagonal = np.diag(information)
    if size and (not np.isfinite(information).all() or (diagonal <= 0).any()):
        bad = int(np.argmin(np.where(np.isfinite(diagonal), diagonal, -np.inf)))
        raise _singular(names[bad])
    scale = 1.0 / np.sqrt(diagonal)
    matrix = information * np.outer(scale, scale)
    lower = np.zeros((size, size))
    for j in range(size):
        rest = matrix[j, j] - lower[j, :j] @ lower[j, :j]
        if rest < SINGULAR:
            raise _singular(names[j])
        lower[j, j] = np.sqrt(rest)
        lower[j + 1 :, j] = (matrix[j + 1 :, j] - lower[j + 1 :, :j] @ lower[j, :j]) / lower[j, j]
    half = np.linalg.solve(lower, np.eye(size)) if size else lower
    inverse: Array = (half.T @ half) * np.outer(scale, scale)
    return inverse


def _singular(name: str) -> Refused:
    return Refused(
        "design-singular",
        f"The term {name!r} is a combination of the terms before it, or does not vary",
        remedy="Leave it out.",
    )
