"""Reading forms and answers: what is asked, what an answer may be, and what is missing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from functools import cache
from importlib import resources
from typing import Any, get_type_hints

from salerno.kernel.codes import COUNTRIES, Purpose
from salerno.kernel.errors import Invalid, NotFound, near
from salerno.kernel.values import from_json, from_plain, to_json
from salerno.permits.model import DataAccessApplication
from salerno.permits.model.form import FieldKind, FormField, FormSheet

CURRENT = "application/1"
"""The form that new applications are written on."""

_FOLDER = "forms"
_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
_NOTHING: tuple[Any, ...] = (None, "", [], (), {})
_OPTIONS = {
    "purposes": [[purpose.value, purpose.label] for purpose in Purpose],
    "methods": [],  # whatever methods the nodes offer; they are known above this floor alone
}
_TYPES = get_type_hints(DataAccessApplication)
_TYPED = {
    f.name.replace("_", "-"): f.name
    for f in fields(DataAccessApplication)
    if f.name not in ("form", "answers")
}


@cache
def forms() -> Mapping[str, FormSheet]:
    """Every form that this version knows, by `FormSheet.key`."""
    found = {}
    for file in (resources.files("salerno.permits") / _FOLDER).iterdir():
        if file.name.endswith(".json"):
            form = parse_form(file.read_text(encoding="utf-8"))
            found[form.key] = form
    return found


def sheet_of(key: str) -> FormSheet:
    """A form by name and version.

    Raises:
        NotFound: This version does not know it.
    """
    if key not in forms():
        raise NotFound("no-such-form", f"There is no form {key!r}", remedy=near(key, forms()))
    return forms()[key]


def parse_form(text: str) -> FormSheet:
    """A form from its JSON.

    Raises:
        Invalid: It has not the shape of a form, names a field twice, or depends on one that it does not have.
    """
    said = from_json(text, dict[str, Any], what="the form")
    for section in said.get("sections", ()):
        for raw in section.get("fields", ()):
            if isinstance(raw.get("options"), str):
                raw["options"] = _OPTIONS[raw["options"]]
            if "when" in raw:
                raw["when"] = {"field": raw["when"]["field"], "is_": raw["when"]["is"]}
    form = from_plain(said, FormSheet, what="the form")
    named = [field.id for section in form.sections for field in section.fields]
    twice = sorted({name for name in named if named.count(name) > 1})
    if twice:
        raise Invalid("field-twice", f"The form names the field {twice[0]!r} twice")
    for field in form.by_id.values():
        if field.when and field.when.field not in form.by_id:
            raise Invalid("unknown-field", f"{field.id!r} depends on a field that the form does not have")
    return form


def field_of(form: FormSheet, field_id: str) -> FormField:
    """A field by its name.

    Raises:
        Invalid: The form has none of this name; the nearest is named.
    """
    if field_id not in form.by_id:
        raise Invalid(
            "unknown-field",
            f"The form {form.key} has no field {field_id!r}",
            remedy=near(field_id, form.by_id),
        )
    return form.by_id[field_id]


def answer_of(application: DataAccessApplication, field_id: str, country: str = "") -> Any:
    """The answer to a field as JSON; what cannot be read is as it was written. None when there is none."""
    if field_id in application.answers:
        answer = application.answers[field_id]
        return answer.get(country) if country and isinstance(answer, dict) else answer
    name = _TYPED.get(field_id)
    # As JSON would give it back: lists, not tuples.
    return from_json(to_json(getattr(application, name)), Any, what="the answer") if name else None


def answers_of(application: DataAccessApplication) -> dict[str, Any]:
    """All answers by field, as JSON."""
    form = sheet_of(application.form)
    found = {field_id: answer_of(application, field_id) for field_id in form.by_id}
    return {field_id: answer for field_id, answer in found.items() if answer not in _NOTHING}


def with_answer(
    application: DataAccessApplication, field_id: str, answer: Any, country: str = ""
) -> DataAccessApplication:
    """The application with one answer more; an answer that cannot be used is kept as it was written.

    Args:
        application: What was answered so far.
        field_id: Name of the field.
        answer: JSON of any shape; None takes the answer back.
        country: For fields that each country is answered by itself.

    Raises:
        Invalid: The form has no such field, or a country is missing or given without need.
    """
    form = sheet_of(application.form)
    field = field_of(form, field_id)
    if bool(country) != (field_id in form.per_country):
        what = "one answer holds for all countries" if country else "say for which country"
        raise Invalid("answer-country", f"{field.label}: {what}")
    answers = {name: value for name, value in application.answers.items() if name != field_id}
    if country:
        before = application.answers.get(field_id, {})
        kept = {code: value for code, value in before.items() if code != country}
        kept |= {} if answer is None else {country: answer}
        return replace(application, answers=answers | ({field_id: kept} if kept else {}))
    name = _TYPED.get(field_id)
    if name is None:
        return replace(application, answers=answers | ({} if answer is None else {field_id: answer}))
    empty = _EMPTY[name]
    if answer is None:
        return replace(application, answers=answers, **{name: empty})
    try:
        if problem_of(field, answer):
            raise Invalid("answer", problem_of(field, answer))
        typed = from_plain(answer, _TYPES[name], what=field.label)
    except Invalid:
        return replace(application, answers=answers | {field_id: answer}, **{name: empty})
    return replace(application, answers=answers, **{name: typed})


def with_answers(answers: Mapping[str, Any], form: str = CURRENT) -> DataAccessApplication:
    """An application out of answers by field; those by country are objects with a member per country.

    Raises:
        Invalid: A field is unknown.
    """
    known = sheet_of(form)
    application = replace(BLANK, form=form)
    for field_id, answer in answers.items():
        if field_id in known.per_country and isinstance(answer, Mapping):
            for country, one in answer.items():
                application = with_answer(application, field_id, one, country)
        else:
            application = with_answer(application, field_id, answer)
    return application


def confirmations(form: FormSheet) -> tuple[str, ...]:
    """The fields in which an applicant confirms something."""
    return tuple(field.id for field in form.by_id.values() if field.kind is FieldKind.CONFIRM)


def asked(form: FormSheet, application: DataAccessApplication) -> Iterator[tuple[FormField, str]]:
    """The fields that are asked, given the other answers, each with its country or an empty text."""
    countries = sorted({scope.country for scope in application.data})
    for section in form.sections:
        for field in section.fields:
            for country in countries if section.per_country else [""]:
                if is_asked(form, field, application, country):
                    yield field, country


def is_asked(form: FormSheet, field: FormField, application: DataAccessApplication, country: str) -> bool:
    """Whether a field is asked, given what it depends on."""
    if field.when is None:
        return True
    by = country if field.when.field in form.per_country else ""
    answer = answer_of(application, field.when.field, by)
    return ("" if answer is None else answer) in field.when.is_


def form_gaps(application: DataAccessApplication) -> Iterator[tuple[FormField, str, str]]:
    """Fields whose answer is missing or cannot be used: field, country, and a sentence without values."""
    form = sheet_of(application.form)
    for field, country in asked(form, application):
        answer = answer_of(application, field.id, country)
        if isinstance(answer, str) and not answer.strip():
            answer = ""
        if answer in _NOTHING or (field.kind is FieldKind.CONFIRM and answer is False):
            missing = "has to be confirmed" if field.kind is FieldKind.CONFIRM else "is missing"
            problem = missing if field.required else ""
        else:
            problem = problem_of(field, answer)
            if not problem and field.id in _TYPED and field.id in application.answers:
                problem = "this cannot be read"
        if problem:
            yield field, country, f"{field.label}: {problem}"


def problem_of(field: FormField, answer: Any) -> str:
    """Why an answer cannot be used, in words without its value; empty when it can."""
    kind = field.kind
    if kind in (FieldKind.YES_NO, FieldKind.CONFIRM):
        return "" if isinstance(answer, bool) else "answer yes or no"
    if kind is FieldKind.NUMBER:
        return _number_problem(field, answer)
    if kind in (FieldKind.DATASETS, FieldKind.PERSONS, FieldKind.CHOICES):
        return "" if isinstance(answer, list | tuple) else "a list is expected"
    if not isinstance(answer, str):
        return "a text is expected"
    if kind is FieldKind.CHOICE and answer not in {value for value, _ in field.options}:
        return "choose one of those that are offered"
    if kind is FieldKind.COUNTRY and answer not in COUNTRIES and not re.fullmatch("[A-Z]{2}", answer):
        return "give the two letters of a country"
    if kind is FieldKind.EMAIL and not _EMAIL.fullmatch(answer):
        return "this is no e-mail address"
    if field.pattern and answer and not re.fullmatch(field.pattern, answer):
        return "this has not the right form"
    return ""


def _number_problem(field: FormField, answer: Any) -> str:
    if not isinstance(answer, int) or isinstance(answer, bool):
        return "a whole number is expected"
    if field.least is not None and answer < field.least:
        return f"at least {field.least}"
    if field.most is not None and answer > field.most:
        return f"at most {field.most}"
    return ""


BLANK = DataAccessApplication(
    title="",
    applicant="",
    contact_email="",
    persons=(),
    purpose=Purpose.RESEARCH,
    intended_use="",
    expected_benefit="",
    data=(),
    pseudonymised=False,
)
"""Nothing is answered yet."""

_EMPTY = {f.name: getattr(BLANK, f.name) for f in fields(DataAccessApplication)}
