"""Rows that are held between rounds: read once if they are few, and not for ever."""

import time
from collections.abc import Iterator

import numpy as np

from salerno.holdings.engine.blocks import Columns
from salerno.holdings.engine.held import HeldRows


class Reading:
    """Rows that count how often they were read."""

    def __init__(self, rows: int = 100) -> None:
        self.times = 0
        self._rows = rows

    def __iter__(self) -> Iterator[Columns]:
        self.times += 1
        for _ in range(2):
            yield Columns({"x": np.arange(self._rows)}, self._rows)


def test_few_rows_are_read_once_per_query() -> None:
    held, read = HeldRows(10_000), Reading()
    first = list(held.rows("a", read))
    assert all(again is before for again, before in zip(held.rows("a", read), first, strict=True))
    assert read.times == 1
    list(held.rows("b", read))
    list(held.rows("a", read))
    assert read.times == 3


def test_rows_beyond_the_room_are_read_anew() -> None:
    held, read = HeldRows(1_000), Reading()
    for _ in range(2):
        assert sum(columns.size for columns in held.rows("a", read)) == 200
    assert read.times == 2


def test_a_reading_that_was_broken_off_is_not_taken_for_the_whole() -> None:
    held, read = HeldRows(10_000), Reading()
    next(held.rows("a", read))
    assert len(list(held.rows("a", read))) == 2


def test_what_held_rows_are_known_to_meet_goes_with_them() -> None:
    held, read = HeldRows(10_000), Reading()
    held.note("a", "x > 0")  # of rows that are not held
    list(held.rows("a", read))
    assert not held.meet("a", "x > 0")
    held.note("a", "x > 0")
    assert held.meet("a", "x > 0")
    assert not held.meet("a", "x > 1")
    assert not held.meet("b", "x > 0")
    list(held.rows("b", read))
    list(held.rows("a", read))
    assert not held.meet("a", "x > 0")


def test_rows_go_when_nobody_asks_for_a_while() -> None:
    held, read = HeldRows(10_000, seconds=0.05), Reading()
    list(held.rows("a", read))
    deadline = time.monotonic() + 5
    while held.holds_rows and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not held.holds_rows
    list(held.rows("a", read))
    assert read.times == 2
