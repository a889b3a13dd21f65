"""What a holder's ledger keeps, and the store that it needs for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a question was refused, for the holder's own eyes.

    Args:
        code: Of the error that the researcher was shown.
        what: The whole reason; it may name levels and numbers.
        entries: Numbers of the earlier entries that it would have differed from.
    """

    code: str
    what: str
    entries: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One question as the ledger keeps it.

    Args:
        id: Number at this holder; 0 before it is kept.
        coordinator, question_id, run: Which run.
        user, permit, dataset: Who asked, under what, of what.
        frame: Digest of what was read.
        question: As the researcher asked it.
        columns: Columns that it names.
        measures: Those of them that are not only levels to tell cells apart by.
        holders: DIDs of those who took part.
        asked_at, until: When, and when the entry goes.
        epsilon: What it spent of the budget of differential privacy.
        refusal: Why it was refused; such an entry has no sets.
    """

    id: int = 0
    coordinator: str
    question_id: str
    run: int
    user: str
    permit: str
    dataset: str
    frame: str
    question: dict[str, Any]
    columns: tuple[str, ...]
    measures: tuple[str, ...]
    holders: tuple[str, ...]
    asked_at: datetime
    until: datetime
    epsilon: float = 0.0
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSet:
    """One set of an entry.

    Args:
        family: Number of the part of the answer within the entry.
        cell: Levels that it is told by; None for the whole set of the family.
        rows: Rows of the whole set.
        numbering: How its persons are numbered.
        digest: SHA-256 of the bitmap.
    """

    entry: int
    family: int
    cell: tuple[str | None, ...] | None
    size: int
    rows: int
    numbering: str
    digest: str


class LedgerStore(Protocol):
    """Where a holder keeps its ledger."""

    def secret(self, dataset: str) -> bytes:
        """The key of the persons' numbers of a data set; empty when there is none yet."""
        ...

    def set_secret(self, dataset: str, secret: bytes) -> None:
        """Keep a new key."""
        ...

    def entries(
        self, *, dataset: str = "", user: str = "", permit: str = "", refused: bool | None = None
    ) -> list[Entry]:
        """Entries of a data set by a user or under a permit, oldest first; without either, of anybody."""
        ...

    def sets(self, entries: Sequence[int]) -> list[StoredSet]:
        """The sets of entries, by entry and family."""
        ...

    def bitmap(self, digest: str) -> bytes:
        """One set's persons."""
        ...

    def noise(self, key: str) -> bytes:
        """Noise that was drawn before; empty when none was."""
        ...

    def set_noise(self, key: str, noise: bytes) -> None:
        """Keep new noise."""
        ...

    def add(self, entry: Entry, sets: Sequence[StoredSet], bitmaps: Mapping[str, bytes]) -> int:
        """Keep an entry with its sets and return its number."""
        ...

    def purge(self, now: datetime) -> None:
        """Drop entries whose time has come, and persons of sets that no entry has."""
        ...
