"""Proofs that what was kept under a permit is deleted (Art. 68(12))."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from salerno.audit.model import Receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletionProof:
    """A holder's proof, which anybody can check with the holder's public key.

    Args:
        permit: Identifier of the permit.
        holder: DID of the holder.
        deleted_at: When, by the holder's log.
        files: How many files were deleted with their key.
        receipt: Of the entry in the holder's log.
    """

    permit: str
    holder: str
    deleted_at: datetime
    files: int
    receipt: Receipt
