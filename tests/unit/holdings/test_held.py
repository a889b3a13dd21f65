"""Rows that are held between rounds: read once if they are few, and not for ever."""

import time
from collections.abc import Iterator

import pyarrow as pa

from salerno.holdings.engine.held import HeldRows


class Reading:
    """Rows that count how often they were read."""

    def __init__(self, rows: int = 100) -> None:
        self.times = 0
        self._rows = rows

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        self.times += 1
        for _ in range(2):
            yield pa.record_batch({"x": pa.array(range(self._rows), pa.int64())})


def test_few_rows_are_read_once_per_query() -> None:
    held, read = HeldRows(10_000), Reading()
    first = list(held.batches("a", read))
    assert list(held.batches("a", read)) == first
    assert read.times == 1
    list(held.batches("b", read))
    list(held.batches("a", read))
    assert read.times == 3


def test_rows_beyond_the_room_are_read_anew() -> None:
    held, read = HeldRows(1_000), Reading()
    assert [list(held.batches("a", read)), list(held.batches("a", read))] == [list(Reading())] * 2
    assert read.times == 2


def test_a_reading_that_was_broken_off_is_not_taken_for_the_whole() -> None:
    held, read = HeldRows(10_000), Reading()
    next(held.batches("a", read))
    assert len(list(held.batches("a", read))) == 2


def test_rows_go_when_nobody_asks_for_a_while() -> None:
    held, read = HeldRows(10_000, seconds=0.05), Reading()
    list(held.batches("a", read))
    deadline = time.monotonic() + 5
    while held.holds_rows and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not held.holds_rows
    list(held.batches("a", read))
    assert read.times == 2
