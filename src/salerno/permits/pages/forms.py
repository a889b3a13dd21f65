"""The application form: an application as field values, and sent fields as an application."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, cast

from salerno.catalogue.model import DatasetDescription, Datatype
from salerno.kernel.errors import near
from salerno.permits.model import Condition, DataAccessApplication, DataScope, NamedPerson, Operator
from salerno.permits.model.form import FieldKind, FormField
from salerno.permits.rules import BLANK, find_gaps, sheet_of, with_answer
from salerno.web.conditions import read_lines
from salerno.web.sessions import Form

MOST_PERSONS = 40
BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}

Datasets = Mapping[str, DatasetDescription]


@dataclass
class Filled:
    """What a sent form says.

    Args:
        application: As far as it could be read; fields that could not are as before.
        errors: What could not be read, by form field.
        raw: The text of those fields as it was typed.
    """

    application: DataAccessApplication
    errors: dict[str, str] = field(default_factory=dict)
    raw: dict[str, str] = field(default_factory=dict)


def empty_application(applicant_id: str, name: str) -> DataAccessApplication:
    """An application to begin with: its applicant gets access and leads the work."""
    person = NamedPerson(id=applicant_id, name=name, principal_investigator=True)
    return replace(BLANK, persons=(person,))


def whole_scope(dataset: DatasetDescription) -> DataScope:
    """A data set to be asked for, with no column chosen yet."""
    return DataScope(
        dataset=dataset.iri, holder=dataset.holder.iri, country=dataset.access_body.country, tables={}
    )


def read_application(form: Form, before: DataAccessApplication, datasets: Datasets) -> Filled:
    """The application that a sent form describes.

    Args:
        form: The fields.
        before: The application that the form was made from.
        datasets: The descriptions of the data sets in it, by IRI.
    """
    filled = Filled(before)
    filled.application = replace(before, data=_data(form, before, datasets, filled), persons=_persons(form))
    sheet = sheet_of(before.form)
    countries = sorted({scope.country for scope in filled.application.data})
    for section in sheet.sections:
        for asked in section.fields:
            if asked.kind in (FieldKind.DATASETS, FieldKind.PERSONS):
                continue
            for country in countries if section.per_country else [""]:
                name = input_name(asked, country)
                # A field that was not on the page keeps its answer.
                if name in form or f"asked-{name}" in form:
                    answer = _answer(form, asked, name)
                    filled.application = with_answer(filled.application, asked.id, answer, country)
    return filled


def input_name(field: FormField, country: str = "") -> str:
    """The name of a field's input on the page."""
    return f"{field.id}--{country}" if country else field.id


def _answer(form: Form, field: FormField, name: str) -> Any:
    """The answer as JSON; what cannot be read stays as it was typed."""
    text = form.text(name)
    match field.kind:
        case FieldKind.CHOICES:
            return list(form.many(name)) or None
        case FieldKind.YES_NO:
            return {"yes": True, "no": False}.get(text)
        case FieldKind.CONFIRM:
            return True if text else None
        case FieldKind.NUMBER:
            return int(text) if re.fullmatch(r"-?\d{1,9}", text) else text or None
        case _:
            return text or None


def _persons(form: Form) -> tuple[NamedPerson, ...]:
    persons = []
    for i in range(MOST_PERSONS):
        identifier, name = form.text(f"person-id-{i}"), form.text(f"person-name-{i}")
        if identifier or name:
            persons.append(
                NamedPerson(
                    id=identifier,
                    name=name,
                    function=form.text(f"person-function-{i}"),
                    principal_investigator=form.text("lead") == str(i),
                )
            )
    return tuple(persons)


def _data(
    form: Form, before: DataAccessApplication, datasets: Datasets, filled: Filled
) -> tuple[DataScope, ...]:
    known = {scope.dataset: scope for scope in before.data}
    scopes = []
    action = form.text("action")
    for i, iri in enumerate(form.many("iri")):
        if action == f"remove-{i}":
            continue
        dataset = datasets.get(iri)
        if dataset is None:
            if iri in known:  # withdrawn from the catalogue meanwhile: what was asked for is kept
                scopes.append(known[iri])
            continue
        place = len(scopes)
        scopes.append(
            replace(
                known.get(iri) or whole_scope(dataset),
                tables=read_columns(form.many(f"columns-{i}"), dataset),
                rows=_rows(form.text(f"rows-{i}"), dataset, place, filled, known.get(iri)),
                covers_from=_day(form, f"from-{i}", f"from-{place}", filled),
                covers_to=_day(form, f"to-{i}", f"to-{place}", filled),
            )
        )
    added = datasets.get(form.text("add")) if action == "add" else None
    if added is not None and added.iri not in {s.dataset for s in scopes}:
        scopes.append(whole_scope(added))
    return tuple(scopes)


