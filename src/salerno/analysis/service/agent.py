"""The agent at a holder: fetches work by outbound calls, has it done, hands it in."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque

from salerno.analysis.model import Share, Work
from salerno.analysis.service.answering import Answering
from salerno.analysis.service.inbox import Drop, Inbox
from salerno.analysis.service.opening import Openings
from salerno.analysis.service.ports import AgentParts, HubPeer
from salerno.analysis.service.views import OpenViews
from salerno.kernel.errors import SalernoError, Unavailable

_log = logging.getLogger(__name__)


class Agent:
    """Works for one hub on behalf of one holder.

    Args:
        hub: How the hub is reached.
        parts: What the agent is made of.
        lanes: How many questions it works on at once.
        wait_seconds: How long a call to the hub may wait for work.
        working_seconds: How often it says that a long computation goes on.
    """

    def __init__(
        self,
        hub: HubPeer,
        parts: AgentParts,
        *,
        lanes: int = 2,
        wait_seconds: float = 25.0,
        working_seconds: float = 10.0,
    ) -> None:
        self._hub = hub
        self._lanes = lanes
        self._wait = wait_seconds
        self._working_seconds = working_seconds
        self._inbox = Inbox(parts)
        self._views = OpenViews(parts.door)
        self._openings = Openings(parts, self._inbox, self._views)
        self._answering = Answering(parts, self._inbox, self._views)
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Work in threads until `stop`."""
        for lane in range(self._lanes):
            self._threads.append(threading.Thread(target=self._loop, args=(lane,), name=f"agent-{lane}"))
        self._threads.append(threading.Thread(target=self._say_working, name="agent-working"))
        for thread in self._threads:
            thread.daemon = True
            thread.start()

    def stop(self, timeout_seconds: float = 5.0) -> None:
        """Take no further work and close the views; a call that waits at the hub is not waited for."""
        self._stopping.set()
        end = time.monotonic() + timeout_seconds
        for thread in self._threads:
            thread.join(max(0.0, min(0.2, end - time.monotonic())))
        self._views.close()

    def work_once(self, wait: float = 0.0, lane: int | None = None) -> bool:
        """Fetch work and do it, and what follows from it, until the hub has no more.

        Args:
            wait: Seconds that each call may wait at the hub.
            lane: Only questions of this lane; None means all.

        Returns:
            Whether there was anything to do.

        Raises:
            Unavailable: The hub, the access body or the data cannot be reached now.
            SalernoError: The hub refused what was handed in.
        """
        at, lanes = (0, 1) if lane is None else (lane, self._lanes)
        queue = deque(self._hub.next(wait, at, lanes))
        found = bool(queue)
        while queue and not self._stopping.is_set():
            work = queue.popleft()
            reply = self._reply(work)
            then = 0.0 if queue else wait
            if isinstance(reply, Share):
                more = self._hub.share(reply, then, at, lanes)
            elif reply is not None:
                more = self._hub.opened(reply, then, at, lanes)
            else:
                continue
            known = {w.token for w in queue} | {work.token}
            queue.extend(w for w in more if w.token not in known)
        self._views.close_idle()
        return found

    def _loop(self, lane: int) -> None:
        pause = 0.0
        while not self._stopping.is_set():
            try:
                self.work_once(self._wait, lane)
                pause = 0.0
                continue
            except Exception as error:
                if self._stopping.is_set():
                    return  # what it worked with may be closed already
                _log.log(*_complaint(error))
            pause = min(30.0, max(0.25, pause * 2))
            self._stopping.wait(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, hides nothing

    def _say_working(self) -> None:
        while not self._stopping.wait(self._working_seconds):
            for question_id, run, number in self._inbox.working():
                try:
                    self._hub.working(question_id, run, number)
                except SalernoError as error:
                    _log.warning("the hub did not hear that work goes on: %s", error.code)

    def _reply(self, work: Work) -> str | Share | None:
        """What to hand in; None for a message that gets no reply."""
        try:
            reply = (
                self._openings.reply(work.token) if work.kind == "opening" else self._answering.share(work)
            )
        except Drop as drop:
            self._inbox.log_refusal(drop.question_id, drop.reason)
            return None
        self._inbox.done(work.token)
        return reply


def _complaint(error: Exception) -> tuple[int, str, str]:
    """Level, sentence and what stands in it; no error's own text, which could quote data."""
    if isinstance(error, Unavailable):
        return logging.WARNING, "the hub or the data cannot be used: %s", error.code
    if isinstance(error, SalernoError):
        return logging.WARNING, "the hub refused: %s", error.code
    return logging.ERROR, "the agent could not go on: %s", type(error).__name__
