"""``salerno audit``: read a node's log, prove that nothing in it was changed."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from salerno.cli import output
from salerno.cli.options import Json, NodeFolder, commands, read_json, read_object

app = commands("Read a node's log, and prove it unchanged.")


@app.command()
def verify(folder: NodeFolder, as_json: Json = False) -> None:
    """Recompute the whole log and hold it against its checkpoint."""
    from salerno.kernel.errors import Conflict
    from salerno.kernel.values import to_plain
    from salerno.nodes.assemble import open_node

    with output.progress(as_json)("Recomputing the log"), open_node(folder).audit() as log:
        report = to_plain(log.verify())
    if as_json:
        output.print_json(report)
    else:
        output.print_facts((name.replace("_", " "), value) for name, value in report.items())
    if not report.get("ok", not report.get("problems")):
        raise Conflict(
            "log-changed",
            f"The log of {folder} is not what it was when its checkpoint was signed",
            remedy="Keep the folder as it is, and compare it with the last backup.",
        )


@app.command()
def show(
    folder: NodeFolder,
    after: Annotated[int, typer.Option(help="Begin after this index.")] = -1,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most entries.")] = 100,
    act: Annotated[str, typer.Option(help="Only entries of this act, e.g. permit-issued.")] = "",
    subject: Annotated[str, typer.Option(help="Only entries on this subject.")] = "",
    as_json: Json = False,
) -> None:
    """Show entries of the log."""
    from salerno.kernel.values import to_plain
    from salerno.nodes.assemble import open_node

    with open_node(folder).audit() as log:
        entries = [to_plain(e) for e in log.entries(after=after, limit=limit, act=act, subject=subject)]
    if as_json:
        output.print_json(entries)
        return
    names = [name for name in (entries[0] if entries else ()) if name not in ("leaf", "hash")]
    output.print_table(names, [[_short(entry[name]) for name in names] for entry in entries])


@app.command()
def checkpoint(folder: NodeFolder) -> None:
    """Print the signed checkpoint: size and root of the log."""
    from salerno.nodes.assemble import open_node

    with open_node(folder).audit() as log:
        print(log.checkpoint(), end="")


@app.command()
def receipt(
    folder: NodeFolder,
    index: Annotated[int, typer.Argument(metavar="INDEX", min=0, help="Index of the entry.")],
) -> None:
    """Print the receipt of one entry as JSON: anybody can check it without this node."""
    from salerno.nodes.assemble import open_node

    with open_node(folder).audit() as log:
        output.print_json(log.receipt(index))


@app.command("check-receipt")
def check_receipt(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The receipt as JSON; - reads standard input.")],
    key: Annotated[str, typer.Option("--key", metavar="JWK", help="File with the node's public key as JWK.")],
    as_json: Json = False,
) -> None:
    """Check a receipt against the public key of the node that gave it."""
    from salerno.audit.model import Receipt
    from salerno.audit.rules import verify_receipt
    from salerno.kernel.values import from_plain

    given = from_plain(read_json(file, "The receipt"), Receipt, what="The receipt")
    verify_receipt(given, read_object(key, "The key"))
    if as_json:
        output.print_json({"valid": True})
    else:
        print("The receipt is valid: the entry stands in the log that the checkpoint signs.")


def _short(value: Any) -> Any:
    return ", ".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else value
