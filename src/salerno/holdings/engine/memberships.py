"""Frames of who is in which cohort, how far through the steps of a frame, and with which concepts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from salerno.holdings.engine.events import KEY, Tables, days_between, events
from salerno.holdings.engine.frame import ENTRY, age_at, in_window, sex_of
from salerno.holdings.model import Concepts, StudyFrame
from salerno.standards.omop import EVENT_TABLES


def cohorts_frame(frame: StudyFrame, tables: Tables) -> ir.Table:
    """One row per person in any group: in it or not, and the day of the first entry while observed."""
    periods = tables("observation_period")
    spans = periods.select(
        **{
            KEY: periods[KEY],
            "span_from": periods.observation_period_start_date,
            "span_to": periods.observation_period_end_date,
        }
    )
    persons = tables("person")
    table = persons.select(KEY, sex=sex_of(persons))
    names = list(frame.groups)
    for number, definition in enumerate(frame.groups.values()):
        both = events(definition, tables).join(spans, KEY, how="inner")
        seen = both.filter((both.span_from <= both.date) & (both.date <= both.span_to))
        first = seen.group_by(KEY).aggregate(**{f"_first_{number}": seen.date.min()})
        table = table.left_join(first, KEY).drop(f"{KEY}_right")
    days = [table[f"_first_{number}"] for number in range(len(names))]
    within = ibis.or_(*(day.notnull() for day in days))
    kept = table.filter(within)
    columns: dict[str, ir.Value] = {KEY: kept[KEY], "sex": kept.sex}
    for number, name in enumerate(names):
        day = kept[f"_first_{number}"]
        columns[name] = day.notnull().ifelse(1, 0).cast("int64")
        columns[f"{name}_date"] = day.cast("date")
    return kept.select(**columns)


@dataclass(frozen=True)
class Attrition:
    """How far persons come through the steps of a frame.

    Args:
        steps: In order; who meets a later one has met the earlier ones.
        met: Persons' keys with the number of a step that they met, from 1 on; several rows of a person count
            as the furthest.
    """

    steps: tuple[str, ...]
    met: ir.Table

    def last(self) -> ir.Table:
        """One row per person with the last step that the person met."""
        return self.met.group_by(KEY).aggregate(met=self.met.met.max())


def attrition_of(steps: Mapping[str, ir.Table]) -> Attrition:
    """Attrition from the persons left after each step, in order."""
    marked = [
        table.select(**{KEY: table[KEY], "met": ibis.literal(number, type="int64")})
        for number, table in enumerate(steps.values(), 1)
    ]
    every = marked[0] if len(marked) == 1 else ibis.union(*marked, distinct=False)
    return Attrition(tuple(steps), every)


def attrition_frame(attrition: Attrition) -> tuple[ir.Table, tuple[str, ...]]:
    """One row per person with the last step that the person met, and all steps in their order."""
    labels = tuple(f"{number}. {step}" for number, step in enumerate(attrition.steps, 1))
    last = attrition.last()
    named = ibis.cases(*((last.met == number, label) for number, label in enumerate(labels, 1)))
    return last.select(**{KEY: last[KEY], "step": named}), labels


def window_label(window: tuple[int | None, int | None]) -> str:
    """A window as people write it, e.g. ``-365 to -1``."""
    first, last = ("-inf" if window[0] is None else window[0]), ("inf" if window[1] is None else window[1])
    return f"{first} to {last}"


def concepts_frame(asked: Concepts, entries: ir.Table, tables: Tables) -> ir.Table:
    """One row per entry, and one per entry, window and concept that it has there."""
    index = entries.select(*ENTRY, "group", "index_date")
    parts = [
        index.select(
            **{
                KEY: index[KEY],
                "group": index.group,
                "window": ibis.null("string"),
                "concept": ibis.null("string"),
            }
        )
    ]
    for name in asked.tables:
        event = EVENT_TABLES[name]
        table = tables(name)
        found = table.filter(table[event.start].notnull() & (table[event.concept] != 0))
        happened = found.select(**{KEY: found[KEY], "date": found[event.start], "code": found[event.concept]})
        both = index.join(happened, KEY, how="inner")
        both = both.mutate(day=days_between(both.date, both.index_date))
        for window in asked.windows:
            inside = both.filter(in_window(both.day, window)).select(*ENTRY, "group", "code").distinct()
            parts.append(
                inside.select(
                    **{
                        KEY: inside[KEY],
                        "group": inside.group,
                        "window": ibis.literal(window_label(window)),
                        "concept": ibis.literal(f"{name}:") + inside.code.cast("string"),
                    }
                )
            )
    return ibis.union(*parts, distinct=False)


def entry_columns(entries: ir.Table) -> dict[str, ir.Value]:
    """What is told of an entry in every frame of entries: ``age``, ``sex`` and ``index_year``."""
    return {
        "age": age_at(entries, entries.index_date),
        "sex": sex_of(entries),
        "index_year": entries.index_date.year().cast("int64"),
    }
