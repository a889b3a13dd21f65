"""``salerno apply``: one application for data of several countries."""

from __future__ import annotations

from typing import Annotated

import typer

from salerno.cli import output
from salerno.cli.options import At, Json, commands, read_object, session_at

app = commands("File and follow applications for data.")

Id = Annotated[str, typer.Argument(metavar="ID", help="Identifier of the application.")]


@app.command()
def template(
    dataset: Annotated[
        list[str] | None, typer.Option("--dataset", metavar="IRI", help="A data set to ask for; repeat.")
    ] = None,
    at: At = "",
) -> None:
    """Print an application to fill in, with all columns of the data sets."""
    scopes = []
    if dataset:
        session = session_at(at)
        scopes = [session.dataset(iri).scope() for iri in dataset]
    output.print_json(
        {
            "title": "",
            "applicant": "",
            "contact_email": "",
            "persons": [{"id": "", "name": "", "function": "", "principal_investigator": True}],
            "purpose": "research",
            "intended_use": "",
            "expected_benefit": "",
            "data": scopes,
            "pseudonymised": False,
            "why_not_anonymised": "",
            "safeguards": "",
            "period_months": 12,
            "methods": [],
            "ethics_assessment": "",
            "lay_summary": "",
        }
    )


@app.command("file")
def file_(
    application: Annotated[
        str, typer.Argument(metavar="APPLICATION", help="The application as JSON; - reads standard input.")
    ],
    draft: Annotated[bool, typer.Option("--draft", help="Keep it as a draft; do not hand it in.")] = False,
    at: At = "",
    as_json: Json = False,
) -> None:
    """File an application and hand it in."""
    fields = read_object(application, "The application")
    filed = session_at(at).apply(fields, submit=not draft)
    if as_json:
        output.print_json(filed.case)
        return
    print(filed.id)
    output.note(
        f"{'Kept as a draft' if draft else 'Handed in'}; follow it with: salerno apply show {filed.id}"
    )


@app.command()
def submit(id: Id, at: At = "", as_json: Json = False) -> None:
    """Hand in a draft."""
    _show(session_at(at).application(id).submit().case, as_json)


@app.command("list")
def list_(at: At = "", as_json: Json = False) -> None:
    """List your applications."""
    filed = session_at(at).applications()
    if as_json:
        output.print_json([a.line for a in filed])
        return
    rows = [(a.id, a.title, a.state, a.countries) for a in filed]
    output.print_table(("application", "title", "state", "countries"), rows)


@app.command()
def show(id: Id, at: At = "", as_json: Json = False) -> None:
    """Show an application with the state of each country."""
    _show(session_at(at).application(id).case, as_json)


@app.command()
def history(id: Id, at: At = "", as_json: Json = False) -> None:
    """Show what happened to an application, in order."""
    events = session_at(at).application(id).history()
    if as_json:
        output.print_json(events)
    else:
        output.print_history(events)


@app.command()
def change(
    permits: Annotated[list[str], typer.Argument(metavar="PERMIT...", help="Permits of one application.")],
    renew: Annotated[
        bool, typer.Option("--renew", help="Ask for the one extension that the law allows.")
    ] = False,
    at: At = "",
    as_json: Json = False,
) -> None:
    """Begin to ask for other permits in the place of some: an amendment, or with --renew a renewal."""
    session = session_at(at)
    _show((session.renew if renew else session.amend)(*permits).case, as_json)


@app.command()
def save(
    id: Id,
    fields: Annotated[
        str, typer.Argument(metavar="FIELDS", help="Changed fields as JSON; - reads standard input.")
    ],
    at: At = "",
    as_json: Json = False,
) -> None:
    """Change fields of a draft, or prepare the answer to what was asked back."""
    _show(session_at(at).application(id).save(**read_object(fields, "The fields")).case, as_json)


@app.command()
def appeal(
    id: Id,
    country: Annotated[str, typer.Option(help="Country whose decision it is against, e.g. FR.")],
    grounds: Annotated[str, typer.Option(help="Why the decision is wrong.")],
    at: At = "",
    as_json: Json = False,
) -> None:
    """Appeal against a country's decision."""
    _show(session_at(at).application(id).appeal(country, grounds).case, as_json)


@app.command()
def wait(
    id: Id,
    timeout: Annotated[float, typer.Option(help="Longest wait, seconds.")] = 60,
    at: At = "",
    as_json: Json = False,
) -> None:
    """Wait until every country has decided, or one asks back."""
    with output.progress(as_json)("Waiting for the decisions"):
        decided = session_at(at).application(id).wait(timeout)
    _show(decided.case, as_json)


@app.command()
def withdraw(id: Id, at: At = "", as_json: Json = False) -> None:
    """Take an application back."""
    _show(session_at(at).application(id).withdraw().case, as_json)


def _show(case: dict[str, object], as_json: bool) -> None:
    if as_json:
        output.print_json(case)
    else:
        output.print_case(case)
