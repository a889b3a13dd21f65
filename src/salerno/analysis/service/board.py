"""What the coordinator asks of the holders at the moment, and what came, in memory.

Calls that wait need no database, and the replies of a step are stored together, the shares of a round in one
transaction with its totals. If the process dies before, nothing is lost but time: the step is asked again,
and a holder that has answered it gives the same reply again. A reply that the board does not know is checked
against the database.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from zlib import crc32

from salerno.analysis.model import Share, ShareHeader, Work
from salerno.analysis.service.ports import HubDesk
from salerno.analysis.service.records import Pending
from salerno.kernel.values import to_json

T = TypeVar("T")


@dataclass
class _Step:
    """The open step of one question; round 0 is the opening."""

    run: int
    round: int
    expected: ShareHeader | None
    works: dict[str, Work]
    replies: dict[str, Any]
    encoded: dict[str, bytes] = field(default_factory=dict)
    posted: float = field(default_factory=time.monotonic)


class Board:
    """The open step of each running question, by holder; threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._steps: dict[str, _Step] = {}

    def post(
        self,
        question_id: str,
        run: int,
        round: int,
        works: Mapping[str, Work],
        expected: ShareHeader | None = None,
        replies: Mapping[str, Any] | None = None,
    ) -> None:
        """Ask holders for a step; the question's step before is taken down.

        Args:
            question_id: The question.
            run: Its run.
            round: Its round; 0 is the opening.
            works: What each holder gets that has not replied.
            expected: Where a share of this step must belong; layout and hash are not looked at.
            replies: What has come already, after a restart: shares, or signed replies to the opening.
        """
        with self._lock:
            self._steps[question_id] = _Step(run, round, expected, dict(works), dict(replies or {}))

    def withdraw(self, question_id: str) -> None:
        """The question has ended."""
        with self._lock:
            self._steps.pop(question_id, None)

    def works(self, holder: str, lane: int, lanes: int) -> list[Work]:
        """What a holder has not yet replied to, in one lane."""
        with self._lock:
            return [step.works[holder] for step in self._of(holder, lane, lanes)]

    def encoded(self, holder: str, lane: int, lanes: int) -> list[bytes]:
        """`works` as JSON; work that is the same for several holders is encoded once."""
        with self._lock:
            steps = self._of(holder, lane, lanes)
            for step in steps:
                token = step.works[holder].token
                if token not in step.encoded:
                    step.encoded[token] = to_json(step.works[holder])
            return [step.encoded[step.works[holder].token] for step in steps]

    def expected(self, question_id: str, run: int, round: int, holder: str) -> ShareHeader | None:
        """Where this holder's share of this step must belong; None when it is not on the board."""
        with self._lock:
            step = self._step(question_id, run, round)
            asked = step is not None and (holder in step.works or holder in step.replies)
            return step.expected if step is not None and asked else None

    def opening(self, question_id: str, run: int, holder: str) -> str | None:
        """The signed opening that a holder has not yet replied to; None when the board has none."""
        with self._lock:
            step = self._step(question_id, run, 0)
            work = step.works.get(holder) if step is not None else None
            return None if work is None else work.token

    def put(self, question_id: str, run: int, round: int, holder: str, reply: T) -> T | None:
        """Keep a reply unless the holder has given one; returns the one that counts.

        None when the step is no longer on the board.
        """
        with self._lock:
            step = self._step(question_id, run, round)
            if step is None:
                return None
            step.works.pop(holder, None)
            kept: T = step.replies.setdefault(holder, reply)
            return kept

    def complete(self, question_id: str, run: int, round: int) -> bool:
        """Whether nobody is waited for in a step, or the board does not know it."""
        with self._lock:
            step = self._step(question_id, run, round)
            return step is None or not step.works

    def shares(self, question_id: str, run: int, round: int) -> dict[str, Share]:
        """The shares of a round that have come, by holder."""
        return self._replies(question_id, run, round)

    def openings(self, question_id: str, run: int) -> dict[str, str]:
        """The signed replies to a run's openings that have come, by holder."""
        return self._replies(question_id, run, 0)

    def waiting_for(self, question_id: str) -> tuple[str, ...] | None:
        """Holders that have not replied to the open step; None when the question is not on the board."""
        with self._lock:
            step = self._steps.get(question_id)
            return None if step is None else tuple(sorted(step.works))

    def posted_at(self, question_id: str, run: int, round: int) -> float | None:
        """Monotonic time at which a step was asked; None when it is not on the board."""
        with self._lock:
            step = self._step(question_id, run, round)
            return None if step is None else step.posted

    def _replies(self, question_id: str, run: int, round: int) -> dict[str, Any]:
        with self._lock:
            step = self._step(question_id, run, round)
            return dict(step.replies) if step is not None else {}

    def _step(self, question_id: str, run: int, round: int) -> _Step | None:
        step = self._steps.get(question_id)
        return step if step is not None and (step.run, step.round) == (run, round) else None

    def _of(self, holder: str, lane: int, lanes: int) -> list[_Step]:
        return [
            step
            for question_id, step in self._steps.items()
            if holder in step.works and in_lane(question_id, lane, lanes)
        ]


def in_lane(question_id: str, lane: int, lanes: int) -> bool:
    """Whether a question falls into a lane of an agent that works on several questions at once."""
    return crc32(question_id.encode()) % max(lanes, 1) == lane


def work_of(desk: HubDesk, pending: Pending) -> Work:
    """What a holder gets, from the database."""
    if pending.round == 0:
        return Work(kind="opening", token=pending.token)
    if pending.round == 1:
        run = desk.store.run(pending.question_id)
        return Work(kind="round", token=pending.token, scope=run.scope if run else None)
    shares = desk.store.shares(pending.question_id, pending.run, pending.round - 1)
    return Work(kind="round", token=pending.token, previous=tuple(shares[did] for did in sorted(shares)))
