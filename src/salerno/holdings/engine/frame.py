"""The study frame on OMOP tables as one Ibis expression: who enters, when, in which group, what follows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from salerno.holdings.model import EventDefinition, StudyFrame
from salerno.standards.omop import EVENT_TABLES, FEMALE, MALE

KEY = "_person"
"""Name of the person's key inside the engine; never a column of a view."""

Tables = Callable[[str], ir.Table]
"""Gives an OMOP table of the standard's types, limited to what may be read."""


@dataclass(frozen=True)
class Steps:
    """A frame on its way, after each step that leaves persons out; each table has `KEY`.

    Args:
        by_step: Persons left after each step, in order.
        frame: The frame with its key, before the conditions of `where`.
    """

    by_step: Mapping[str, ir.Table]
    frame: ir.Table


def build(frame: StudyFrame, tables: Tables) -> Steps:
    """The frame as one expression, with the persons that each step leaves.

    Args:
        frame: What is asked for; checked by `check_frame`.
        tables: OMOP tables, already without what must not be read.
    """
    persons = tables("person")
    entered = _index(frame, tables).join(persons, KEY, how="inner")
    one_group = entered.filter(entered.n_groups == 1)
    observed = _observed(one_group, tables("observation_period"))
    washed = observed.filter(_days(observed.index_date, observed.observed_from) >= frame.washout_days)
    followed = _followed(frame, washed, tables)
    fresh = followed if frame.allow_prior_outcome else followed.filter(~followed.had_outcome)
    at_risk = fresh.filter(fresh.days >= 1)
    steps = {
        "index event of a group": entered,
        "first event in one group only": one_group,
        "index date inside an observation period": observed,
        f"{frame.washout_days} days of observation before the index date": washed,
        "no outcome up to the index date": fresh,
        "at least one day of follow-up": at_risk,
    }
    return Steps(steps, _columns(frame, at_risk, tables))


def events(definition: EventDefinition, tables: Tables) -> ir.Table:
    """Person's key and date of each event that a definition names."""
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
    table = table.filter(table[event.start].notnull())
    return table.select(**{KEY: table[KEY], "date": table[event.start]})


def _index(frame: StudyFrame, tables: Tables) -> ir.Table:
    """First event of any group per person, and of how many groups there is one on that day."""
    levels = list(frame.groups)
    marked = [
        events(definition, tables).mutate(level=ibis.literal(number, type="int16"))
        for number, definition in enumerate(frame.groups.values())
    ]
    every = marked[0] if len(marked) == 1 else ibis.union(*marked, distinct=False)
    firsts = every.group_by([KEY, "level"]).aggregate(first=every.date.min())
    per_person = firsts.group_by(KEY).aggregate(index_date=firsts["first"].min())
    # One row per person and group whose first event is on the index date: a second one is a tie.
    on_day = firsts.join(per_person, KEY, how="inner")
    on_day = on_day.filter(on_day["first"] == on_day.index_date)
    joined = on_day.group_by([KEY, "index_date"]).aggregate(level=on_day.level.min(), n_groups=on_day.count())
    names = ibis.cases(*((joined.level == number, name) for number, name in enumerate(levels)))
    return joined.select(KEY, "index_date", "n_groups", group=names)


def _observed(entered: ir.Table, periods: ir.Table) -> ir.Table:
    """Those whose index date lies in a period of observation, with its first and last day."""
    spans = periods.select(
        **{
            KEY: periods[KEY],
            "span_from": periods.observation_period_start_date,
            "span_to": periods.observation_period_end_date,
        }
    )
    both = entered.select(KEY, "index_date").join(spans, KEY, how="inner")
    inside = both.filter((both.span_from <= both.index_date) & (both.index_date <= both.span_to))
    # Periods should not overlap, but where they do the person was seen in all of them.
    span = inside.group_by(KEY).aggregate(
        observed_from=inside.span_from.min(), observed_to=inside.span_to.max()
    )
    return entered.join(span, KEY, how="inner")


