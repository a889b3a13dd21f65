"""What the audit log holds and proves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

Detail = str | int | float | bool | list[str]
"""What a detail of an entry may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One act.

    Args:
        index: Place in the log, from 0.
        at: When it happened.
        actor: Who did it: an account's or participant's identifier.
        act: What was done: verb and noun, e.g. ``permit-issued``.
        subject: Identifier of what it was done to.
        rule: Legal or technical ground; empty when there is none.
        detail: Further facts without personal data.
    """

    index: int
    at: datetime
    actor: str
    act: str
    subject: str
    rule: str = ""
    detail: Mapping[str, Detail] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """An entry as it is kept.

    Args:
        index: Place in the log.
        text: The exact JSON text that was hashed.
        act: Copy of the act, to search by.
        subject: Copy of the subject, to search by.
    """

    index: int
    text: str
    act: str
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Proof that an entry is in the log; whoever has the node's public key can check it without the node.

    Args:
        index: Place of the entry.
        entry: The entry as the exact JSON text that was hashed.
        proof: Hashes of the Merkle inclusion proof, base64, lowest first.
        checkpoint: Signed note with the log's name, size and root.
    """

    index: int
    entry: str
    proof: tuple[str, ...]
    checkpoint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A place where the log does not hold together.

    Args:
        index: First entry that is affected, as far as one can tell.
        what: One sentence.
    """

    index: int
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """Result of recomputing the whole log.

    Args:
        size: Number of entries found.
        root: Root hash of the tree over them, base64.
        checkpoints: How many checkpoints were compared.
        problems: What does not hold; at most 100.
    """

    size: int
    root: str
    checkpoints: int
    problems: tuple[Problem, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether everything holds."""
        return not self.problems

    @property
    def first_break(self) -> int | None:
        """The lowest index with a problem, None when there is none."""
        return min((p.index for p in self.problems), default=None)
