"""How long the coordinator waits, and for what."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Container
from typing import Any, TypeVar

from salerno.analysis.model import Share, ShareHeader
from salerno.analysis.service.bell import STOP, Bell, run_topic
from salerno.analysis.service.endings import stopping
from salerno.analysis.service.ports import HubParts
from salerno.analysis.service.records import RunRecord
from salerno.analysis.wire import read_stored

T = TypeVar("T")


class Pulses:
    """When each holder last said that it is still computing; in memory, since a loss costs patience only."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, int, int, str], float] = {}

    def note(self, question_id: str, run: int, round: int, holder: str) -> None:
        """A sign of life."""
        with self._lock:
            self._seen[question_id, run, round, holder] = time.monotonic()

    def last(self, question_id: str, run: int, round: int, holder: str, began: float) -> float:
        """Monotonic time of the last sign of life; `began`, when it was asked, where there was none since."""
        with self._lock:
            return max(began, self._seen.get((question_id, run, round, holder), began))

    def forget(self, question_id: str) -> None:
        """The question has ended."""
        with self._lock:
            for key in [k for k in self._seen if k[0] == question_id]:
                del self._seen[key]


class Waiting:
    """Waits for holders and for answers, until the node stops."""

    def __init__(self, parts: HubParts, bell: Bell, pulses: Pulses) -> None:
        self._parts = parts
        self._bell = bell
        self._pulses = pulses
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Make everything that waits raise `Unavailable`."""
        self._stopping.set()
        self._bell.ring(STOP)

    def look_until(self, topic: str, look: Callable[[], T], done: Callable[[T], bool], seconds: float) -> T:
        """Look after each ring until it is done or the time is up; returns the last look.

        Raises:
            Unavailable: The node stops.
        """
        end = time.monotonic() + seconds
        with self._bell.listen(topic, STOP) as event:
            while True:
                event.clear()
                seen = look()
                left = end - time.monotonic()
                if done(seen) or left <= 0:
                    return seen
                if self._stopping.is_set():
                    raise stopping()
                event.wait(min(left, self._parts.deadlines.poll_seconds))

    def replies(self, run: RunRecord, number: int, look: Callable[[bool], dict[str, T]]) -> dict[str, T]:
        """Replies by holder: all of them, or those that came before the others had been silent too long.

        Args:
            run: The run.
            number: The round; 0 is the opening.
            look: What has come; thoroughly where no bell rang.
        """
        began = time.monotonic()
        thorough = False
        with self._bell.listen(run_topic(run.question_id), STOP) as event:
            while True:
                event.clear()
                seen = look(thorough)
                # A refusal ends the question at once in a round; at the opening all are heard first.
                refused = any(isinstance(reply, Share) and refusal_in(reply) for reply in seen.values())
                if refused or self._waited_long_enough(run, number, seen, began):
                    return seen
                if self._stopping.is_set():
                    raise stopping()
                thorough = not event.wait(self._parts.deadlines.poll_seconds)

    def _waited_long_enough(self, run: RunRecord, number: int, seen: Container[str], began: float) -> bool:
        """Nobody is waited for, or all who are have been silent for too long."""
        deadlines, now = self._parts.deadlines, time.monotonic()
        waited = [did for did in run.holders if did not in seen]
        if now - began >= deadlines.longest_seconds:
            return True
        return all(
            now - self._pulses.last(run.question_id, run.run, number, did, began) >= deadlines.silence_seconds
            for did in waited
        )


def refusal_in(share: Share) -> dict[str, Any] | None:
    """Why a holder refuses in a share; None when it does not."""
    return None if share.words else read_stored(share.header, ShareHeader).refusal
