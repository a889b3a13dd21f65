"""Profiled likelihood of the linear mixed model from sums over groups.

With ``y = X b + Z u + e`` in each group, ``Var(u) = s² D`` and ``Var(e) = s²``, the likelihood at a given D
needs of all data only ``M = [X y]' V⁻¹ [X y]`` and ``L = log |V|``, where ``V = I + Z D Z'``. Both add over
groups, hence over holders, and so do their derivatives by D. A group's cross products stay where they are.

Source:
    Luo et al., Nat. Commun. 13 (2022) 1678 (lossless from cross products); Bates et al., J. Stat. Softw. 67
    (2015) 1 (the profiled criterion).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, pi

import numpy as np
from numpy.typing import NDArray

from salerno.analysis.model import Sums
from salerno.analysis.sums.newton import invert
from salerno.kernel.errors import Refused

Array = NDArray[np.float64]

_CHUNK = 20_000


@dataclass(frozen=True)
class Blocks:
    """What a holder keeps of its groups.

    Args:
        total: Cross products of the columns and the outcome over all groups, shape (p + 1, p + 1).
        crossed: ``Z'[X y]`` by group, shape (groups, q, p + 1).
        within: ``Z'Z`` by group, shape (groups, q, q).
    """

    total: Array
    crossed: Array
    within: Array


def directions(q: int) -> Array:
    """Symmetric matrices that span those of size q, by the rows of the lower triangle."""
    result = []
    for i in range(q):
        for j in range(i + 1):
            matrix = np.zeros((q, q))
            matrix[i, j] = matrix[j, i] = 1.0
            result.append(matrix)
    return np.array(result)


def sums_at(blocks: Blocks, points: tuple[Array, ...]) -> Sums:
    """The holder's part of M and L with first and second derivatives by D, at several D.

    Args:
        blocks: The holder's.
        points: Each a D of shape (q, q).
    """
    size, q = len(blocks.total), blocks.within.shape[1]
    span = directions(q)
    k = len(span)
    sums: Sums = {
        "m": np.repeat(blocks.total[None], len(points), axis=0),
        "m1": np.zeros((len(points), k, size, size)),
        "m2": np.zeros((len(points), k, k, size, size)),
        "l": np.zeros(len(points)),
        "l1": np.zeros((len(points), k)),
        "l2": np.zeros((len(points), k, k)),
    }
    for place, d in enumerate(points):
        for begin in range(0, len(blocks.within), _CHUNK):
            part = slice(begin, begin + _CHUNK)
            _add_groups(sums, place, d, blocks.within[part], blocks.crossed[part], span)
    return sums


def _add_groups(sums: Sums, place: int, d: Array, within: Array, crossed: Array, span: Array) -> None:
    """Add some groups' part at one D."""
    whole = np.eye(len(d)) + within @ d
    shrunk = np.linalg.solve(whole, crossed)  # (I + Z'Z D)⁻¹ Z'[X y]
    spread = np.linalg.solve(whole, within)  # symmetric
    sums["m"][place] -= np.einsum("gqa,qr,grb->ab", crossed, d, shrunk, optimize=True)
    sums["l"][place] += np.linalg.slogdet(whole)[1].sum()
    for a, first in enumerate(span):
        sums["m1"][place, a] -= np.einsum("gqa,qr,grb->ab", shrunk, first, shrunk, optimize=True)
        sums["l1"][place, a] += np.einsum("gqr,rq->", spread, first)
        for b, second in enumerate(span):
            middle = first @ spread @ second
            both = np.einsum("gqa,gqr,grb->ab", shrunk, middle, shrunk, optimize=True)
            sums["m2"][place, a, b] += both + both.T
            sums["l2"][place, a, b] -= np.einsum("gqr,grq->", spread @ first, spread @ second)


@dataclass(frozen=True)
class Fitted:
    """The profiled fit at one D.

    Args:
        criterion: Minus twice the log-likelihood, restricted or not.
        gradient, hessian: Of the criterion by D.
        coefficients: Of the fixed effects.
        covariance: Theirs.
        residual: Variance of the errors.
    """

    criterion: float
    gradient: Array
    hessian: Array
    coefficients: Array
    covariance: Array
    residual: float


