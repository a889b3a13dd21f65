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
            "lay_summary": "",
        }
    )


@app.command("file")
def file_(
    application: Annotated[
        str, typer.Argument(metavar="APPLICATION", help="The application as JSON; - reads standard input.")
    ],
    draft: Annotated[bool, typer.Option("--draft", help="Keep it as a draft; do not hand it in.")] = False,
    confirm: Annotated[
        bool,
        typer.Option("--confirm", help="Confirm what the form has confirmed; see: salerno apply form."),
    ] = False,
    at: At = "",
    as_json: Json = False,
) -> None:
    """File an application and hand it in."""
    fields = read_object(application, "The application")
    session = session_at(at)
    if "answers" in fields and "title" not in fields:  # as `apply export` writes it
        filed = session.draft(fields["answers"], fields.get("form", "application/1"))
        for field in session.confirmations() if confirm else ():
            filed.answer(field, True)
        if not draft:
            filed.submit()
    else:
        filed = session.apply(fields, submit=not draft, confirm=confirm)
    if as_json:
        output.print_json(filed.case)
        return
    print(filed.id)
    output.note(
        f"{'Kept as a draft' if draft else 'Handed in'}; follow it with: salerno apply show {filed.id}"
    )


@app.command()
def form(
    key: Annotated[str, typer.Argument(metavar="FORM", help="Name and version.")] = "application/1",
    at: At = "",
    as_json: Json = False,
) -> None:
    """Show a form: what is asked, and under which name it is answered."""
    found = session_at(at).form(key)
    if as_json:
        output.print_json(found)
        return
    for section in found["sections"]:
        rows = [
            (f["id"], f["label"], f["kind"], "yes" if f["required"] else "", f["rule"])
            for f in section["fields"]
        ]
        where = ", by country" if section["per_country"] else ""
        title = f"{section['number']} {section['title']}{where}"
        output.print_table(("field", "what is asked", "kind", "needed", "source"), rows, title=title)


@app.command()
def answer(
    id: Id,
    field: Annotated[str, typer.Argument(help="Name of the field, see: salerno apply form.")],
    value: Annotated[str, typer.Argument(help="The answer: JSON, or a text.")],
    country: Annotated[str, typer.Option(help="Country, where each one is answered by itself.")] = "",
    at: At = "",
    as_json: Json = False,
) -> None:
    """Answer one field of a draft; it is kept even if it is wrong, and you are told why."""
    import json

    try:
        read: object = json.loads(value)
    except ValueError:
        read = value
    _print_gaps(session_at(at).application(id).answer(field, read, country), as_json)


@app.command()
def gaps(id: Id, at: At = "", as_json: Json = False) -> None:
    """Show what is missing or wrong before an application can be handed in."""
    _print_gaps(session_at(at).application(id).gaps(), as_json)


@app.command()
def export(id: Id, at: At = "") -> None:
    """Print all answers as JSON, which `salerno apply file` reads again."""
    output.print_json(session_at(at).application(id).export())


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


def _print_gaps(gaps: list[dict[str, str]], as_json: bool) -> None:
    if as_json:
        output.print_json(gaps)
    elif gaps:
        output.print_table(("field", "what", "source"), [(g["field"], g["what"], g["rule"]) for g in gaps])
    else:
        output.note("Nothing is missing.")


def _show(case: dict[str, object], as_json: bool) -> None:
    if as_json:
        output.print_json(case)
    else:
        output.print_case(case)
