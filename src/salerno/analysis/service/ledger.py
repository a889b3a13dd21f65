"""The holder's ledger: whom its answers rested on, and which questions it must not answer after them.

Before a holder's share of the first round leaves, the sets of persons behind the figures to come are held
against those of all earlier questions of the same user and under the same permit, on the same data set. What
is told to the researcher is only that the difference is too small; with which question, and by how many,
stands in the ledger, for the holder's own eyes. Sets never leave the holder, and go a year after the permit
has ended.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from secrets import token_bytes
from typing import Any

import numpy as np
from pyroaring import BitMap

from salerno.analysis.disclosure.differencing import Family, find_conflict
from salerno.analysis.disclosure.magnitudes import check_contributions
from salerno.analysis.disclosure.persons import check_persons
from salerno.analysis.model import Method, RunOpening, Scope, Sums
from salerno.analysis.rules import mentions
from salerno.analysis.service.entries import Entry, Refusal, StoredSet
from salerno.analysis.service.local import told_of
from salerno.analysis.service.noise import draw_noise, noisy_of
from salerno.analysis.service.ports import HolderDesk, Opens, View
from salerno.holdings.service import Persons
from salerno.kernel.errors import Refused, Unavailable
from salerno.kernel.values import digest
from salerno.permits.model import DisclosurePolicy

RULE = "EHDS Art. 73(2); the holder's disclosure policy"
RETENTION = timedelta(days=365)
"""How long the sets are kept after the permit's end."""

_BITMAPS_KEPT = 2048
_TELL_APART = frozenset({"by", "rows", "columns", "strata"})
"""Keys of a question whose columns part the persons into cells and are not summed up."""


class LedgerRefusal(Refused):
    """Refused by the ledger; `details` stay at the holder."""

    def __init__(self, code: str, what: str, *, details: str, entries: tuple[int, ...], remedy: str) -> None:
        super().__init__(code, what, rule=RULE, remedy=remedy)
        self.details = Refusal(code=code, what=details, entries=entries)


@dataclass(frozen=True)
class Claim:
    """A question that may be answered, ready to be kept.

    Args:
        last: Number of the latest entry that it was held against.
        noise: New noise with its key.
    """

    entry: Entry
    families: tuple[Family, ...] = ()
    numbering: str = ""
    last: int = 0
    noise: tuple[str, bytes] | None = None


