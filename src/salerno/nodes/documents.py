"""What a researcher takes away from the portal: the client's report, evidence and long format, made here."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from salerno.analysis.model import AskedQuestion, Study
from salerno.client.answer import Answer, heading_of
from salerno.client.evidence import render_crate
from salerno.client.plan import PlannedQuestion, StudyPlan
from salerno.client.report import Section, render_report
from salerno.client.runs import StudyRun
from salerno.client.summarised import COLUMNS, summarised_rows
from salerno.kernel.errors import parse_problem
from salerno.kernel.values import to_plain
from salerno.permits.model import IssuedPermit


class ClientDocuments:
    """The same files that `salerno study` and the client write."""

    def report(
        self,
        study: Study,
        questions: Sequence[AskedQuestion],
        permits: Sequence[IssuedPermit],
        user: Mapping[str, str],
    ) -> str:
        """A study with its questions as one HTML page."""
        run = _run(study, questions, permits, user)
        return render_report(run.plan.title, run.sections())

    def evidence(
        self,
        study: Study,
        questions: Sequence[AskedQuestion],
        permits: Sequence[IssuedPermit],
        user: Mapping[str, str],
    ) -> bytes:
        """A study as Five Safes RO-Crate (ZIP).

        Raises:
            Conflict: No question was answered.
        """
        return render_crate(_run(study, questions, permits, user), datetime.now(UTC))

    def answer_report(self, answer: Mapping[str, Any]) -> str:
        """One answer as an HTML page."""
        return render_report("One question", [Section(title=heading_of(answer), answers=(answer,))])

    def figures(self, answer: Mapping[str, Any]) -> str:
        """Every figure at full precision, one a line: DARWIN EU's ``summarised_result`` as CSV."""
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS)
        writer.writeheader()
        writer.writerows(summarised_rows(answer))
        return text.getvalue()


def _run(
    study: Study,
    questions: Sequence[AskedQuestion],
    permits: Sequence[IssuedPermit],
    user: Mapping[str, str],
) -> StudyRun:
    """The study as the client knows one that it ran, each question named by its place and method."""
    named = {f"{place}-{asked.question['method']}": asked for place, asked in enumerate(questions, 1)}
    plan = StudyPlan(
        title=study.title,
        questions=tuple(PlannedQuestion(name=name, question=a.question) for name, a in named.items()),
        purpose=study.purpose,
        permits=study.permits,
        frame=to_plain(study.frame),
        min_holders=study.options.min_holders,
        on_refusal=study.options.on_refusal,
    )
    failed = {name: a.error for name, a in named.items() if a.error is not None}
    return StudyRun(
        plan=plan,
        study=to_plain(study),
        permits=tuple(to_plain(permit) for permit in permits if permit.permit.id in study.permits),
        user=user,
        states={name: a.state.value for name, a in named.items()},
        questions={name: a.question for name, a in named.items()},
        answers={name: Answer(a.answer) for name, a in named.items() if a.answer is not None},
        problems={name: parse_problem(e, int(e.get("status", 503))) for name, e in failed.items()},
        asked={name: {"asked_at": a.asked_at.isoformat()} for name, a in named.items()},
    )
