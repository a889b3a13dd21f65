"""The mandatory part of the NON_PUBLIC profile as a table, checked on any graph, explained in words.

`check_description` sees only what the model carries. A file that somebody else made can be wrong in what
the model leaves out (distribution, legislation, type, a second access body), and this finds it. The rules are
those of the official shapes; a test holds the two against each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pyoxigraph import Literal, NamedNode

from salerno.catalogue.model import Finding, Level
from salerno.standards.dcat import Graph
from salerno.standards.dcat.names import EHDS, PREFIXES
from salerno.standards.dcat.vocabularies import HEALTH_CATEGORIES, NON_PUBLIC

_DATES = tuple(PREFIXES["xsd"] + kind for kind in ("date", "dateTime", "gYear", "gYearMonth"))


def _typed(*kinds: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, Literal) and value.datatype.value in kinds


KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "text": ("a literal", lambda value: isinstance(value, Literal)),
    "iri": ("an IRI", lambda value: isinstance(value, NamedNode)),
    "node": ("a resource, not a literal", lambda value: not isinstance(value, Literal)),
    "boolean": ("an xsd:boolean", _typed(PREFIXES["xsd"] + "boolean")),
    "count": ("an xsd:nonNegativeInteger", _typed(PREFIXES["xsd"] + "nonNegativeInteger")),
    "duration": ("an xsd:duration", _typed(PREFIXES["xsd"] + "duration")),
    "number": ("an xsd:decimal", _typed(PREFIXES["xsd"] + "decimal")),
    "date": ("an xsd:date, dateTime, gYear or gYearMonth", _typed(*_DATES)),
    "any": ("anything", lambda value: True),
}
"""What a value may be: in words, and the test."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How often a property stands, and what its values are.

    Args:
        name: The property.
        least, most: How many values; None for `most` means any number.
        kind: One of `KINDS`.
        remedy: What to do when it is missing; empty where it is optional.
    """

    name: str
    least: int
    most: int | None
    kind: str
    remedy: str = ""


_LEGISLATION = Rule(
    "dcatap:applicableLegislation", 1, None, "iri", f"State the regulation, for the EHDS <{EHDS}>."
)

CATALOG = (
    Rule("dct:title", 1, None, "text", "Give the catalogue a title."),
    Rule("dct:description", 1, None, "text", "Say what the catalogue holds."),
    Rule("dct:publisher", 1, 1, "any", "Name one publisher."),
    _LEGISLATION,
    Rule("dct:modified", 0, 1, "date"),
    Rule("dct:issued", 0, 1, "date"),
    *(Rule(name, 0, 1, "node") for name in ("dct:license", "dct:rights", "dct:creator", "foaf:homepage")),
    *(
        Rule(name, 0, None, "node")
        for name in (
            "dcat:catalog", "dcat:dataset", "dcat:record", "dcat:service", "dcat:themeTaxonomy",
            "dct:hasPart", "dct:language", "dct:spatial",
        )
    ),
)  # fmt: skip

DATASET = (
    Rule("dct:title", 1, None, "text", "Give the data set a title."),
    Rule("dct:description", 1, None, "text", "Say in a few sentences what the data are about."),
    Rule("dct:identifier", 1, None, "text", "Give a short identifier."),
    Rule("dct:accessRights", 1, 1, "node", f"State exactly <{NON_PUBLIC.iri}>."),
    _LEGISLATION,
    Rule("dcat:distribution", 1, None, "node", "Describe one distribution with its dcat:accessURL."),
    Rule("dcat:theme", 1, None, "iri", "State the data theme HEAL."),
    Rule("dcat:keyword", 1, None, "text", "Give at least one keyword."),
    Rule("dcat:contactPoint", 1, None, "node", "Give a vcard:Kind with vcard:hasEmail or vcard:hasURL."),
    Rule("dct:type", 1, None, "node", "State the type, e.g. PERSONAL_DATA of the dataset-type list."),
    Rule("dct:provenance", 1, None, "node", "Give a dct:ProvenanceStatement with its rdfs:label."),
    Rule("healthdcatap:hdab", 1, 1, "node", "Name the one access body that decides on applications."),
    Rule("healthdcatap:healthCategory", 1, None, "iri", f"State one of {HEALTH_CATEGORIES}/…"),
    Rule("healthdcatap:hasStructuredData", 1, 1, "boolean", "State true if there are tables, else false."),
    Rule("dct:publisher", 0, 1, "node"),
    Rule("geodcatap:custodian", 0, 1, "node"),
    Rule("healthdcatap:hdabCoordinator", 0, 1, "node"),
    Rule("healthdcatap:minTypicalAge", 0, 1, "count"),
    Rule("healthdcatap:maxTypicalAge", 0, 1, "count"),
    Rule("healthdcatap:numberOfRecords", 0, 1, "count"),
    Rule("healthdcatap:numberOfUniqueIndividuals", 0, 1, "count"),
    Rule("healthdcatap:populationCoverage", 0, None, "text"),
    Rule("healthdcatap:hasCodeValues", 0, None, "text"),
    Rule("healthdcatap:hasCodingSystem", 0, None, "node"),
    Rule("healthdcatap:healthTheme", 0, None, "node"),
    Rule("healthdcatap:retentionPeriod", 0, 1, "any"),
    Rule("dct:alternative", 0, None, "text"),
    Rule("dct:accrualPeriodicity", 0, 1, "node"),
    Rule("dct:modified", 0, 1, "date"),
    Rule("dct:issued", 0, 1, "date"),
    Rule("dcat:temporalResolution", 0, 1, "duration"),
    Rule("dcat:spatialResolutionInMeters", 0, 1, "number"),
    Rule("dcat:version", 0, 1, "text"),
    *(
        Rule(name, 0, None, "node")
        for name in (
            "dct:conformsTo", "dct:creator", "foaf:page", "dct:spatial", "dct:isReferencedBy", "dct:temporal",
            "dcat:landingPage", "dct:language", "dct:relation", "dct:source", "dpv:hasPurpose",
            "dcat:qualifiedRelation", "dcat:inSeries", "dct:hasVersion", "adms:identifier",
        )
    ),
)  # fmt: skip

DISTRIBUTION = (
    Rule("dcat:accessURL", 1, None, "node", "Give the page where access is asked for."),
    _LEGISLATION,
    Rule("dct:title", 0, None, "text"),
    Rule("dct:description", 0, None, "text"),
    Rule("dcat:byteSize", 0, 1, "count"),
    Rule("dct:format", 0, 1, "node"),
    Rule("dct:license", 0, 1, "node"),
    Rule("dct:rights", 0, 1, "node"),
    Rule("dcat:mediaType", 0, 1, "node"),
)

AGENT = (
    Rule("foaf:name", 1, None, "text", "Give the organisation's name."),
    Rule("cv:contactPoint", 1, 1, "node", "Give one cv:ContactPoint; a vCard does not count here."),
    Rule("dct:type", 0, 1, "any"),
)
CONTACT = (
    Rule("cv:email", 0, None, "text"),
    Rule("cv:contactPage", 0, None, "iri"),
    Rule("cv:telephone", 0, None, "text"),
)
CARD = (Rule("vcard:hasEmail", 0, 1, "iri"), Rule("vcard:hasURL", 0, 1, "iri"))
PERIOD = (Rule("dcat:startDate", 0, 1, "date"), Rule("dcat:endDate", 0, 1, "date"))
GROUP = (
    Rule("dct:title", 1, None, "text", "Give the dictionary a title."),
    Rule("csvw:table", 1, None, "any", "Describe at least one table."),
)
TABLE = (
    Rule("dct:title", 1, None, "text", "Give the table a title."),
    Rule("csvw:column", 1, None, "node", "Describe its columns, each as a csvw:Column of its own."),
    Rule("csvw:url", 0, 1, "iri"),
)
COLUMN = (
    Rule("csvw:name", 1, 1, "text", "Give the column's name."),
    Rule("csvw:title", 1, None, "text", "Give the column a title for people."),
    Rule("csvw:datatype", 1, 1, "text", "Give its type as a literal, e.g. 'integer'."),
    Rule("dct:description", 1, None, "text", "Say what the column means."),
    Rule("csvw:propertyUrl", 0, 1, "iri"),
)

REACHED_BY = {
    "cv:ContactPoint": ("cv:email", "cv:contactPage"),
    "vcard:Kind": ("vcard:hasEmail", "vcard:hasURL"),
}
"""Kinds of contact, and the two ways to reach one of which each must have."""


def check_graph(graph: Graph) -> list[Finding]:
    """What keeps the catalogues and data sets of a graph from meeting the profile's mandatory part.

    Source:
        HealthDCAT-AP Release 8, ``non-public-shapes.ttl``; DCAT-AP 3.0.1, ``shapes.ttl``. The rule that
        structured data need variables stands there in a property shape without path, which some
        validators cannot read.
    """
    found: list[Finding] = []
    seen: set[Any] = set()
    for catalog in graph.subjects("dcat:Catalog"):
        found += _Check(graph, "", seen).node(catalog, CATALOG, "the catalogue")
    for node in graph.subjects("dcat:Dataset"):
        found += _Check(graph, node.value if isinstance(node, NamedNode) else "", seen).dataset(node)
    found += _Check(graph, "", seen).strays()
    return list(dict.fromkeys(found))


class _Check:
    """Walks one data set."""

    def __init__(self, graph: Graph, dataset: str, seen: set[Any]) -> None:
        self.graph = graph
        self.iri = dataset
        self.seen = seen

    def dataset(self, node: Any) -> Iterator[Finding]:
        graph = self.graph
        yield from self.node(node, DATASET, "the data set")
        rights = graph.nodes(node, "dct:accessRights")
        if rights and all(value != NamedNode(NON_PUBLIC.iri) for value in rights):
            yield self.finding("dct:accessRights", "It is not NON_PUBLIC", f"State <{NON_PUBLIC.iri}>.")
        structured = any(
            value.value in ("true", "1") for value in graph.nodes(node, "healthdcatap:hasStructuredData")
        )
        if structured and not graph.nodes(node, "healthdcatap:hasVariables"):
            yield self.finding(
                "healthdcatap:hasVariables",
                "The data are structured, but no variables are described",
                "Describe tables and columns as a csvw:TableGroup, or state that there are none.",
            )
        for name in ("dcat:distribution", "adms:sample", "healthdcatap:analytics"):
            for part in graph.nodes(node, name):
                yield from self.node(part, DISTRIBUTION, "the distribution")
        for name, role in (
            ("healthdcatap:hdab", "the access body"),
            ("healthdcatap:hdabCoordinator", "the coordinating access body"),
            ("geodcatap:custodian", "the data holder"),
            ("dct:publisher", "the publisher"),
        ):
            for agent in graph.nodes(node, name):
                yield from self.agent(agent, role)
        for card in graph.nodes(node, "dcat:contactPoint"):
            yield from self.node(card, CARD, "the contact point")
            if graph.has_type(card, "vcard:Kind") and not graph.nodes(card, *REACHED_BY["vcard:Kind"]):
                yield self.finding(
                    "vcard:hasEmail", "The contact point has neither e-mail nor page", "Give one of the two."
                )
        for name in ("dct:temporal", "healthdcatap:retentionPeriod"):
            for period in graph.nodes(node, name):
                yield from self.node(period, PERIOD, "the period")
        for group in graph.nodes(node, "healthdcatap:hasVariables"):
            yield from self.group(group)

    def strays(self) -> Iterator[Finding]:
        """Parts that hang at no data set: the profile judges them too."""
        for kind, rules, what in (
            ("dcat:Distribution", DISTRIBUTION, "a distribution without data set"),
            ("foaf:Agent", AGENT[:1], "an organisation"),
            ("csvw:TableGroup", GROUP, "a dictionary that belongs to no data set"),
            ("csvw:Table", TABLE, "a table that belongs to no data set"),
            ("csvw:Column", COLUMN, "a column that belongs to no data set"),
            ("cv:ContactPoint", CONTACT, "a contact point"),
            ("vcard:Kind", CARD, "a contact"),
            ("dct:PeriodOfTime", PERIOD, "a period"),
            ("skos:Concept", (Rule("skos:prefLabel", 1, None, "text", "Give it a label."),), "a concept"),
            ("skos:ConceptScheme", GROUP[:1], "a list of concepts"),
        ):
            for node in self.graph.subjects(kind):
                if node not in self.seen:
                    yield from self.node(node, rules, what)
                    if kind in REACHED_BY and not self.graph.nodes(node, *REACHED_BY[kind]):
                        yield self.finding(
                            REACHED_BY[kind][0], f"{what} has neither e-mail nor page", "Give one of the two."
                        )

    def agent(self, node: Any, role: str) -> Iterator[Finding]:
        graph = self.graph
        yield from self.node(node, AGENT, role)
        for point in graph.nodes(node, "cv:contactPoint"):
            yield from self.node(point, CONTACT, f"the contact point of {role}")
            if not graph.has_type(point, "cv:ContactPoint"):
                yield self.finding(
                    "cv:contactPoint", f"That of {role} is no cv:ContactPoint", "State its type."
                )
            elif not graph.nodes(point, *REACHED_BY["cv:ContactPoint"]):
                yield self.finding(
                    "cv:email", f"That of {role} has neither e-mail nor page", "Give one of the two."
                )

    def group(self, node: Any) -> Iterator[Finding]:
        yield from self.node(node, GROUP, "the dictionary")
        for table in self.graph.nodes(node, "csvw:table"):
            title = self.graph.node(table, "dct:title")
            name = f"table {title.value!r}" if title is not None else "a table"
            yield from self.node(table, TABLE, name)
            for column in self.graph.nodes(table, "csvw:column"):
                told = self.graph.node(column, "csvw:name", "csvw:title")
                of_column = f"column {told.value!r} of {name}" if told is not None else f"a column of {name}"
                yield from self.node(column, COLUMN, of_column)

    def node(self, node: Any, rules: tuple[Rule, ...], what: str) -> Iterator[Finding]:
        self.seen.add(node)
        for rule in rules:
            values = self.graph.nodes(node, rule.name)
            words, is_kind = KINDS[rule.kind]
            if len(values) < rule.least:
                yield self.finding(rule.name, f"It is missing for {what}", rule.remedy)
            if rule.most is not None and len(values) > rule.most:
                yield self.finding(
                    rule.name, f"It stands {len(values)} times for {what}", "Leave only one, the right one."
                )
            if not all(map(is_kind, values)):
                yield self.finding(
                    rule.name, f"For {what} it is not {words}", f"Write {words}. {rule.remedy}".rstrip()
                )

    def finding(self, name: str, what: str, remedy: str) -> Finding:
        return Finding(level=Level.MANDATORY, dataset=self.iri, property=name, what=what, remedy=remedy)
