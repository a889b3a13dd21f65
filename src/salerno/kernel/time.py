"""Time as the law and the logs need it: UTC instants, calendar months, one clock to inject."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Protocol


class Clock(Protocol):
    """Where services get the time from, so that tests can set it."""

    def now(self) -> datetime:
        """The present instant, timezone-aware, in UTC."""
        ...


def to_text(instant: datetime) -> str:
    """An instant as ISO 8601 in UTC with microseconds and ``Z``; texts sort as the instants do.

    Raises:
        ValueError: The instant has no time zone.
    """
    if instant.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    return instant.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def from_text(text: str) -> datetime:
    """The instant that `to_text` wrote, or any ISO 8601 instant with an offset."""
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(f"an instant needs a time zone: {text!r}")
    return instant.astimezone(UTC)


def add_months(day: date, months: int) -> date:
    """The same day of the month, `months` later; the last day where that month is shorter.

    Legal periods in months end so (Regulation (EEC, Euratom) No 1182/71, Art. 3(2)(c)).
    """
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A length of time as a law states it; exactly one of its members is above zero.

    Args:
        months, weeks, days: Calendar months, weeks, days.
        working_days: Days that are neither holidays nor at a weekend.
    """

    months: int = 0
    weeks: int = 0
    days: int = 0
    working_days: int = 0

    def __post_init__(self) -> None:
        lengths = (self.months, self.weeks, self.days, self.working_days)
        if min(lengths) < 0 or sum(length > 0 for length in lengths) != 1:
            raise ValueError("a period has one unit and a length above zero")

    def __str__(self) -> str:
        for unit in ("months", "weeks", "days", "working_days"):
            length = getattr(self, unit)
            if length:
                words = unit.replace("_", " ")
                return f"{length} {words.removesuffix('s') if length == 1 else words}"
        raise AssertionError("one unit is above zero")
