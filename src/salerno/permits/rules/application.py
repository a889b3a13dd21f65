"""What a complete application holds: the fields of Art. 67(2) as a table of checks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from salerno.kernel.codes import COUNTRIES
from salerno.kernel.errors import Invalid
from salerno.permits.model import DataAccessApplication, DataScope
from salerno.permits.rules.permit import MAX_PERIOD_MONTHS

_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")


@dataclass(frozen=True, slots=True)
class Gap:
    """A missing or wrong field.

    Args:
        field: Path in the application, e.g. ``data[0].tables``.
        letter: Letter of Art. 67(2), or ``67(4)``.
        what: What is wrong, as one sentence without values.
    """

    field: str
    letter: str
    what: str

    @property
    def rule(self) -> str:
        """The rule with its source."""
        return f"EHDS Art. 67(2)({self.letter})" if len(self.letter) == 1 else f"EHDS Art. {self.letter}"


def _text(field: str, what: str) -> Callable[[DataAccessApplication], Iterator[tuple[str, str]]]:
    def check(application: DataAccessApplication) -> Iterator[tuple[str, str]]:
        if not getattr(application, field).strip():
            yield field, what

    return check


def _contact(application: DataAccessApplication) -> Iterator[tuple[str, str]]:
    if not _EMAIL.fullmatch(application.contact_email):
        yield "contact_email", "An e-mail address for questions is missing or has no right form"


def _persons(application: DataAccessApplication) -> Iterator[tuple[str, str]]:
    persons = application.persons
    if not persons:
        yield "persons", "Name at least one person who gets access"
        return
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
    if not application.data:
        yield "data", "Name at least one data set"
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


def _not_anonymised(application: DataAccessApplication) -> Iterator[tuple[str, str]]:
    if application.pseudonymised and not application.why_not_anonymised.strip():
        yield "why_not_anonymised", "Say why anonymised data are not enough"


def _gdpr(application: DataAccessApplication) -> Iterator[tuple[str, str]]:
    if application.pseudonymised and not application.gdpr_basis.strip():
        yield "gdpr_basis", "Name the legal basis under GDPR Art. 6(1) for pseudonymised data"


def _period(application: DataAccessApplication) -> Iterator[tuple[str, str]]:
    if not 1 <= application.period_months <= MAX_PERIOD_MONTHS:
        yield "period_months", f"The period is 1 to {MAX_PERIOD_MONTHS} months (EHDS Art. 68(12))"


def _methods(application: DataAccessApplication) -> Iterator[tuple[str, str]]:
    if any(not method.strip() for method in application.methods):
        yield "methods", "A method has no name"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of Art. 67(2): its letter, what it holds in our words, and the check of it."""

    letter: str
    name: str
    label: str
    check: Callable[[DataAccessApplication], Iterator[tuple[str, str]]]


def _optional(_: DataAccessApplication) -> Iterator[tuple[str, str]]:
    return iter(())


APPLICATION_FIELDS: tuple[Field, ...] = (
    Field("a", "title", "Name of the project", _text("title", "The project needs a title")),
    Field("a", "applicant", "Who applies", _text("applicant", "Say who applies")),
    Field("a", "contact_email", "Contact for questions", _contact),
    Field("a", "persons", "Persons who get access", _persons),
    Field("b", "purpose", "Purpose", _purpose),
    Field("c", "intended_use", "Intended use", _text("intended_use", "Say what the data are for")),
    Field("c", "expected_benefit", "Expected benefit", _text("expected_benefit", "Say whom it helps")),
    Field("d", "data", "Data sets, tables, columns, rows and time range", _data),
    Field("e", "why_not_anonymised", "Why anonymised data are not enough", _not_anonymised),
    Field("f", "own_datasets", "Own data sets brought in", _optional),
    Field("g", "safeguards", "Safeguards against misuse", _text("safeguards", "Describe the safeguards")),
    Field("h", "period_months", "Period of processing, months", _period),
    Field("i", "methods", "Analysis methods and tools", _methods),
    Field("j", "ethics_assessment", "Ethics assessment, where national law asks for it", _optional),
    Field("k", "opt_out_exception", "Reason for an exception from the opt-out", _optional),
    Field("67(4)", "gdpr_basis", "Legal basis under GDPR Art. 6(1)", _gdpr),
)  # fmt: skip
"""The fields of Art. 67(2), in its order; forms, errors and tests are made from this table."""


def find_gaps(application: DataAccessApplication) -> tuple[Gap, ...]:
    """Every missing or wrong field, in the order of Art. 67(2); empty when the application is complete."""
    return tuple(
        Gap(place, field.letter, what)
        for field in APPLICATION_FIELDS
        for place, what in field.check(application)
    )


def check_complete(application: DataAccessApplication) -> None:
    """Refuse an incomplete application, naming all its gaps at once.

    Raises:
        Invalid: ``application-incomplete``, with every field and its letter.
    """
    gaps = find_gaps(application)
    if gaps:
        listed = "; ".join(f"({gap.letter}) {gap.field}: {gap.what}" for gap in gaps)
        raise Invalid(
            "application-incomplete",
            f"The application has {len(gaps)} missing or wrong field(s): {listed}",
            rule="EHDS Art. 67(2)",
            remedy="Save the draft with these fields filled in, then submit it again.",
        )


def part_for(application: DataAccessApplication, country: str) -> DataAccessApplication:
    """The application with the data sets of one country alone."""
    return replace(application, data=tuple(scope for scope in application.data if scope.country == country))
