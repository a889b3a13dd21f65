"""Tables limited to what a permit covers: its rows and dates, without the persons who opted out."""

from __future__ import annotations

from collections.abc import Callable

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from salerno.holdings.engine.cohorts import Cohorts, CohortShelf
from salerno.holdings.engine.conditions import keep_rows
from salerno.holdings.engine.events import KEY
from salerno.holdings.engine.omop_tables import omop_table
from salerno.holdings.engine.persons import left_out_keys
from salerno.holdings.engine.source import Source
from salerno.holdings.model import Holding
from salerno.kernel.errors import Invalid, Refused
from salerno.permits.model import DataScope, OptOutList
from salerno.standards.omop import CARE_PROVIDERS, RECORD_DATES, VOCABULARY

ROWS_RULE = "EHDS Art. 66(1), 68(10)(a)"
_OPTED_OUT = "opted_out"


def permitted_omop(
    source: Source, holding: Holding, scope: DataScope | None, left_out: OptOutList | None
) -> Callable[[str], ir.Table]:
    """OMOP tables with `KEY`, limited to the permitted rows, dates and persons; without scope, all."""
    made: dict[str, ir.Table] = {}

    def table(name: str) -> ir.Table:
        if name not in made:
            full = omop_table(source, name)
            if name in VOCABULARY:
                made[name] = full
                return full
            rows = full if scope is None else permitted_rows(full, name, holding, scope)
            if name == "person":
                for optional in ("month_of_birth", "day_of_birth"):
                    if optional not in rows.columns:
                        rows = rows.mutate(**{optional: ibis.null("int64")})
                if left_out:
                    rows = without_opted_out(source, holding, name, full, rows, "person_id", left_out)
            made[name] = rows if name in CARE_PROVIDERS else rows.mutate(**{KEY: rows.person_id})
        return made[name]

    return table


def permitted_rows(table: ir.Table, name: str, holding: Holding, scope: DataScope) -> ir.Table:
    """Rows that meet the permit's conditions and dates."""
    try:
        rows = keep_rows(table, scope.rows.get(name, ()), where=f"The table {name!r}")
    except Invalid as error:
        raise Refused(
            "permit-rows",
            f"The permit's conditions on rows cannot be applied: {error.what}",
            rule=ROWS_RULE,
            remedy="Have the access body correct the permit.",
        ) from error
    if scope.covers_from is None and scope.covers_to is None:
        return rows
    if holding.kind == "omop" and name == "observation_period":
        return _clipped_periods(rows, scope)
    if holding.kind == "omop" and (name == "person" or name in CARE_PROVIDERS):
        return rows  # neither has a date of record
    column = RECORD_DATES.get(name, "") if holding.kind == "omop" else holding.date_column
    if not column or column not in rows.columns:
        raise Refused(
            "permit-dates",
            f"The permit is limited to dates of records, and table {name!r} has no column with that date",
            rule=ROWS_RULE,
            remedy="Have the steward name the date column of the holding.",
        )
    if not isinstance(rows[column].type(), (dt.Date, dt.Timestamp)):
        raise Refused("permit-dates", f"Column {column!r} of table {name!r} is no date", rule=ROWS_RULE)
    day = rows[column].cast("date")
    if scope.covers_from is not None:
        rows = rows.filter(day >= ibis.literal(scope.covers_from))
    if scope.covers_to is not None:
        rows = rows.filter(day <= ibis.literal(scope.covers_to))
    return rows


def _clipped_periods(periods: ir.Table, scope: DataScope) -> ir.Table:
    """Periods of observation as far as the permitted dates go: what is outside was not observed."""
    start, end = periods.observation_period_start_date, periods.observation_period_end_date
    if scope.covers_from is not None:
        start = ibis.greatest(start, ibis.literal(scope.covers_from))
    if scope.covers_to is not None:
        end = ibis.least(end, ibis.literal(scope.covers_to))
    clipped = periods.mutate(observation_period_start_date=start, observation_period_end_date=end)
    return clipped.filter(clipped.observation_period_start_date <= clipped.observation_period_end_date)


def without_opted_out(
    source: Source,
    holding: Holding,
    name: str,
    full: ir.Table,
    rows: ir.Table,
    person: str,
    listed: OptOutList,
) -> ir.Table:
    """Rows of those who have not opted out (Art. 71)."""
    if not person:
        raise Refused(
            "opt-out-not-matched",
            f"Persons have opted out, and nothing in table {name!r} tells whose row is whose",
            rule="EHDS Art. 71",
            remedy="Have the steward name the person column, or state that no row is about a person.",
        )
    identifier = "person_source_value" if holding.kind == "omop" else person
    keys = left_out_keys(source, full, person, identifier, listed)
    if keys is None:
        return rows
    left_out = source.keep(_OPTED_OUT, keys.rename({"opted_out_key": person}))
    return rows.anti_join(left_out, rows[person] == left_out.opted_out_key)


def permitted_cohorts(
    source: Source,
    holding: Holding,
    scope: DataScope | None,
    left_out: OptOutList | None,
    shelf: CohortShelf | None = None,
) -> Cohorts:
    """Circe cohorts that are computed on permitted rows.

    Args:
        source: Where they are computed.
        holding: Whose source it is.
        scope: What is permitted; None for all.
        left_out: Persons who must not be in them; None for nobody.
        shelf: Where they are kept.
    """
    tables = permitted_omop(source, holding, scope, left_out)
    fewer = bool(left_out) or (scope is not None and bool(scope.rows.get("person")))
    return Cohorts(source, tables, shelf, tables("person").select(KEY) if fewer else None)
