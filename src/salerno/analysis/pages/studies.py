"""A researcher's studies: begin one from permits, ask a question of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from litestar import get, post
from litestar.connection import Request
from litestar.params import FromPath
from litestar.response import Response
from litestar.types import ControllerRouterHandler

from salerno.adapters.database import Opens
from salerno.analysis.foresight import Foresight, dictionary_of, foresee
from salerno.analysis.methods import METHODS
from salerno.analysis.model import AskedQuestion, Study, StudyOptions
from salerno.analysis.pages.frame_forms import COVARIATES, GROUPS, OUTCOMES, TREATMENTS, read_frame
from salerno.analysis.pages.frames import EVENT_TABLES, KINDS, ROWS, frame_columns, frame_facts
from salerno.analysis.pages.methods import about, method_menu, read_json, read_question
from salerno.analysis.rules import merge_policies, threshold_of
from salerno.analysis.service.coordinator import Coordinator
from salerno.analysis.service.ports import Rehearse
from salerno.catalogue.model import DatasetDescription, Variable
from salerno.catalogue.service import Catalogue
from salerno.kernel.codes import COUNTRIES, Purpose
from salerno.kernel.errors import NotFound, SalernoError
from salerno.kernel.values import to_json, to_plain
from salerno.permits.model import IssuedPermit, PermitState
from salerno.web.callers import caller_of, needs
from salerno.web.charts import answer_chart, describe_chart, to_svg
from salerno.web.components import day_words, short_did
from salerno.web.layout import Pages, sentence
from salerno.web.sessions import Form, form_of
from salerno.web.tables import answer_tables, disclosure_notes

Req = Request[Any, Any, Any]

PermitsOf = Callable[[str], Sequence[IssuedPermit]]
"""The permits that name an account, with their present state."""

HOME = ("/studies", "My studies")


def routes(
    pages: Pages,
    coordinator: Coordinator,
    permits_of: PermitsOf,
    open_catalogue: Opens[Catalogue],
    rehearse: Rehearse,
) -> list[ControllerRouterHandler]:
    """Handlers of ``/studies`` and below."""
    researcher = [needs("researcher")]

    def described(iris: Sequence[str]) -> dict[str, DatasetDescription]:
        found = {}
        with open_catalogue() as catalogue:
            for iri in dict.fromkeys(iris):
                try:
                    found[iri] = catalogue.dataset(iri)
                except NotFound:
                    continue
        return found

    def show_form(
        request: Req, form: Form, kind: str = "", errors: dict[str, str] | None = None
    ) -> Response[Any]:
        permits = [p for p in permits_of(caller_of(request).id) if p.state is PermitState.GRANTED]
        datasets = described([s.dataset for p in permits for s in p.permit.data])
        kind = kind or ("omop" if _is_omop(list(datasets.values())) else "tables")
        return pages.render(
            request,
            "analysis/study_form.html",
            title="New study",
            crumbs=[HOME],
            errors=errors,
            form=form,
            kind=kind if kind in KINDS else "tables",
            permits=[_permit_row(p, datasets) for p in permits],
            choices=_dataset_choices(permits, datasets),
            event_tables=list(EVENT_TABLES.items()),
            kinds=list(KINDS.items()),
            rows=list(ROWS.items()),
            groups=range(GROUPS),
            outcomes=range(OUTCOMES),
            covariates=range(COVARIATES),
            treatments=range(TREATMENTS),
            filled_covariates=any(form.text(f"covariate-{i}") for i in range(COVARIATES)),
            filled_treatments=any(form.text(f"treatment-{i}") for i in range(2, TREATMENTS)),
            concept_tables=[(table, words) for table, words in EVENT_TABLES.items() if table != "death"],
        )

    def show_study(
        request: Req,
        study_id: str,
        method: str,
        form: Form,
        errors: dict[str, str] | None = None,
        **more: Any,
    ) -> Response[Any]:
        user = caller_of(request).id
        study = coordinator.study(study_id, user)
        questions = coordinator.questions(study_id, user)
        datasets = described(list(study.datasets.values()))
        chosen = METHODS.get(method)
        return pages.render(
            request,
            "analysis/study.html",
            title=study.title,
            crumbs=[HOME],
            errors=errors,
            study=study,
            facts=_study_facts(study, datasets),
            frame=frame_facts(study.frame),
            columns=_columns(study, datasets),
            column_groups=column_groups(study, datasets),
            questions=[(q, question_words(q.question)) for q in reversed(questions)],
            answered=any(q.answer is not None for q in questions),
            menu=method_menu(),
            attrition=_last_answered(questions, "attrition"),
            **{"foresight": None, "question": {}, "anyway": False, **more},
            method=chosen,
            about=about(chosen) if chosen else "",
            expert=method == "json",
            form=form,
            example=form.text("json") or json.dumps({"method": "count", "by": "holder"}, indent=2),
            names=", ".join(sorted(METHODS)),
        )

    @get("/studies", guards=researcher, sync_to_thread=False, include_in_schema=False)
    def listing(request: Req) -> Response[Any]:
        studies = coordinator.studies(caller_of(request).id)
        return pages.render(request, "analysis/studies.html", title="My studies", studies=studies)

    @get("/studies/new", guards=researcher, sync_to_thread=False, include_in_schema=False)
    def new(request: Req) -> Response[Any]:
        return show_form(request, Form(), request.query_params.get("kind", ""))

    @post("/studies/new", guards=researcher, sync_to_thread=False, include_in_schema=False)
    def create(request: Req) -> Response[Any]:
        form, user = form_of(request), caller_of(request).id
        filled = read_frame(form)
        errors = dict(filled.errors)
        chosen = [p for p in permits_of(user) if p.permit.id in form.many("permits")]
        if not chosen:
            errors["permits"] = "Choose at least one permit"
        least = form.text("min_holders")
        if least and not (least.isdigit() and int(least) > 0):
            errors["min_holders"] = "Write a whole number of data holders"
        if not errors:
            try:
                study = coordinator.open_study(
                    form.text("title"), user, chosen[0].permit.purpose.value, chosen, filled.frame,
                    StudyOptions(
                        min_holders=int(least) if least else None,
                        on_refusal="leave-out" if form.flag("leave_out") else "fail",
                        datasets=_chosen_datasets(form, chosen),
                    ),
                )  # fmt: skip
                return pages.go(f"/studies/{study.id}", "The study is open: ask your first question.")
            except SalernoError as error:
                errors = {"_": sentence(error)}
        return show_form(request, form, form.text("kind"), errors)

    @get("/studies/{study_id:str}", guards=researcher, sync_to_thread=False, include_in_schema=False)
    def one(request: Req, study_id: FromPath[str]) -> Response[Any]:
        return show_study(request, study_id, request.query_params.get("method", ""), Form())

    # A rehearsal takes seconds; asking is quick, but both are one form.
    @post("/studies/{study_id:str}", guards=researcher, sync_to_thread=True, include_in_schema=False)
    def ask(request: Req, study_id: FromPath[str]) -> Response[Any]:
        form = form_of(request)
        method, act = form.text("method"), form.text("act")
        question, errors = question_of(form)
        if errors:
            return show_study(request, study_id, method, form, errors)
        seen = foreseen(study_id, question, caller_of(request).id)
        if act == "check":
            return show_study(request, study_id, method, form, foresight=seen, question=question)
        try:
            if act == "rehearse":
                return show_rehearsal(request, study_id, question)
            if seen.problem is not None and not form.flag("anyway"):
                raise seen.problem
            asked = coordinator.ask(study_id, question, caller_of(request).id)
            return pages.go(f"/questions/{asked.id}")
        except SalernoError as error:
            return show_study(
                request, study_id, method, form, {"_": sentence(error)}, anyway=bool(seen.problem)
            )

    def foreseen(study_id: str, question: dict[str, Any], user: str) -> Foresight:
        study = coordinator.study(study_id, user)
        datasets = described(list(study.datasets.values()))
        mine = [p.permit.policy for p in permits_of(user) if p.permit.id in study.permits]
        policy = merge_policies(mine) if mine else None
        return foresee(question, study.frame, list(datasets.values()), policy)

    def show_rehearsal(request: Req, study_id: str, question: dict[str, Any]) -> Response[Any]:
        user = caller_of(request).id
        study = coordinator.study(study_id, user)
        datasets = list(described(list(study.datasets.values())).values())
        threshold = threshold_of(study, permits_of(user))
        answer = rehearse(question, datasets, to_plain(study.frame), threshold)
        chart = answer_chart(answer)
        return pages.render(
            request,
            "analysis/rehearsal.html",
            title=f"Rehearsal: {question_words(question)}",
            crumbs=[HOME, (f"/studies/{study.id}", study.title)],
            study=study,
            svg=to_svg(chart) if chart else "",
            words=describe_chart(answer),
            tables=answer_tables(answer),
            notes=disclosure_notes(answer),
            holders=", ".join(answer["holders"]),
            question_json=to_json(question).decode(),
        )

    # The form is checked while it is filled in; nothing is stored and nobody is asked.
    @post("/studies/{study_id:str}/check", guards=researcher, sync_to_thread=True, include_in_schema=False)
    def check(request: Req, study_id: FromPath[str]) -> Response[Any]:
        question, errors = question_of(form_of(request))
        seen = None if errors else foreseen(study_id, question, caller_of(request).id)
        return pages.fragment(request, "analysis/foresight.html", foresight=seen, question=question)

    return [listing, new, create, one, ask, check]


def _last_answered(questions: Sequence[AskedQuestion], method: str) -> AskedQuestion | None:
    """The latest answer of a method, e.g. to draw the attrition of the study's cohort."""
    found = [q for q in questions if q.question.get("method") == method and q.answer is not None]
    return found[-1] if found else None


