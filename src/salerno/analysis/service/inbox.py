"""What every message to a holder goes through: whose it is, whether to try again, what is logged."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from salerno.analysis.service.ports import AgentParts
from salerno.analysis.wire import parse_from
from salerno.kernel.errors import Invalid, Refused, SalernoError

T = TypeVar("T")

_TRIES = 8
"""With the agent's growing pauses some twenty seconds: a peer that is started anew is back by then."""


class Drop(Exception):
    """A message not from the coordinator, or one that contradicts what was answered: logged, no reply."""

    def __init__(self, question_id: str, reason: SalernoError) -> None:
        self.question_id = question_id
        self.reason = reason


class Inbox:
    """Shared by what handles openings and what handles rounds."""

    def __init__(self, parts: AgentParts) -> None:
        self._parts = parts
        self._lock = threading.Lock()
        self._tries: dict[str, int] = {}
        self._working: set[tuple[str, int, int]] = set()

    def parse(self, token: str, kind: type[T]) -> T:
        """What the coordinator signed.

        Raises:
            Drop: It was not the coordinator who signed it.
        """
        hub = self._parts.hub
        try:
            return parse_from(token, kind, self._parts.resolver, hub)
        except (Refused, Invalid) as error:
            raise Drop("", error) from error

    def log_refusal(self, question_id: str, error: SalernoError) -> None:
        """Put on record that something was refused."""
        with self._parts.opens() as desk:
            desk.audit.append(
                actor=self._parts.hub,
                act="round-refused",
                subject=question_id,
                detail={"code": error.code},
                rule=error.rule,
            )

    def worth_trying_again(self, token: str) -> bool:
        """A peer or an engine may be back in a moment; after some tries the work is refused instead."""
        with self._lock:
            tries = self._tries.pop(token, 0) + 1
            if tries < _TRIES:
                self._tries[token] = tries
            return tries < _TRIES

    def done(self, token: str) -> None:
        """The work was replied to."""
        with self._lock:
            self._tries.pop(token, None)

    @contextmanager
    def at_work(self, question_id: str, run: int, number: int) -> Iterator[None]:
        """What `working` tells while the block runs."""
        with self._lock:
            self._working.add((question_id, run, number))
        try:
            yield
        finally:
            with self._lock:
                self._working.discard((question_id, run, number))

    def working(self) -> list[tuple[str, int, int]]:
        """Question, run and round of what is being computed; round 0 is an opening."""
        with self._lock:
            return sorted(self._working)
