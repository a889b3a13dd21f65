"""What a study reads of a holding: who enters, when, and what happens to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

from salerno.permits.model import Condition


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
