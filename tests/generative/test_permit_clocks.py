"""What holds of legal clocks whatever happens in a case, in whatever order one hears of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from salerno.kernel.time import Period
from salerno.permits.model.clock import Clock, ClockState, Route
from salerno.permits.rules.calendar import calendar_of
from salerno.permits.rules.clocks import CLOCKS, EXTENDED, running

ACTS = sorted(
    {a for d in CLOCKS.values() for a in (*d.starts, *d.met_by, *d.voided_by, *d.paused_by, *d.resumed_by)}
    | {EXTENDED, "viewed"}
)
START = datetime(2031, 1, 1, tzinfo=UTC)
FEW = settings(max_examples=60, deadline=None)


@dataclass(frozen=True)
class Event:
    at: datetime
    act: str
    detail: dict[str, Any] = field(default_factory=dict, hash=False)


# Hours in steps of half a day, so that equal instants are common.
instants = st.integers(0, 800).map(lambda n: START + timedelta(hours=12 * n))
details = st.fixed_dictionaries(
    {},
    optional={
        "holder": st.sampled_from(("a", "b")),
        "outcome": st.sampled_from(("full", "refusal")),
        "clock": st.sampled_from(sorted(CLOCKS)),
        "until": st.sampled_from(("2031-09-30", "2032-02-29")),
        "valid_until": st.sampled_from(("2031-06-15", "2032-12-31")),
    },
)
happened = st.lists(st.builds(Event, at=instants, act=st.sampled_from(ACTS), detail=details), max_size=14)
countries = st.sampled_from(("FR", "SE", "DE-BE", "CY", "EU"))
routes = st.sampled_from(list(Route))


def stand(
    events: Sequence[Event], country: str, now: datetime, route: Route = Route.ORDINARY
) -> tuple[Clock, ...]:
    return running(events, country, now, route=route)


@FEW
@given(happened, countries, instants, routes, st.randoms(use_true_random=False))
def test_order_and_repetition_change_nothing(
    events: list[Event], country: str, now: datetime, route: Route, random: Any
) -> None:
    told = stand(events, country, now, route)
    again = events + random.sample(events, k=len(events) // 2)
    random.shuffle(again)
    assert stand(again, country, now, route) == told


@FEW
@given(happened, countries, instants, routes)
def test_each_clock_is_in_order(events: list[Event], country: str, now: datetime, route: Route) -> None:
    calendar = calendar_of(country)
    for clock in stand(events, country, now, route):
        begun = calendar.day_of(clock.started)
        assert clock.started <= now
        if clock.due is not None:
            assert clock.due >= begun
            assert calendar.works(clock.due) or clock.deadline.anchor
        assert (clock.due is None) == (clock.state is ClockState.PAUSED)
        assert (clock.turn == "") == (clock.state in (ClockState.MET, ClockState.VOID))
        assert (clock.days_left is None) != (clock.state in (ClockState.RUNNING, ClockState.MISSED))
        assert (clock.state is ClockState.MISSED) == (clock.days_left is not None and clock.days_left < 0)
        assert not (clock.extended and not clock.deadline.extension and not clock.deadline.extendable_freely)
        assert all(begun <= day for day in clock.reminders)


@FEW
@given(happened, countries, st.tuples(instants, instants), routes)
def test_a_clock_that_is_over_stays_as_it_is(
    events: list[Event], country: str, times: tuple[datetime, datetime], route: Route
) -> None:
    first, later = sorted(times)
    # What happens between the two instants may start other clocks, but changes none that was over.
    over = [c for c in stand(events, country, first, route) if c.state in (ClockState.MET, ClockState.VOID)]
    now = stand(events, country, later, route)
    by_key = {c.key: c for c in now}
    # An event at the very instant of `first` may come after the one that ended it.
    assert all(by_key[c.key] == c for c in over if c.key in by_key)
    assert {c.key for c in over} <= set(by_key)


@FEW
@given(
    st.integers(0, 300), st.integers(0, 60), st.integers(0, 60), st.booleans(), countries,
    st.sampled_from(("decision", "decision-public-body", "request-assessment")),
)  # fmt: skip
def test_a_pause_never_shortens_and_an_extension_counts_once(
    begun: int, asked: int, waited: int, extended: bool, country: str, name: str
) -> None:
    row = CLOCKS[name]
    route = next(iter(row.routes))
    start = START + timedelta(days=begun)
    events = [Event(start, "found-complete")]
    if extended and row.extension:
        events += [Event(start + timedelta(hours=1), EXTENDED, {"reason": str(n)}) for n in range(2)]
    pause = start + timedelta(days=asked, hours=2)
    paused = [*events, Event(pause, "information-requested"),
              Event(pause + timedelta(days=waited), "information-given")]  # fmt: skip
    now = pause + timedelta(days=waited, hours=1)

    def due(happening: list[Event]) -> date:
        found = next(c for c in running(happening, country, now, route=route) if c.deadline.name == name)
        assert found.due is not None
        return found.due

    plain = due(events)
    calendar = calendar_of(country)
    assert plain <= due(paused)
    assert due(paused) == calendar.next_working_day(due(paused))
    # Counted without the engine: months after months, days of waiting added, then the next working day.
    assert row.length is not None
    counts_as_paused = calendar.day_of(pause) <= plain
    bare = calendar.plus(calendar.day_of(start), row.length)
    if extended and row.extension:  # from the last day on, which may be that of a shorter month
        bare = calendar.plus(bare, row.extension)
    assert plain == calendar.next_working_day(bare)
    assert due(paused) == calendar.next_working_day(bare + timedelta(days=waited * counts_as_paused))


@FEW
@given(countries, st.dates(date(2026, 1, 1), date(2040, 12, 31)), st.integers(1, 45))
def test_working_days_are_counted_one_by_one(country: str, start: date, length: int) -> None:
    calendar = calendar_of(country)
    end = calendar.end_of(start, Period(working_days=length))
    assert calendar.works(end)
    days = [start + timedelta(days=n) for n in range(1, (end - start).days + 1)]
    assert sum(calendar.works(day) for day in days) == length
