"""From triples to descriptions: strict in what is RDF, lenient in what is there.

Any ``dcat:Dataset`` is read; what is missing stays empty, and `check_description` says so in words. Older
releases are read where the meaning is the same (vCard contacts of agents, publisher instead of custodian).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import unquote

from pyoxigraph import Literal, NamedNode

from salerno.catalogue.model import (
    LANGUAGES,
    UNKNOWN_TIME,
    Agent,
    ContactPoint,
    DatasetDescription,
    Datatype,
    Finding,
    Level,
    TableDescription,
    Variable,
)
from salerno.catalogue.rules import last_of_month, normal_form
from salerno.kernel.codes import DataCategory
from salerno.standards.dcat import Graph, parse_graph
from salerno.standards.dcat.vocabularies import COUNTRY_CODES, LANGUAGE_CODES, NON_PUBLIC

_CATEGORIES = {category.value: category for category in DataCategory}

_DATATYPES: dict[str, Datatype] = {
    **dict.fromkeys(("boolean", "bool"), Datatype.BOOLEAN),
    **dict.fromkeys(("date",), Datatype.DATE),
    **dict.fromkeys(("datetime", "datetimestamp", "timestamp"), Datatype.DATETIME),
    **dict.fromkeys(("double", "number", "decimal", "float", "numeric", "real"), Datatype.NUMBER),
    **dict.fromkeys(
        (
            "integer", "int", "long", "short", "byte", "nonnegativeinteger", "positiveinteger",
            "nonpositiveinteger", "negativeinteger", "unsignedint", "unsignedlong", "unsignedshort",
            "unsignedbyte", "bigint", "smallint",
        ),
        Datatype.INTEGER,
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a document told.

    Args:
        datasets: Descriptions in normal form, in the document's order.
        findings: Data sets that could not be read as NON_PUBLIC ones, and why.
        has_catalogue: Whether it has a ``dcat:Catalog``, be it an empty one.
    """

    datasets: tuple[DatasetDescription, ...]
    findings: tuple[Finding, ...] = ()
    has_catalogue: bool = False


def parse_catalogue(data: bytes, media_type: str, *, base: str = "") -> list[DatasetDescription]:
    """The NON_PUBLIC data sets of a DCAT document, in normal form.

    Args:
        data: Turtle, JSON-LD, RDF/XML or N-Triples.
        media_type: Which of them.
        base: Address that the document came from.

    Raises:
        Invalid: It is no RDF; the message names the line.
    """
    return list(read_catalogue(data, media_type, base=base).datasets)


def read_catalogue(data: bytes, media_type: str, *, base: str = "") -> Reading:
    """Like `parse_catalogue`, and tells which data sets were passed over."""
    return read_graph(parse_graph(data, media_type, base=base))


def read_graph(graph: Graph) -> Reading:
    """The descriptions of a graph."""
    datasets: list[DatasetDescription] = []
    findings: list[Finding] = []
    for node in graph.subjects("dcat:Dataset"):
        rights = [r.value for r in graph.nodes(node, "dct:accessRights") if isinstance(r, NamedNode)]
        if rights and not any(r.rpartition("/")[2] == NON_PUBLIC.code for r in rights):
            findings.append(_other_rights(node, rights[0]))
            continue
        datasets.append(normal_form(_Reader(graph, node).description()))
    has_catalogue = next(graph.subjects("dcat:Catalog"), None) is not None
    return Reading(datasets=tuple(datasets), findings=tuple(findings), has_catalogue=has_catalogue)


def _other_rights(node: Any, rights: str) -> Finding:
    return Finding(
        level=Level.MANDATORY,
        dataset=node.value if isinstance(node, NamedNode) else "",
        property="dct:accessRights",
        what=f"The data set is {rights.rpartition('/')[2]}, not NON_PUBLIC",
        remedy="Only data sets that need a data permit are taken over; look for this one at its publisher.",
    )