@dataclass
class Ledger:
    """Judges questions at one holder.

    Args:
        opens, reads: Open transactions.
    """

    opens: Opens[HolderDesk]
    reads: Opens[HolderDesk]
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _bitmaps: OrderedDict[str, BitMap] = field(default_factory=OrderedDict)

    def judge(self, entry: Entry, view: View, method: Method, state: Any, scope: Scope, name: str) -> Claim:
        """Whether a question may be answered after all that was answered before.

        Args:
            entry: The question.
            view: What may be read.
            method: Its method.
            state: The method's first state.
            scope: What all agreed on.
            name: The holder's name, as the scope spells it.

        Raises:
            Refused: It may not; a `LedgerRefusal` has details for the holder.
        """
        policy = scope.policy
        with self.reads() as desk:
            earlier = desk.ledger.entries(
                dataset=entry.dataset, user=entry.user, permit=entry.permit, refused=False
            )
        last = earlier[-1].id if earlier else 0
        _check_cap(entry, earlier, policy)
        if policy.min_cell <= 1:
            return Claim(entry, last=last)
        secret = self._secret(entry.dataset)
        most = max(policy.dominance_persons, 2 if policy.p_percent else 0)
        found = told_of(view, method, state, scope, name, secret, most)
        for sets, contributions in found:
            if sets.rows >= policy.min_cell:  # fewer rows are the method's own to judge
                check_persons(len(sets.persons), policy, who="This holder's part")
            for each in contributions:
                check_contributions(each, policy)
        if not policy.differencing:
            return Claim(entry, last=last)
        numbering = found[0][0].numbering if found else ""
        _check_holders(entry, earlier)
        families = _families(entry, found)
        before, numberings = self._load(earlier)
        if numberings - {numbering}:
            raise LedgerRefusal(
                "ledger-renumbered",
                "The holder's engine has changed, so earlier questions cannot be compared with this one",
                details=f"sets were numbered by {', '.join(sorted(numberings))}, and now by {numbering}",
                entries=(),
                remedy="Ask the holder's steward.",
            )
        conflict = find_conflict(families, before, policy.min_cell)
        if conflict is not None:
            raise LedgerRefusal(
                "differs-by-too-few",
                "The persons behind the question differ from those of earlier ones by too few",
                details=conflict.what,
                entries=conflict.sources,
                remedy=_remedy(entry, earlier),
            )
        return Claim(entry, families, numbering, last)

    def noisy(
        self, entry: Entry, method: Method, sums: Sums, state: Any, policy: DisclosurePolicy
    ) -> tuple[Sums, Claim]:
        """A holder's sums with noise instead of a comparison with earlier questions, and what that costs.

        Raises:
            LedgerRefusal: The permit's budget is spent.
            Refused: The method has no way to add noise.
        """
        noisy, epsilon = noisy_of(method).noisy, policy.epsilon_per_question
        values = {name: array.tolist() for name, array in sums.items()}
        paid = [epsilon, policy.delta] if policy.delta else epsilon
        key = digest([entry.dataset, entry.permit, entry.frame, entry.question, paid, values])
        with self.reads() as desk:
            earlier = desk.ledger.entries(
                dataset=entry.dataset, user=entry.user, permit=entry.permit, refused=False
            )
            kept = desk.ledger.noise(key)
        last = earlier[-1].id if earlier else 0
        _check_cap(entry, earlier, policy)
        if kept:
            return noisy(sums, state, np.frombuffer(kept, dtype=np.int64)), Claim(entry, last=last)
        spent = sum(one.epsilon for one in earlier if one.permit == entry.permit)
        if spent + epsilon > policy.epsilon * (1 + 1e-9):
            raise LedgerRefusal(
                "budget-spent",
                f"The permit's budget of differential privacy, {policy.epsilon:g}, is spent",
                details=f"{spent:g} of {policy.epsilon:g} is spent, and a question costs {epsilon:g}",
                entries=(),
                remedy="Use the answers that you have: the same question again costs nothing.",
            )
        noise = draw_noise(noisy_of(method).sensitivity(state), policy)
        claim = Claim(replace(entry, epsilon=epsilon), last=last, noise=(key, noise.tobytes()))
        return noisy(sums, state, noise), claim

    def record(self, desk: HolderDesk, claim: Claim) -> None:
        """Keep a question with its sets, in the transaction that keeps the share.

        Raises:
            Unavailable: Another question was answered in between; worth judging again.
        """
        entry = claim.entry
        desk.ledger.purge(entry.asked_at)
        since = desk.ledger.entries(
            dataset=entry.dataset, user=entry.user, permit=entry.permit, refused=False
        )
        if since and since[-1].id > claim.last:
            raise Unavailable(
                "ledger-busy", "Another question was answered at the same time", remedy="Try again."
            )
        sets, bitmaps = [], {}
        for number, family in enumerate(claim.families):
            for cell, persons in [(None, family.persons), *family.cells.items()]:
                data = bytes(persons.serialize())
                key = hashlib.sha256(data).hexdigest()
                bitmaps[key] = data
                sets.append(
                    StoredSet(
                        entry=0,
                        family=number,
                        cell=cell,
                        size=len(persons),
                        rows=family.rows,
                        numbering=claim.numbering,
                        digest=key,
                    )
                )
        if claim.noise is not None:
            desk.ledger.set_noise(*claim.noise)
        desk.ledger.add(entry, sets, bitmaps)

    def refuse(self, entry: Entry, error: Refused) -> None:
        """Keep that a question was refused, and why."""
        details = getattr(error, "details", None) or Refusal(code=error.code, what=error.what)
        with self.opens() as desk:
            desk.ledger.add(replace(entry, refusal=details), (), {})

    def _secret(self, dataset: str) -> bytes:
        with self.reads() as desk:
            secret = desk.ledger.secret(dataset)
        if secret:
            return secret
        with self._lock, self.opens() as desk:
            secret = desk.ledger.secret(dataset)
            if not secret:
                secret = token_bytes(32)
                desk.ledger.set_secret(dataset, secret)
        return secret

    def _load(self, entries: Sequence[Entry]) -> tuple[list[Family], set[str]]:
        """What earlier questions told, and how their persons are numbered."""
        by_id = {entry.id: entry for entry in entries}
        families: dict[tuple[int, int], list[StoredSet]] = {}
        with self.reads() as desk:
            stored = desk.ledger.sets(list(by_id))
            for one in stored:
                families.setdefault((one.entry, one.family), []).append(one)
                self._keep(desk, one.digest)
            # In the same transaction, as many sets may push each other out of memory.
            loaded = [self._family(desk, by_id[entry], sets) for (entry, _), sets in sorted(families.items())]
        return loaded, {one.numbering for one in stored}

    def _family(self, desk: HolderDesk, entry: Entry, sets: Iterable[StoredSet]) -> Family:
        whole, cells, rows = BitMap(), {}, 0
        for one in sets:
            persons = self._keep(desk, one.digest)
            if one.cell is None:
                whole, rows = persons, one.rows
            else:
                cells[one.cell] = persons
        return Family(entry.id, entry.frame, frozenset(entry.measures), whole, rows, cells)

    def _keep(self, desk: HolderDesk, key: str) -> BitMap:
        with self._lock:
            if key in self._bitmaps:
                self._bitmaps.move_to_end(key)
                return self._bitmaps[key]
        persons = BitMap.deserialize(desk.ledger.bitmap(key))
        with self._lock:
            self._bitmaps[key] = persons
            while len(self._bitmaps) > _BITMAPS_KEPT:
                self._bitmaps.popitem(last=False)
        return persons


