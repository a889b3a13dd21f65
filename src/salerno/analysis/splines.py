"""Spline bases as polynomials by interval, so that any engine can compute them; equal to R's ``splines``.

Each interval's polynomial is written about the interval's own start, which keeps it well conditioned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Piece:
    """A curve below a bound: ``c0 + c1 u + c2 u² + …`` with ``u = x - origin``.

    Args:
        end: Where the next piece begins; infinite for the last one.
    """

    end: float
    origin: float
    coefficients: tuple[float, ...]


Curve = tuple[Piece, ...]
"""A function of one number, by rising intervals."""


def b_spline(knots: Sequence[float], boundary: tuple[float, float], degree: int) -> tuple[Curve, ...]:
    """The columns of R's ``bs(x, knots=, degree=, Boundary.knots=)``, without the first B-spline.

    Beyond the boundary the outermost polynomials go on.

    Args:
        knots: Interior knots, rising, inside the boundary.
        boundary: Boundary knots.
        degree: Of the polynomials, >= 1.

    Source:
        de Boor, A Practical Guide to Splines, 1978, ch. X.
    """
    starts, table = _polynomials(knots, boundary, degree)
    ends = [*starts[1:], inf]
    return tuple(
        tuple(
            Piece(end, start, tuple(row)) for end, start, row in zip(ends, starts, rows.tolist(), strict=True)
        )
        for rows in table[1:]
    )


def natural_spline(knots: Sequence[float], boundary: tuple[float, float]) -> tuple[Curve, ...]:
    """The columns of R's ``ns(x, knots=, Boundary.knots=)``: cubic inside the boundary and straight outside.

    Source:
        Hastie, in Chambers and Hastie, Statistical Models in S, 1992, ch. 7; the combinations of B-splines
        are those of R, by Householder reflections.
    """
    starts, table = _polynomials(knots, boundary, 3)
    table = table[1:]
    width = boundary[1] - starts[-1]
    curvature = np.column_stack(
        [2 * table[:, 0, 2], 2 * table[:, -1, 2] + 6 * width * table[:, -1, 3]]
    )  # at either boundary
    rotation = np.linalg.qr(curvature, mode="complete").Q[:, 2:]
    table = np.einsum("ijk,in->njk", table, rotation)
    curves = []
    for rows in table:
        value = float(np.polyval(rows[-1, ::-1], width))
        slope = float(np.polyval(np.polyder(rows[-1, ::-1]), width))
        inside = zip([*starts[1:], boundary[1]], starts, rows.tolist(), strict=True)
        curves.append(
            (
                Piece(boundary[0], boundary[0], (float(rows[0, 0]), float(rows[0, 1]))),
                *(Piece(end, start, tuple(row)) for end, start, row in inside),
                Piece(inf, boundary[1], (value, slope)),
            )
        )
    return tuple(curves)


def power(degree: int) -> Curve:
    """A power of the number itself."""
    return (Piece(inf, 0.0, (*[0.0] * degree, 1.0)),)


def height(curve: Curve, x: float) -> float:
    """A curve's value at a number."""
    piece = next(piece for piece in curve if x < piece.end)
    return float(np.polyval(piece.coefficients[::-1], x - piece.origin))


def _polynomials(
    knots: Sequence[float], boundary: tuple[float, float], degree: int
) -> tuple[list[float], Array]:
    """B-splines of a degree over the intervals between knots.

    Returns:
        Starts of the intervals, and coefficients by rising power, shape (splines, intervals, degree + 1).
    """
    breaks = [boundary[0], *knots, boundary[1]]
    padded = [*[boundary[0]] * degree, *breaks, *[boundary[1]] * degree]
    starts = breaks[:-1]
    table = np.zeros((len(padded) - 1, len(starts), degree + 1))
    for j in range(len(starts)):
        table[degree + j, j, 0] = 1.0
    for order in range(1, degree + 1):
        following = np.zeros((len(padded) - 1 - order, *table.shape[1:]))
        for i in range(len(following)):
            rise, fall = padded[i + order] - padded[i], padded[i + order + 1] - padded[i + 1]
            for j, start in enumerate(starts):
                if rise > 0:
                    following[i, j] += _times(table[i, j], (start - padded[i]) / rise, 1 / rise)
                if fall > 0:
                    left = (padded[i + order + 1] - start) / fall
                    following[i, j] += _times(table[i + 1, j], left, -1 / fall)
        table = following
    return starts, table


def _times(coefficients: Array, constant: float, slope: float) -> Array:
    """A polynomial times ``constant + slope u``; its highest coefficient is zero before."""
    result = coefficients * constant
    result[1:] += coefficients[:-1] * slope
    return result
