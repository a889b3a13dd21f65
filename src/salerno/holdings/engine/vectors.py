"""Sums over rows by numpy, in blocks that fit the processor's cache, for the embedded engine.

A round of a regression is some dozens of sums of products of the same few columns. DuckDB makes each product
a vector of its own and needs three to four times as long as numpy does with a block of rows that stays in the
cache. So where an aggregate is of that kind, DuckDB only reads and filters the rows, and the rest of the same
Ibis expression is evaluated here. What is not of that kind (other operations, missing values after the
filter, many groups) stays with the engine; the sums are the same up to the order of addition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from salerno.holdings.engine.operations import (
    FUNCTIONS,
    Coded,
    NotVectors,
    Vector,
    as_real,
    as_whole,
    between,
    cases,
    covering_cases,
    in_values,
)

BATCH = 65_536
"""Rows that are taken from the engine at a time."""

FEW_THREADS = 4
"""With more threads than this DuckDB's own way is done sooner, although it uses more processor time."""

_BLOCK = 8_192
_FEWEST_SUMS = 6
_MOST_GROUPS = 256


@dataclass(frozen=True)
class _Step:
    """One operation: its arguments and its result are places in a list of vectors."""

    compute: Callable[..., Vector]
    arguments: tuple[int, ...]
    target: int
    into: np.dtype[Any] | None = None


@dataclass(frozen=True)
class _Total:
    """One metric: the sum of a vector, of a product of two, the number of rows, or a constant."""

    places: tuple[int, ...]
    real: bool
    constant: int | float | None = None

    def plus(self, one: Any, other: Any) -> Any:
        """What two parts of the rows give together."""
        return one + other if self.constant is None else one


@dataclass(frozen=True)
class Plan:
    """An aggregate, split into what the engine reads and what is summed here.

    Args:
        rows: Columns to be read, filtered.
        steps: What is computed on each block, in order.
        constants: Values by place.
        columns: Place of each column of `rows`.
        groups: Place of each key.
        totals: The metrics.
        schema: Of the result: keys, then metrics.
    """

    rows: ir.Table
    steps: tuple[_Step, ...]
    constants: Mapping[int, Any]
    columns: Mapping[str, int]
    groups: tuple[int, ...]
    totals: tuple[_Total, ...]
    size: int
    schema: pa.Schema


def plan(expression: ir.Table) -> Plan | None:
    """How to compute an aggregate this way; None when it is better left to the engine."""
    top = expression.op()
    if not isinstance(top, ops.Aggregate):
        return None
    if sum(isinstance(m, ops.Sum) and m.dtype.is_floating() for m in top.metrics.values()) < _FEWEST_SUMS:
        return None
    try:
        source = _source(top.parent)
        maker = _Maker(source)
        groups = tuple(maker.place(key) for key in top.groups.values())
        totals = tuple(maker.total(metric) for metric in top.metrics.values())
    except NotVectors:
        return None
    if not maker.columns:
        return None
    return Plan(
        rows=maker.table.select(*maker.columns),
        steps=tuple(maker.steps),
        constants=maker.constants,
        columns=maker.columns,
        groups=groups,
        totals=totals,
        size=maker.size,
        schema=expression.schema().to_pyarrow(),
    )


def compute(found: Plan, batches: Iterable[pa.RecordBatch]) -> pa.Table | None:
    """The aggregated rows.

    Args:
        found: What to compute.
        batches: The rows of `found.rows`.

    Returns:
        None where the data are not for this way: a column has missing values after the filter, a function
        has no value somewhere, or there are many groups.
    """
    try:
        return _compute(found, batches)
    except NotVectors:
        return None


def _compute(found: Plan, batches: Iterable[pa.RecordBatch]) -> pa.Table:
    totals: dict[tuple[Any, ...], list[Any]] = {}
    work = _Work(found)
    for batch in batches:
        columns = {found.columns[n]: _vector(batch.column(n)) for n in batch.schema.names}
        for start in range(0, batch.num_rows, _BLOCK):
            size = min(_BLOCK, batch.num_rows - start)
            block = {place: _cut(vector, start, start + size) for place, vector in columns.items()}
            for key, values in work.sums(block, size):
                known = totals.get(key)
                if known is not None:
                    parts = zip(found.totals, known, values, strict=True)
                    values = [total.plus(one, other) for total, one, other in parts]
                totals[key] = values
            if len(totals) > _MOST_GROUPS:
                raise NotVectors
    if not totals and not found.groups:
        totals[()] = [None if total.places else (total.constant or 0) for total in found.totals]
    lines = [(*key, *values) for key, values in totals.items()]
    columns_out = list(zip(*lines, strict=True)) if lines else [()] * len(found.schema)
    arrays = [pa.array(c, type=field.type) for field, c in zip(found.schema, columns_out, strict=True)]
    return pa.Table.from_arrays(arrays, schema=found.schema)


