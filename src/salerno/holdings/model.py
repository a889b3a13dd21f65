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
    """What happened to a person: records of an OMOP event table, a Circe cohort, or a cohort saved before.

    Exactly one of `table`, `circe` and `cohort` is given.

    Args:
        table: ``drug_era``, ``drug_exposure``, ``condition_occurrence``, ``condition_era``,
            ``procedure_occurrence``, ``measurement``, ``observation``, ``visit_occurrence``,
            ``device_exposure`` or ``death``.
        concepts: OMOP standard concept ids; empty for ``death``.
        descendants: Include the concepts' descendants by ``concept_ancestor``.
        circe: OHDSI's cohort definition, as JSON; each entry into the cohort is an event.
        cohort: Name under which the permit has a cohort saved; see `StudyFrame.save`.
    """

    table: str = ""
    concepts: tuple[int, ...] = ()
    descendants: bool = False
    circe: dict[str, Any] | None = None
    cohort: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Covariate:
    """Whether a person had an event in a time around the index date: 1 or 0.

    Without `window`, the time is before the index date, and the day of the index event itself does not
    count, as nobody can tell what came first on it.

    Args:
        name: Column of the frame.
        event: What counts.
        days_before: How many days before the index date to look; None means ever.
        window: First and last day relative to the index date, inclusive, e.g. ``(-365, -1)`` or ``(0, 30)``;
            None on a side means no bound there.
    """

    name: str
    event: EventDefinition
    days_before: int | None = None
    window: tuple[int | None, int | None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DrugUse:
    """How a drug is used from the index date to the end of follow-up; adds columns to a frame of entries.

    The columns are ``n_exposures``, ``n_eras``, ``days_exposed`` (days in an era), ``first_duration``
    (days of the first exposure), ``first_quantity``, ``cumulative_quantity`` and ``days_to_first``;
    missing for persons without an exposure, but for the numbers, which are then 0.

    Args:
        concepts: Drug concept ids.
        descendants: Include the concepts' descendants.
        gap_days: Exposures at most so many days apart are one era.
    """

    concepts: tuple[int, ...]
    descendants: bool = True
    gap_days: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """Who is observed when, and at risk of what: the frame of incidence and prevalence.

    The frame has one row for each span of a person: ``age_group``, ``sex``, ``span``, ``outcome``,
    ``start_date`` and ``end_date``, ``entered`` (first day of the person's time observed in the age group),
    ``left`` (last day), ``last_end`` (end of the person's span of the same kind before, or none) and
    ``event`` (1 where the outcome begins on the last day). ``span`` is ``observed`` (outcome empty: time
    in the population), ``known`` (the same spans again, of those who ever had the outcome), ``at_risk``
    (their time at risk of it) or ``case`` (their time with it). So time at risk of an outcome is
    ``observed`` less ``known`` plus ``at_risk``, and those who never have it need no row of their own.

    Args:
        study_start, study_end: First and last day of the study.
        age_groups: First and last age in years of each group, inclusive; groups may overlap.
        prior_observation_days: Days of observation needed before a person enters.
        outcomes: What happens, by name.
        outcome_washout_days: Days after the end of an outcome before a person is at risk again; None means
            never again.
        repeated_events: Whether a person stays at risk after a first event in the study.
        target: Only time in this cohort counts.
    """

    study_start: date
    study_end: date
    age_groups: tuple[tuple[int, int], ...] = ((0, 150),)
    prior_observation_days: int = 0
    outcomes: dict[str, EventDefinition] = field(default_factory=dict)
    outcome_washout_days: int | None = None
    repeated_events: bool = False
    target: EventDefinition | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Concepts:
    """Every concept in windows around the index date: the frame of large-scale characteristics.

    The frame has one row per entry, ``window`` and ``concept`` (``table:id``) that it has there, and one row
    per entry with neither, so that entries can be counted: ``group``, ``window``, ``concept``.

    Args:
        tables: Event tables to look in.
        windows: First and last day relative to the index date, inclusive; None means no bound.
        most: At most so many concepts, those that most persons of the holder have.
    """

    tables: tuple[str, ...] = ("condition_occurrence", "drug_era", "procedure_occurrence")
    windows: tuple[tuple[int | None, int | None], ...] = ((-365, -1), (0, 0), (1, 365))
    most: int = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Treatments:
    """Which treatments follow each other: the frame of treatment patterns.

    The frame has one row per entry: ``group``, ``path`` (such as ``A > A+B > B``), ``first_line``,
    ``n_lines``, ``age``, ``sex`` and ``index_year``. Treatments count that begin on the index date or
    later, up to the end of follow-up.

    Args:
        events: Treatments by name.
        gap_days: Times of one treatment at most so many days apart are one.
        combination_days: Two treatments together for at least so many days are a combination; a shorter
            overlap is a switch on the day that the later one begins.
        min_days: A line that lasts fewer days is left out.
        most_lines: Longest path that is told.
    """

    events: dict[str, EventDefinition]
    gap_days: int = 30
    combination_days: int = 30
    min_days: int = 1
    most_lines: int = 5


Rows = Literal["entries", "attrition", "cohorts"]
"""What a row of a frame with groups is: an entry; a person with the step reached; a person in any cohort."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFrame:
    """What a study reads: who enters, when, in which group, and what happens then.

    For plain tables only `table` and `where` are used and the frame has the table's columns.
    For OMOP the frame has one row per person with the columns ``group``, ``time`` (days from index to outcome
    or censoring), ``status`` (1 outcome, 2 competing outcome, 0 censored), ``age`` (years at index), ``sex``
    (``F``, ``M``, ``U``), ``index_year``, ``prior_observation`` and ``future_observation`` (days), one 0/1
    column per covariate and those of `drug`.

    Days are whole: an outcome counts when it is on a later day than the index event. An outcome on the
    index day counts as prior, since nobody can tell what came first. So `time` is at least 1: a person
    without one full day of follow-up is left out. A person whose first events of two groups are on the
    same day is left out too, unless `entry` is ``each``.

    Other kinds of rows: with `population`, `concepts` or `treatments` those that they describe; ``attrition``
    has one row per person with an index event and the last ``step`` that the person met; ``cohorts`` has
    one row per person in any group with a 0/1 column per group and ``NAME_date``, the day of the first
    entry.

    Args:
        table: Plain table; empty means the holding's only one.
        save: Cohorts by name that the holder keeps for later questions under the same permit.
        groups: Index event by level of ``group``; a person enters with the first event of any group.
        entry: ``first`` of any group, or ``each``: a person enters each group, with its first event.
        rows: What a row is.
        washout_days: Days of observation without any group's event needed before the index date.
        outcome: The event that ends follow-up with status 1; persons who had it before index are left out
            unless `allow_prior_outcome`.
        competing: An event, such as death, that ends follow-up with status 2.
        follow_up_days: Longest follow-up; None means to the end of observation.
        drug: Columns on the use of a drug.
        where: Conditions on the frame's columns.
        complete: Columns of which each row must have a value, so that all questions rest on the same persons.
    """

    table: str = ""
    save: dict[str, EventDefinition] = field(default_factory=dict)
    groups: dict[str, EventDefinition] = field(default_factory=dict)
    entry: Literal["first", "each"] = "first"
    rows: Rows = "entries"
    washout_days: int = 0
    outcome: EventDefinition | None = None
    competing: EventDefinition | None = None
    allow_prior_outcome: bool = False
    follow_up_days: int | None = None
    covariates: tuple[Covariate, ...] = ()
    drug: DrugUse | None = None
    population: Population | None = None
    concepts: Concepts | None = None
    treatments: Treatments | None = None
    where: tuple[Condition, ...] = ()
    complete: tuple[str, ...] = ()


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


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """A researcher's program that the steward lets run on a holding, in a sandbox: a Flower app.

    Args:
        holding: Id of the holding.
        digest: SHA-256 of the bundle, by which questions name it.
        name, version: As its ``pyproject.toml`` has them.
        python: Interpreter with Flower and all that the app imports; it may be another than the node's.
        bundle: The app itself, a zip file; see `salerno.holdings.rules.read_bundle`.
    """

    holding: str
    digest: str
    name: str
    version: str
    python: str
    allowed_at: datetime
    bundle: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Learning:
    """What stays the same in all rounds of a question that trains an app's model.

    Args:
        app: Digest of the app.
        session: Name under which the app stays loaded between rounds.
        arrays: Name, shape and dtype of each array of the model, in the app's order.
        config: Run configuration, over the app's own.
        holdout: Share of the rows that are kept from training.
    """

    app: str
    session: str
    arrays: tuple[tuple[str, tuple[int, ...], str], ...]
    config: Mapping[str, str | int | float | bool]
    holdout: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What an app is asked for in one round; without arrays it is loaded and tells its first ones.

    Args:
        arrays: The model, in the order of `Learning.arrays`.
        settings: The message's configuration, such as the number of the round.
        train: Metrics to train with and report; None for no training.
        evaluate: Metrics to report on the rows that are kept from training; None for no evaluation.
        audit: Metric that is a row's loss, to look at rows one by one; empty for no look.
        audit_rows: Most rows of each kind to look at.
    """

    arrays: tuple[NDArray[Any], ...] = ()
    settings: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    train: tuple[str, ...] | None = None
    evaluate: tuple[str, ...] | None = None
    audit: str = ""
    audit_rows: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What an app made of a task: checked for names, shapes and finite values, and for nothing else.

    Args:
        rows: Rows for training, and rows kept from it.
        n: Rows that it says to have trained on, and to have evaluated; at most as many as there are.
        arrays: The model after training, as float64.
        metrics: Means over the rows trained on, and over the rows evaluated, in the order of the task.
        losses: Losses of single rows: of some for training, and of some kept from it.
    """

    rows: tuple[int, int]
    n: tuple[int, int] = (0, 0)
    arrays: tuple[NDArray[np.float64], ...] = ()
    metrics: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())
    losses: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())


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
