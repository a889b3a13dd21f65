"""Incidence of outcomes in a population: new cases per 100,000 person-years, by calendar interval.

Question: ``{"method": "incidence", "interval": "years", "outcomes": ["stroke"], "by": "sex"}``;
``interval`` is ``years`` (default), ``quarters``, ``months`` or ``overall``; ``outcomes`` are all of the
population's unless named. Which time is at risk (washout, repeated events, prior observation, age) is the
frame's to say.
Result: ``{"estimates": [{"outcome", "age_group", "sex", "interval", "start_date", "end_date", "n_persons",
"person_days", "person_years", "n_events", "incidence_100000_pys", "conf_low", "conf_high"}], "interval",
"conf_level"}``. The confidence limits are exact for a Poisson count.

A person counts as often in an interval as in one: once. Figures of fewer persons than the threshold, and
events that are fewer, are null, with others that would give them away.

Source:
    Raventós et al., IncidencePrevalence, Pharmacoepidemiology and Drug Safety 2024; Ulm, American Journal of
    Epidemiology 131 (1990) 373, for the limits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import gammaincinv

from salerno.analysis.disclosure.persons import check_some
from salerno.analysis.model import Aggregate, Question, Released, Result, Scope, Sums
from salerno.analysis.questions import CONF_LEVEL, check_keys, choice, conf_level
from salerno.analysis.sums.calendar import UNITS, calendar_of
from salerno.analysis.sums.spans import (
    BY_SEX,
    COMPLETE,
    INTERVAL,
    OUTCOMES,
    Strata,
    at_intervals,
    covered,
    hidden_strata,
    is_again,
    numbers,
    strata_of,
    told_rows,
)

NAME = "incidence"
LABEL = "Incidence"
PARAMETERS = (INTERVAL, OUTCOMES, BY_SEX, COMPLETE, CONF_LEVEL)

DAYS_PER_YEAR = 365.25
PER = 100_000

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class State:
    """The question, understood."""

    strata: Strata
    conf_level: float


def start(question: Question, scope: Scope) -> State:
    """Check the question."""
    check_keys(question, PARAMETERS)
    calendar = calendar_of(scope, choice(question, "interval", UNITS, "years"))
    return State(strata_of(question, scope, calendar), conf_level(question))


def local(view: ir.Table, state: State) -> Aggregate:
    """Group spans by stratum and by the intervals in which they begin and end."""
    calendar = state.strata.calendar
    spans = view.filter(view.span != "case")
    rows = spans.select(
        "age_group",
        "sex",
        "span",
        "outcome",
        "event",
        low=calendar.index(spans.start_date),
        high=calendar.index(spans.end_date),
        skipped=calendar.offset(spans.start_date),
        reached=calendar.offset(spans.end_date),
        again=is_again(spans, calendar),
    )
    expression = rows.group_by(["age_group", "sex", "span", "outcome", "low", "high", "again"]).aggregate(
        n=rows.count(), skipped=rows.skipped.sum(), reached=rows.reached.sum(), events=rows.event.sum()
    )
    observed = view.span == "observed"
    happened = (view.event == 1).fill_null(False)
    released = (
        Released(observed.fill_null(False), (view.age_group, view.sex)),
        Released(happened, (view.age_group, view.sex, view.outcome, calendar.index(view.end_date))),
    )
    return Aggregate(expression, lambda table: _sums(table, state), released)


def _sums(table: pa.Table, state: State) -> Sums:
    """Persons, days and events at risk of each outcome, shape (age groups, sexes, outcomes, intervals)."""
    strata = state.strata
    n, low, high, again, skipped, reached, events = numbers(
        table, "n", "low", "high", "again", "skipped", "reached", "events"
    )
    place = strata.places(table)
    at_risk = np.array([span == "at_risk" for span in table["span"].to_pylist()], dtype=bool).reshape(-1)
    # Of those who ever have an outcome, the time at risk takes the place of the time observed.
    sign = np.where(at_risk | (place[2] == 0), 1, -1)
    keep = (place[0] >= 0) & (place[1] >= 0) & (place[2] >= 0)
    place = tuple(index[keep] for index in place)  # type: ignore[assignment]
    n, low, high, again, skipped, reached, events, sign = (
        values[keep] for values in (n, low, high, again, skipped, reached, events, sign)
    )
    lengths = strata.calendar.lengths
    shape = strata.shape
    days = covered(shape, place, low, high, sign * n) * lengths
    days -= at_intervals(sign * skipped, place, low, shape)
    days -= at_intervals(sign * (n * (lengths[high] - 1) - reached), place, high, shape)
    persons = covered(shape, place, low + again, high, sign * n)
    return {
        "persons": persons[:, :, :1] + persons[:, :, 1:],
        "days": days[:, :, :1] + days[:, :, 1:],
        "events": at_intervals(events, place, high, shape)[:, :, 1:],
        "hidden_persons": np.zeros((*shape[:2], shape[2] - 1, shape[3]), dtype=np.int64),
        "hidden_events": np.zeros((*shape[:2], shape[2] - 1, shape[3]), dtype=np.int64),
    }


def guard(sums: Sums, state: State, scope: Scope) -> Sums:
    """With few holders, withhold each small figure of this one."""
    if not scope.few:
        return sums
    persons, events = _hidden(sums, scope.policy.min_cell)
    blank_persons, blank_events = persons[:, :-1], events[:, :-1]
    return {
        "persons": np.where(blank_persons, 0, sums["persons"]),
        "days": np.where(blank_persons, 0, sums["days"]),
        "events": np.where(blank_persons | blank_events, 0, sums["events"]),
        "hidden_persons": blank_persons.astype(np.int64),
        "hidden_events": (blank_persons | blank_events).astype(np.int64),
    }


def step(sums: Sums, state: State) -> Result:
    """Rates with their limits, without what may not be told."""
    strata, policy = state.strata, state.strata.scope.policy
    check_some(int(sums["persons"].max(initial=0)), policy)
    persons_hidden, events_hidden = _hidden(sums, policy.min_cell)
    figures = {name: _with_both(sums[name]) for name in ("persons", "days", "events")}
    records: list[dict[str, Any]] = []
    suppressed = most = 0
    for head, at in told_rows(strata, figures["persons"]):
        few, rare = bool(persons_hidden[at]), bool(events_hidden[at])
        suppressed += few or rare
        most = most if few else max(most, int(figures["persons"][at]))
        records.append({**head, **_estimate({k: int(v[at]) for k, v in figures.items()}, few, rare, state)})
    result = {"estimates": records, "interval": strata.calendar.unit, "conf_level": state.conf_level}
    return Result(result, most, suppressed=suppressed)


def _with_both(values: Counts) -> Counts:
    """The sexes, and both together as one more."""
    return np.concatenate([values, values.sum(axis=1, keepdims=True)], axis=1)


def _hidden(sums: Sums, min_cell: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Cells whose persons, and cells whose events, must not be told; both sexes last."""
    ages, sexes, outcomes, intervals = sums["events"].shape
    flags = [np.zeros((ages, sexes + 1, outcomes, intervals), dtype=bool) for _ in range(2)]
    for flag, name in zip(flags, ("persons", "events"), strict=True):
        for outcome in range(outcomes):
            for at in range(intervals):
                cell = (slice(None), slice(None), outcome, at)
                given = sums[f"hidden_{name}"][cell] > 0
                flag[cell] = hidden_strata(sums[name][cell], min_cell, given)
    return flags[0], flags[0] | flags[1]


def _estimate(figures: dict[str, int], few: bool, rare: bool, state: State) -> dict[str, Any]:
    days, events = figures["days"], figures["events"]
    years = days / DAYS_PER_YEAR
    told: dict[str, Any] = {
        "n_persons": None if few else figures["persons"],
        "person_days": None if few else days,
        "person_years": None if few else years,
        "n_events": None if few or rare else events,
        "incidence_100000_pys": None,
        "conf_low": None,
        "conf_high": None,
    }
    if few or rare or days == 0:
        return told
    low, high = poisson_limits(events, state.conf_level)
    rates = {"incidence_100000_pys": events, "conf_low": low, "conf_high": high}
    return told | {name: float(value / years * PER) for name, value in rates.items()}


def poisson_limits(events: int, level: float) -> tuple[float, float]:
    """Exact confidence limits of a Poisson count: half of chi-square quantiles with 2n and 2n + 2 degrees."""
    tail = (1 - level) / 2
    low = float(gammaincinv(events, tail)) if events else 0.0
    return low, float(gammaincinv(events + 1, 1 - tail))
