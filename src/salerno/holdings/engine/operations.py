"""The operations that `salerno.holdings.engine.vectors` knows, as numpy computes them on a block of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ibis.expr.operations as ops
import numpy as np
from numpy.typing import NDArray


class NotVectors(Exception):
    """The expression, or what it comes to on these data, is not for this way."""


class Unmet(NotVectors):
    """The rows are not for this way: some have no value, or do not meet the filter."""


@dataclass(frozen=True)
class Coded:
    """A column as codes into its distinct values."""

    codes: NDArray[np.integer[Any]]
    values: tuple[Any, ...]

    def among(self, wanted: Iterable[Any]) -> NDArray[np.bool_]:
        """Which rows have one of some values."""
        listed = set(wanted)
        table = np.array([value in listed for value in self.values], dtype=bool)
        return table[self.codes] if len(table) else np.zeros(len(self.codes), dtype=bool)


Vector = Any
"""A numpy array, a single value for all rows, or `Coded`."""


def as_real(value: Vector) -> Vector:
    """Numbers as doubles."""
    if isinstance(value, (Coded, str)):
        raise NotVectors
    return np.asarray(value, dtype=np.float64)


def as_whole(value: Vector) -> Vector:
    """Whole numbers and booleans as integers."""
    if isinstance(value, (Coded, str)):
        raise NotVectors
    return np.asarray(value, dtype=np.int64)


def _divide(above: Vector, below: Vector, out: Any = None) -> Vector:
    if not np.all(below):
        raise NotVectors
    return np.true_divide(above, below, out=out)


def _logarithm(value: Vector, out: Any = None) -> Vector:
    if not np.min(value, initial=1.0) > 0:  # nor where it is no number
        raise NotVectors
    return np.log(value, out=out)


def _root(value: Vector, out: Any = None) -> Vector:
    if not np.min(value, initial=0.0) >= 0:
        raise NotVectors
    return np.sqrt(value, out=out)


def _power(base: Vector, exponent: Vector) -> Vector:
    return np.power(np.asarray(base, dtype=np.float64), exponent)


def _equals(left: Vector, right: Vector) -> Vector:
    if isinstance(left, Coded) and isinstance(right, str):
        return left.among([right])
    if isinstance(right, Coded) and isinstance(left, str):
        return right.among([left])
    if isinstance(left, (Coded, str)) or isinstance(right, (Coded, str)):
        raise NotVectors
    return np.equal(left, right)


def _differs(left: Vector, right: Vector) -> Vector:
    return np.logical_not(_equals(left, right))


def in_values(value: Vector, options: Sequence[Any]) -> Vector:
    """Whether each row is one of some values."""
    return value.among(options) if isinstance(value, Coded) else np.isin(value, options)


def between(value: Vector, low: Vector, high: Vector) -> Vector:
    """Whether each row lies within two bounds, these included."""
    return (value >= low) & (value <= high)


def cases(*given: Vector) -> Vector:
    """For each row the result of the first condition that holds: condition, result, …, and what else."""
    *branches, chosen = given
    if any(isinstance(value, (Coded, str)) for value in (*branches, chosen)):
        raise NotVectors
    for condition, result in zip(branches[-2::-2], branches[::-2], strict=True):
        chosen = np.where(condition, result, chosen)
    return chosen


def covering_cases(*branches: Vector) -> Vector:
    """The same where there is nothing else, and so one condition must hold for each row."""
    if np.all(branches[0]):
        return branches[1]
    if not np.all(np.logical_or.reduce(np.broadcast_arrays(*branches[::2]))):
        raise NotVectors
    return cases(*branches, 0.0)


FUNCTIONS: Mapping[type[ops.Value], Callable[..., Vector]] = {
    ops.Add: np.add,
    ops.Subtract: np.subtract,
    ops.Multiply: np.multiply,
    ops.Negate: np.negative,
    ops.Abs: np.absolute,
    ops.Exp: np.exp,
    ops.Less: np.less,
    ops.LessEqual: np.less_equal,
    ops.Greater: np.greater,
    ops.GreaterEqual: np.greater_equal,
    ops.And: np.logical_and,
    ops.Or: np.logical_or,
    ops.Not: np.logical_not,
    ops.Divide: _divide,
    ops.Ln: _logarithm,
    ops.Sqrt: _root,
    ops.Power: _power,
    ops.Equals: _equals,
    ops.NotEquals: _differs,
}
"""How each operation is evaluated; an expression with any other one stays with the engine."""

IN_PLACE = frozenset({ops.Divide, ops.Ln, ops.Sqrt})
"""Operations that write into given memory, beside numpy's own."""
