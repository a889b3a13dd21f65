"""Options that many commands share, and how they reach a node."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core

if TYPE_CHECKING:
    from salerno.client.session import Session

At = Annotated[
    str,
    typer.Option(
        "--at",
        envvar="SALERNO_URL",
        metavar="URL",
        help="Address of the node; by default the one of the last log-in.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
NodeFolder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the node.")]


def commands(
    help: str, *, completion: bool = False, group: type[typer.core.TyperGroup] | None = None
) -> typer.Typer:
    """A group of commands, set up like all others.

    Args:
        help: What the group is for.
        completion: Offer to install shell completion; for the outermost group alone.
        group: Class of the group.
    """
    return typer.Typer(
        help=help or None,
        cls=group,
        add_completion=completion,
        rich_markup_mode=None,  # help by Rich would cost half a second of imports each time
        no_args_is_help=bool(help),
        pretty_exceptions_enable=False,
    )


def session_at(url: str) -> Session:
    """The caller's session at a node, from SALERNO_TOKEN or the log-in that was kept."""
    from salerno.client.session import connect

    return connect(url)


def read_json(path: str, what: str) -> Any:
    """Read JSON from a file, or from standard input for ``-``.

    Raises:
        NotFound: There is no such file.
        Invalid: It is no JSON.
    """
    from salerno.kernel.errors import Invalid

    try:
        return json.loads(read_text(path))
    except ValueError as error:
        raise Invalid(
            "not-json", f"{what} is not JSON: {error}", remedy="Check commas, quotes and brackets."
        ) from error


def read_text(path: str) -> str:
    """Read a text file, or standard input for ``-``.

    Raises:
        NotFound: There is no such file.
        Invalid: It is no text.
    """
    from salerno.kernel.errors import Invalid, NotFound

    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError) as error:
        raise NotFound("no-such-file", f"There is no file {path}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid("unreadable-file", f"{path} cannot be read as text: {error}") from error


def read_object(path: str, what: str) -> dict[str, Any]:
    """Like `read_json`, for a JSON object.

    Raises:
        Invalid: It is another kind of JSON value.
    """
    from salerno.kernel.errors import Invalid

    value = read_json(path, what)
    if not isinstance(value, dict):
        raise Invalid("not-an-object", f"{what} is not a JSON object", remedy='Write {"name": value, …}.')
    return value


def ask_password(from_stdin: bool, *, twice: bool = False) -> str:
    """A password: from standard input's first line, or typed without echo.

    Raises:
        Invalid: There is no terminal to ask at, or nothing was given.
    """
    from salerno.kernel.errors import Invalid

    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    elif sys.stdin.isatty():
        password = str(typer.prompt("Password", hide_input=True, confirmation_prompt=twice, err=True))
    else:
        raise Invalid(
            "password-missing", "No terminal to ask for the password at", remedy="Use --password-stdin."
        )
    if not password:
        raise Invalid("password-missing", "The password is empty")
    return password
