"""Clocks: the machine's, one that stands still, and one that runs from a given instant."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        """The present instant in UTC."""
        return datetime.now(UTC)


class FixedClock:
    """Stands at an instant until it is told to move; for tests."""

    def __init__(self, instant: datetime) -> None:
        self._instant = _in_utc(instant)
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """The instant at which it stands, in UTC."""
        with self._lock:
            return self._instant

    def advance(self, *, seconds: float = 0, days: float = 0) -> None:
        """Move on; negative amounts move back."""
        with self._lock:
            self._instant += timedelta(days=days, seconds=seconds)


class RunningClock:
    """Starts at an instant and runs at the pace of the machine's monotonic clock.

    A node that plays a story at another date needs this one: with a clock that stands still no job
    would ever fall due again.
    """

    def __init__(self, start: datetime) -> None:
        self._start = _in_utc(start)
        self._origin = time.monotonic()

    def now(self) -> datetime:
        """The instant it has run to, in UTC."""
        return self._start + timedelta(seconds=time.monotonic() - self._origin)


def _in_utc(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    return instant.astimezone(UTC)
