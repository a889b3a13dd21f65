"""``salerno study run``: carry out a study file, from wherever it stands to its report."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from salerno.cli import output
from salerno.cli.options import At, Json, read_object, session_at

if TYPE_CHECKING:
    from rich.table import Table

    from salerno.client.runs import StudyRun

PlanFile = Annotated[Path, typer.Argument(metavar="FILE", help="Study file, TOML or JSON.")]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="DIR", help="Folder for report, evidence and answers; by default named after FILE."
    ),
]


def run(
    file: PlanFile,
    out: Out = None,
    study: Annotated[
        str, typer.Option("--study", metavar="ID", help="Ask in this study instead of the plan's own.")
    ] = "",
    again: Annotated[bool, typer.Option("--again", help="Ask anew what has failed for good too.")] = False,
    at_once: Annotated[int, typer.Option(help="Most questions under way at the same time.")] = 3,
    timeout: Annotated[float, typer.Option(help="Longest wait for one answer, seconds.")] = 3600,
    at: At = "",
    as_json: Json = False,
) -> None:
    """Ask all questions of a study file, each when those that it needs are answered.

    Run again after an interruption, it goes on where it was. Writes a report (HTML), the evidence (a Five
    Safes RO-Crate) and each answer (JSON, CSV). A question without an answer ends the command with the exit
    code of its error, after the others were answered.
    """
    from salerno.client.plan import read_plan

    plan = read_plan(file)
    session = session_at(at)
    with showing(as_json) as show:
        done = session.run(plan, study=study, again=again, at_once=at_once, timeout=timeout, watch=show)
    deliver(done, out or file.with_name(f"{file.stem}-results"), as_json)


def rehearse(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="Study file, or one question as JSON; - reads one.")
    ],
    dataset: Annotated[
        list[str] | None,
        typer.Option("--dataset", metavar="IRI", help="Data set; by default those of the study's permits."),
    ] = None,
    frame: Annotated[
        str | None, typer.Option("--frame", metavar="FILE", help="What is read of each, as JSON.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder for a report of the rehearsal.")
    ] = None,
    at: At = "",
    as_json: Json = False,
) -> None:
    """Try questions on synthetic rows that have the published columns and levels; no holder hears of it.

    No permit is needed. Everything that comes of it is marked as synthetic.
    """
    from salerno.client.plan import read_plan

    asked: Any = None
    if file == "-" or file.endswith(".json"):
        asked = read_object(file, "The question")
    if asked is None or "questions" in asked:
        asked = read_plan(file)
    framed = read_object(frame, "The frame") if frame is not None else None
    done = session_at(at).rehearse(asked, dataset or (), frame=framed)
    deliver(done, out, as_json)


def deliver(done: StudyRun, folder: Path | None, as_json: bool) -> None:
    """Print and write what came of a run; raise what ended the first question without an answer."""
    written = done.write(folder) if done.answers and folder else []
    if as_json:
        output.print_json(
            {
                "study": done.study,
                "answers": {name: answer.answer for name, answer in done.answers.items()},
                "problems": {name: error.to_problem() for name, error in done.problems.items()},
                "written": [str(path) for path in written],
            }
        )
    else:
        for name, answer in done.answers.items():
            output.console().print(f"\n{name}", style="bold", markup=False)
            output.print_answer(answer.answer)
        print()
        output.print_table(("question", "method", "state", "holders"), _rows(done), title=done.plan.title)
        for path in written:
            if path.parent == folder:
                output.note(f"Written: {path}")
    for name, error in list(done.problems.items())[1:]:
        output.note(f"{name}: {error}")
    done.raise_first()


@contextmanager
def showing(as_json: bool) -> Iterator[Callable[[StudyRun], None]]:
    """Shows where each question and holder stands: a live table, lines for a pipe, nothing for programs."""
    import sys

    if as_json:
        yield lambda run: None
    elif not sys.stderr.isatty():
        yield _lines()
    else:
        from rich.live import Live

        with Live(console=output.console(stderr=True), refresh_per_second=4, transient=True) as live:
            yield lambda run: live.update(_table(run))


def _lines() -> Callable[[StudyRun], None]:
    told: set[str] = set()
    lock = threading.Lock()

    def tell(run: StudyRun) -> None:
        with lock:
            for name in [*run.answers, *run.problems]:
                if name not in told:
                    told.add(name)
                    output.note(f"{name}: {run.states[name]}")

    return tell


def _table(run: StudyRun) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table("question", "method", "state", box=None, pad_edge=False)
    for name, method, state, _ in _rows(run):
        table.add_row(name, method, Text(state))
    return table


def _rows(run: StudyRun) -> list[tuple[str, str, str, Any]]:
    found = []
    for planned in run.plan.questions:
        answer = run.answers.get(planned.name)
        holders = len(answer.holders) if answer else None
        state = run.states.get(planned.name, "waiting")
        found.append((planned.name, str(planned.question["method"]), state, holders))
    return found
