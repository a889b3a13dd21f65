"""The clocks of cases as a calendar file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from salerno.permits.model.clock import Clock, ClockState
from salerno.standards.ics import Entry, render_calendar


@dataclass(frozen=True, slots=True, kw_only=True)
class Agenda:
    """The clocks of one case, for a calendar.

    Args:
        case_id: Identifier of the case.
        reference: What people call it; no title and no name, since calendars are shared.
        path: Its page at the node.
        clocks: Its clocks.
    """

    case_id: str
    reference: str
    path: str
    clocks: tuple[Clock, ...]


def render_agenda(
    cases: Iterable[Agenda],
    *,
    name: str,
    url: str,
    now: datetime,
    words: Callable[[str], str] = str,
) -> bytes:
    """A calendar file (RFC 5545) of what is due in cases.

    An entry keeps its UID as long as its clock runs, so that a prolonged deadline moves in the reader's
    calendar. Paused clocks have no day and are left out, as is what is over.

    Args:
        cases: Whose clocks.
        name: Name of the calendar.
        url: Base address of the node.
        now: The instant.
        words: Puts labels into the reader's language.
    """
    host = urlsplit(url).netloc
    entries = [
        _entry(case, clock, url, host, words)
        for case in cases
        for clock in case.clocks
        if clock.state in (ClockState.RUNNING, ClockState.MISSED)
    ]
    return render_calendar(entries, name=name, stamp=now)


def _entry(case: Agenda, clock: Clock, url: str, host: str, words: Callable[[str], str]) -> Entry:
    assert clock.due is not None
    row = clock.deadline
    missed = clock.state is ClockState.MISSED
    # A digest, since keys hold what UIDs should not: slashes, and addresses of holders.
    uid = hashlib.sha256(f"{case.case_id}/{clock.key}".encode()).hexdigest()[:32]
    return Entry(
        uid=f"{uid}@{host}",
        day=clock.due,
        summary=f"{words(row.label)}: {case.reference}",
        description="\n".join((f"{words(str(row.owes))}. {row.rule}", words(row.missed))),
        url=url.rstrip("/") + case.path,
        category=words("overdue") if missed else "",
        alarm_days=() if missed else row.remind_days,
    )
