"""JSON routes of permits: applicants at the hub, officers, holders and citizens at an access body."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from litestar import Request, Response, get, post, put
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
    CaseEvent,
    CaseKind,
    CasePage,
    CasePart,
    DataAccessApplication,
    Decision,
    DeletionProof,
    IssuedPermit,
    OptOut,
    OptOutLevel,
    OptOutList,
    PermitState,
    Proposal,
    PseudonymKey,
    RegisterPage,
    Reidentification,
    StatusReport,
    Terms,
    Verdict,
)
from salerno.permits.model.form import FormSheet
from salerno.permits.rules import (
    CURRENT,
    Gap,
    answers_of,
    find_gaps,
    forms,
    sheet_of,
    with_answer,
    with_answers,
)
from salerno.permits.service import PAGE, PermitDesk
from salerno.permits.service.acts import OFFICERS_ACTS, board_view, page_limit
from salerno.permits.service.cases import STATUS_LIST_PATH
from salerno.web.callers import caller_of, needs

FindPerson = Callable[[str], str]
"""The natural person's identifier behind an account, empty when there is none."""

RenderStatusList = Callable[[Sequence[int]], str]
"""Signs a list with a 1 at these places."""

Anyone = Request[Any, Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalBody:
    """What an officer sends to propose a decision; of the terms, what is left out is as asked."""

    verdict: Verdict
    assessment: Assessment
    terms: Terms = field(default_factory=Terms)
    reason: str = ""
    no_conflict: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmBody:
    """What an officer sends to confirm a proposed decision."""

    no_conflict: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WordsBody:
    """An act that needs words: a reason, a remark, the nature of a conflict."""

    words: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignBody:
    """Who is to handle a case: an officer's account, or empty for nobody."""

    to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionBody:
    """What an officer sends to ask back: a question, comments by field, or both."""

    question: str = ""
    comments: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeBody:
    """What an applicant sends to begin an amendment or a renewal of permits."""

    permits: tuple[str, ...]
    kind: CaseKind


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswersBody:
    """An application as answers by field of its form."""

    answers: dict[str, Any]
    form: str = CURRENT


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerBody:
    """One answer: JSON of any shape, null to take it back; with its country where each one is answered."""

    answer: Any
    country: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationAnswers:
    """All answers of an application, and what is missing or cannot be used."""

    form: str
    answers: dict[str, Any]
    gaps: tuple[Gap, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AppealBody:
    """What an applicant sends to appeal against a country's decision."""

    country: str
    grounds: str


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
class DeletionBody:
    """What a holder sends after a permit's end."""

    permit: str
    receipt: Receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class ReidentifyBody:
    """What an officer sends to have a pseudonym taken back."""

    permit: str
    pseudonym: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentifierAnswer:
    """What the officer who confirms is told."""

    identifier: str


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
            *_reidentifying(open_desk),
        ]
    return []


def _register(open_desk: Opens[PermitDesk]) -> list[ControllerRouterHandler]:
    @get("/api/register", sync_to_thread=False)
    def register(after: FromQuery[str] = "", limit: FromQuery[int] = PAGE) -> RegisterPage:
        """The public register of applications and decisions, newest first, in pages."""
        with open_desk() as desk:
            return desk.register(after=after, limit=page_limit(limit))

    @get("/api/forms", sync_to_thread=False)
    def all_forms() -> list[str]:
        """Name and version of every form."""
        return sorted(forms())

    @get("/api/forms/{name:str}/{version:int}", sync_to_thread=False)
    def one_form(name: FromPath[str], version: FromPath[int]) -> FormSheet:
        """A form: its sections and fields."""
        return sheet_of(f"{name}/{version}")

    return [register, all_forms, one_form]


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

    @post("/api/applications/answers", guards=researcher, sync_to_thread=False)
    def draft_answers(request: Anyone, body: RawBody) -> Case:
        """Begin an application with answers by field of its form, as `answers` gives them."""
        given = from_json(body, AnswersBody, what="the answers")
        application = with_answers(given.answers, given.form)
        with open_desk() as desk:
            return desk.draft(application, caller_of(request).id)

    @get("/api/applications/{case_id:str}/answers", guards=researcher, sync_to_thread=False)
    def answers(request: Anyone, case_id: FromPath[str]) -> ApplicationAnswers:
        """All answers by field of the form, and what is missing or cannot be used."""
        with open_desk() as desk:
            asked = desk.case(case_id, caller_of(request)).application
        return ApplicationAnswers(form=asked.form, answers=answers_of(asked), gaps=find_gaps(asked))

    @put("/api/applications/{case_id:str}/answers/{field:str}", guards=researcher, sync_to_thread=False)
    def answer(request: Anyone, case_id: FromPath[str], field: FromPath[str], body: RawBody) -> list[Gap]:
        """Keep one answer, whatever it is; what is wrong with it comes back."""
        given = from_json(body, AnswerBody, what="the answer")
        caller = caller_of(request)
        with open_desk() as desk:
            before = desk.case(case_id, caller).application
            asked = with_answer(before, field, given.answer, given.country)
            desk.keep(case_id, asked, caller.id)
        return [gap for gap in find_gaps(asked) if re.split(r"[\[/]", gap.field)[0] == field]

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
    def applications(
        request: Anyone, text: FromQuery[str] = "", after: FromQuery[str] = "", limit: FromQuery[int] = PAGE
    ) -> CasePage:
        """The caller's own applications, newest first, in pages."""
        with open_desk() as desk:
            return desk.cases(caller_of(request), text=text, after=after, limit=page_limit(limit))

    @get("/api/applications/{case_id:str}/history", guards=researcher, sync_to_thread=False)
    def history(request: Anyone, case_id: FromPath[str]) -> list[CaseEvent]:
        """What happened to one of the caller's own applications."""
        with open_desk() as desk:
            return desk.history(case_id, caller_of(request))

    @post("/api/applications/changes", guards=researcher, sync_to_thread=False)
    def change(request: Anyone, body: RawBody) -> Case:
        """Begin an amendment or a renewal of permits."""
        wanted = from_json(body, ChangeBody, what="the change")
        with open_desk() as desk:
            return desk.draft_change(wanted.permits, wanted.kind, caller_of(request).id)

    @post("/api/applications/{case_id:str}/appeal", guards=researcher, status_code=200, sync_to_thread=False)
    def appeal(request: Anyone, case_id: FromPath[str], body: RawBody) -> Case:
        """Appeal against a country's decision."""
        given = from_json(body, AppealBody, what="the appeal")
        with open_desk() as desk:
            return desk.appeal(case_id, given.country, given.grounds, caller_of(request).id)

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

    return [
        draft, draft_answers, answers, answer, save, submit, withdraw, applications, application, history,
        change, appeal, permits,
    ]  # fmt: skip


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
    def cases(
        request: Anyone,
        view: FromQuery[str] = "open",
        text: FromQuery[str] = "",
        after: FromQuery[str] = "",
        limit: FromQuery[int] = PAGE,
    ) -> CasePage:
        """Cases of this access body, in pages: ``open``, ``mine``, ``unassigned``, ``overdue``, …"""
        shown = board_view(view)
        with open_desk() as desk:
            return desk.board(shown, caller_of(request).id, text=text, after=after, limit=page_limit(limit))

    @get("/api/cases/counts", guards=officer, sync_to_thread=False)
    def counts(request: Anyone) -> dict[str, int]:
        """How many cases each list has."""
        with open_desk() as desk:
            return {view.value: n for view, n in desk.board_counts(caller_of(request).id).items()}

    @get("/api/officers", guards=officer, sync_to_thread=False)
    def officers() -> dict[str, str]:
        """Who handles cases here: name by account."""
        with open_desk() as desk:
            return desk.officers()

    @get("/api/cases/{case_id:str}", guards=officer, sync_to_thread=False)
    def case(request: Anyone, case_id: FromPath[str]) -> Case:
        """One case."""
        with open_desk() as desk:
            return desk.case(case_id, caller_of(request))

    @get("/api/cases/{case_id:str}/history", guards=officer, sync_to_thread=False)
    def history(request: Anyone, case_id: FromPath[str]) -> list[CaseEvent]:
        """What happened to a case."""
        with open_desk() as desk:
            return desk.history(case_id, caller_of(request))

    @get("/api/cases/{case_id:str}/decisions", guards=officer, sync_to_thread=False)
    def decisions(case_id: FromPath[str]) -> list[Decision]:
        """The decisions with their assessments; none while nothing is decided."""
        with open_desk() as desk:
            return desk.decisions(case_id)

    @post("/api/cases/{case_id:str}/assign", guards=officer, status_code=200, sync_to_thread=False)
    def assign(request: Anyone, case_id: FromPath[str], body: RawBody) -> Case:
        """Hand a case to an officer."""
        given = from_json(body, AssignBody, what="the assignment")
        with open_desk() as desk:
            return desk.assign(case_id, caller_of(request).id, given.to)

    @post("/api/cases/{case_id:str}/ask-back", guards=officer, status_code=200, sync_to_thread=False)
    def ask_back(request: Anyone, case_id: FromPath[str], body: RawBody) -> Case:
        """Ask the applicant to complete the application."""
        asked = from_json(body, QuestionBody, what="the question")
        with open_desk() as desk:
            return desk.ask_back(case_id, caller_of(request).id, asked.question, asked.comments)

    @post("/api/cases/{case_id:str}/propose", guards=officer, status_code=200, sync_to_thread=False)
    def propose(request: Anyone, case_id: FromPath[str], body: RawBody) -> Case:
        """Propose a decision."""
        given = from_json(body, ProposalBody, what="the proposal")
        proposal = Proposal(
            verdict=given.verdict, assessment=given.assessment, terms=given.terms, reason=given.reason
        )
        with open_desk() as desk:
            return desk.propose(case_id, caller_of(request).id, proposal, no_conflict=given.no_conflict)

    @post("/api/cases/{case_id:str}/confirm", guards=officer, status_code=200, sync_to_thread=False)
    def confirm(request: Anyone, case_id: FromPath[str], body: RawBody) -> Case:
        """Confirm a colleague's proposal: the case is decided."""
        given = from_json(body, ConfirmBody, what="the confirmation")
        with open_desk() as desk:
            return desk.confirm(case_id, caller_of(request).id, no_conflict=given.no_conflict)

    @post("/api/permits/revoke", guards=officer, status_code=200, sync_to_thread=False)
    def revoke(request: Anyone, body: RawBody) -> IssuedPermit:
        """Revoke a permit at once."""
        given = from_json(body, RevokeBody, what="the revocation")
        with open_desk() as desk:
            return desk.revoke(given.id, caller_of(request).id, given.reason)

    @get("/api/deletions", guards=officer, sync_to_thread=False)
    def deletions(permit: FromQuery[str]) -> list[DeletionProof]:
        """Proofs of a permit's holders that they have deleted what they kept under it."""
        with open_desk() as desk:
            return desk.deletions(permit)

    acts = [_act(open_desk, verb) for verb in OFFICERS_ACTS]
    return [
        cases, counts, officers, case, history, decisions, assign, ask_back, propose, confirm, revoke,
        deletions, *acts,
    ]  # fmt: skip


def _act(open_desk: Opens[PermitDesk], verb: str) -> ControllerRouterHandler:
    description, do = OFFICERS_ACTS[verb]

    @post(
        f"/api/cases/{{case_id:str}}/{verb}",
        guards=[needs(PersonRole.OFFICER)],
        status_code=200,
        sync_to_thread=False,
        name=f"cases-{verb}",
        description=description,
    )
    def act(request: Anyone, case_id: FromPath[str], body: RawBody) -> Case:
        given = from_json(body, WordsBody, what="the words") if body else WordsBody()
        with open_desk() as desk:
            return do(desk, case_id, caller_of(request).id, given.words)

    return act


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

    @post(
        "/api/exchange/deletions",
        guards=[needs(ParticipantRole.HOLDER)],
        status_code=204,
        sync_to_thread=False,
    )
    def deletion(request: Anyone, body: RawBody) -> None:
        """A holder's proof that it has deleted what it kept under a permit."""
        proved = from_json(body, DeletionBody, what="the proof of deletion")
        with open_desk() as desk:
            desk.prove_deleted(proved.permit, proved.receipt, caller_of(request).id)

    @get("/api/exchange/pseudonym-key", guards=[needs(ParticipantRole.HOLDER)], sync_to_thread=False)
    def key_of_pseudonyms(request: Anyone, permit: FromQuery[str]) -> PseudonymKey:
        """What the holder that asks makes the pseudonyms of a permit with."""
        with open_desk() as desk:
            return desk.pseudonym_key_for(caller_of(request).id, permit)

    return [receive, permit_status, opt_outs, deletion, key_of_pseudonyms]


def _reidentifying(open_desk: Opens[PermitDesk]) -> list[ControllerRouterHandler]:
    officer = [needs(PersonRole.OFFICER)]

    @get("/api/reidentifications", guards=officer, sync_to_thread=False)
    def asked() -> list[Reidentification]:
        """Pseudonyms that were asked to be taken back, and by whom."""
        with open_desk() as desk:
            return desk.reidentifications()

    @post("/api/reidentifications", guards=officer, sync_to_thread=False)
    def ask(request: Anyone, body: RawBody) -> Reidentification:
        """Ask to take a pseudonym back."""
        given = from_json(body, ReidentifyBody, what="the request")
        with open_desk() as desk:
            return desk.ask_reidentification(
                given.permit, given.pseudonym, given.reason, caller_of(request).id
            )

    @post(
        "/api/reidentifications/{asked_id:str}/confirm", guards=officer, status_code=200, sync_to_thread=False
    )
    def confirm(request: Anyone, asked_id: FromPath[str]) -> IdentifierAnswer:
        """Confirm what another officer asked; the answer is the identifier."""
        with open_desk() as desk:
            return IdentifierAnswer(identifier=desk.confirm_reidentification(asked_id, caller_of(request).id))

    return [asked, ask, confirm]


def status_lists(open_desk: Opens[PermitDesk], render: RenderStatusList) -> list[ControllerRouterHandler]:
    """The route of an access body's status list, open to everybody.

    Args:
        open_desk: Opens the permit desk in a transaction.
        render: Signs the list.
    """

    @get(STATUS_LIST_PATH, sync_to_thread=False)
    def permits() -> Response[str]:
        """Which permits have been revoked, as a Bitstring Status List credential."""
        with open_desk() as desk:
            revoked = desk.revoked_places()
        headers = {"Cache-Control": "public, max-age=10"}
        return Response(render(revoked), media_type="application/vc+jwt", headers=headers)

    return [permits]


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
