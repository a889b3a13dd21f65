"""iCalendar (RFC 5545): days with something due, as a file that calendar programs read and subscribe to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

MEDIA_TYPE = "text/calendar"

_ALARM_AT = timedelta(hours=9)
_LOOK_AGAIN_AFTER = timedelta(hours=6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A day on which something is due.

    Args:
        uid: Its name for ever: a program that gets the entry again replaces the one that it has.
        day: The day.
        summary: One line.
        description: Further lines.
        url: Where to read more; empty for nowhere.
        category: Word to sort by; empty for none.
        alarm_days: Days before, each with an alarm at nine in the morning of the reader's own time.
    """

    uid: str
    day: date
    summary: str
    description: str = ""
    url: str = ""
    category: str = ""
    alarm_days: tuple[int, ...] = ()


def render_calendar(entries: Iterable[Entry], *, name: str, stamp: datetime) -> bytes:
    """A calendar file, equal bytes for equal entries.

    Entries take the whole day and leave it free: they are no meetings.

    Args:
        entries: What is due.
        name: Name of the calendar for people.
        stamp: When the file is made, with a time zone.
    """
    from icalendar import Calendar

    calendar = Calendar()
    calendar.add("prodid", "-//Salerno//Deadlines//EN")
    calendar.add("version", "2.0")
    calendar.add("name", name)  # RFC 7986
    calendar.add("x-wr-calname", name)  # what programs read that are older than it
    calendar.add("refresh-interval", _LOOK_AGAIN_AFTER, parameters={"value": "DURATION"})
    for entry in sorted(entries, key=lambda e: (e.day, e.uid)):
        calendar.add_component(_event(entry, stamp))
    return bytes(calendar.to_ical())


def _event(entry: Entry, stamp: datetime) -> Any:
    from icalendar import Alarm, Event

    event = Event()
    event.add("uid", entry.uid)
    event.add("dtstamp", stamp)
    event.add("dtstart", entry.day)
    event.add("dtend", entry.day + timedelta(days=1))
    event.add("summary", entry.summary)
    event.add("transp", "TRANSPARENT")
    for name, value in (("description", entry.description), ("url", entry.url)):
        if value:
            event.add(name, value)
    if entry.category:
        event.add("categories", [entry.category])
    for days in sorted(set(entry.alarm_days), reverse=True):
        alarm = Alarm()
        alarm.add("action", "DISPLAY")
        alarm.add("description", entry.summary)
        alarm.add("trigger", _ALARM_AT - timedelta(days=days))
        event.add_component(alarm)
    return event
