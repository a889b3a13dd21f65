"""Clocks."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone

import pytest

from salerno.adapters.clock import FixedClock, RunningClock, SystemClock

NOON = datetime(2031, 1, 1, 12, tzinfo=UTC)


def test_the_system_clock_is_in_utc() -> None:
    assert SystemClock().now().tzinfo is UTC
    assert abs(SystemClock().now() - datetime.now(UTC)) < timedelta(seconds=5)


def test_a_fixed_clock_moves_when_told() -> None:
    clock = FixedClock(NOON.astimezone(timezone(timedelta(hours=2))))
    assert clock.now() == NOON
    assert clock.now().tzinfo is UTC
    clock.advance(seconds=30, days=1)
    clock.advance(seconds=-10)
    assert clock.now() == NOON + timedelta(days=1, seconds=20)


def test_a_running_clock_runs_from_its_start() -> None:
    clock = RunningClock(NOON)
    first = clock.now()
    time.sleep(0.02)
    assert NOON <= first < clock.now() < NOON + timedelta(seconds=30)


@pytest.mark.parametrize("kind", [FixedClock, RunningClock])
def test_an_instant_needs_a_zone(kind: type) -> None:
    with pytest.raises(ValueError, match="zone"):
        kind(datetime(2031, 1, 1))
