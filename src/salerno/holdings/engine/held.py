"""Rows that the next round of a question reads again: reading a file costs more than the sums over it."""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable, Iterable, Iterator

from salerno.holdings.engine.blocks import Columns


class HeldRows:
    """The rows of the query that was read last, if they are few, until nobody has asked for a while.

    Args:
        most_bytes: More rows than fit here are read anew each time: memory does not grow with the data.
        seconds: How long they stay after their last use; a round follows the last one within moments.
    """

    def __init__(self, most_bytes: int, seconds: float = 20.0) -> None:
        self._most_bytes = most_bytes
        self._seconds = seconds
        self._rows: tuple[str, list[Columns]] | None = None
        self._met: set[Hashable] = set()
        self._used_at = 0.0
        self._timer: threading.Timer | None = None

    def rows(self, query: str, read: Iterable[Columns]) -> Iterator[Columns]:
        """The rows of a query: those that are held, else those that are read now."""
        held = self._rows
        if held is not None and held[0] == query:
            self._used_at = time.monotonic()
            yield from held[1]
            return
        self._rows = None
        kept: list[Columns] | None = []
        size = 0
        for columns in read:
            size += columns.nbytes
            if size > self._most_bytes:
                kept = None
            if kept is not None:
                kept.append(columns)
            yield columns
        if kept is not None:
            self._rows = query, kept
            self._met = set()
            self._used_at = time.monotonic()
            self._drop_when_idle()

    def has(self, query: str) -> bool:
        """Whether the rows of a query are held."""
        return self._rows is not None and self._rows[0] == query

    def meet(self, query: str, condition: Hashable) -> bool:
        """Whether the rows of a query are held and known to meet a condition."""
        return self.has(query) and condition in self._met

    def note(self, query: str, condition: Hashable) -> None:
        """Know from now on that the rows of a query meet a condition."""
        if self.has(query):
            self._met.add(condition)

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