def question_of(form: Form) -> tuple[dict[str, Any], dict[str, str]]:
    """The question of a sent form, and what is wrong with it by field."""
    known = METHODS.get(form.text("method"))
    return read_question(form, known) if known else read_json(form.text("json"))


def question_words(question: dict[str, Any]) -> str:
    """A question as one line."""
    name = str(question.get("method", ""))
    method = METHODS.get(name)
    given = {k: v for k, v in question.items() if k not in ("method", "by") and v is not None}
    shown = ", ".join(", ".join(map(str, v)) if isinstance(v, list) else str(v) for v in given.values())
    by = question.get("by")
    groups = f" by {' and '.join(map(str, by)) if isinstance(by, list) else by}" if by else ""
    return f"{method.LABEL if method else name}{': ' if shown else ''}{shown}{groups}"


def _is_omop(datasets: Sequence[DatasetDescription]) -> bool:
    names = [{t.name for t in d.tables} for d in datasets]
    return bool(names) and all({"person", "observation_period"} <= tables for tables in names)


def _permit_row(issued: IssuedPermit, datasets: dict[str, DatasetDescription]) -> tuple[str, str, str]:
    permit = issued.permit
    named = [datasets[s.dataset].title if s.dataset in datasets else s.dataset for s in permit.data]
    country = COUNTRIES.get(permit.country, permit.country)
    return (
        permit.id,
        f"{country}: {', '.join(named)}",
        f"{permit.purpose.label}. Valid until {day_words(permit.valid_until)}. {permit.id}",
    )


