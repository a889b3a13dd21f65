"""What makes a description complete, in words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from salerno.catalogue.model import LANGUAGES, Agent, DatasetDescription, Finding, Level
from salerno.kernel.codes import COUNTRIES
from salerno.kernel.errors import Invalid, near

SCHEMES = ("http", "https", "urn", "did")
"""Schemes of the IRIs that a description may use; a CURIE such as ``snomed:22298006`` is none."""

LARGEST_COUNT = 2**53
"""Counts above this are a mistake, and JSON readers would round them."""

_PATH = r"(?:[^\s\x00-\x20<>\"{}|\\^`\[\]%\x7f-\x9f\ud800-\udfff\ue000-\uf8ff\ufdd0-\uffff]|%[0-9A-Fa-f]{2})"
_IRI = re.compile(
    rf"(?:https?://[\w.~-]+(?::[0-9]{{1,5}})?(?:[/?](?:(?!\#){_PATH})*)?|(?:urn|did):[a-zA-Z0-9-]+:(?:(?!\#){_PATH})+)"
    rf"(?:\#(?:(?!\#){_PATH})*)?",
    re.ASCII,
)
_EMAIL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*")


def is_iri(text: str) -> bool:
    """Whether the text is an absolute IRI of one of `SCHEMES`, without characters that RDF forbids."""
    return _IRI.fullmatch(text) is not None


def explain(finding: Finding) -> str:
    """A finding as one paragraph for people: what, where, why, and what to do.

    Source:
        The profile's own messages name shapes; a data steward needs the remedy.
    """
    weight = "must be mended" if finding.level is Level.MANDATORY else "should be mended"
    where = f" of {finding.dataset}" if finding.dataset else ""
    what = finding.what.rstrip(".")
    return f"{finding.property}{where} {weight}: {what} ({finding.rule}). {finding.remedy}".rstrip()


def check_description(description: DatasetDescription) -> list[Finding]:
    """Everything that keeps a description from being a complete and true NON_PUBLIC description.

    Returns:
        Findings in the order of the form; empty when there is nothing to mend. Those of
        level ``mandatory`` forbid publication.

    Source:
        HealthDCAT-AP Release 8, shapes NON_PUBLIC and their recommended part; DCAT-AP 3.0.1.
    """
    checks = (_identity, _texts, _agents, _codes, _variables, _figures, _recommended)
    return [found for check in checks for found in check(description)]


def mandatory(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Only the findings that forbid publication."""
    return tuple(found for found in findings if found.level is Level.MANDATORY)


def check_complete(description: DatasetDescription) -> None:
    """Refuse a description that lacks something mandatory.

    Raises:
        Invalid: The sentence names every gap and its remedy.
    """
    found = mandatory(check_description(description))
    if found:
        raise Invalid(
            "description-incomplete",
            f"The description of {description.iri or 'the data set'} cannot be published: "
            + "; ".join(f"{f.property}: {f.what.rstrip('.')}" for f in found),
            rule="EHDS Art. 60(3), 77; HealthDCAT-AP Release 8, NON_PUBLIC",
            remedy=" ".join(dict.fromkeys(f.remedy for f in found)),
        )


def _must(d: DatasetDescription, name: str, what: str, remedy: str) -> Finding:
    return Finding(level=Level.MANDATORY, dataset=d.iri, property=name, what=what, remedy=remedy)


def _should(d: DatasetDescription, name: str, what: str, remedy: str) -> Finding:
    return Finding(level=Level.RECOMMENDED, dataset=d.iri, property=name, what=what, remedy=remedy)


def _identity(d: DatasetDescription) -> Iterator[Finding]:
    if not is_iri(d.iri):
        yield _must(
            d,
            "dcat:Dataset",
            f"{d.iri!r} is no absolute IRI",
            "Give the data set an http(s), urn or did IRI.",
        )
    if not d.identifier.strip():
        yield _must(d, "dct:identifier", "The identifier is empty", "Give a short identifier.")
    if d.access_url and not is_iri(d.access_url):
        yield _must(
            d,
            "dcat:accessURL",
            f"{d.access_url!r} is no web address",
            "Give the page where access is asked for, or none.",
        )


def _texts(d: DatasetDescription) -> Iterator[Finding]:
    for name, value, remedy in (
        ("dct:title", d.title, "Give a title that tells this data set from others."),
        ("dct:description", d.description, "Say in a few sentences what the data are about."),
        ("dct:provenance", d.provenance, "Say where the data come from and how they were collected."),
    ):
        if not value.strip():
            yield _must(d, name, "The text is empty", remedy)
    if not any(word.strip() for word in d.keywords):
        yield _must(d, "dcat:keyword", "There is no keyword", "Give at least one keyword.")
    if d.language not in LANGUAGES:
        yield _must(
            d,
            "dct:language",
            f"{d.language!r} is no official language of the Union",
            f"Use its two-letter code. {near(d.language, LANGUAGES)}",
        )


def _agents(d: DatasetDescription) -> Iterator[Finding]:
    for name, role, agent in (
        ("geodcatap:custodian", "data holder", d.holder),
        ("healthdcatap:hdab", "health data access body", d.access_body),
    ):
        if not is_iri(agent.iri) or agent.iri == d.iri:
            yield _must(d, name, f"The {role} has no IRI of its own", f"Name the {role} by its DID or IRI.")
        if not agent.name.strip():
            yield _must(d, "foaf:name", f"The {role} has no name", f"Give the name of the {role}.")
        if agent.country not in COUNTRIES:
            yield _must(
                d,
                "dct:spatial",
                f"{agent.country!r} is no Member State's code, for the {role}",
                f"Use the two-letter ISO 3166-1 code. {near(agent.country, COUNTRIES)}",
            )
        yield from _contact(d, role, agent)
    if d.holder.iri == d.access_body.iri and d.holder != d.access_body:
        yield _must(
            d,
            "healthdcatap:hdab",
            "Holder and access body have one IRI but differ",
            "Give both the same name, country and contact, or two IRIs.",
        )


