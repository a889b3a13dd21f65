"""The deletion of all that a holder kept under a permit, after its end (Art. 68(12))."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """What was deleted by deleting the permit's key.

    Args:
        permit: Identifier of the permit.
        deleted_at: When.
        files: Sealed files that cannot be read any more.
        size_bytes: Their size.
        digest: SHA-256 over the sealed files, by which a copy of them can be known.
        entry: Index of the entry in this node's audit log that proves it.
        sent_at: When the access body had the proof; None while it has not.
    """

    permit: str
    deleted_at: datetime
    files: int
    size_bytes: int
    digest: str
    entry: int
    sent_at: datetime | None = None
