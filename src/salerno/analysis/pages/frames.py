"""A study's frame in words: what is read of each holding, and the columns that it has."""

from __future__ import annotations

from collections.abc import Mapping

from salerno.holdings.model import (
    Concepts,
    Covariate,
    DrugUse,
    EventDefinition,
    Population,
    StudyFrame,
    Treatments,
)

KINDS: Mapping[str, str] = {
    "omop": "OMOP: cohorts",
    "population": "OMOP: population",
    "json": "OMOP: any frame, as JSON",
    "tables": "Plain tables",
}
"""Forms of a frame; all but the last are for OMOP data."""

ROWS: Mapping[str, str] = {
    "entries": "A person, entering with the first event of any group",
    "each": "A person and group, entering with the group's first event",
    "cohorts": "A person in any group, for overlap and timing",
    "treatments": "An entry and the path of treatments after it, for treatment patterns",
    "concepts": "An entry and each concept around it, for large-scale characteristics",
    "attrition": "A person and the last step met, for attrition",
}
"""What a row of a frame with groups is, in words."""

EVENT_TABLES: Mapping[str, str] = {
    "drug_era": "Drug eras",
    "drug_exposure": "Drug exposures",
    "condition_occurrence": "Conditions",
    "condition_era": "Condition eras",
    "procedure_occurrence": "Procedures",
    "measurement": "Measurements",
    "observation": "Observations",
    "visit_occurrence": "Visits",
    "death": "Deaths",
}
"""OMOP event tables in words."""

OMOP_COLUMNS: Mapping[str, str] = {
    "group": "The group that the person entered with",
    "time": "Days from the index date to the outcome or the end of follow-up",
    "status": "1 when the outcome happened, else 0",
    "age": "Age in years on the index date",
    "sex": "F, M or U (unknown)",
    "index_year": "Year of the index date",
    "prior_observation": "Days observed before the index date",
    "future_observation": "Days observed from the index date on",
    "holder": "Name of the data holder",
}
"""Columns of a frame over OMOP data, in words."""

DRUG_COLUMNS: Mapping[str, str] = {
    "n_exposures": "Number of exposures to the drug",
    "n_eras": "Number of eras of the drug",
    "days_exposed": "Days in an era",
    "first_duration": "Days of the first exposure",
    "first_quantity": "Quantity of the first exposure",
    "cumulative_quantity": "Quantity of all exposures",
    "days_to_first": "Days from the index date to the first exposure",
}
"""Columns that the use of a drug adds, in words."""

TREATMENT_COLUMNS: Mapping[str, str] = {
    "group": OMOP_COLUMNS["group"],
    "path": "Treatments one after the other, such as A > A+B > B",
    "first_line": "First treatment",
    "n_lines": "Number of treatments on the path",
    **{name: OMOP_COLUMNS[name] for name in ("age", "sex", "index_year", "holder")},
}
"""Columns of treatment paths, in words."""

CONCEPT_COLUMNS: Mapping[str, str] = {
    "group": OMOP_COLUMNS["group"],
    "window": "Days around the index date",
    "concept": "Table and number of the concept",
    "holder": OMOP_COLUMNS["holder"],
}
"""Columns of a frame with every concept, in words."""

POPULATION_COLUMNS: Mapping[str, str] = {
    "age_group": "First and last age in years, such as 18-49",
    "sex": "F, M or U (unknown)",
    "outcome": "Name of the outcome",
    "holder": "Name of the data holder",
}
"""Columns of a population by which questions tell apart, in words."""


def frame_facts(frame: StudyFrame) -> list[tuple[str, str]]:
    """A frame in words."""
    conditions = [f"{c.column} {c.operator} {c.value}" for c in frame.where]
    conditions += [f"a value of {name}" for name in frame.complete]
    where = ("Only rows with", "; ".join(conditions))
    if frame.population is not None:
        return [*_population_facts(frame.population), ("A row is", _rows_words(frame)), where]
    if not frame.groups:
        return [("Table", frame.table or "The data set's only one"), where]
    return [
        ("Groups", _events_words(frame.groups)),
        ("A row is", _rows_words(frame)),
        ("Without any of these before", _days_words(frame.washout_days)),
        ("Outcome", event_words(frame.outcome) if frame.outcome else ""),
        ("Competing outcome", event_words(frame.competing) if frame.competing else ""),
        ("Persons with the outcome before", "stay in" if frame.allow_prior_outcome else "are left out"),
        ("Longest follow-up", _days_words(frame.follow_up_days)),
        ("Covariates", _events_words({c.name: c.event for c in frame.covariates})),
        *(_treatment_facts(frame.treatments) if frame.treatments else ()),
        ("Use of drug", _drug_words(frame.drug) if frame.drug else ""),
        *(_concept_facts(frame.concepts) if frame.concepts else ()),
        ("Cohorts saved", ", ".join(frame.save)),
        where,
    ]


