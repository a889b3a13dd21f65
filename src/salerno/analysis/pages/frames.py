"""The form of a study's frame: what is read of each holding, as fields and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, cast

from salerno.holdings.model import Covariate, EventDefinition, Population, Rows, StudyFrame
from salerno.holdings.rules.frame import check_frame
from salerno.kernel.errors import Invalid
from salerno.kernel.values import from_json
from salerno.permits.model import Condition, Operator
from salerno.standards.circe import circe_script
from salerno.web.conditions import ConditionLine, read_lines
from salerno.web.layout import sentence
from salerno.web.sessions import Form

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

POPULATION_COLUMNS: Mapping[str, str] = {
    "age_group": "First and last age in years, such as 18-49",
    "sex": "F, M or U (unknown)",
    "outcome": "Name of the outcome",
    "holder": "Name of the data holder",
}
"""Columns of a population by which questions tell apart, in words."""

GROUPS, COVARIATES, OUTCOMES = 4, 6, 4


@dataclass
class FilledFrame:
    """What a sent form says, and what is wrong with it by field."""

    frame: StudyFrame = field(default_factory=StudyFrame)
    errors: dict[str, str] = field(default_factory=dict)


def read_frame(form: Form) -> FilledFrame:
    """The frame of a sent form; ``kind`` is one of `KINDS`."""
    filled = FilledFrame()
    kind = form.text("kind")
    if kind == "json":
        return _read_json(form)
    where = _where(form, filled)
    complete = tuple(name for part in form.text("complete").split(",") if (name := part.strip()))
    if kind not in KINDS or kind == "tables":
        filled.frame = StudyFrame(table=form.text("table"), where=where, complete=complete)
        return filled
    make = _population if kind == "population" else _entries
    filled.frame = replace(make(form, filled, where), complete=complete)
    return _checked(filled)


def _checked(filled: FilledFrame) -> FilledFrame:
    """With what the holders' own rules say of a frame without errors of its fields."""
    if not filled.errors:
        try:
            check_frame(filled.frame)
        except Invalid as error:
            filled.errors["_frame"] = sentence(error)
    return filled


def _read_json(form: Form) -> FilledFrame:
    try:
        frame = from_json(form.text("frame"), StudyFrame, what="The frame")
    except Invalid as error:
        return FilledFrame(errors={"frame": sentence(error)})
    return _checked(FilledFrame(frame=frame))


def _entries(form: Form, filled: FilledFrame, where: tuple[Condition, ...]) -> StudyFrame:
    groups = _named_events(form, "group", GROUPS, filled)
    if not groups and not filled.errors:
        filled.errors["group-0"] = "Name at least one group: its persons enter with its first event"
    covariates = tuple(
        Covariate(name=name, event=event, days_before=_days(form, f"{place}-days", filled))
        for place, name, event in _events(form, "covariate", COVARIATES, filled)
    )
    rows = form.text("rows")
    return StudyFrame(
        groups=groups,
        save={
            name: event
            for place, name, event in _events(form, "group", GROUPS, filled)
            if form.flag(f"{place}-save")
        },
        entry="each" if rows == "each" else "first",
        rows=cast("Rows", rows if rows in ("cohorts", "attrition") else "entries"),
        washout_days=_days(form, "washout_days", filled) or 0,
        outcome=_event(form, "outcome", filled),
        competing=_event(form, "competing", filled),
        allow_prior_outcome=form.flag("allow_prior_outcome"),
        follow_up_days=_days(form, "follow_up_days", filled),
        covariates=covariates,
        where=where,
    )


def _population(form: Form, filled: FilledFrame, where: tuple[Condition, ...]) -> StudyFrame:
    return StudyFrame(
        population=Population(
            study_start=_day(form, "study_start", filled),
            study_end=_day(form, "study_end", filled),
            age_groups=_age_groups(form, filled),
            prior_observation_days=_days(form, "prior_observation_days", filled) or 0,
            outcomes=_named_events(form, "outcome", OUTCOMES, filled),
            outcome_washout_days=_days(form, "outcome_washout_days", filled),
            repeated_events=form.flag("repeated_events"),
            target=_event(form, "target", filled),
        ),
        rows="attrition" if form.text("rows") == "attrition" else "entries",
        where=where,
    )


def _named_events(form: Form, kind: str, most: int, filled: FilledFrame) -> dict[str, EventDefinition]:
    found: dict[str, EventDefinition] = {}
    for place, name, event in _events(form, kind, most, filled):
        if name in found:
            filled.errors[place] = f"Two have the name {name!r}: give each its own"
        found[name] = event
    return found


def _events(
    form: Form, kind: str, most: int, filled: FilledFrame
) -> Iterator[tuple[str, str, EventDefinition]]:
    """Field, name and definition of each event of a kind that has both."""
    for place in (f"{kind}-{i}" for i in range(most)):
        name, event = form.text(place), _event(form, place, filled)
        if name and event:
            yield place, name, event
        elif (name or event) and not any(key.startswith(f"{place}-") for key in filled.errors):
            what = {"group": "A group", "covariate": "A covariate"}.get(kind, "An outcome")
            filled.errors.setdefault(place, f"{what} needs a name, and concept ids or a cohort")


