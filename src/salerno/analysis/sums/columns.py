"""Columns of a view as numbers, categories and conditions; aggregated rows as arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from typing import Any

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from salerno.analysis.questions import HOLDER, Event, Factor
from salerno.catalogue.model import Datatype, Variable
from salerno.kernel.errors import Invalid

_LARGEST = 1e300


def real(value: float) -> ir.FloatingScalar:
    """A number as a double in SQL, where a bare literal would be a decimal; its text is exact."""
    return ibis.literal(repr(float(value))).cast("float64")


def as_number(view: ir.Table, variable: Variable) -> ir.FloatingValue:
    """A numeric column as double, booleans as 0 and 1; missing stays missing."""
    column = view[variable.name]
    if variable.datatype is Datatype.BOOLEAN:
        # PostgreSQL has no cast from boolean to double.
        return ibis.cases((column, real(1)), (~column, real(0)))
    return column if column.type().is_float64() else column.cast("float64")


def is_present(view: ir.Table, variable: Variable) -> ir.BooleanValue:
    """Whether a row has a value; not-a-number and infinite values are missing."""
    column = view[variable.name]
    if column.type().is_floating():
        # One comparison drops null, NaN (greater than any number, or unequal to all) and infinity. Of the
        # absolute value: bounds of the plain one DuckDB takes for proved by a Parquet file's own statistics,
        # which pass over NaN.
        return column.abs() <= _LARGEST
    return column.notnull()


def is_yes_no(variable: Variable) -> bool:
    """Whether a column has two values by its type or levels, so that its mean is a share of persons."""
    return variable.datatype is Datatype.BOOLEAN or variable.levels == ("0", "1")


def is_listed(view: ir.Table, factor: Factor) -> ir.BooleanValue:
    """Whether a row's value is one of the factor's agreed levels."""
    return view[factor.column].isin(list(factor.values))


def is_unlisted(view: ir.Table, factor: Factor) -> ir.BooleanValue:
    """Whether a row has a value that is none of the agreed levels."""
    column = view[factor.column]
    return column.notnull() & column.notin(list(factor.values))


def is_event(view: ir.Table, event: Event) -> ir.BooleanValue:
    """Whether a row's time ended with an event."""
    return view[event.column].isin(list(event.codes))


def holder_of(view: ir.Table) -> str:
    """The holder's own name: the one value of the column ``holder``, which every view has as a constant.

    Raises:
        Invalid: The column is no constant of the view.
    """
    node = view.op()
    value = node.values.get(HOLDER) if isinstance(node, ops.Project) else None
    if not isinstance(value, ops.Literal):
        raise Invalid("local-failed", "The view does not say whose it is")
    return str(value.value)


def every(conditions: Iterable[ir.BooleanValue]) -> ir.BooleanValue:
    """All conditions at once; true when there are none."""
    listed = list(conditions)
    return reduce(lambda left, right: left & right, listed) if listed else ibis.literal(True)


def some(conditions: Iterable[ir.BooleanValue]) -> ir.BooleanValue:
    """At least one condition; false when there are none."""
    listed = list(conditions)
    return reduce(lambda left, right: left | right, listed) if listed else ibis.literal(False)


def keys_of(
    view: ir.Table, factors: Sequence[Factor], complete: ir.BooleanValue | None = None
) -> dict[str, ir.Value]:
    """Grouping keys ``key0``, ``key1``, …; null in all of them for rows that are not complete."""
    keys: dict[str, ir.Value] = {}
    for position, factor in enumerate(factors):
        column = view[factor.column]
        keys[f"key{position}"] = column if complete is None else complete.ifelse(column, ibis.null())
    return keys


def cells_of(table: pa.Table, factors: Sequence[Factor]) -> NDArray[np.int64]:
    """Cell number of each aggregated row, in row-major order of the factors' levels; -1 for null keys."""
    cells = np.zeros(table.num_rows, dtype=np.int64)
    outside = np.zeros(table.num_rows, dtype=bool)
    for position, factor in enumerate(factors):
        place = {value: number for number, value in enumerate(factor.values)}
        codes = np.array(
            [place.get(_plain(value), -1) for value in table[f"key{position}"].to_pylist()], dtype=np.int64
        ).reshape(table.num_rows)
        outside |= codes < 0
        cells = cells * len(factor.levels) + np.maximum(codes, 0)
    cells[outside] = -1
    return cells


def integers(table: pa.Table, name: str) -> NDArray[np.int64]:
    """A column of counts; an empty sum counts as zero."""
    column = table[name]
    if pa.types.is_decimal(column.type):  # PostgreSQL's sum of whole numbers
        return np.array([int(value or 0) for value in column.to_pylist()], dtype=np.int64)
    return np.asarray(pc.fill_null(column.cast(pa.int64()), 0).to_numpy(), dtype=np.int64)


def flags(table: pa.Table, name: str) -> NDArray[np.bool_]:
    """A column of truth values."""
    return np.asarray(pc.fill_null(table[name], False).to_numpy(), dtype=np.bool_)


def doubles(table: pa.Table, name: str) -> NDArray[np.float64]:
    """A column of sums; the sum over no rows is zero."""
    values = table[name].to_pylist() if pa.types.is_decimal(table[name].type) else table[name].to_numpy()
    return np.nan_to_num(np.asarray(values, dtype=np.float64), nan=0.0)


def matrix(table: pa.Table, names: Sequence[str]) -> NDArray[np.float64]:
    """Several columns of sums side by side, shape (rows, names)."""
    if not names:
        return np.zeros((table.num_rows, 0))
    return np.column_stack([doubles(table, name) for name in names])


def scatter(cells: NDArray[np.int64], values: NDArray[Any], n_cells: int) -> NDArray[Any]:
    """Aggregated rows at their cells, zero elsewhere; rows outside (-1) are left out."""
    result = np.zeros((n_cells, *values.shape[1:]), dtype=values.dtype)
    inside = cells >= 0
    np.add.at(result, cells[inside], values[inside])
    return result


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, float) or type(value).__name__ == "Decimal" else value