def _dataset_choices(
    permits: Sequence[IssuedPermit], datasets: dict[str, DatasetDescription]
) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Holders of whom the permits cover several data sets: place, name, data sets to choose from."""
    by_holder: dict[str, dict[str, str]] = {}
    for issued in permits:
        for s in issued.permit.data:
            title = datasets[s.dataset].title if s.dataset in datasets else s.dataset
            by_holder.setdefault(s.holder, {})[s.dataset] = title
    return [
        (f"dataset-{i}", short_did(holder), [("", "None of them"), *listed.items()])
        for i, (holder, listed) in enumerate(sorted(by_holder.items()))
        if len(listed) > 1
    ]


def _chosen_datasets(form: Form, permits: Sequence[IssuedPermit]) -> dict[str, str]:
    wanted = {form.text(name) for name in form if name.startswith("dataset-")} - {""}
    return {s.holder: s.dataset for p in permits for s in p.permit.data if s.dataset in wanted}


def _study_facts(study: Study, datasets: dict[str, DatasetDescription]) -> list[tuple[str, str]]:
    read = [
        f"{datasets[iri].title}, {datasets[iri].holder.name}"
        if iri in datasets
        else f"{iri}, {short_did(did)}"
        for did, iri in study.datasets.items()
    ]
    purpose = next((p.label for p in Purpose if p.value == study.purpose), study.purpose)
    return [
        ("Purpose", purpose),
        ("Data sets", "; ".join(read)),
        ("Permits", ", ".join(study.permits)),
        ("Begun", day_words(study.created_at)),
    ]


def _columns(study: Study, datasets: dict[str, DatasetDescription]) -> list[tuple[str, str]]:
    """Columns that questions can name: of the frame for OMOP, else those that every data set describes."""
    known = frame_columns(study.frame)
    if known or not datasets:
        return known
    tables = [
        {v.name: _meaning(v) for t in d.tables if study.frame.table in ("", t.name) for v in t.variables}
        for d in datasets.values()
    ]
    shared = set.intersection(*(set(t) for t in tables))
    return [
        *((name, words) for name, words in tables[0].items() if name in shared),
        ("holder", "Name of the data holder"),
    ]


def column_groups(
    study: Study, datasets: dict[str, DatasetDescription]
) -> list[tuple[str, list[tuple[str, str]]]]:
    """Columns that questions can name, by what they hold: title, then name and words of each."""
    try:
        found = [dictionary_of(d, study.frame) for d in datasets.values()]
    except SalernoError:
        return []
    known = [dictionary.variables for dictionary in found if dictionary is not None]
    if not known or len(known) < len(found):
        return []
    shared = [v for name, v in known[0].items() if all(name in other for other in known)]
    groups: dict[str, list[tuple[str, str]]] = {"Numbers": [], "Categories": [], "Dates and other": []}
    for variable in shared:
        levels = f": {', '.join(variable.levels[:6])}{', …' if len(variable.levels) > 6 else ''}"
        kind = "Categories" if variable.levels else "Numbers" if variable.is_numeric else "Dates and other"
        groups[kind].append((variable.name, f"{variable.name}{levels if variable.levels else ''}"))
    groups["Categories"].append(("holder", "holder: name of the data holder"))
    return [(title, entries) for title, entries in groups.items() if entries]


def _meaning(variable: Variable) -> str:
    levels = f": {', '.join(variable.levels[:8])}" if variable.levels else ""
    return variable.title or variable.description or f"{variable.datatype}{levels}"
