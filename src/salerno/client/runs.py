"""Carries a study's plan out: what can go at the same time does, what needs an answer waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from salerno.client.answer import Answer
from salerno.client.plan import PlannedQuestion, StudyPlan, filled
from salerno.client.studies import PendingQuestion, Study
from salerno.kernel.errors import Conflict, SalernoError
from salerno.kernel.values import digest

if TYPE_CHECKING:
    from salerno.client.report import Section

Ask = Callable[[PlannedQuestion, dict[str, Any]], Answer]
"""Asks a filled question and waits for its answer."""

_UNAVAILABLE = 503


class _Stopped(Exception):
    """The run was interrupted; what was asked goes on at the node."""


@dataclass
class StudyRun:
    """What came of a plan, question by question; kept up to date while it runs.

    Args:
        plan: What was to be asked.
        study: The study's JSON; for a rehearsal it says so.
        permits: The permits' JSON, where they are known.
        user: The account of the person who ran it.
        states: Where each question stands, for people.
        questions: Each question as it was asked, with figures of other answers filled in.
        answers: The answers that came.
        problems: What ended the others.
        asked: The node's record of each question.
    """

    plan: StudyPlan
    study: Mapping[str, Any] = field(default_factory=dict)
    permits: tuple[Mapping[str, Any], ...] = ()
    user: Mapping[str, Any] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    questions: dict[str, dict[str, Any]] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    problems: dict[str, SalernoError] = field(default_factory=dict)
    asked: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Answer:
        """The answer to a question.

        Raises:
            NotFound: The plan has no such question.
            SalernoError: What ended the question.
        """
        planned = self.plan[name]
        if planned.name in self.problems:
            raise self.problems[name]
        if planned.name not in self.answers:
            raise Conflict("not-answered-yet", f"Question {name!r} is {self.states.get(name, 'not asked')}")
        return self.answers[name]

    @property
    def complete(self) -> bool:
        """Whether every question was answered."""
        return len(self.answers) == len(self.plan.questions)

    @property
    def synthetic(self) -> bool:
        """Whether this is a rehearsal on synthetic rows."""
        return any(answer.synthetic for answer in self.answers.values()) or bool(self.study.get("synthetic"))

    def raise_first(self) -> None:
        """Raise what ended the first question, in the plan's order, that was not answered."""
        for planned in self.plan.questions:
            if planned.name in self.problems:
                raise self.problems[planned.name]

    def sections(self) -> list[Section]:
        """The parts of the report."""
        from salerno.client.study_report import sections_of

        return sections_of(self)

    def write_report(self, path: str | Path) -> Path:
        """Write one self-contained HTML page: methods, holders, permits, each question with its answer."""
        from salerno.client.report import write_report

        return write_report(path, self.plan.title, self.sections())

    def write_crate(self, path: str | Path) -> Path:
        """Write the evidence: a Five Safes RO-Crate (ZIP) with plan, answers, tables, plots and report.

        Raises:
            Conflict: This is a rehearsal, which is evidence of nothing.
        """
        from salerno.client.evidence import write_crate

        return write_crate(path, self)

    def write(self, folder: str | Path) -> list[Path]:
        """Write report, evidence and each answer as JSON and CSV into a folder; returns the files."""
        folder = Path(folder)
        (folder / "answers").mkdir(parents=True, exist_ok=True)
        written = []
        for name, answer in self.answers.items():
            written.append(folder / "answers" / f"{name}.json")
            answer.to_json(written[-1])
            written.append(answer.to_csv(folder / "answers" / f"{name}.csv"))
        written.append(self.write_report(folder / "report.html"))
        if not self.synthetic:
            written.append(self.write_crate(folder / "evidence.zip"))
        return written

    def __repr__(self) -> str:
        return f"<StudyRun {self.plan.title!r}: {len(self.answers)} of {len(self.plan.questions)} answered>"

    def _repr_html_(self) -> str:
        from salerno.client.report import html_of_section

        parts = "\n".join(html_of_section(section) for section in self.sections())
        return f"<h2>{escape(self.plan.title)}</h2>\n{parts}"