def _contact(d: DatasetDescription, role: str, agent: Agent) -> Iterator[Finding]:
    contact = agent.contact
    if not contact.email and not contact.page:
        yield _must(
            d, "cv:contactPoint", f"The {role} has neither e-mail nor contact page", "Give one of the two."
        )
    if contact.email and not _EMAIL.fullmatch(contact.email):
        yield _must(d, "cv:email", f"The {role}'s e-mail address is none", "Write it as name@example.org.")
    if contact.page and not is_iri(contact.page):
        yield _must(
            d, "cv:contactPage", f"The {role}'s contact page is no web address", "Write it with https://."
        )


def _codes(d: DatasetDescription) -> Iterator[Finding]:
    if not d.categories:
        yield Finding(
            level=Level.MANDATORY,
            dataset=d.iri,
            property="healthdcatap:healthCategory",
            what="There is no category of Art. 51",
            remedy="Choose at least one of the categories (a) to (q).",
            rule="EHDS Art. 51(1); HealthDCAT-AP Release 8, NON_PUBLIC",
        )
    for system in d.coding_systems:
        if not is_iri(system):
            yield _must(
                d,
                "healthdcatap:hasCodingSystem",
                f"{system!r} is no IRI",
                "Name the coding system by IRI, e.g. http://www.wikidata.org/entity/Q1753883 (SNOMED CT).",
            )


def _variables(d: DatasetDescription) -> Iterator[Finding]:
    for name in _repeated(table.name for table in d.tables):
        yield _must(d, "csvw:table", f"Two tables are called {name!r}", "Give each table its own name.")
    for table in d.tables:
        if not table.name.strip():
            yield _must(d, "csvw:table", "A table has no name", "Give each table a name.")
        if not table.variables:
            yield _must(
                d,
                "csvw:column",
                f"Table {table.name!r} has no column",
                "Describe its columns or leave it out.",
            )
        for name in _repeated(variable.name for variable in table.variables):
            yield _must(
                d,
                "csvw:name",
                f"Two columns of table {table.name!r} are called {name!r}",
                "Give each column its own name.",
            )
        for variable in table.variables:
            if not variable.name.strip():
                yield _must(
                    d,
                    "csvw:name",
                    f"A column of table {table.name!r} has no name",
                    "Give each column a name.",
                )
            if variable.concept and not is_iri(variable.concept):
                yield _must(
                    d,
                    "csvw:propertyUrl",
                    f"The concept of column {variable.name!r} of table {table.name!r} is no IRI",
                    "Write the concept's full IRI.",
                )


def _repeated(names: Iterable[str]) -> list[str]:
    return [name for name, times in Counter(names).items() if times > 1]


def _figures(d: DatasetDescription) -> Iterator[Finding]:
    counts: list[tuple[str, str, int | None]] = [
        ("healthdcatap:numberOfRecords", "The number of records", d.n_records),
        ("healthdcatap:numberOfUniqueIndividuals", "The number of persons", d.n_persons),
        ("healthdcatap:minTypicalAge", "The lowest age", d.min_age),
        ("healthdcatap:maxTypicalAge", "The highest age", d.max_age),
    ]
    for table in d.tables:
        counts.append(("healthdcatap:numberOfRecords", f"The number of rows of {table.name!r}", table.n_rows))
        counts += [
            ("healthdcatap:numberOfRecords", f"The number of values of {variable.name!r}", variable.n)
            for variable in table.variables
        ]
    for name, what, count in counts:
        if count is not None and not 0 <= count <= LARGEST_COUNT:
            yield _must(d, name, f"{what} is out of range", "Give a number from 0, or none.")
    if d.min_age is not None and d.max_age is not None and d.min_age > d.max_age:
        yield _must(d, "healthdcatap:minTypicalAge", "The lowest age is above the highest", "Exchange them.")
    if d.covers_from and d.covers_to and d.covers_from > d.covers_to:
        yield _must(d, "dct:temporal", "The period ends before it begins", "Exchange the two dates.")


def _recommended(d: DatasetDescription) -> Iterator[Finding]:
    for name, missing, remedy in (
        (
            "healthdcatap:hasVariables",
            not d.tables,
            "Describe tables and columns, or users cannot ask for them.",
        ),
        ("dcat:landingPage", not d.access_url, "Give the page where access is asked for."),
        ("healthdcatap:numberOfRecords", d.n_records is None, "Give the number of records, rounded."),
        (
            "healthdcatap:numberOfUniqueIndividuals",
            d.n_persons is None,
            "Give the number of persons, rounded.",
        ),
        ("healthdcatap:minTypicalAge", d.min_age is None, "Give the lowest typical age."),
        ("healthdcatap:maxTypicalAge", d.max_age is None, "Give the highest typical age."),
        (
            "dct:temporal",
            d.covers_from is None or d.covers_to is None,
            "Give first and last month of the data.",
        ),
        (
            "healthdcatap:populationCoverage",
            not d.population_coverage.strip(),
            "Say whom the data cover, e.g. 'adults treated in two hospitals of Lyon'.",
        ),
        (
            "healthdcatap:hasCodingSystem",
            not d.coding_systems,
            "Name the coding systems that the data use, by IRI.",
        ),
    ):
        if missing:
            yield _should(d, name, "It is recommended and missing", remedy)
