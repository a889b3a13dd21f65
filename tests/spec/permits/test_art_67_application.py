"""EHDS Art. 67(2): each field, what makes it missing or wrong, and the letter that the applicant is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from salerno.kernel.codes import Purpose
from salerno.kernel.errors import Invalid
from salerno.permits.model import Condition, NamedPerson
from salerno.permits.rules import CURRENT, check_complete, confirmations, find_gaps, part_for, sheet_of
from tests.unit.permits.world import application, scope

ANNA = NamedPerson(id="did:web:hub.example#anna", name="Anna")
BEN = NamedPerson(id="did:web:hub.example#ben", name="Ben")
LEAD = NamedPerson(id="did:web:hub.example#lead", name="Lead", principal_investigator=True)
EARLY, LATE = date(2020, 1, 1), date(2020, 1, 2)

WRONG: list[tuple[str, str, dict[str, Any]]] = [
    # letter, place, what is wrong
    ("a", "title", {"title": " "}),
    ("a", "applicant", {"applicant": ""}),
    ("a", "contact-email", {"contact_email": ""}),
    ("a", "contact-email", {"contact_email": "office at uni"}),
    ("a", "contact-email", {"contact_email": "office@uni"}),
    ("a", "persons", {"persons": ()}),
    ("a", "persons[0]", {"persons": (NamedPerson(id="", name="Anna"),)}),
    ("a", "persons[0]", {"persons": (NamedPerson(id="did:x#a", name=" "),)}),
    ("a", "persons", {"persons": (LEAD, ANNA, ANNA)}),
    ("a", "persons", {"persons": (ANNA, BEN)}),
    ("a", "persons", {"persons": (LEAD, replace(ANNA, principal_investigator=True))}),
    ("b", "purpose", {"purpose": Purpose.STATISTICS}),
    ("c", "intended-use", {"intended_use": ""}),
    ("c", "expected-benefit", {"expected_benefit": ""}),
    ("d", "data", {"data": ()}),
    ("d", "data", {"data": (scope("FR"), scope("FR"))}),
    ("d", "data[0].dataset", {"data": (scope("FR", dataset=""),)}),
    ("d", "data[0].holder", {"data": (scope("FR", holder="hospital"),)}),
    ("d", "data[1].country", {"data": (scope("FR"), scope("XX"))}),
    ("d", "data[0].tables", {"data": (scope("FR", tables={}, rows={}),)}),
    ("d", "data[0].tables.person", {"data": (scope("FR", tables={"person": ()}, rows={}),)}),
    ("d", "data[0].rows.drug_era", {"data": (scope("FR", tables={"person": ("person_id",)}),)}),
    (
        "d",
        "data[0].rows.person",
        {"data": (scope("FR", rows={"person": (Condition(column="a", operator="in", value=1),)}),)},
    ),
    (
        "d",
        "data[0].rows.person",
        {"data": (scope("FR", rows={"person": (Condition(column="a", operator="==", value=[1]),)}),)},
    ),
    ("d", "data[0].covers_to", {"data": (scope("FR", covers_from=LATE, covers_to=EARLY),)}),
    ("e", "why-not-anonymised", {"why_not_anonymised": ""}),
    ("g", "safeguards", {"safeguards": ""}),
    ("h", "period-months", {"period_months": 0}),
    ("h", "period-months", {"period_months": 121}),
    ("i", "methods", {"methods": ("count", "")}),
    ("67(4)", "gdpr-basis", {"gdpr_basis": ""}),
]  # fmt: skip

RIGHT: list[dict[str, Any]] = [
    {},
    {"persons": (LEAD, ANNA, BEN)},
    {"purpose": Purpose.STATISTICS, "is_public_body": True},
    {"pseudonymised": False, "why_not_anonymised": "", "gdpr_basis": ""},
    {"data": (scope("FR", covers_from=None, covers_to=None, rows={}),)},
    {"data": (scope("FR"), scope("DE"), scope("FI"))},
    {"period_months": 120},
    {"methods": (), "tools": "", "own_datasets": "", "opt_out_exception": ""},
]


@pytest.mark.parametrize(("letter", "place", "changes"), WRONG, ids=[f"{w[0]}-{w[1]}" for w in WRONG])
def test_a_wrong_field_is_named_with_its_letter(letter: str, place: str, changes: dict[str, Any]) -> None:
    gaps = find_gaps(application("FR", **changes))
    assert [gap.field for gap in gaps] == [place]
    assert gaps[0].rule.startswith(f"EHDS Art. 67(2)({letter})" if len(letter) == 1 else "EHDS Art. 67(4)")


@pytest.mark.parametrize("changes", RIGHT, ids=str)
def test_a_complete_application_has_no_gap(changes: dict[str, Any]) -> None:
    assert find_gaps(application("FR", **changes)) == ()
    check_complete(application("FR", **changes))


def test_all_gaps_are_told_at_once() -> None:
    with pytest.raises(Invalid) as caught:
        check_complete(application("FR", title="", persons=(), data=(), safeguards="", period_months=0))
    said = caught.value.what
    assert said.startswith("The application has 5 ")
    for part in ("title: ", "persons: ", "data: ", "safeguards: ", "period-months: "):
        assert part in said


def test_the_form_has_every_letter_of_the_paragraph() -> None:
    rules = " ".join(field.rule for field in sheet_of(CURRENT).by_id.values())
    assert all(f"67(2)({letter})" in rules for letter in "abcdefghijk")
    assert "67(4)" in rules


def test_everything_is_confirmed() -> None:
    unconfirmed = application("FR", answers={})
    assert [gap.field for gap in find_gaps(unconfirmed)] == list(confirmations(sheet_of(CURRENT)))
    assert all("has to be confirmed" in gap.what for gap in find_gaps(unconfirmed))


def test_each_country_gets_its_own_part() -> None:
    whole = application("FR", "DE")
    assert part_for(whole, "DE") == replace(whole, data=(scope("DE"),))