def carry_out(
    run: StudyRun,
    ask: Ask,
    *,
    at_once: int = 3,
    changed: Callable[[StudyRun], None] | None = None,
    stop: threading.Event | None = None,
) -> StudyRun:
    """Ask all questions of the run's plan, a few at the same time, and those that need others after them.

    A question that fails ends those that need it, and no others.

    Args:
        run: What is filled in.
        ask: Asks one question; called in threads.
        at_once: Most questions under way at the same time.
        changed: Called in the calling thread when a question has ended.
        stop: Set when the run is interrupted, for what `ask` does to end.
    """
    names = [planned.name for planned in run.plan.questions]
    run.states.update(dict.fromkeys(names, "waiting"))
    going: dict[Future[Answer], str] = {}
    pool = ThreadPoolExecutor(max_workers=max(1, at_once), thread_name_prefix="study")
    try:
        while True:
            for planned in _ready(run):
                started = _start(run, planned, ask, pool)
                if started is not None:
                    going[started] = planned.name
            if changed:
                changed(run)
            if not going and not _ready(run):
                return run
            done, _ = wait(going, return_when=FIRST_COMPLETED)
            for future in done:
                _take(run, going.pop(future), future)
    except BaseException:
        if stop:
            stop.set()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _ready(run: StudyRun) -> list[PlannedQuestion]:
    """Questions that can be asked now; those that cannot be any more are ended."""
    ended = True
    while ended:
        ended = False
        found: list[PlannedQuestion] = []
        for planned in run.plan.questions:
            if run.states[planned.name] != "waiting":
                continue
            failed = [need for need in planned.needs if need in run.problems]
            if failed:
                what = f"Question {planned.name!r} was not asked, since {failed[0]!r} has no answer"
                _end(run, planned.name, Conflict("not-asked", what, remedy=f"Mend {failed[0]!r} first."))
                ended = True
            elif all(need in run.answers for need in planned.needs):
                found.append(planned)
    return found


def _start(
    run: StudyRun, planned: PlannedQuestion, ask: Ask, pool: ThreadPoolExecutor
) -> Future[Answer] | None:
    try:
        results = {need: run.answers[need].result for need in planned.needs}
        question = filled(planned.question, results)
    except SalernoError as error:
        _end(run, planned.name, error)
        return None
    run.questions[planned.name] = question
    run.states[planned.name] = "asked"
    return pool.submit(ask, planned, question)


def _take(run: StudyRun, name: str, future: Future[Answer]) -> None:
    try:
        run.answers[name] = future.result()
        run.states[name] = "answered"
    except SalernoError as error:
        _end(run, name, error)


def _end(run: StudyRun, name: str, error: SalernoError) -> None:
    run.problems[name] = error
    run.states[name] = "failed"


def run_at(
    study: Study,
    run: StudyRun,
    *,
    again: bool = False,
    at_once: int = 3,
    timeout: float = 3600,
    changed: Callable[[StudyRun], None] | None = None,
) -> StudyRun:
    """Carry a plan out at a node; what was asked before under the same plan is not asked again.

    A question that ended because a holder or the node was not available is asked anew.

    Args:
        study: The study at the node.
        run: What is filled in.
        again: Ask anew whatever has failed before, not only what was unavailable.
        at_once: Most questions under way at the same time.
        changed: Called after each change, from the questions' threads too.
        timeout: Longest wait for one answer, seconds.
    """
    stopped = threading.Event()

    def ask(planned: PlannedQuestion, question: dict[str, Any]) -> Answer:
        def watch(pending: PendingQuestion) -> None:
            if stopped.is_set():
                raise _Stopped
            run.asked[planned.name] = pending.asked
            if not pending.done:
                run.states[planned.name] = pending.standing
            if changed:
                changed(run)

        pending = _submitted(study, question, again)
        try:
            return pending.wait(timeout, progress=None, watch=watch)
        finally:
            run.asked[planned.name] = pending.asked

    return carry_out(run, ask, at_once=at_once, changed=changed, stop=stopped)


def _submitted(study: Study, question: Mapping[str, Any], again: bool) -> PendingQuestion:
    """The question as it was asked before, or asked now: the first try that did not fail, or for good."""
    key, number = digest(question)[:40], 1
    while True:
        pending = study.submit(question, key=f"{key}/{number}")
        problem = pending.asked.get("error") or {}
        if pending.state != "failed" or not (again or int(problem.get("status", 500)) >= _UNAVAILABLE):
            return pending
        number += 1
