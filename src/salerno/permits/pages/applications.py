"""The applicant's pages at the hub: file one application for several countries, and follow it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
from salerno.kernel.codes import COUNTRIES
from salerno.kernel.errors import NotFound, SalernoError
from salerno.kernel.ids import new_id
from salerno.kernel.time import Clock
from salerno.permits.model import ApplicationState, Case, CaseKind, DataAccessApplication, DataScope
from salerno.permits.pages import words
from salerno.permits.pages.forms import (
    MOST_PERSONS,
    Filled,
    empty_application,
    gap_errors,
    input_name,
    read_application,
    rows_text,
    whole_scope,
)
from salerno.permits.rules import answer_of, can_step, is_asked, sheet_of
from salerno.permits.service import PermitDesk
from salerno.web.callers import caller_of, needs
from salerno.web.layout import Pages, sentence
from salerno.web.sessions import Form, form_of

Req = Request[Any, Any, Any]
Named = Sequence[tuple[str, str]]

MOST_OFFERED = 200
"""Most data sets in the list of those that can be added; the search finds the others."""

HOME = ("/applications", "My applications")


def routes(
    pages: Pages,
    open_desk: Opens[PermitDesk],
    open_catalogue: Opens[Catalogue],
    clock: Clock,
    methods: Named,
) -> list[ControllerRouterHandler]:
    """Handlers of ``/applications`` and below.

    Args:
        pages: The frame.
        open_desk: Opens the permit desk in a transaction.
        open_catalogue: Opens the catalogue, for titles and variable dictionaries.
        clock: For days that are left.
        methods: Name and label of the analysis methods that can be asked for.
    """
    researcher = [needs("researcher")]

    def described(iris: Sequence[str]) -> dict[str, DatasetDescription]:
        found = {}
        with open_catalogue() as catalogue:
            for iri in iris:
                try:
                    found[iri] = catalogue.dataset(iri)
                except NotFound:
                    continue
        return found

    def show_form(
        request: Req, application: DataAccessApplication, case: Case | None, filled: Filled | None = None,
        errors: dict[str, str] | None = None,
    ) -> Response[Any]:  # fmt: skip
        with open_catalogue() as catalogue:
            known = {d.iri: d for d in catalogue.datasets()[:MOST_OFFERED]}
        asked = {s.dataset for s in application.data}
        known |= described([iri for iri in asked if iri not in known])
        return pages.render(
            request,
            "permits/application_form.html",
            title=(application.title or "Draft application") if case else "New application",
            crumbs=[HOME],
            errors=errors,
            action=f"/applications/{case.id}/edit" if case else "/applications/new",
            begun=case.id if case else new_id("case"),
            sections=list(_sections(application, methods)),
            raw=filled.raw if filled else {},
            scopes=[_scope_form(i, s, known.get(s.dataset)) for i, s in enumerate(application.data)],
            others=[(d.iri, f"{d.title}, {d.holder.name}") for d in known.values() if d.iri not in asked],
            persons=_person_rows(application),
            questions=_questions(case) if case else [],
            answering=case is not None and bool(_questions(case)),
        )

    @get("/applications", guards=researcher, sync_to_thread=False, include_in_schema=False)
    def listing(request: Req) -> Response[Any]:
        asked = request.query_params
        text = asked.get("text", "")
        with open_desk() as desk:
            page = desk.cases(caller_of(request), text=text, after=asked.get("after", ""))
        today = clock.now().date()
        return pages.render(
            request,
            "permits/applications.html",
            title="My applications",
            rows=[{"case": c, "countries": words.country_rows(c.countries, today)} for c in page.lines],
            text=text,
            later=words.further("/applications", page.next, text=text),
            kinds=words.KIND_WORDS,
        )

    @get("/applications/new", guards=researcher, sync_to_thread=False, include_in_schema=False)
    def new(request: Req) -> Response[Any]:
        caller = caller_of(request)
        datasets = described(request.query_params.getall("iri", []))
        application = replace(
            empty_application(caller.id, caller.name), data=tuple(whole_scope(d) for d in datasets.values())
        )
        return show_form(request, application, None)

    @post("/applications/new", guards=researcher, sync_to_thread=False, include_in_schema=False)
    def create(request: Req) -> Response[Any]:
        caller = caller_of(request)
        return keep(request, form_of(request), empty_application(caller.id, caller.name), None)

    @get("/applications/{case_id:str}/edit", guards=researcher, sync_to_thread=False, include_in_schema=False)
    def edit(request: Req, case_id: FromPath[str]) -> Response[Any]:
        with open_desk() as desk:
            case = desk.case(case_id, caller_of(request))
        return show_form(request, case.application, case)

    @post(
        "/applications/{case_id:str}/edit", guards=researcher, sync_to_thread=False, include_in_schema=False
    )
    def save(request: Req, case_id: FromPath[str]) -> Response[Any]:
        with open_desk() as desk:
            case = desk.case(case_id, caller_of(request))
        return keep(request, form_of(request), case.application, case)

    def keep(request: Req, form: Form, before: DataAccessApplication, case: Case | None) -> Response[Any]:
        """Save whatever was typed, then do what the pressed button says."""
        by = caller_of(request).id
        filled = read_application(form, before, described([*form.many("iri"), form.text("add")]))
        action = form.text("action")
        try:
            with open_desk() as desk:
                if action == "keep":  # by the page itself, at each field
                    if case is None:
                        case = desk.draft(filled.application, by, case_id=form.text("case"))
                    desk.keep(case.id, filled.application, by)
                    return Response({"kept": case.id})
                if case is None:
                    case = desk.draft(filled.application, by, case_id=form.text("case"))
                    case = desk.save(case.id, filled.application, by)
                else:
                    case = desk.save(case.id, filled.application, by)
        except SalernoError as error:
            return show_form(request, filled.application, case, filled, {"_": sentence(error)})
        errors = dict(filled.errors)
        if action == "submit" and not errors:
            errors = gap_errors(case.application)
            if not errors:
                try:
                    with open_desk() as desk:
                        desk.submit(case.id, by)
                    return pages.go(
                        f"/applications/{case.id}", "The application was sent to every access body."
                    )
                except SalernoError as error:
                    errors = {"_": sentence(error)}
        if errors:
            return show_form(request, case.application, case, filled, errors)
        if action == "save":
            return pages.go(
                f"/applications/{case.id}", "The draft is saved. It can stay incomplete until you submit it."
            )
        return pages.go(f"/applications/{case.id}/edit#data")

    @get("/applications/{case_id:str}", guards=researcher, sync_to_thread=False, include_in_schema=False)
    def one(request: Req, case_id: FromPath[str]) -> Response[Any]:
        caller = caller_of(request)
        with open_desk() as desk:
            case = desk.case(case_id, caller)
            permits = [p for p in desk.permits_of(caller.id) if p.permit.application_id == case_id]
            events = desk.history(case_id, caller)
        datasets = described([s.dataset for s in case.application.data])
        today = clock.now().date()
        return pages.render(
            request,
            "permits/application.html",
            title=case.application.title or "Draft application",
            crumbs=[HOME],
            case=case,
            kind=words.KIND_WORDS[case.kind],
            countries=words.country_rows(case.countries, today),
            moments=words.timeline(events),
            facts=words.application_facts(case.application),
            country_names=COUNTRIES,
            scopes=[words.scope_facts(s, datasets.get(s.dataset)) for s in case.application.data],
            permits=[(p, words.permit_facts(p)) for p in permits],
            usable=any(p.state == "granted" for p in permits),
            gaps=gap_errors(case.application) if case.state is ApplicationState.DRAFT else {},
            may_edit=case.state is ApplicationState.DRAFT or bool(_questions(case)),
            may_withdraw=case.state is ApplicationState.DRAFT
            or any(can_step(s.state, "withdraw") for s in case.countries.values()),
            questions=_questions(case),
        )

    @post(
        "/applications/{case_id:str}/submit", guards=researcher, sync_to_thread=False, include_in_schema=False
    )
    def submit(request: Req, case_id: FromPath[str]) -> Response[Any]:
        with open_desk() as desk:
            case = desk.case(case_id, caller_of(request))
            errors = gap_errors(case.application)
            if not errors:
                desk.submit(case_id, caller_of(request).id)
        if errors:
            return show_form(request, case.application, case, None, errors)
        return pages.go(f"/applications/{case_id}", "The application was sent to every access body.")

    @post(
        "/applications/{case_id:str}/withdraw",
        guards=researcher,
        sync_to_thread=False,
        include_in_schema=False,
    )
    def withdraw(request: Req, case_id: FromPath[str]) -> Response[Any]:
        with open_desk() as desk:
            desk.withdraw(case_id, caller_of(request).id)
        return pages.go(
            f"/applications/{case_id}", "The application is withdrawn wherever it was not decided yet."
        )

    @post(
        "/applications/{case_id:str}/appeal", guards=researcher, sync_to_thread=False, include_in_schema=False
    )
    def appeal(request: Req, case_id: FromPath[str]) -> Response[Any]:
        form = form_of(request)
        with open_desk() as desk:
            desk.appeal(case_id, form.text("country"), form.text("grounds"), caller_of(request).id)
        return pages.go(f"/applications/{case_id}", "Your appeal is on its way to the access body.")

    @post("/applications/changes", guards=researcher, sync_to_thread=False, include_in_schema=False)
    def change(request: Req) -> Response[Any]:
        form = form_of(request)
        kind = CaseKind.RENEWAL if form.text("kind") == "renewal" else CaseKind.AMENDMENT
        with open_desk() as desk:
            case = desk.draft_change(form.many("permit"), kind, caller_of(request).id)
        return pages.go(f"/applications/{case.id}/edit", "Change what has to be changed, then submit it.")

    return [listing, new, create, edit, save, one, submit, withdraw, appeal, change]


def _questions(case: Case) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Country, question and comments by field, of every country that asks."""
    return [
        (words.country_name(code), status.asked.question, words.comments_of(status))
        for code, status in sorted(case.countries.items())
        if status.state is ApplicationState.AWAITING_INFORMATION and status.asked
    ]


