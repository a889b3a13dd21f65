"""Each deadline of the Regulation, on days of real calendars that were counted by hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import pytest

from salerno.kernel.errors import Invalid
from salerno.kernel.time import Period
from salerno.permits.model.clock import Clock, ClockState, Route
from salerno.permits.rules.calendar import calendar_of
from salerno.permits.rules.clocks import CLOCKS, open_clocks, reminders_between, running


@dataclass(frozen=True)
class Event:
    at: datetime
    act: str
    detail: dict[str, Any] = field(default_factory=dict)


def events(text: str) -> list[Event]:
    """Lines such as ``2031-01-15 decided outcome=full``; an instant where the hour matters."""
    found = []
    for line in text.split(","):
        at, act, *detail = line.split()
        instant = datetime.fromisoformat(at if "T" in at else f"{at}T10:00").replace(tzinfo=UTC)
        found.append(Event(instant, act, dict(pair.split("=") for pair in detail)))
    return found


def clock(name: str, text: str, now: str, country: str = "FR", route: Route = Route.ORDINARY) -> Clock:
    at = datetime.fromisoformat(f"{now}T12:00").replace(tzinfo=UTC)
    return next(c for c in running(events(text), country, at, route=route) if c.deadline.name == name)


@pytest.mark.parametrize(
    ("name", "text", "country", "route", "due"),
    [
        # Ten working days without 6 January, which Finland keeps.
        ("pre-screening", "2031-01-02 received", "FI", "ordinary", "2031-01-17"),
        ("pre-screening", "2031-01-02 received", "FR", "ordinary", "2031-01-16"),
        # Easter Monday 2031 is 14 April: the period ends on the Tuesday.
        ("decision", "2031-01-14 found-complete", "FR", "ordinary", "2031-04-15"),
        ("decision", "2031-01-14 found-complete", "SE", "ordinary", "2031-04-15"),
        # Portugal works on Easter Monday.
        ("decision", "2031-01-14 found-complete", "PT", "ordinary", "2031-04-14"),
        # The month is shorter, and its last day a Sunday.
        ("decision", "2031-11-30 found-complete", "FR", "ordinary", "2032-03-01"),
        # 8 March is a holiday in Berlin alone.
        ("decision", "2032-12-08 found-complete", "DE", "ordinary", "2033-03-08"),
        ("decision", "2032-12-08 found-complete", "DE-BE", "ordinary", "2033-03-09"),
        # In Helsinki it was the 16th already.
        ("decision", "2031-01-15T23:30 found-complete", "FR", "ordinary", "2031-04-16"),
        ("decision", "2031-01-15T22:30 found-complete", "FR", "ordinary", "2031-04-15"),
        ("decision", "2031-01-15T22:30 found-complete", "FI", "ordinary", "2031-04-16"),
        ("decision", "2031-01-15 found-complete, 2031-02-01 extended", "FR", "ordinary", "2031-07-15"),
        (
            "decision",
            "2031-01-15 found-complete, 2031-02-01 extended, 2031-02-02 extended",
            "FR",
            "ordinary",
            "2031-07-15",
        ),
        (
            "decision",
            "2031-01-15 found-complete, 2031-02-01 extended until=2031-05-20",
            "FR",
            "ordinary",
            "2031-05-20",
        ),
        (
            "decision",
            "2031-01-15 found-complete, 2031-02-01 extended until=2032-05-20",
            "FR",
            "ordinary",
            "2031-07-15",
        ),
        (
            "decision",
            "2031-01-15 found-complete, 2031-02-03 information-requested, 2031-02-13 information-given",
            "FR",
            "ordinary",
            "2031-04-25",
        ),
        ("decision-public-body", "2031-01-15 found-complete", "FR", "public-body", "2031-03-17"),
        (
            "decision-public-body",
            "2031-01-15 found-complete, 2031-02-01 extended",
            "FR",
            "public-body",
            "2031-04-15",
        ),
        ("completion", "2031-01-15 information-requested", "FR", "ordinary", "2031-02-12"),
        ("trusted-assessment", "2031-01-15 passed-to-holder", "FR", "trusted-holder", "2031-03-17"),
        ("trusted-decision", "2031-03-17 assessed", "FR", "trusted-holder", "2031-05-19"),
        ("request-assessment", "2031-01-15 found-complete", "FR", "request", "2031-04-15"),
        ("request-answer", "2031-04-15 decided outcome=full", "FR", "request", "2031-07-15"),
        # Easter Monday, 1 and 8 May and Ascension (22 May) are holidays, Whit Monday comes after.
        ("publish-decision", "2031-04-11 decided", "FR", "ordinary", "2031-05-29"),
        ("publish-application", "2031-04-11 received", "FR", "ordinary", "2031-04-21"),
        ("ask-holders", "2031-04-11 issued", "FR", "ordinary", "2031-04-16"),
        ("fee-agreement", "2031-04-11 issued", "FR", "ordinary", "2031-05-12"),
        ("holder-delivery", "2031-01-15 data-requested holder=a", "FR", "ordinary", "2031-04-15"),
        (
            "holder-delivery",
            "2031-01-15 data-requested holder=a, 2031-03-01 extended clock=holder-delivery holder=a",
            "FR",
            "ordinary",
            "2031-07-15",
        ),
        ("delivery", "2031-01-15 data-received holder=a", "FR", "ordinary", "2031-03-17"),
        # Counted back from the end: 15 June 2031 is a Sunday and stays.
        ("extension-request", "2031-01-15 issued valid_until=2031-07-15", "FR", "ordinary", "2031-06-15"),
        ("permit-end", "2031-01-15 issued valid_until=2031-07-15T21:00:00Z", "FR", "ordinary", "2031-07-15"),
        ("results", "2031-01-15 processing-ended", "FR", "ordinary", "2032-07-15"),
        (
            "results",
            "2031-01-15 processing-ended, 2032-01-01 extended clock=results until=2034-03-01",
            "FR",
            "ordinary",
            "2034-03-01",
        ),
        ("results-of-request", "2031-01-15 data-delivered", "FR", "request", "2032-07-15"),
        ("deletion", "2031-01-15 expired", "FR", "ordinary", "2031-07-15"),
        ("deletion", "2031-01-15 revoked", "FR", "ordinary", "2031-07-15"),
        ("answer-to-charge", "2031-01-15 non-compliance-notified party=x", "FR", "ordinary", "2031-02-12"),
        ("yearly-check", "2031-01-15 description-published dataset=d", "FR", "ordinary", "2032-01-15"),
        (
            "yearly-check",
            "2031-01-15 description-published dataset=d, 2031-09-01 description-checked dataset=d",
            "FR",
            "ordinary",
            "2032-09-01",
        ),
        ("activity-report", "2029-03-26 report-period-began", "EU", "ordinary", "2031-09-26"),
        ("draft", "2031-01-15 drafted, 2031-02-20 saved", "FR", "ordinary", "2031-08-20"),
    ],
)
def test_last_day(name: str, text: str, country: str, route: str, due: str) -> None:
    found = running(events(text), country, events(text)[-1].at, route=Route(route))
    one = next(c for c in found if c.deadline.name == name)
    assert (one.state, one.due) == (ClockState.RUNNING, date.fromisoformat(due))
    assert one.turn == one.deadline.owes


def test_every_row_has_an_example() -> None:
    marks = test_last_day.pytestmark[0].args[1]  # type: ignore[attr-defined]
    assert {mark[0] for mark in marks} == set(CLOCKS)


def test_rows_say_all_that_people_need() -> None:
    for row in CLOCKS.values():
        assert row.label, row.name
        assert row.missed, row.name
        assert row.rule.startswith(("EHDS Art.", "TEHDAS2")), row.name
        assert row.length or row.anchor, row.name
        assert bool(row.paused_by) == bool(row.resumed_by), row.name


def test_a_decision_waits_while_the_applicant_is_asked() -> None:
    text = "2031-01-15 found-complete, 2031-02-03 information-requested"
    decision = clock("decision", text, "2031-06-01")
    assert (decision.state, decision.due, decision.turn) == (ClockState.PAUSED, None, "data applicant")
    completion = clock("completion", text, "2031-03-04")
    assert (completion.state, completion.days_left, completion.days_late) == (ClockState.MISSED, -1, 1)


def test_what_came_late_stays_late_but_is_met() -> None:
    text = (
        "2031-01-15 found-complete, 2031-04-20 information-requested, 2031-04-21 extended, 2031-04-25 decided"
    )
    assert clock("decision", text, "2031-04-24").state is ClockState.MISSED
    met = clock("decision", text, "2031-08-01")
    assert (met.state, met.due, met.days_late, met.turn) == (ClockState.MET, date(2031, 4, 15), 10, "")


def test_each_holder_has_a_clock_and_revocation_ends_all() -> None:
    asked = "2031-01-15 data-requested holder=a, 2031-01-20 data-requested holder=b"
    text = f"{asked}, 2031-02-01 data-received holder=a"
    at = datetime(2031, 3, 1, tzinfo=UTC)

    def states(extra: str = "") -> dict[str, ClockState]:
        found = running(events(text + extra), "FR", at)
        return {c.subject: c.state for c in found if c.deadline.name == "holder-delivery"}

    assert states() == {"a": ClockState.MET, "b": ClockState.RUNNING}
    assert states(", 2031-02-10 revoked") == {"a": ClockState.MET, "b": ClockState.VOID}


def test_a_refused_request_is_answered_by_the_refusal() -> None:
    found = running(
        events("2031-04-15 decided outcome=refusal"),
        "FR",
        datetime(2031, 5, 1, tzinfo=UTC),
        route=Route.REQUEST,
    )
    assert "request-answer" not in {c.deadline.name for c in found}


def test_reminders_come_before_the_last_day_and_once_after() -> None:
    text = "2031-01-15 information-requested"
    one = clock("completion", text, "2031-01-16")
    assert [str(day) for day in one.reminders] == ["2031-01-29", "2031-02-05", "2031-02-11"]
    told = reminders_between([one], date(2031, 1, 29), date(2031, 2, 5))
    assert [(r.day, r.missed) for r in told] == [(date(2031, 2, 5), False)]
    late = open_clocks(running(events(text), "FR", datetime(2031, 2, 20, tzinfo=UTC)))
    missed = reminders_between(late, date(2031, 1, 1), date(2031, 2, 20))
    assert [(r.day, r.missed) for r in missed] == [(date(2031, 2, 13), True)]
    assert missed[0].key == "completion//20310115T100000Z/2031-02-13"


def test_short_periods_hold_two_working_days() -> None:
    france = calendar_of("FR")
    friday = date(2031, 1, 17)
    assert france.end_of(friday, Period(days=1)) == date(2031, 1, 20)
    assert france.end_of(friday, Period(days=2)) == date(2031, 1, 21)
    assert france.end_of(friday, Period(working_days=1)) == date(2031, 1, 20)
    assert str(Period(working_days=1)) == "1 working day"
    with pytest.raises(ValueError, match="one unit"):
        Period(months=1, days=1)


def test_unknown_places_are_named() -> None:
    with pytest.raises(Invalid, match="no Member State"):
        calendar_of("XX")
    with pytest.raises(Invalid, match="Germany has no region 'BX'"):
        calendar_of("DE-BX")
