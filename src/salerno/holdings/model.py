"""A holder's data: where it lies, what a study reads of it, and the one view through which it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

from salerno.catalogue.model import TableDescription, Variable
from salerno.permits.model import Condition, DisclosurePolicy

if TYPE_CHECKING:
    # The engine takes long to import, and commands that only show a holding do without.
    import ibis.expr.types as ir
    import numpy as np
    from numpy.typing import NDArray
    from pyroaring import BitMap

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
class EventDefinition:
    """Records of an OMOP event table whose concept is one of a set.

    Args:
        table: ``drug_era``, ``drug_exposure``, ``condition_occurrence``, ``condition_era``,
            ``procedure_occurrence``, ``measurement``, ``observation``, ``visit_occurrence`` or ``death``.
        concepts: OMOP standard concept ids; empty for ``death``.
        descendants: Include the concepts' descendants by ``concept_ancestor``.
    """

    table: str
    concepts: tuple[int, ...] = ()
    descendants: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Covariate:
    """Whether a person had an event in a time before the index date: 1 or 0.

    The day of the index event itself does not count, as nobody can tell what came first on it.

    Args:
        name: Column of the frame.
        event: What counts.
        days_before: How many days before the index date to look; None means ever.
    """

    name: str
    event: EventDefinition
    days_before: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFrame:
    """One row per person for a question: who enters, when, in which group, and what happens then.

    For plain tables only `table` and `where` are used and the frame has the table's columns.
    For OMOP the frame has the columns ``group``, ``time`` (days from index to outcome or censoring),
    ``status`` (1 outcome, 0 censored), ``age`` (years at index), ``sex`` (``F``, ``M``, ``U``),
    ``index_year`` and one 0/1 column per covariate.

    Days are whole: an outcome counts when it is on a later day than the index event. An outcome on the
    index day counts as prior, since nobody can tell what came first. So `time` is at least 1: a person
    without one full day of follow-up is left out. A person whose first events of two groups are on the
    same day is left out too.

    Args:
        table: Plain table; empty means the holding's only one.
        groups: Index event by level of ``group``; a person enters with the first event of any group.
        washout_days: Days of observation without any group's event needed before the index date.
        outcome: The event that ends follow-up with status 1; persons who had it before index are left out
            unless `allow_prior_outcome`.
        follow_up_days: Longest follow-up; None means to the end of observation.
        where: Conditions on the frame's columns.
    """

    table: str = ""
    groups: dict[str, EventDefinition] = field(default_factory=dict)
    washout_days: int = 0
    outcome: EventDefinition | None = None
    allow_prior_outcome: bool = False
    follow_up_days: int | None = None
    covariates: tuple[Covariate, ...] = ()
    where: tuple[Condition, ...] = ()


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


class Told(Protocol):
    """Whom figures rest on, as expressions over a view.

    Args:
        rows: Which rows the figures use.
        keys: What they tell apart; no keys for one set of all the rows.
        sums: Amounts whose sum is told for each set.
    """

    @property
    def rows(self) -> ir.BooleanValue:
        """Which rows."""
        ...

    @property
    def keys(self) -> tuple[ir.Value, ...]:
        """What is told apart."""
        ...

    @property
    def sums(self) -> tuple[ir.NumericValue, ...]:
        """What is summed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonSets:
    """Sets of persons behind figures, as numbers that mean something at this holder alone.

    Args:
        persons: All of them.
        rows: Number of their rows.
        cells: Those of each combination of the keys.
        numbering: How persons are numbered; other numberings cannot be compared with it.
    """

    persons: BitMap
    rows: int
    cells: dict[tuple[Any, ...], BitMap]
    numbering: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Contributions:
    """How much of a sum of sizes the largest contributors make up, one figure per cell.

    Args:
        total: The sum.
        top: Share of the largest few persons of it, as many as the policy names.
        first, second: The largest and the second largest.
    """

    total: NDArray[np.float64]
    top: NDArray[np.float64]
    first: NDArray[np.float64]
    second: NDArray[np.float64]
