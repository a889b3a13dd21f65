"""The frame of a population: who is observed when in which age group, and at risk of what.

No row per person and calendar interval is ever made: a span is one row however long it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from salerno.holdings.engine.events import KEY, Keep, Tables, joined, lasting
from salerno.holdings.engine.frame import sex_of
from salerno.holdings.model import Population

STRATUM = [KEY, "age_group"]

_KNOWN = 5
"""The step from which on a span has an age group."""


@dataclass(frozen=True)
class Spans:
    """A population on its way.

    Args:
        steps: What leaves persons out, in order.
        met: Persons' keys and ``met``, the number of the last step met by a span of theirs.
        observed: One row per person, age group and span of time in the population.
        often: Keys of the persons who may have several spans in an age group.
    """

    steps: tuple[str, ...]
    met: ir.Table
    observed: ir.Table
    often: ir.Table


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
    # A person is observed once on a day, even where periods overlap. Most have one, which needs no sorting.
    valid = spans.filter(spans.date <= spans.until)
    counted = valid.group_by(KEY).aggregate(_rows=valid.count())
    often = keep("observed_often", counted.filter(counted["_rows"] > 1).select(KEY))
    several = joined(valid.semi_join(often, KEY), [KEY], 0).select(KEY, "date", "until")
    once = valid.anti_join(often, KEY).union(several, distinct=False)
    who = persons.select(
        KEY, "year_of_birth", sex=sex_of(persons), month_of_birth=_month(persons), day_of_birth=_day(persons)
    )
    spans = keep("observed_persons", _in_study(asked, who.join(once, KEY, how="inner")))
    aged = _in_age_groups(spans.filter(spans.met >= _KNOWN), asked)
    met = spans.select(KEY, "met")
    steps = (
        "person with a time of observation",
        "year of birth known",
        "observed in the study period",
        f"{asked.prior_observation_days} days of prior observation",
        "in an age group",
    )
    if asked.target is None:
        return Spans(steps, met, aged, often)
    entered = joined(lasting(asked.target, tables), [KEY], 0).select(KEY, "date", "until")
    aged = keep("observed_target", _within(aged, entered))
    counted = entered.group_by(KEY).aggregate(_rows=entered.count())
    often = often.union(counted.filter(counted["_rows"] > 1).select(KEY), distinct=True)
    last = aged.select(**{KEY: aged[KEY], "met": ibis.literal(len(steps) + 1, type="int64")})
    return Spans((*steps, "in the target cohort"), met.union(last, distinct=False), aged, often)


def _in_study(asked: Population, spans: ir.Table) -> ir.Table:
    """Each span as far as it lies in the study, with the ages at its ends and the last step that it met.

    All that costs time is computed here, once per span: adding days to a date takes as long as fifty sums.
    """
    first_day, last_day = ibis.literal(asked.study_start), ibis.literal(asked.study_end)
    cut = spans.mutate(
        start_date=ibis.greatest(_later(spans.date, asked.prior_observation_days), first_day),
        end_date=ibis.least(spans.until, last_day),
    )
    cut = cut.mutate(age_from=_age(cut, cut.start_date), age_to=_age(cut, cut.end_date))
    ages = [(cut.age_to >= first) & (cut.age_from <= last) for first, last in asked.age_groups]
    conditions = (
        cut.year_of_birth.notnull(),
        (cut.date <= last_day) & (cut.until >= first_day),
        cut.start_date <= cut.end_date,
        ibis.or_(*ages),
    )
    met: ir.Value = ibis.literal(1 + len(conditions), type="int64")
    for number, holds in reversed(list(enumerate(conditions, 1))):
        met = holds.ifelse(met, ibis.literal(number, type="int64"))
    return cut.select(
        KEY,
        "sex",
        "year_of_birth",
        "month_of_birth",
        "day_of_birth",
        "start_date",
        "end_date",
        "age_from",
        "age_to",
        met=met,
    )


def population_frame(asked: Population, tables: Tables, keep: Keep) -> ir.Table:
    """All spans of a population; see `Population`."""
    found = observed_spans(asked, tables, keep)
    observed = keep("observed_spans", _with_last_end(found.observed, found.often))
    parts = [_row(observed, "observed")]
    for number, (name, definition) in enumerate(asked.outcomes.items()):
        happened = joined(lasting(definition, tables), [KEY], 0).select(KEY, "date", "until")
        happened = keep(f"outcome_{number}", happened)
        parts += _outcome_parts(asked, observed, name, happened)
    return ibis.union(*parts, distinct=False) if len(parts) > 1 else parts[0]


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
        _row(known, "known", name),
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
    ended = (spans.event == 1).ifelse(spans.end_date, ibis.null("date"))
    marked = spans.mutate(first_event=ended.min().over(ibis.window(group_by=KEY)))
    return marked.filter(marked.first_event.isnull() | (marked.start_date <= marked.first_event))


def _in_age_groups(spans: ir.Table, asked: Population) -> ir.Table:
    """The part of each span in each age group."""
    parts = []
    for first, last in asked.age_groups:
        part = spans.filter((spans.age_to >= first) & (spans.age_from <= last))
        before_next = _later(_birthday(part, last + 1), -1)
        parts.append(
            part.select(
                **{
                    KEY: part[KEY],
                    "sex": part.sex,
                    "age_group": ibis.literal(age_label((first, last))),
                    "start_date": (part.age_from < first).ifelse(_birthday(part, first), part.start_date),
                    "end_date": (part.age_to > last).ifelse(before_next, part.end_date),
                }
            )
        )
    return ibis.union(*parts, distinct=False) if len(parts) > 1 else parts[0]


def _month(persons: ir.Table) -> ir.Value:
    """Month of birth; the middle of the year stands in where it is not known, as in every frame."""
    return persons.month_of_birth.fill_null(7)


def _day(persons: ir.Table) -> ir.Value:
    """Day of birth; the middle of the year or month stands in where it is not known, as in every frame."""
    return ibis.ifelse(persons.month_of_birth.isnull(), 1, persons.day_of_birth.fill_null(15))


def _age(persons: ir.Table, day: ir.Value) -> ir.Value:
    """Completed years; who was born on 29 February completes one on 1 March of other years."""
    birthday = persons.month_of_birth * 100 + persons.day_of_birth
    not_yet = (day.month() * 100 + day.day() < birthday).ifelse(1, 0)
    return (day.year() - persons.year_of_birth - not_yet).cast("int64")


def _birthday(persons: ir.Table, age: int) -> ir.Value:
    """The day on which a person completes so many years."""
    year = persons.year_of_birth + age
    leap = ((year % 4 == 0) & (year % 100 != 0)) | (year % 400 == 0)
    moved = (persons.month_of_birth == 2) & (persons.day_of_birth > 28) & ~leap
    return ibis.date(
        year.cast("int32"),
        moved.ifelse(3, persons.month_of_birth).cast("int32"),
        moved.ifelse(1, persons.day_of_birth).cast("int32"),
    )


def _within(spans: ir.Table, periods: ir.Table) -> ir.Table:
    """The part of each span in a cohort."""
    both = spans.join(periods, KEY, how="inner")
    cut = both.select(
        KEY,
        "sex",
        "age_group",
        start_date=ibis.greatest(both.start_date, both.date),
        end_date=ibis.least(both.end_date, both.until),
    )
    return cut.filter(cut.start_date <= cut.end_date)


def _with_last_end(spans: ir.Table, often: ir.Table | None = None) -> ir.Table:
    """With the end of the person's span before, so that a person can be counted once in an interval.

    Args:
        spans: The spans.
        often: Keys of the persons who may have several; None means anybody. The others need no sorting.
    """
    many = spans if often is None else spans.semi_join(often, KEY)
    order = ibis.window(group_by=STRATUM, order_by=many.start_date)
    told = many.mutate(last_end=many.end_date.lag().over(order))
    if often is None:
        return told
    return spans.anti_join(often, KEY).mutate(last_end=ibis.null("date")).union(told, distinct=False)


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
