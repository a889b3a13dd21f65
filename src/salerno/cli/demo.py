"""What a newcomer runs first: the whole story on this machine, and a question to one's own files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from salerno.cli.options import Json, read_object


def demo(
    cdm: Annotated[
        list[str] | None,
        typer.Option(
            "--cdm",
            metavar="PATH...",
            help="Own OMOP data, one per hospital: folders of Parquet or CSV, DuckDB files, PostgreSQL URLs.",
        ),
    ] = None,
    more: Annotated[list[str] | None, typer.Argument(metavar="[PATH...]", hidden=True)] = None,
    persons: Annotated[
        int | None, typer.Option(min=30, help="Make a synthetic population of this size instead.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the population and of its split.")] = 2025,
    serve: Annotated[
        bool, typer.Option("--serve", help="Leave the nodes running and print their addresses and log-ins.")
    ] = False,
    folder: Annotated[Path, typer.Option(file_okay=False, help="Where the nodes keep their files.")] = Path(
        "salerno-demo"
    ),
    report: Annotated[
        Path | None, typer.Option(help="Where to write the report; in the folder by default.")
    ] = None,
) -> None:
    """Run a data space here, ask three countries."""
    from salerno.kernel.errors import Invalid

    if more and not cdm:
        raise Invalid(
            "unexpected-argument", f"Nothing is known about {more[0]!r}", remedy="Write --cdm before it."
        )
    if cdm and persons is not None:
        raise Invalid("two-inputs", "--cdm and --persons cannot be given together", remedy="Leave one out.")
    from salerno.nodes.demo import DemoOptions, run_demo

    run_demo(
        DemoOptions(
            cdm=(*(cdm or ()), *(more or ())),
            persons=persons,
            seed=seed,
            serve=serve,
            folder=folder,
            report=report,
        )
    )


def try_(
    site: Annotated[
        list[Path] | None,
        typer.Option(
            "--site", metavar="FILE", help="One site's data: CSV, Parquet, or an OMOP folder. Repeat."
        ),
    ] = None,
    question: Annotated[
        str, typer.Option("--question", metavar="FILE", help="The question as JSON; - reads standard input.")
    ] = "-",
    threshold: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="N", help="Smallest number of persons behind a figure.", show_default=False
        ),
    ] = None,
    no_masks: Annotated[bool, typer.Option("--no-masks", help="Send sums unmasked, to compare.")] = False,
    frame: Annotated[
        str | None, typer.Option("--frame", metavar="FILE", help="Study frame as JSON, for OMOP folders.")
    ] = None,
    app: Annotated[
        list[Path] | None,
        typer.Option("--app", metavar="BUNDLE", help="A Flower app that every site lets run. Repeat."),
    ] = None,
    app_python: Annotated[
        str, typer.Option(metavar="FILE", help="Interpreter with Flower for the apps; by default this one.")
    ] = "",
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="Write an HTML report too.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Ask a question of your own files.

    Each file stands for another holder in another country.

    The real path is taken: permit, view, rounds, masks and disclosure control. A question that
    disclosure control refuses ends with exit code 3 and the reason.
    """
    from salerno.cli import output
    from salerno.kernel.errors import Invalid

    if not site:
        raise Invalid("no-site", "No file was given", remedy="Give one --site FILE per holder.")
    asked = read_object(question, "The question")
    framed = read_object(frame, "The frame") if frame is not None else None
    with output.progress(as_json)("Asking the sites"):
        from salerno.nodes.local import try_question

        answer = try_question(
            site,
            asked,
            threshold=threshold,
            masks=not no_masks,
            frame=framed,
            apps=[path.read_bytes() for path in app or ()],
            app_python=app_python,
        )
    if report is not None:
        from salerno.client.answer import Answer

        Answer(answer).write_report(report)
        output.note(f"The report is in {report}")
    if as_json:
        output.print_json(answer)
    else:
        output.print_answer(answer)
