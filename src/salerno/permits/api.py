"""JSON routes of permits: applicants at the hub, officers, holders and citizens at an access body."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from litestar import Request, get, post, put
from litestar.params import FromPath, FromQuery, RawBody
from litestar.types import ControllerRouterHandler

from salerno.adapters.database import Opens
from salerno.audit.model import Receipt
from salerno.identity.model import ParticipantRole, PersonRole
from salerno.kernel.errors import Invalid
from salerno.kernel.values import from_json
from salerno.permits.model import (
    Assessment,
    Case,
    CasePart,
    DataAccessApplication,
    DataScope,
    Decision,
    DisclosurePolicy,
    IssuedPermit,
    NamedPerson,
    OptOut,
    OptOutLevel,
    OptOutList,
    PermitState,
    RegisterEntry,
    StatusReport,
)
from salerno.permits.service import PermitDesk
from salerno.web.callers import caller_of, needs

FindPerson = Callable[[str], str]
"""The natural person's identifier behind an account, empty when there is none."""

Anyone = Request[Any, Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantBody:
    """What an officer sends to grant; what is left out is granted as asked."""

    assessment: Assessment
    data: tuple[DataScope, ...] | None = None
    persons: tuple[NamedPerson, ...] | None = None
    methods: tuple[str, ...] | None = None
    months: int | None = None
    until: datetime | None = None
    policy: DisclosurePolicy | None = None
    conditions: str = ""
    opt_out_exception: str = ""
    fee_cents: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RefuseBody:
    """What an officer sends to refuse."""

    assessment: Assessment
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionBody:
    """What an officer sends to ask back."""

    question: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeBody:
    """What an officer sends to revoke."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OptOutBody:
    """What a citizen sends; without level, all secondary use is meant."""

    opted_out: bool
    level: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptOutAnswer:
    """What a citizen sees: the periods with their receipts, without the identifier.

    Args:
        opted_out: Whether an opt-out stands, of whatever level.
        history: All periods.
        levels: What one can opt out from in this country; the first is all secondary use.
    """

    opted_out: bool
    history: list[OptOut]
    levels: tuple[OptOutLevel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PermitStatusAnswer:
    """What a holder or environment sees of a permit."""

    id: str
    state: PermitState


def routes(
    open_desk: Opens[PermitDesk], role: ParticipantRole, find_person: FindPerson = lambda _: ""
) -> list[ControllerRouterHandler]:
    """The routes of a node of a role.

    Args:
        open_desk: Opens the permit desk in a transaction.
        role: What the node is; holders and environments have none of these routes.
        find_person: For an access body: whose record a citizen's account belongs to.
    """
    if role is ParticipantRole.HUB:
        return [*_register(open_desk), *_applicant(open_desk), *_reports(open_desk)]
    if role is ParticipantRole.ACCESS_BODY:
        return [
            *_register(open_desk),
            *_officer(open_desk),
            *_citizen(open_desk, find_person),
            *_deliveries(open_desk),
        ]
    return []


def _register(open_desk: Opens[PermitDesk]) -> list[ControllerRouterHandler]:
    @get("/api/register", sync_to_thread=False)
    def register() -> list[RegisterEntry]:
        """The public register of applications and decisions."""
        with open_desk() as desk:
            return desk.register()

    return [register]


def _applicant(open_desk: Opens[PermitDesk]) -> list[ControllerRouterHandler]:
    researcher = [needs(PersonRole.RESEARCHER)]

    @post("/api/applications", guards=researcher, sync_to_thread=False)
    def draft(request: Anyone, body: RawBody) -> Case:
        """Begin an application; it may be incomplete."""
        application = _application(body)
        with open_desk() as desk:
            return desk.draft(application, caller_of(request).id)

    @put("/api/applications/{case_id:str}", guards=researcher, sync_to_thread=False)
    def save(request: Anyone, case_id: FromPath[str], body: RawBody) -> Case:
        """Keep a changed draft."""
        application = _application(body)
        with open_desk() as desk:
            return desk.save(case_id, application, caller_of(request).id)

    @post("/api/applications/{case_id:str}/submit", guards=researcher, status_code=200, sync_to_thread=False)
    def submit(request: Anyone, case_id: FromPath[str]) -> Case:
        """File the application, or answer what was asked back."""
        with open_desk() as desk:
            return desk.submit(case_id, caller_of(request).id)

    @post(
        "/api/applications/{case_id:str}/withdraw", guards=researcher, status_code=200, sync_to_thread=False
    )
    def withdraw(request: Anyone, case_id: FromPath[str]) -> Case:
        """Withdraw the application where it is not decided yet."""
        with open_desk() as desk:
            return desk.withdraw(case_id, caller_of(request).id)

    @get("/api/applications", guards=researcher, sync_to_thread=False)
    def applications(request: Anyone) -> list[Case]:
        """The caller's own applications."""
        with open_desk() as desk:
            return desk.cases(caller_of(request))

    @get("/api/applications/{case_id:str}", guards=researcher, sync_to_thread=False)
    def application(request: Anyone, case_id: FromPath[str]) -> Case:
        """One of the caller's own applications."""
        with open_desk() as desk:
            return desk.case(case_id, caller_of(request))

    @get("/api/permits", guards=researcher, sync_to_thread=False)
    def permits(request: Anyone) -> list[IssuedPermit]:
        """The permits that name the caller."""
        with open_desk() as desk:
            return desk.permits_of(caller_of(request).id)

    return [draft, save, submit, withdraw, applications, application, permits]


def _reports(open_desk: Opens[PermitDesk]) -> list[ControllerRouterHandler]:
    # Checking a permit's credential may fetch the issuer's keys, so this one leaves the loop.
    @post(
        "/api/exchange/cases/{case_id:str}/status",
        guards=[needs(ParticipantRole.ACCESS_BODY)],
        status_code=204,
        sync_to_thread=True,
    )
    def status(request: Anyone, case_id: FromPath[str], body: RawBody) -> None:
        """An access body's report on a case."""
        report = from_json(body, StatusReport, what="the status report")
        if report.case_id != case_id:
            raise Invalid("case-differs", "The report is about another case than its address says")
        with open_desk() as desk:
            desk.record(report, caller_of(request).id)

    return [status]


def _officer(open_desk: Opens[PermitDesk]) -> list[ControllerRouterHandler]:
    officer = [needs(PersonRole.OFFICER)]

    @get("/api/cases", guards=officer, sync_to_thread=False)
    def cases(request: Anyone) -> list[Case]:
        """All cases of this access body."""
        with open_desk() as desk:
            return desk.cases(caller_of(request))

    @get("/api/cases/{case_id:str}", guards=officer, sync_to_thread=False)
    def case(request: Anyone, case_id: FromPath[str]) -> Case:
        """One case."""
        with open_desk() as desk:
            return desk.case(case_id, caller_of(request))

    @get("/api/cases/{case_id:str}/decision", guards=officer, sync_to_thread=False)
    def decision(case_id: FromPath[str]) -> Decision | None:
        """The decision with its assessment; null while there is none."""
        with open_desk() as desk:
            return desk.decision(case_id)

    @post("/api/cases/{case_id:str}/take-up", guards=officer, status_code=200, sync_to_thread=False)
    def take_up(request: Anyone, case_id: FromPath[str]) -> Case:
        """Begin to process a case."""
        with open_desk() as desk:
            return desk.take_up(case_id, caller_of(request).id)

    @post("/api/cases/{case_id:str}/ask-back", guards=officer, status_code=200, sync_to_thread=False)
    def ask_back(request: Anyone, case_id: FromPath[str], body: RawBody) -> Case:
        """Ask the applicant to complete the application."""
        asked = from_json(body, QuestionBody, what="the question")
        with open_desk() as desk:
            return desk.ask_back(case_id, caller_of(request).id, asked.question)

    @post("/api/cases/{case_id:str}/grant", guards=officer, status_code=200, sync_to_thread=False)
    def grant(request: Anyone, case_id: FromPath[str], body: RawBody) -> IssuedPermit:
        """Issue a permit."""
        given = from_json(body, GrantBody, what="the decision")
        with open_desk() as desk:
            return desk.grant(
                case_id,
                caller_of(request).id,
                given.assessment,
                data=given.data,
                persons=given.persons,
                methods=given.methods,
                months=given.months,
                until=given.until,
                policy=given.policy,
                conditions=given.conditions,
                opt_out_exception=given.opt_out_exception,
                fee_cents=given.fee_cents,
            )

    @post("/api/cases/{case_id:str}/refuse", guards=officer, status_code=200, sync_to_thread=False)
    def refuse(request: Anyone, case_id: FromPath[str], body: RawBody) -> Case:
        """Refuse a case."""
        given = from_json(body, RefuseBody, what="the decision")
        with open_desk() as desk:
            return desk.refuse(case_id, caller_of(request).id, given.assessment, given.reason)

    @post("/api/permits/revoke", guards=officer, status_code=200, sync_to_thread=False)
    def revoke(request: Anyone, body: RawBody) -> IssuedPermit:
        """Revoke a permit at once."""
        given = from_json(body, RevokeBody, what="the revocation")
        with open_desk() as desk:
            return desk.revoke(given.id, caller_of(request).id, given.reason)

    return [cases, case, decision, take_up, ask_back, grant, refuse, revoke]


def _deliveries(open_desk: Opens[PermitDesk]) -> list[ControllerRouterHandler]:
    @post("/api/exchange/cases", guards=[needs(ParticipantRole.HUB)], status_code=204, sync_to_thread=False)
    def receive(request: Anyone, body: RawBody) -> None:
        """An application's part from the hub."""
        part = from_json(body, CasePart, what="the application's part")
        with open_desk() as desk:
            desk.receive(part, caller_of(request).id)

    @get(
        "/api/exchange/permit-status",
        guards=[needs(ParticipantRole.HOLDER, ParticipantRole.HUB, ParticipantRole.SPE)],
        sync_to_thread=False,
    )
    def permit_status(request: Anyone, id: FromQuery[str]) -> PermitStatusAnswer:
        """State of a permit, for a participant that it concerns."""
        with open_desk() as desk:
            issued = desk.status_for(id, caller_of(request).id)
        return PermitStatusAnswer(id=issued.permit.id, state=issued.state)

    # A token per opted-out person is computed, so this one leaves the loop.
    @get("/api/exchange/opt-outs", guards=[needs(ParticipantRole.HOLDER)], sync_to_thread=True)
    def opt_outs(request: Anyone, permit: FromQuery[str], dataset: FromQuery[str]) -> OptOutList:
        """Who is left out of a data set of the holder that asks, under a permit."""
        with open_desk() as desk:
            return desk.opt_outs_for(caller_of(request).id, permit, dataset)

    return [receive, permit_status, opt_outs]


def _citizen(open_desk: Opens[PermitDesk], find_person: FindPerson) -> list[ControllerRouterHandler]:
    citizen = [needs(PersonRole.CITIZEN)]

    @get("/api/opt-out", guards=citizen, sync_to_thread=False)
    def opt_out_state(request: Anyone) -> OptOutAnswer:
        """Whether the caller has opted out, and since when."""
        person = find_person(caller_of(request).id)
        with open_desk() as desk:
            return _answer(desk, person)

    @post("/api/opt-out", guards=citizen, status_code=200, sync_to_thread=False)
    def opt_out(request: Anyone, body: RawBody) -> OptOutAnswer:
        """Opt out, or take the opt-out back."""
        wanted = from_json(body, OptOutBody, what="the opt-out")
        caller = caller_of(request)
        person = find_person(caller.id)
        with open_desk() as desk:
            if wanted.opted_out:
                desk.opt_out(person, caller.id, level=wanted.level)
            else:
                desk.opt_in(person, caller.id, level=wanted.level)
            return _answer(desk, person)

    @get("/api/opt-out/receipts/{index:int}", guards=citizen, sync_to_thread=False)
    def opt_out_receipt(request: Anyone, index: FromPath[int]) -> Receipt:
        """Proof of a choice of the caller's, to be checked without this node."""
        person = find_person(caller_of(request).id)
        with open_desk() as desk:
            return desk.opt_out_receipt(person, index)

    return [opt_out_state, opt_out, opt_out_receipt]


def _answer(desk: PermitDesk, person: str) -> OptOutAnswer:
    history = desk.opt_out_history(person)
    return OptOutAnswer(
        opted_out=any(o.until is None for o in history),
        history=[replace(o, person="") for o in history],
        levels=desk.opt_out_levels,
    )


def _application(body: bytes) -> DataAccessApplication:
    return from_json(body, DataAccessApplication, what="the application")