def entry_of(
    opening: RunOpening, *, coordinator: str, view: View, scope: Scope, own: str, now: datetime
) -> Entry:
    """A run's question as an entry of the ledger."""
    summed = {key: value for key, value in opening.question.items() if key not in _TELL_APART}
    return Entry(
        coordinator=coordinator,
        question_id=opening.question_id,
        run=opening.run,
        user=opening.user,
        permit=view.permit.id,
        dataset=opening.dataset[own],
        frame=digest([opening.frame, opening.dataset[own]]),
        question=opening.question,
        columns=tuple(name for name in scope.dictionary.variables if mentions(opening.question, name)),
        measures=tuple(name for name in scope.dictionary.variables if mentions(summed, name)),
        holders=scope.holders,
        asked_at=now,
        until=view.permit.valid_until + RETENTION,
    )


def _remedy(entry: Entry, earlier: Sequence[Entry]) -> str:
    """What to do about a difference of too few persons.

    It names the columns of all questions of this user, which the user knows: which of them stands in the way
    would tell whom the difference is about.
    """
    own = [entry, *(one for one in earlier if one.user == entry.user)]
    columns = sorted({column for one in own for column in one.columns})
    if not columns:
        return "Ask about a group that differs by more."
    return (
        "Ask about a group that differs by more. Where values are missing, all questions of a study rest on "
        f"the same persons if its frame has 'complete': {json.dumps(columns, ensure_ascii=False)}; "
        "what was answered about others before still counts."
    )


def _families(entry: Entry, found: Sequence[Persons]) -> tuple[Family, ...]:
    return tuple(
        Family(
            0,
            entry.frame,
            frozenset(entry.measures),
            sets.persons,
            sets.rows,
            {tuple(None if v is None else str(v) for v in cell): each for cell, each in sets.cells.items()},
        )
        for sets, _ in found
        if sets.persons
    )


def _check_cap(entry: Entry, earlier: Sequence[Entry], policy: DisclosurePolicy) -> None:
    """Refuse a further different question about a column of which enough have been asked."""
    most = policy.max_questions_per_variable
    if not most:
        return
    this = digest([entry.frame, entry.question])
    asked: dict[str, set[str]] = {}
    for one in earlier:
        if one.user == entry.user:
            for column in one.columns:
                asked.setdefault(column, set()).add(digest([one.frame, one.question]))
    for column in entry.columns:
        others = asked.get(column, set())
        if this not in others and len(others) >= most:
            raise LedgerRefusal(
                "too-many-questions",
                f"The column {column!r} has been asked about in {most} different questions, the most allowed",
                details=f"{len(others)} different questions of this user name {column!r}",
                entries=(),
                remedy="Use the answers that you have, or ask the holder to allow more.",
            )


def _check_holders(entry: Entry, earlier: Sequence[Entry]) -> None:
    """Refuse what was answered with one or two other holders: these stand alone in the difference."""
    for one in earlier:
        apart = set(one.holders) ^ set(entry.holders)
        again = one.coordinator == entry.coordinator and one.question_id == entry.question_id
        shared = set(one.columns) & set(entry.columns) or one.columns == entry.columns
        if 0 < len(apart) < 3 and not again and shared and one.frame == entry.frame:
            raise LedgerRefusal(
                "differs-by-too-few-holders",
                "Almost the same holders answered an earlier question, so one or two stand out",
                details=f"the holders differ by {', '.join(sorted(apart))}",
                entries=(one.id,),
                remedy="Ask the same holders again, or at least three others.",
            )
