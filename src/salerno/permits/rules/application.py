"""What a complete application holds: every answer that its form asks for, and answers that fit each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from salerno.kernel.codes import COUNTRIES
from salerno.kernel.errors import Invalid
from salerno.permits.model import DataAccessApplication, DataScope
from salerno.permits.rules.forms import asked, form_gaps, sheet_of


@dataclass(frozen=True, slots=True)
class Gap:
    """A missing or wrong answer.

    Args:
        field: Path in the application: a field of its form, with the country behind a slash where each one is
            answered by itself, or a place in it, e.g. ``data[0].tables``.
        what: What is wrong, as one sentence without values.
        rule: The article that asks for it.
    """

    field: str
    what: str
    rule: str


def _persons(application: DataAccessApplication) -> Iterator[tuple[str, str]]:
    persons = application.persons
    for index, person in enumerate(persons):
        if not person.id.strip() or not person.name.strip():
            yield f"persons[{index}]", "Each person needs an account identifier and a name"
    if len({person.id for person in persons}) < len(persons):
        yield "persons", "Each person is named once"
    # One person alone leads the work; among several the applicant says who does.
    leading = sum(person.principal_investigator for person in persons)
    if leading > 1 or (leading == 0 and len(persons) > 1):
        yield "persons", "Mark exactly one person as principal investigator"


def _purpose(application: DataAccessApplication) -> Iterator[tuple[str, str]]:
    if application.purpose.public_bodies_only and not application.is_public_body:
        yield "purpose", "This purpose is open to public bodies only (EHDS Art. 53(2))"


def _data(application: DataAccessApplication) -> Iterator[tuple[str, str]]:
    for index, scope in enumerate(application.data):
        yield from _scope(f"data[{index}]", scope)
    keys = [scope.dataset for scope in application.data]
    if len(set(keys)) < len(keys):
        yield "data", "Each data set is named once"


def _scope(place: str, scope: DataScope) -> Iterator[tuple[str, str]]:
    if not scope.dataset.strip():
        yield f"{place}.dataset", "The data set is missing"
    if not scope.holder.startswith("did:"):
        yield f"{place}.holder", "The holder's DID is missing"
    if scope.country not in COUNTRIES:
        yield f"{place}.country", "The country is no Member State's code"
    if not scope.tables:
        yield f"{place}.tables", "Name the tables and columns that are needed"
    for table, columns in scope.tables.items():
        if not columns:
            yield f"{place}.tables.{table}", "Name the columns that are needed of this table"
    for table, conditions in scope.rows.items():
        if table not in scope.tables:
            yield f"{place}.rows.{table}", "There are row conditions on a table that is not asked for"
        for condition in conditions:
            if isinstance(condition.value, list) != (condition.operator == "in"):
                yield (
                    f"{place}.rows.{table}",
                    "A list of values goes with 'in', and only with it",
                )
    if scope.covers_from and scope.covers_to and scope.covers_from > scope.covers_to:
        yield f"{place}.covers_to", "The time range ends before it begins"


def _methods(application: DataAccessApplication) -> Iterator[tuple[str, str]]:
    if any(not method.strip() for method in application.methods):
        yield "methods", "A method has no name"


_DEEPER: Mapping[str, Callable[[DataAccessApplication], Iterator[tuple[str, str]]]] = {
    "persons": _persons,
    "data": _data,
    "purpose": _purpose,
    "methods": _methods,
}
"""What an answer means beside its own form, by field."""


def find_gaps(application: DataAccessApplication) -> tuple[Gap, ...]:
    """Every missing or wrong answer, in the order of the form; empty when the application is complete."""
    wrong = {(field.id, country): what for field, country, what in form_gaps(application)}
    return tuple(_gaps(application, wrong))


def _gaps(application: DataAccessApplication, wrong: Mapping[tuple[str, str], str]) -> Iterator[Gap]:
    for field, country in asked(sheet_of(application.form), application):
        rule = f"EHDS {field.rule}" if field.rule else "Common form, TEHDAS2 M6.3"
        what = wrong.get((field.id, country))
        if what:
            yield Gap(f"{field.id}/{country}" if country else field.id, what, rule)
        elif field.id in _DEEPER:
            for place, sentence in _DEEPER[field.id](application):
                yield Gap(place, sentence, rule)


def check_complete(application: DataAccessApplication) -> None:
    """Refuse an incomplete application, naming all its gaps at once.

    Raises:
        Invalid: ``application-incomplete``, with every field and its letter.
    """
    gaps = find_gaps(application)
    if gaps:
        listed = "; ".join(f"{gap.field}: {gap.what} ({gap.rule})" for gap in gaps)
        raise Invalid(
            "application-incomplete",
            f"The application has {len(gaps)} missing or wrong field(s): {listed}",
            rule="EHDS Art. 67(2)",
            remedy="Save the draft with these fields filled in, then submit it again.",
        )


def part_for(application: DataAccessApplication, country: str) -> DataAccessApplication:
    """The application with the data sets of one country and what was answered for it."""
    by_country = sheet_of(application.form).per_country
    answers = {
        name: {country: answer[country]} if name in by_country else answer
        for name, answer in application.answers.items()
        if name not in by_country or country in answer
    }
    data = tuple(scope for scope in application.data if scope.country == country)
    return replace(application, data=data, answers=answers)
