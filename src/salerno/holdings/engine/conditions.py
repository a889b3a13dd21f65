"""Row conditions as Ibis expressions, with values checked against the column's type."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from functools import reduce
from operator import or_
from typing import Any

import ibis
import ibis.expr.datatypes as dt

from salerno.kernel.errors import Invalid, near
from salerno.permits.model import Condition


def condition_expression(table: ibis.Table, condition: Condition, *, where: str) -> ibis.ir.BooleanValue:
    """One condition over a table's columns; a missing value and not-a-number never meet it.

    Args:
        table: Table or frame that has the column.
        condition: Column, operator and value.
        where: What the table is, for the error, e.g. ``the frame``.

    Raises:
        Invalid: Unknown column or operator, or a value that the column's type cannot be compared with.
    """
    column = _column(table, condition.column, where)
    met = _compared(column, condition)
    # Engines differ on whether NaN is equal to itself or greater than others; to us it is a missing value.
    return met & ~column.isnan() if isinstance(column.type(), dt.Floating) else met


def _compared(column: ibis.ir.Column, condition: Condition) -> ibis.ir.BooleanValue:
    if condition.operator == "in":
        if not isinstance(condition.value, (list, tuple)):
            raise Invalid(
                "condition-value", f"The condition on {condition.column!r} needs a list of values after 'in'"
            )
        values = [_value(column.type(), v, condition.column) for v in condition.value]
        if isinstance(column.type(), dt.Floating):  # DuckDB's IN takes -0.0 and 0.0 for two numbers
            return reduce(or_, [column == value for value in values], ibis.literal(False))
        return column.isin(values) if values else ibis.literal(False)
    value = _value(column.type(), condition.value, condition.column)
    match condition.operator:
        case "==":
            return column == value
        case "!=":
            return column != value
        case "<":
            return column < value
        case "<=":
            return column <= value
        case ">":
            return column > value
        case ">=":
            return column >= value
    raise Invalid(
        "condition-operator",
        f"{condition.operator!r} is no operator of a condition",
        remedy="Use ==, !=, <, <=, >, >= or in.",
    )


def keep_rows(
    table: ibis.Table, conditions: Sequence[Condition], *, where: str, complete: Sequence[str] = ()
) -> ibis.Table:
    """The rows that meet all conditions and have a value of each column that must be complete.

    Raises:
        Invalid: See `condition_expression`.
    """
    met = [condition_expression(table, c, where=where) for c in conditions]
    met += [_has_value(_column(table, name, where)) for name in complete]
    return table.filter(met) if met else table


def _column(table: ibis.Table, name: str, where: str) -> ibis.ir.Column:
    if name not in table.columns:
        raise Invalid("unknown-column", f"{where} has no column {name!r}", remedy=near(name, table.columns))
    return table[name]


def _has_value(column: ibis.ir.Column) -> ibis.ir.BooleanValue:
    present = column.notnull()
    return present & ~column.isnan() if isinstance(column.type(), dt.Floating) else present


def _value(datatype: dt.DataType, value: Any, column: str) -> ibis.ir.Scalar:
    """The value as a literal of a type that compares with the column's."""
    if isinstance(datatype, dt.Boolean):
        if isinstance(value, bool) or value in (0, 1):
            return ibis.literal(bool(value))
    elif isinstance(datatype, (dt.Integer, dt.Floating, dt.Decimal)):
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return ibis.literal(value)
    elif isinstance(datatype, dt.String):
        if isinstance(value, str):
            return ibis.literal(value)
    elif isinstance(datatype, dt.Date) and isinstance(value, str):
        try:
            return ibis.literal(date.fromisoformat(value))
        except ValueError:
            pass
    elif isinstance(datatype, dt.Timestamp) and isinstance(value, str):
        try:
            return ibis.literal(datetime.fromisoformat(value))
        except ValueError:
            pass
    raise Invalid(
        "condition-value",
        f"The condition on {column!r} compares a column of type {type(datatype).__name__.lower()} with "
        f"a value that is none: {value!r}",
        remedy="Write numbers without quotes, texts in quotes and dates as in '2020-12-31'.",
    )
