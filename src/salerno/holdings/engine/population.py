"""The frame of a population: who is observed when in which age group, and at risk of what.

No row per person and calendar interval is ever made: a span is one row however long it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from salerno.holdings.engine.events import KEY, Keep, Tables, joined, lasting
from salerno.holdings.engine.frame import sex_of
from salerno.holdings.model import Population

STRATUM = [KEY, "age_group"]


@dataclass(frozen=True)
class Spans:
    """A population on its way.

    Args:
        by_step: Persons left after each step, in order.
        observed: One row per person, age group and span of time in the population.
    """

    by_step: dict[str, ir.Table]
    observed: ir.Table


def age_label(group: tuple[int, int]) -> str:
    """An age group as the field writes it, e.g. ``18 to 64``."""
    return f"{group[0]} to {group[1]}"


def study_period(asked: Population) -> str:
    """First and last day of the study as ISO 8601 writes an interval."""
    return f"{asked.study_start.isoformat()}/{asked.study_end.isoformat()}"


def observed_spans(asked: Population, tables: Tables, keep: Keep) -> Spans:
    """Time in the population: study, prior observation, age groups and target, in this order.

    Args:
        asked: The population.
        tables: OMOP tables and cohorts, already without what must not be read.
        keep: Computes what several steps build on.
    """
    persons = tables("person")
    periods = tables("observation_period")
    spans = periods.select(
        **{
            KEY: periods[KEY],
            "date": periods.observation_period_start_date,
            "until": periods.observation_period_end_date,
        }
    )
    # A person is observed once on a day, even where periods overlap.
    valid = spans.filter(spans.date <= spans.until)
    once = only_many(valid, [KEY], lambda many: joined(many, [KEY], 0).select(KEY, "date", "until"))
    who = persons.select(KEY, "year_of_birth", "month_of_birth", "day_of_birth", sex=sex_of(persons))
    found = keep("observed_persons", who.join(once, KEY, how="inner"))
    born = found.filter(found.year_of_birth.notnull())
    in_study = born.filter((born.date <= asked.study_end) & (born.until >= asked.study_start))
    after = _later(in_study.date, asked.prior_observation_days)
    known = in_study.mutate(
        start_date=ibis.greatest(after, ibis.literal(asked.study_start)),
        end_date=ibis.least(in_study.until, ibis.literal(asked.study_end)),
    )
    known = known.filter(known.start_date <= known.end_date)
    aged = _in_age_groups(known, asked)
    steps = {
        "person with a time of observation": found,
        "year of birth known": born,
        "observed in the study period": in_study,
        f"{asked.prior_observation_days} days of prior observation": known,
        "in an age group": aged,
    }
    if asked.target is not None:
        aged = _within(aged, lasting(asked.target, tables))
        steps["in the target cohort"] = aged
    return Spans(steps, aged)


def population_frame(asked: Population, tables: Tables, keep: Keep) -> ir.Table:
    """All spans of a population; see `Population`."""
    observed = keep("observed_spans", observed_spans(asked, tables, keep).observed)
    parts = [_row(_with_last_end(observed), "observed")]
    for number, (name, definition) in enumerate(asked.outcomes.items()):
        happened = joined(lasting(definition, tables), [KEY], 0).select(KEY, "date", "until")
        happened = keep(f"outcome_{number}", happened)
        parts += _outcome_parts(asked, observed, name, happened)
    return ibis.union(*parts, distinct=False) if len(parts) > 1 else parts[0]


def only_many(table: ir.Table, keys: list[str], change: Callable[[ir.Table], ir.Table]) -> ir.Table:
    """Change the rows whose keys others have as well; most persons have one row, which needs no sorting."""
    repeated = table.group_by(keys).aggregate(_rows=table.count())
    repeated = repeated.filter(repeated["_rows"] > 1).drop("_rows")
    changed = change(table.semi_join(repeated, keys))
    single = table.anti_join(repeated, keys)
    for name in changed.columns:
        if name not in single.columns:
            single = single.mutate(**{name: ibis.null(changed[name].type())})
    return single.select(*changed.columns).union(changed, distinct=False)


def _outcome_parts(asked: Population, observed: ir.Table, name: str, happened: ir.Table) -> list[ir.Table]:
    ever = happened.select(KEY).distinct()
    known = observed.semi_join(ever, KEY)
    cases = known.join(happened, KEY, how="inner")
    cases = cases.mutate(
        entered=cases.start_date,
        left=cases.end_date,
        start_date=ibis.greatest(cases.start_date, cases.date),
        end_date=ibis.least(cases.end_date, cases.until),
    )
    cases = cases.filter(cases.start_date <= cases.end_date)
    return [
        _row(_with_last_end(known), "known", name),
        _row(_with_last_end(_at_risk(asked, known, happened)), "at_risk", name),
        _row(_with_last_end(cases), "case", name),
    ]


def _at_risk(asked: Population, known: ir.Table, happened: ir.Table) -> ir.Table:
    """Time between the outcomes of those who have any, after their washout."""
    in_order = ibis.window(group_by=KEY, order_by=happened.date)
    before = happened.select(
        **{
            KEY: happened[KEY],
            "number": ibis.row_number().over(in_order).cast("int64"),
            "free_until": happened.date,
            "last": happened.until.lag().over(in_order),
        }
    )
    washout = asked.outcome_washout_days
    if washout is None:
        gaps = before.filter(before.number == 0).mutate(free_from=ibis.null("date"))
    else:
        # After the last outcome there is a time at risk without an end.
        end = happened.group_by(KEY).aggregate(last=happened.until.max())
        final = end.select(
            **{
                KEY: end[KEY],
                "number": ibis.literal(-1, type="int64"),
                "free_until": ibis.null("date"),
                "last": end["last"],
            }
        )
        gaps = before.union(final, distinct=False)
        gaps = gaps.mutate(free_from=_later(gaps["last"], washout + 1))
    both = known.join(gaps.select(KEY, "free_from", "free_until"), KEY, how="inner")
    spans = both.mutate(
        start_date=ibis.greatest(both.start_date, both.free_from.fill_null(both.start_date)),
        end_date=ibis.least(both.end_date, both.free_until.fill_null(both.end_date)),
        event=(both.free_until <= both.end_date).fill_null(False).ifelse(1, 0).cast("int64"),
    )
    spans = spans.filter(spans.start_date <= spans.end_date)
    if asked.repeated_events:
        return spans
    first = spans.end_date.min(where=spans.event == 1).over(ibis.window(group_by=KEY))
    marked = spans.mutate(first_event=first)
    return marked.filter(marked.first_event.isnull() | (marked.start_date <= marked.first_event))


def _in_age_groups(spans: ir.Table, asked: Population) -> ir.Table:
    """The part of each span in each age group."""
    parts = []
    for group in asked.age_groups:
        first, last = group
        # Years alone tell most persons apart, at a fraction of the cost of their birthdays.
        near = spans.filter(
            (spans.end_date.year() - spans.year_of_birth >= first)
            & (spans.start_date.year() - spans.year_of_birth <= last + 1)
        )
        part = near.select(
            **{
                KEY: near[KEY],
                "sex": near.sex,
                "age_group": ibis.literal(age_label(group)),
                "start_date": ibis.greatest(near.start_date, _birthday(near, first)),
                "end_date": ibis.least(near.end_date, _later(_birthday(near, last + 1), -1)),
            }
        )
        parts.append(part.filter(part.start_date <= part.end_date))
    return ibis.union(*parts, distinct=False) if len(parts) > 1 else parts[0]


def _birthday(persons: ir.Table, age: int) -> ir.Value:
    """The day on which a person reaches an age; born on 29 February, on 1 March of other years.

    The middle of the year or month stands in for a birth date known so far only, as in every frame.
    """
    year = persons.year_of_birth + age
    month = persons.month_of_birth.fill_null(7)
    day = ibis.ifelse(persons.month_of_birth.isnull(), 1, persons.day_of_birth.fill_null(15))
    leap = ((year % 4 == 0) & (year % 100 != 0)) | (year % 400 == 0)
    moved = (month == 2) & (day > 28) & ~leap
    return ibis.date(
        year.cast("int32"), moved.ifelse(3, month).cast("int32"), moved.ifelse(1, day).cast("int32")
    )


def _within(spans: ir.Table, cohort: ir.Table) -> ir.Table:
    """The part of each span in a cohort."""
    periods = joined(cohort, [KEY], 0).select(KEY, "date", "until")
    both = spans.join(periods, KEY, how="inner")
    cut = both.select(
        KEY,
        "sex",
        "age_group",
        start_date=ibis.greatest(both.start_date, both.date),
        end_date=ibis.least(both.end_date, both.until),
    )
    return cut.filter(cut.start_date <= cut.end_date)


def _with_last_end(spans: ir.Table) -> ir.Table:
    """With the end of the person's span before, so that a person can be counted once in an interval."""

    def before(many: ir.Table) -> ir.Table:
        order = ibis.window(group_by=STRATUM, order_by=many.start_date)
        return many.mutate(last_end=many.end_date.lag().over(order))

    return only_many(spans, [KEY], before)


def _row(spans: ir.Table, span: str, outcome: str | None = None) -> ir.Table:
    dated = {
        name: spans[name] if name in spans.columns else ibis.null("date") for name in ("entered", "left")
    }
    return spans.select(
        **{
            KEY: spans[KEY],
            "age_group": spans.age_group,
            "sex": spans.sex,
            "span": ibis.literal(span),
            "outcome": ibis.null("string") if outcome is None else ibis.literal(outcome),
            "start_date": spans.start_date,
            "end_date": spans.end_date,
            "last_end": spans.last_end,
            **dated,
            "event": spans.event if "event" in spans.columns else ibis.literal(0, type="int64"),
        }
    )


def _later(day: ir.Value, days: int) -> ir.Value:
    """So many days later, or earlier."""
    if days == 0:
        return day
    moved = day + ibis.interval(days=days) if days > 0 else day - ibis.interval(days=-days)
    return moved.cast("date")
