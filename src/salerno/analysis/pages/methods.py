"""The methods' forms as a table: which fields each question has, what they are called, how they are read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from salerno.web.sessions import Form

Kind = Literal["column", "columns", "one-or-more", "number", "numbers", "text", "choice"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodField:
    """One field of a question's form.

    Args:
        name: Key in the question.
        label: What it asks for.
        kind: ``column`` one column, ``columns`` a list, ``one-or-more`` either, ``number``, ``numbers`` a
            list, ``text``, ``choice``.
        hint: Help.
        default: What the empty form shows.
        optional: Whether the question can do without it.
        options: For a choice: value and label. The value ``null`` is sent as JSON null, empty not at all.
    """

    name: str
    label: str
    kind: Kind = "column"
    hint: str = ""
    default: str = ""
    optional: bool = False
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodForm:
    """The form of one method."""

    name: str
    label: str
    text: str
    fields: tuple[MethodField, ...]


_LIST = "Several columns with commas between them"
_TIME = MethodField(name="time", label="Column with the time", default="time")
_EVENT = MethodField(name="event", label="Column that says whether the event happened", default="status")

FORMS: tuple[MethodForm, ...] = (
    MethodForm(
        name="count", label="Count", text="How many persons there are, in all or by group.",
        fields=(MethodField(name="by", label="By", kind="one-or-more", hint=_LIST, optional=True),),
    ),
    MethodForm(
        name="describe", label="Describe",
        text="Number of values, mean, variance and standard deviation of numeric columns.",
        fields=(
            MethodField(name="variables", label="Columns", kind="columns", hint=_LIST),
            MethodField(name="by", label="By", kind="one-or-more", hint=_LIST, optional=True),
        ),
    ),
    MethodForm(
        name="crosstab", label="Cross table", text="Persons by two categorical columns, with a test.",
        fields=(MethodField(name="rows", label="Rows"), MethodField(name="columns", label="Columns")),
    ),
    MethodForm(
        name="histogram", label="Histogram", text="How the values of a numeric column are spread.",
        fields=(
            MethodField(name="variable", label="Column"),
            MethodField(name="bins", label="Number of bars", kind="number", optional=True),
        ),
    ),
    MethodForm(
        name="quantiles", label="Quantiles",
        text="Median and other quantiles, to the resolution that disclosure control allows.",
        fields=(
            MethodField(name="variable", label="Column"),
            MethodField(
                name="probabilities", label="Probabilities", kind="numbers",
                hint="Between 0 and 1, with commas between them", default="0.05, 0.25, 0.5, 0.75, 0.95",
            ),
        ),
    ),
    MethodForm(
        name="t_test", label="Compare means", text="Difference of the means of two groups (Welch's t-test).",
        fields=(
            MethodField(name="variable", label="Column"),
            MethodField(name="by", label="Column with the two groups"),
        ),
    ),
    MethodForm(
        name="correlation", label="Correlation", text="Pearson correlation of each pair of numeric columns.",
        fields=(MethodField(name="variables", label="Columns", kind="columns", hint=_LIST),),
    ),
    MethodForm(
        name="pca", label="Principal components", text="What several numeric columns have in common.",
        fields=(MethodField(name="variables", label="Columns", kind="columns", hint=_LIST),),
    ),
    MethodForm(
        name="kaplan_meier", label="Survival curves", text="Kaplan-Meier curves with their confidence bands.",
        fields=(
            _TIME, _EVENT,
            MethodField(name="by", label="One curve for each", kind="one-or-more", optional=True),
            MethodField(
                name="grid", label="Width of a step of time", kind="number", optional=True,
                hint="In the unit of the time column, e.g. 30; chosen for you when empty",
            ),
        ),
    ),
    MethodForm(
        name="log_rank", label="Compare survival", text="Log-rank test of whether survival differs by group.",
        fields=(_TIME, _EVENT, MethodField(name="by", label="Column with the groups")),
    ),
    MethodForm(
        name="cox", label="Cox regression", text="Hazard ratios, adjusted for other columns.",
        fields=(
            MethodField(
                name="formula", label="Formula", kind="text", default="Surv(time, status) ~ age + sex",
                hint="Time and event in Surv(…), then the columns with + between them",
            ),
            MethodField(
                name="strata", label="Baseline hazard", kind="choice", optional=True,
                options=(("", "One for each data holder (recommended)"), ("null", "One shared by all")),
            ),
            MethodField(
                name="ties", label="Tied times", kind="choice", optional=True,
                options=(("", "The method's usual way"), ("efron", "Efron"), ("breslow", "Breslow")),
            ),
        ),
    ),
    MethodForm(
        name="glm", label="Regression", text="Linear, logistic or Poisson regression.",
        fields=(
            MethodField(
                name="formula", label="Formula", kind="text", default="status ~ age + sex",
                hint="The outcome, ~, then the columns with + between them",
            ),
            MethodField(
                name="family", label="Kind of outcome", kind="choice",
                options=(
                    ("binomial", "Yes or no (logistic regression)"),
                    ("gaussian", "A measured value (linear regression)"),
                    ("poisson", "A count (Poisson regression)"),
                ),
            ),
            MethodField(name="offset", label="Offset", kind="text", optional=True, hint="Or log(column)"),
            MethodField(name="weights", label="Weights", optional=True),
        ),
    ),
)  # fmt: skip
"""The forms in the order of the menu; the JSON box takes every method, those without a form too."""

FORM_OF: Mapping[str, MethodForm] = {form.name: form for form in FORMS}
METHOD_LABELS: Sequence[tuple[str, str]] = tuple((form.name, form.label) for form in FORMS)
"""Name and label of each method, e.g. for the application form."""


def read_question(form: Form, method: MethodForm) -> tuple[dict[str, Any], dict[str, str]]:
    """The question of a sent form, and what is wrong with it by field.

    Whether columns exist is checked where the dictionary is known: by the method itself.
    """
    question: dict[str, Any] = {"method": method.name}
    errors: dict[str, str] = {}
    for field in method.fields:
        text = form.text(field.name)
        if not text:
            if not field.optional:
                errors[field.name] = f"{field.label}: this is needed"
            continue
        try:
            question[field.name] = _value(text, field.kind)
        except ValueError:
            errors[field.name] = f"{field.label}: write a number" + (
                "s with commas" if "s" in field.kind else ""
            )
    return question, errors


def _value(text: str, kind: Kind) -> Any:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if kind == "columns":
        return parts
    if kind == "one-or-more":
        return parts if len(parts) > 1 else text
    if kind == "number":
        return _number(text)
    if kind == "numbers":
        return [_number(part) for part in parts]
    return None if kind == "choice" and text == "null" else text


def _number(text: str) -> int | float:
    return int(text) if text.lstrip("-").isdigit() else float(text)


def read_json(text: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The question in the JSON box, and what is wrong with it."""
    try:
        question = json.loads(text)
    except ValueError as error:
        return {}, {"json": f"This is not JSON: {error}"}
    if not isinstance(question, dict) or not isinstance(question.get("method"), str):
        return {}, {"json": 'A question is a JSON object with a "method"'}
    return question, {}
