"""A question from its form: the fields are the method's parameters."""

from __future__ import annotations

import json
from typing import Any

from salerno.analysis.methods import METHODS
from salerno.analysis.model import Method, ParameterKind
from salerno.web.sessions import Form


def method_labels() -> list[tuple[str, str]]:
    """Name and label of each method by name, e.g. for the application form."""
    return [(name, method.LABEL) for name, method in METHODS.items()]


GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Counts and tables", ("count", "crosstab", "histogram", "attrition")),
    ("Describe", ("describe", "quantiles", "characteristics", "large_scale_characteristics", "correlation")),
    ("Compare", ("t_test", "log_rank", "meta")),
    ("Survival", ("kaplan_meier", "competing_risks", "restricted_mean", "cox")),
    ("Regression", ("glm", "lmm")),
    ("Patterns and prediction", ("pca", "kmeans", "boosting", "evaluate", "federated_learning")),
    ("Populations", ("incidence", "prevalence")),
    (
        "Cohorts and treatments",
        ("cohort_overlap", "cohort_timing", "drug_utilisation", "treatment_patterns"),
    ),
)
"""Menu of methods by what one wants to know; a method that is in none of them stands under the last title."""

OTHERS = "More methods"


def method_menu() -> list[tuple[str, list[tuple[str, str]]]]:
    """Name and label of each method under the titles of the menu."""
    left = dict(method_labels())
    menu = [(title, [(n, left.pop(n)) for n in names if n in left]) for title, names in GROUPS]
    menu.append((OTHERS, list(left.items())))
    return [(title, entries) for title, entries in menu if entries]


def about(method: Method) -> str:
    """What a method answers, in a sentence: the first line of its documentation."""
    return (method.__doc__ or "").strip().partition("\n")[0]


def read_question(form: Form, method: Method) -> tuple[dict[str, Any], dict[str, str]]:
    """The question of a sent form, and what is wrong with it by field.

    Whether columns exist is checked where the dictionary is known: by the method itself.
    """
    question: dict[str, Any] = {"method": method.NAME}
    errors: dict[str, str] = {}
    for field in method.PARAMETERS:
        text = ", ".join(value for value in form.many(field.name) if value.strip())
        if not text and field.kind == "formula":
            text = _built_formula(form, field.name)
        if not text:
            if not field.optional:
                errors[field.name] = f"{field.label}: this is needed"
            continue
        try:
            question[field.name] = _value(text, field.kind)
        except ValueError:
            errors[field.name] = f"{field.label}: write {_WANTED.get(field.kind, 'a number')}"
    return question, errors


def _built_formula(form: Form, name: str) -> str:
    """The formula of columns that were chosen instead of written; empty when none was."""
    outcome = form.text(f"{name}-outcome")
    time, event = form.text(f"{name}-time"), form.text(f"{name}-event")
    if time and event:
        outcome = f"Surv({time}, {event})"
    terms = [term for term in form.many(f"{name}-terms") if term]
    return f"{outcome} ~ {' + '.join(terms) or '1'}" if outcome else ""


_WANTED = {"numbers": "numbers with commas", "object": "JSON"}


def _value(text: str, kind: ParameterKind) -> Any:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if kind == "columns":
        return parts
    if kind == "one-or-more":
        return parts if len(parts) > 1 else text
    if kind == "number":
        return _number(text)
    if kind == "numbers":
        return [_number(part) for part in parts]
    if kind == "object":
        return json.loads(text)
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
