"""What the coordinator and the agent keep, and the stores that they need for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from salerno.analysis.model import AskedQuestion, QuestionState, Scope, Share, Study
from salerno.holdings.model import Dictionary
from salerno.permits.model import DisclosurePolicy


@dataclass(frozen=True, kw_only=True)
class Missing:
    """A holder that an answer does without, and why."""

    holder: str
    name: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One attempt at a question.

    Args:
        holders: Who takes part, sorted.
        missing: Who was left out, here or in an attempt before.
        scope: What all agreed on; None until every holder has opened.
    """

    question_id: str
    run: int
    holders: tuple[str, ...]
    missing: tuple[Missing, ...] = ()
    scope: Scope | None = None


@dataclass(frozen=True, kw_only=True)
class RoundRecord:
    """One round of a run at the coordinator.

    Args:
        token: The signed `RoundCall`.
        state: ``open``, ``summed`` or ``closed``.
    """

    round: int
    token: str
    state: str


@dataclass(frozen=True, kw_only=True)
class Pending:
    """What a holder has not yet replied to; round 0 is the opening."""

    question_id: str
    run: int
    round: int
    token: str


class HubStore(Protocol):
    """Where the coordinator keeps studies, questions, runs, rounds and shares."""

    def add_study(self, study: Study, tokens: Sequence[str], methods: Sequence[str] | None) -> None:
        """Keep a study with its permits' credentials and the methods that all of them cover."""
        ...

    def study(self, study_id: str) -> Study | None:
        """One study."""
        ...

    def tokens(self, study_id: str) -> tuple[str, ...]:
        """The credentials of its permits."""
        ...

    def methods(self, study_id: str) -> tuple[str, ...] | None:
        """Methods that all its permits cover; None means any."""
        ...

    def studies(self, user: str) -> list[Study]:
        """A user's studies, newest first."""
        ...

    def add_question(self, question: AskedQuestion) -> None:
        """Keep a new question."""
        ...

    def question(self, question_id: str) -> AskedQuestion | None:
        """One question."""
        ...

    def questions(self, study_id: str) -> list[AskedQuestion]:
        """A study's questions, oldest first."""
        ...

    def start_question(self, question_id: str, at: datetime) -> datetime:
        """Mark it running; returns when it was first started."""
        ...

    def set_progress(self, question_id: str, progress: str) -> None:
        """Say where it stands."""
        ...

    def end_question(
        self,
        question_id: str,
        state: QuestionState,
        *,
        answer: dict[str, Any] | None = None,
        error: dict[str, Any] | None = None,
    ) -> None:
        """Store its answer or error, and close what is still open of it."""
        ...

    def add_run(self, run: RunRecord, opening: str) -> None:
        """Start a run, close the ones before, and ask its holders with the signed opening."""
        ...

    def run(self, question_id: str) -> RunRecord | None:
        """The latest run."""
        ...

    def agree(self, run: RunRecord) -> None:
        """Keep a run's scope and final holders; holders that did not open are closed."""
        ...

    def opening(self, question_id: str, run: int, holder: str) -> tuple[str, str] | None:
        """A holder's opening and its signed reply, which is empty before it came."""
        ...

    def replies(self, question_id: str, run: int) -> dict[str, str]:
        """Signed replies to a run's openings by holder."""
        ...

    def put_replies(self, question_id: str, run: int, replies: Mapping[str, str]) -> None:
        """Keep holders' replies to a run's openings; those that have come before count."""
        ...

    def add_round(self, question_id: str, run: int, round: int, token: str, holders: Sequence[str]) -> None:
        """Open a round."""
        ...

    def last_round(self, question_id: str, run: int) -> RoundRecord | None:
        """The latest round of a run."""
        ...

    def put_totals(self, question_id: str, run: int, round: int, arrays: str, words: bytes) -> None:
        """Keep the added words of a round and mark it summed."""
        ...

    def totals(self, question_id: str, run: int) -> list[tuple[str, bytes]]:
        """Layout and added words of the summed rounds, in order."""
        ...

    def put_shares(self, question_id: str, run: int, round: int, shares: Mapping[str, Share]) -> None:
        """Keep shares by holder as they came; of whom none is awaited in this round, nothing is kept."""
        ...

    def share(self, question_id: str, run: int, round: int, holder: str) -> Share | None:
        """A holder's share."""
        ...

    def shares(self, question_id: str, run: int, round: int) -> dict[str, Share]:
        """All shares of a round that have come, by holder."""
        ...

    def headers(self, question_id: str, run: int, round: int) -> dict[str, str]:
        """Signed headers of the shares that have come, by holder."""
        ...

    def waiting_for(self, question_id: str) -> tuple[str, ...]:
        """Holders that have not yet replied in the question's open step."""
        ...

    def pending(self, holder: str) -> list[Pending]:
        """What a holder has to do, oldest first."""
        ...


@dataclass(frozen=True, kw_only=True)
class AgentRun:
    """A run as a holder keeps it.

    Args:
        opening: The coordinator's signed opening.
        reply: The holder's signed reply.
        dictionary, policy: What it said in that reply.
        scope: What all agreed on; None until round 1.
    """

    coordinator: str
    question_id: str
    run: int
    opening: str
    reply: str
    dictionary: Dictionary
    policy: DisclosurePolicy
    permit_token: str
    scope: Scope | None = None


@dataclass(frozen=True, kw_only=True)
class AgentRound:
    """A round as a holder keeps it.

    Args:
        content: Digest of what the coordinator asked.
        share: The holder's own share.
        arrays: Layout of share and totals as JSON.
        totals: Added words of all holders; None until the next round brought the others' shares.
    """

    round: int
    content: str
    share: Share
    arrays: str
    totals: bytes | None = None


class AgentStore(Protocol):
    """Where a holder keeps what it opened and answered."""

    def run(self, coordinator: str, question_id: str, run: int) -> AgentRun | None:
        """One run."""
        ...

    def add_run(self, run: AgentRun) -> None:
        """Keep an opened run."""
        ...

    def set_scope(self, coordinator: str, question_id: str, run: int, scope: Scope) -> None:
        """Keep what all agreed on."""
        ...

    def rounds(self, coordinator: str, question_id: str, run: int) -> list[AgentRound]:
        """The answered rounds of a run, in order."""
        ...

    def add_round(self, coordinator: str, question_id: str, run: int, round: AgentRound) -> None:
        """Keep an answered round."""
        ...

    def set_totals(self, coordinator: str, question_id: str, run: int, round: int, totals: bytes) -> None:
        """Keep the totals of a round."""
        ...
