"""The officers' pages at an access body: the board of cases, one case with its assessment, the decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
    BoardView,
    Case,
    CaseEvent,
    Criterion,
    DataScope,
    Decision,
    DisclosurePolicy,
    IssuedPermit,
    PermitState,
    Proposal,
    Terms,
    Verdict,
)
from salerno.permits.model.clock import Clock as LegalClock
from salerno.permits.pages import words
from salerno.permits.rules import CRITERIA, MAX_PERIOD_MONTHS, can_step, sheet_of
from salerno.permits.service import PermitDesk
from salerno.permits.service.acts import OFFICERS_ACTS, board_view
from salerno.web.callers import caller_of, needs
from salerno.web.layout import Pages, sentence
from salerno.web.sessions import Form, form_of

Req = Request[Any, Any, Any]

HOME = ("/cases", "Cases")


VIEWS: Mapping[BoardView, str] = {
    BoardView.OPEN: "All open",
    BoardView.MINE: "Mine",
    BoardView.UNASSIGNED: "Nobody's yet",
    BoardView.OVERDUE: "Overdue",
    BoardView.PROPOSED: "To be confirmed",
    BoardView.AWAITING: "Waiting for the applicant",
    BoardView.CLOSED: "Closed",
}
"""The lists of the board."""

DONE: Mapping[str, str] = {
    "take-up": "You have taken up the case.",
    "find-complete": "The application is found complete; the period for the decision has begun.",
    "declare-conflict": "Your conflict of interest is declared; you take no part in the case any more.",
    "extend": "The period is extended; the applicant reads why.",
    "send-back": "The proposed decision is sent back.",
    "lapse": "The case is closed; the applicant reads why.",
    "dismiss-appeal": "The appeal is dismissed; the applicant reads why.",
    "uphold-appeal": "The appeal is upheld; the case is processed again.",
}
"""What is said when an act of `OFFICERS_ACTS` is done."""


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
        caller = caller_of(request)
        with open_desk() as desk:
            case = desk.case(case_id, caller)
            status = next(iter(case.countries.values()))
            seen = _Seen(
                decisions=desk.decisions(case_id),
                events=desk.history(case_id, caller),
                clocks=desk.clocks(case_id),
                officers=desk.officers(),
                issued=desk.status(status.permit_id) if status.permit_id else None,
                alone=desk.procedure.persons_per_decision == 1,
            )
        datasets = described(case.application.data)
        today = clock.now().date()
        handling = case.handling
        return pages.render(
            request,
            "permits/case.html",
            title=case.application.title,
            crumbs=[HOME],
            errors=errors,
            case=case,
            kind=words.KIND_WORDS[case.kind],
            form=form or _blank(case),
            country=words.country_rows(case.countries, today)[0],
            moments=words.timeline(seen.events, seen.officers),
            clocks=words.clock_rows(seen.clocks),
            facts=words.application_facts(case.application),
            scopes=[words.scope_facts(s, datasets.get(s.dataset)) for s in case.application.data],
            criteria=list(CRITERIA.items()),
            fields=[(field.id, field.label) for field in sheet_of(case.application.form).by_id.values()],
            steps={verb: can_step(case.state, verb) for verb in _VERBS},
            lapsed=can_step(case.state, "lapse") and status.due is not None and status.due < today,
            decisions=seen.decisions,
            officers=seen.officers,
            assignee=seen.officers.get(handling.assignee, handling.assignee),
            conflicted=any(c.officer == caller.id for c in handling.conflicts),
            proposal=handling.proposal,
            own_proposal=handling.proposal is not None and handling.proposal.officer == caller.id,
            alone=seen.alone,
            permit=(seen.issued, words.permit_facts(seen.issued)) if seen.issued else None,
            may_revoke=seen.issued is not None and seen.issued.state is PermitState.GRANTED,
            most_months=MAX_PERIOD_MONTHS,
        )

    @get("/cases", guards=officer, sync_to_thread=False, include_in_schema=False)
    def board(request: Req) -> Response[Any]:
        caller, asked = caller_of(request), request.query_params
        view = board_view(asked.get("view", BoardView.OPEN.value))
        text = asked.get("text", "")
        with open_desk() as desk:
            page = desk.board(view, caller.id, text=text, after=asked.get("after", ""))
            counts, officers = desk.board_counts(caller.id), desk.officers()
        today = clock.now().date()
        rows = [
            {
                "case": line,
                "kind": words.KIND_WORDS[line.kind],
                "country": words.country_rows(line.countries, today)[0],
                "late": line.due is not None and line.due < today,
                "assignee": officers.get(line.assignee, line.assignee),
            }
            for line in page.lines
        ]
        return pages.render(
            request,
            "permits/cases.html",
            title="Cases",
            views=[(v.value, label, counts[v]) for v, label in VIEWS.items()],
            view=view.value,
            label=VIEWS[view],
            text=text,
            rows=rows,
            later=words.further("/cases", page.next, view=view.value, text=text),
        )

    @get("/cases/{case_id:str}", guards=officer, sync_to_thread=False, include_in_schema=False)
    def one(request: Req, case_id: FromPath[str]) -> Response[Any]:
        return show(request, case_id)

    @post("/cases/{case_id:str}/do/{verb:str}", guards=officer, sync_to_thread=False, include_in_schema=False)
    def do(request: Req, case_id: FromPath[str], verb: FromPath[str]) -> Response[Any]:
        form = form_of(request)
        if verb not in DONE:
            raise NotFound("no-such-act", "Nothing of this name can be done with a case")
        try:
            with open_desk() as desk:
                OFFICERS_ACTS[verb][1](desk, case_id, caller_of(request).id, form.text(verb))
        except SalernoError as error:
            return show(request, case_id, form, {verb: sentence(error)})
        return pages.go(f"/cases/{case_id}", DONE[verb])

    @post("/cases/{case_id:str}/assign", guards=officer, sync_to_thread=False, include_in_schema=False)
    def assign(request: Req, case_id: FromPath[str]) -> Response[Any]:
        form = form_of(request)
        with open_desk() as desk:
            desk.assign(case_id, caller_of(request).id, form.text("to"))
        return pages.go(f"/cases/{case_id}", "The case is handed over.")

    @post("/cases/{case_id:str}/ask-back", guards=officer, sync_to_thread=False, include_in_schema=False)
    def ask_back(request: Req, case_id: FromPath[str]) -> Response[Any]:
        form = form_of(request)
        comments = {
            name.removeprefix("comment-"): form.text(name) for name in form if name.startswith("comment-")
        }
        try:
            with open_desk() as desk:
                desk.ask_back(case_id, caller_of(request).id, form.text("question"), comments)
        except SalernoError as error:
            return show(request, case_id, form, errors={"question": sentence(error)})
        return pages.go(
            f"/cases/{case_id}", "The question was sent to the applicant, who has four weeks to answer."
        )

    @post("/cases/{case_id:str}/propose", guards=officer, sync_to_thread=False, include_in_schema=False)
    def propose(request: Req, case_id: FromPath[str]) -> Response[Any]:
        form, by = form_of(request), caller_of(request).id
        with open_desk() as desk:
            case = desk.case(case_id, caller_of(request))
        errors = check_decision(form)
        if not errors:
            try:
                with open_desk() as desk:
                    no_conflict = form.flag("no_conflict")
                    after = desk.propose(case_id, by, read_proposal(form, case), no_conflict=no_conflict)
            except SalernoError as error:
                errors = {"_decision": sentence(error)}
            else:
                decided = after.state is ApplicationState.DECIDED
                told = "It is decided." if decided else "Your proposal waits for a colleague to confirm it."
                return pages.go(f"/cases/{case_id}", told)
        return show(request, case_id, form, errors)

    @post("/cases/{case_id:str}/confirm", guards=officer, sync_to_thread=False, include_in_schema=False)
    def confirm(request: Req, case_id: FromPath[str]) -> Response[Any]:
        form = form_of(request)
        try:
            with open_desk() as desk:
                desk.confirm(case_id, caller_of(request).id, no_conflict=form.flag("confirmed_no_conflict"))
        except SalernoError as error:
            return show(request, case_id, form, {"confirmed_no_conflict": sentence(error)})
        return pages.go(f"/cases/{case_id}", "It is decided, and on its way to the applicant.")

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

    return [board, one, do, assign, ask_back, propose, confirm, revoke]


_VERBS = ("take up", "find complete", "ask back", "extend", "propose", "dismiss", "withdraw")


@dataclass(frozen=True)
class _Seen:
    """What a case's page shows besides the case."""

    decisions: list[Decision]
    events: list[CaseEvent]
    clocks: tuple[LegalClock, ...]
    officers: dict[str, str]
    issued: IssuedPermit | None
    alone: bool


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


