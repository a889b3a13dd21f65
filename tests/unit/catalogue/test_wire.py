"""Descriptions to RDF and back."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from salerno.catalogue.model import UNKNOWN_TIME, DatasetDescription
from salerno.catalogue.rules import check_description, mandatory, normal_form
from salerno.catalogue.wire import parse_catalogue, read_catalogue, render_catalogue, render_description
from salerno.kernel.errors import Invalid
from salerno.standards.dcat import MEDIA_TYPES, Format, graph
from tests.unit.catalogue.strategies import catalogues, descriptions
from tests.unit.catalogue.world import HEADER, LYON, agent, description

SYNTAXES: list[Format] = ["turtle", "json-ld", "rdf-xml"]
PATIENT = settings(deadline=None, max_examples=30, suppress_health_check=list(HealthCheck))


@PATIENT
@given(descriptions())
def test_generated_descriptions_are_complete(d: DatasetDescription) -> None:
    assert mandatory(check_description(d)) == ()


@PATIENT
@given(descriptions(), st.sampled_from(SYNTAXES))
def test_what_is_rendered_is_read_again(d: DatasetDescription, syntax: Format) -> None:
    document = render_description(d, syntax)
    assert parse_catalogue(document, MEDIA_TYPES[syntax]) == [normal_form(d)]


@PATIENT
@given(catalogues(), st.sampled_from(SYNTAXES), st.randoms(use_true_random=False))
def test_a_catalogue_is_read_again_and_its_order_does_not_matter(ds, syntax, random) -> None:
    document = render_catalogue(HEADER, ds, syntax)
    read = parse_catalogue(document, MEDIA_TYPES[syntax])
    assert read == sorted(map(normal_form, ds), key=lambda d: d.iri)
    random.shuffle(ds)
    assert render_catalogue(HEADER, ds, syntax) == document


@PATIENT
@given(descriptions())
def test_the_normal_form_is_its_own_normal_form(d: DatasetDescription) -> None:
    assert normal_form(normal_form(d)) == normal_form(d)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_two_processes_write_the_same_bytes(syntax: Format) -> None:
    program = (
        "import sys; from tests.unit.catalogue.world import HEADER, description;"
        "from salerno.catalogue.wire import render_catalogue;"
        f"sys.stdout.buffer.write(render_catalogue(HEADER, [description()], {syntax!r}))"
    )
    written = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": "."},
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert written == {render_catalogue(HEADER, [description()], syntax)}


def test_json_ld_is_compact_with_an_inline_context() -> None:
    document = json.loads(render_catalogue(HEADER, [description()], "json-ld"))
    assert document["@context"]["dct"] == "http://purl.org/dc/terms/"
    data_set = next(node for node in document["@graph"] if node["@type"] == "dcat:Dataset")
    assert data_set["dct:title"] == {"@language": "en", "@value": "Gastrointestinal bleeding in Lyon"}
    assert data_set["healthdcatap:hasStructuredData"] is True
    assert data_set["healthdcatap:numberOfRecords"] == {"@type": "xsd:nonNegativeInteger", "@value": "1500"}


def test_a_catalogue_without_data_sets_is_a_catalogue() -> None:
    reading = read_catalogue(render_catalogue(HEADER, [], "turtle"), "text/turtle")
    assert reading.has_catalogue
    assert reading.datasets == ()


def test_where_descriptions_disagree_on_an_organisation_the_newest_tells() -> None:
    moved = replace(agent(LYON), name="Hospices de Lyon")
    older = description(iri="urn:x:1")
    newer = description(iri="urn:x:2", holder=moved, modified=datetime(2026, 12, 1, tzinfo=UTC))
    read = parse_catalogue(render_catalogue(HEADER, [newer, older], "turtle"), "text/turtle")
    assert [d.holder.name for d in read] == ["Hospices de Lyon", "Hospices de Lyon"]


FOREIGN = """
@prefix csvw: <http://www.w3.org/ns/csvw#> . @prefix dcat: <http://www.w3.org/ns/dcat#> .
@prefix dct: <http://purl.org/dc/terms/> . @prefix foaf: <http://xmlns.com/foaf/0.1/> .
@prefix vcard: <http://www.w3.org/2006/vcard/ns#> . @prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
@prefix h: <http://healthdataportal.eu/ns/health#> .
"""


def read_one(turtle: str) -> DatasetDescription:
    [found] = parse_catalogue((FOREIGN + turtle).encode(), "text/turtle; charset=utf-8")
    return found


def test_english_is_preferred_and_the_others_are_left() -> None:
    d = read_one("""<urn:x:1> a dcat:Dataset ; dct:title "Blutungen"@de, "Bleeding"@en-GB ;
        dcat:keyword "Blut"@de, "blood"@en, "heart"@en .""")
    assert (d.title, d.keywords, d.language) == ("Bleeding", ("blood", "heart"), "en")


def test_without_english_the_stated_language_is_taken() -> None:
    d = read_one("""<urn:x:1> a dcat:Dataset ; dct:title "Verenvuoto"@fi, "Blödning"@sv ;
        dct:language <http://publications.europa.eu/resource/authority/language/FIN> .""")
    assert (d.title, d.language) == ("Verenvuoto", "fi")


def test_an_almost_empty_data_set_is_read_and_its_gaps_are_named() -> None:
    d = read_one("<urn:x:1> a dcat:Dataset .")
    assert d.modified == UNKNOWN_TIME
    named = {finding.property for finding in mandatory(check_description(d))}
    assert named >= {"dct:title", "dct:description", "dct:provenance", "healthdcatap:hdab", "dcat:keyword"}


