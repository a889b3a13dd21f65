"""OMOP tables of a source with the names and types of the standard, checked."""

from __future__ import annotations

from collections.abc import Mapping

import ibis
import ibis.expr.datatypes as dt

from salerno.holdings.engine.source import EngineLimits, Source
from salerno.holdings.engine.sources import open_source
from salerno.kernel.errors import Invalid, near
from salerno.standards.omop import ALWAYS_PRESENT, FIELDS, REQUIRED, SPECIFICATION, VOCABULARY

TYPES: Mapping[str, str] = {
    "integer": "int64",
    "float": "float64",
    "date": "date",
    "datetime": "timestamp",
    "string": "string",
}
_DUCKDB = {
    "integer": "BIGINT",
    "float": "DOUBLE",
    "date": "DATE",
    "datetime": "TIMESTAMP",
    "string": "VARCHAR",
}


def open_omop(source: str, limits: EngineLimits | None = None) -> Source:
    """Open a source as OMOP data set; table names become lower-case.

    Raises:
        Invalid: See `open_source`; or the tables that every OMOP data set has are not there.
    """
    opened = open_source(
        source, limits, types=_csv_types, verbatim=frozenset({"concept", "concept_ancestor"}), lower=True
    )
    missing = [name for name in ALWAYS_PRESENT if name not in opened.names]
    if missing:
        names = opened.names
        opened.close()
        raise Invalid(
            "missing-table",
            f"An OMOP data set has the table {missing[0]!r}, this source has not",
            rule=SPECIFICATION,
            remedy=near(missing[0], names),
        )
    return opened


def omop_table(source: Source, name: str) -> ibis.Table:
    """A table of the standard with lower-case columns of the standard's types.

    Columns that the standard does not know are left out. A table whose only row is its own header (a
    CSV export of an empty table, read without header) is taken as the empty table that it is.

    Args:
        source: Opened by `open_omop`.
        name: Table of the standard.

    Raises:
        Invalid: The table or a needed column is missing, or a column cannot have the standard's type.
    """
    fields = FIELDS[name]
    if name not in source.names:
        raise Invalid(
            "missing-table",
            f"The OMOP table {name!r} is needed and the source has none",
            rule=SPECIFICATION,
            remedy=f"An empty one will do. {near(name, source.names)}",
        )
    table = without_header_row(source, source.table(name))
    table = _lower_columns(name, table)
    missing = sorted(REQUIRED.get(name, frozenset()) - set(table.columns))
    if missing:
        raise Invalid(
            "missing-column",
            f"The OMOP table {name!r} has no column {missing[0]!r}",
            rule=SPECIFICATION,
            remedy=near(missing[0], table.columns),
        )
    return table.select(
        **{
            column: _as_kind(name, table[column], fields[column])
            for column in table.columns
            if column in fields
        }
    )


def without_header_row(source: Source, table: ibis.Table) -> ibis.Table:
    """The table, or an empty one with the right names when its only row consists of column names.

    Such a table comes from a CSV file with a header and nothing else, read as if it had no header. Only
    a table of texts can be one, so others cost nothing here.
    """
    if not all(isinstance(kind, dt.String) for kind in table.schema().types):
        return table
    rows = source.fetch(table.limit(2)).to_pylist()
    if len(rows) != 1:
        return table
    values = list(rows[0].values())
    named = [column.lower() for column in table.columns]
    texts = [value.lower() for value in values if value]
    generic = all(name.startswith("column") and name[6:].isdigit() for name in named)
    if texts == named:
        return table.limit(0)
    if generic and len(set(texts)) == len(values) and all(text.isidentifier() for text in texts):
        return table.limit(0).rename(dict(zip(texts, table.columns, strict=True)))
    return table


def check_types(source: Source, name: str) -> None:
    """Look at every value of the columns whose type has to be changed.

    Raises:
        Invalid: Values of a column cannot be read as the standard's type; their number is told.
    """
    typed = omop_table(source, name)
    raw = _lower_columns(name, without_header_row(source, source.table(name)))
    doubtful = [
        c for c in typed.columns if isinstance(raw[c].type(), dt.String) and typed[c].type() != raw[c].type()
    ]
    if not doubtful or not source.can_try_cast:
        return
    lost = source.fetch(
        raw.aggregate(
            **{c: (raw[c].notnull() & raw[c].try_cast(typed[c].type()).isnull()).sum() for c in doubtful}
        )
    ).to_pylist()[0]
    for column, count in lost.items():
        if count:
            raise Invalid(
                "wrong-type",
                f"Column {column!r} of the OMOP table {name!r} should be {FIELDS[name][column]}, "
                f"and {count} of its values are not",
                rule=SPECIFICATION,
                remedy="Mend the values and connect the data again.",
            )


def _lower_columns(name: str, table: ibis.Table) -> ibis.Table:
    lowered = [column.lower() for column in table.columns]
    twice = {column for column in lowered if lowered.count(column) > 1}
    if twice:
        raise Invalid("column-twice", f"The table {name!r} has the column {min(twice)!r} twice")
    return table.rename(dict(zip(lowered, table.columns, strict=True)))


def _as_kind(table: str, column: ibis.ir.Value, kind: str) -> ibis.ir.Value:
    wanted = dt.dtype(TYPES[kind])
    present = column.type()
    if present == wanted or type(present) is type(wanted):
        return column.cast(wanted) if present != wanted else column
    allowed: dict[str, tuple[type[dt.DataType], ...]] = {
        "integer": (dt.Integer, dt.Floating, dt.Decimal, dt.String, dt.Null),
        "float": (dt.Integer, dt.Floating, dt.Decimal, dt.String, dt.Null),
        "date": (dt.Timestamp, dt.String, dt.Null),
        "datetime": (dt.Date, dt.String, dt.Null),
        "string": (dt.DataType,),
    }
    if not isinstance(present, allowed[kind]):
        raise Invalid(
            "wrong-type",
            f"Column {column.get_name()!r} of the OMOP table {table!r} should be {kind}, "
            f"not {type(present).__name__.lower()}",
            rule=SPECIFICATION,
        )
    return column.cast(wanted)


def _csv_types(table: str) -> Mapping[str, str]:
    fields = FIELDS.get(table.lower(), {})
    if table.lower() in VOCABULARY:  # dates of the vocabularies are written without hyphens and not read
        fields = {name: kind for name, kind in fields.items() if name.endswith("_id") and kind == "integer"}
    return {name: _DUCKDB[kind] for name, kind in fields.items()}
