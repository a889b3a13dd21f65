"""What the coordinator and the agent need of the rest of a node."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar

import ibis
import pyarrow as pa

from salerno.analysis.model import Share, Work
from salerno.analysis.service.entries import LedgerStore
from salerno.analysis.service.records import AgentStore, HubStore
from salerno.analysis.wire import KeyResolver
from salerno.catalogue.model import DatasetDescription
from salerno.holdings.model import AccessRequest, Dictionary, Learning, Numbers, Task, Trained
from salerno.holdings.service import Persons, Stage, Tell
from salerno.identity.model import Participant, ParticipantRole
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


class Participants(Protocol):
    """Whom this node has admitted."""

    def participant(self, did: str) -> Participant:
        """One participant; NotFound when it is not admitted."""
        ...

    def participants(self, role: ParticipantRole | None = None) -> Sequence[Participant]:
        """All, or those of one role."""
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
class HubDesk:
    """What one transaction at the hub works with."""

    store: HubStore
    audit: Audit
    jobs: Jobs
    trust: Participants


@dataclass(frozen=True, kw_only=True)
class HolderDesk:
    """What one transaction at a holder works with."""

    store: AgentStore
    ledger: LedgerStore
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

    def run(
        self,
        build: Callable[[ibis.Table], ibis.Table],
        stages: Sequence[Stage] = (),
        numbers: Callable[[], Numbers] = ...,
    ) -> pa.Table:
        """Compute one aggregate of the view, or of rows that are made of it in stages, with its numbers."""
        ...

    def train(self, build: Callable[[ibis.Table], ibis.Table], learning: Learning, task: Task) -> Trained:
        """Have an allowed app do its part of a round on rows, in the holder's sandbox."""
        ...

    def persons(self, build: Tell, secret: bytes, most: int = 0) -> list[Persons]:
        """Whom figures rest on, for the holder's own ledger."""
        ...

    def close(self) -> None:
        """Let go of the data."""
        ...


class Door(Protocol):
    """The one door to the holder's rows."""

    def open(self, request: AccessRequest) -> View:
        """Open the view that the request may have."""
        ...


class Rehearse(Protocol):
    """Answers a question on synthetic rows."""

    def __call__(
        self,
        question: Mapping[str, Any],
        descriptions: Sequence[DatasetDescription],
        frame: Mapping[str, Any] | None = None,
        threshold: int | None = None,
    ) -> dict[str, Any]:
        """The answer, marked as synthetic."""
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
        poll_seconds: How often the clock and the database are looked at although no bell rang.
    """

    silence_seconds: float = 60.0
    longest_seconds: float = 3600.0
    poll_seconds: float = 2.0


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


@dataclass(frozen=True, kw_only=True)
class AgentParts:
    """All that an agent is made of.

    Args:
        door: Opens permitted views.
        opens: Opens a transaction that may write.
        reads: Opens one that only reads; may be the same.
        keys, resolver: The holder's own keys, and where the others' public keys come from.
        own: The holder.
        hub: DID of the coordinator.
        read_permit: The permit in a credential token, verified.
        now: The time.
    """

    door: Door
    opens: Opens[HolderDesk]
    reads: Opens[HolderDesk]
    keys: Keys
    resolver: KeyResolver
    own: Participant
    hub: str
    read_permit: Callable[[str], DataPermit]
    now: Callable[[], datetime]
