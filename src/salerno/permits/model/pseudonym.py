"""Keys of a permit's pseudonyms, and taking one back (Art. 66(3), 58(3))."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PseudonymKey:
    """What a holder makes the pseudonyms of a permit with.

    Args:
        permit: Identifier of the permit.
        key: See `rules.pseudonym_key`.
        until: The permit's end.
    """

    permit: str
    until: datetime
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reidentification:
    """The taking back of one pseudonym, which one officer asks for and another one confirms.

    Args:
        id: Identifier.
        permit: The permit under which the pseudonym was seen.
        reason: Why: a significant finding, or another ground of law.
        asked_by, asked_at: The first officer, and when.
        confirmed_by, confirmed_at: The second one; empty until then.
        pseudonym: The pseudonym; empty in what is shown.
    """

    id: str
    permit: str
    reason: str
    asked_by: str
    asked_at: datetime
    confirmed_by: str = ""
    confirmed_at: datetime | None = None
    pseudonym: str = field(default="", repr=False)
