"""Reading cases and permits, and the public register made of them."""

from __future__ import annotations

from dataclasses import replace

from salerno.identity.model import Participant, ParticipantRole, PersonRole
from salerno.kernel.errors import NotFound, Refused
from salerno.kernel.time import Clock
from salerno.permits.model import (
    ApplicationState,
    Case,
    IssuedPermit,
    PermitState,
    RegisterEntry,
)
from salerno.permits.rules import permit_state
from salerno.permits.service.ports import (
    CredentialSigner,
    JobQueue,
    Journal,
    Objections,
    Peers,
    PermitStore,
    Reader,
)


class CaseFile:
    """What both desks share: their parts, and reading."""

    def __init__(
        self,
        store: PermitStore,
        audit: Journal,
        clock: Clock,
        signer: CredentialSigner,
        own: Participant,
        jobs: JobQueue,
        peers: Peers,
        objections: Objections | None = None,
    ) -> None:
        self._store = store
        self._audit = audit
        self._clock = clock
        self._signer = signer
        self._own = own
        self._jobs = jobs
        self._peers = peers
        self._objections = objections or Objections()

    def cases(self, caller: Reader) -> list[Case]:
        """The cases that the caller may see, newest first.

        At the hub an applicant's own; at an access body all of them, for its officers.
        """
        if self._is_desk_of(caller):
            return self._store.cases()
        return self._store.cases(applicant_id=caller.id)

    def case(self, case_id: str, caller: Reader) -> Case:
        """One case.

        Raises:
            NotFound: There is none, or it is not the caller's.
        """
        case = self._store.case(case_id)
        if case is None or not (case.applicant_id == caller.id or self._is_desk_of(caller)):
            raise no_such_case()
        return case

    def register(self) -> list[RegisterEntry]:
        """The public register: every application from its receipt on, and what became of it.

        Source:
            EHDS Art. 57(1)(j), 58(1).
        """
        permits = {issued.permit.id: self._present(issued) for issued in self._store.permits()}
        received = [case for case in self._store.cases() if case.submitted_at is not None]
        return [_entry(case, permits) for case in received]

    def _is_desk_of(self, caller: Reader) -> bool:
        return self._own.role is ParticipantRole.ACCESS_BODY and PersonRole.OFFICER in caller.roles

    def _found(self, case_id: str) -> Case:
        case = self._store.case(case_id)
        if case is None:
            raise no_such_case()
        return case

    def _at(self, role: ParticipantRole) -> None:
        if self._own.role is not role:
            raise Refused("wrong-node", f"This node is no {role.value}", remedy=f"Ask at the {role.value}.")

    def _refuse_message(self, sender: str, subject: str, refusal: Refused) -> Refused:
        self._audit.append_refusal(
            actor=sender,
            act="message-refused",
            subject=subject,
            detail={"code": refusal.code},
            rule=refusal.rule,
        )
        return refusal

    def _present(self, issued: IssuedPermit) -> IssuedPermit:
        return replace(issued, state=permit_state(issued, self._clock.now()))


def no_such_case() -> NotFound:
    """The error for a case that is not there and for one that is somebody else's."""
    return NotFound(
        "case-not-found", "There is no such application, or it is not yours", remedy="Look at your list."
    )


def no_such_permit() -> NotFound:
    """The error for a permit that is not there and for one that does not concern the asker."""
    return NotFound("permit-not-found", "There is no such permit, or it does not concern you")


def _entry(case: Case, permits: dict[str, IssuedPermit]) -> RegisterEntry:
    decision, reason, until = {}, {}, {}
    for country, state in case.countries.items():
        pending = state not in (
            ApplicationState.GRANTED,
            ApplicationState.REFUSED,
            ApplicationState.WITHDRAWN,
        )
        decision[country] = "pending" if pending else state.value
        issued = permits.get(case.permit_ids.get(country, ""))
        if issued is not None:
            until[country] = issued.permit.valid_until
            if issued.state is PermitState.REVOKED:
                decision[country], reason[country] = "revoked", issued.revocation_reason
        # A question asked back is between the parties; only a refusal's reason is public.
        if state is ApplicationState.REFUSED:
            reason[country] = case.reasons.get(country, "")
    assert case.submitted_at is not None
    return RegisterEntry(
        case_id=case.id,
        applicant=case.application.applicant,
        title=case.application.title,
        lay_summary=case.application.lay_summary,
        purpose=case.application.purpose,
        datasets=tuple(scope.dataset for scope in case.application.data),
        received_at=case.submitted_at,
        decision=decision,
        reason=reason,
        decided_at=dict(case.decided_at),
        permit_ids=dict(case.permit_ids),
        valid_until=until,
    )
