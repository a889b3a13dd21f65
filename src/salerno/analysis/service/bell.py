"""Wakes what waits in this process for something to happen, so that nobody sleeps on the hot path."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

STOP = "stop"
"""Rung when the node stops."""


class Bell:
    """Rings after a commit; who listens looks into the database again.

    A ring carries nothing, so a lost one costs a moment and never a fact.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ears: dict[str, list[Callable[[], None]]] = {}

    def ring(self, *topics: str) -> None:
        """Wake all that listen to one of the topics; from any thread."""
        with self._lock:
            wakes = [wake for topic in topics for wake in self._ears.get(topic, ())]
        for wake in wakes:
            wake()

    @contextmanager
    def listen(self, *topics: str) -> Iterator[threading.Event]:
        """An event for a thread, set by each ring for one of the topics until the block is left.

        Listen first, then look, then wait: a ring between looking and waiting is not lost.
        """
        event = threading.Event()
        with self._ear(topics, event.set):
            yield event

    @contextmanager
    def listen_async(self, topic: str) -> Iterator[asyncio.Event]:
        """As `listen`, for a coroutine of the running event loop."""
        event, loop = asyncio.Event(), asyncio.get_running_loop()

        def wake() -> None:
            with suppress(RuntimeError):  # the loop has been closed
                loop.call_soon_threadsafe(event.set)

        with self._ear((topic,), wake):
            yield event

    @contextmanager
    def _ear(self, topics: Sequence[str], wake: Callable[[], None]) -> Iterator[None]:
        with self._lock:
            for topic in topics:
                self._ears.setdefault(topic, []).append(wake)
        try:
            yield
        finally:
            with self._lock:
                for topic in topics:
                    ears = self._ears[topic]
                    ears.remove(wake)
                    if not ears:
                        del self._ears[topic]


def holder_topic(did: str) -> str:
    """Rung when there is new work for a holder."""
    return f"holder {did}"


def run_topic(question_id: str) -> str:
    """Rung when a holder has replied."""
    return f"run {question_id}"


def question_topic(question_id: str) -> str:
    """Rung when a question's state or progress has changed."""
    return f"question {question_id}"
