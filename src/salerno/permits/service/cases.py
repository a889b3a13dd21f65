"""What both desks share: their parts, reading cases, and keeping what happens to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from salerno.identity.model import Participant, ParticipantRole, PersonRole
from salerno.kernel.errors import NotFound, Refused
from salerno.kernel.time import Clock
from salerno.permits.model import (
    ApplicationState,
    BoardView,
    Case,
    CaseEvent,
    CasePage,
    DataPermit,
    IssuedPermit,
    Procedure,
)
from salerno.permits.rules import permit_state
from salerno.permits.rules.notices import OFFICERS_TOLD, TOLD_TO_ALL, Telling
from salerno.permits.service.ports import (
    JobQueue,
    Journal,
    Notices,
    Objections,
    Officers,
    Peers,
    PermitStore,
    Reader,
    Signer,
)
from salerno.standards.status_list import LEAST_BITS

STATUS_LIST_PATH = "/api/status-lists/permits"
"""Below an access body's address."""

PAGE = 50
"""Lines of a page, where nobody says otherwise."""


class CaseFile:
    """What both desks share: their parts, reading, and keeping what happens."""

    def __init__(
        self,
        store: PermitStore,
        audit: Journal,
        clock: Clock,
        signer: Signer,
        own: Participant,
        jobs: JobQueue,
        peers: Peers,
        *,
        objections: Objections | None = None,
        procedure: Procedure | None = None,
        officers: Officers = dict,
        notices: Notices | None = None,
    ) -> None:
        self._store = store
        self._audit = audit
        self._clock = clock
        self._signer = signer
        self._own = own
        self._jobs = jobs
        self._peers = peers
        self._objections = objections or Objections()
        self._procedure = procedure or Procedure()
        self._officers = officers
        self._notices = notices

    def cases(self, caller: Reader, *, text: str = "", after: str = "", limit: int = PAGE) -> CasePage:
        """The caller's own applications, newest first."""
        return self._store.lines(None, applicant_id=caller.id, text=text, after=after, limit=limit)

    def board(
        self, view: BoardView, officer: str, *, text: str = "", after: str = "", limit: int = PAGE
    ) -> CasePage:
        """An access body's cases, the next deadline first; see `CaseStore.lines`."""
        self._at(ParticipantRole.ACCESS_BODY)
        today = self._clock.now().date()
        return self._store.lines(view, officer=officer, text=text, today=today, after=after, limit=limit)

    def board_counts(self, officer: str) -> dict[BoardView, int]:
        """How many cases each list of the board has."""
        self._at(ParticipantRole.ACCESS_BODY)
        return self._store.counts(officer=officer, today=self._clock.now().date())

    def case(self, case_id: str, caller: Reader) -> Case:
        """One case.

        Raises:
            NotFound: There is none, or it is not the caller's.
        """
        case = self._store.case(case_id)
        if case is None or not (case.applicant_id == caller.id or self._is_desk_of(caller)):
            raise no_such_case()
        return case

    def history(self, case_id: str, caller: Reader) -> list[CaseEvent]:
        """What happened to a case, in order.

        Raises:
            NotFound: There is no such case, or it is not the caller's.
        """
        return self._store.events(self.case(case_id, caller).id)

    def officers(self) -> dict[str, str]:
        """Who handles cases here: name by account identifier."""
        self._at(ParticipantRole.ACCESS_BODY)
        return dict(self._officers())

    @property
    def procedure(self) -> Procedure:
        """What national law and the access body's own rules leave to settings."""
        return self._procedure

    def _listed(self, permit: DataPermit) -> DataPermit:
        """A permit that is about to be issued, with its place in the status list."""
        place = self._store.status_place(permit.id, LEAST_BITS)
        return replace(permit, status_list=f"{self._own.url}{STATUS_LIST_PATH}", status_place=place)

    def revoked_places(self) -> list[int]:
        """Places in the status list of permits that ended before their time."""
        self._at(ParticipantRole.ACCESS_BODY)
        return self._store.revoked_places()

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

    def _keep(
        self,
        case: Case,
        act: str,
        actor: str,
        *,
        country: str = "",
        detail: Mapping[str, Any] | None = None,
        about: str = "",
        rule: str = "EHDS Art. 67, 68",
    ) -> Case:
        """Store a case with what happened to it: in words in its history, without them in the audit log."""
        status = case.countries.get(country)
        state = status.state if status else case.state
        self._happened(case, act, actor, state, country, detail)
        case = self._timed(case)
        self._store.put_case(case, self._clock.now())
        told: dict[str, Any] = {"case": case.id, "version": case.version, "state": state.value}
        self._audit.append(
            actor=actor,
            act=f"application-{act}" if not about else f"permit-{act}",
            subject=about or case.id,
            detail=told | ({"country": country} if country else {}),
            rule=rule,
        )
        self._tell_officers(case, act, actor, str((detail or {}).get("to", "")))
        return case

    def _tell_officers(self, case: Case, act: str, actor: str, to: str) -> None:
        """Tell an access body's officers of what concerns them; nobody of what they did themselves."""
        kind = OFFICERS_TOLD.get(act)
        if self._notices is None or kind is None or self._own.role is not ParticipantRole.ACCESS_BODY:
            return
        handler = to if act == "assigned" else case.handling.assignee
        apart = {actor, *(conflict.officer for conflict in case.handling.conflicts)}
        everybody = act in TOLD_TO_ALL or not (handler or act == "assigned")
        telling = Telling(kind=kind, values={"reference": case.id})
        for officer in self._officers() if everybody else (handler,):
            if officer and officer not in apart:
                self._tell(officer, telling, case.id)

    def _tell(self, account_id: str, telling: Telling, case_id: str) -> bool:
        if self._notices is None:
            return False
        pages = "cases" if self._own.role is ParticipantRole.ACCESS_BODY else "applications"
        path = f"/{pages}/{case_id}"
        return self._notices.tell(account_id, telling.kind, telling.values, path=path, key=telling.key)

    def _happened(
        self,
        case: Case,
        act: str,
        actor: str,
        state: ApplicationState,
        country: str = "",
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        self._store.add_event(
            case.id,
            CaseEvent(
                number=0,
                at=self._clock.now(),
                act=act,
                actor=actor,
                state=state,
                country=country,
                detail=dict(detail or {}),
            ),
        )

    def _timed(self, case: Case) -> Case:
        """The case with the days that its clocks say; the hub takes over what access bodies report."""
        return case

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