def _treatment_facts(treatments: Treatments) -> list[tuple[str, str]]:
    return [
        ("Treatments", _events_words(treatments.events)),
        ("One treatment when apart by at most", f"{treatments.gap_days} days"),
        ("A combination from", f"{treatments.combination_days} days together"),
        ("A treatment lasts at least", f"{treatments.min_days} days"),
        ("Longest path", f"{treatments.most_lines} treatments"),
    ]


def _drug_words(drug: DrugUse) -> str:
    more = " with all that fall under them" if drug.descendants else ""
    return f"{', '.join(map(str, drug.concepts))}{more}; exposures {drug.gap_days} days apart are one era"


def _concept_facts(concepts: Concepts) -> list[tuple[str, str]]:
    tables = [EVENT_TABLES.get(table, table).lower() for table in concepts.tables]
    return [
        ("Every concept of", ", ".join(tables)),
        ("In the days", "; ".join(map(window_words, concepts.windows))),
        ("At most", f"{concepts.most} concepts"),
    ]


def _population_facts(population: Population) -> list[tuple[str, str]]:
    washout = population.outcome_washout_days
    return [
        ("Study period", f"{population.study_start} to {population.study_end}"),
        ("Age groups", ", ".join(f"{first}-{last}" for first, last in population.age_groups)),
        ("Observed before", _days_words(population.prior_observation_days)),
        ("Outcomes", _events_words(population.outcomes)),
        ("At risk again", "never" if washout is None else f"after {washout} days"),
        ("Events of a person", "all" if population.repeated_events else "the first"),
        ("Only time in", event_words(population.target) if population.target else ""),
    ]


def _rows_words(frame: StudyFrame) -> str:
    if frame.rows == "attrition":
        return ROWS["attrition"]
    if frame.population is not None:
        return "A person's time observed, at risk or with an outcome"
    if frame.treatments or frame.concepts:
        return ROWS["treatments" if frame.treatments else "concepts"]
    return ROWS["each"] if frame.rows == "entries" and frame.entry == "each" else ROWS[frame.rows]


def _days_words(days: int | None) -> str:
    return f"{days} days" if days else ""


def _events_words(events: Mapping[str, EventDefinition]) -> str:
    return "; ".join(f"{name}: {event_words(event)}" for name, event in events.items())


def event_words(event: EventDefinition) -> str:
    """An event definition in words."""
    if event.circe is not None:
        return "cohort of a Circe definition"
    if event.cohort:
        return f"saved cohort {event.cohort!r}"
    named = EVENT_TABLES.get(event.table, event.table).lower()
    if not event.concepts:
        return named
    more = " with all that fall under them" if event.descendants else ""
    return f"{named} of {', '.join(map(str, event.concepts))}{more}"


def frame_columns(frame: StudyFrame) -> list[tuple[str, str]]:
    """Columns that questions of an OMOP study can name, with their meaning."""
    if frame.rows == "attrition":
        return [("step", "Last step that the person met")]
    if frame.population is not None:
        return list(POPULATION_COLUMNS.items())
    if frame.rows == "cohorts":
        days = [(f"{name}_date", f"Day of the first entry into {name}") for name in frame.groups]
        return [*((name, f"1 in {event_words(event)}") for name, event in frame.groups.items()), *days]
    if not frame.groups:
        return []
    if frame.treatments or frame.concepts:
        return list((TREATMENT_COLUMNS if frame.treatments else CONCEPT_COLUMNS).items())
    return [
        *OMOP_COLUMNS.items(),
        *(DRUG_COLUMNS.items() if frame.drug else ()),
        *((c.name, f"1 with {event_words(c.event)} {_when(c)}") for c in frame.covariates),
    ]


def _when(covariate: Covariate) -> str:
    if covariate.window is not None:
        return window_words(covariate.window)
    return f"in the {covariate.days_before} days before" if covariate.days_before else "before"


def window_words(window: tuple[int | None, int | None]) -> str:
    """Days around the index date, as the form takes them."""
    first, last = ("any" if day is None else str(day) for day in window)
    return f"from day {first} to {last}"
