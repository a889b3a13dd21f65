"""Completeness in words, and who may tell of what."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from salerno.catalogue.model import ContactPoint, Datatype, Level, TableDescription, Variable
from salerno.catalogue.rules import (
    check_complete,
    check_description,
    clean,
    explain,
    is_iri,
    mandatory,
    normal_form,
)
from salerno.kernel.codes import DataCategory
from salerno.kernel.errors import Invalid
from tests.unit.catalogue.world import FRANCE, LYON, agent, description

COLUMN = Variable(name="a", datatype=Datatype.STRING)
TABLE = TableDescription(name="t", variables=(COLUMN,))
LYON_AGENT, FRANCE_AGENT = agent(LYON), agent(FRANCE)

# What is wrong, the property that the finding names, and a word of its sentence.
GAPS: list[tuple[dict[str, Any], str, str]] = [
    ({"iri": "bleeding"}, "dcat:Dataset", "absolute IRI"),
    ({"iri": "http://x.eu/a b"}, "dcat:Dataset", "absolute IRI"),
    ({"identifier": " "}, "dct:identifier", "empty"),
    ({"title": ""}, "dct:title", "empty"),
    ({"description": "\n"}, "dct:description", "empty"),
    ({"provenance": ""}, "dct:provenance", "empty"),
    ({"keywords": ()}, "dcat:keyword", "no keyword"),
    ({"keywords": (" ",)}, "dcat:keyword", "no keyword"),
    ({"language": "no"}, "dct:language", "official language"),
    ({"categories": ()}, "healthdcatap:healthCategory", "Art. 51"),
    ({"access_url": "see above"}, "dcat:accessURL", "web address"),
    ({"coding_systems": ("SNOMED CT",)}, "healthdcatap:hasCodingSystem", "no IRI"),
    ({"holder": replace(LYON_AGENT, iri="Lyon")}, "geodcatap:custodian", "data holder"),
    ({"holder": replace(LYON_AGENT, iri=description().iri)}, "geodcatap:custodian", "IRI of its own"),
    ({"access_body": replace(FRANCE_AGENT, iri="")}, "healthdcatap:hdab", "access body"),
    ({"access_body": replace(LYON_AGENT, name="Other")}, "healthdcatap:hdab", "differ"),
    ({"holder": replace(LYON_AGENT, name="")}, "foaf:name", "no name"),
    ({"holder": replace(LYON_AGENT, country="XX")}, "dct:spatial", "Member State"),
    ({"holder": replace(LYON_AGENT, contact=ContactPoint(name="x"))}, "cv:contactPoint", "neither"),
    ({"holder": replace(LYON_AGENT, contact=ContactPoint(name="x", email="me"))}, "cv:email", "e-mail"),
    (
        {"holder": replace(LYON_AGENT, contact=ContactPoint(name="", page="x"))},
        "cv:contactPage",
        "web address",
    ),
    ({"tables": (TABLE, TABLE)}, "csvw:table", "Two tables"),
    ({"tables": (replace(TABLE, name=""),)}, "csvw:table", "no name"),
    ({"tables": (replace(TABLE, variables=()),)}, "csvw:column", "no column"),
    ({"tables": (replace(TABLE, variables=(COLUMN, COLUMN)),)}, "csvw:name", "Two columns"),
    ({"tables": (replace(TABLE, variables=(replace(COLUMN, name=""),)),)}, "csvw:name", "no name"),
    ({"tables": (replace(TABLE, variables=(replace(COLUMN, concept="a"),)),)}, "csvw:propertyUrl", "concept"),
    ({"tables": (replace(TABLE, n_rows=-1),)}, "healthdcatap:numberOfRecords", "rows of 't'"),
    (
        {"tables": (replace(TABLE, variables=(replace(COLUMN, n=-1),)),)},
        "healthdcatap:numberOfRecords",
        "'a'",
    ),
    ({"n_records": -1}, "healthdcatap:numberOfRecords", "out of range"),
    ({"n_persons": 2**60}, "healthdcatap:numberOfUniqueIndividuals", "out of range"),
    ({"min_age": 90, "max_age": 10}, "healthdcatap:minTypicalAge", "above"),
    ({"covers_from": date(2020, 2, 1), "covers_to": date(2020, 1, 1)}, "dct:temporal", "before"),
]


def test_a_complete_description_has_no_finding() -> None:
    assert check_description(description()) == []


@pytest.mark.parametrize(("changes", "name", "word"), GAPS)
def test_every_gap_is_named_with_its_remedy(changes: dict[str, Any], name: str, word: str) -> None:
    found = mandatory(check_description(description(**changes)))
    assert name in {finding.property for finding in found}
    sentences = [explain(finding) for finding in found if finding.property == name]
    assert any(word in sentence and "must be mended" in sentence for sentence in sentences), sentences
    assert all(finding.remedy and finding.rule for finding in found)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"tables": ()}, "healthdcatap:hasVariables"),
        ({"n_records": None}, "healthdcatap:numberOfRecords"),
        ({"n_persons": None}, "healthdcatap:numberOfUniqueIndividuals"),
        ({"min_age": None}, "healthdcatap:minTypicalAge"),
        ({"max_age": None}, "healthdcatap:maxTypicalAge"),
        ({"covers_to": None}, "dct:temporal"),
        ({"population_coverage": ""}, "healthdcatap:populationCoverage"),
        ({"coding_systems": ()}, "healthdcatap:hasCodingSystem"),
        ({"access_url": ""}, "dcat:landingPage"),
    ],
)
def test_what_is_recommended_is_only_advised(changes: dict[str, Any], name: str) -> None:
    [found] = check_description(description(**changes))
    assert (found.property, found.level) == (name, Level.RECOMMENDED)
    assert "should be mended" in explain(found)
    check_complete(description(**changes))


def test_an_incomplete_description_is_refused_with_all_gaps_in_one_sentence() -> None:
    with pytest.raises(Invalid, match=r"dct:provenance.*dcat:keyword") as caught:
        check_complete(description(provenance="", keywords=()))
    assert caught.value.code == "description-incomplete"
    assert "keyword" in caught.value.remedy


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("https://x.eu", True),
        ("http://x.eu:80/a?b=c&d#e", True),
        ("http://x.eu/é", True),
        ("did:web:127.0.0.1%3A8101", True),
        ("urn:uuid:1", True),
        ("http:///x", False),
        ("http://x.eu/%zz", False),
        ("http://x.eu/a b", False),
        ("http://x.eu/<a>", False),
        ("http://x.eu/#a#b", False),
        ("snomed:22298006", False),
        ("/datasets/1", False),
        ("", False),
    ],
)
def test_iris_are_absolute_and_clean(text: str, is_one: bool) -> None:
    assert is_iri(text) is is_one


@given(st.text())
def test_clean_text_can_be_written_in_every_syntax(text: str) -> None:
    cleaned = clean(text)
    assert cleaned == clean(cleaned)
    assert not any(ord(c) < 32 and c not in "\t\n" for c in cleaned)


def test_the_normal_form_drops_what_only_repeats() -> None:
    wordy = replace(COLUMN, title="a", description="a", levels=("x", "x", "y\x00"))
    d = normal_form(
        description(
            title="  Bleeding\r\nin Lyon ",
            keywords=("a", "", "a "),
            categories=(DataCategory.EHRS, DataCategory.EHRS),
            covers_from=date(2020, 2, 17),
            covers_to=date(2020, 2, 3),
            access_url=description().iri,
            tables=(replace(TABLE, title="t", variables=(wordy,)),),
        )
    )
    assert d.title == "Bleeding\nin Lyon"
    assert d.keywords == ("a",)
    assert d.categories == (DataCategory.EHRS,)
    assert (d.covers_from, d.covers_to) == (date(2020, 2, 1), date(2020, 2, 29))
    assert d.access_url == ""
    assert d.tables == (replace(TABLE, variables=(replace(COLUMN, levels=("x",)),)),)
