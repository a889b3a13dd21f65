"""Rings wake threads and coroutines, and none is lost between looking and waiting."""

from __future__ import annotations

import asyncio
import threading

from salerno.analysis.service.bell import Bell, holder_topic, question_topic, run_topic


def test_only_listeners_of_the_topic_wake() -> None:
    bell = Bell()
    with bell.listen("a") as one, bell.listen("a") as two, bell.listen("b") as other:
        bell.ring("a", "c")
        assert one.is_set()
        assert two.is_set()
        assert not other.is_set()
    assert bell._ears == {}


def test_a_ring_from_a_thread_wakes_a_coroutine() -> None:
    bell = Bell()

    async def waits() -> bool:
        with bell.listen_async("a") as event:
            threading.Thread(target=bell.ring, args=("a",)).start()
            await asyncio.wait_for(event.wait(), 5)
            return event.is_set()

    assert asyncio.run(waits())


def test_a_ring_after_the_loop_has_gone_does_no_harm() -> None:
    bell = Bell()

    async def leaves_an_ear():
        listening = bell.listen_async("a")
        listening.__enter__()
        return listening

    listening = asyncio.run(leaves_an_ear())
    bell.ring("a")
    listening.__exit__(None, None, None)


def test_topics_are_told_apart() -> None:
    assert len({holder_topic("x"), run_topic("x"), question_topic("x")}) == 3