def read_columns(ticked: Sequence[str], dataset: DatasetDescription) -> dict[str, tuple[str, ...]]:
    """Columns by table from ticked boxes, in the order of the dictionary; unknown ones are left out."""
    chosen = frozenset(ticked)
    tables = {
        table.name: tuple(v.name for v in table.variables if f"{table.name}.{v.name}" in chosen)
        for table in dataset.tables
    }
    return {name: columns for name, columns in tables.items() if columns}


def _day(form: Form, sent: str, shown: str, filled: Filled) -> date | None:
    text = form.text(sent)
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        filled.errors[shown] = "Write the day as year-month-day, e.g. 2019-01-31"
        filled.raw[shown] = text
        return None


def _rows(
    text: str, dataset: DatasetDescription, place: int, filled: Filled, before: DataScope | None
) -> dict[str, tuple[Condition, ...]]:
    try:
        return read_rows(text, dataset)
    except ValueError as error:
        filled.errors[f"rows-{place}"] = str(error)
        filled.raw[f"rows-{place}"] = text
        return before.rows if before else {}


def read_rows(text: str, dataset: DatasetDescription) -> dict[str, tuple[Condition, ...]]:
    """Row conditions by table, from lines such as ``person.year_of_birth >= 1950``.

    Raises:
        ValueError: A line is no condition on a known column; the sentence names it.
    """
    tables = {t.name: {v.name: v for v in t.variables} for t in dataset.tables}
    found: dict[str, list[Condition]] = {}
    for line in read_lines(text):
        table = line.table or (next(iter(tables)) if len(tables) == 1 else "")
        if table not in tables:
            raise ValueError(f"{line.text!r} names no table of the data set. {near(table, tables)}")
        columns = tables[table]
        if line.column not in columns:
            raise ValueError(f"{table} has no column {line.column!r}. {near(line.column, columns)}")
        datatype = columns[line.column].datatype
        try:
            values: list[Any] = [read_value(value, datatype) for value in line.values]
        except ValueError as error:
            said = f"In {line.text!r}, the value does not fit the column, which holds {datatype}"
            raise ValueError(said) from error
        value = values if line.operator == "in" else values[0]
        condition = Condition(column=line.column, operator=cast("Operator", line.operator), value=value)
        found.setdefault(table, []).append(condition)
    return {table: tuple(conditions) for table, conditions in found.items()}


def read_value(text: str, datatype: Datatype) -> str | int | float | bool:
    """A condition's value in the column's type.

    Raises:
        ValueError: The text is none of that type.
    """
    if datatype is Datatype.INTEGER:
        return int(text)
    if datatype is Datatype.NUMBER:
        return float(text)
    if datatype is Datatype.BOOLEAN:
        if text.lower() not in BOOLEANS:
            raise ValueError(text)
        return BOOLEANS[text.lower()]
    return text


def rows_text(scope: DataScope) -> str:
    """A scope's row conditions as the lines that `read_rows` reads."""
    return "\n".join(f"{table}.{condition_text(c)}" for table, listed in scope.rows.items() for c in listed)


def condition_text(condition: Condition) -> str:
    """One condition as people write it."""
    value = condition.value
    shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return f"{condition.column} {condition.operator} {shown}"


def gap_errors(application: DataAccessApplication) -> dict[str, str]:
    """What is missing before the application can be submitted, by form field, each with its article."""
    errors: dict[str, str] = {}
    for gap in find_gaps(application):
        place = form_field(gap.field)
        said = errors.get(place)
        sentence = f"{gap.what} ({gap.rule})"
        errors[place] = f"{said}. {sentence}" if said and sentence not in said else sentence
    return errors


def form_field(path: str) -> str:
    """The input of a path in an application, e.g. ``columns-0`` of ``data[0].tables.person``."""
    match = re.fullmatch(r"data\[(\d+)\]\.(\w+).*", path)
    if match is None:
        return path.split("[")[0].replace("/", "--")
    prefix = {"rows": "rows", "covers_from": "from", "covers_to": "to"}.get(match[2], "columns")
    return f"{prefix}-{match[1]}"
