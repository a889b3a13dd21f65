"""Frames that are kept for the next question: making one costs more than all sums over it."""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import ibis.expr.types as ir
import pyarrow as pa

from salerno.adapters.vault import Vault
from salerno.holdings.engine.opening import IbisEngine
from salerno.holdings.engine.source import EngineLimits
from salerno.holdings.engine.sources import stamp
from salerno.holdings.model import NO_NUMBERS, Dictionary, Holding, KeptFor, Numbers, StudyFrame
from salerno.holdings.service import OpenedFrame, Persons, Stage, Tell
from salerno.kernel.values import digest
from salerno.permits.model import DataScope, OptOutList


@dataclass
class _Kept:
    """A frame and who uses it."""

    frame: OpenedFrame
    users: int = 0
    left_at: float = 0.0
    lock: threading.RLock = field(default_factory=threading.RLock)


class SharedFrame:
    """One user's hold on a kept frame; see `salerno.holdings.service.OpenedFrame`."""

    def __init__(self, engine: KeepingEngine, kept: _Kept) -> None:
        self._engine = engine
        self._kept = kept
        self._released = False
        self.table: ir.Table = kept.frame.table
        self.dictionary: Dictionary = kept.frame.dictionary
        self.n_persons: int = kept.frame.n_persons

    @contextmanager
    def staged(self, stages: Sequence[Stage]) -> Iterator[ir.Table]:
        """The frame's table, or rows that are made of it; nobody else's are made until the block is left."""
        with self._kept.lock, self._kept.frame.staged(stages) as table:
            yield table

    def check(self, expression: ir.Table, rows: ir.Table | None = None) -> None:
        """Refuse what is not an aggregate over this frame, or over rows that are made of it, alone."""
        self._kept.frame.check(expression, rows)

    def rows(self, expression: ir.Table) -> pa.Table:
        """Rows of this frame alone, for a program in the holder's own sandbox."""
        with self._kept.lock:
            return self._kept.frame.rows(expression)

    def compute(self, expression: ir.Table, numbers: Numbers = NO_NUMBERS) -> pa.Table:
        """Run an expression on the holder's engine, one at a time per frame."""
        with self._kept.lock:
            return self._kept.frame.compute(expression, numbers)

    def persons(self, build: Tell, secret: bytes, most: int) -> list[Persons]:
        """Whom figures rest on."""
        with self._kept.lock:
            return self._kept.frame.persons(build, secret, most)

    def close(self) -> None:
        """Let go; the frame stays for a while for the next question."""
        if not self._released:
            self._released = True
            self._engine.release(self._kept)


class KeepingEngine(IbisEngine):
    """An engine that gives the same frame again when all that it is made from is the same.

    Whether anybody may have it is not decided here: the door checks permit, status and opt-outs each time. A
    frame is the same only where permitted rows, columns, dates and persons are, and the source's files have
    not changed; changed rows in a PostgreSQL source show when a frame has not been used for `idle_seconds`.

    Args:
        limits: What each opened source may use.
        vault: Where cohorts are kept under a permit; None keeps none.
        idle_seconds: How long a frame stays after its last user.
        most: Unused frames that are kept at once.
    """

    def __init__(
        self,
        limits: EngineLimits | None = None,
        vault: Vault | None = None,
        *,
        idle_seconds: float = 300,
        most: int = 4,
    ) -> None:
        super().__init__(limits, vault)
        self._idle_seconds = idle_seconds
        self._most = most
        self._lock = threading.Lock()
        self._opening: dict[str, threading.Lock] = {}
        self._frames: dict[str, _Kept] = {}

    def open(
        self,
        holding: Holding,
        frame: StudyFrame,
        scope: DataScope,
        *,
        left_out: OptOutList,
        min_cell: int,
        holder_name: str,
        kept_for: KeptFor | None = None,
    ) -> OpenedFrame:
        """Hold a frame ready, limited to the permitted rows, dates, columns and persons."""
        key = digest(
            [
                holding,
                frame,
                scope,
                left_out.digest,
                min_cell,
                holder_name,
                kept_for,
                stamp(holding.source),
            ]
        )
        with self._lock:
            one_at_a_time = self._opening.setdefault(key, threading.Lock())
        with one_at_a_time:
            with self._lock:
                kept = self._frames.get(key)
                if kept is not None:
                    kept.users += 1
                    return SharedFrame(self, kept)
            opened = super().open(
                holding,
                frame,
                scope,
                left_out=left_out,
                min_cell=min_cell,
                holder_name=holder_name,
                kept_for=kept_for,
            )
            with self._lock:
                kept = self._frames[key] = _Kept(opened, users=1)
            return SharedFrame(self, kept)

    def release(self, kept: _Kept) -> None:
        """One user less."""
        with self._lock:
            kept.users -= 1
            kept.left_at = time.monotonic()
        self._drop(self._idle_seconds)
        timer = threading.Timer(self._idle_seconds + 1, self._drop, args=(self._idle_seconds,))
        timer.daemon = True
        timer.start()

    def load(self) -> None:
        """Import the embedded engine, which takes a second, before somebody waits for it."""
        importlib.import_module("ibis.backends.duckdb.converter")  # which brings pandas

    def close(self) -> None:
        """Drop every frame that nobody uses, now."""
        self._drop(0.0)

    def _drop(self, idle_seconds: float) -> None:
        with self._lock:
            now = time.monotonic()
            unused = sorted(
                ((kept.left_at, key) for key, kept in self._frames.items() if kept.users == 0), reverse=True
            )
            old = [
                key
                for rank, (left_at, key) in enumerate(unused)
                if rank >= self._most or now - left_at >= idle_seconds
            ]
            dropped = [self._frames.pop(key) for key in old]
            for key in old:
                self._opening.pop(key, None)
        for kept in dropped:
            kept.frame.close()
