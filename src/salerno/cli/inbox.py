"""``salerno inbox``: what a node tells its users."""

from __future__ import annotations

from typing import Annotated

import typer

from salerno.cli import output
from salerno.cli.options import At, Json, commands, session_at

app = commands("Read what a node has to tell you, and say how it reaches you.")


@app.command("list")
def list_(
    unread: Annotated[bool, typer.Option("--unread", help="Only what is not marked as read.")] = False,
    at: At = "",
    as_json: Json = False,
) -> None:
    """List what you were told, the newest first."""
    notices = session_at(at).notices(unread=unread)
    if as_json:
        output.print_json(notices)
        return
    rows = [
        ("" if n["read_at"] else "new", n["told_at"][:16].replace("T", " "), n["subject"], n["text"], n["id"])
        for n in notices
    ]
    output.print_table(("", "told (UTC)", "what", "in words", "notice"), rows)


@app.command()
def read(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[NOTICE]...", help="Notices; all when none is named.")
    ] = None,
    at: At = "",
) -> None:
    """Mark notices as read."""
    output.note(f"Marked as read: {session_at(at).mark_read(*(ids or ()))}")


@app.command()
def contact(
    email: Annotated[
        str | None, typer.Option(help="Where notices go as well; an empty text for the inbox alone.")
    ] = None,
    language: Annotated[str | None, typer.Option(help="Language of notices: en, de or fr.")] = None,
    at: At = "",
    as_json: Json = False,
) -> None:
    """Show or change where and in which language you are told."""
    kept = session_at(at).contact(email=email, language=language)
    if as_json:
        output.print_json(kept)
    else:
        told = kept["email"] or "none: the inbox alone"
        output.print_facts((("e-mail", told), ("language", kept["language"])))
