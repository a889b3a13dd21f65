"""Frames with groups as Ibis expressions: who enters, when, in which group, what follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from salerno.holdings.engine.drugs import drug_columns
from salerno.holdings.engine.events import KEY, Tables, days_between, events
from salerno.holdings.model import Covariate, EventDefinition, StudyFrame
from salerno.standards.omop import FEMALE, MALE

LEVEL = "_level"
"""Number of the group of an entry; with `KEY` it names the entry."""

ENTRY = [KEY, LEVEL]


@dataclass(frozen=True)
class Steps:
    """A frame on its way, after each step that leaves entries out.

    Args:
        by_step: Entries left after each step, in order, with `KEY`.
        entries: Those that stay, with all that is known of them.
    """

    by_step: Mapping[str, ir.Table]
    entries: ir.Table


def build(frame: StudyFrame, tables: Tables) -> Steps:
    """The entries of a frame, with those that each step leaves.

    Args:
        frame: What is asked for; checked by `check_frame`, without names of saved cohorts.
        tables: OMOP tables and cohorts, already without what must not be read.
    """
    persons = tables("person")
    entered = _index(frame, tables).join(persons, KEY, how="inner")
    one_group = entered.filter(entered.n_groups == 1)
    observed = _observed(one_group, tables("observation_period"))
    washed = observed.filter(days_between(observed.index_date, observed.observed_from) >= frame.washout_days)
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
    if frame.entry == "each":
        del steps["first event in one group only"]
    return Steps(steps, at_risk)


def _index(frame: StudyFrame, tables: Tables) -> ir.Table:
    """The events that persons enter with, and of how many groups there is one on that day."""
    marked = [
        events(definition, tables).mutate(**{LEVEL: ibis.literal(number, type="int16")})
        for number, definition in enumerate(frame.groups.values())
    ]
    every = marked[0] if len(marked) == 1 else ibis.union(*marked, distinct=False)
    firsts = every.group_by(ENTRY).aggregate(first=every.date.min())
    if frame.entry == "each":
        joined = firsts.mutate(index_date=firsts["first"], n_groups=ibis.literal(1, type="int64"))
    else:
        per_person = firsts.group_by(KEY).aggregate(index_date=firsts["first"].min())
        # One row per person and group whose first event is on the index date: a second one is a tie.
        on_day = firsts.join(per_person, KEY, how="inner")
        on_day = on_day.filter(on_day["first"] == on_day.index_date)
        joined = on_day.group_by([KEY, "index_date"]).aggregate(
            **{LEVEL: on_day[LEVEL].min(), "n_groups": on_day.count()}
        )
    names = ibis.cases(*((joined[LEVEL] == number, name) for number, name in enumerate(frame.groups)))
    return joined.select(*ENTRY, "index_date", "n_groups", group=names)


def _observed(entered: ir.Table, periods: ir.Table) -> ir.Table:
    """Those whose index date lies in a period of observation, with its first and last day."""
    spans = periods.select(
        **{
            KEY: periods[KEY],
            "span_from": periods.observation_period_start_date,
            "span_to": periods.observation_period_end_date,
        }
    )
    both = entered.select(*ENTRY, "index_date").join(spans, KEY, how="inner")
    inside = both.filter((both.span_from <= both.index_date) & (both.index_date <= both.span_to))
    # Periods should not overlap, but where they do the person was seen in all of them.
    span = inside.group_by(ENTRY).aggregate(
        observed_from=inside.span_from.min(), observed_to=inside.span_to.max()
    )
    return entered.join(span, ENTRY, how="inner")


def _followed(frame: StudyFrame, observed: ir.Table, tables: Tables) -> ir.Table:
    """Days of follow-up, whether the outcome ended it, and whether it had come up to the index date."""
    deaths = events(EventDefinition(table="death"), tables)
    died = deaths.group_by(KEY).aggregate(died=deaths.date.min())
    table = observed.left_join(died, KEY).drop(f"{KEY}_right")
    table = _with_first(table, frame.outcome, "outcome", tables)
    table = _with_first(table, frame.competing, "competing", tables)
    observed_for = days_between(table.observed_to, table.index_date)
    # Who did not die is followed to the end of observation. LEAST passes over null, but on Trino it is null.
    until = [observed_for, days_between(table.died, table.index_date).fill_null(observed_for)]
    if frame.follow_up_days is not None:
        until.append(ibis.literal(frame.follow_up_days, type="int64"))
    table = table.mutate(
        censored=ibis.least(*until),
        outcome_day=days_between(table.first_outcome, table.index_date),
        competing_day=days_between(table.first_competing, table.index_date),
    )
    # On one day with the outcome, the competing event comes second: the outcome has been seen.
    other = (table.competing_day <= table.censored).fill_null(False)
    table = table.mutate(censored=ibis.ifelse(other, table.competing_day, table.censored), other=other)
    hit = (table.outcome_day <= table.censored).fill_null(False)
    return table.mutate(days=ibis.ifelse(hit, table.outcome_day, table.censored), hit=hit)


def _with_first(table: ir.Table, event: EventDefinition | None, name: str, tables: Tables) -> ir.Table:
    """The entries with the first day of an event after the index date, and whether it had come before."""
    first, had = f"first_{name}", f"had_{name}"
    if event is None:
        return table.mutate(**{first: ibis.null("date"), had: ibis.literal(False)})
    both = table.select(*ENTRY, "index_date").join(events(event, tables), KEY, how="inner")
    found = both.group_by(ENTRY).aggregate(
        **{first: both.date.min(where=both.date > both.index_date), "earliest": both.date.min()}
    )
    table = table.left_join(found, ENTRY).drop(*(f"{key}_right" for key in ENTRY))
    return table.mutate(**{had: (table.earliest <= table.index_date).fill_null(False)}).drop("earliest")


def frame_columns(frame: StudyFrame, entries: ir.Table, tables: Tables) -> ir.Table:
    """The frame's columns of its entries, with their key.

    Covariates get their own names last, so that none can meet a name of ours.
    """
    table = entries
    marks = {covariate.name: f"_covariate_{number}" for number, covariate in enumerate(frame.covariates)}
    for covariate in frame.covariates:
        seen = _seen(entries, events(covariate.event, tables), covariate)
        seen = seen.mutate(**{marks[covariate.name]: ibis.literal(1, type="int64")})
        table = table.left_join(seen, ENTRY).drop(*(f"{key}_right" for key in ENTRY))
    used: dict[str, ir.Value] = {}
    if frame.drug is not None:
        found = drug_columns(entries, frame.drug, tables, ENTRY)
        names = [name for name in found.columns if name not in ENTRY]
        table = table.left_join(found, ENTRY).drop(*(f"{key}_right" for key in ENTRY))
        numbers = {"n_exposures", "n_eras", "days_exposed"}
        used = {name: table[name].fill_null(0) if name in numbers else table[name] for name in names}
    return table.select(
        **{
            KEY: table[KEY],
            "group": table.group,
            "time": table.days.cast("int64"),
            "status": ibis.cases((table.hit, 1), (table.other, 2), else_=0).cast("int64"),
            "age": age_at(table, table.index_date),
            "sex": sex_of(table),
            "index_year": table.index_date.year().cast("int64"),
            "prior_observation": days_between(table.index_date, table.observed_from).cast("int64"),
            "future_observation": days_between(table.observed_to, table.index_date).cast("int64"),
            **{name: table[mark].fill_null(0).cast("int64") for name, mark in marks.items()},
            **used,
        }
    )


def _seen(entries: ir.Table, happened: ir.Table, covariate: Covariate) -> ir.Table:
    """The entries of those who had an event in the covariate's time around the index date."""
    both = entries.select(*ENTRY, "index_date").join(happened, KEY, how="inner")
    day = days_between(both.date, both.index_date)
    back = covariate.days_before
    window = covariate.window or (None if back is None else -back, -1)
    return both.filter(in_window(day, window)).select(*ENTRY).distinct()


def in_window(day: ir.Value, window: tuple[int | None, int | None]) -> ir.BooleanValue:
    """Whether a day relative to the index date lies in a window."""
    first, last = window
    inside = ibis.literal(True) & day.notnull()
    inside = inside if first is None else inside & (day >= first)
    return inside if last is None else inside & (day <= last)


def sex_of(persons: ir.Table) -> ir.Value:
    """``F``, ``M`` or ``U``."""
    return ibis.cases(
        (persons.gender_concept_id == FEMALE, "F"), (persons.gender_concept_id == MALE, "M"), else_="U"
    )


def age_at(persons: ir.Table, day: ir.Value) -> ir.Value:
    """Full years on a day. The middle of the year or month stands in for a birth date known so far only."""
    month = persons.month_of_birth.fill_null(7)
    day_of_birth = ibis.ifelse(persons.month_of_birth.isnull(), 1, persons.day_of_birth.fill_null(15))
    before_birthday = day.month() * 100 + day.day() < month * 100 + day_of_birth
    return (day.year() - persons.year_of_birth - ibis.ifelse(before_birthday, 1, 0)).cast("int64")
