"""Every text that persons are told is there in every language, with the same values in it."""

from __future__ import annotations

from datetime import date

import pytest
from babel.messages.pofile import read_po

from salerno.identity import wire
from salerno.identity.wire import placeholders
from salerno.permits.model.clock import Party
from salerno.permits.rules.deadlines import DEADLINES
from salerno.permits.rules.notices import NOTICES
from salerno.web.languages import LANGUAGES, LOCALE, words_in

COUNTED = {kind.text: kind.plural for kind in NOTICES.values() if kind.plural}
SAID = {
    *(text for kind in NOTICES.values() for text in (kind.subject, kind.text)),
    *(text for row in DEADLINES for text in (row.label, row.missed)),
    *map(str, Party),
    "overdue",
    wire.MAIL_GREETING,
    wire.MAIL_LINK,
    wire.MAIL_FOOT,
}


@pytest.mark.parametrize("language", sorted(set(LANGUAGES) - {"en"}))
def test_a_catalogue_is_complete_and_holds_nothing_else(language: str) -> None:
    with (LOCALE / language / "LC_MESSAGES" / "salerno.po").open("rb") as file:
        catalogue = read_po(file, locale=language, abort_invalid=True)
    entries = {m.id[0] if m.pluralizable else m.id: m for m in catalogue if m.id}
    assert set(entries) == SAID
    assert not any(m.fuzzy for m in entries.values())
    assert not list(catalogue.obsolete)
    for english, message in entries.items():
        told = message.string if message.pluralizable else (message.string,)
        assert message.pluralizable == (english in COUNTED), english
        assert all(text and placeholders(text) == placeholders(english) for text in told), english
        if message.pluralizable:
            assert message.id[1] == COUNTED[english]
            assert len(told) == catalogue.num_plurals


def test_numbers_days_and_countries_are_said_as_the_language_wants() -> None:
    near = NOTICES["deadline-near"]

    def left(language: str) -> list[str]:
        words = words_in(language)
        return [words.counted(near.text, near.plural, n).partition(".")[0] for n in (0, 1, 2)]

    assert left("en") == ["{count} days are left", "{count} day is left", "{count} days are left"]
    assert left("de") == ["Noch {count} Tage", "Noch {count} Tag", "Noch {count} Tage"]
    # None is singular in French alone.
    assert left("fr") == ["Il reste {count} jour", "Il reste {count} jour", "Il reste {count} jours"]
    days = [words_in(language).day(date(2031, 3, 1)) for language in ("en", "de", "fr")]
    assert days == ["1 March 2031", "1. März 2031", "1 mars 2031"]
    assert [words_in(x).country("DE") for x in ("en", "de", "fr")] == ["Germany", "Deutschland", "Allemagne"]
    assert words_in("fr").country("??") == "??"
    assert words_in("tlh").language == "en"
    assert words_in("fr").text("never said before") == "never said before"
    assert words_in("fr").text("") == ""
