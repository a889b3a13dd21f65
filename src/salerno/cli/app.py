"""The tree of commands. Nothing heavy is imported before a command runs, so that help is quick."""

from __future__ import annotations

import typer

from salerno.cli import accounts, applying, audit, catalogue, deciding, demo, doctor, holdings, nodes, studies
from salerno.cli.options import commands

app = commands(
    "A European health data space that anyone can run: one question, several countries, "
    "one exact and safe answer."
)


def _version(wanted: bool) -> None:
    if wanted:
        from salerno import __version__

        print(f"salerno {__version__}")
        raise typer.Exit


@app.callback()
def salerno(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and stop."
    ),
) -> None:
    """Options of the command itself."""


app.command("demo")(demo.demo)
app.command("try")(demo.try_)
app.command("methods")(studies.methods)
app.command("doctor")(doctor.doctor)
app.command("log-in")(accounts.log_in)
app.command("log-out")(accounts.log_out)
app.command("me")(accounts.me)

app.add_typer(catalogue.app, name="catalogue")
app.add_typer(applying.app, name="apply")
app.add_typer(deciding.cases, name="case")
app.add_typer(deciding.permits, name="permit")
app.add_typer(studies.app, name="study")
app.add_typer(accounts.optout, name="optout")
app.add_typer(nodes.app, name="node")
app.add_typer(accounts.app, name="account")
app.add_typer(holdings.app, name="holding")
app.add_typer(audit.app, name="audit")
