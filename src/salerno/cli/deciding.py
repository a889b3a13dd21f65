"""``salerno case`` and ``salerno permit``: what an access body's officer does."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from salerno.cli import output
from salerno.cli.options import At, Json, commands, read_object, session_at

cases = commands("Decide applications, as an access body's officer.")
permits = commands("List data permits; revoke one, as an officer.")

Id = Annotated[str, typer.Argument(metavar="ID", help="Identifier of the application.")]
AssessmentFile = Annotated[
    str | None,
    typer.Option(
        "--assessment",
        metavar="FILE",
        help='The assessment: {"criteria": [{"letter": "a", "met": true, "remark": ""}, …], "risks": ""}.',
        show_default=False,
    ),
]
Reason = Annotated[str, typer.Option("--reason", help="Reason that the applicant reads.")]


@cases.command("list")
def list_(at: At = "", as_json: Json = False) -> None:
    """List the applications before this access body."""
    found = session_at(at).cases()
    if as_json:
        output.print_json([c.case for c in found])
        return
    rows = [(c.id, c.title, c.state, ", ".join(c.due.values())) for c in found]
    output.print_table(("application", "title", "state", "due"), rows)


@cases.command()
def show(id: Id, at: At = "", as_json: Json = False) -> None:
    """Show an application as a whole."""
    case = session_at(at).case(id).case
    if as_json:
        output.print_json(case)
    else:
        output.print_case(case, whole=True)


@cases.command("take-up")
def take_up(id: Id, at: At = "", as_json: Json = False) -> None:
    """Begin to process an application."""
    _show(session_at(at).case(id).take_up().case, as_json)


@cases.command("ask-back")
def ask_back(
    id: Id,
    question: Annotated[str, typer.Option(help="What the applicant should add.")],
    at: At = "",
    as_json: Json = False,
) -> None:
    """Ask the applicant for more."""
    _show(session_at(at).case(id).ask_back(question).case, as_json)


@cases.command()
def grant(
    id: Id,
    assessment: AssessmentFile = None,
    all_met: Annotated[
        bool, typer.Option("--all-met", help="Assess every criterion of Art. 68(1) as met, without a file.")
    ] = False,
    months: Annotated[int, typer.Option(min=1, max=120, help="How long the permit holds.")] = 12,
    conditions: Annotated[str, typer.Option(help="Further conditions, in words.")] = "",
    opt_out_exception: Annotated[
        str, typer.Option(help="Reason for including persons who opted out (Art. 71(4)).")
    ] = "",
    terms: Annotated[
        str | None,
        typer.Option("--terms", metavar="FILE", help='JSON with "data" or "policy" narrower than asked.'),
    ] = None,
    at: At = "",
    as_json: Json = False,
) -> None:
    """Grant an application: the data permit goes to the applicant."""
    session = session_at(at)
    assessed = _assessment(session, assessment, all_met=all_met)
    narrower = read_object(terms, "The terms") if terms else {}
    given: dict[str, Any] = {"months": months, **narrower}
    if conditions:
        given["conditions"] = conditions
    if opt_out_exception:
        given["opt_out_exception"] = opt_out_exception
    _show(session.case(id).grant(assessed, **given).case, as_json)


@cases.command()
def refuse(
    id: Id, reason: Reason, assessment: AssessmentFile = None, at: At = "", as_json: Json = False
) -> None:
    """Refuse an application."""
    session = session_at(at)
    _show(session.case(id).refuse(_assessment(session, assessment, all_met=False), reason).case, as_json)


@permits.command("list")
def list_permits(at: At = "", as_json: Json = False) -> None:
    """List your data permits."""
    held = session_at(at).permits()
    if as_json:
        output.print_json([p.issued for p in held])
        return
    rows = [(p.id, p.country, p.state, p.valid_until[:10], p.permit["application_id"]) for p in held]
    output.print_table(("permit", "country", "state", "until", "application"), rows)


@permits.command("show")
def show_permit(
    id: Annotated[str, typer.Argument(metavar="PERMIT", help="Identifier of the permit.")],
    at: At = "",
    as_json: Json = False,
) -> None:
    """Show what a permit allows."""
    from salerno.kernel.errors import NotFound, near

    held = {p.id: p for p in session_at(at).permits()}
    if id not in held:
        raise NotFound("no-such-permit", f"You hold no permit {id}", remedy=near(id, held))
    permit = held[id]
    if as_json:
        output.print_json(permit.issued)
        return
    names = ("issuer", "applicant", "approved_at", "valid_from", "purpose", "purpose_detail", "methods",
             "conditions", "opt_out_exception", "policy")  # fmt: skip
    facts = [
        ("permit", permit.id),
        ("country", permit.country),
        ("state", permit.state),
        ("valid until", permit.valid_until),
    ]
    output.print_facts([*facts, *((name.replace("_", " "), permit.permit.get(name)) for name in names)])
    for scope in permit.permit["data"]:
        rows = [(table, ", ".join(columns)) for table, columns in scope["tables"].items()]
        output.print_table(("table", "permitted columns"), rows, title=scope["dataset"])


@permits.command()
def revoke(
    id: Annotated[str, typer.Argument(metavar="PERMIT", help="Identifier of the permit.")],
    reason: Reason,
    at: At = "",
    as_json: Json = False,
) -> None:
    """Revoke a permit: runs under it stop at their next step (officers)."""
    revoked = session_at(at).revoke(id, reason)
    if as_json:
        output.print_json(revoked.issued)
    else:
        print(f"{revoked.id} is {revoked.state}")


def _assessment(session: Any, path: str | None, *, all_met: bool) -> dict[str, Any]:
    from salerno.kernel.errors import Invalid

    if path is not None:
        given = read_object(path, "The assessment")
    elif all_met:
        given = {"criteria": [{"letter": letter, "met": True} for letter in "abcdefgh"]}
    else:
        raise Invalid(
            "no-assessment",
            "A decision stands on an assessment of each criterion",
            rule="EHDS Art. 68(1)",
            remedy="Give --assessment FILE.",
        )
    return {"assessor": session.me["id"], **given}


def _show(case: dict[str, Any], as_json: bool) -> None:
    if as_json:
        output.print_json(case)
    else:
        output.print_case(case)
