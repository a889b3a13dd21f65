"""The form of a study's frame: what is read of each holding, as fields and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from salerno.holdings.model import Covariate, EventDefinition, StudyFrame
from salerno.permits.model import Condition, Operator
from salerno.web.conditions import ConditionLine, read_lines
from salerno.web.sessions import Form

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
    "holder": "Name of the data holder",
}
"""Columns of a frame over OMOP data, in words."""

GROUPS, COVARIATES = 4, 6


@dataclass
class FilledFrame:
    """What a sent form says, and what is wrong with it by field."""

    frame: StudyFrame = field(default_factory=StudyFrame)
    errors: dict[str, str] = field(default_factory=dict)


def read_frame(form: Form) -> FilledFrame:
    """The frame of a sent form; ``kind`` is ``omop`` or ``tables``."""
    filled = FilledFrame()
    where = _where(form, filled)
    if form.text("kind") != "omop":
        filled.frame = StudyFrame(table=form.text("table"), where=where)
        return filled
    groups = {}
    for i in range(GROUPS):
        name, event = form.text(f"group-{i}"), _event(form, f"group-{i}", filled)
        if name and event:
            groups[name] = event
        elif name or event:
            filled.errors.setdefault(f"group-{i}", "A group needs a name and concept ids")
    if not groups and not filled.errors:
        filled.errors["group-0"] = "Name at least one group: its persons enter with its first event"
    covariates = []
    for i in range(COVARIATES):
        name, event = form.text(f"covariate-{i}"), _event(form, f"covariate-{i}", filled)
        if name and event:
            days = _days(form, f"covariate-{i}-days", filled)
            covariates.append(Covariate(name=name, event=event, days_before=days))
        elif name or event:
            filled.errors.setdefault(f"covariate-{i}", "A covariate needs a name and concept ids")
    filled.frame = StudyFrame(
        groups=groups,
        washout_days=_days(form, "washout_days", filled) or 0,
        outcome=_event(form, "outcome", filled),
        allow_prior_outcome=form.flag("allow_prior_outcome"),
        follow_up_days=_days(form, "follow_up_days", filled),
        covariates=tuple(covariates),
        where=where,
    )
    return filled


def _event(form: Form, name: str, filled: FilledFrame) -> EventDefinition | None:
    table, text = form.text(f"{name}-table"), form.text(f"{name}-concepts")
    if table == "death":
        return EventDefinition(table=table)
    if not text or table not in EVENT_TABLES:
        return None
    parts = text.replace(",", " ").split()
    if not all(part.isdigit() and len(part) < 12 for part in parts):
        filled.errors[f"{name}-concepts"] = "Write OMOP concept ids as whole numbers with commas between them"
        return None
    return EventDefinition(
        table=table, concepts=tuple(map(int, parts)), descendants=form.flag(f"{name}-descendants")
    )


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
    where = "; ".join(f"{c.column} {c.operator} {c.value}" for c in frame.where)
    if not frame.groups:
        return [("Table", frame.table or "The data set's only one"), ("Only rows with", where)]
    return [
        ("Groups", "; ".join(f"{name}: {event_words(event)}" for name, event in frame.groups.items())),
        ("Without any of these before", f"{frame.washout_days} days" if frame.washout_days else ""),
        ("Outcome", event_words(frame.outcome) if frame.outcome else ""),
        ("Persons with the outcome before", "stay in" if frame.allow_prior_outcome else "are left out"),
        ("Longest follow-up", f"{frame.follow_up_days} days" if frame.follow_up_days else ""),
        ("Covariates", "; ".join(f"{c.name}: {event_words(c.event)}" for c in frame.covariates)),
        ("Only rows with", where),
    ]


def event_words(event: EventDefinition) -> str:
    """An event definition in words."""
    named = EVENT_TABLES.get(event.table, event.table).lower()
    if not event.concepts:
        return named
    more = " with all that fall under them" if event.descendants else ""
    return f"{named} of {', '.join(map(str, event.concepts))}{more}"


def frame_columns(frame: StudyFrame) -> list[tuple[str, str]]:
    """Columns that questions of an OMOP study can name, with their meaning."""
    if not frame.groups:
        return []
    return [
        *OMOP_COLUMNS.items(),
        *((c.name, f"1 with {event_words(c.event)} before") for c in frame.covariates),
    ]
