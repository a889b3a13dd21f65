"""What a description says about a holding: counts, ages and dates, of groups that are large enough."""

from __future__ import annotations

from datetime import date

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from salerno.catalogue.model import TableDescription
from salerno.holdings.engine.dictionary import profile, round_down
from salerno.holdings.engine.omop_tables import omop_table
from salerno.holdings.engine.source import Source
from salerno.holdings.model import Holding, Measured
from salerno.standards.omop import CARE_PROVIDERS, EVENT_TABLES, FIELDS, VOCABULARY, is_identifier

AGE_BAND_YEARS = 5


def measure_omop(source: Source, min_cell: int) -> Measured:
    """Dictionary and figures of the OMOP tables about persons."""
    tables: dict[str, ir.Table] = {
        name: omop_table(source, name) for name in FIELDS if name in source.names and name not in VOCABULARY
    }
    described, records, persons = [], 0, 0
    for name, table in tables.items():
        found = profile(
            source,
            table,
            min_cell=min_cell,
            person="" if name in CARE_PROVIDERS else "person_id",
            without_levels=frozenset(column for column in table.columns if is_identifier(column)),
        )
        described.append(
            TableDescription(
                name=name,
                variables=tuple(found.variables.values()),
                n_rows=round_down(found.n_rows, min_cell),
            )
        )
        records += 0 if name in CARE_PROVIDERS else found.n_rows
        if name == "person":
            persons = found.n_persons
    dates = [
        table.select(day=table[EVENT_TABLES[name].start], person=table.person_id)
        for name, table in tables.items()
        if name in EVENT_TABLES
    ]
    first, last = _months(source, dates, min_cell) if dates else (None, None)
    youngest, oldest = _ages(source, tables["person"], tables["observation_period"], min_cell)
    return Measured(
        tables=tuple(described),
        n_records=round_down(records, min_cell),
        n_persons=round_down(persons, min_cell),
        min_age=youngest,
        max_age=oldest,
        covers_from=first,
        covers_to=last,
    )


def measure_tables(source: Source, holding: Holding) -> Measured:
    """Dictionary and figures of plain tables; persons are those of the table that has most of them."""
    min_cell = holding.policy.min_cell
    described, records, persons, dates = [], 0, 0, []
    for name, table in source.tables().items():
        person = holding.person_column if holding.person_column in table.columns else ""
        found = profile(
            source, table, min_cell=min_cell, person=person, without_levels=frozenset({holding.person_column})
        )
        described.append(
            TableDescription(
                name=name,
                variables=tuple(found.variables.values()),
                n_rows=round_down(found.n_rows, min_cell),
            )
        )
        records += found.n_rows
        if person or not holding.person_column:
            persons = max(persons, found.n_persons)
        day = holding.date_column
        if day in table.columns and isinstance(table[day].type(), (dt.Date, dt.Timestamp)):
            key = table[person].cast("string") if person else ibis.row_number().cast("string")
            dates.append(table.select(day=table[day].cast("date"), person=key))
    first, last = _months(source, dates, min_cell) if dates else (None, None)
    return Measured(
        tables=tuple(described),
        n_records=round_down(records, min_cell),
        n_persons=round_down(persons, min_cell) if holding.personal else None,
        covers_from=first,
        covers_to=last,
    )


def _months(source: Source, dates: list[ir.Table], min_cell: int) -> tuple[date | None, date | None]:
    """First and last month in which enough persons have a record."""
    every = dates[0] if len(dates) == 1 else ibis.union(*dates, distinct=False)
    month = every.day.year() * 12 + every.day.month() - 1
    counted = every.group_by(month=month.cast("int64")).aggregate(persons=every.person.nunique())
    enough = counted.filter((counted.persons >= min_cell) & counted.month.notnull())
    row = source.fetch(enough.aggregate(first=enough.month.min(), last=enough.month.max())).to_pylist()[0]
    return _month(row["first"]), _month(row["last"])


def _month(number: int | None) -> date | None:
    return None if number is None else date(number // 12, number % 12 + 1, 1)


def _ages(
    source: Source, persons: ir.Table, periods: ir.Table, min_cell: int
) -> tuple[int | None, int | None]:
    """Youngest and oldest age at the end of observation, as bounds of age bands with enough persons."""
    last = periods.group_by("person_id").aggregate(until=periods.observation_period_end_date.max())
    both = persons.join(last, "person_id", how="inner")
    age = both.until.year() - both.year_of_birth
    bands = both.group_by(band=(age / AGE_BAND_YEARS).floor().cast("int64")).aggregate(persons=both.count())
    enough = bands.filter((bands.persons >= min_cell) & (bands.band >= 0))
    row = source.fetch(enough.aggregate(first=enough.band.min(), last=enough.band.max())).to_pylist()[0]
    if row["first"] is None:
        return None, None
    return int(row["first"]) * AGE_BAND_YEARS, int(row["last"]) * AGE_BAND_YEARS + AGE_BAND_YEARS - 1
