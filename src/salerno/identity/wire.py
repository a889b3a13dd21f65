"""Notices as text in their reader's language."""

from __future__ import annotations

from datetime import date
from string import Formatter
from typing import Any

from salerno.identity.model import Notice, NoticeKind, NoticeWords
from salerno.web.languages import Words, words_in

MAIL_GREETING = "Hello,"
MAIL_LINK = "Read more and act in the portal:"
MAIL_FOOT = (
    "You are told so because you have an account at {node}. Your inbox there says how to stop these e-mails."
)


def placeholders(text: str) -> set[str]:
    """Names of the values that a text wants."""
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def notice_words(notice: Notice, kind: NoticeKind, language: str) -> NoticeWords:
    """A notice in a language.

    Args:
        notice: What the person was told.
        kind: Its kind.
        language: One of `web.languages.LANGUAGES`; English for any other.
    """
    words = words_in(language)
    shown = {name: _shown(name, value, words) for name, value in notice.values.items()}
    text = words.text(kind.text)
    if kind.plural:
        text = words.counted(kind.text, kind.plural, int(notice.values["count"]))
    return NoticeWords(
        language=words.language,
        subject=words.text(kind.subject).format(**shown),
        text=text.format(**shown),
    )


def mail_text(notice: NoticeWords, *, link: str, node: str) -> str:
    """The e-mail of a notice: what happened to which reference, and where to read on; no name, nothing else.

    Args:
        notice: In the reader's language.
        link: Address of the page where the reader can see and act.
        node: Name of the node.
    """
    words = words_in(notice.language)
    parts = (words.text(MAIL_GREETING), notice.text, f"{words.text(MAIL_LINK)}\n{link}",
             f"-- \n{words.text(MAIL_FOOT).format(node=node)}")  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _shown(name: str, value: Any, words: Words) -> str:
    if name == "day":
        return words.day(date.fromisoformat(str(value)))
    if name == "country":
        return words.country(str(value))
    if name == "deadline":
        return words.text(str(value))
    return str(value)
