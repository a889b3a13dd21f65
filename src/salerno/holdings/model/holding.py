"""A data set that a holder has connected, and what may be asked of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal

from salerno.catalogue.model import TableDescription, Variable
from salerno.holdings.model.frames import StudyFrame
from salerno.permits.model import DisclosurePolicy

SourceKind = Literal["omop", "tables"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One data set that a holder has connected.

    Args:
        id: Short name at the holder, also the last part of the data set's IRI.
        dataset: IRI of the data set.
        source: Where it lies: a folder or file (Parquet, CSV, DuckDB), or a PostgreSQL URL. It never leaves
            the node.
        kind: ``omop`` (an OMOP CDM) or ``tables`` (any other tables).
        person_column: For plain tables, the column that names the person; empty when each row is one person.
        policy: The holder's own disclosure policy.
        personal: For plain tables, False when no row is about an identifiable natural person, so that
            opt-outs do not apply (Art. 71).
        date_column: For plain tables, the column with the date of the record; a permit's dates apply to it.
    """

    id: str
    dataset: str
    title: str
    source: str
    kind: SourceKind
    connected_at: datetime
    person_column: str = ""
    description: str = ""
    policy: DisclosurePolicy = field(default_factory=DisclosurePolicy)
    personal: bool = True
    date_column: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFor:
    """Under which permit a holder may keep cohorts for the next question, and until when."""

    permit: str
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Dictionary:
    """Columns of a frame at one holder, or agreed over all holders: name to variable, in column order."""

    variables: Mapping[str, Variable]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRequest:
    """On whose behalf, for what, a permitted view is asked for.

    Args:
        permit_token: The permit as VC-JWT.
        user: Account identifier of the person who asks.
        purpose: Purpose code that the person states.
        environment: DID of the coordinator that asks; must be the permit's.
        method: Analysis method to be run, ``""`` when only the dictionary is read.
        frame: What is read.
        dataset: IRI of the data set; empty means the only one of this holder that the permit names.
        columns: Columns of a plain table that the question names, when the caller knows them; each must
            be permitted.
    """

    permit_token: str
    user: str
    purpose: str
    environment: str
    frame: StudyFrame
    method: str = ""
    dataset: str = ""
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AttritionStep:
    """How many persons a step of a study frame left; None when the number is below the threshold."""

    step: str
    persons: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a description says about a holding's data, computed from them; small counts are left out.

    Args:
        tables: Variable dictionary.
        n_records: Rows of all tables about persons.
        n_persons: Persons.
        min_age, max_age: Youngest and oldest age today in years, to multiples of five, of groups that are
            large enough.
        covers_from, covers_to: First and last month with enough records, as the month's first day.
    """

    tables: tuple[TableDescription, ...]
    n_records: int | None
    n_persons: int | None
    min_age: int | None = None
    max_age: int | None = None
    covers_from: date | None = None
    covers_to: date | None = None
