"""What the permit desk needs of the world; nodes supply it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol

from salerno.audit.model import Receipt
from salerno.identity.model import Credential, Participant, ParticipantRole
from salerno.permits.model import (
    EVERYTHING,
    BoardView,
    Case,
    CaseEvent,
    CasePage,
    DataAccessApplication,
    DataPermit,
    Decision,
    DeletionProof,
    IssuedPermit,
    OptOut,
    OptOutLevel,
    Reidentification,
)


class Reader(Protocol):
    """Who looks: a caller with an identifier and roles."""

    @property
    def id(self) -> str:
        """Account identifier, or a participant's DID."""
        ...

    @property
    def roles(self) -> frozenset[str]:
        """Values of ``PersonRole`` or ``ParticipantRole``."""
        ...


class Journal(Protocol):
    """The audit log of the same transaction."""

    def append(
        self,
        *,
        actor: str,
        act: str,
        subject: str,
        detail: Mapping[str, Any] | None = None,
        rule: str = "",
    ) -> int:
        """Append one entry and return its index."""
        ...

    def append_refusal(
        self,
        *,
        actor: str,
        act: str,
        subject: str,
        detail: Mapping[str, Any] | None = None,
        rule: str = "",
    ) -> None:
        """Append an entry that stays although the refusal raised next rolls the transaction back."""
        ...

    def receipt(self, index: int) -> Receipt:
        """Proof that an entry is in the log."""
        ...


class JobQueue(Protocol):
    """The durable job queue of the same transaction."""

    def enqueue(self, kind: str, payload: dict[str, Any], *, key: str) -> None:
        """Have a job done after the commit; a second one with the same key changes nothing."""
        ...


class Signer(Protocol):
    """Signs with the access body's key; `wire.DeskSigner`."""

    def permit(self, permit: DataPermit) -> str:
        """The permit as VC-JWT."""
        ...

    def decision(self, decision: Decision) -> str:
        """The decision as a JWT."""
        ...


class Officers(Protocol):
    """The accounts that may handle cases here."""

    def __call__(self) -> Mapping[str, str]:
        """Name by account identifier."""
        ...


class Notices(Protocol):
    """Tells persons with an account at this node; `identity.service.Notices` in the same transaction."""

    def tell(
        self, account_id: str, kind: str, values: Mapping[str, str | int], *, path: str, key: str = ""
    ) -> bool:
        """Tell one person; the same key once for ever. Who has no account here is not told."""
        ...


class Peers(Protocol):
    """The admitted participants; `identity.service.Trust` in the same transaction."""

    def participant(self, did: str) -> Participant:
        """The admitted participant; raises `NotFound`."""
        ...

    def participants(self, role: ParticipantRole | None = None) -> list[Participant]:
        """All admitted participants, or those of one role."""
        ...

    def signing_keys(self, did: str) -> Sequence[Mapping[str, Any]]:
        """Public signing keys of an admitted participant, as JWK."""
        ...

    def verify_credential(self, token: str, *, type: str) -> Credential:
        """The verified credential; raises `Refused` when its issuer is not admitted or it was altered."""
        ...


