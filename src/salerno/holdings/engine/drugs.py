"""How a drug is used after an index date: exposures, eras, days and quantities."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from salerno.holdings.engine.events import KEY, Tables, days_between, joined
from salerno.holdings.model import DrugUse


def drug_columns(entries: ir.Table, use: DrugUse, tables: Tables, entry: list[str]) -> ir.Table:
    """The use of a drug per entry that has any: the columns of `DrugUse`.

    Exposures count that begin between the index date and the last day of follow-up; an era or exposure that
    goes on is counted up to that day.

    Args:
        entries: With the columns `entry`, ``index_date`` and ``days`` of follow-up.
        use: Which drug.
        tables: What may be read.
        entry: Columns that name an entry.
    """
    table = tables("drug_exposure")
    named = table.drug_concept_id.isin(use.concepts)
    if use.descendants:
        ancestor = tables("concept_ancestor")
        below = ancestor.filter(ancestor.ancestor_concept_id.isin(use.concepts))
        named = named | table.drug_concept_id.isin(below.descendant_concept_id)
    table = table.filter(named & table.drug_exposure_start_date.notnull())
    start = table.drug_exposure_start_date
    exposures = table.select(
        **{
            KEY: table[KEY],
            "date": start,
            "until": ibis.greatest(start, table.drug_exposure_end_date.fill_null(start)),
            "quantity": table.quantity if "quantity" in table.columns else ibis.null("float64"),
        }
    )
    who = entries.select(*entry, "index_date", last=entries.days)
    both = who.join(exposures, KEY, how="inner")
    both = both.mutate(day=days_between(both.date, both.index_date).cast("int64"))
    inside = both.filter((both.day >= 0) & (both.day <= both["last"]))
    inside = inside.mutate(
        end_day=ibis.least(days_between(inside.until, inside.index_date), inside["last"]).cast("int64")
    )
    ranked = inside.mutate(
        rank=ibis.row_number().over(
            ibis.window(group_by=entry, order_by=[inside.day, inside.end_day, inside.quantity])
        )
    )
    first = ranked["rank"] == 0
    counted = ranked.group_by(entry).aggregate(
        n_exposures=ranked.count().cast("int64"),
        first_duration=(ranked.end_day - ranked.day + 1).max(where=first).cast("int64"),
        first_quantity=ranked.quantity.max(where=first).cast("float64"),
        cumulative_quantity=ranked.quantity.sum().cast("float64"),
        days_to_first=ranked.day.min().cast("int64"),
    )
    eras = joined(
        inside.select(*entry, "date", "until", "index_date", "last"),
        [*entry, "index_date", "last"],
        use.gap_days,
    )
    days = ibis.least(days_between(eras.until, eras.index_date), eras["last"]) - days_between(
        eras.date, eras.index_date
    )
    lasted = eras.group_by(entry).aggregate(
        n_eras=eras.count().cast("int64"), days_exposed=(days + 1).sum().cast("int64")
    )
    table = counted.join(lasted, entry, how="inner")
    return table.select(
        *entry,
        "n_exposures",
        "n_eras",
        "days_exposed",
        "first_duration",
        "first_quantity",
        "cumulative_quantity",
        "days_to_first",
    )
