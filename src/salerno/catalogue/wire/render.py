"""From descriptions to triples.

Every description is written in full with the types and labels of the authority concepts that it uses, so
that the document is valid against the shapes without loading anything else. Order follows the model:
readers that keep the document's order get tables, columns and keywords in theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any
from urllib.parse import quote

from pyoxigraph import Literal, NamedNode, Triple

from salerno.catalogue.model import (
    UNKNOWN_TIME,
    Agent,
    CatalogueHeader,
    DatasetDescription,
    TableDescription,
    Variable,
)
from salerno.catalogue.rules import normal_form
from salerno.kernel.codes import DataCategory
from salerno.kernel.time import to_text
from salerno.standards.dcat import Format, render_graph
from salerno.standards.dcat.names import EHDS, term
from salerno.standards.dcat.vocabularies import (
    COUNTRIES,
    HEAL,
    HEALTH_CATEGORIES,
    LANGUAGES,
    NON_PUBLIC,
    PERSONAL_DATA,
    STATISTICAL,
    Concept,
)

TYPE = term("rdf:type")
LEGISLATION = NamedNode(EHDS)
MEDICAL_HEALTH = "https://w3id.org/dpv/dpv-pd#MedicalHealth"
DATA_THEMES = NamedNode(HEAL.scheme)

AGGREGATED = frozenset({DataCategory.NRPE, DataCategory.RPDG})
"""Categories that are not about natural persons: aggregated data and pathogens."""

LEGAL_BASIS = (
    "Made available for secondary use on a data permit or an approved data request under Regulation (EU) "
    "2025/327 (European Health Data Space), Chapter IV."
)
PURPOSE = "Secondary use for a purpose of Article 53(1) of Regulation (EU) 2025/327."


def render_catalogue(
    header: CatalogueHeader, descriptions: Iterable[DatasetDescription], syntax: Format
) -> bytes:
    """A catalogue with its data sets as a document.

    Args:
        header: What the catalogue says about itself.
        descriptions: Complete descriptions, in any order; they are written by IRI.
        syntax: ``turtle``, ``json-ld`` or ``rdf-xml``.

    Returns:
        Equal bytes for equal input. Where descriptions disagree on an organisation, the newest tells.
    """
    ordered = sorted(map(normal_form, descriptions), key=lambda d: d.iri)
    return render_graph(_Writer().catalogue(header, ordered), syntax)


def render_description(description: DatasetDescription, syntax: Format) -> bytes:
    """One data set without a catalogue around it, as a document."""
    return render_graph(_Writer().dataset_alone(normal_form(description)), syntax)


def part_of(iri: str, part: str) -> NamedNode:
    """The IRI of a part of a resource, by fragment."""
    return NamedNode(f"{iri}/{part}" if "#" in iri else f"{iri}#{part}")


def newest_agents(descriptions: Iterable[DatasetDescription]) -> dict[str, Agent]:
    """Organisations by IRI, each as the newest description tells of it."""
    agents: dict[str, Agent] = {}
    for d in sorted(descriptions, key=lambda d: (d.modified, d.iri)):
        agents[d.holder.iri] = d.holder
        agents[d.access_body.iri] = d.access_body
    return dict(sorted(agents.items()))


class _Writer:
    """Writes one document; remembers which authority concepts and other nodes it pointed at."""

    def __init__(self) -> None:
        self.concepts: dict[str, Concept] = {}
        self.classes: set[tuple[str, str]] = set()

    def catalogue(self, header: CatalogueHeader, descriptions: list[DatasetDescription]) -> Iterator[Triple]:
        agents = newest_agents(descriptions)
        agents.setdefault(header.publisher.iri, header.publisher)
        yield from self.header(header, descriptions)
        for d in descriptions:
            yield from self.dataset(d)
        for agent in agents.values():
            yield from self.agent(agent)
        yield from self.legends(has_scheme=True)

    def dataset_alone(self, d: DatasetDescription) -> Iterator[Triple]:
        yield from self.dataset(d)
        for agent in newest_agents([d]).values():
            yield from self.agent(agent)
        yield from self.legends(has_scheme=False)

    def header(self, header: CatalogueHeader, descriptions: list[DatasetDescription]) -> Iterator[Triple]:
        about = _About(NamedNode(header.iri), header.language)
        yield about.a("dcat:Catalog")
        yield about.text("dct:title", header.title)
        yield about.text("dct:description", header.description)
        yield about.link("dct:publisher", NamedNode(header.publisher.iri))
        yield about.link("dcatap:applicableLegislation", LEGISLATION)
        languages = sorted({header.language, *(d.language for d in descriptions)})
        for language in languages:
            yield about.link("dct:language", self.concept(LANGUAGES[language]))
        for country in sorted({d.holder.country for d in descriptions if d.holder.country in COUNTRIES}):
            yield about.link("dct:spatial", self.concept(COUNTRIES[country]))
        yield about.link("dcat:themeTaxonomy", DATA_THEMES)
        if header.homepage:
            yield about.link("foaf:homepage", self.of_class(header.homepage, "foaf:Document"))
        told = [d.modified for d in descriptions if d.modified != UNKNOWN_TIME]
        if told:
            yield about.typed("dct:modified", to_text(max(told)), "xsd:dateTime")
        for d in descriptions:
            yield about.link("dcat:dataset", NamedNode(d.iri))

    def dataset(self, d: DatasetDescription) -> Iterator[Triple]:
        iri = d.iri
        about = _About(NamedNode(iri), d.language)
        page = d.access_url or iri
        yield about.a("dcat:Dataset")
        yield about.text("dct:title", d.title)
        yield about.text("dct:description", d.description)
        yield about.plain("dct:identifier", d.identifier)
        if d.modified != UNKNOWN_TIME:
            yield about.typed("dct:modified", to_text(d.modified), "xsd:dateTime")
        yield about.link("dct:accessRights", self.concept(NON_PUBLIC))
        yield about.link("dcatap:applicableLegislation", LEGISLATION)
        yield about.link("dct:type", self.concept(_type_of(d)))
        yield about.link("dct:language", self.concept(LANGUAGES[d.language]))
        yield about.link("dct:spatial", self.concept(COUNTRIES[d.holder.country]))
        yield about.link("dcat:theme", self.concept(HEAL))
        for category in d.categories:
            yield about.link("healthdcatap:healthCategory", self.category(category))
        for word in d.keywords:
            yield about.text("dcat:keyword", word)
        yield about.link("dct:publisher", NamedNode(d.holder.iri))
        yield about.link("geodcatap:custodian", NamedNode(d.holder.iri))
        yield about.link("healthdcatap:hdab", NamedNode(d.access_body.iri))
        yield about.link("dcat:contactPoint", part_of(iri, "contact"))
        yield about.link("dct:provenance", part_of(iri, "provenance"))
        yield about.link("dcat:distribution", part_of(iri, "distribution"))
        if d.access_url:
            yield about.link("dcat:landingPage", self.of_class(page, "foaf:Document"))
            yield about.link("foaf:page", NamedNode(page))
        yield about.link("dpv:hasLegalBasis", part_of(iri, "legal-basis"))
        yield about.link("dpv:hasPurpose", part_of(iri, "purpose"))
        if _type_of(d) is PERSONAL_DATA:
            yield about.link("dpv:hasPersonalData", self.of_class(MEDICAL_HEALTH, "dpv:PersonalData"))
        yield from self._figures(about, d)
        yield about.typed("healthdcatap:hasStructuredData", str(bool(d.tables)).lower(), "xsd:boolean")
        if d.tables:
            yield about.link("healthdcatap:hasVariables", part_of(iri, "variables"))
        yield from self._parts(d, page)
        yield from self._tables(d)

    def _figures(self, about: _About, d: DatasetDescription) -> Iterator[Triple]:
        if d.covers_from or d.covers_to:
            yield about.link("dct:temporal", part_of(d.iri, "temporal"))
        if d.population_coverage:
            yield about.text("healthdcatap:populationCoverage", d.population_coverage)
        for system in d.coding_systems:
            yield about.link("healthdcatap:hasCodingSystem", self.of_class(system, "dct:Standard"))
        yield from about.count("healthdcatap:numberOfRecords", d.n_records)
        yield from about.count("healthdcatap:numberOfUniqueIndividuals", d.n_persons)
        yield from about.count("healthdcatap:minTypicalAge", d.min_age)
        yield from about.count("healthdcatap:maxTypicalAge", d.max_age)

    def _parts(self, d: DatasetDescription, page: str) -> Iterator[Triple]:
        contact = d.holder.contact
        kind = _About(part_of(d.iri, "contact"), d.language)
        yield kind.a("vcard:Kind")
        yield kind.plain("vcard:fn", contact.name or d.holder.name)
        if contact.email:
            yield kind.link("vcard:hasEmail", NamedNode(f"mailto:{quote(contact.email, safe='@')}"))
        if contact.page:
            yield kind.link("vcard:hasURL", NamedNode(contact.page))
        provenance = _About(part_of(d.iri, "provenance"), d.language)
        yield provenance.a("dct:ProvenanceStatement")
        yield provenance.text("rdfs:label", d.provenance)
        distribution = _About(part_of(d.iri, "distribution"), "en")
        yield distribution.a("dcat:Distribution")
        yield distribution.text(
            "dct:description", "Opened in a secure processing environment on a data permit."
        )
        yield distribution.link("dcat:accessURL", NamedNode(page))
        yield distribution.link("dcatap:applicableLegislation", LEGISLATION)
        basis = _About(part_of(d.iri, "legal-basis"), "en")
        yield basis.a("dpv:LegalBasis")
        yield basis.text("dct:description", LEGAL_BASIS)
        yield basis.link("dct:source", LEGISLATION)
        purpose = _About(part_of(d.iri, "purpose"), "en")
        yield purpose.a("dpv:Purpose")
        yield purpose.text("dct:description", PURPOSE)
        if d.covers_from or d.covers_to:
            period = _About(part_of(d.iri, "temporal"), d.language)
            yield period.a("dct:PeriodOfTime")
            for name, day in (("dcat:startDate", d.covers_from), ("dcat:endDate", d.covers_to)):
                if day:
                    yield period.typed(name, _month(day), "xsd:gYearMonth")

    def _tables(self, d: DatasetDescription) -> Iterator[Triple]:
        if not d.tables:
            return
        group = _About(part_of(d.iri, "variables"), d.language)
        yield group.a("csvw:TableGroup")
        yield group.text("dct:title", d.title)
        nodes = [part_of(d.iri, f"table-{number}") for number in range(1, len(d.tables) + 1)]
        for node in nodes:
            yield group.link("csvw:table", node)
        for node, table in zip(nodes, d.tables, strict=True):
            yield from self._table(node, table, d.language)

    def _table(self, node: NamedNode, table: TableDescription, language: str) -> Iterator[Triple]:
        about = _About(node, language)
        yield about.a("csvw:Table")
        yield about.plain("dct:identifier", table.name)
        yield about.text("dct:title", table.title or table.name)
        if table.description:
            yield about.text("dct:description", table.description)
        yield from about.count("healthdcatap:numberOfRecords", table.n_rows)
        columns = [NamedNode(f"{node.value}-column-{n}") for n in range(1, len(table.variables) + 1)]
        for column in columns:
            yield about.link("csvw:column", column)
        for column, variable in zip(columns, table.variables, strict=True):
            yield from _column(column, variable, language)

    def agent(self, agent: Agent) -> Iterator[Triple]:
        about = _About(NamedNode(agent.iri), "")
        contact = _About(part_of(agent.iri, "contact-point"), "")
        yield about.a("foaf:Agent")
        yield about.plain("foaf:name", agent.name)
        if agent.country in COUNTRIES:
            yield about.link("dct:spatial", self.concept(COUNTRIES[agent.country]))
        yield about.link("cv:contactPoint", contact.node)
        yield contact.a("cv:ContactPoint")
        if agent.contact.name:
            yield contact.plain("rdfs:label", agent.contact.name)
        if agent.contact.email:
            yield contact.plain("cv:email", agent.contact.email)
        if agent.contact.page:
            yield contact.link("cv:contactPage", NamedNode(agent.contact.page))

    def concept(self, concept: Concept) -> NamedNode:
        self.concepts[concept.iri] = concept
        return NamedNode(concept.iri)

    def of_class(self, iri: str, kind: str) -> NamedNode:
        """A node of elsewhere; its class is stated at the end, so that data sets keep their order."""
        self.classes.add((iri, kind))
        return NamedNode(iri)

    def category(self, category: DataCategory) -> NamedNode:
        return self.concept(Concept(HEALTH_CATEGORIES, category.value, category.label))

    def legends(self, *, has_scheme: bool) -> Iterator[Triple]:
        """What the document points at: types, labels and lists of authority concepts, and the law."""
        yield Triple(LEGISLATION, TYPE, term("eli:LegalResource"))
        for iri, kind in sorted(self.classes):
            yield Triple(NamedNode(iri), TYPE, term(kind))
        for iri, concept in sorted(self.concepts.items()):
            about = _About(NamedNode(iri), "en")
            yield about.a("skos:Concept")
            if concept.kind != "skos:Concept":
                yield about.a(concept.kind)
            yield about.text("skos:prefLabel", concept.label)
            yield about.link("skos:inScheme", NamedNode(concept.scheme))
        if has_scheme:
            themes = _About(DATA_THEMES, "en")
            yield themes.a("skos:ConceptScheme")
            yield themes.text("dct:title", "Data theme")


class _About:
    """Makes triples about one subject."""

    def __init__(self, node: NamedNode, language: str) -> None:
        self.node = node
        self.language = language

    def a(self, kind: str) -> Triple:
        return Triple(self.node, TYPE, term(kind))

    def text(self, name: str, value: str) -> Triple:
        return Triple(self.node, term(name), Literal(value, language=self.language))

    def plain(self, name: str, value: str) -> Triple:
        return Triple(self.node, term(name), Literal(value))

    def typed(self, name: str, value: str, datatype: str) -> Triple:
        return Triple(self.node, term(name), Literal(value, datatype=term(datatype)))

    def link(self, name: str, node: Any) -> Triple:
        return Triple(self.node, term(name), node)

    def count(self, name: str, number: int | None) -> Iterator[Triple]:
        if number is not None:
            yield self.typed(name, str(number), "xsd:nonNegativeInteger")


def _column(node: NamedNode, variable: Variable, language: str) -> Iterator[Triple]:
    about = _About(node, language)
    title = variable.title or variable.name
    yield about.a("csvw:Column")
    yield about.plain("csvw:name", variable.name)
    yield about.text("csvw:title", title)
    yield about.plain("csvw:datatype", variable.datatype.value)
    yield about.text("dct:description", variable.description or title)
    if variable.concept:
        yield about.link("csvw:propertyUrl", NamedNode(variable.concept))
    yield from about.count("healthdcatap:numberOfRecords", variable.n)
    for level in variable.levels:
        yield about.plain("healthdcatap:hasCodeValues", level)


def _type_of(d: DatasetDescription) -> Concept:
    """Statistics when every category is aggregated, personal data otherwise."""
    return STATISTICAL if AGGREGATED.issuperset(d.categories) else PERSONAL_DATA


def _month(day: date) -> str:
    return f"{day.year:04d}-{day.month:02d}"
