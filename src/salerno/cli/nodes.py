"""``salerno node``: make a node, run it, and tell it whom to trust."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from salerno.cli import output
from salerno.cli.options import Json, NodeFolder, commands

if TYPE_CHECKING:
    from salerno.identity.model import ParticipantRole

app = commands("Make and run a hub, access body or holder.")

Role = Annotated[str, typer.Option(help="holder, access-body, hub or spe.")]
Name = Annotated[str, typer.Option(help="Name for people.")]
Country = Annotated[str, typer.Option(help="Country code, e.g. FR; EU for the European platform.")]
Url = Annotated[str, typer.Option(help="Public address of the node, e.g. https://data.hospital.example.")]
AccessBody = Annotated[
    str, typer.Option("--access-body", metavar="DID", help="For a holder: the access body in charge of it.")
]


@app.command()
def init(
    folder: NodeFolder,
    role: Role,
    name: Name,
    country: Country,
    url: Url,
    access_body: AccessBody = "",
    database: Annotated[
        str, typer.Option(help="PostgreSQL URL; a SQLite file in the folder by default.")
    ] = "",
    email: Annotated[str, typer.Option(help="Where people can write to; stands in descriptions.")] = "",
    as_json: Json = False,
) -> None:
    """Make the folder of a new node: settings, keys, database."""
    from salerno.nodes.settings import init_node

    settings = init_node(
        folder,
        role=_role(role),
        name=name,
        country=country,
        url=url,
        access_body=access_body,
        database=database,
        contact_email=email,
    )
    facts = {"did": settings.did, "folder": str(folder), "url": url}
    if as_json:
        output.print_json(facts)
    else:
        output.print_facts(facts.items())
        output.note(f"Run it with: salerno node serve {folder}")


@app.command()
def serve(folder: NodeFolder) -> None:
    """Run a node until it is stopped."""
    from salerno.nodes.serve import serve as serve_node

    serve_node(folder)


@app.command()
def admit(
    folder: NodeFolder,
    did: Annotated[str, typer.Option(help="did:web identifier of the participant.")],
    role: Role,
    name: Name,
    country: Country,
    url: Url,
    access_body: AccessBody = "",
) -> None:
    """Admit another node: from now on its signed messages and credentials count here."""
    from salerno.identity.model import Participant
    from salerno.nodes.assemble import open_node

    participant = Participant(
        did=did,
        role=_role(role),
        name=name,
        country=country,
        url=url.rstrip("/"),
        access_body=access_body,
    )
    with open_node(folder) as node, node.trust() as trust:
        trust.admit(participant, by=node.operator)
    output.note(f"{name} ({did}) is admitted")


@app.command()
def show(folder: NodeFolder, as_json: Json = False) -> None:
    """Show a node's settings and whom it has admitted."""
    from salerno.kernel.values import to_plain
    from salerno.nodes.assemble import open_node
    from salerno.nodes.settings import load_settings

    settings = load_settings(folder)
    with open_node(folder) as node, node.trust() as trust:
        participants = [to_plain(p) for p in trust.participants()]
    facts = {
        "name": settings.name,
        "role": str(settings.role),
        "country": settings.country,
        "url": settings.url,
        "did": settings.did,
        "database": _without_password(settings.database_url),
        "folder": str(settings.folder),
    }
    if as_json:
        output.print_json({**facts, "participants": participants})
        return
    output.print_facts(facts.items())
    rows = [(p["name"], p["role"], p["country"], p["url"], p["did"]) for p in participants]
    output.print_table(("participant", "role", "country", "address", "DID"), rows, title="Admitted")


def _role(name: str) -> ParticipantRole:
    from salerno.identity.model import ParticipantRole
    from salerno.kernel.errors import Invalid, near

    known = [each.value for each in ParticipantRole]
    if name not in known:
        raise Invalid("unknown-role", f"There is no role {name!r}", remedy=near(name, known))
    return ParticipantRole(name)


def _without_password(url: str) -> str:
    from sqlalchemy.engine import make_url

    return make_url(url).render_as_string(hide_password=True)
