"""``salerno ledger``: what was asked of a holder, what was refused and why."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from salerno.cli import output
from salerno.cli.options import Json, NodeFolder

if TYPE_CHECKING:
    from salerno.analysis.service.entries import Entry


def ledger(
    folder: NodeFolder,
    refused: Annotated[
        bool, typer.Option("--refused", help="Only what was refused, with the reason.")
    ] = False,
    user: Annotated[str, typer.Option(help="Only this account's questions.")] = "",
    permit: Annotated[str, typer.Option(help="Only questions under this permit.")] = "",
    as_json: Json = False,
) -> None:
    """Show whom a holder answered about what, why it refused, and what is left to ask."""
    from salerno.nodes.assemble import open_node

    with open_node(folder) as node:
        with node.holdings() as holdings:
            connected = holdings.holdings()
        with node.holder_desk() as desk:
            entries = desk.ledger.entries(user=user, permit=permit, refused=True if refused else None)
            stored = desk.ledger.sets([entry.id for entry in entries])
            left = _left(desk.ledger.entries(user=user, permit=permit, refused=False), connected)
    sizes = {one.entry: one.size for one in stored if one.cell is None}
    if as_json:
        output.print_json({"entries": [_plain(entry, sizes) for entry in entries], "left": left})
        return
    heads = ("number", "asked", "user", "permit", "question", "holders", "persons", "refused")
    output.print_table(
        heads,
        [
            (
                entry.id,
                entry.asked_at.isoformat(timespec="minutes"),
                entry.user.rpartition("#")[2],
                entry.permit.rpartition(":")[2],
                json.dumps(entry.question, ensure_ascii=False),
                len(entry.holders),
                sizes.get(entry.id),
                entry.refusal.code if entry.refusal else "",
            )
            for entry in entries
        ],
    )
    for entry in entries:
        if entry.refusal:
            others = ", ".join(map(str, entry.refusal.entries))
            beside = f" (beside {others})" if others else ""
            print(f"{entry.id}: {entry.refusal.what}{beside}")
    for one in left:
        print(
            f"{one['user']} may ask {one['questions']} more different questions about {one['column']}"
            f" of {one['dataset']}"
        )


def _plain(entry: Entry, sizes: dict[int, int]) -> dict[str, Any]:
    from salerno.kernel.values import to_plain

    return {**to_plain(entry), "persons": sizes.get(entry.id)}


def _left(entries: list[Entry], holdings: list[Any]) -> list[dict[str, Any]]:
    """What remains of the questions that one user may ask about a column, where half is used up."""
    from salerno.kernel.values import digest

    most = {h.dataset: h.policy.max_questions_per_variable for h in holdings}
    asked: dict[tuple[str, str, str], set[str]] = {}
    for entry in entries:
        for column in entry.columns:
            key = (entry.user, entry.dataset, column)
            asked.setdefault(key, set()).add(digest([entry.frame, entry.question]))
    return [
        {
            "user": user,
            "dataset": dataset,
            "column": column,
            "questions": max(0, most[dataset] - len(questions)),
        }
        for (user, dataset, column), questions in sorted(asked.items())
        if most.get(dataset) and 2 * len(questions) >= most[dataset]
    ]
