"""``salerno audit``: read a node's log, prove that nothing in it was changed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from salerno.cli import output
from salerno.cli.options import Json, NodeFolder, commands, read_json, read_object, read_text

app = commands("Read a node's log, and prove it unchanged.")


@app.command()
def verify(
    folder: NodeFolder,
    held: Annotated[
        list[Path] | None,
        typer.Option(
            "--checkpoint", metavar="FILE", help="A checkpoint kept elsewhere, that the log must contain."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Recompute the whole log and hold it against all checkpoints."""
    from salerno.kernel.errors import Conflict
    from salerno.kernel.values import to_plain
    from salerno.nodes.assemble import open_node

    notes = [read_text(str(path)) for path in held or ()]
    with (
        output.progress(as_json)("Recomputing the log"),
        open_node(folder) as node,
        node.reading_audit() as log,
    ):
        report = log.verify(checkpoints=notes)
    if as_json:
        output.print_json({"ok": report.ok, **to_plain(report)})
    else:
        facts = (("entries", report.size), ("root", report.root), ("checkpoints", report.checkpoints))
        output.print_facts(facts)
        print("Nothing was changed." if report.ok else f"First break at entry {report.first_break}.")
        for problem in report.problems:
            print(f"  entry {problem.index}: {problem.what}")
    if not report.ok:
        raise Conflict(
            "log-changed",
            f"The log of {folder} is not what it was when its checkpoints were signed",
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

    with open_node(folder) as node, node.audit() as log:
        entries = [to_plain(e) for e in log.entries(after=after, limit=limit, act=act, subject=subject)]
    if as_json:
        output.print_json(entries)
        return
    rows = [
        (e["index"], e["at"][:19], e["act"], e["actor"], e["subject"], _short(e["detail"]), e["rule"])
        for e in entries
    ]
    output.print_table(("index", "at", "act", "actor", "subject", "detail", "rule"), rows)


@app.command()
def checkpoint(folder: NodeFolder) -> None:
    """Print the signed checkpoint: size and root of the log."""
    from salerno.nodes.assemble import open_node

    with open_node(folder) as node, node.audit() as log:
        print(log.checkpoint(), end="")


@app.command()
def receipt(
    folder: NodeFolder,
    index: Annotated[int, typer.Argument(metavar="INDEX", min=0, help="Index of the entry.")],
) -> None:
    """Print the receipt of one entry as JSON: anybody can check it without this node."""
    from salerno.nodes.assemble import open_node

    with open_node(folder) as node, node.audit() as log:
        output.print_json(log.receipt(index))


@app.command()
def key(folder: NodeFolder) -> None:
    """Print the node's public key as JWK, for those who check its receipts."""
    from salerno.nodes.assemble import open_node

    with open_node(folder) as node:
        output.print_json(node.keys.signing_jwk())


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
    entry = verify_receipt(given, read_object(key, "The key"))
    if as_json:
        output.print_json({"valid": True, "entry": entry})
        return
    print("The receipt is valid: this entry stands in the log that the checkpoint signs.")
    output.print_facts((name, getattr(entry, name)) for name in ("index", "at", "actor", "act", "subject"))


def _short(detail: dict[str, Any]) -> str:
    return ", ".join(f"{name}={output.cell(value)}" for name, value in detail.items())
