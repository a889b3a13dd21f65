"""What a researcher takes away: answers, tables, figures, reports and evidence as files."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from litestar import get
from litestar.connection import Request
from litestar.params import FromPath
from litestar.response import Response
from litestar.types import ControllerRouterHandler

from salerno.analysis.model import AskedQuestion, Study
from salerno.analysis.pages.questions import answer_of
from salerno.analysis.pages.studies import PermitsOf
from salerno.analysis.service.coordinator import Coordinator
from salerno.kernel.values import to_json
from salerno.permits.model import IssuedPermit
from salerno.web.callers import caller_of, needs
from salerno.web.tables import answer_tables

Req = Request[Any, Any, Any]


class Documents(Protocol):
    """What a researcher takes away from the portal as files."""

    def report(
        self,
        study: Study,
        questions: Sequence[AskedQuestion],
        permits: Sequence[IssuedPermit],
        user: Mapping[str, str],
    ) -> str:
        """A study with its questions as one HTML page; `user` has ``id`` and ``name``."""
        ...

    def evidence(
        self,
        study: Study,
        questions: Sequence[AskedQuestion],
        permits: Sequence[IssuedPermit],
        user: Mapping[str, str],
    ) -> bytes:
        """A study as Five Safes RO-Crate; raises `Conflict` where no question was answered."""
        ...

    def answer_report(self, answer: Mapping[str, Any]) -> str:
        """One answer as an HTML page."""
        ...

    def figures(self, answer: Mapping[str, Any]) -> str:
        """Every figure of an answer as CSV in the long format."""
        ...


def routes(
    coordinator: Coordinator, permits_of: PermitsOf, documents: Documents
) -> list[ControllerRouterHandler]:
    """Handlers of the files below ``/questions`` and ``/studies``."""
    # Reports draw plots, which takes tens of milliseconds each.
    kept: dict[str, Any] = {
        "guards": [needs("researcher")],
        "sync_to_thread": True,
        "include_in_schema": False,
    }

    def answer(request: Req, question_id: str) -> dict[str, Any]:
        return answer_of(coordinator.question(question_id, caller_of(request).id))

    @get("/questions/{question_id:str}/answer.json", **kept)
    def as_json(request: Req, question_id: FromPath[str]) -> Response[Any]:
        return _file(f"{question_id}.json", "application/json", to_json(answer(request, question_id)))

    @get("/questions/{question_id:str}/answer.csv", **kept)
    def as_csv(request: Req, question_id: FromPath[str]) -> Response[Any]:
        return _file(f"{question_id}.csv", "text/csv", _tables_text(answer(request, question_id)))

    @get("/questions/{question_id:str}/figures.csv", **kept)
    def figures(request: Req, question_id: FromPath[str]) -> Response[Any]:
        text = documents.figures(answer(request, question_id))
        return _file(f"{question_id}-figures.csv", "text/csv", text)

    @get("/questions/{question_id:str}/report.html", **kept)
    def answer_report(request: Req, question_id: FromPath[str]) -> Response[Any]:
        text = documents.answer_report(answer(request, question_id))
        return _file(f"{question_id}.html", "text/html", text)

    def parts(request: Req, study_id: str) -> tuple[Any, ...]:
        caller = caller_of(request)
        study = coordinator.study(study_id, caller.id)
        user = {"id": caller.id, "name": caller.name}
        return study, coordinator.questions(study_id, caller.id), permits_of(caller.id), user

    @get("/studies/{study_id:str}/report.html", **kept)
    def report(request: Req, study_id: FromPath[str]) -> Response[Any]:
        return _file(f"{study_id}.html", "text/html", documents.report(*parts(request, study_id)))

    @get("/studies/{study_id:str}/evidence.zip", **kept)
    def evidence(request: Req, study_id: FromPath[str]) -> Response[Any]:
        return _file(f"{study_id}.zip", "application/zip", documents.evidence(*parts(request, study_id)))

    return [as_json, as_csv, figures, answer_report, report, evidence]


def _file(name: str, media_type: str, content: str | bytes) -> Response[Any]:
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return Response(content, media_type=media_type, headers=headers)


def _tables_text(answer: Mapping[str, Any]) -> str:
    """The answer's tables as people see them, one below the other."""
    text = io.StringIO()
    writer = csv.writer(text)
    for table in answer_tables(answer):
        writer.writerow([table.title])
        writer.writerow(table.columns)
        writer.writerows([_cell(c) for c in row] for row in table.rows)
        writer.writerow([])
    return text.getvalue()


def _cell(text: str) -> str:
    # A spreadsheet would run a cell that begins like a formula.
    return (
        f"'{text}" if text[:1] in ("=", "@", "+") or (text[:1] == "-" and not text[1:2].isdigit()) else text
    )