def _sections(application: DataAccessApplication, methods: Named) -> Iterator[dict[str, Any]]:
    """The form's sections with their fields as they stand, once per country where each one is answered."""
    form = sheet_of(application.form)
    countries = sorted({scope.country for scope in application.data})
    for section in form.sections:
        for country in countries if section.per_country else [""]:
            yield {
                "number": section.number,
                "title": section.title,
                "help": section.help,
                "country": words.country_name(country) if country else "",
                "fields": [
                    {
                        "field": field,
                        "name": input_name(field, country),
                        "answer": answer_of(application, field.id, country),
                        "hidden": not is_asked(form, field, application, country),
                        "options": methods if field.id == "methods" else field.options,
                        "depends": input_name(form.by_id[field.when.field], country) if field.when else "",
                    }
                    for field in section.fields
                ],
            }


def _person_rows(application: DataAccessApplication) -> list[dict[str, Any]]:
    rows = [
        {"id": p.id, "name": p.name, "function": p.function, "leads": p.principal_investigator}
        for p in application.persons
    ]
    empty = {"id": "", "name": "", "function": "", "leads": False}
    return [*rows, *([empty] * max(2, 3 - len(rows)))][:MOST_PERSONS]


def _scope_form(place: int, scope: DataScope, dataset: DatasetDescription | None) -> dict[str, Any]:
    chosen = {f"{table}.{column}" for table, columns in scope.tables.items() for column in columns}
    tables = dataset.tables if dataset else ()
    return {
        "place": place,
        "iri": scope.dataset,
        "title": dataset.title if dataset else scope.dataset,
        "holder": dataset.holder.name if dataset else scope.holder,
        "country": words.country_name(scope.country),
        "known": dataset is not None,
        "tables": [
            {
                "name": t.name,
                "title": t.title or t.name,
                "chosen": sum(f"{t.name}.{v.name}" in chosen for v in t.variables),
                "columns": [
                    (f"{t.name}.{v.name}", v.name, v.title or v.description, f"{t.name}.{v.name}" in chosen)
                    for v in t.variables
                ],
            }
            for t in tables
        ],
        "rows": rows_text(scope),
        "from": scope.covers_from.isoformat() if scope.covers_from else "",
        "to": scope.covers_to.isoformat() if scope.covers_to else "",
    }
