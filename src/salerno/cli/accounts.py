"""Log-ins: of people at a node they use, and accounts at a node one runs."""

from __future__ import annotations

from typing import Annotated

import typer

from salerno.cli import output
from salerno.cli.options import At, Json, NodeFolder, ask_password, commands, session_at

app = commands("Accounts of people at a node that you run.")
optout = commands("Opt out of secondary use, or reverse it.")

PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input's first line.")
]


def log_in(
    login: Annotated[str, typer.Option("--login", prompt="Log-in name", help="Log-in name.")],
    at: At = "",
    password_stdin: PasswordStdin = False,
) -> None:
    """Log in at a node, and stay logged in."""
    from salerno.client.session import connect
    from salerno.client.tokens import save_token

    session = connect(at, login=login, password=ask_password(password_stdin))
    path = save_token(session.url, session.token)
    output.note(f"Logged in as {session.me['name']} at {session.url}; the session is kept in {path}")


def log_out(at: At = "") -> None:
    """End the session at a node and forget it."""
    from salerno.client.tokens import forget_token

    session = session_at(at)
    try:
        if session.token:
            session.log_out()
    finally:
        forget_token(session.url)
    output.note(f"Logged out at {session.url}")


def me(at: At = "", as_json: Json = False) -> None:
    """Show who you are at a node."""
    account = session_at(at).me
    if as_json:
        output.print_json(account)
    else:
        output.print_facts((name, account.get(name)) for name in ("name", "login", "id", "roles"))


@app.command()
def add(
    folder: NodeFolder,
    login: Annotated[str, typer.Option(help="Log-in name.")],
    name: Annotated[str, typer.Option(help="Name for people.")],
    role: Annotated[
        list[str], typer.Option(help="researcher, officer, steward, operator or citizen; repeat for several.")
    ],
    person: Annotated[
        str, typer.Option(help="For a citizen: the person's identifier at the data holders.")
    ] = "",
    email: Annotated[str, typer.Option(help="Where notices go as well as into the inbox.")] = "",
    language: Annotated[str, typer.Option(help="Language of notices: en, de or fr.")] = "en",
    password_stdin: PasswordStdin = False,
    as_json: Json = False,
) -> None:
    """Make an account; the password is asked for."""
    from salerno.identity.model import PersonRole
    from salerno.kernel.errors import Invalid, near
    from salerno.nodes.assemble import open_node

    known = [each.value for each in PersonRole]
    for one in role:
        if one not in known:
            raise Invalid("unknown-role", f"There is no role {one!r}", remedy=near(one, known))
    roles = tuple(PersonRole(one) for one in role)
    password = ask_password(password_stdin, twice=True)
    with open_node(folder) as node, node.accounts() as accounts:
        account = accounts.create(
            login, name, password, roles, person=person, by=node.operator, email=email, language=language
        )
    shown = {"id": account.id, "login": account.login, "name": account.name, "roles": list(account.roles)}
    if as_json:
        output.print_json(shown)
    else:
        output.print_facts(shown.items())


@app.command("list")
def list_(folder: NodeFolder, as_json: Json = False) -> None:
    """List the accounts of a node."""
    from salerno.nodes.assemble import open_node

    with open_node(folder) as node, node.accounts() as accounts:
        rows = [(a.login, a.name, [str(role) for role in a.roles], a.id) for a in accounts.accounts()]
    if as_json:
        output.print_json([dict(zip(("login", "name", "roles", "id"), row, strict=True)) for row in rows])
    else:
        output.print_table(("login", "name", "roles", "identifier"), rows)


Level = Annotated[
    str, typer.Option("--level", metavar="LEVEL", help="What from; see `salerno optout show`. Default: all.")
]


@optout.command("set")
def set_(at: At = "", level: Level = "", as_json: Json = False) -> None:
    """Opt out: your data leave every permit that is issued from now on."""
    _opt(True, at, level, as_json)


@optout.command()
def clear(at: At = "", level: Level = "", as_json: Json = False) -> None:
    """Reverse the opt-out."""
    _opt(False, at, level, as_json)


@optout.command("show")
def show_opt_out(at: At = "", as_json: Json = False) -> None:
    """Show whether you opted out, your choices so far, and what one can opt out from."""
    _opt(None, at, "", as_json)


@optout.command("receipt")
def opt_out_receipt(
    index: Annotated[int, typer.Argument(metavar="INDEX", min=0, help="A number that `show` gives.")],
    at: At = "",
) -> None:
    """Print the receipt of a choice as JSON; anybody can check it with `salerno audit check-receipt`."""
    output.print_json(session_at(at).opt_out_receipt(index))


def _opt(wanted: bool | None, at: str, level: str, as_json: bool) -> None:
    state = session_at(at).opt_out(wanted, level=level)
    if as_json:
        output.print_json(state)
        return
    titles = {one["name"]: one["title"] for one in state.get("levels", ())}
    history = state.get("history", ())
    standing = [period.get("level", "") for period in history if not period.get("until")]
    if "" in standing:
        print("You have opted out of secondary use.")
    elif standing:
        print(f"You have opted out of: {', '.join(titles.get(name, name) for name in standing)}.")
    else:
        print("You have not opted out.")
    for period in history:
        named = period.get("level", "")
        what = f" of {titles.get(named, named)}" if named else ""
        print(f"  opted out{what} from {period['since']} until {period.get('until') or 'now'}")
        receipts = [period.get(name) for name in ("receipt", "reversal_receipt")]
        print(f"    receipts: {', '.join(str(number) for number in receipts if number is not None)}")
    if wanted is None and len(titles) > 1:
        print("One can opt out of:")
        for name, title in titles.items():
            print(f"  {name or '(without --level)'}: {title}")