def _followed(frame: StudyFrame, observed: ir.Table, tables: Tables) -> ir.Table:
    """Days of follow-up, whether the outcome ended it, and whether it had come up to the index date."""
    deaths = events(EventDefinition(table="death"), tables)
    died = deaths.group_by(KEY).aggregate(died=deaths.date.min())
    table = observed.left_join(died, KEY).drop(f"{KEY}_right")
    if frame.outcome is None:
        table = table.mutate(first_outcome=ibis.null("date"), had_outcome=ibis.literal(False))
    else:
        happened = events(frame.outcome, tables)
        both = table.select(KEY, "index_date").join(happened, KEY, how="inner")
        outcome = both.group_by(KEY).aggregate(
            first_outcome=both.date.min(where=both.date > both.index_date),
            earliest=both.date.min(),
        )
        table = table.left_join(outcome, KEY).drop(f"{KEY}_right")
        table = table.mutate(had_outcome=(table.earliest <= table.index_date).fill_null(False))
    until = [_days(table.observed_to, table.index_date), _days(table.died, table.index_date)]
    if frame.follow_up_days is not None:
        until.append(ibis.literal(frame.follow_up_days, type="int64"))
    # LEAST passes over missing dates: who did not die is followed to the end of observation.
    table = table.mutate(
        censored=ibis.least(*until), outcome_day=_days(table.first_outcome, table.index_date)
    )
    hit = (table.outcome_day <= table.censored).fill_null(False)
    return table.mutate(days=ibis.ifelse(hit, table.outcome_day, table.censored), hit=hit)


def _columns(frame: StudyFrame, persons: ir.Table, tables: Tables) -> ir.Table:
    """The frame's columns. Covariates get their own names last, so that none can meet a name of ours."""
    table = persons
    marks = {covariate.name: f"_covariate_{number}" for number, covariate in enumerate(frame.covariates)}
    for covariate in frame.covariates:
        seen = _before(persons, events(covariate.event, tables), covariate.days_before)
        seen = seen.mutate(**{marks[covariate.name]: ibis.literal(1, type="int64")})
        table = table.left_join(seen, KEY).drop(f"{KEY}_right")
    return table.select(
        **{
            KEY: table[KEY],
            "group": table.group,
            "time": table.days.cast("int64"),
            "status": ibis.ifelse(table.hit, 1, 0).cast("int64"),
            "age": _age(table),
            "sex": ibis.cases(
                (table.gender_concept_id == FEMALE, "F"), (table.gender_concept_id == MALE, "M"), else_="U"
            ),
            "index_year": table.index_date.year().cast("int64"),
            **{name: table[mark].fill_null(0).cast("int64") for name, mark in marks.items()},
        }
    )


def _before(persons: ir.Table, happened: ir.Table, days_before: int | None) -> ir.Table:
    """Keys of those who had an event on an earlier day than their index date."""
    both = persons.select(KEY, "index_date").join(happened, KEY, how="inner")
    earlier = both.date < both.index_date
    if days_before is not None:
        earlier = earlier & (_days(both.index_date, both.date) <= days_before)
    return both.filter(earlier).select(KEY).distinct()


def _age(persons: ir.Table) -> ir.Value:
    """Full years at index. The middle of the year or month stands in for a birth date known so far only."""
    month = persons.month_of_birth.fill_null(7)
    day = ibis.ifelse(persons.month_of_birth.isnull(), 1, persons.day_of_birth.fill_null(15))
    index = persons.index_date
    before_birthday = index.month() * 100 + index.day() < month * 100 + day
    return (index.year() - persons.year_of_birth - ibis.ifelse(before_birthday, 1, 0)).cast("int64")


def _days(later: ir.Value, earlier: ir.Value) -> ir.Value:
    return later.delta(earlier, unit="day")
