"""The official shapes of HealthDCAT-AP Release 8 and DCAT-AP 3.0.1, and catalogues that others published.

The files lie outside the repository (``../shared/data/healthdcat``, with their sources and licences).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyoxigraph
import pytest
from hypothesis import HealthCheck, given, settings

from salerno.catalogue.model import DatasetDescription, Level
from salerno.catalogue.rules import check_description, explain, mandatory
from salerno.catalogue.service import check_file
from salerno.catalogue.wire import (
    check_graph,
    parse_catalogue,
    read_catalogue,
    render_catalogue,
    render_description,
)
from salerno.kernel.errors import Invalid
from salerno.standards.dcat import Graph
from salerno.standards.dcat.names import PREFIXES
from tests.unit.catalogue.strategies import catalogues, descriptions
from tests.unit.catalogue.world import HEADER, description

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data" / "healthdcat"
EXAMPLE = FOLDER / "r8" / "example-healthdcat-dataset.ttl"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the HealthDCAT-AP files are not on this machine")

rdflib = pytest.importorskip("rdflib")
pyshacl = pytest.importorskip("pyshacl")

HEALTH = "http://healthdataportal.eu/ns/health#"
DCT, DCAT, DCATAP = "http://purl.org/dc/terms/", "http://www.w3.org/ns/dcat#", "http://data.europa.eu/r5r/"

# What the model does not carry, so that it cannot be told; everything else that is recommended is there.
NOT_TOLD = {
    HEALTH + "analytics",
    HEALTH + "hasCodeValues",
    HEALTH + "healthTheme",
    HEALTH + "retentionPeriod",
    DCT + "accrualPeriodicity",
    DCT + "conformsTo",
    DCT + "isReferencedBy",
    DCT + "relation",
    DCT + "source",
    "http://www.w3.org/ns/dqv#hasQualityAnnotation",
    "http://www.w3.org/ns/adms#sample",
    DCAT + "temporalResolution",
    # DCAT-AP's own: of the catalogue, the distribution, the agents and the places of the authority list.
    DCT + "issued",
    DCT + "license",
    DCT + "format",
    DCATAP + "availability",
    DCT + "type",
    DCT + "publisher",
    DCAT + "bbox",
    DCAT + "centroid",
}


def shapes(*names: str):
    """The shapes without the one property shape that has no path: it stops pySHACL."""
    graph = rdflib.Graph()
    for name in names:
        graph.parse(FOLDER / name, format="turtle")
    sh = rdflib.SH
    for shape, blank in list(graph.subject_objects(sh.property)):
        if (blank, sh.path, None) not in graph:
            graph.remove((shape, sh.property, blank))
    return graph


@pytest.fixture(scope="module")
def official():
    return shapes(
        "r8/non-public-shapes.ttl",
        "r8/non-public-shapes_recommended.ttl",
        "dcat-ap-3.0.1/shapes.ttl",
        "dcat-ap-3.0.1/shapes_recommended.ttl",
        "dcat-ap-3.0.1/range.ttl",
        "dcat-ap-3.0.1/mdr-vocabularies.shape.ttl",
        "dcat-ap-3.0.1/deprecateduris.ttl",
    )


def judge(document: bytes, official, *, check_variables: bool = True) -> tuple[list[str], Counter[str]]:
    """Violations in words, and how often each recommended property is missing."""
    sh = rdflib.SH
    data = rdflib.Graph().parse(data=document, format="turtle")
    if check_variables:
        check_variables_rule(data)
    _, report, _ = pyshacl.validate(data, shacl_graph=official, inplace=False)
    violations, missing = [], Counter()
    for _, result in report.subject_objects(sh.result):
        path = str(report.value(result, sh.resultPath))
        if report.value(result, sh.resultSeverity) == sh.Violation:
            focus, message = report.value(result, sh.focusNode), report.value(result, sh.resultMessage)
            violations.append(f"{path} of {focus}: {message}")
        else:
            missing[path] += 1
    return violations, missing


def check_variables_rule(data) -> None:
    """The rule of the dropped shape: structured data have variables."""
    structured = rdflib.URIRef(HEALTH + "hasStructuredData")
    variables = rdflib.URIRef(HEALTH + "hasVariables")
    for node, value in data.subject_objects(structured):
        assert value.toPython() is ((node, variables, None) in data)


def test_a_full_description_lacks_only_what_the_model_does_not_carry(official) -> None:
    violations, missing = judge(render_catalogue(HEADER, [description()], "turtle"), official)
    assert violations == []
    assert set(missing) == NOT_TOLD


@settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
@given(ds=catalogues())
def test_no_random_catalogue_violates_a_shape(official, ds: list[DatasetDescription]) -> None:
    assert judge(render_catalogue(HEADER, ds, "turtle"), official)[0] == []


@pytest.mark.parametrize(
    ("gap", "path"),
    [
        ({"n_records": None}, HEALTH + "numberOfRecords"),
        ({"n_persons": None}, HEALTH + "numberOfUniqueIndividuals"),
        ({"min_age": None}, HEALTH + "minTypicalAge"),
        ({"max_age": None}, HEALTH + "maxTypicalAge"),
        ({"covers_from": None, "covers_to": None}, DCT + "temporal"),
        ({"population_coverage": ""}, HEALTH + "populationCoverage"),
        ({"coding_systems": ()}, HEALTH + "hasCodingSystem"),
        ({"access_url": ""}, DCAT + "landingPage"),
    ],
)
def test_what_the_shapes_recommend_our_check_recommends(official, gap: dict[str, object], path: str) -> None:
    d = description(**gap)
    violations, missing = judge(render_catalogue(HEADER, [d], "turtle"), official)
    assert violations == []
    assert path in missing
    [finding] = check_description(d)
    assert path.endswith(finding.property.partition(":")[2])


@settings(deadline=None, max_examples=15, suppress_health_check=list(HealthCheck))
@given(d=descriptions())
def test_no_single_description_violates_a_shape(official, d: DatasetDescription) -> None:
    assert judge(render_description(d, "turtle"), official)[0] == []


def test_other_parsers_read_the_same_triples_from_all_three_syntaxes() -> None:
    full = [description()]
    graphs = [
        rdflib.Graph().parse(data=render_catalogue(HEADER, full, syntax), format=name)
        for syntax, name in (("turtle", "turtle"), ("json-ld", "json-ld"), ("rdf-xml", "xml"))
    ]
    assert len({frozenset(graph) for graph in graphs}) == 1


def test_the_official_example_is_read_complete() -> None:
    [d] = parse_catalogue(EXAMPLE.read_bytes(), "text/turtle")
    assert check_description(d) == []
    assert d.title == "Cross-border oncology EHR cohort 2024"
    assert (d.holder.country, d.n_records, d.n_persons, d.min_age, d.max_age) == (
        "BE",
        1850000,
        412000,
        18,
        99,
    )
    [table] = d.tables
    assert [v.name for v in table.variables] == [
        "patientId", "encounterDate", "primaryDiagnosisCode", "tumourStage", "vitalStatus",
    ]  # fmt: skip
    assert parse_catalogue(render_description(d, "turtle"), "text/turtle") == [d]


def test_the_official_example_is_valid_after_a_round_trip(official) -> None:
    [d] = parse_catalogue(EXAMPLE.read_bytes(), "text/turtle")
    assert judge(render_description(d, "turtle"), official)[0] == []


@pytest.mark.parametrize(
    "name", ["healthdcat-ap-de/FDZ-Gesundheit.ttl", "healthdcat-ap-de/zfkd_healthdcat-ap.ttl"]
)
def test_real_catalogues_of_older_releases_are_read_and_their_gaps_explained(name: str) -> None:
    reading = read_catalogue((FOLDER / name).read_bytes(), "text/turtle", base="https://x.example/")
    assert reading.datasets or reading.findings
    for d in reading.datasets:
        assert d.title
        assert all("must be mended" in explain(finding) for finding in mandatory(check_description(d)))
    assert check_file(FOLDER / name)


def test_a_synthetic_catalogue_of_release_5_is_read() -> None:
    reading = read_catalogue((FOLDER / "r5-nonpublic" / "health-catalog.ttl").read_bytes(), "text/turtle")
    assert len(reading.datasets) == 21
    assert all((d.title and d.description and d.tables == ()) or d.tables for d in reading.datasets)


@pytest.mark.parametrize("name", ["RKI_SARS-CoV-2_Infektionen.ttl", "RKI_SARS-CoV-2_Sequenzdaten.ttl"])
def test_files_with_an_undeclared_prefix_are_refused_with_the_line(name: str) -> None:
    with pytest.raises(Invalid, match=r"line \d+.*geodcatap"):
        check_file(FOLDER / "healthdcat-ap-de" / name)


@pytest.fixture(scope="module")
def strict():
    return shapes("r8/non-public-shapes.ttl", "dcat-ap-3.0.1/shapes.ttl")


# The shapes mean these too, but say it by a property that is not SHACL's (sh:shape), or not at all.
STRICTER = {DCT + "modified", DCAT + "startDate", DCAT + "endDate", "http://www.w3.org/ns/csvw#table"}


def test_our_table_of_rules_finds_what_the_shapes_find_whatever_triple_is_lost(strict) -> None:
    """Each triple of a full document is taken away, and then turned into a literal or an IRI."""
    triples = [quad.triple for quad in pyoxigraph.parse(full_document(), pyoxigraph.RdfFormat.TURTLE)]
    disagreements = []
    for number, triple in enumerate(triples):
        if triple.predicate.value == "http://www.w3.org/1999/02/22-rdf-syntax-ns#type":
            continue
        other = other_kind(triple.object)
        for changed in ([], [pyoxigraph.Triple(triple.subject, triple.predicate, other)]):
            document = triples[:number] + changed + triples[number + 1 :]
            data = pyoxigraph.serialize(document, format=pyoxigraph.RdfFormat.N_TRIPLES)
            theirs, _ = judge(data, strict, check_variables=False)
            ours = check_graph(Graph(document))
            stricter = bool(changed) and triple.predicate.value in STRICTER
            if bool(ours) != bool(theirs or variables_are_missing(document) or stricter):
                disagreements.append((str(triple), theirs, list(map(explain, ours))))
    assert disagreements == []


def full_document() -> bytes:
    return render_catalogue(HEADER, [description()], "turtle")


def other_kind(node):
    if isinstance(node, pyoxigraph.Literal):
        return pyoxigraph.NamedNode("https://x.example/")
    return pyoxigraph.Literal("text")


def variables_are_missing(document) -> bool:
    names = {triple.predicate.value for triple in document}
    return HEALTH + "hasStructuredData" in names and HEALTH + "hasVariables" not in names


def short(iri: str) -> str:
    return next(
        (f"{p}:{iri.removeprefix(base)}" for p, base in PREFIXES.items() if iri.startswith(base)), iri
    )


@pytest.mark.parametrize(
    "name",
    [
        "r8/example-healthdcat-dataset.ttl",
        "healthdcat-ap-de/FDZ-Gesundheit.ttl",
        "healthdcat-ap-de/zfkd_healthdcat-ap.ttl",
        "r5-nonpublic/health-catalog.ttl",
    ],
)
def test_what_the_shapes_find_in_others_files_our_check_explains(strict, name: str) -> None:
    graph = rdflib.Graph().parse(FOLDER / name, format="turtle")
    _, report, _ = pyshacl.validate(graph, shacl_graph=strict)
    sh, theirs = rdflib.SH, set()
    for _, result in report.subject_objects(sh.result):
        path = report.value(result, sh.resultPath)
        if report.value(result, sh.resultSeverity) == sh.Violation and isinstance(path, rdflib.URIRef):
            theirs.add(short(str(path)))
    ours = {finding.property for finding in check_file(FOLDER / name) if finding.level is Level.MANDATORY}
    # A nested shape that fails is reported there for the whole value, here for what is wrong in it.
    nested = {
        "dct:publisher", "geodcatap:custodian", "healthdcatap:hdab", "healthdcatap:hdabCoordinator",
        "healthdcatap:hasVariables", "csvw:column", "dcat:distribution", "healthdcatap:analytics",
        "adms:sample",
    }  # fmt: skip
    assert theirs - nested <= ours
    assert bool(theirs) == bool(ours)
