"""Prevalence of outcomes in a population: who has an outcome on a day, or at any time in an interval.

Question: ``{"method": "prevalence", "kind": "period", "interval": "years", "by": "sex"}``; ``kind`` is
``period`` (default) or ``point`` (on the first day of each interval); ``full_contribution`` true counts in
an interval only those who were observed all through it; ``outcomes`` are all of the population's unless
named.
Result: ``{"estimates": [{"outcome", "age_group", "sex", "interval", "start_date", "end_date", "n_population",
"n_cases", "prevalence", "conf_low", "conf_high"}], "kind", "interval", "full_contribution",
"conf_level"}``. The confidence limits are Wilson's.

A case has the outcome while observed. Figures of fewer persons than the threshold, cases or persons
without the outcome, are null, with others that would give them away.

Source:
    Raventós et al., IncidencePrevalence, Pharmacoepidemiology and Drug Safety 2024; Wilson, Journal of the
    American Statistical Association 22 (1927) 209.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import ndtri

from salerno.analysis.disclosure.persons import check_some
from salerno.analysis.model import Aggregate, Parameter, Question, Released, Result, Scope, Sums
from salerno.analysis.questions import CONF_LEVEL, check_keys, choice, conf_level
from salerno.analysis.sums.calendar import UNITS, Calendar, calendar_of
from salerno.analysis.sums.spans import (
    BY_SEX,
    COMPLETE,
    INTERVAL,
    OUTCOMES,
    Strata,
    covered,
    hidden_strata,
    is_again,
    numbers,
    strata_of,
    told_rows,
    truth,
)

NAME = "prevalence"
LABEL = "Prevalence"
PARAMETERS = (
    Parameter(
        name="kind",
        label="Counted",
        kind="choice",
        optional=True,
        options=(("", "At any time in the interval"), ("point", "On the first day of the interval")),
    ),
    INTERVAL,
    OUTCOMES,
    BY_SEX,
    Parameter(
        name="full_contribution",
        label="Of those",
        kind="choice",
        optional=True,
        advanced=True,
        options=(("", "Observed in the interval"), ("true", "Observed all through the interval")),
    ),
    COMPLETE,
    CONF_LEVEL,
)

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class State:
    """The question, understood."""

    strata: Strata
    kind: str
    full: bool
    conf_level: float


def start(question: Question, scope: Scope) -> State:
    """Check the question."""
    check_keys(question, PARAMETERS)
    calendar = calendar_of(scope, choice(question, "interval", UNITS, "years"))
    return State(
        strata=strata_of(question, scope, calendar),
        kind=choice(question, "kind", ("period", "point"), "period"),
        full=truth(question, "full_contribution", default=False),
        conf_level=conf_level(question),
    )


def local(view: ir.Table, state: State) -> Aggregate:
    """Group spans by stratum and by the first and last interval in which they count."""
    calendar = state.strata.calendar
    counts = (view.span == "observed") | (view.span == "case")
    spans = view.filter(counts)
    first, last = _bounds(spans, state, calendar)
    rows = spans.select("age_group", "sex", "outcome", low=first.cast("int64"), high=last.cast("int64"))
    rows = rows.filter(rows.low <= rows.high)
    expression = rows.group_by(["age_group", "sex", "outcome", "low", "high"]).aggregate(n=rows.count())
    released = (
        Released((view.span == "observed").fill_null(False), (view.age_group, view.sex)),
        Released((view.span == "case").fill_null(False), (view.age_group, view.sex, view.outcome)),
    )
    return Aggregate(expression, lambda table: _sums(table, state), released)


def _bounds(spans: ir.Table, state: State, calendar: Calendar) -> tuple[ir.Value, ir.Value]:
    """First and last interval in which a span counts; it counts in none when the first is later."""
    begins, ends = calendar.index(spans.start_date), calendar.index(spans.end_date)
    if state.kind == "point":
        return begins + _partial(calendar.offset(spans.start_date) > 0), ends
    first, last = begins + is_again(spans, calendar), ends
    if not state.full:
        return first, last
    # A case counts where the person's whole time observed, not the time with the outcome, fills the interval.
    entered, left = spans.entered.fill_null(spans.start_date), spans.left.fill_null(spans.end_date)
    whole = calendar.index(entered) + _partial(calendar.offset(entered) > 0)
    until = calendar.index(left) - _partial(~calendar.is_last_day(left))
    return ibis.greatest(first, whole), ibis.least(last, until)


def _partial(condition: ir.BooleanValue) -> ir.IntegerValue:
    return ibis.ifelse(condition, 1, 0).cast("int64")


def _sums(table: pa.Table, state: State) -> Sums:
    """Persons and cases, shapes (age groups, sexes, intervals) and with outcomes before intervals."""
    n, low, high = numbers(table, "n", "low", "high")
    place = state.strata.places(table)
    keep = (place[0] >= 0) & (place[1] >= 0) & (place[2] >= 0)
    index = tuple(values[keep] for values in place)
    shape = state.strata.shape
    counts = covered(shape, index, low[keep], high[keep], n[keep])
    return {
        "persons": counts[:, :, 0],
        "cases": counts[:, :, 1:],
        "hidden_persons": np.zeros_like(counts[:, :, 0]),
        "hidden_cases": np.zeros_like(counts[:, :, 1:]),
    }


def guard(sums: Sums, state: State, scope: Scope) -> Sums:
    """With few holders, withhold each small figure of this one."""
    if not scope.few:
        return sums
    persons, cases = _hidden(sums, scope.policy.min_cell)
    blank_persons, blank_cases = persons[:, :-1], cases[:, :-1]
    return {
        "persons": np.where(blank_persons, 0, sums["persons"]),
        "cases": np.where(blank_cases, 0, sums["cases"]),
        "hidden_persons": blank_persons.astype(np.int64),
        "hidden_cases": blank_cases.astype(np.int64),
    }


def step(sums: Sums, state: State) -> Result:
    """Proportions with their limits, without what may not be told."""
    strata, policy = state.strata, state.strata.scope.policy
    check_some(int(sums["persons"].max(initial=0)), policy)
    hidden_persons, hidden_cases = _hidden(sums, policy.min_cell)
    persons, cases = (
        np.concatenate([v, v.sum(axis=1, keepdims=True)], axis=1) for v in (sums["persons"], sums["cases"])
    )
    records: list[dict[str, Any]] = []
    suppressed = most = 0
    each = np.broadcast_to(persons[:, :, None], cases.shape)
    for head, at in told_rows(strata, each):
        age, sex, _, interval = at
        few, rare = bool(hidden_persons[age, sex, interval]), bool(hidden_cases[at])
        suppressed += few or rare
        n, ill = int(each[at]), int(cases[at])
        most = most if few else max(most, n)
        told = n > 0 and not few and not rare
        low, high = wilson_limits(ill, n, state.conf_level) if told else (None, None)
        records.append(
            {
                **head,
                "n_population": None if few else n,
                "n_cases": None if few or rare else ill,
                "prevalence": ill / n if told else None,
                "conf_low": low,
                "conf_high": high,
            }
        )
    result = {
        "estimates": records,
        "kind": state.kind,
        "interval": strata.calendar.unit,
        "full_contribution": state.full,
        "conf_level": state.conf_level,
    }
    return Result(result, most, suppressed=suppressed)


def _hidden(sums: Sums, min_cell: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Cells whose persons (without outcomes), and cells whose cases, must not be told; both sexes last.

    Where few persons do not have the outcome, the cases are blank, since the population is told.
    """
    ages, sexes, outcomes, intervals = sums["cases"].shape
    persons = np.zeros((ages, sexes + 1, intervals), dtype=bool)
    cases = np.zeros((ages, sexes + 1, outcomes, intervals), dtype=bool)
    for at in range(intervals):
        given = sums["hidden_persons"][:, :, at] > 0
        persons[:, :, at] = hidden_strata(sums["persons"][:, :, at], min_cell, given)
        for outcome in range(outcomes):
            cell = (slice(None), slice(None), outcome, at)
            withheld = sums["hidden_cases"][cell] > 0
            ill = sums["cases"][cell]
            well = np.maximum(sums["persons"][:, :, at] - ill, 0)
            cases[cell] = hidden_strata(ill, min_cell, withheld) | hidden_strata(well, min_cell, withheld)
            cases[cell] |= persons[:, :, at]
    return persons, cases


def wilson_limits(count: int, n: int, level: float) -> tuple[float, float]:
    """Wilson's confidence limits of a proportion."""
    z = float(ndtri(0.5 + level / 2))
    middle = (count + z * z / 2) / (n + z * z)
    reach = z / (n + z * z) * sqrt(count * (n - count) / n + z * z / 4)
    return max(middle - reach, 0.0), min(middle + reach, 1.0)