def _event(form: Form, name: str, filled: FilledFrame) -> EventDefinition | None:
    """The one definition that is filled in: records of concepts, Circe JSON or a saved cohort."""
    table, concepts = form.text(f"{name}-table"), form.text(f"{name}-concepts")
    circe, cohort = form.text(f"{name}-circe"), form.text(f"{name}-cohort")
    if sum(map(bool, (concepts or table == "death", circe, cohort))) > 1:
        filled.errors[f"{name}-concepts"] = (
            "Define it by records of concepts, by Circe JSON or by a saved cohort: one of them, not several"
        )
        return None
    if circe:
        return _circe(circe, f"{name}-circe", filled)
    if cohort:
        return EventDefinition(cohort=cohort)
    if table == "death":
        return EventDefinition(table=table)
    if not concepts or table not in EVENT_TABLES:
        return None
    parts = concepts.replace(",", " ").split()
    if not all(part.isascii() and part.isdigit() and len(part) < 12 for part in parts):
        filled.errors[f"{name}-concepts"] = "Write OMOP concept ids as whole numbers with commas between them"
        return None
    return EventDefinition(
        table=table, concepts=tuple(map(int, parts)), descendants=form.flag(f"{name}-descendants")
    )


def _circe(text: str, name: str, filled: FilledFrame) -> EventDefinition | None:
    try:
        definition = from_json(text, dict[str, Any], what="The cohort definition")
        circe_script(definition, "duckdb")
    except Invalid as error:
        filled.errors[name] = sentence(error)
        return None
    return EventDefinition(circe=definition)


def _day(form: Form, name: str, filled: FilledFrame) -> date:
    try:
        return date.fromisoformat(form.text(name))
    except ValueError:
        filled.errors[name] = "Write a day as year-month-day, such as 2019-12-31"
        return date.min


def _age_groups(form: Form, filled: FilledFrame) -> tuple[tuple[int, int], ...]:
    """Such as ``0-150, 18-64``; one group of all ages when empty."""
    groups = []
    for part in form.text("age_groups").replace(",", " ").split():
        first, _, last = part.partition("-")
        if not all(age.isascii() and age.isdigit() and len(age) < 4 for age in (first, last)):
            filled.errors["age_groups"] = "Write age groups as first and last year, such as 0-17, 18-64"
            return ()
        groups.append((int(first), int(last)))
    return tuple(groups) or ((0, 150),)


def _days(form: Form, name: str, filled: FilledFrame) -> int | None:
    text = form.text(name)
    if text and not (text.isdigit() and len(text) < 6):
        filled.errors[name] = "Write a whole number of days"
    return int(text) if text.isdigit() and len(text) < 6 else None


def _where(form: Form, filled: FilledFrame) -> tuple[Condition, ...]:
    try:
        return tuple(_condition(line) for line in read_lines(form.text("where")))
    except ValueError as error:
        filled.errors["where"] = str(error)
        return ()


def _condition(line: ConditionLine) -> Condition:
    values = [_guess(value) for value in line.values]
    value = cast("Any", values if line.operator == "in" else values[0])
    return Condition(column=line.column, operator=cast("Operator", line.operator), value=value)


def _guess(text: str) -> str | int | float:
    # The hub does not know the frame's types; the holder checks the value against the column.
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text


def frame_facts(frame: StudyFrame) -> list[tuple[str, str]]:
    """A frame in words."""
    conditions = [f"{c.column} {c.operator} {c.value}" for c in frame.where]
    conditions += [f"a value of {name}" for name in frame.complete]
    where = ("Only rows with", "; ".join(conditions))
    if frame.population is not None:
        return [*_population_facts(frame.population), ("A row is", _rows_words(frame)), where]
    if not frame.groups:
        return [("Table", frame.table or "The data set's only one"), where]
    treatments = frame.treatments.events if frame.treatments else {}
    return [
        ("Groups", _events_words(frame.groups)),
        ("A row is", _rows_words(frame)),
        ("Without any of these before", _days_words(frame.washout_days)),
        ("Outcome", event_words(frame.outcome) if frame.outcome else ""),
        ("Competing outcome", event_words(frame.competing) if frame.competing else ""),
        ("Persons with the outcome before", "stay in" if frame.allow_prior_outcome else "are left out"),
        ("Longest follow-up", _days_words(frame.follow_up_days)),
        ("Covariates", _events_words({c.name: c.event for c in frame.covariates})),
        ("Treatments", _events_words(treatments)),
        ("Use of drug", ", ".join(map(str, frame.drug.concepts)) if frame.drug else ""),
        ("Every concept of", ", ".join(frame.concepts.tables) if frame.concepts else ""),
        ("Cohorts saved", ", ".join(frame.save)),
        where,
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
    return [
        *OMOP_COLUMNS.items(),
        *((c.name, f"1 with {event_words(c.event)} {_when(c)}") for c in frame.covariates),
    ]


def _when(covariate: Covariate) -> str:
    if covariate.window is None:
        return "before"
    first, last = ("" if day is None else str(day) for day in covariate.window)
    return f"from day {first or 'any'} to {last or 'any'}"