def profile(sums: Sums, place: int, n: int, names: tuple[str, ...], *, reml: bool, stretch: float) -> Fitted:
    """The criterion with its derivatives by D at one of the points.

    Args:
        sums: Pooled.
        place: Number of the point.
        n: Rows.
        names: Of the fixed effects, for errors.
        reml: Whether the likelihood is the restricted one.
        stretch: Logarithm of the determinant that takes coefficients of the scaled columns to plain ones.

    Raises:
        Refused: ``design-singular``, or ``perfect-fit``.
    """
    m, m1, m2 = sums["m"][place], sums["m1"][place], sums["m2"][place]
    p = len(names)
    inverse = invert(m[:p, :p], names)
    coefficients = inverse @ m[:p, p]
    v = np.append(-coefficients, 1.0)
    rest = float(v @ m @ v)
    if rest <= 1e-14 * float(m[p, p]):
        raise Refused("perfect-fit", "The terms explain the outcome without error, so nothing varies")
    slopes = m1 @ v
    first = slopes @ v
    second = m2 @ v @ v - 2 * slopes[:, :p] @ inverse @ slopes[:, :p].T
    df = n - p if reml else n
    criterion = float(sums["l"][place]) + df * (1 + log(2 * pi * rest / df))
    gradient = sums["l1"][place] + df * first / rest
    hessian = sums["l2"][place] + df * (second / rest - np.outer(first, first) / rest**2)
    if reml:
        criterion += float(np.linalg.slogdet(m[:p, :p])[1]) - 2 * stretch
        turned = inverse @ m1[:, :p, :p]
        gradient = gradient + np.trace(turned, axis1=1, axis2=2)
        hessian = (
            hessian
            + np.einsum("ij,klji->kl", inverse, m2[:, :, :p, :p])
            - np.einsum("kij,lji->kl", turned, turned)
        )
    return Fitted(criterion, gradient, hessian, coefficients, inverse * rest / df, rest / df)


def effects_at(blocks: Blocks, d: Array, coefficients: Array) -> tuple[Array, Array]:
    """Each group's most likely effects, and their conditional variance beside the errors' one.

    Returns:
        Shapes (groups, q) and (groups, q, q).
    """
    v = np.append(-coefficients, 1.0)
    left = np.linalg.solve(np.eye(len(d)) + blocks.within @ d, (blocks.crossed @ v)[..., None])[..., 0]
    spread = d @ np.linalg.inv(np.eye(len(d)) + blocks.within @ d)
    return left @ d, spread


@dataclass(frozen=True)
class Root:
    """A lower triangular root of D, as its entries by rows; the search moves in these."""

    entries: Array
    q: int

    @staticmethod
    def diagonal(value: float, q: int) -> Root:
        """The same value on the whole diagonal."""
        matrix = np.eye(q) * value
        return Root(matrix[np.tril_indices(q)], q)

    @property
    def matrix(self) -> Array:
        """The triangle."""
        result = np.zeros((self.q, self.q))
        result[np.tril_indices(self.q)] = self.entries
        return result

    @property
    def d(self) -> Array:
        """D itself."""
        matrix = self.matrix
        result: Array = matrix @ matrix.T
        return result

    def moved(self, direction: Array, share: float) -> Root:
        """The root a share of a direction further."""
        return Root(self.entries + share * direction, self.q)

    def step(self, fitted: Fitted) -> tuple[Array, float]:
        """Newton's direction in the root's entries, and the fall of the criterion that it promises."""
        lower = np.tril_indices(self.q)
        matrix = self.matrix
        units = []
        for i, j in zip(*lower, strict=True):
            unit = np.zeros((self.q, self.q))
            unit[i, j] = 1.0
            units.append(unit)
        turn = np.array([(u @ matrix.T + matrix @ u.T)[lower] for u in units]).T
        bend = np.array([[(u @ w.T + w @ u.T)[lower] @ fitted.gradient for w in units] for u in units])
        gradient = turn.T @ fitted.gradient
        values, vectors = np.linalg.eigh(turn.T @ fitted.hessian @ turn + bend)
        # Where the criterion bends down, go downhill all the same.
        values = np.maximum(np.abs(values), 1e-8 * max(float(np.abs(values).max()), 1e-300))
        along = vectors.T @ gradient
        direction: Array = -(vectors @ (along / values))
        return direction, float(along @ (along / values)) / 2
