"""JSON routes of officers at an access body."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from litestar import Request, get, post
from litestar.params import FromPath, FromQuery, RawBody
from litestar.types import ControllerRouterHandler

from salerno.adapters.database import Opens
from salerno.identity.model import PersonRole
from salerno.kernel.values import from_json
from salerno.permits.model import (
    Assessment,
    Case,
    CaseEvent,
    CasePage,
    Decision,
    DeletionProof,
    IssuedPermit,
    Proposal,
    Reidentification,
    Terms,
    Verdict,
)
from salerno.permits.service import PAGE, PermitDesk
from salerno.permits.service.acts import OFFICERS_ACTS, board_view, page_limit
from salerno.web.callers import caller_of, needs

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
class RevokeBody:
    """What an officer sends to revoke."""

    id: str
    reason: str


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


def officer_routes(open_desk: Opens[PermitDesk]) -> list[ControllerRouterHandler]:
    """What officers do with cases and permits."""
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


def reidentifying_routes(open_desk: Opens[PermitDesk]) -> list[ControllerRouterHandler]:
    """Lawful re-identification, by two officers."""
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
