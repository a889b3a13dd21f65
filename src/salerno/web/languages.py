"""Languages of what persons are told: gettext catalogues beside this file, read when first needed."""

from __future__ import annotations

from datetime import date
from functools import cache
from io import BytesIO
from pathlib import Path

from babel import Locale
from babel.dates import format_date
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations

LANGUAGES: dict[str, str] = {"en": "English", "de": "Deutsch", "fr": "Français"}
"""Languages with complete translations, each in its own words; translations are made from English."""

DEFAULT = "en"
LOCALE = Path(__file__).with_name("locale")


class Words:
    """Says things in one language.

    Args:
        language: One of `LANGUAGES`; English for any other.
    """

    def __init__(self, language: str) -> None:
        self.language = language if language in LANGUAGES else DEFAULT
        self._locale = Locale(self.language)
        self._catalogue = _read(self.language)

    def text(self, english: str) -> str:
        """A text by its English."""
        return str(self._catalogue.gettext(english)) if english else ""

    def counted(self, one: str, more: str, count: int) -> str:
        """A text in the form that a number wants, by its two English forms."""
        return str(self._catalogue.ngettext(one, more, count))

    def day(self, day: date) -> str:
        """A day, e.g. ``3 March 2031``."""
        return str(format_date(day, "d. MMMM y" if self.language == "de" else "d MMMM y", self._locale))

    def country(self, code: str) -> str:
        """A country's name by its ISO 3166-1 code; the code itself where it has none."""
        return str(self._locale.territories.get(code, code))


@cache
def words_in(language: str) -> Words:
    """What says things in a language."""
    return Words(language)


def _read(language: str) -> NullTranslations:
    if language == DEFAULT:
        return NullTranslations()
    with (LOCALE / language / "LC_MESSAGES" / "salerno.po").open("rb") as source:
        catalogue = read_po(source, locale=language, abort_invalid=True)
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Translations(compiled, domain="messages")
