"""Works that come together are done together."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

from salerno.adapters.gathering import Gathering


class Desk:
    """Doubles numbers; the first batch is held until it is let go, and a batch with a zero fails."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go = threading.Event()

    def double(self, numbers: Sequence[int]) -> list[int]:
        self.batches.append(list(numbers))
        assert self.go.wait(10)
        return [2 * number * (number // number) for number in numbers]


def test_what_comes_during_a_batch_makes_up_the_next() -> None:
    desk = Desk()

    async def play() -> list[int]:
        gathering = Gathering(desk.double)
        first = asyncio.ensure_future(gathering.do(1))
        while not desk.batches:
            await asyncio.sleep(0.001)
        others = [asyncio.ensure_future(gathering.do(number)) for number in (2, 3, 4)]
        await asyncio.sleep(0)
        others[1].cancel()  # who asked has gone; the others do not mind
        desk.go.set()
        return [await first, await others[0], await others[2], await gathering.do(5)]

    assert asyncio.run(play()) == [2, 4, 8, 10]
    assert desk.batches == [[1], [2, 3, 4], [5]]


def test_an_error_is_everybodys_in_its_batch_and_nobody_elses() -> None:
    desk = Desk()
    desk.go.set()

    async def play() -> list[int | BaseException]:
        gathering = Gathering(desk.double)
        failed = await asyncio.gather(gathering.do(0), gathering.do(1), return_exceptions=True)
        return [*failed, await gathering.do(2)]

    zero, one, two = asyncio.run(play())
    assert isinstance(zero, ZeroDivisionError)
    assert isinstance(one, ZeroDivisionError)
    assert two == 4
