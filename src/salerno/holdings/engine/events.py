"""Event definitions as Ibis tables: whose, on which day, until when."""

from __future__ import annotations

from collections.abc import Callable

import ibis
import ibis.expr.types as ir

from salerno.holdings.model import EventDefinition
from salerno.kernel.values import digest
from salerno.standards.omop import EVENT_TABLES

KEY = "_person"
"""Name of the person's key inside the engine; never a column of a view."""

Tables = Callable[[str], ir.Table]
"""Gives an OMOP table of the standard's types, limited to what may be read; or a cohort, by `cohort_name`."""

Keep = Callable[[str, ir.Table], ir.Table]
"""Computes an expression that others build on, under a name: otherwise each would compute it again."""


def cohort_name(definition: EventDefinition) -> str:
    """Name under which `Tables` has the rows of a Circe cohort: `KEY`, ``date`` and ``until``."""
    return f"cohort {digest(definition.circe)}"


def events(definition: EventDefinition, tables: Tables) -> ir.Table:
    """Person's key and date of each event that a definition names."""
    if definition.circe is not None:
        return tables(cohort_name(definition)).select(KEY, "date")
    event = EVENT_TABLES[definition.table]
    table = _named(definition, tables)
    return table.select(**{KEY: table[KEY], "date": table[event.start]})


def lasting(definition: EventDefinition, tables: Tables) -> ir.Table:
    """Person's key, first and last day of each event; one without an end lasts a day."""
    if definition.circe is not None:
        return tables(cohort_name(definition)).select(KEY, "date", "until")
    event = EVENT_TABLES[definition.table]
    table = _named(definition, tables)
    start = table[event.start]
    end = ibis.greatest(start, table[event.end].fill_null(start)) if event.end in table.columns else start
    return table.select(**{KEY: table[KEY], "date": start, "until": end})


def joined(spans: ir.Table, keys: list[str], gap_days: int) -> ir.Table:
    """Spans of ``date`` and ``until`` that overlap, or are at most so many days apart, as one; with
    ``n_spans``.

    Args:
        spans: Columns `keys`, ``date``, ``until``.
        keys: What is kept apart.
        gap_days: Days between the end of one and the start of the next that still join them.
    """
    order = [spans.date, spans.until]
    before = spans.until.max().over(ibis.window(group_by=keys, order_by=order, preceding=(None, 1)))
    begins = (before.isnull() | (days_between(spans.date, before) > gap_days)).ifelse(1, 0)
    marked = spans.mutate(begins=begins.cast("int64"))
    numbered = marked.mutate(
        era=marked.begins.sum().over(
            ibis.window(group_by=keys, order_by=[marked.date, marked.until], preceding=(None, 0))
        )
    )
    return (
        numbered.group_by([*keys, "era"])
        .aggregate(date=numbered.date.min(), until=numbered.until.max(), n_spans=numbered.count())
        .drop("era")
    )


def days_between(later: ir.Value, earlier: ir.Value) -> ir.Value:
    """Days from one date to a later one."""
    return later.delta(earlier, unit="day")


def _named(definition: EventDefinition, tables: Tables) -> ir.Table:
    """Records of the definition's concepts that have a date."""
    event = EVENT_TABLES[definition.table]
    table = tables(definition.table)
    if event.concept:
        concept = table[event.concept]
        named = concept.isin(definition.concepts)
        if definition.descendants:
            ancestor = tables("concept_ancestor")
            below = ancestor.filter(ancestor.ancestor_concept_id.isin(definition.concepts))
            named = named | concept.isin(below.descendant_concept_id)
        table = table.filter(named)
    return table.filter(table[event.start].notnull())
