"""Tables of this node's own on a cluster that has no temporary ones: gone with the process that made them.

Nobody can guess a table's name, which says when it was made and by which process. Who made a table drops it;
what a killed process left is dropped when the next one opens the same schema.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from secrets import token_hex

from salerno.holdings.engine.source import quoted

MOST_DAYS = 3
"""Older tables are dropped whoever made them: no question takes that long."""

_NAME = re.compile(r"salerno_(\d{8})_([0-9a-f]{8})_(\d+)_(\d+)_[0-9a-f]{24}")


class Scratch:
    """Tables in a schema where this node may write.

    Args:
        run: Carries out a statement and gives its rows.
        catalog: Catalog of the schema.
        schema: Schema, on which the holder lets nobody else read.
    """

    def __init__(self, run: Callable[[str], Sequence[Sequence[object]]], catalog: str, schema: str) -> None:
        self._run = run
        self._place = f"{quoted(catalog)}.{quoted(schema)}"
        self._made: list[str] = []

    def make(self, query: str) -> str:
        """A table with a query's rows; gives its full name."""
        name = f"salerno_{datetime.now(UTC):%Y%m%d}_{_process(os.getpid())}_{token_hex(12)}"
        full = f"{self._place}.{quoted(name)}"
        self._made.append(full)
        self._run(f"CREATE TABLE {full} AS {query}")
        return full

    def add(self, table: str, query: str) -> None:
        """Further rows of a table that was made here."""
        self._run(f"INSERT INTO {table} {query}")

    def sweep(self) -> None:
        """Drop what killed processes left."""
        for row in self._run(f"SHOW TABLES FROM {self._place}"):
            if is_left(str(row[0]), datetime.now(UTC).date()):
                self._drop(f"{self._place}.{quoted(str(row[0]))}")

    def drop(self, table: str) -> None:
        """Drop a table that was made here."""
        self._made.remove(table)
        self._drop(table)

    def close(self) -> None:
        """Drop all that was made here."""
        while self._made:
            self._drop(self._made.pop())

    def _drop(self, table: str) -> None:
        with suppress(Exception):  # the next process tries again
            self._run(f"DROP TABLE IF EXISTS {table}")


def is_left(name: str, today: date) -> bool:
    """Whether a table is of a process that has ended.

    >>> is_left("person", date(2026, 1, 1))
    False
    >>> is_left("salerno_20250101_00000000_1_1_" + 24 * "0", date(2026, 1, 1))
    True
    """
    found = _NAME.fullmatch(name)
    if not found:
        return False
    day, host, process, started = found.groups()
    if today - datetime.strptime(day, "%Y%m%d").date() > timedelta(days=MOST_DAYS):
        return True
    return host == _host() and Path("/proc/self").exists() and _started(int(process)) != int(started)


def _process(number: int) -> str:
    return f"{_host()}_{number}_{_started(number)}"


def _host() -> str:
    return sha256(socket.gethostname().encode()).hexdigest()[:8]


def _started(process: int) -> int:
    """When a process began, in the machine's clock ticks: its number can be given out again; 0 for none."""
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return 0
