"""What a holder's ledger tells its steward: who asked what, what was refused and why, and what is left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from salerno.analysis.service.entries import Entry, LedgerStore
from salerno.kernel.values import digest
from salerno.permits.model import DisclosurePolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnLeft:
    """What one user may still ask about a column; `left` is None where the holder's policy has no limit."""

    user: str
    dataset: str
    column: str
    asked: int
    left: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetLeft:
    """What is spent of a permit's privacy budget; `left` is None where only the permit's policy has one."""

    permit: str
    dataset: str
    spent: float
    left: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A ledger for its steward.

    Args:
        entries: Questions, oldest first.
        persons: How many persons the answer of an entry rested on; none for one that was refused, or that the
            policy asks no sets of.
        columns: What is left of the limits by column, the least first.
        budgets: What is left of the budgets.
    """

    entries: tuple[Entry, ...]
    persons: Mapping[int, int]
    columns: tuple[ColumnLeft, ...]
    budgets: tuple[BudgetLeft, ...]


def read_account(
    ledger: LedgerStore,
    policies: Mapping[str, DisclosurePolicy],
    *,
    refused: bool = False,
    user: str = "",
    permit: str = "",
) -> Account:
    """The questions that fit, and what is left to those who asked them.

    Args:
        ledger: The store.
        policies: The holder's own policy by data set; a permit's may allow less.
        refused: Only what was refused.
        user: Only this account's; its whole identifier, or what `short` makes of it.
        permit: Only those under this permit, named likewise.
    """
    everything = ledger.entries()
    fit = [
        entry
        for entry in everything
        if user in ("", entry.user, short(entry.user)) and permit in ("", entry.permit, short(entry.permit))
    ]
    answered = [entry for entry in everything if entry.refusal is None]
    users, permits = {entry.user for entry in fit}, {entry.permit for entry in fit}
    shown = tuple(entry for entry in fit if entry.refusal or not refused)
    return Account(
        entries=shown,
        persons=_persons(ledger, shown),
        columns=_columns((entry for entry in answered if entry.user in users), policies),
        budgets=_budgets((entry for entry in answered if entry.permit in permits), policies),
    )


def short(identifier: str) -> str:
    """An account's or a permit's identifier as people read it: what stands after the node's."""
    return identifier.rpartition("#")[2].rpartition(":")[2]


def refusal_words(entry: Entry) -> str:
    """Why an entry was refused, for the holder's own eyes; empty when it was answered."""
    return entry.refusal.what if entry.refusal else ""


def column_words(one: ColumnLeft) -> str:
    """What is left of a column, as a sentence."""
    what = f"about {one.column} of {one.dataset}"
    if one.left is None:
        return f"{short(one.user)} may ask any number of different questions {what}"
    return f"{short(one.user)} may ask {one.left} more different questions {what}"


def budget_words(one: BudgetLeft) -> str:
    """What is left of a budget, as a sentence."""
    spent = f"Permit {short(one.permit)} has spent {one.spent:g} of differential privacy on {one.dataset}"
    return spent if one.left is None else f"{spent}, {one.left:g} is left"


def _persons(ledger: LedgerStore, entries: Sequence[Entry]) -> dict[int, int]:
    persons: dict[int, int] = {}
    for one in ledger.sets([entry.id for entry in entries]):
        if one.cell is None:
            persons[one.entry] = max(one.size, persons.get(one.entry, 0))
    return persons


def _columns(entries: Iterable[Entry], policies: Mapping[str, DisclosurePolicy]) -> tuple[ColumnLeft, ...]:
    asked: dict[tuple[str, str, str], set[str]] = {}
    for entry in entries:
        for column in entry.columns:
            key = (entry.user, entry.dataset, column)
            asked.setdefault(key, set()).add(digest([entry.frame, entry.question]))
    found = []
    for (user, dataset, column), questions in sorted(asked.items()):
        policy = policies.get(dataset)
        most = policy.max_questions_per_variable if policy else 0
        left = max(0, most - len(questions)) if most else None
        found.append(ColumnLeft(user=user, dataset=dataset, column=column, asked=len(questions), left=left))
    return tuple(sorted(found, key=lambda one: (one.left is None, one.left)))


def _budgets(entries: Iterable[Entry], policies: Mapping[str, DisclosurePolicy]) -> tuple[BudgetLeft, ...]:
    spent: dict[tuple[str, str], float] = {}
    for entry in entries:
        if entry.epsilon:
            key = (entry.permit, entry.dataset)
            spent[key] = spent.get(key, 0.0) + entry.epsilon
    found = []
    for (permit, dataset), epsilon in sorted(spent.items()):
        policy = policies.get(dataset)
        left = max(0.0, round(policy.epsilon - epsilon, 9)) if policy and policy.epsilon else None
        found.append(BudgetLeft(permit=permit, dataset=dataset, spent=round(epsilon, 9), left=left))
    return tuple(found)
