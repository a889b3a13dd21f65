"""Rows that the next round of a question reads again: reading a file costs more than the sums over it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator

import pyarrow as pa


class HeldRows:
    """The rows of the query that was read last, if they are few, until nobody has asked for a while.

    Args:
        most_bytes: More rows than fit here are read anew each time: memory does not grow with the data.
        seconds: How long they stay after their last use; a round follows the last one within moments.
    """

    def __init__(self, most_bytes: int, seconds: float = 20.0) -> None:
        self._most_bytes = most_bytes
        self._seconds = seconds
        self._rows: tuple[str, list[pa.RecordBatch]] | None = None
        self._used_at = 0.0
        self._timer: threading.Timer | None = None

    def batches(self, query: str, read: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The rows of a query: those that are held, else those that are read now."""
        held = self._rows
        if held is not None and held[0] == query:
            self._used_at = time.monotonic()
            yield from held[1]
            return
        self._rows = None
        kept: list[pa.RecordBatch] | None = []
        size = 0
        for batch in read:
            size += batch.nbytes
            if size > self._most_bytes:
                kept = None
            if kept is not None:
                kept.append(batch)
            yield batch
        if kept is not None:
            self._rows = query, kept
            self._used_at = time.monotonic()
            self._drop_when_idle()

    @property
    def holds_rows(self) -> bool:
        """Whether there are any at the moment."""
        return self._rows is not None

    def drop(self) -> None:
        """Hold nothing any more."""
        self._rows = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _drop_when_idle(self) -> None:
        if self._rows is None:
            return
        left = self._used_at + self._seconds - time.monotonic()
        if left <= 0:
            self._rows = self._timer = None
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(left, self._drop_when_idle)
        self._timer.daemon = True
        self._timer.start()
