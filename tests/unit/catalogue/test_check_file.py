"""Any DCAT file, checked with findings in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from salerno.catalogue.model import Level
from salerno.catalogue.rules import explain
from salerno.catalogue.service import check_file
from salerno.catalogue.wire import render_catalogue
from salerno.kernel.errors import Invalid, NotFound, Unavailable
from salerno.standards.dcat import Format
from tests.unit.catalogue.world import HEADER, description

TURTLE = render_catalogue(HEADER, [description()], "turtle").decode()


def check(folder: Path, text: str) -> list[str]:
    file = folder / "catalogue.ttl"
    file.write_text(text)
    return [finding.property for finding in check_file(file)]


@pytest.mark.parametrize(
    ("ending", "syntax"),
    [(".ttl", "turtle"), (".jsonld", "json-ld"), (".json", "json-ld"), (".RDF", "rdf-xml")],
)
def test_a_complete_file_has_no_findings(tmp_path: Path, ending: str, syntax: Format) -> None:
    file = tmp_path / f"catalogue{ending}"
    file.write_bytes(render_catalogue(HEADER, [description()], syntax))
    assert check_file(file) == []


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        ("\tdcat:theme ", "\tdct:relation ", ["dcat:theme"]),
        ("\tdct:type ", "\tdct:relation ", ["dct:type"]),
        ("\tdcat:distribution ", "\tdct:relation ", ["dcat:distribution"]),
        ("access-right/NON_PUBLIC> ;", "access-right/PUBLIC> ;", ["dct:accessRights"]),
        ("\thealthdcatap:hasVariables ", "\tdct:relation ", ["healthdcatap:hasVariables"]),
        ("hasStructuredData true", 'hasStructuredData "yes"', ["healthdcatap:hasStructuredData"]),
        ("\tcsvw:title ", "\trdfs:label ", ["csvw:title"]),
        ("\tvcard:hasEmail ", "\trdfs:seeAlso ", []),
        ('numberOfRecords "1500"^^xsd:nonNegativeInteger', 'numberOfRecords "many"',
         ["healthdcatap:numberOfRecords"]),
        ("\tcv:contactPoint <did:web:127.0.0.1%3A8103", "\tdcat:contactPoint <did:web:127.0.0.1%3A8103",
         ["cv:contactPoint"]),
        (" a cv:ContactPoint ;", " a foaf:Document ;", ["cv:contactPoint"]),
        ("\tdcat:keyword ", "\tdcat:keyword <urn:x:word> , ", ["dcat:keyword"]),
        ("\thealthdcatap:hdab ", "\thealthdcatap:hdab <did:web:127.0.0.1%3A8101> , ", ["healthdcatap:hdab"]),
    ],
)  # fmt: skip
def test_each_defect_is_named_once(tmp_path: Path, before: str, after: str, named: list[str]) -> None:
    assert before in TURTLE
    found = check(tmp_path, TURTLE.replace(before, after))
    assert sorted(set(found)) == named


def test_parts_without_a_data_set_are_judged_too(tmp_path: Path) -> None:
    prefixes = "\n".join(line for line in TURTLE.splitlines() if line.startswith("@prefix"))
    found = check(tmp_path, prefixes + "[] a csvw:Column ; csvw:name 'a', 'b' . [] a vcard:Kind .")
    assert set(found) == {"csvw:name", "csvw:title", "csvw:datatype", "dct:description", "vcard:hasEmail"}


def test_what_is_recommended_is_found_too(tmp_path: Path) -> None:
    file = tmp_path / "a.ttl"
    file.write_bytes(render_catalogue(HEADER, [description(tables=(), n_persons=None)], "turtle"))
    found = check_file(file)
    assert {finding.level for finding in found} == {Level.RECOMMENDED}
    assert all("should be mended" in explain(finding) for finding in found)


def test_files_that_cannot_be_checked(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        check_file(tmp_path / "missing.ttl")
    (tmp_path / "folder.ttl").mkdir()
    with pytest.raises(Unavailable, match="cannot be read"):
        check_file(tmp_path / "folder.ttl")
    with pytest.raises(Invalid, match="ending"):
        check_file(tmp_path / "catalogue.pdf")
    with pytest.raises(Invalid, match="line 1"):
        check(tmp_path, "no turtle")
    with pytest.raises(Invalid, match="neither"):
        check(tmp_path, "<urn:a> <urn:b> <urn:c> .")
