"""``salerno study``: ask questions of the data that permits open."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Annotated, Any

import typer

from salerno.cli import output, plans
from salerno.cli.options import At, Json, commands, read_object, session_at
from salerno.kernel.errors import Invalid, near

app = commands("Open studies, ask questions, read answers.")
app.command("run")(plans.run)
app.command("rehearse")(plans.rehearse)

Report = Annotated[Path | None, typer.Option("--report", metavar="FILE", help="Write an HTML report.")]
Svg = Annotated[Path | None, typer.Option("--svg", metavar="FILE", help="Write the plot as SVG.")]
Csv = Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write the main table as CSV.")]
Parquet = Annotated[
    Path | None, typer.Option("--parquet", metavar="FILE", help="Write the main table as Parquet.")
]
Timeout = Annotated[float, typer.Option(help="Longest wait for the answer, seconds.")]


@app.command("open")
def open_(
    title: Annotated[str, typer.Option(help="Name for people.")],
    permit: Annotated[
        list[str] | None,
        typer.Option("--permit", metavar="ID", help="A data permit; repeat for each country."),
    ] = None,
    application: Annotated[
        str, typer.Option("--application", metavar="ID", help="Take all permits of this application.")
    ] = "",
    frame: Annotated[
        str | None, typer.Option("--frame", metavar="FILE", help="What is read of each data set, as JSON.")
    ] = None,
    purpose: Annotated[str, typer.Option(help="Purpose code; must be the permits'.")] = "research",
    min_holders: Annotated[
        int | None, typer.Option(help="Fewest holders to go on with; by default all must answer.")
    ] = None,
    leave_out: Annotated[
        bool, typer.Option("--leave-out", help="Go on without a holder that refuses to open its data.")
    ] = False,
    dataset: Annotated[
        list[str] | None,
        typer.Option("--dataset", metavar="IRI", help="Data set to read, where permits cover several."),
    ] = None,
    at: At = "",
    as_json: Json = False,
) -> None:
    """Open a study under one or more data permits."""
    session = session_at(at)
    permits: Any = session.application(application) if application else (permit or [])
    framed = read_object(frame, "The frame") if frame is not None else None
    study = session.study(
        title,
        permits,
        frame=framed,
        purpose=purpose,
        min_holders=min_holders,
        on_refusal="leave-out" if leave_out else "fail",
        datasets=dataset or (),
    )
    if as_json:
        output.print_json(study.study)
    else:
        print(study.id)
        output.note(f"Ask with: salerno study ask {study.id} QUESTION.json")


@app.command("list")
def list_(at: At = "", as_json: Json = False) -> None:
    """List your studies."""
    studies = session_at(at).studies()
    if as_json:
        output.print_json([s.study for s in studies])
        return
    rows = [(s.id, s.title, s.study["purpose"], len(s.permits), s.study["created_at"]) for s in studies]
    output.print_table(("study", "title", "purpose", "permits", "opened"), rows)


@app.command()
def questions(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="Identifier of the study.")],
    at: At = "",
    as_json: Json = False,
) -> None:
    """List the questions of a study."""
    asked = session_at(at).open_study(study).questions()
    if as_json:
        output.print_json([q.asked for q in asked])
        return
    rows = [(q.id, q.asked["question"].get("method", ""), q.state, q.asked["asked_at"]) for q in asked]
    output.print_table(("question", "method", "state", "asked"), rows)


@app.command()
def ask(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="Identifier of the study.")],
    question: Annotated[
        str, typer.Argument(metavar="QUESTION", help="The question as JSON; - reads standard input.")
    ],
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the answer.")] = True,
    timeout: Timeout = 600,
    report: Report = None,
    svg: Svg = None,
    csv: Csv = None,
    parquet: Parquet = None,
    at: At = "",
    as_json: Json = False,
) -> None:
    """Ask a question and print the answer."""
    asked = read_object(question, "The question")
    pending = session_at(at).open_study(study).submit(asked)
    if not wait:
        if as_json:
            output.print_json(pending.asked)
        else:
            print(pending.id)
        return
    if not as_json:
        output.note(f"Asked as {pending.id}")
    _deliver(pending, timeout, as_json, report, svg, csv, parquet)


@app.command()
def answer(
    id: Annotated[str, typer.Argument(metavar="QUESTION-ID", help="Identifier of the question.")],
    timeout: Timeout = 600,
    report: Report = None,
    svg: Svg = None,
    csv: Csv = None,
    parquet: Parquet = None,
    at: At = "",
    as_json: Json = False,
) -> None:
    """Print the answer to a question that was asked before; waits for it if need be."""
    _deliver(session_at(at).question(id), timeout, as_json, report, svg, csv, parquet)


def methods(
    name: Annotated[str, typer.Argument(metavar="[METHOD]", help="One method, in full.")] = "",
    as_json: Json = False,
) -> None:
    """List the analysis methods, or say how one is asked and what it answers."""
    known = _method_docs()
    if name:
        if name not in known:
            raise Invalid("unknown-method", f"There is no method {name!r}", remedy=near(name, known))
        known = {name: known[name]}
    if as_json:
        output.print_json([{"method": each, "about": text} for each, text in known.items()])
    elif name:
        print(known[name])
    else:
        width = max(map(len, known))
        for each, text in known.items():
            print(f"{each:<{width}}  {text.partition(chr(10))[0]}")
        output.note("salerno methods METHOD tells how a method is asked and what it answers.")


def _method_docs() -> dict[str, str]:
    """What each method's module says about it, read without loading the analysis engine."""
    from importlib.util import find_spec

    package = find_spec("salerno.analysis.methods")
    folders = list(package.submodule_search_locations or ()) if package else []
    docs: dict[str, str] = {}
    for path in sorted(Path(folder) for folder in folders):
        for module in sorted(path.glob("*.py")):
            tree = ast.parse(module.read_text(encoding="utf-8"))
            if not module.name.startswith("_") and _has_name(tree):
                docs[module.stem] = ast.get_docstring(tree) or ""
    return docs


def _has_name(tree: ast.Module) -> bool:
    targets = (target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets)
    return any(isinstance(target, ast.Name) and target.id == "NAME" for target in targets)


def _deliver(
    pending: Any,
    timeout: float,
    as_json: bool,
    report: Path | None,
    svg: Path | None,
    csv: Path | None,
    parquet: Path | None,
) -> None:
    answer = pending.wait(timeout, progress=output.progress(as_json))
    written = [
        write(path)
        for write, path in (
            (answer.write_report, report),
            (lambda path: answer.plot().save(path), svg),
            (answer.to_csv, csv),
            (answer.to_parquet, parquet),
        )
        if path is not None
    ]
    if as_json:
        output.print_json(answer.answer)
    else:
        output.print_answer(answer.answer)
    for path in written:
        output.note(f"Written: {path}")
