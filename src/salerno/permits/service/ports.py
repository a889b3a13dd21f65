"""What the permit desk needs of the world; nodes supply it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from salerno.audit.model import Receipt
from salerno.identity.model import Credential, Participant, ParticipantRole
from salerno.permits.model import (
    EVERYTHING,
    Case,
    DataAccessApplication,
    DataPermit,
    Decision,
    IssuedPermit,
    OptOut,
    OptOutLevel,
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


class CredentialSigner(Protocol):
    """Signs permits with the access body's key, e.g. `wire.render_permit` with a key bound to it."""

    def __call__(self, permit: DataPermit) -> str:
        """The permit as VC-JWT."""
        ...


class Peers(Protocol):
    """The admitted participants; `identity.service.Trust` in the same transaction."""

    def participant(self, did: str) -> Participant:
        """The admitted participant; raises `NotFound`."""
        ...

    def participants(self, role: ParticipantRole | None = None) -> list[Participant]:
        """All admitted participants, or those of one role."""
        ...

    def verify_credential(self, token: str, *, type: str) -> Credential:
        """The verified credential; raises `Refused` when its issuer is not admitted or it was altered."""
        ...


class CaseStore(Protocol):
    """Cases, the versions of their applications, decisions and permits."""

    def case(self, case_id: str) -> Case | None:
        """The case, locked until the end of the transaction where the database can do that."""
        ...

    def cases(self, *, applicant_id: str | None = None) -> list[Case]:
        """All cases, newest first; those of one applicant when given."""
        ...

    def put_case(self, case: Case) -> None:
        """Store a case, new or changed."""
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

    def decision(self, case_id: str) -> Decision | None:
        """The decision on a case."""
        ...

    def put_permit(self, issued: IssuedPermit) -> None:
        """Store a permit, new or with a new state."""
        ...

    def permit(self, permit_id: str) -> IssuedPermit | None:
        """The permit as stored, locked like a case."""
        ...

    def permits(self, *, person_id: str | None = None) -> list[IssuedPermit]:
        """All permits, newest first; those that name a person when given."""
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

    def opt_out_secret(self) -> bytes:
        """The secret that holders' salts are derived from, 32 bytes; made at the first call."""
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


class PermitStore(CaseStore, OptOutStore, Protocol):
    """All that the permit desk stores."""