def test_older_releases_are_read_where_the_meaning_is_the_same() -> None:
    d = read_one("""<urn:x:1> a dcat:Dataset ; dct:identifier "1" ;
        dct:publisher [ a foaf:Agent ; foaf:name "Register" ;
            dcat:contactPoint [ vcard:hasEmail <mailto:a%2Bb@c.eu> ] ] ;
        dct:issued "2024"^^xsd:gYear ; dct:provenance "by hand" ;
        dct:temporal [ dcat:startDate "2020-05-06T00:00:00"^^xsd:dateTime ; dcat:endDate "2021"^^xsd:gYear ],
                     [ dcat:startDate "2019-02"^^xsd:gYearMonth ; dcat:endDate "bad" ] ;
        h:numberOfRecords 12.0 ; h:minTypicalAge "many" ;
        h:hasVariables [ csvw:table [ csvw:url <http://x.eu/a/visits.csv> ;
            csvw:column [ csvw:titles "Visit" ; csvw:datatype xsd:dateTime ],
                        [ csvw:name "n" ; csvw:datatype "unsignedInt" ],
                        [ csvw:name "x" ; csvw:datatype "any" ] ] ] .
    """)
    assert d.holder.name == "Register"
    assert d.holder.iri == "urn:x:1#holder"
    assert d.holder.contact.email == "a+b@c.eu"
    assert d.modified == datetime(2024, 1, 1, tzinfo=UTC)
    assert d.provenance == "by hand"
    assert (d.covers_from, d.covers_to) == (date(2019, 2, 1), date(2021, 12, 31))
    assert (d.n_records, d.min_age) == (12, None)
    [visits] = d.tables
    assert visits.name == "visits"
    assert [(v.name, v.datatype) for v in visits.variables] == [
        ("Visit", "dateTime"), ("n", "integer"), ("x", "string")
    ]  # fmt: skip


def test_public_data_sets_are_passed_over_and_named() -> None:
    reading = read_catalogue(
        (
            FOREIGN
            + """<urn:x:1> a dcat:Dataset ;
        dct:accessRights <http://publications.europa.eu/resource/authority/access-right/PUBLIC> ."""
        ).encode(),
        "text/turtle",
    )
    assert reading.datasets == ()
    assert [(f.dataset, f.property) for f in reading.findings] == [("urn:x:1", "dct:accessRights")]


def test_a_data_set_without_iri_is_known_by_its_identifier_if_that_is_one() -> None:
    assert read_one('[] a dcat:Dataset ; dct:identifier "https://x.eu/1" .').iri == "https://x.eu/1"
    assert read_one('[] a dcat:Dataset ; dct:identifier "1" .').iri == ""


@pytest.mark.parametrize(
    ("document", "media_type", "told"),
    [
        (b"<urn:a> <urn:b>\n\n x:c .", "text/turtle", "line 3"),
        (b'{"@id": "urn:a",\n "x" 3}', "application/ld+json", "line 2"),
        (b"<html><p></html>", "application/rdf+xml", "cannot be read"),
        (b"\xff\xfe\x00", "text/turtle", "UTF-8"),
    ],
)
def test_broken_rdf_is_refused_with_the_place(document: bytes, media_type: str, told: str) -> None:
    with pytest.raises(Invalid, match=told) as caught:
        parse_catalogue(document, media_type)
    assert caught.value.code == "rdf-broken"


@pytest.mark.parametrize(
    ("document", "media_type", "code"),
    [
        (b"", "text/html", "rdf-syntax-unknown"),
        (b'{"@context": "https://x.eu/c", "@id": "urn:a"}', "application/ld+json", "rdf-remote-context"),
        (b'<!DOCTYPE r [<!ENTITY a "aaa">]><r>&a;</r>', "application/rdf+xml", "rdf-entities"),
        (b"[" * 300 + b"]" * 300, "application/ld+json", "rdf-too-deep"),
        (b"<a b='/>'><c/>" * 300 + b"</a>" * 300, "application/rdf+xml", "rdf-too-deep"),
    ],
)
def test_harmful_documents_are_refused_before_they_are_read(document, media_type, code) -> None:
    with pytest.raises(Invalid) as caught:
        parse_catalogue(document, media_type)
    assert caught.value.code == code


@pytest.mark.parametrize("piece", [b"<a ", b"<a '", b"<!--", b"<![CDATA[", b"</", b'"\\', b'"', b"[", b"<a>"])
@pytest.mark.parametrize("media_type", ["application/rdf+xml", "application/ld+json"])
def test_a_broken_document_is_refused_in_time_by_its_length(piece: bytes, media_type: str) -> None:
    before = time.process_time()
    with pytest.raises(Invalid):
        parse_catalogue(piece * 100_000, media_type)
    assert time.process_time() - before < 5


def test_a_document_that_is_too_large_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "LARGEST_BYTES", 10)
    with pytest.raises(Invalid, match="larger than 10 bytes"):
        parse_catalogue(b"<urn:a> <urn:b> 1 .", "text/turtle")


def test_a_base_that_is_no_iri_is_refused() -> None:
    with pytest.raises(Invalid, match="cannot be read"):
        parse_catalogue(b"<a> <b> <c> .", "text/turtle", base="no iri")


@PATIENT
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode), st.sampled_from(SYNTAXES))
def test_any_bytes_are_read_or_refused(document: bytes, syntax: Format) -> None:
    with suppress(Invalid):
        parse_catalogue(document, MEDIA_TYPES[syntax])
