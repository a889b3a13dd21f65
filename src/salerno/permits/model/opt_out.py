"""The opt-out of natural persons (Art. 71)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from salerno.kernel.codes import DataCategory, Purpose

TOKEN_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class OptOutLevel:
    """What an opt-out is from, where the country lets persons choose (Art. 71(1)).

    Args:
        name: Name in files and messages; empty for all secondary use.
        title: For people.
        purposes: Only permits for these purposes; empty for all.
        categories: Only data sets of these categories; empty for all.
    """

    name: str
    title: str
    purposes: tuple[Purpose, ...] = ()
    categories: tuple[DataCategory, ...] = ()


EVERYTHING = OptOutLevel(name="", title="All secondary use")
"""What every country offers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptOut:
    """One period in which a natural person had opted out of secondary use (Art. 71).

    Args:
        person: The person's identifier; never leaves the access body.
        since: When the opt-out took effect.
        until: When it was reversed; None while it stands.
        level: Name of the `OptOutLevel`; empty for all secondary use.
        receipt: Index of the audit entry that proves the opt-out.
        reversal_receipt: Index of the audit entry that proves the reversal.
    """

    person: str
    since: datetime
    until: datetime | None = None
    level: str = ""
    receipt: int | None = None
    reversal_receipt: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OptOutList:
    """Who is left out of one data set under one permit, as its holder may know it (Art. 71).

    Who is left out is settled when the permit is approved, so the list of a permit never changes: the holder
    learns nothing of later choices, and nothing of choices that do not bind the permit.

    Args:
        salt: Key of the tokens: 32 hexadecimal digits, another one for each permit, data set and holder.
        tokens: `rules.opt_out_token` of each person, `TOKEN_BYTES` each, in ascending order.
        as_of: Instant of the list, by the access body's clock.
    """

    salt: str
    tokens: bytes
    as_of: datetime

    @property
    def digest(self) -> str:
        """What tells the list from all others."""
        return sha256(self.salt.encode() + self.tokens).hexdigest()

    def __len__(self) -> int:
        """How many persons."""
        return len(self.tokens) // TOKEN_BYTES
