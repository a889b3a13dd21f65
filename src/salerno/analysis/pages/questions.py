"""One question: where it stands, and its answer as tables and plot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litestar import get
from litestar.connection import Request
from litestar.params import FromPath
from litestar.response import Response
from litestar.types import ControllerRouterHandler

from salerno.analysis.model import AskedQuestion, QuestionState
from salerno.analysis.pages.studies import HOME, question_words
from salerno.analysis.service.coordinator import Coordinator
from salerno.kernel.errors import NotFound
from salerno.kernel.values import to_json
from salerno.web.callers import caller_of, needs
from salerno.web.charts import answer_chart, describe_chart, to_svg
from salerno.web.components import count_words, instant_words
from salerno.web.layout import Pages
from salerno.web.tables import answer_tables, disclosure_notes, number_text, provenance_facts

Req = Request[Any, Any, Any]

BUSY = (QuestionState.QUEUED, QuestionState.RUNNING)


def routes(pages: Pages, coordinator: Coordinator) -> list[ControllerRouterHandler]:
    """Handlers of ``/questions`` and below."""
    researcher = [needs("researcher")]

    @get("/questions/{question_id:str}", guards=researcher, sync_to_thread=False, include_in_schema=False)
    def one(request: Req, question_id: FromPath[str]) -> Response[Any]:
        user = caller_of(request).id
        asked = coordinator.question(question_id, user)
        study = coordinator.study(asked.study, user)
        answer = asked.answer
        return pages.render(
            request,
            "analysis/question.html",
            title=question_words(asked.question),
            crumbs=[HOME, (f"/studies/{study.id}", study.title)],
            asked=asked,
            busy=asked.state in BUSY,
            study=study,
            facts=_facts(asked),
            chart=describe_chart(answer) if answer else "",
            tables=answer_tables(answer) if answer else [],
            notes=disclosure_notes(answer) if answer else [],
            provenance=provenance_facts(answer) if answer else [],
            question_json=to_json(asked.question).decode(),
        )

    @get(
        "/questions/{question_id:str}/state", guards=researcher, sync_to_thread=False, include_in_schema=False
    )
    def state(request: Req, question_id: FromPath[str]) -> Response[Any]:
        asked = coordinator.question(question_id, caller_of(request).id)
        return pages.fragment(request, "analysis/progress.html", asked=asked, busy=asked.state in BUSY)

    # Drawing takes tens of milliseconds, the first time a second.
    @get(
        "/questions/{question_id:str}/plot.svg",
        guards=researcher,
        sync_to_thread=True,
        include_in_schema=False,
    )
    def plot(request: Req, question_id: FromPath[str]) -> Response[Any]:
        chart = answer_chart(answer_of(coordinator.question(question_id, caller_of(request).id)))
        if chart is None:
            raise NotFound("no-plot", "This answer has no plot: its tables say it all")
        kept = {"Cache-Control": "private, max-age=86400"}
        return Response(to_svg(chart), media_type="image/svg+xml", headers=kept)

    return [one, state, plot]


def answer_of(asked: AskedQuestion) -> dict[str, Any]:
    """The answer of a question.

    Raises:
        NotFound: There is none, or not yet.
    """
    if asked.answer is None:
        raise NotFound("no-answer-yet", "The question has no answer", remedy="Look at the question's page.")
    return asked.answer


def _facts(asked: AskedQuestion) -> list[tuple[str, str]]:
    answer: Mapping[str, Any] = asked.answer or {}
    return [
        ("Asked", instant_words(asked.asked_at)),
        ("Data holders", ", ".join(answer.get("holders", ()))),
        ("Complete cases", count_words(answer.get("n"))),
        ("Rows with a missing value", count_words(answer.get("n_missing"))),
        ("Rounds", str(answer.get("rounds", ""))),
        ("Time", f"{number_text(float(answer['seconds']), 3)} s" if "seconds" in answer else ""),
    ]