class _Work:
    """Runs a plan's steps over one block after the other, in the same memory."""

    def __init__(self, found: Plan) -> None:
        self._plan = found
        self._vectors: list[Vector] = [found.constants.get(place) for place in range(found.size)]
        self._room = {s.target: np.empty(_BLOCK, s.into) for s in found.steps if s.into is not None}

    def sums(self, block: Mapping[int, Vector], size: int) -> Iterator[tuple[tuple[Any, ...], list[Any]]]:
        """The metrics by group."""
        self._run(block, size)
        if not self._plan.groups:
            yield (), [self._total(total, size) for total in self._plan.totals]
            return
        keys = [_coded(self._vectors[place], size) for place in self._plan.groups]
        cells = np.zeros(size, dtype=np.int64)
        for key in keys:
            cells = cells * len(key.values) + key.codes
        parts = [(cell, np.flatnonzero(cells == cell)) for cell in np.unique(cells).tolist()]
        if len(parts) > _MOST_GROUPS:
            raise NotVectors
        vectors = list(self._vectors)
        used = {place for total in self._plan.totals for place in total.places}
        for cell, rows in parts:
            for place in used:
                if isinstance(vectors[place], np.ndarray):
                    self._vectors[place] = vectors[place][rows]
            levels = []
            for key in reversed(keys):
                cell, code = divmod(cell, len(key.values))
                levels.append(key.values[code])
            yield tuple(reversed(levels)), [self._total(total, len(rows)) for total in self._plan.totals]
        self._vectors = vectors

    def _run(self, block: Mapping[int, Vector], size: int) -> None:
        vectors = self._vectors
        for place, vector in block.items():
            vectors[place] = vector
        try:
            with np.errstate(all="ignore"):
                for step in self._plan.steps:
                    given = [vectors[place] for place in step.arguments]
                    if step.into is None:
                        vectors[step.target] = step.compute(*given)
                    else:
                        vectors[step.target] = step.compute(*given, out=self._room[step.target][:size])
        except TypeError:
            raise NotVectors from None  # texts where numbers should be, or types that numpy keeps apart

    def _total(self, total: _Total, size: int) -> Any:
        if not total.places:
            return size if total.constant is None else total.constant
        values = [self._vectors[place] for place in total.places]
        if any(isinstance(value, Coded) for value in values):
            raise NotVectors
        if len(values) == 2:
            left, right = values
            if not (_is_real(left) and _is_real(right)):
                left, right = (np.broadcast_to(np.asarray(v, dtype=np.float64), (size,)) for v in values)
            return float(left @ right)
        value = values[0]
        summed = value.sum() if isinstance(value, np.ndarray) and value.ndim else value * size
        if not total.real:
            return int(summed)
        if not np.isfinite(summed):
            raise NotVectors
        return float(summed)


