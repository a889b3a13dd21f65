"""Legal clocks: what runs in a case, until when and whose turn it is, computed from its events."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from salerno.kernel.time import add_months
from salerno.permits.model import DataAccessApplication
from salerno.permits.model.clock import Clock, ClockState, Deadline, Happening, Reminder, Route
from salerno.permits.rules.calendar import Calendar, calendar_of
from salerno.permits.rules.deadlines import DEADLINES

CLOCKS: Mapping[str, Deadline] = {deadline.name: deadline for deadline in DEADLINES}
"""The table of deadlines by name."""

EXTENDED = "extended"
"""The act that prolongs a deadline; its detail names which one as ``clock``, by default the decision's."""

_DECISIONS = frozenset(d.name for d in DEADLINES if d.met_by == ("decided",))
_OPEN = (ClockState.RUNNING, ClockState.PAUSED, ClockState.MISSED)

# Events of the same instant are read in the order of a case's life, whatever order they come in.
_RANK: dict[str, int] = {}
for _deadline in DEADLINES:
    for _act in (*_deadline.starts, *_deadline.paused_by, *_deadline.resumed_by, EXTENDED,
                 *_deadline.met_by, *_deadline.voided_by):  # fmt: skip
        _RANK.setdefault(_act, len(_RANK))


def running(
    events: Iterable[Happening], country: str, now: datetime, *, route: Route = Route.ORDINARY
) -> tuple[Clock, ...]:
    """Every clock that was started in a case, as it stands now.

    A deadline that is paused has no last day; when it goes on, the days of waiting are added to it. A
    question that is asked once the last day is over pauses nothing. An extension counts once, and only when
    it was given before the last day was over. Repeated events change nothing.

    Args:
        events: What happened, in any order; what lies after `now` is left out.
        country: Whose calendar counts: the access body's, ISO 3166-1 or, for a region's holidays, 3166-2.
        now: The instant.
        route: The case's procedure.

    Returns:
        Open ones first, the next last day first; then those that are over.

    Raises:
        Invalid: The country is no Member State.
    """
    calendar = calendar_of(country)
    happened = _in_order(events, now)
    rows = (row for row in DEADLINES if not row.routes or route in row.routes)
    clocks = [clock for row in rows for clock in _clocks_of(row, happened, calendar, now)]
    return tuple(sorted(clocks, key=_board_order))


def open_clocks(clocks: Iterable[Clock]) -> tuple[Clock, ...]:
    """Those under which somebody still owes something, in the given order."""
    return tuple(clock for clock in clocks if clock.state in _OPEN)


def reminders_between(clocks: Iterable[Clock], after: date, until: date) -> tuple[Reminder, ...]:
    """What is to be told about clocks on the days later than `after`, up to and with `until`.

    Whoever owes is reminded on the row's days before the last day, and told on the day after it was missed,
    then also whom the row escalates to.
    """
    told: list[Reminder] = []
    for clock in clocks:
        told += [Reminder(clock=clock, day=day, missed=False) for day in clock.reminders]
        if clock.state is ClockState.MISSED and clock.due is not None:
            told.append(Reminder(clock=clock, day=clock.due + timedelta(days=1), missed=True))
    return tuple(sorted((r for r in told if after < r.day <= until), key=lambda r: (r.day, r.key)))


