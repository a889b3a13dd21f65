"""Sums over rows by numpy: a plan of `salerno.holdings.engine.vectors`, carried out block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import ibis.expr.operations as ops
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from salerno.holdings.engine.operations import Coded, NotVectors, Unmet, Vector
from salerno.holdings.engine.vectors import Plan, Step, Total, Weighted

_BLOCK = 8_192
_MOST_GROUPS = 256
_ALONE, _FEWEST = 2**18, 256  # OpenBLAS takes several threads for more products than the first


@dataclass(frozen=True)
class Columns:
    """Some rows, column by column, as numpy computes with them.

    Args:
        vectors: By name.
        size: How many rows there are.
    """

    vectors: Mapping[str, Vector]
    size: int

    @property
    def nbytes(self) -> int:
        """Their memory."""
        arrays = (v.codes if isinstance(v, Coded) else v for v in self.vectors.values())
        return sum(array.nbytes for array in arrays)


def columns_of(batch: pa.RecordBatch) -> Columns:
    """Rows as the engine gives them.

    Raises:
        Unmet: A value is missing.
    """
    return Columns({name: _vector(batch[name]) for name in batch.schema.names}, batch.num_rows)


def compute(
    plan: Plan, rows: Iterable[Columns], numbers: Mapping[ops.Node, float], *, check: bool = True
) -> pa.Table:
    """The aggregated rows.

    Args:
        plan: What to compute.
        rows: Those of `plan.rows`.
        numbers: Value of each parameter.
        check: Whether it is not known yet that all rows meet the plan's conditions.

    Raises:
        Unmet: A row does not.
        NotVectors: A function has no value somewhere, a sum is infinite, or there are many groups.
    """
    totals: dict[tuple[Any, ...], _Sums] = {}
    work = _Work(plan, numbers, check=check)
    for columns in rows:
        vectors = {plan.columns[name]: vector for name, vector in columns.vectors.items()}
        for start in range(0, columns.size, _BLOCK):
            size = min(_BLOCK, columns.size - start)
            block = {place: _cut(vector, start, start + size) for place, vector in vectors.items()}
            for key, sums in work.sums(block, size):
                totals[key] = totals[key].plus(sums) if key in totals else sums
            if len(totals) > _MOST_GROUPS:
                raise NotVectors
    lines = [(*key, *_told(plan.totals, sums)) for key, sums in totals.items()]
    if not totals and not plan.groups:
        lines = [tuple(None if total.places else (total.constant or 0) for total in plan.totals)]
    columns_out = list(zip(*lines, strict=True)) if lines else [()] * len(plan.schema)
    arrays = [pa.array(c, type=field.type) for field, c in zip(plan.schema, columns_out, strict=True)]
    return pa.Table.from_arrays(arrays, schema=plan.schema)


@dataclass(frozen=True)
class _Sums:
    """Sums over some rows: of the products, of the whole vectors, and how many rows there are."""

    real: NDArray[np.float64]
    whole: tuple[int, ...]
    size: int

    def plus(self, other: _Sums) -> _Sums:
        """Over the rows of both."""
        whole = tuple(a + b for a, b in zip(self.whole, other.whole, strict=True))
        return _Sums(self.real + other.real, whole, self.size + other.size)


def _told(totals: Iterable[Total], sums: _Sums) -> list[Any]:
    """The metrics in their order."""
    if not np.isfinite(sums.real).all():
        raise NotVectors
    real, whole = iter(sums.real.tolist()), iter(sums.whole)
    told: list[Any] = []
    for total in totals:
        if total.places:
            told.append(next(real if len(total.places) == 2 else whole))
        else:
            told.append(sums.size if total.constant is None else total.constant)
    return told


_Run = tuple[Callable[..., Vector], tuple[int, ...], int, NDArray[Any] | None]
"""A step, ready to run: function, places of arguments, place of the result, and memory for it."""


class _Work:
    """Runs a plan's steps over one block after the other, in the same memory."""

    def __init__(self, plan: Plan, numbers: Mapping[ops.Node, float], *, check: bool) -> None:
        self._plan = plan
        self._conditions = plan.conditions if check else ()
        matrix = plan.matrix
        self._rows = np.zeros((len(matrix.rows), _BLOCK))
        self._row = {place: self._rows[number] for number, place in enumerate(matrix.rows)}
        self._vectors: list[Vector] = [plan.constants.get(place) for place in range(plan.size)]
        for parameter, place in plan.parameters.items():
            self._vectors[place] = float(numbers[parameter])
        for place, row in self._row.items():
            if isinstance(self._vectors[place], (int, float)):
                row[:] = self._vectors[place]
        number = {place: i for i, place in enumerate(matrix.rows)}
        products = [total.places for total in plan.totals if len(total.places) == 2]
        self._pairs = [(number[a], number[b]) for a, b in products]
        self._left = np.array([a for a, _ in self._pairs], dtype=np.int64)
        self._right = np.array([b for _, b in self._pairs], dtype=np.int64) - matrix.right
        self._whole = [total.places[0] for total in plan.totals if len(total.places) == 1]
        steps = {step.target: step for step in (*(plan.checks if check else ()), *plan.steps)}
        # A place's number tells when it was made: what it is made of came before it.
        self._steps = [self._ready(steps[target]) for target in sorted(steps)]

    def _ready(self, step: Step | Weighted) -> _Run:
        if isinstance(step, Weighted):
            return self._weighted(step)
        if step.into is None:
            return step.compute, step.arguments, step.target, None
        room = self._row.get(step.target) if step.into == np.float64 else None
        room = np.empty(_BLOCK, step.into) if room is None else room
        return step.compute, step.arguments, step.target, room

    def _weighted(self, step: Weighted) -> _Run:
        room = self._row.get(step.target)
        room = np.empty(_BLOCK) if room is None else room
        numbers = [self._vectors[place] for place in step.numbers]
        right = self._plan.matrix.rows[self._plan.matrix.right :]
        if not set(step.vectors) <= set(right):
            return _combination(numbers), step.vectors, step.target, room
        weights, rows = np.zeros(len(right)), self._rows[self._plan.matrix.right :]
        for place, value in zip(step.vectors, numbers, strict=True):
            weights[right.index(place)] += value

        def product(out: NDArray[np.float64]) -> Vector:
            return np.einsum("r,rb->b", weights, rows[:, : len(out)], out=out)

        return product, (), step.target, room

    def sums(self, block: Mapping[int, Vector], size: int) -> Iterator[tuple[tuple[Any, ...], _Sums]]:
        """The sums by group."""
        try:
            with np.errstate(all="ignore"):
                self._run(block, size)
        except (TypeError, ValueError):
            raise NotVectors from None  # texts where numbers should be, or types that numpy keeps apart
        vectors = self._vectors
        whole = [vectors[place] for place in self._whole]
        rows = self._rows[:, :size]
        if not self._plan.groups:
            yield (), self._sum(rows, whole, size)
            return
        keys = [_coded(vectors[place], size) for place in self._plan.groups]
        cells = np.zeros(size, dtype=np.int64)
        for key in keys:
            cells = cells * len(key.values) + key.codes
        order = np.argsort(cells.astype(np.int16) if np.all(cells < 2**15) else cells, kind="stable")
        cells = cells[order]
        starts = np.flatnonzero(np.r_[True, cells[1:] != cells[:-1]])
        if len(starts) > _MOST_GROUPS:
            raise NotVectors
        rows = rows.take(order, axis=1)
        whole = [v[order] if isinstance(v, np.ndarray) and v.ndim else v for v in whole]
        for start, stop in zip(starts.tolist(), [*starts[1:].tolist(), size], strict=True):
            cell, levels = int(cells[start]), []
            for key in reversed(keys):
                cell, code = divmod(cell, len(key.values))
                levels.append(key.values[code])
            part = [v[start:stop] if isinstance(v, np.ndarray) and v.ndim else v for v in whole]
            yield tuple(reversed(levels)), self._sum(rows[:, start:stop], part, stop - start)

    def _run(self, block: Mapping[int, Vector], size: int) -> None:
        vectors = self._vectors
        for place, vector in block.items():
            vectors[place] = vector
            if place in self._row:
                self._row[place][:size] = _plain(vector)
        for function, arguments, target, room in self._steps:
            given = [vectors[place] for place in arguments]
            if room is None:
                vectors[target] = function(*given)
            else:
                vectors[target] = function(*given, out=room[:size])
            row = self._row.get(target)
            if row is not room and row is not None:
                row[:size] = _plain(vectors[target])
        if not all(np.all(vectors[place]) for place in self._conditions):
            raise Unmet

    def _sum(self, rows: NDArray[np.float64], whole: Iterable[Vector], size: int) -> _Sums:
        matrix = self._plan.matrix
        if matrix.whole:
            real = _product(rows[: matrix.left], rows[matrix.right :])[self._left, self._right]
        else:
            real = np.array([rows[a] @ rows[b] for a, b in self._pairs], dtype=np.float64)
        return _Sums(real, tuple(_whole(vector, size) for vector in whole), size)


