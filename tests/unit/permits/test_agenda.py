"""Deadlines as calendar files."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import icalendar

from salerno.permits.rules.clocks import running
from salerno.permits.wire.agenda import Agenda, render_agenda
from tests.spec.permits.test_deadlines import events

NOW = datetime(2031, 2, 1, 12, tzinfo=UTC)
ASKED = "2031-01-15 found-complete, 2031-01-20 data-requested holder=did:web:holder.example"


def agenda(text: str, now: datetime = NOW, reference: str = "FR-2031-7") -> bytes:
    case = Agenda(
        case_id="c-7", reference=reference, path="/cases/c-7", clocks=running(events(text), "FR", now)
    )
    return render_agenda([case], name="Deadlines", url="https://hdab.example", now=now)


def entries(text: str, now: datetime = NOW) -> dict[str, icalendar.Event]:
    calendar = icalendar.Calendar.from_ical(agenda(text, now))
    return {str(e["summary"]): e for e in calendar.walk("VEVENT")}


def test_what_is_due_is_a_whole_day_with_alarms() -> None:
    event = entries(ASKED)["Decide on the application: FR-2031-7"]
    assert (event.decoded("dtstart"), event.decoded("dtend")) == (date(2031, 4, 15), date(2031, 4, 16))
    assert str(event["url"]) == "https://hdab.example/cases/c-7"
    assert "Art. 68(4)" in event["description"]
    assert [a.decoded("trigger") for a in event.walk("VALARM")] == [
        timedelta(days=-d, hours=9) for d in (30, 14, 3)
    ]


def test_a_prolonged_deadline_moves_and_a_paused_one_goes() -> None:
    before = entries(ASKED)["Decide on the application: FR-2031-7"]
    after = entries(f"{ASKED}, 2031-01-30 extended")["Decide on the application: FR-2031-7"]
    assert before["uid"] == after["uid"]
    assert after.decoded("dtstart") == date(2031, 7, 15)
    assert not any("Decide" in name for name in entries(f"{ASKED}, 2031-01-30 information-requested"))
    holder = entries(ASKED)["Put the data at the access body's disposal: FR-2031-7"]
    assert holder["uid"] != before["uid"]
    assert "holder.example" not in holder["uid"]


def test_what_is_missed_stays_without_alarms() -> None:
    event = entries(ASKED, NOW + timedelta(days=100))["Decide on the application: FR-2031-7"]
    assert not event.walk("VALARM")
    assert event["categories"].to_ical() == b"overdue"


def test_the_file_is_as_rfc_5545_wants_it() -> None:
    rendered = agenda(ASKED, reference="Ä; long, reference\\ " * 8)
    assert rendered == agenda(ASKED, reference="Ä; long, reference\\ " * 8)
    lines = rendered.split(b"\r\n")
    assert lines[0] == b"BEGIN:VCALENDAR"
    assert lines[-2:] == [b"END:VCALENDAR", b""]
    assert b"\n" not in rendered.replace(b"\r\n", b"")
    assert max(map(len, lines)) <= 75
    whole = rendered.replace(b"\r\n ", b"").decode()
    assert "SUMMARY:Decide on the application: Ä\\; long\\, reference\\\\ Ä" in whole
