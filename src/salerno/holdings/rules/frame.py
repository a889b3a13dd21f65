"""Whether a study frame makes sense, and which columns of the OMOP tables it is computed from."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date

from salerno.holdings.model import EventDefinition, StudyFrame
from salerno.kernel.errors import Invalid, near
from salerno.standards.circe import circe_script
from salerno.standards.omop import EVENT_TABLES

PERSON_COLUMNS = frozenset({"gender_concept_id", "year_of_birth", "month_of_birth", "day_of_birth"})
PERIOD_COLUMNS = frozenset({"observation_period_start_date", "observation_period_end_date"})
FRAME_COLUMNS = (
    "group",
    "time",
    "status",
    "age",
    "sex",
    "index_year",
    "prior_observation",
    "future_observation",
)
"""Columns that every frame of entries has, before its covariates."""

DRUG_COLUMNS = (
    "n_exposures",
    "n_eras",
    "days_exposed",
    "first_duration",
    "first_quantity",
    "cumulative_quantity",
    "days_to_first",
)
"""Columns that `DrugUse` adds."""

_STEPS = ["population", "attrition"]

MOST_DEFINITIONS = 50
MOST_WINDOWS = 20
MOST_CONCEPTS = 5000
_EARLIEST = date(1900, 1, 1)
_LONGEST_STUDY_DAYS = 200 * 366


def check_frame(frame: StudyFrame) -> None:
    """Refuse a frame that makes no sense on OMOP, whatever the data.

    Raises:
        Invalid: What is wrong, with the nearest known name.
    """
    kinds = [name for name in ("population", "concepts", "treatments") if getattr(frame, name) is not None]
    if len(kinds) > 1 or (kinds and frame.rows != "entries" and [*kinds, frame.rows] != _STEPS):
        named = ", ".join([*kinds, *([f"rows {frame.rows!r}"] if frame.rows != "entries" else [])])
        raise Invalid("frame-kind", f"A frame has one kind of rows, and this one asks for {named}")
    if not frame.groups and frame.population is None:
        raise Invalid(
            "frame-groups",
            "A frame on OMOP data needs the index event of at least one group",
            remedy="Name groups, or a table to be read as it is.",
        )
    if frame.groups and frame.population is not None:
        raise Invalid("frame-groups", "A population is everybody who is observed, so it has no groups")
    if frame.washout_days < 0:
        raise Invalid("frame-washout", "The washout is a number of days, not below zero")
    if frame.follow_up_days is not None and frame.follow_up_days < 1:
        raise Invalid("frame-follow-up", "The longest follow-up is a number of days, at least 1")
    every = definitions(frame)
    if len(every) > MOST_DEFINITIONS:
        raise Invalid("frame-event", f"A frame has at most {MOST_DEFINITIONS} definitions of events")
    for event in every:
        _check_definition(event, frame)
    if any(event.cohort for event in frame.save.values()):
        raise Invalid("frame-event", "A cohort is saved by its definition, not by the name of another")
    for names, what in ((frame.groups, "group"), (frame.save, "saved cohort")):
        _check_names(names, what)
    _check_covariates(frame)
    _check_kind(frame)


def _check_definition(event: EventDefinition, frame: StudyFrame) -> None:
    given = [name for name in ("table", "circe", "cohort") if getattr(event, name)]
    if len(given) != 1:
        raise Invalid(
            "frame-event",
            "An event is defined by one of 'table', 'circe' and 'cohort', "
            f"not by {' and '.join(given) or 'none'}",
        )
    if event.circe is not None:
        circe_script(event.circe, "duckdb")
        return
    if event.cohort:
        _check_names([event.cohort], "saved cohort")
        return
    if event.table not in EVENT_TABLES:
        raise Invalid(
            "frame-event",
            f"{event.table!r} is no OMOP table of events",
            remedy=near(event.table, EVENT_TABLES),
        )
    if EVENT_TABLES[event.table].concept and not event.concepts:
        raise Invalid(
            "frame-event", f"An event of {event.table!r} needs at least one concept", remedy="Name it."
        )
    if not EVENT_TABLES[event.table].concept and event.concepts:
        raise Invalid("frame-event", f"An event of {event.table!r} has no concepts", remedy="Leave them out.")


def _check_names(names: Iterable[str], what: str) -> None:
    for name in names:
        if not name.strip() or len(name) > 100 or not name.isprintable():
            raise Invalid(
                "frame-name", f"{name!r} cannot be the name of a {what}", remedy="Use a short text."
            )


def _check_column(name: str, taken: Collection[str], what: str) -> None:
    if name in taken or not name.isidentifier() or name[0] == "_":
        raise Invalid(
            f"frame-{what}",
            f"{name!r} cannot be the name of a {what}",
            remedy="Use letters, digits and underscores, and no name twice nor that of another column.",
        )


def _check_covariates(frame: StudyFrame) -> None:
    taken = {*FRAME_COLUMNS, "holder", *(DRUG_COLUMNS if frame.drug else ())}
    for covariate in frame.covariates:
        _check_column(covariate.name, taken, "covariate")
        if covariate.days_before is not None and covariate.days_before < 1:
            raise Invalid(
                "frame-covariate", f"{covariate.name!r} needs at least one day before the index date"
            )
        if covariate.window is not None:
            if covariate.days_before is not None:
                raise Invalid(
                    "frame-covariate", f"{covariate.name!r} has both 'days_before' and 'window'; one will do"
                )
            _check_window(covariate.window)
        taken.add(covariate.name)


def _check_window(window: tuple[int | None, int | None]) -> None:
    first, last = window
    if first is not None and last is not None and first > last:
        raise Invalid("frame-window", f"The window from day {first} to day {last} ends before it begins")


def _check_kind(frame: StudyFrame) -> None:
    if frame.rows == "cohorts":
        taken = {"holder"}
        for name in frame.groups:
            _check_column(name, taken, "group")
            taken |= {name, f"{name}_date"}
    if frame.drug is not None and (not frame.drug.concepts or frame.drug.gap_days < 0):
        raise Invalid("frame-drug", "The use of a drug needs concepts and a gap of 0 days or more")
    if frame.concepts is not None:
        _check_concepts(frame)
    if frame.treatments is not None:
        asked = frame.treatments
        if not asked.events or min(asked.gap_days, asked.combination_days, asked.min_days) < 0:
            raise Invalid("frame-treatments", "Treatment patterns need treatments, and days of 0 or more")
        if not 1 <= asked.most_lines <= 10:
            raise Invalid("frame-treatments", "A path has between 1 and 10 lines")
        for name in asked.events:
            if not name.strip() or {">", "+"} & set(name) or not name.isprintable():
                raise Invalid("frame-treatments", f"{name!r} cannot be the name of a treatment")
    if frame.population is not None:
        _check_population(frame)


def _check_concepts(frame: StudyFrame) -> None:
    asked = frame.concepts
    assert asked is not None
    if not asked.tables or not asked.windows or len(asked.windows) > MOST_WINDOWS:
        raise Invalid("frame-concepts", f"Name tables, and between 1 and {MOST_WINDOWS} windows")
    if not 1 <= asked.most <= MOST_CONCEPTS:
        raise Invalid("frame-concepts", f"'most' is between 1 and {MOST_CONCEPTS} concepts")
    tables = [name for name, table in EVENT_TABLES.items() if table.concept]
    for name in asked.tables:
        if name not in tables:
            raise Invalid("frame-concepts", f"{name!r} has no concepts", remedy=near(name, tables))
    for window in asked.windows:
        _check_window(window)


def _check_population(frame: StudyFrame) -> None:
    asked = frame.population
    assert asked is not None
    if (
        asked.study_start < _EARLIEST
        or not 0 <= (asked.study_end - asked.study_start).days < _LONGEST_STUDY_DAYS
    ):
        raise Invalid("frame-population", "The study begins in 1900 or later, and before it ends")
    if not asked.age_groups or len(asked.age_groups) > MOST_DEFINITIONS:
        raise Invalid("frame-population", f"Name between 1 and {MOST_DEFINITIONS} age groups")
    for first, last in asked.age_groups:
        if not 0 <= first <= last <= 200:
            raise Invalid("frame-population", f"There is no age group from {first} to {last} years")
    if len(set(asked.age_groups)) != len(asked.age_groups):
        raise Invalid("frame-population", "An age group is named twice")
    if asked.prior_observation_days < 0 or (asked.outcome_washout_days or 0) < 0:
        raise Invalid("frame-population", "Days of prior observation and of washout are not below zero")
    _check_names(asked.outcomes, "outcome")


def definitions(frame: StudyFrame) -> list[EventDefinition]:
    """Every event definition of a frame."""
    found = [*frame.save.values(), *frame.groups.values(), *(c.event for c in frame.covariates)]
    found += [event for event in (frame.outcome, frame.competing) if event]
    return [*found, *lasting_definitions(frame)]


def lasting_definitions(frame: StudyFrame) -> list[EventDefinition]:
    """Those of which the frame needs the last day too."""
    found: list[EventDefinition] = []
    if frame.population is not None:
        found += frame.population.outcomes.values()
        found += [frame.population.target] if frame.population.target else []
    if frame.treatments is not None:
        found += frame.treatments.events.values()
    return found


def columns_needed(frame: StudyFrame) -> dict[str, set[str]]:
    """Columns by OMOP table that a frame is computed from; the permit must name each of them.

    Keys that link rows are left out: they stay inside the engine and no study sees them. So are the
    vocabulary tables, which say nothing about any person. What a saved cohort needs was checked when it was
    saved, under the same permit.

    Args:
        frame: A frame on OMOP.

    Raises:
        Invalid: See `check_frame`.
    """
    check_frame(frame)
    needed = {"person": set(PERSON_COLUMNS), "observation_period": set(PERIOD_COLUMNS)}
    if frame.population is None and frame.rows != "cohorts":
        needed["death"] = {EVENT_TABLES["death"].start}

    def add(table: str, columns: Iterable[str]) -> None:
        needed.setdefault(table, set()).update(columns)

    for event in definitions(frame):
        if event.circe is not None:
            for table, columns in circe_script(event.circe, "duckdb").permitted.items():
                add(table, columns)
        elif event.table:
            add(event.table, EVENT_TABLES[event.table].columns)
    for event in lasting_definitions(frame):
        if event.table:
            add(event.table, EVENT_TABLES[event.table].lasting)
    if frame.concepts is not None:
        for name in frame.concepts.tables:
            add(name, EVENT_TABLES[name].columns)
    if frame.drug is not None:
        add("drug_exposure", {*EVENT_TABLES["drug_exposure"].lasting, "quantity", "days_supply"})
    return needed
