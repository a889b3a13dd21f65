"""Small works that several coroutines ask for at the same time, done together in one thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Gathering(Generic[T, R]):
    """One batch at a time: what comes while a batch is done makes up the next, and nobody waits for company.

    So many that come at once share one transaction, and one that comes alone has its own.

    Args:
        work: Does a batch, in a thread; answers each in order. An error is everybody's in the batch.
    """

    def __init__(self, work: Callable[[Sequence[T]], Sequence[R]]) -> None:
        self._work = work
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._doing: asyncio.Task[None] | None = None

    async def do(self, one: T) -> R:
        """Have one done with the others; call it in one event loop alone."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[R] = loop.create_future()
        self._waiting.append((one, future))
        if self._doing is None or self._doing.done():
            self._doing = loop.create_task(self._do_all())
        return await future

    async def _do_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                answers = await asyncio.to_thread(self._work, [one for one, _ in batch])
            except Exception as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
            else:
                for (_, future), answer in zip(batch, answers, strict=True):
                    if not future.done():  # whoever asked may have gone
                        future.set_result(answer)
