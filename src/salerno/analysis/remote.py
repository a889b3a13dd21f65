"""The hub as an agent reaches it: over HTTPS, or in the same process for a throwaway space."""

from __future__ import annotations

import time
from typing import Any, Protocol

from salerno.analysis.model import Share, Work
from salerno.analysis.service.bell import holder_topic
from salerno.analysis.service.coordinator import Coordinator
from salerno.identity.model import Participant
from salerno.kernel.values import from_plain, to_plain


class PeerCaller(Protocol):
    """Signs and sends a message to a participant."""

    def call(
        self,
        participant: Participant,
        method: str,
        path: str,
        json: Any = None,
        timeout_seconds: float | None = None,
    ) -> Any:
        """The decoded answer."""
        ...


class HttpHub:
    """The hub over outbound signed calls.

    Args:
        peers: Signs and sends.
        hub: The hub.
        answer_seconds: Longest time of an answer beyond the wait that was asked for.
    """

    def __init__(self, peers: PeerCaller, hub: Participant, *, answer_seconds: float = 60.0) -> None:
        self._peers = peers
        self._hub = hub
        self._answer_seconds = answer_seconds

    def next(self, wait: float, lane: int, lanes: int) -> list[Work]:
        """Work for this holder, after up to `wait` seconds."""
        return self._work("next", {"wait": wait, "lane": lane, "lanes": lanes}, wait)

    def opened(self, reply: str, wait: float, lane: int, lanes: int) -> list[Work]:
        """Hand in the signed reply to an opening, then as `next`."""
        return self._work("opened", {"reply": reply, "wait": wait, "lane": lane, "lanes": lanes}, wait)

    def share(self, share: Share, wait: float, lane: int, lanes: int) -> list[Work]:
        """Hand in a share, then as `next`."""
        body = {"share": to_plain(share), "wait": wait, "lane": lane, "lanes": lanes}
        return self._work("share", body, wait)

    def working(self, question_id: str, run: int, round: int) -> None:
        """Say that a computation is going on."""
        body = {"question_id": question_id, "run": run, "round": round}
        self._peers.call(self._hub, "POST", "/api/rounds/working", json=body)

    def _work(self, step: str, body: dict[str, Any], wait: float) -> list[Work]:
        answer = self._peers.call(
            self._hub,
            "POST",
            f"/api/rounds/{step}",
            json=body,
            timeout_seconds=wait + self._answer_seconds,
        )
        return from_plain((answer or {}).get("work", []), list[Work], what="the hub's work list")


class LoopbackHub:
    """The coordinator in the same process; openings, rounds and shares are signed and checked all the same.

    Args:
        coordinator: The hub's.
        holder: DID of the holder whose agent calls.
    """

    def __init__(self, coordinator: Coordinator, holder: str) -> None:
        self._coordinator = coordinator
        self._holder = holder
        self._closed = False

    def close(self) -> None:
        """End calls that wait, and look no more at a hub that is about to close."""
        self._closed = True
        self._coordinator.bell.ring(holder_topic(self._holder))

    def next(self, wait: float, lane: int, lanes: int) -> list[Work]:
        """Work for this holder, after up to `wait` seconds."""
        end = time.monotonic() + wait
        with self._coordinator.bell.listen(holder_topic(self._holder)) as event:
            while not self._closed:
                event.clear()
                work = self._coordinator.posted(self._holder, lane, lanes)
                left = end - time.monotonic()
                if work or left <= 0:
                    return work or self._coordinator.work_for(self._holder, lane, lanes)
                event.wait(left)
        return []

    def opened(self, reply: str, wait: float, lane: int, lanes: int) -> list[Work]:
        """Hand in the signed reply to an opening, then as `next`."""
        self._coordinator.accept_opened(self._holder, reply)
        return self.next(wait, lane, lanes)

    def share(self, share: Share, wait: float, lane: int, lanes: int) -> list[Work]:
        """Hand in a share, then as `next`."""
        self._coordinator.accept_share(self._holder, share)
        return self.next(wait, lane, lanes)

    def working(self, question_id: str, run: int, round: int) -> None:
        """Say that a computation is going on."""
        self._coordinator.note_working(self._holder, question_id, run, round)
