"""The opt-out of natural persons (Art. 71)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OptOut:
    """One period in which a natural person had opted out of secondary use (Art. 71).

    Args:
        person: At the access body: the person's identifier. At a holder: the keyed token that only
            this holder can match with its own persons.
        since: When the opt-out took effect.
        until: When it was reversed; None while it stands.
        receipt: Index of the audit entry that proves the opt-out; None at a holder.
        reversal_receipt: Index of the audit entry that proves the reversal.
    """

    person: str
    since: datetime
    until: datetime | None = None
    receipt: int | None = None
    reversal_receipt: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OptOutList:
    """All opt-outs as one holder may know them (Art. 71).

    Args:
        salt_hex: This holder's salt; another holder's tokens cannot be matched with it.
        entries: Every period, reversed ones too, with `OptOut.person` as token.
        as_of: Instant of the list, by the access body's clock. It is complete for every permit that
            was approved up to then: a later opt-out does not bind that permit, a later reversal
            does not free it.
        revision: Differs whenever the register has changed, so that an unchanged list is not sent again.
    """

    salt_hex: str
    entries: tuple[OptOut, ...]
    as_of: datetime
    revision: str = ""
