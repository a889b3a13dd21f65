"""The officers' pages at an access body: the board of cases, one case with its assessment, the decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from litestar import get, post
from litestar.connection import Request
from litestar.params import FromPath
from litestar.response import Response
from litestar.types import ControllerRouterHandler

from salerno.adapters.database import Opens
from salerno.catalogue.model import DatasetDescription
from salerno.catalogue.service import Catalogue
from salerno.kernel.errors import NotFound, SalernoError
from salerno.kernel.time import Clock
from salerno.permits.model import (
    ApplicationState,
    Assessment,
    Case,
    Criterion,
    DataScope,
    DisclosurePolicy,
    PermitState,
)
from salerno.permits.pages import words
from salerno.permits.rules import CRITERIA, FINAL_STATES, MAX_PERIOD_MONTHS, can_step
from salerno.permits.service import PermitDesk
from salerno.web.callers import caller_of, needs
from salerno.web.layout import Pages, sentence
from salerno.web.sessions import Form, form_of

Req = Request[Any, Any, Any]

HOME = ("/cases", "Cases")


def routes(
    pages: Pages, open_desk: Opens[PermitDesk], open_catalogue: Opens[Catalogue], clock: Clock
) -> list[ControllerRouterHandler]:
    """Handlers of ``/cases`` and below."""
    officer = [needs("officer")]

    def described(scopes: Sequence[DataScope]) -> dict[str, DatasetDescription]:
        found = {}
        with open_catalogue() as catalogue:
            for scope in scopes:
                try:
                    found[scope.dataset] = catalogue.dataset(scope.dataset)
                except NotFound:
                    continue
        return found

    def show(
        request: Req, case_id: str, form: Form | None = None, errors: dict[str, str] | None = None
    ) -> Response[Any]:
        with open_desk() as desk:
            case = desk.case(case_id, caller_of(request))
            decision = desk.decision(case_id)
            issued = desk.status(case.permit_ids[next(iter(case.permit_ids))]) if case.permit_ids else None
        datasets = described(case.application.data)
        today = clock.now().date()
        return pages.render(
            request,
            "permits/case.html",
            title=case.application.title,
            crumbs=[HOME],
            errors=errors,
            case=case,
            form=form or _blank(case),
            country=words.country_rows(case, today)[0],
            moments=words.timeline(case, today),
            facts=words.application_facts(case.application),
            scopes=[words.scope_facts(s, datasets.get(s.dataset)) for s in case.application.data],
            criteria=list(CRITERIA.items()),
            steps={verb: can_step(case.state, verb) for verb in ("take up", "ask back", "grant", "refuse")},
            lapsed=_lapsed(case, clock),
            decision=decision,
            permit=(issued, words.permit_facts(issued)) if issued else None,
            may_revoke=issued is not None and issued.state is PermitState.GRANTED,
            most_months=MAX_PERIOD_MONTHS,
        )

    @get("/cases", guards=officer, sync_to_thread=False, include_in_schema=False)
    def board(request: Req) -> Response[Any]:
        with open_desk() as desk:
            cases = desk.cases(caller_of(request))
        today = clock.now().date()
        rows: list[dict[str, Any]] = [
            {"case": case, "country": words.country_rows(case, today)[0], "late": _is_late(case, clock)}
            for case in cases
            if case.countries
        ]
        still_open = [r for r in rows if r["case"].state not in FINAL_STATES]
        still_open.sort(key=lambda r: min(r["case"].due.values(), default=today))
        done = [r for r in rows if r["case"].state in FINAL_STATES]
        return pages.render(request, "permits/cases.html", title="Cases", still_open=still_open, done=done)

    @get("/cases/{case_id:str}", guards=officer, sync_to_thread=False, include_in_schema=False)
    def one(request: Req, case_id: FromPath[str]) -> Response[Any]:
        return show(request, case_id)

    @post("/cases/{case_id:str}/take-up", guards=officer, sync_to_thread=False, include_in_schema=False)
    def take_up(request: Req, case_id: FromPath[str]) -> Response[Any]:
        with open_desk() as desk:
            desk.take_up(case_id, caller_of(request).id)
        return pages.go(f"/cases/{case_id}", "You have taken up the case.")

    @post("/cases/{case_id:str}/ask-back", guards=officer, sync_to_thread=False, include_in_schema=False)
    def ask_back(request: Req, case_id: FromPath[str]) -> Response[Any]:
        form = form_of(request)
        try:
            with open_desk() as desk:
                desk.ask_back(case_id, caller_of(request).id, form.text("question"))
        except SalernoError as error:
            return show(request, case_id, errors={"question": sentence(error)})
        return pages.go(
            f"/cases/{case_id}", "The question was sent to the applicant, who has four weeks to answer."
        )

    @post("/cases/{case_id:str}/decide", guards=officer, sync_to_thread=False, include_in_schema=False)
    def decide(request: Req, case_id: FromPath[str]) -> Response[Any]:
        form, by = form_of(request), caller_of(request).id
        with open_desk() as desk:
            case = desk.case(case_id, caller_of(request))
        errors = check_decision(form, case)
        if not errors:
            assessment = read_assessment(form, by)
            try:
                with open_desk() as desk:
                    if form.text("action") == "refuse":
                        desk.refuse(case_id, by, assessment, form.text("reason"))
                        return pages.go(
                            f"/cases/{case_id}", "The application is refused; the applicant reads why."
                        )
                    desk.grant(
                        case_id,
                        by,
                        assessment,
                        data=narrowed(form, case),
                        months=int(form.text("months")),
                        policy=DisclosurePolicy(min_cell=int(form.text("min_cell"))),
                        conditions=form.text("conditions"),
                        opt_out_exception=form.text("opt_out_exception"),
                    )
                return pages.go(f"/cases/{case_id}", "The permit is issued and on its way to the applicant.")
            except SalernoError as error:
                errors = {"_decision": sentence(error)}
        return show(request, case_id, form, errors)

    @post("/permits/revoke", guards=officer, sync_to_thread=False, include_in_schema=False)
    def revoke(request: Req) -> Response[Any]:
        form = form_of(request)
        case_id = form.text("case")
        try:
            with open_desk() as desk:
                desk.revoke(form.text("id"), caller_of(request).id, form.text("reason"))
        except SalernoError as error:
            return show(request, case_id, errors={"revocation": sentence(error)})
        return pages.go(
            f"/cases/{case_id}", "The permit is revoked: from now on no holder opens anything for it."
        )

    return [board, one, take_up, ask_back, decide, revoke]


def _blank(case: Case) -> Form:
    asked = case.application
    return Form(
        {
            "months": [str(asked.period_months)],
            "min_cell": [str(DisclosurePolicy().min_cell)],
            "opt_out_exception": [asked.opt_out_exception],
            "columns": [
                f"{i}.{t}.{c}" for i, s in enumerate(asked.data) for t, cs in s.tables.items() for c in cs
            ],
        }
    )


def check_decision(form: Form, case: Case) -> dict[str, str]:
    """What is missing in a sent decision, by form field."""
    errors = {}
    granting = form.text("action") != "refuse"
    for letter, words_of in CRITERIA.items():
        if form.text(f"met-{letter}") not in ("yes", "no") and granting:
            errors[f"met-{letter}"] = f"Say whether ({letter}) is met: {words_of} (EHDS Art. 68(1)({letter}))"
    if granting:
        months, min_cell = form.text("months"), form.text("min_cell")
        if not (months.isdigit() and 1 <= int(months) <= MAX_PERIOD_MONTHS):
            errors["months"] = f"Give the period as 1 to {MAX_PERIOD_MONTHS} months (EHDS Art. 68(12))"
        if not (min_cell.isdigit() and 1 <= int(min_cell) <= 10_000):
            errors["min_cell"] = "Give the smallest number of persons as a whole number"
    elif not form.text("reason") and not _is_late_answer(case):
        errors["reason"] = "Give the reason that the applicant and the public read (EHDS Art. 68(3))"
    return errors


def _is_late_answer(case: Case) -> bool:
    return case.state is ApplicationState.AWAITING_INFORMATION


def read_assessment(form: Form, assessor: str) -> Assessment:
    """The assessment of Art. 68(1) from a sent form; criteria without an answer are left out."""
    criteria = tuple(
        Criterion(
            letter=letter, met=form.text(f"met-{letter}") == "yes", remark=form.text(f"remark-{letter}")
        )
        for letter in CRITERIA
        if form.text(f"met-{letter}") in ("yes", "no")
    )
    return Assessment(assessor=assessor, criteria=criteria, risks=form.text("risks"))


def narrowed(form: Form, case: Case) -> tuple[DataScope, ...] | None:
    """The data sets with the columns that stayed ticked; None when all that was asked for did."""
    ticked = frozenset(form.many("columns"))
    scopes = []
    for i, scope in enumerate(case.application.data):
        kept = {
            t: tuple(c for c in columns if f"{i}.{t}.{c}" in ticked) for t, columns in scope.tables.items()
        }
        tables = {table: columns for table, columns in kept.items() if columns}
        if tables:
            rows = {table: listed for table, listed in scope.rows.items() if table in tables}
            scopes.append(replace(scope, tables=tables, rows=rows))
    return None if tuple(scopes) == case.application.data else tuple(scopes)


def _is_late(case: Case, clock: Clock) -> bool:
    return any(due < clock.now().date() for due in case.due.values())


def _lapsed(case: Case, clock: Clock) -> bool:
    return case.state is ApplicationState.AWAITING_INFORMATION and _is_late(case, clock)
