"""Reminders of deadlines: to officers at the access body, to applicants at the hub."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta

from salerno.identity.model import ParticipantRole
from salerno.permits.model import ApplicationState, BoardView, Case, CaseLine
from salerno.permits.model.clock import Clock, ClockState, Party
from salerno.permits.rules.clocks import CLOCKS, reminders_between, route_of, running
from salerno.permits.rules.notices import reminder_telling
from salerno.permits.service.cases import CaseFile
from salerno.permits.wire.agenda import Agenda

_AT_ONCE = 200
_LOOK_AHEAD = timedelta(days=max(day for row in CLOCKS.values() if row.decides for day in row.remind_days))


class Reminding(CaseFile):
    """Tells those who owe something what comes near and what was missed."""

    def remind(self) -> int:
        """Tell whose deadlines come near or are missed; answers how many were told now.

        Of each clock the latest reminder counts, also where the node stood still on its day; nobody hears the
        same twice.
        """
        today = self._clock.now().date()
        here = self._own.role is ParticipantRole.ACCESS_BODY
        told = 0
        for line in self._open_lines(today):
            case = self._store.case(line.id)
            if case is None:
                continue
            clocks = self._owed_here(case) if here else _owed_by_applicant(case, self._clock.now())
            readers = self._in_charge(case) if here else (case.applicant_id,)
            told += self._remind(case, readers, clocks, today)
        return told

    def agenda(self, officer: str) -> tuple[Agenda, ...]:
        """The clocks of the cases that an officer handles and that are not decided yet, for a calendar."""
        self._at(ParticipantRole.ACCESS_BODY)
        cases = [self._store.case(line.id) for line in self._lines(BoardView.MINE, officer)]
        return tuple(
            Agenda(case_id=case.id, reference=case.id, path=f"/cases/{case.id}", clocks=self._running(case))
            for case in cases
            if case is not None
        )

    def _open_lines(self, today: date) -> Iterator[CaseLine]:
        """Cases before their decision whose next day is near, by that day."""
        for line in self._lines(BoardView.OPEN):
            if line.due is None or line.due > today + _LOOK_AHEAD:
                return
            yield line

    def _lines(self, view: BoardView, officer: str = "") -> Iterator[CaseLine]:
        """All lines of a list."""
        after = ""
        while True:
            page = self._store.lines(view, officer=officer, after=after, limit=_AT_ONCE)
            yield from page.lines
            after = page.next
            if not after:
                return

    def _running(self, case: Case) -> tuple[Clock, ...]:
        events, route = self._store.events(case.id), route_of(case.application)
        return running(events, self._own.country, self._clock.now(), route=route)

    def _owed_here(self, case: Case) -> list[Clock]:
        return [clock for clock in self._running(case) if clock.turn == Party.ACCESS_BODY]

    def _in_charge(self, case: Case) -> Iterable[str]:
        return (case.handling.assignee,) if case.handling.assignee else self._officers()

    def _remind(self, case: Case, readers: Iterable[str], clocks: Iterable[Clock], today: date) -> int:
        latest = (reminders_between([clock], date.min, today)[-1:] for clock in clocks)
        tellings = [
            reminder_telling(reminder, case.id, today) for reminders in latest for reminder in reminders
        ]
        return sum(self._tell(reader, telling, case.id) for reader in readers for telling in tellings)


def _owed_by_applicant(case: Case, now: datetime) -> list[Clock]:
    """What an applicant has to answer, by the days that access bodies reported."""
    today = now.date()
    return [
        Clock(
            deadline=CLOCKS["completion"],
            subject=country,
            state=ClockState.MISSED if status.due < today else ClockState.RUNNING,
            started=status.asked.asked_at,
            due=status.due,
            days_left=(status.due - today).days,
            days_late=max(0, (today - status.due).days),
            turn=Party.APPLICANT,
        )
        for country, status in case.countries.items()
        if status.state is ApplicationState.AWAITING_INFORMATION and status.asked and status.due
    ]
