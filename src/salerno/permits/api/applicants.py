"""JSON routes of applicants at the hub."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from litestar import Request, get, post, put
from litestar.params import FromPath, FromQuery, RawBody
from litestar.types import ControllerRouterHandler

from salerno.adapters.database import Opens
from salerno.identity.model import PersonRole
from salerno.kernel.values import from_json
from salerno.permits.model import (
    Case,
    CaseEvent,
    CaseKind,
    CasePage,
    DataAccessApplication,
    IssuedPermit,
)
from salerno.permits.rules import (
    CURRENT,
    Gap,
    answers_of,
    find_gaps,
    with_answer,
    with_answers,
)
from salerno.permits.service import PAGE, PermitDesk
from salerno.permits.service.acts import page_limit
from salerno.web.callers import caller_of, needs

Anyone = Request[Any, Any, Any]


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


def applicant_routes(open_desk: Opens[PermitDesk]) -> list[ControllerRouterHandler]:
    """What applicants do: write, follow and change applications."""
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


def _application(body: bytes) -> DataAccessApplication:
    return from_json(body, DataAccessApplication, what="the application")
