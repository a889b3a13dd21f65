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
NoConflict = Annotated[
    bool, typer.Option("--no-conflict", help="I declare to have no conflict of interest in this case.")
]


@cases.command("list")
def list_(
    view: Annotated[
        str,
        typer.Option(help="open, mine, unassigned, overdue, proposed, awaiting or closed."),
    ] = "open",
    text: Annotated[
        str, typer.Option("--find", help="Only those whose title, applicant or number has it.")
    ] = "",
    at: At = "",
    as_json: Json = False,
) -> None:
    """List the applications before this access body, the next deadline first."""
    session = session_at(at)
    found = session.cases(view, text)
    if as_json:
        output.print_json([c.line for c in found])
        return
    names = session.officers() if any(c.line["assignee"] for c in found) else {}
    rows = [
        (
            c.id,
            c.title,
            f"{c.state}, proposed" if c.line["proposed"] else ", ".join(c.countries.values()),
            c.line["turn"],
            names.get(c.line["assignee"], c.line["assignee"]),
            c.line["due"],
        )
        for c in found
    ]
    output.print_table(("application", "title", "state", "whose turn", "handled by", "due"), rows)


@cases.command()
def show(id: Id, at: At = "", as_json: Json = False) -> None:
    """Show an application as a whole."""
    case = session_at(at).case(id).case
    if as_json:
        output.print_json(case)
    else:
        output.print_case(case, whole=True)


@cases.command()
def history(id: Id, at: At = "", as_json: Json = False) -> None:
    """Show what happened to an application, in order."""
    events = session_at(at).case(id).history()
    if as_json:
        output.print_json(events)
    else:
        output.print_history(events)


@cases.command("take-up")
def take_up(id: Id, at: At = "", as_json: Json = False) -> None:
    """Begin to look whether an application is complete; you handle it from now on."""
    _show(session_at(at).case(id).take_up().case, as_json)


@cases.command()
def complete(id: Id, at: At = "", as_json: Json = False) -> None:
    """Find an application complete: it can be assessed."""
    _show(session_at(at).case(id).find_complete().case, as_json)


@cases.command()
def assign(
    id: Id,
    to: Annotated[
        str, typer.Option(help="Account of the officer, or their log-in name; empty puts it back.")
    ],
    at: At = "",
    as_json: Json = False,
) -> None:
    """Hand an application to an officer."""
    session = session_at(at)
    accounts = {account.rpartition("#")[2]: account for account in session.officers()}
    _show(session.case(id).assign(accounts.get(to, to)).case, as_json)


@cases.command()
def conflict(
    id: Id,
    words: Annotated[str, typer.Option("--words", help="What the conflict of interest is.")],
    at: At = "",
    as_json: Json = False,
) -> None:
    """Declare a conflict of interest: you take no part in this case from now on."""
    _show(session_at(at).case(id).declare_conflict(words).case, as_json)


@cases.command("ask-back")
def ask_back(
    id: Id,
    question: Annotated[str, typer.Option(help="What the applicant should add.")] = "",
    comment: Annotated[
        list[str] | None,
        typer.Option("--comment", metavar="FIELD=WORDS", help="What to add to one field; repeat."),
    ] = None,
    at: At = "",
    as_json: Json = False,
) -> None:
    """Ask the applicant for more, in words, by field, or both."""
    from salerno.kernel.errors import Invalid

    comments = {}
    for given in comment or []:
        name, equals, words = given.partition("=")
        if not equals:
            raise Invalid("wrong-comment", f"{given!r} is no comment", remedy="Write --comment FIELD=WORDS.")
        comments[name.strip()] = words
    _show(session_at(at).case(id).ask_back(question, comments).case, as_json)


@cases.command()
def extend(id: Id, reason: Reason, at: At = "", as_json: Json = False) -> None:
    """Extend the period for the decision, once (Art. 68(4))."""
    _show(session_at(at).case(id).extend(reason).case, as_json)


@cases.command()
def propose(
    id: Id,
    verdict: Annotated[str, typer.Argument(help="grant, refuse or request-instead.")],
    assessment: AssessmentFile = None,
    all_met: Annotated[
        bool, typer.Option("--all-met", help="Assess every criterion of Art. 68(1) as met, without a file.")
    ] = False,
    no_conflict: NoConflict = False,
    reason: Reason = "",
    months: Annotated[
        int | None, typer.Option(min=1, max=120, help="How long the permit holds; by default as asked.")
    ] = None,
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
    """Propose a decision, which another officer confirms."""
    session = session_at(at)
    given: dict[str, Any] = read_object(terms, "The terms") if terms else {}
    options = {"months": months, "conditions": conditions, "opt_out_exception": opt_out_exception}
    given |= {name: value for name, value in options.items() if value}
    assessed = _assessment(session, assessment, all_met=all_met)
    case = session.case(id)
    _show(case.propose(verdict, assessed, no_conflict=no_conflict, reason=reason, **given).case, as_json)


@cases.command("send-back")
def send_back(
    id: Id,
    remark: Annotated[str, typer.Option(help="What has to be changed.")],
    at: At = "",
    as_json: Json = False,
) -> None:
    """Do not confirm what a colleague proposed."""
    _show(session_at(at).case(id).send_back(remark).case, as_json)


@cases.command()
def confirm(id: Id, no_conflict: NoConflict = False, at: At = "", as_json: Json = False) -> None:
    """Confirm what a colleague proposed: it is decided, and a permit goes to the applicant."""
    _show(session_at(at).case(id).confirm(no_conflict=no_conflict).case, as_json)


@cases.command()
def lapse(id: Id, at: At = "", as_json: Json = False) -> None:
    """Close an application that was not completed in time."""
    _show(session_at(at).case(id).lapse().case, as_json)


@cases.command()
def appeal(
    id: Id,
    answer: Annotated[str, typer.Argument(help="dismiss or uphold.")],
    reason: Reason,
    at: At = "",
    as_json: Json = False,
) -> None:
    """Answer an appeal: leave the decision as it is, or process the application again."""
    from salerno.kernel.errors import Invalid, near

    case = session_at(at).case(id)
    acts = {"dismiss": case.dismiss_appeal, "uphold": case.uphold_appeal}
    if answer not in acts:
        raise Invalid("unknown-answer", f"An appeal is not answered by {answer!r}", remedy=near(answer, acts))
    _show(acts[answer](reason).case, as_json)


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


@permits.command()
def reidentify(
    id: Annotated[str, typer.Argument(metavar="PERMIT", help="Permit under which the pseudonym was seen.")],
    pseudonym: Annotated[str, typer.Argument(metavar="PSEUDONYM", help="The pseudonym.")],
    reason: Annotated[str, typer.Option("--reason", help="Why: a significant finding (Art. 58(3)), say.")],
    at: At = "",
    as_json: Json = False,
) -> None:
    """Ask to take a pseudonym back; another officer confirms it and is told the identifier (officers)."""
    asked = session_at(at).reidentify(id, pseudonym, reason)
    if as_json:
        output.print_json(asked)
    else:
        print(f"Asked as {asked['id']}; another officer runs: salerno permit confirm-reidentification")


@permits.command("confirm-reidentification")
def confirm_reidentification(
    id: Annotated[str, typer.Argument(metavar="ID", help="What the first officer was told.")],
    at: At = "",
) -> None:
    """Confirm what another officer asked, and print the identifier (officers)."""
    print(session_at(at).confirm_reidentification(id))


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