def _product(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """All products of rows of two matrices, by one thread: several would mostly wait for each other."""
    width = max(_ALONE // max(len(left) * len(right), 1), _FEWEST)
    found = left[:, :width] @ right[:, :width].T
    for start in range(width, left.shape[1], width):
        found += left[:, start : start + width] @ right[:, start : start + width].T
    return found


def _combination(numbers: list[float]) -> Callable[..., Vector]:
    """A weighted sum of vectors one after the other."""

    def combined(*vectors: Vector, out: NDArray[np.float64]) -> Vector:
        np.multiply(vectors[0], numbers[0], out=out)
        for vector, number in zip(vectors[1:], numbers[1:], strict=True):
            out += np.multiply(vector, number)
        return out

    return combined


def _whole(vector: Vector, size: int) -> int:
    if isinstance(vector, Coded):
        raise NotVectors
    if not (isinstance(vector, np.ndarray) and vector.ndim):
        return int(vector * size)
    return int(np.count_nonzero(vector) if vector.dtype == np.bool_ else vector.sum())


def _plain(vector: Vector) -> Vector:
    if isinstance(vector, Coded):
        raise NotVectors
    return vector


def _vector(column: pa.Array) -> Vector:
    if column.null_count:
        raise Unmet
    kind = column.type
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return column.to_numpy(zero_copy_only=False)
    coded = pc.dictionary_encode(column)
    return Coded(coded.indices.to_numpy(), tuple(coded.dictionary.to_pylist()))


def _cut(vector: Vector, start: int, stop: int) -> Vector:
    if isinstance(vector, Coded):
        return Coded(vector.codes[start:stop], vector.values)
    return vector[start:stop]


def _coded(value: Vector, size: int) -> Coded:
    """A key as codes."""
    if isinstance(value, Coded):
        return value
    found, codes = np.unique(np.broadcast_to(np.asarray(value), (size,)), return_inverse=True)
    return Coded(codes.astype(np.int64), tuple(found.tolist()))