def check_decision(form: Form) -> dict[str, str]:
    """What is missing in a sent decision, by form field."""
    errors = {}
    granting = form.text("action") == "grant"
    for letter, words_of in CRITERIA.items():
        if form.text(f"met-{letter}") not in ("yes", "no") and granting:
            errors[f"met-{letter}"] = f"Say whether ({letter}) is met: {words_of} (EHDS Art. 68(1)({letter}))"
    if granting:
        months, min_cell = form.text("months"), form.text("min_cell")
        if not (months.isdigit() and 1 <= int(months) <= MAX_PERIOD_MONTHS):
            errors["months"] = f"Give the period as 1 to {MAX_PERIOD_MONTHS} months (EHDS Art. 68(12))"
        if not (min_cell.isdigit() and 1 <= int(min_cell) <= 10_000):
            errors["min_cell"] = "Give the smallest number of persons as a whole number"
    elif not form.text("reason"):
        errors["reason"] = "Give the reason that the applicant and the public read (EHDS Art. 68(3))"
    if not form.flag("no_conflict"):
        errors["no_conflict"] = "Declare that you have no conflict of interest, or declare the conflict below"
    return errors


def read_proposal(form: Form, case: Case) -> Proposal:
    """The decision that a sent form proposes."""
    verdict = Verdict(form.text("action")) if form.text("action") in list(Verdict) else Verdict.REFUSE
    terms = Terms()
    if verdict is Verdict.GRANT:
        terms = Terms(
            data=narrowed(form, case),
            months=int(form.text("months")),
            policy=DisclosurePolicy(min_cell=int(form.text("min_cell"))),
            conditions=form.text("conditions"),
            opt_out_exception=form.text("opt_out_exception"),
        )
    assessment = read_assessment(form, "")
    return Proposal(verdict=verdict, assessment=assessment, terms=terms, reason=form.text("reason"))


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