@dataclass(slots=True)
class _Run:
    """A clock while its events are read."""

    row: Deadline
    calendar: Calendar
    started: datetime
    anchor: date | None
    paused_since: date | None = None
    paused_days: int = 0
    extended: bool = False
    prolonged_to: date | None = None

    def due(self) -> date:
        """Its last day, were it not paused any further."""
        start = self.calendar.day_of(self.started)
        if self.anchor is not None:
            # Periods that are counted back are not moved to a working day.
            back = self.row.length.months if self.row.length else 0
            return max(start, add_months(self.anchor, -back))
        assert self.row.length is not None
        end = self.calendar.end_of(start, self.row.length, pause_days=self.paused_days)
        if not self.extended:
            return end
        if self.row.extension is not None:
            longest = self.calendar.end_of(
                start, self.row.length, self.row.extension, pause_days=self.paused_days
            )
            wanted = self.prolonged_to or longest
            return max(end, min(longest, self.calendar.next_working_day(wanted)))
        return max(end, self.calendar.next_working_day(self.prolonged_to or end))

    def read(self, event: Happening) -> None:
        """Take in an event that neither starts nor ends it."""
        day = self.calendar.day_of(event.at)
        over = self.paused_since is None and day > self.due()
        if event.act in self.row.paused_by and self.paused_since is None and not over:
            self.paused_since = day
        elif event.act in self.row.resumed_by and self.paused_since is not None:
            self._go_on(day)
        elif event.act == EXTENDED and not self.extended and not over and self._may_extend(event):
            self.extended = True
            self.prolonged_to = _day_in(event.detail, "until", self.calendar)

    def end(self, state: ClockState, at: datetime) -> Clock:
        """The clock that was met or became void."""
        day = self.calendar.day_of(at)
        if self.paused_since is not None:
            self._go_on(day)
        late = max(0, (day - self.due()).days) if state is ClockState.MET else 0
        return replace(self._clock(state), due=self.due(), days_late=late, ended=at)

    def stand(self, now: datetime) -> Clock:
        """The clock that is still open."""
        if self.paused_since is not None:
            return replace(self._clock(ClockState.PAUSED), turn=CLOCKS["completion"].owes)
        due = self.due()
        left = (due - self.calendar.day_of(now)).days
        state = ClockState.MISSED if left < 0 else ClockState.RUNNING
        return replace(
            self._clock(state), due=due, days_left=left, days_late=max(0, -left), turn=self.row.owes
        )

    def _go_on(self, day: date) -> None:
        assert self.paused_since is not None
        self.paused_days += (day - self.paused_since).days
        self.paused_since = None

    def _may_extend(self, event: Happening) -> bool:
        if self.row.extension is None and not self.row.extendable_freely:
            return False
        named = str(event.detail.get("clock", ""))
        return named == self.row.name or (named in ("", "decision") and self.row.name in _DECISIONS)

    def _clock(self, state: ClockState) -> Clock:
        return Clock(
            deadline=self.row, subject="", state=state, started=self.started, due=None, days_left=None,
            days_late=0, turn="", extended=self.extended, paused_days=self.paused_days,
        )  # fmt: skip


def _clocks_of(
    row: Deadline, happened: list[Happening], calendar: Calendar, now: datetime
) -> Iterator[Clock]:
    subjects = {_subject(row, e) for e in happened if _starts(row, e)}
    for subject in sorted(subjects):
        concerned = [e for e in happened if _subject(row, e) in (subject, "")]
        for clock in _runs(row, concerned, calendar, now):
            yield replace(clock, subject=subject)


def _runs(row: Deadline, events: list[Happening], calendar: Calendar, now: datetime) -> Iterator[Clock]:
    run: _Run | None = None
    for event in events:
        if _starts(row, event) and (run is None or row.anew):
            anchor = _day_in(event.detail, row.anchor, calendar) if row.anchor else None
            if anchor is not None or not row.anchor:
                run = _Run(row, calendar, event.at, anchor)
        elif run is not None and event.act in row.met_by:
            yield run.end(ClockState.MET, event.at)
            run = None
        elif run is not None and event.act in row.voided_by:
            yield run.end(ClockState.VOID, event.at)
            run = None
        elif run is not None:
            run.read(event)
    if run is not None:
        yield run.stand(now)


def _in_order(events: Iterable[Happening], now: datetime) -> list[Happening]:
    """The events that clocks read, each once, by time, then by number, then as a case goes."""
    known = {
        (event.at, getattr(event, "number", 0), _RANK[event.act], _text_of(event.detail)): event
        for event in events
        if event.act in _RANK and event.at <= now
    }
    return [known[key] for key in sorted(known)]


def _text_of(detail: Mapping[str, Any]) -> str:
    return json.dumps(detail, sort_keys=True, default=str)


def _starts(row: Deadline, event: Happening) -> bool:
    return event.act in row.starts and (not row.outcomes or event.detail.get("outcome") in row.outcomes)


def _subject(row: Deadline, event: Happening) -> str:
    return str(event.detail.get(row.subject, "")) if row.subject else ""


def _day_in(detail: Mapping[str, Any], name: str, calendar: Calendar) -> date | None:
    """A day that an event names as ISO date or instant; None when it names none."""
    text = str(detail.get(name) or "")
    if not text:
        return None
    try:
        return date.fromisoformat(text) if len(text) == 10 else calendar.day_of(datetime.fromisoformat(text))
    except ValueError:
        return None


def _board_order(clock: Clock) -> tuple[int, date, str]:
    rank = 0 if clock.state in (ClockState.RUNNING, ClockState.MISSED) else 1 + (clock.state not in _OPEN)
    return rank, clock.due or date.max, clock.key


def route_of(application: DataAccessApplication) -> Route:
    """The procedure of an application: a public body's is shorter for the purposes of Art. 53(1)(a)-(c)."""
    fast = application.is_public_body and application.purpose.public_bodies_only
    return Route.PUBLIC_BODY if fast else Route.ORDINARY


def case_due(clocks: Iterable[Clock]) -> date | None:
    """The last day of what keeps a case from its decision; None when nothing of that runs.

    Args:
        clocks: The case's clocks, see `running`.
    """
    return min((c.due for c in open_clocks(clocks) if c.deadline.decides and c.due), default=None)
