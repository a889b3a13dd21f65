"""The form of a study's frame: what is read of each holding, from the fields of a sent form."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, cast

from salerno.analysis.pages.frames import EVENT_TABLES, KINDS
from salerno.holdings.model import (
    Concepts,
    Covariate,
    DrugUse,
    EventDefinition,
    Population,
    Rows,
    StudyFrame,
    Treatments,
)
from salerno.holdings.rules.frame import check_frame
from salerno.kernel.errors import Invalid
from salerno.kernel.values import from_json
from salerno.permits.model import Condition, Operator
from salerno.standards.circe import circe_script
from salerno.web.conditions import ConditionLine, read_lines
from salerno.web.layout import sentence
from salerno.web.sessions import Form

GROUPS, COVARIATES, OUTCOMES, TREATMENTS = 4, 6, 4, 8


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
        Covariate(
            name=name,
            event=event,
            days_before=_days(form, f"{place}-days", filled),
            window=_window(form, place, filled),
        )
        for place, name, event in _events(form, "covariate", COVARIATES, filled)
    )
    rows = form.text("rows")
    if rows != "treatments" and form.text("treatment-0"):
        filled.errors["rows"] = "Choose paths of treatments as rows, or leave the treatments empty"
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
        drug=_drug(form, filled),
        treatments=_treatments(form, filled) if rows == "treatments" else None,
        concepts=_concepts(form, filled) if rows == "concepts" else None,
        where=where,
    )


def _treatments(form: Form, filled: FilledFrame) -> Treatments:
    events = _named_events(form, "treatment", TREATMENTS, filled)
    if not events and not filled.errors:
        filled.errors["treatment-0"] = "Name at least one treatment: paths are made of them"
    return Treatments(events=events, **_numbers(form, "treatments", _TREATMENT_DAYS, filled))


def _drug(form: Form, filled: FilledFrame) -> DrugUse | None:
    concepts = _concept_ids(form, "drug-concepts", filled)
    if not concepts:
        return None
    days = _numbers(form, "drug", ("gap_days",), filled)
    return DrugUse(concepts=concepts, descendants=form.flag("drug-descendants"), **days)


def _concepts(form: Form, filled: FilledFrame) -> Concepts:
    windows = [part for part in form.text("concepts-windows").split(";") if part.strip()]
    found = [_DAYS.fullmatch(part.strip()) for part in windows]
    if not all(found):
        filled.errors["concepts-windows"] = (
            "Write first and last day, such as -365 to -1; 0 to 0; 1 to 365, with any for no bound"
        )
    chosen: dict[str, Any] = _numbers(form, "concepts", ("most",), filled)
    if windows:
        chosen["windows"] = tuple((_bound(days[1]), _bound(days[2])) for days in found if days)
    if form.many("concepts-tables"):
        chosen["tables"] = tuple(form.many("concepts-tables"))
    return Concepts(**chosen)


_TREATMENT_DAYS = ("gap_days", "combination_days", "min_days", "most_lines")
_DAYS = re.compile(r"(?:from day )?(-?\d{1,5}|any) to (-?\d{1,5}|any)")


def _bound(text: str) -> int | None:
    return None if text == "any" else int(text)


def _numbers(form: Form, kind: str, names: tuple[str, ...], filled: FilledFrame) -> dict[str, int]:
    """The whole numbers that are filled in; the others are left to their defaults."""
    found = {name: _days(form, f"{kind}-{name}", filled) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def _window(form: Form, place: str, filled: FilledFrame) -> tuple[int | None, int | None] | None:
    """First and last day around the index date of a covariate; None where neither is filled in."""
    days: list[int | None] = []
    for side in ("from", "to"):
        text = form.text(f"{place}-{side}")
        if text and not re.fullmatch(r"-?\d{1,5}", text):
            filled.errors[f"{place}-{side}"] = "Write a whole number of days, below 0 for days before"
            return None
        days.append(int(text) if text else None)
    return None if days == [None, None] else (days[0], days[1])


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
            named = {"group": "A group", "covariate": "A covariate", "treatment": "A treatment"}
            what = named.get(kind, "An outcome")
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
    ids = _concept_ids(form, f"{name}-concepts", filled)
    if not ids or table not in EVENT_TABLES:
        return None
    return EventDefinition(table=table, concepts=ids, descendants=form.flag(f"{name}-descendants"))


def _concept_ids(form: Form, name: str, filled: FilledFrame) -> tuple[int, ...]:
    parts = form.text(name).replace(",", " ").split()
    if not all(part.isascii() and part.isdigit() and len(part) < 12 for part in parts):
        filled.errors[name] = "Write OMOP concept ids as whole numbers with commas between them"
        return ()
    return tuple(map(int, parts))


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