class _Reader:
    """Reads one data set."""

    def __init__(self, graph: Graph, node: Any) -> None:
        self.graph = graph
        self.node = node
        self.iri = node.value if isinstance(node, NamedNode) else self._iri_by_identifier()
        self.language = self._language()

    def description(self) -> DatasetDescription:
        graph, node = self.graph, self.node
        starts, ends = self._period()
        distribution = graph.node(node, "dcat:distribution")
        pages = self.iris(distribution, "dcat:accessURL") or self.iris(node, "dcat:landingPage")
        return DatasetDescription(
            iri=self.iri,
            identifier=self.text(node, "dct:identifier"),
            title=self.text(node, "dct:title"),
            description=self.text(node, "dct:description"),
            holder=self.agent("holder", "geodcatap:custodian", "dct:publisher", "dct:creator"),
            access_body=self.agent("access-body", "healthdcatap:hdab"),
            categories=self._categories(),
            keywords=tuple(self.texts(node, "dcat:keyword")),
            provenance=self._provenance(),
            modified=self._instant("dct:modified", "dct:issued"),
            tables=tuple(self._tables()),
            n_records=self.number(node, "healthdcatap:numberOfRecords"),
            n_persons=self.number(node, "healthdcatap:numberOfUniqueIndividuals"),
            min_age=self.number(node, "healthdcatap:minTypicalAge"),
            max_age=self.number(node, "healthdcatap:maxTypicalAge"),
            covers_from=starts,
            covers_to=ends,
            population_coverage=self.text(node, "healthdcatap:populationCoverage"),
            coding_systems=tuple(self.iris(node, "healthdcatap:hasCodingSystem")),
            language=self.language,
            access_url=next(iter(pages), ""),
        )

    def texts(self, node: Any, *names: str) -> list[str]:
        """Literals in the description's language; without language when there are none; else all."""
        found = [value for value in self.graph.nodes(node, *names) if isinstance(value, Literal)]
        for wanted in (self.language, "en", ""):
            chosen = [value.value for value in found if _tag(value) == wanted]
            if chosen:
                return chosen
        return [value.value for value in found]

    def text(self, node: Any, *names: str) -> str:
        return next(iter(self.texts(node, *names)), "")

    def iris(self, node: Any, *names: str) -> list[str]:
        return [value.value for value in self.graph.nodes(node, *names) if isinstance(value, NamedNode)]

    def number(self, node: Any, name: str) -> int | None:
        for value in self.graph.nodes(node, name):
            if isinstance(value, Literal) and re.fullmatch(r"\+?\d{1,18}(\.0*)?", value.value.strip()):
                return int(value.value.strip().partition(".")[0])
        return None

    def _iri_by_identifier(self) -> str:
        for value in self.graph.nodes(self.node, "dct:identifier"):
            if value.value.startswith(("http://", "https://", "urn:")):
                return str(value.value)
        return ""

    def _language(self) -> str:
        tags = [_tag(v) for v in self.graph.nodes(self.node, "dct:title") if isinstance(v, Literal)]
        told = [LANGUAGE_CODES.get(iri, "") for iri in self.iris(self.node, "dct:language")]
        if "en" in tags:
            return "en"
        candidates = [*(code for code in told if code in tags), *sorted(tag for tag in tags if tag), *told]
        return next((code for code in candidates if code in LANGUAGES), "en")

    def _categories(self) -> tuple[DataCategory, ...]:
        codes = (
            iri.rpartition("/")[2].upper() for iri in self.iris(self.node, "healthdcatap:healthCategory")
        )
        return tuple(_CATEGORIES[code] for code in codes if code in _CATEGORIES)

    def _provenance(self) -> str:
        for node in self.graph.nodes(self.node, "dct:provenance"):
            if isinstance(node, Literal):
                return str(node.value)
            if found := self.text(node, "rdfs:label", "dct:description", "dct:title"):
                return found
        return ""

    def agent(self, role: str, *names: str) -> Agent:
        """The organisation that the first of the properties names; empty when none does."""
        node = self.graph.node(self.node, *names)
        if node is None or isinstance(node, Literal):
            return Agent(iri="", name="", country="", contact=ContactPoint(name=""))
        iri = node.value if isinstance(node, NamedNode) else f"{self.iri}#{role}"
        places = self.iris(node, "dct:spatial") + self.iris(self.node, "dct:spatial")
        country = next((COUNTRY_CODES[place] for place in places if place in COUNTRY_CODES), "")
        return Agent(
            iri=iri, name=self.text(node, "foaf:name"), country=country, contact=self._contact(node, role)
        )

    def _contact(self, agent: Any, role: str) -> ContactPoint:
        point = self.graph.node(agent, "cv:contactPoint", "dcat:contactPoint")
        if point is None and role == "holder":
            point = self.graph.node(self.node, "dcat:contactPoint")
        email = self.text(point, "cv:email") or next(iter(self.iris(point, "vcard:hasEmail")), "")
        if email.lower().startswith("mailto:"):
            email = unquote(email[len("mailto:") :])
        return ContactPoint(
            name=self.text(point, "rdfs:label", "vcard:fn"),
            email=email,
            page=next(iter(self.iris(point, "cv:contactPage", "vcard:hasURL")), ""),
        )

    def _instant(self, *names: str) -> datetime:
        for value in self.graph.nodes(self.node, *names):
            text = value.value.strip()
            try:
                instant = datetime.fromisoformat(text)
            except ValueError:
                day = _day(text, last=False)
                if day is None:
                    continue
                instant = datetime(day.year, day.month, day.day)
            return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)
        return UNKNOWN_TIME

    def _period(self) -> tuple[date | None, date | None]:
        periods = self.graph.nodes(self.node, "dct:temporal")
        return (
            self._bound(periods, "dcat:startDate", last=False, pick=min),
            self._bound(periods, "dcat:endDate", last=True, pick=max),
        )

    def _bound(
        self, periods: list[Any], name: str, *, last: bool, pick: Callable[[Iterable[date]], date]
    ) -> date | None:
        told = [_day(v.value, last=last) for p in periods for v in self.graph.nodes(p, name)]
        days = [day for day in told if day is not None]
        return pick(days) if days else None

    def _tables(self) -> Iterable[TableDescription]:
        for group in self.graph.nodes(self.node, "healthdcatap:hasVariables"):
            for number, table in enumerate(self.graph.nodes(group, "csvw:table"), 1):
                yield self._table(table, number)

    def _table(self, node: Any, number: int) -> TableDescription:
        title = self.text(node, "dct:title", "csvw:title")
        url = next(iter(self.iris(node, "csvw:url")), "")
        file_name = re.sub(r"\.\w+$", "", url.rstrip("/").rpartition("/")[2])
        name = self.text(node, "dct:identifier", "csvw:name") or file_name or title or f"table {number}"
        return TableDescription(
            name=name,
            title=title,
            description=self.text(node, "dct:description"),
            n_rows=self.number(node, "healthdcatap:numberOfRecords"),
            variables=tuple(self._variable(column) for column in self.graph.nodes(node, "csvw:column")),
        )

    def _variable(self, node: Any) -> Variable:
        title = self.text(node, "csvw:title", "csvw:titles", "dct:title")
        datatype = next((v.value for v in self.graph.nodes(node, "csvw:datatype")), "string")
        local = re.split(r"[#/:]", datatype)[-1].lower()
        return Variable(
            name=self.text(node, "csvw:name") or title,
            datatype=_DATATYPES.get(local, Datatype.STRING),
            title=title,
            description=self.text(node, "dct:description"),
            n=self.number(node, "healthdcatap:numberOfRecords"),
            levels=tuple(
                v.value
                for v in self.graph.nodes(node, "healthdcatap:hasCodeValues")
                if isinstance(v, Literal)
            ),
            concept=next(iter(self.iris(node, "csvw:propertyUrl")), ""),
        )


def _tag(literal: Literal) -> str:
    """The language of a literal without its region: ``en`` for ``en-GB``."""
    return (literal.language or "").partition("-")[0].lower()


def _day(text: str, *, last: bool) -> date | None:
    """The first or last day of an xsd:date, dateTime, gYearMonth or gYear; None when it is none."""
    found = re.match(r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?", text.strip())
    if found is None:
        return None
    year, month, day = (int(part) if part else None for part in found.groups())
    try:
        if day is not None:
            return date(year or 0, month or 0, day)
        if last:
            return last_of_month(year or 0, month or 12)
        return date(year or 0, month or 1, 1)
    except ValueError:
        return None
