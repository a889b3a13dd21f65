"""Sums over rows by numpy, in blocks that fit the processor's cache, for the embedded engine: the plan.

A round of a regression is some dozens of sums of products of the same few columns. DuckDB makes each product
a vector of its own and needs three to four times as long as numpy does with a block of rows that stays in the
cache. So where an aggregate is of that kind, DuckDB only reads the rows, and the rest of the same Ibis
expression is evaluated by `salerno.holdings.engine.blocks`. What is not of that kind (other operations,
missing values after the filter, many groups) stays with the engine; the sums are the same up to the order of
addition.

Sums of products are one product of two matrices, and so is a linear predictor: all of a block that they are
made of lies in the rows of one array, first what stands on the left of a product only, then what stands on
both sides, then what stands on the right only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from salerno.holdings.engine.operations import (
    FUNCTIONS,
    IN_PLACE,
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

_FEWEST_SUMS = 6
_FEWEST_TERMS = 3
_WASTE = 6  # products of a matrix that nobody asked for cost this much less than those by themselves


@dataclass(frozen=True)
class Step:
    """One operation: its arguments and its result are places in a list of vectors.

    Args:
        into: Type of the result where it is written into given memory.
    """

    compute: Callable[..., Vector]
    arguments: tuple[int, ...]
    target: int
    into: np.dtype[Any] | None = None


@dataclass(frozen=True)
class Weighted:
    """A sum of vectors, each times a number; both are places."""

    vectors: tuple[int, ...]
    numbers: tuple[int, ...]
    target: int

    @property
    def arguments(self) -> tuple[int, ...]:
        """What it is made of."""
        return (*self.vectors, *self.numbers)


@dataclass(frozen=True)
class Total:
    """One metric: a sum of products of two real vectors, of a whole one, the number of rows, or a constant.

    Args:
        places: The vectors; none for a number of rows or a constant.
        real: Whether it is told as a double.
    """

    places: tuple[int, ...]
    real: bool
    constant: int | float | None = None


@dataclass(frozen=True)
class Matrix:
    """Which vectors are the rows of the array that products are taken of.

    Args:
        rows: Place of each row.
        left: How many of them, from the first, stand on the left.
        right: The first that stands on the right; so do all after it.
        whole: Whether all products of left and right are taken at once, and not only those asked for.
    """

    rows: tuple[int, ...]
    left: int
    right: int
    whole: bool


@dataclass(frozen=True)
class Plan:
    """An aggregate, split into what the engine reads and what is summed here.

    Args:
        rows: Columns to be read.
        filter: What must hold for each row, and has not been asked of the engine.
        conditions: Its places.
        checks: Steps that the conditions need, in order.
        steps: Steps that the sums need, in order.
        constants: Values by place.
        parameters: Places of numbers that are given with each computation.
        columns: Place of each column of `rows`.
        groups: Place of each key.
        totals: The metrics.
        size: Number of places.
        schema: Of the result: keys, then metrics.
    """

    rows: ir.Table
    filter: tuple[ops.Node, ...]
    conditions: tuple[int, ...]
    checks: tuple[Step | Weighted, ...]
    steps: tuple[Step | Weighted, ...]
    constants: Mapping[int, Any]
    parameters: Mapping[ops.Node, int]
    columns: Mapping[str, int]
    groups: tuple[int, ...]
    totals: tuple[Total, ...]
    matrix: Matrix
    size: int
    schema: pa.Schema


def plans(expression: ir.Table) -> tuple[Plan, ...]:
    """How to compute an aggregate this way, the cheapest first; none where it is better left to the engine.

    The first reads all rows, and is for those which all meet the filter: these need no copy of the rows that
    are left, and share what is read with sums over all rows. The second has the engine filter.
    """
    top = expression.op()
    if not isinstance(top, ops.Aggregate):
        return ()
    if sum(isinstance(m, ops.Sum) and m.dtype.is_floating() for m in top.metrics.values()) < _FEWEST_SUMS:
        return ()
    found = []
    for through in (True, False):
        try:
            found.append(_plan(expression, through=through))
        except NotVectors:
            continue
    return tuple(found[:1] if found and not found[0].conditions else found)


def met(table: ir.Table, condition: ir.BooleanValue) -> Plan | None:
    """How to find out whether all rows meet a condition; None where the engine must be asked."""
    kept = table.filter(condition)
    try:
        plan = _plan(kept.aggregate(n=kept.count()), through=True)
    except NotVectors:
        return None
    return plan if plan.conditions else None


def _plan(expression: ir.Table, *, through: bool) -> Plan:
    top = expression.op()
    source, filters = _source(top.parent, through=through)
    maker = _Maker(source)
    conditions = tuple(maker.place(condition) for condition in filters)
    groups = tuple(maker.place(key) for key in top.groups.values())
    totals = tuple(maker.total(metric) for metric in top.metrics.values())
    if not maker.columns:
        raise NotVectors
    return Plan(
        rows=maker.table.select(*sorted(maker.columns)),
        filter=filters,
        conditions=conditions,
        checks=_needed(maker.steps, conditions),
        steps=_needed(maker.steps, [*groups, *(place for total in totals for place in total.places)]),
        constants=maker.constants,
        parameters=maker.parameters,
        columns=maker.columns,
        groups=groups,
        totals=totals,
        matrix=_matrix([total.places for total in totals if len(total.places) == 2]),
        size=maker.size,
        schema=expression.schema().to_pyarrow(),
    )


def _source(relation: ops.Relation, *, through: bool) -> tuple[ops.Relation, tuple[ops.Value, ...]]:
    """The relation that a given one is made of, and the conditions on its rows."""
    filters: list[ops.Value] = []
    while isinstance(relation, ops.Project) or (through and isinstance(relation, ops.Filter)):
        if isinstance(relation, ops.Filter):
            filters.extend(relation.predicates)
        relation = relation.parent
    if not isinstance(relation, (ops.Filter, ops.PhysicalTable)):
        raise NotVectors
    return relation, tuple(filters)


def _needed(steps: Sequence[Step | Weighted], wanted: Iterable[int]) -> tuple[Step | Weighted, ...]:
    """The steps that lead to some places."""
    needed, found = set(wanted), []
    for step in reversed(steps):
        if step.target in needed:
            needed.update(step.arguments)
            found.append(step)
    return tuple(reversed(found))


def _matrix(products: Sequence[tuple[int, ...]]) -> Matrix:
    left, right = (dict.fromkeys(product[side] for product in products) for side in (0, 1))
    first = [place for place in left if place not in right]
    both = [place for place in left if place in right]
    last = [place for place in right if place not in left]
    return Matrix(
        rows=(*first, *both, *last),
        left=len(left),
        right=len(first),
        whole=len(left) * len(right) <= _WASTE * len(products),
    )


class _Maker:
    """Turns expressions into steps over a relation's columns, each distinct expression once."""

    def __init__(self, source: ops.Relation) -> None:
        self.source = source
        self.table = source.to_expr()
        self.steps: list[Step | Weighted] = []
        self.constants: dict[int, Any] = {}
        self.parameters: dict[ops.Node, int] = {}
        self.columns: dict[str, int] = {}
        self.size = 0
        self._places: dict[ops.Value, int] = {}
        self._one: int | None = None

    def total(self, metric: ops.Value) -> Total:
        """A metric."""
        real = metric.dtype.is_floating()
        while isinstance(metric, ops.Cast) and isinstance(metric.arg, (ops.Cast, ops.Sum, ops.CountStar)):
            metric = metric.arg
        if isinstance(metric, (ops.Literal, ops.Cast)):
            place = self.place(metric)
            if place not in self.constants:
                raise NotVectors
            return Total((), real, self.constants[place])
        if isinstance(metric, (ops.Sum, ops.CountStar)) and metric.where is None:
            if isinstance(metric, ops.CountStar):
                return Total((), real)
            summed = metric.arg
            while isinstance(summed, ops.Field) and isinstance(summed.rel, ops.Project):
                summed = summed.rel.values[summed.name]
            if isinstance(summed, ops.Multiply) and summed.dtype.is_floating():
                return Total((self.place(summed.left), self.place(summed.right)), True)
            return Total((self.place(summed), self._ones()) if real else (self.place(summed),), real)
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
                return self._field(node)
            kind = self.table[node.name].type()
            if not (kind.is_float64() or kind.is_integer() or kind.is_boolean() or kind.is_string()):
                raise NotVectors
            self.columns[node.name] = self._new()
            return self.columns[node.name]
        if isinstance(node, ops.Literal):
            if node.value is None:
                raise NotVectors
            return self._constant(node.value)
        if isinstance(node, ops.ScalarParameter):
            self.parameters[node] = self._new()
            return self.parameters[node]
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
        if isinstance(node, ops.Add) and (found := self._weighted(node)) is not None:
            return found
        known = FUNCTIONS.get(type(node))
        if known is None:
            raise NotVectors
        places = [self.place(value) for value in node.args if isinstance(value, ops.Value)]
        in_place = isinstance(known, np.ufunc) or type(node) in IN_PLACE
        return self._step(known, *places, into=_dtype(node) if in_place else None)

    def _field(self, node: ops.Field) -> int:
        """A column of a relation between the source and the sums."""
        if isinstance(node.rel, ops.Project):
            return self.place(node.rel.values[node.name])
        if isinstance(node.rel, ops.Filter):
            return self.place(ops.Field(node.rel.parent, node.name))
        raise NotVectors

    def _weighted(self, node: ops.Add) -> int | None:
        """A chain of additions with several vectors times a number, as in a linear predictor."""
        pairs: list[tuple[int, int]] = []
        others: list[ops.Value] = []
        for addend in _addends(node):
            pair = self._times_number(addend)
            if pair is None:
                others.append(addend)
            else:
                pairs.append(pair)
        if len(pairs) < _FEWEST_TERMS or not node.dtype.is_floating():
            return None
        vectors, numbers = zip(*pairs, strict=True)
        last = self._new()
        self.steps.append(Weighted(vectors, numbers, last))
        for other in others:
            last = self._step(np.add, last, self.place(other), into=_dtype(node))
        return last

    def _times_number(self, node: ops.Value) -> tuple[int, int] | None:
        if not isinstance(node, ops.Multiply):
            return None
        left, right = self.place(node.left), self.place(node.right)
        if self._is_number(right):
            return left, right
        return (right, left) if self._is_number(left) else None

    def _is_number(self, place: int) -> bool:
        return place in self.constants or place in self.parameters.values()

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
        self.steps.append(Step(function, places, target, into))
        return target

    def _ones(self) -> int:
        if self._one is None:
            self._one = self._constant(1.0)
        return self._one

    def _constant(self, value: Any) -> int:
        place = self._new()
        self.constants[place] = value
        return place

    def _new(self) -> int:
        self.size += 1
        return self.size - 1


def _addends(node: ops.Value) -> list[ops.Value]:
    """What a chain of additions adds, from left to right."""
    found: list[ops.Value] = []
    while isinstance(node, ops.Add):
        found.append(node.right)
        node = node.left
    return [node, *reversed(found)]


def _is_null(node: ops.Value) -> bool:
    while isinstance(node, ops.Cast):
        node = node.arg
    return isinstance(node, ops.Literal) and node.value is None


def _dtype(node: ops.Value) -> np.dtype[Any]:
    kind: dt.DataType = node.dtype
    if kind.is_floating():
        return np.dtype(np.float64)
    if kind.is_integer():
        return np.dtype(np.int64)
    if kind.is_boolean():
        return np.dtype(np.bool_)
    raise NotVectors
