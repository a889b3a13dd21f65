"""``salerno ledger``: what was asked of a holder, what was refused and why."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from salerno.cli import output
from salerno.cli.options import Json, NodeFolder

if TYPE_CHECKING:
    from salerno.analysis.service.account import Account


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
    from salerno.analysis.service.account import read_account
    from salerno.nodes.assemble import open_node

    with open_node(folder) as node:
        with node.holdings() as holdings:
            policies = {holding.dataset: holding.policy for holding in holdings.holdings()}
        with node.reading_holder_desk() as desk:
            account = read_account(desk.ledger, policies, refused=refused, user=user, permit=permit)
    if as_json:
        output.print_json(_plain(account))
    else:
        _print(account)


def _print(account: Account) -> None:
    from salerno.analysis.service.account import budget_words, column_words, refusal_words, short

    heads = ("number", "asked", "user", "permit", "question", "holders", "persons", "refused")
    output.print_table(
        heads,
        [
            (
                entry.id,
                entry.asked_at.isoformat(timespec="minutes"),
                short(entry.user),
                short(entry.permit),
                json.dumps(entry.question, ensure_ascii=False),
                len(entry.holders),
                account.persons.get(entry.id),
                entry.refusal.code if entry.refusal else "",
            )
            for entry in account.entries
        ],
    )
    for entry in account.entries:
        if entry.refusal:
            others = ", ".join(map(str, entry.refusal.entries))
            beside = f" (beside {others})" if others else ""
            print(f"{entry.id}: {refusal_words(entry)}{beside}")
    for column in account.columns:
        if column.left is not None:
            print(column_words(column))
    for budget in account.budgets:
        print(budget_words(budget))


def _plain(account: Account) -> dict[str, Any]:
    from salerno.kernel.values import to_plain

    entries = [{**to_plain(entry), "persons": account.persons.get(entry.id)} for entry in account.entries]
    return {"entries": entries, "columns": to_plain(account.columns), "budgets": to_plain(account.budgets)}