class _Maker:
    """Turns expressions into steps over a relation's columns, each distinct expression once."""

    def __init__(self, source: ops.Relation) -> None:
        self.source = source
        self.table = source.to_expr()
        self.steps: list[_Step] = []
        self.constants: dict[int, Any] = {}
        self.columns: dict[str, int] = {}
        self.size = 0
        self._places: dict[ops.Value, int] = {}

    def total(self, metric: ops.Value) -> _Total:
        """A metric."""
        real = metric.dtype.is_floating()
        while isinstance(metric, ops.Cast) and isinstance(metric.arg, (ops.Cast, ops.Sum, ops.CountStar)):
            metric = metric.arg
        if isinstance(metric, (ops.Literal, ops.Cast)):
            place = self.place(metric)
            if place not in self.constants:
                raise NotVectors
            return _Total((), real, self.constants[place])
        if isinstance(metric, (ops.Sum, ops.CountStar)) and metric.where is None:
            if isinstance(metric, ops.CountStar):
                return _Total((), real)
            summed = metric.arg
            while isinstance(summed, ops.Field) and isinstance(summed.rel, ops.Project):
                summed = summed.rel.values[summed.name]
            if isinstance(summed, ops.Multiply) and summed.dtype.is_floating():
                return _Total((self.place(summed.left), self.place(summed.right)), True)
            return _Total((self.place(summed),), real)
        raise NotVectors

    def place(self, node: ops.Value) -> int:
        """Where the vector of an expression will be."""
        if node not in self._places:
            place = self._make(node)
            self._places[node] = place
        return self._places[node]

    def _make(self, node: ops.Value) -> int:
        if isinstance(node, ops.Field):
            if node.rel != self.source:
                if not isinstance(node.rel, ops.Project):
                    raise NotVectors
                return self.place(node.rel.values[node.name])
            kind = self.table[node.name].type()
            if not (kind.is_float64() or kind.is_integer() or kind.is_boolean() or kind.is_string()):
                raise NotVectors
            self.columns[node.name] = self._new()
            return self.columns[node.name]
        if isinstance(node, ops.Literal):
            if node.value is None:
                raise NotVectors
            return self._constant(node.value)
        if isinstance(node, ops.Cast):
            return self._cast(node)
        if isinstance(node, ops.SearchedCase):
            return self._cases(node.cases, node.results, node.default)
        if isinstance(node, ops.IfElse):
            return self._cases((node.bool_expr,), (node.true_expr,), node.false_null_expr)
        if isinstance(node, (ops.NotNull, ops.IsNull)):
            self.place(node.arg)  # a column with missing values is not for this way
            return self._constant(isinstance(node, ops.NotNull))
        if isinstance(node, ops.Coalesce):
            return self.place(node.arg[0])
        if isinstance(node, ops.InValues):
            options = [option.value for option in node.options if isinstance(option, ops.Literal)]
            if len(options) != len(node.options):
                raise NotVectors
            return self._step(lambda vector: in_values(vector, options), self.place(node.value))
        if isinstance(node, (ops.Greatest, ops.Least)):
            function = np.maximum if isinstance(node, ops.Greatest) else np.minimum
            first, *others = (self.place(value) for value in node.arg)
            for other in others:
                first = self._step(function, first, other, into=_dtype(node))
            return first
        if isinstance(node, ops.Between):
            arguments = (node.arg, node.lower_bound, node.upper_bound)
            return self._step(between, *map(self.place, arguments))
        known = FUNCTIONS.get(type(node))
        if known is None:
            raise NotVectors
        places = [self.place(value) for value in node.args if isinstance(value, ops.Value)]
        return self._step(known, *places, into=_dtype(node) if isinstance(known, np.ufunc) else None)

    def _cast(self, node: ops.Cast) -> int:
        if isinstance(node.arg, ops.Literal) and isinstance(node.arg.value, (str, int, float)):
            return self._constant(float(node.arg.value) if node.to.is_floating() else int(node.arg.value))
        source = node.arg.dtype
        if node.to.is_float64() and source.is_numeric():
            return self._step(as_real, self.place(node.arg))
        if node.to.is_integer() and (source.is_integer() or source.is_boolean()):
            return self._step(as_whole, self.place(node.arg))
        raise NotVectors  # engines differ in how they round

    def _cases(self, when: Sequence[ops.Value], then: Sequence[ops.Value], other: ops.Value) -> int:
        """The first case that holds; a row for which none does must have another value."""
        has_other = not _is_null(other)
        branches = [value for pair in zip(when, then, strict=True) for value in pair]
        if has_other:
            branches.append(other)
        return self._step(cases if has_other else covering_cases, *map(self.place, branches))

    def _step(self, function: Callable[..., Vector], *places: int, into: Any = None) -> int:
        if into is not None and all(place in self.constants for place in places):
            return self._constant(function(*(self.constants[place] for place in places)))
        target = self._new()
        self.steps.append(_Step(function, places, target, into))
        return target

    def _constant(self, value: Any) -> int:
        place = self._new()
        self.constants[place] = value
        return place

    def _new(self) -> int:
        self.size += 1
        return self.size - 1


def _is_null(node: ops.Value) -> bool:
    while isinstance(node, ops.Cast):
        node = node.arg
    return isinstance(node, ops.Literal) and node.value is None


def _source(relation: ops.Relation) -> ops.Relation:
    """The relation that a given one is a projection of."""
    while isinstance(relation, ops.Project):
        relation = relation.parent
    if not isinstance(relation, (ops.Filter, ops.PhysicalTable)):
        raise NotVectors
    return relation


def _dtype(node: ops.Value) -> np.dtype[Any]:
    kind: dt.DataType = node.dtype
    if kind.is_floating():
        return np.dtype(np.float64)
    if kind.is_integer():
        return np.dtype(np.int64)
    if kind.is_boolean():
        return np.dtype(np.bool_)
    raise NotVectors


def _vector(column: pa.Array) -> Vector:
    if column.null_count:
        raise NotVectors
    kind = column.type
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return column.to_numpy(zero_copy_only=False)
    coded = pc.dictionary_encode(column)
    return Coded(coded.indices.to_numpy().astype(np.int64), tuple(coded.dictionary.to_pylist()))


def _is_real(vector: Vector) -> bool:
    return isinstance(vector, np.ndarray) and vector.ndim == 1 and vector.dtype == np.float64


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
