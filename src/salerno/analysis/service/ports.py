"""What the coordinator and the agent need of the rest of a node."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar

import ibis
import pyarrow as pa

from salerno.analysis.model import AskedQuestion, QuestionState, Scope, Share, Study, Work
from salerno.holdings.model import AccessRequest, Dictionary
from salerno.identity.model import Participant
from salerno.permits.model import DataPermit, DisclosurePolicy

T = TypeVar("T")
Opens = Callable[[], AbstractContextManager[T]]


class Keys(Protocol):
    """A node's key ring."""

    def private_jwk(self) -> Mapping[str, Any]:
        """The private signing key."""
        ...

    def signing_jwk(self) -> Mapping[str, Any]:
        """The public signing key with its ``kid``."""
        ...

    def agree(self, peer_jwk: Mapping[str, Any]) -> bytes:
        """The X25519 secret shared with the owner of a public key."""
        ...


class PublicKeys(Protocol):
    """A participant's DID document, as far as rounds need it."""

    @property
    def keys(self) -> Mapping[str, Mapping[str, Any]]:
        """Signing keys by ``kid``."""
        ...

    @property
    def agreement(self) -> Mapping[str, Mapping[str, Any]]:
        """X25519 keys by ``kid``."""
        ...


class KeyResolver(Protocol):
    """Where public keys come from."""

    def resolve(self, did: str) -> PublicKeys:
        """The keys of a participant, freshly read or from a short-lived cache."""
        ...


class Participants(Protocol):
    """Whom this node has admitted."""

    def participant(self, did: str) -> Participant:
        """One participant; NotFound when it is not admitted."""
        ...


class Audit(Protocol):
    """The log of the same transaction."""

    def append(
        self, *, actor: str, act: str, subject: str, detail: Mapping[str, Any] | None = None, rule: str = ""
    ) -> int:
        """Append an entry and return its index."""
        ...


class Jobs(Protocol):
    """The node's job queue, in the same transaction."""

    def enqueue(self, kind: str, payload: dict[str, Any], *, key: str) -> None:
        """Store a job once per key."""
        ...


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

    def add_run(self, run: RunRecord, openings: Mapping[str, str]) -> None:
        """Start a run, close the ones before, and ask each holder with its signed opening."""
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

    def put_reply(self, question_id: str, run: int, holder: str, reply: str) -> None:
        """Keep a holder's reply."""
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

    def put_share(self, question_id: str, run: int, round: int, holder: str, share: Share) -> None:
        """Keep a share as it came."""
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
class HubDesk:
    """What one transaction at the hub works with."""

    store: HubStore
    audit: Audit
    jobs: Jobs
    trust: Participants


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


@dataclass(frozen=True, kw_only=True)
class HolderDesk:
    """What one transaction at a holder works with."""

    store: AgentStore
    audit: Audit
    trust: Participants


class View(Protocol):
    """The permitted view, as far as a run uses it."""

    @property
    def dictionary(self) -> Dictionary:
        """Columns of the frame, without ``holder``."""
        ...

    @property
    def policy(self) -> DisclosurePolicy:
        """Stricter of the holder's and the permit's."""
        ...

    @property
    def permit(self) -> DataPermit:
        """The permit that it stands on."""
        ...

    def run(self, build: Callable[[ibis.Table], ibis.Table]) -> pa.Table:
        """Compute one aggregate."""
        ...

    def close(self) -> None:
        """Let go of the data."""
        ...


class Door(Protocol):
    """The one door to the holder's rows."""

    def open(self, request: AccessRequest) -> View:
        """Open the view that the request may have."""
        ...


class HubPeer(Protocol):
    """The coordinator as an agent reaches it, by outbound calls alone.

    Each call may wait for further work and brings it along, which saves a round trip per round.
    """

    def next(self, wait: float, lane: int, lanes: int) -> list[Work]:
        """Work for this holder, after up to `wait` seconds."""
        ...

    def opened(self, reply: str, wait: float, lane: int, lanes: int) -> list[Work]:
        """Hand in the signed reply to an opening, then as `next`."""
        ...

    def share(self, share: Share, wait: float, lane: int, lanes: int) -> list[Work]:
        """Hand in a share, then as `next`."""
        ...

    def working(self, question_id: str, run: int, round: int) -> None:
        """Say that a computation is going on, so that the deadline is not held against it."""
        ...


@dataclass(frozen=True, kw_only=True)
class Deadlines:
    """How long the coordinator waits.

    Args:
        silence_seconds: Longest time without a sign of life of a holder.
        longest_seconds: Longest time of one step, signs of life or not.
        poll_seconds: How often the database is looked at although no bell rang.
    """

    silence_seconds: float = 60.0
    longest_seconds: float = 3600.0
    poll_seconds: float = 0.5


@dataclass(frozen=True, kw_only=True)
class HubParts:
    """All that the coordinator is made of.

    Args:
        opens: Opens a transaction that may write.
        reads: Opens one that only reads; may be the same.
        keys, resolver: The hub's own keys, and where the holders' public keys come from.
        own: The hub.
        version: Of Salerno, for the answers.
    """

    opens: Opens[HubDesk]
    reads: Opens[HubDesk]
    keys: Keys
    resolver: KeyResolver
    own: Participant
    now: Callable[[], datetime]
    deadlines: Deadlines = field(default_factory=Deadlines)
    version: str = ""
