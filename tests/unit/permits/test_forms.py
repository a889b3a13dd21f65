"""Forms as data: answers are kept whatever they are, read where they can be, and named where they cannot."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salerno.kernel.errors import Invalid, NotFound
from salerno.kernel.ids import new_id
from salerno.kernel.values import from_json, to_json, to_plain
from salerno.permits.model import DataAccessApplication
from salerno.permits.rules import (
    BLANK,
    CURRENT,
    answer_of,
    answers_of,
    asked,
    find_gaps,
    forms,
    part_for,
    sheet_of,
    with_answer,
    with_answers,
)
from salerno.permits.rules.forms import parse_form
from tests.unit.permits.world import CONFIRMED, MARIE, World, application, person

SHEET = sheet_of(CURRENT)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def wrong(field_id: str, answer: Any, country: str = "") -> list[str]:
    """What is said of one answer in an application that is complete otherwise."""
    asked = with_answer(application("FR"), field_id, answer, country)
    return [gap.what for gap in find_gaps(asked)]


@pytest.mark.parametrize(
    ("field_id", "answer", "said"),
    [
        ("title", 7, "a text is expected"),
        ("title", "  ", "is missing"),
        ("contact-email", "office at uni", "no e-mail address"),
        ("vat-id", "12345", "not the right form"),
        ("peppol-id", "0009-1", "not the right form"),
        ("applicant-country", "Germany", "two letters"),
        ("period-months", "a year", "whole number"),
        ("period-months", True, "whole number"),
        ("period-months", 121, "at most 120"),
        ("purpose", "fun", "choose one"),
        ("pseudonymised", "yes", "yes or no"),
        ("attest-identity", False, "has to be confirmed"),
        ("attest-identity", "true", "yes or no"),
        ("methods", "cox", "a list is expected"),
        ("persons", [{"id": 7}], "Persons who get access: "),
        ("data", [{"dataset": "x"}], "Data sets, tables"),
    ],
)
def test_a_wrong_answer_is_kept_and_named(field_id: str, answer: Any, said: str) -> None:
    asked = with_answer(application("FR"), field_id, answer)
    assert answer_of(asked, field_id) == answer
    assert any(said in gap.what for gap in find_gaps(asked)), find_gaps(asked)


def test_a_right_answer_takes_the_place_of_a_wrong_one() -> None:
    asked = with_answer(application("FR"), "period-months", "a year")
    asked = with_answer(asked, "period-months", 18)
    assert (asked.period_months, asked.answers) == (18, CONFIRMED)
    assert with_answer(asked, "period-months", None).period_months == BLANK.period_months


def test_some_fields_are_answered_by_country() -> None:
    asked = with_answer(application("FR", "DE"), "cohort-size", 500, "FR")
    asked = with_answer(asked, "cohort-size", "many", "DE")
    assert [gap.field for gap in find_gaps(asked)] == ["cohort-size/DE"]
    assert part_for(asked, "FR").answers["cohort-size"] == {"FR": 500}
    assert "cohort-size" not in part_for(with_answer(asked, "cohort-size", None, "FR"), "FR").answers
    with pytest.raises(Invalid, match="say for which country"):
        with_answer(asked, "cohort-size", 5)
    with pytest.raises(Invalid, match="one answer holds for all"):
        with_answer(asked, "title", "T", "FR")


def test_what_depends_on_another_answer_is_asked_only_then() -> None:
    one = application("FR", pseudonymised=False, why_not_anonymised="", gdpr_basis="")
    assert "gdpr-basis" not in {field.id for field, _ in asked(SHEET, one)}
    one = with_answer(one, "controls", True, "FR")
    assert [gap.field for gap in find_gaps(one)] == ["controls-criteria/FR"]
    assert wrong("third-country", True) == [
        "Which country, and the legal basis of the transfer: is missing",
    ]


def test_an_unknown_field_is_told_with_the_nearest() -> None:
    with pytest.raises(Invalid, match="Did you mean 'safeguards'"):
        with_answer(BLANK, "safegards", "x")
    with pytest.raises(NotFound, match="no-such-form"):
        sheet_of("application/0")


def test_answers_make_the_same_application_again() -> None:
    whole = with_answer(application("FR", "DE"), "cohort-criteria", "Adults", "DE")
    told = answers_of(whole)
    assert with_answers(told) == whole
    assert from_json(to_json(told), dict[str, Any], what="it") == to_plain(told)


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(sorted(SHEET.by_id)), ANYTHING)
def test_any_answer_is_kept_as_it_is_written(field_id: str, answer: Any) -> None:
    country = "FR" if field_id in SHEET.per_country else ""
    asked = with_answer(application("FR"), field_id, answer, country)
    again = from_json(to_json(asked), DataAccessApplication, what="it")
    assert again == asked
    find_gaps(asked)
    if answer not in (None, "", [], {}, False) and field_id not in ("data", "persons"):
        assert to_plain(answer_of(asked, field_id, country)) == answer or answer_of(asked, field_id) == tuple(
            answer
        )


def test_every_form_holds_together() -> None:
    for key, sheet in forms().items():
        assert key == sheet.key
        for field in sheet.by_id.values():
            assert field.label.strip()
            assert (field.kind == "choice") == bool(field.options) or field.id == "methods"
            assert len({value for value, _ in field.options}) == len(field.options)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ('[{"id": "a", "label": "A", "kind": "line"}, {"id": "a", "label": "B", "kind": "line"}]', "twice"),
        ('[{"id": "a", "label": "A", "kind": "line", "when": {"field": "b", "is": [1]}}]', "depends on"),
        ('[{"id": "a", "label": "A", "kind": "song"}]', "the form"),
    ],
)
def test_a_form_that_does_not_hold_together_is_refused(fields: str, said: str) -> None:
    sections = f'[{{"number": "1", "title": "S", "fields": {fields}}}]'
    sheet = f'{{"name": "x", "version": 1, "title": "X", "rule": "", "sections": {sections}}}'
    with pytest.raises(Invalid, match=said):
        parse_form(sheet)


def test_a_draft_is_begun_once_and_kept_at_each_field(world: World) -> None:
    begun = new_id("case")
    with world.hub.desk() as desk:
        for text in ("Bleed", "Bleeding"):
            case = desk.draft(with_answer(BLANK, "title", text), MARIE, case_id=begun)
            desk.keep(case.id, with_answer(case.application, "title", text), MARIE)
        desk.keep(begun, with_answer(BLANK, "period-months", "a year"), MARIE)
        here = desk.case(begun, person(MARIE))
        assert (here.version, answer_of(here.application, "period-months")) == (1, "a year")
        assert [event.act for event in desk.history(begun, person(MARIE))] == ["drafted"]
        with pytest.raises(NotFound):
            desk.draft(BLANK, "did:web:hub.example#pierre", case_id=begun)
        with pytest.raises(NotFound):
            desk.keep(begun, BLANK, "did:web:hub.example#pierre")
        with pytest.raises(Invalid, match="wrong-case-id"):
            desk.draft(BLANK, MARIE, case_id="case-1; DROP")
