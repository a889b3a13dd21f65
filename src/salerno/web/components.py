"""Values that the page components show: navigation, moments of a timeline, words for states and numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class NavigationItem:
    """One entry of the main navigation, also a card on the start page.

    Args:
        path: Address of the page.
        label: A few words.
        text: What can be done there, for the start page.
        roles: Who sees it; empty for everybody.
    """

    path: str
    label: str
    text: str
    roles: frozenset[str] = frozenset()

    def open_to(self, roles: frozenset[str]) -> bool:
        """Whether a person with these roles sees it."""
        return not self.roles or bool(self.roles & roles)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One entry of a timeline; `tone` is ``done``, ``bad`` or empty for what is still to come.

    Args:
        proof: Address of a receipt.
    """

    what: str
    when: str = ""
    detail: str = ""
    tone: str = "done"
    proof: str = ""


TONES: dict[str, str] = {
    "granted": "good", "answered": "good", "met": "good", "valid": "good", "published": "good",
    "opened": "good", "opening": "busy", "computing": "busy", "silent": "care", "left-out": "care",
    "submitted": "busy", "processing": "busy", "queued": "busy", "running": "busy",
    "pre-screening": "busy", "proposed": "care", "appealed": "care", "full": "good", "partial": "good",
    "awaiting-information": "care", "expired": "care", "draft": "", "refusal": "bad", "lapsed": "bad",
    "missed": "bad", "paused": "care",
    "refused": "bad", "revoked": "bad", "failed": "bad", "not-met": "bad", "withdrawn": "",
}  # fmt: skip
"""Colour of the tag by state; the tag always says the state in words too."""


def tone(state: Any) -> str:
    """The tag's colour for a state."""
    return TONES.get(str(state), "")


def answer_text(answer: Any) -> str:
    """An answer as a form's input holds it: ``yes`` and ``no`` for truth values."""
    return {True: "yes", False: "no"}.get(answer, str(answer)) if isinstance(answer, bool) else str(answer)


def instant_words(value: datetime | None) -> str:
    """An instant for people, e.g. ``3 March 2031, 14:05 UTC``."""
    if value is None:
        return ""
    at = value.astimezone(UTC)
    return f"{at.day} {at:%B %Y, %H:%M} UTC"


def day_words(value: date | None) -> str:
    """A day for people, e.g. ``3 March 2031``; of an instant, its day in UTC."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        value = value.astimezone(UTC)
    return f"{value.day} {value:%B %Y}"


def count_words(value: int | None) -> str:
    """A whole number with narrow spaces between thousands."""
    return "" if value is None else f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def slug(text: str) -> str:
    """Letters and digits of a text, joined by hyphens, for element ids."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"


def short_did(did: str) -> str:
    """A DID without its method, as people read it: the host of the node."""
    return did.removeprefix("did:web:").replace("%3A", ":")
