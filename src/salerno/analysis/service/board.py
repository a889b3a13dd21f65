"""What the coordinator asks of the holders at the moment, in memory, so that waiting calls need no database.

The database is the truth: after a restart the board is filled from it again, and a share that the board does
not know is checked against it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from zlib import crc32

from salerno.analysis.model import ShareHeader, Work
from salerno.analysis.service.ports import HubDesk
from salerno.analysis.service.records import Pending
from salerno.kernel.values import to_json


@dataclass
class _Step:
    """The open step of one question; round 0 is the opening."""

    run: int
    round: int
    expected: ShareHeader | None
    works: dict[str, Work]
    encoded: dict[str, bytes] = field(default_factory=dict)


class Board:
    """The open step of each running question, by holder; threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._steps: dict[str, _Step] = {}

    def post(
        self, question_id: str, run: int, round: int, works: Mapping[str, Work], expected: ShareHeader | None
    ) -> None:
        """Ask holders for a step; the question's step before is taken down.

        Args:
            question_id: The question.
            run: Its run.
            round: Its round; 0 is the opening.
            works: What each holder gets.
            expected: Where a share of this step must belong; layout and hash are not looked at.
        """
        with self._lock:
            self._steps[question_id] = _Step(run, round, expected, dict(works))

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
            step = self._steps.get(question_id)
            if step is None or (step.run, step.round) != (run, round) or holder not in step.works:
                return None
            return step.expected

    def came(self, question_id: str, run: int, round: int, holder: str) -> bool:
        """A holder has replied.

        Returns:
            Whether the coordinator should look: it was the last one, or the board does not know the step.
        """
        with self._lock:
            step = self._steps.get(question_id)
            if step is None or (step.run, step.round) != (run, round):
                return True
            step.works.pop(holder, None)
            return not step.works

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