class CaseStore(Protocol):
    """Cases, the versions of their applications, what happened to them, decisions and permits."""

    def case(self, case_id: str) -> Case | None:
        """The case, locked until the end of the transaction where the database can do that."""
        ...

    def put_case(self, case: Case, updated_at: datetime) -> None:
        """Store a case, new or changed."""
        ...

    def lines(
        self,
        view: BoardView | None,
        *,
        applicant_id: str = "",
        officer: str = "",
        text: str = "",
        today: date | None = None,
        after: str = "",
        limit: int,
    ) -> CasePage:
        """Cases as lines of a list.

        Args:
            view: Which of an access body's; the next deadline first, or for those that are closed the last
                change first. None means all, newest first.
            applicant_id: Only those of one applicant.
            officer: Whose are `BoardView.MINE`.
            text: Only those whose title, applicant or identifier contains it, in any case.
            today: What is overdue lies before it.
            after: `CasePage.next` of the part before.
            limit: Most lines.
        """
        ...

    def counts(self, *, officer: str, today: date) -> dict[BoardView, int]:
        """How many cases each list has."""
        ...

    def received(self, *, after: str = "", limit: int) -> tuple[list[Case], str]:
        """Cases that were submitted, newest first, and what asks for those after them."""
        ...

    def add_event(self, case_id: str, event: CaseEvent) -> None:
        """Keep what happened; its `number` is given by the store."""
        ...

    def events(self, case_id: str) -> list[CaseEvent]:
        """What happened to a case, in order."""
        ...

    def add_version(
        self, case_id: str, version: int, application: DataAccessApplication, saved_at: datetime
    ) -> None:
        """Keep one version of an application; versions are never changed."""
        ...

    def application(self, case_id: str, version: int) -> DataAccessApplication | None:
        """One version of an application."""
        ...

    def add_decision(self, decision: Decision) -> None:
        """Keep a decision."""
        ...

    def decisions(self, case_id: str) -> list[Decision]:
        """The decisions on a case, the first one first."""
        ...

    def put_permit(self, issued: IssuedPermit) -> None:
        """Store a permit, new or with a new state."""
        ...

    def permit(self, permit_id: str) -> IssuedPermit | None:
        """The permit as stored, locked like a case."""
        ...

    def permits(
        self, *, person_id: str | None = None, ids: Sequence[str] | None = None
    ) -> list[IssuedPermit]:
        """All permits, newest first; those that name a person, or those of some identifiers, when given."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Objections:
    """What the country says of the opt-out.

    Args:
        levels: What one can opt out from.
        categories_of: Categories of a data set (Art. 51), as far as its description tells them.
    """

    levels: tuple[OptOutLevel, ...] = (EVERYTHING,)
    categories_of: Callable[[str], Collection[str]] = lambda dataset: ()


class OptOutStore(Protocol):
    """The register of opt-outs, the one place that says in clear who opted out."""

    def secret(self, name: str) -> bytes:
        """A secret of this access body, 32 bytes; made at the first call."""
        ...

    def opt_outs(self, person: str | None = None) -> list[OptOut]:
        """Every period in order of its beginning; those of one person when given."""
        ...

    def add_opt_out(self, opt_out_id: str, opt_out: OptOut) -> None:
        """Begin a period."""
        ...

    def end_opt_out(self, person: str, level: str, until: datetime, receipt: int) -> None:
        """End the person's open period of a level."""
        ...

    def opt_out_id(self, person: str, level: str) -> str:
        """Identifier of the person's open period of a level; empty when there is none."""
        ...

    def opted_out(self, at: datetime, *, except_levels: Collection[str] = ()) -> Iterable[str]:
        """Identifiers of the persons whose opt-out stood at an instant, at another level than these."""
        ...


class EndingStore(Protocol):
    """What becomes of permits after they are issued."""

    def status_place(self, permit_id: str, most: int) -> int:
        """The permit's place in the status list, below `most`: drawn at random at the first call."""
        ...

    def revoked_places(self) -> list[int]:
        """Places of the permits that were revoked, or whose place another one took."""
        ...

    def add_deletion(self, proof: DeletionProof) -> None:
        """Keep a proof."""
        ...

    def deletions(self, permit_id: str) -> list[DeletionProof]:
        """A permit's proofs, oldest first."""
        ...

    def put_reidentification(self, one: Reidentification) -> None:
        """Keep it, new or with its confirmation."""
        ...

    def reidentification(self, id: str) -> Reidentification | None:
        """The one of this identifier."""
        ...

    def reidentifications(self) -> list[Reidentification]:
        """All, oldest first."""
        ...


class PermitStore(CaseStore, OptOutStore, EndingStore, Protocol):
    """All that the permit desk stores."""
