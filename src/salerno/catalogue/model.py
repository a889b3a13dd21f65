"""What a holder tells the world about a data set, without a single row of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum

from salerno.kernel.codes import DataCategory


class Datatype(StrEnum):
    """Type of a column, by its CSVW (XML Schema) name."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "double"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "dateTime"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One column of a data set, computed from the data; counts below the threshold are left out.

    Args:
        name: Column name.
        datatype: Its type.
        title: Name for people.
        description: What it means.
        n: Rows with a value, rounded down to a multiple of the threshold.
        levels: Values of a categorical column that at least `threshold` persons have, sorted; empty
            when the column is not categorical.
        concept: IRI of the concept that it stands for, or empty.
    """

    name: str
    datatype: Datatype
    title: str = ""
    description: str = ""
    n: int | None = None
    levels: tuple[str, ...] = ()
    concept: str = ""

    @property
    def is_numeric(self) -> bool:
        """Whether one can calculate with it; true counts as 1."""
        return self.datatype in (Datatype.INTEGER, Datatype.NUMBER, Datatype.BOOLEAN)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableDescription:
    """One table of a data set with its variable dictionary."""

    name: str
    variables: tuple[Variable, ...]
    title: str = ""
    description: str = ""
    n_rows: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactPoint:
    """Where to ask: one of the two is needed."""

    name: str
    email: str = ""
    page: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """An organisation in a description: publisher, holder or access body."""

    iri: str
    name: str
    country: str
    contact: ContactPoint


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetDescription:
    """A HealthDCAT-AP Release 8 description of one NON_PUBLIC data set.

    Args:
        iri: The data set's identifier everywhere: an IRI under its holder's node.
        identifier: Short identifier at the holder.
        holder: The health data holder (geodcatap:custodian and publisher).
        access_body: The access body to apply to (healthdcatap:hdab).
        categories: Art. 51 categories.
        tables: Variable dictionary; empty means no structured data.
        n_records, n_persons: Rounded counts, None when below the threshold.
        covers_from, covers_to: First and last date in the data, to the month; None when unknown.
        coding_systems: Wikidata IRIs of coding systems, e.g. SNOMED CT.
        modified: When the description was computed.
    """

    iri: str
    identifier: str
    title: str
    description: str
    holder: Agent
    access_body: Agent
    categories: tuple[DataCategory, ...]
    keywords: tuple[str, ...]
    provenance: str
    modified: datetime
    tables: tuple[TableDescription, ...] = ()
    n_records: int | None = None
    n_persons: int | None = None
    min_age: int | None = None
    max_age: int | None = None
    covers_from: date | None = None
    covers_to: date | None = None
    population_coverage: str = ""
    coding_systems: tuple[str, ...] = ()
    language: str = "en"
    access_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchHit:
    """One found data set and why it was found."""

    dataset: DatasetDescription
    score: float
    matches: tuple[str, ...] = field(default=())


LANGUAGES: dict[str, str] = {
    "bg": "Bulgarian", "cs": "Czech", "da": "Danish", "de": "German", "el": "Greek", "en": "English",
    "es": "Spanish", "et": "Estonian", "fi": "Finnish", "fr": "French", "ga": "Irish", "hr": "Croatian",
    "hu": "Hungarian", "it": "Italian", "lt": "Lithuanian", "lv": "Latvian", "mt": "Maltese", "nl": "Dutch",
    "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "sk": "Slovak", "sl": "Slovenian", "sv": "Swedish",
}  # fmt: skip
"""Official languages of the Union by ISO 639-1 code: a description is in at least one (Art. 77(2))."""

UNKNOWN_TIME = datetime(1970, 1, 1, tzinfo=UTC)
"""`DatasetDescription.modified` of a description whose publisher does not tell when it was made."""


class Level(StrEnum):
    """How much a finding weighs: the profile's own two words."""

    MANDATORY = "mandatory"
    RECOMMENDED = "recommended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong with a description, in words, with what to do about it.

    Args:
        level: A description with a mandatory finding is neither published nor harvested.
        dataset: IRI of the data set, empty when it has none.
        property: Where it is: the profile's name of the property, e.g. ``dct:provenance``.
        what: What is wrong.
        remedy: What to do.
        rule: The source of the rule.
    """

    level: Level
    dataset: str
    property: str
    what: str
    remedy: str
    rule: str = "HealthDCAT-AP Release 8, NON_PUBLIC"


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueHeader:
    """What a published catalogue says about itself.

    Args:
        iri: The catalogue's own IRI.
        publisher: Who runs the node.
        homepage: Address of the node's portal.
    """

    iri: str
    title: str
    description: str
    publisher: Agent
    homepage: str = ""
    language: str = "en"


@dataclass(frozen=True, slots=True, kw_only=True)
class HarvestReport:
    """What one harvest of one source did.

    Args:
        source: DID of the participant.
        harvested_at: When.
        added, changed, removed, unchanged: IRIs of data sets.
        refused: Why single data sets of the source were not taken over.
        error: Why the whole harvest failed and changed nothing; empty when it did not.
    """

    source: str
    harvested_at: datetime
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    refused: tuple[Finding, ...] = ()
    error: str = ""
