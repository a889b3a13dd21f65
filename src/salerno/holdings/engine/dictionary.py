"""The variable dictionary of a table, computed from it in two or three queries, without small counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from salerno.catalogue.model import Datatype, Variable
from salerno.holdings.engine.source import Source

MAX_LEVELS = 100
"""A column of texts with more values than this is no category."""

MAX_NUMERIC_LEVELS = 20
"""A column of whole numbers with at most this many values is taken for coded categories."""

_SURELY = 10
"""Estimates are wrong by half at most; this many times the threshold is above it for certain."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What a table shows of itself.

    Args:
        variables: By name, in column order.
        n_rows: Rows.
        n_persons: Persons; rows where no key is given.
    """

    variables: dict[str, Variable]
    n_rows: int
    n_persons: int


def datatype_of(kind: dt.DataType) -> Datatype | None:
    """The dictionary's type of an Ibis type; None for types that no method can read (lists, blobs, times)."""
    if isinstance(kind, dt.Boolean):
        return Datatype.BOOLEAN
    if isinstance(kind, dt.Integer):
        return Datatype.INTEGER
    if isinstance(kind, (dt.Floating, dt.Decimal)):
        return Datatype.NUMBER
    if isinstance(kind, dt.Date):
        return Datatype.DATE
    if isinstance(kind, dt.Timestamp):
        return Datatype.DATETIME
    if isinstance(kind, (dt.String, dt.UUID)):
        return Datatype.STRING
    return None


def round_down(count: int, min_cell: int) -> int | None:
    """A count as it may be published: a multiple of the threshold, None below it.

    >>> round_down(2694, 10), round_down(9, 10)
    (2690, None)
    """
    rounded = count // max(min_cell, 1) * max(min_cell, 1)
    return rounded or None


def profile(
    source: Source,
    table: ir.Table,
    *,
    min_cell: int,
    person: str = "",
    hidden: frozenset[str] = frozenset(),
    without_levels: frozenset[str] = frozenset(),
) -> Profile:
    """Compute the dictionary of a table.

    A level is named only when at least `min_cell` persons have it, and a column only gets levels when it
    has few enough values in all: free text and identifiers have none.

    Args:
        source: Where the table is.
        table: Any table.
        min_cell: Smallest number of persons behind a published figure.
        person: Column that names the person; empty when each row is one.
        hidden: Columns that are left out of the dictionary.
        without_levels: Columns of which no level is named.
    """
    kinds = {
        name: kind
        for name in table.columns
        if name not in hidden and (kind := datatype_of(table[name].type())) is not None
    }
    counts = _counts(source, table, kinds, person)
    countable = [
        name
        for name, kind in kinds.items()
        if name not in without_levels
        and name != person
        and f"distinct:{name}" in counts
        and _categorical(kind, int(counts[f"distinct:{name}"]), int(counts[f"n:{name}"]))
    ]
    alone = bool(person) and counts["persons"] == counts["rows"]
    levels = _levels(source, table, countable, "" if alone else person, min_cell)
    variables = {
        name: Variable(
            name=name,
            datatype=kind,
            n=round_down(int(counts[f"n:{name}"]), min_cell),
            levels=_sorted(kind, levels.get(name, [])),
        )
        for name, kind in kinds.items()
    }
    n_rows = int(counts["rows"])
    return Profile(variables, n_rows, int(counts["persons"]) if person else n_rows)


def _counts(source: Source, table: ir.Table, kinds: Mapping[str, Datatype], person: str) -> dict[str, Any]:
    figures: dict[str, ir.Value] = {"rows": table.count()}
    if person:
        figures["persons"] = table[person].nunique()
    for name, kind in kinds.items():
        column = table[name]
        figures[f"n:{name}"] = column.count()
        if kind in (Datatype.STRING, Datatype.INTEGER, Datatype.BOOLEAN):
            # An estimate will do: it only tells categories from free text.
            figures[f"distinct:{name}"] = (
                column.approx_nunique() if source.estimates_distinct else column.nunique()
            )
    row: dict[str, Any] = source.fetch(table.aggregate(**figures)).to_pylist()[0]
    return row


def _categorical(kind: Datatype, distinct: int, n: int) -> bool:
    if kind is Datatype.INTEGER:
        return 0 < distinct <= MAX_NUMERIC_LEVELS
    # Twice as many: the estimate may be off, and the levels are counted exactly afterwards.
    return 0 < distinct <= 2 * MAX_LEVELS and (distinct <= 20 or distinct <= n / 2)


def _levels(
    source: Source, table: ir.Table, columns: list[str], person: str, min_cell: int
) -> dict[str, list[str]]:
    """Levels by column that enough persons have; rows are persons where no key is given."""
    if not columns:
        return {}
    estimated = bool(person) and source.estimates_distinct
    found = _persons_by_level(source, table, dict.fromkeys(columns), person, estimated=estimated)
    # A column with too many values is free text, even where some of them are frequent.
    found = {name: persons for name, persons in found.items() if len(persons) <= MAX_LEVELS}
    if estimated:
        # To count persons exactly costs their keys' memory, so only who may be few are counted.
        doubtful = {
            name: [level for level, about in persons.items() if about < _SURELY * max(min_cell, 1)]
            for name, persons in found.items()
        }
        exact = _persons_by_level(source, table, {n: few for n, few in doubtful.items() if few}, person)
        found = {name: persons | exact.get(name, {}) for name, persons in found.items()}
    return {
        name: [level for level, persons in by_level.items() if persons >= min_cell]
        for name, by_level in found.items()
    }


def _persons_by_level(
    source: Source,
    table: ir.Table,
    wanted: Mapping[str, list[str] | None],
    person: str,
    *,
    estimated: bool = False,
) -> dict[str, dict[str, int]]:
    """Persons with each level of some columns; of the given levels, or of all."""
    parts = []
    columns = list(wanted)
    for number, name in enumerate(columns):
        column, levels = table[name], wanted[name]
        known = table.filter(column.notnull() if levels is None else column.cast("string").isin(levels))
        key = known[person] if person else None
        count = known.count() if key is None else key.approx_nunique() if estimated else key.nunique()
        # As texts only afterwards: there are few levels and many rows.
        counted = known.group_by(value=column).aggregate(persons=count)
        parts.append(
            counted.select(
                level=counted.value.cast("string"),
                persons=counted.persons,
                number=ibis.literal(number, type="int32"),
            )
        )
    if not parts:
        return {}
    every = parts[0] if len(parts) == 1 else ibis.union(*parts, distinct=False)
    found: dict[str, dict[str, int]] = {}
    for row in source.fetch(every).to_pylist():
        found.setdefault(columns[row["number"]], {})[row["level"]] = row["persons"]
    return found


def _sorted(kind: Datatype, levels: list[str]) -> tuple[str, ...]:
    return tuple(sorted(levels, key=int) if kind is Datatype.INTEGER else sorted(levels))
