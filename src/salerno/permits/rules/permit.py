"""What a permit may hold, given what was asked for; and its state in time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime

from salerno.kernel.errors import Conflict, Invalid, Refused
from salerno.kernel.time import add_months
from salerno.permits.model import (
    CaseKind,
    DataAccessApplication,
    DataPermit,
    DataScope,
    IssuedPermit,
    Outcome,
    PermitState,
)

MAX_PERIOD_MONTHS = 120
"""Longest duration of a permit: ten years (EHDS Art. 68(12))."""

_DURATION = "EHDS Art. 68(12)"

PERMIT_FIELDS: dict[str, tuple[str, ...]] = {
    "a": ("data", "pseudonymised"),
    "b": ("purpose", "purpose_detail"),
    "c": ("opt_out_exception",),
    "d": ("persons",),
    "e": ("valid_from", "valid_until"),
    "f": ("environment", "methods"),
    "g": ("fee_cents",),
    "h": ("conditions", "policy"),
}
"""Fields of a `DataPermit` by letter of EHDS Art. 68(10)."""


def check_narrower(
    permit: DataPermit, application: DataAccessApplication, earlier: DataPermit | None = None
) -> None:
    """Check that a permit gives nothing that was not asked for.

    Args:
        permit: The permit that is to be issued.
        application: What was asked for.
        earlier: The permit that it takes the place of: an amendment ends when that one would have, a renewal
            counts its months from there.

    Raises:
        Refused: ``permit-too-wide``; everything that is not in the application is named at once.
        Invalid: The permit gives no data or no person access, or its period is out of order.
    """
    if not permit.data or not permit.persons:
        raise Invalid(
            "permit-empty",
            "A permit needs at least one data set and one person",
            rule="EHDS Art. 68(10)(a), (d)",
            remedy="Refuse the application instead.",
        )
    if permit.valid_from >= permit.valid_until:
        raise Invalid("permit-period", "The permit ends before it begins", rule="EHDS Art. 68(10)(e)")
    if permit.fee_cents < 0:
        raise Invalid("permit-fee", "A fee is not below zero", rule="EHDS Art. 62")
    excess = list(_excess(permit, application, earlier))
    if excess:
        raise Refused(
            "permit-too-wide",
            f"The permit would give what was not asked for: {'; '.join(excess)}",
            rule="EHDS Art. 66(1), 68(1)(b)",
            remedy="Permit only what the application names, or ask the applicant back.",
        )


def check_earlier(kind: CaseKind, earlier: IssuedPermit, today: date) -> None:
    """Check that another permit can take the place of one (Art. 68(12)).

    Args:
        kind: Amendment or renewal.
        earlier: The permit, in its present state.
        today: The applicant's day.

    Raises:
        Conflict: It does not hold any more, was extended before, or ends within a month.
    """
    permit = earlier.permit
    if earlier.state is not PermitState.GRANTED:
        raise Conflict(
            "permit-ended",
            f"Permit {permit.id} is {earlier.state.value}, so it cannot be changed",
            rule=_DURATION,
            remedy="File a new application.",
        )
    if kind is not CaseKind.RENEWAL:
        return
    if permit.renewals:
        raise Conflict(
            "second-extension",
            f"Permit {permit.id} was extended before, and the law allows one extension",
            rule=_DURATION,
            remedy="File a new application.",
        )
    last = add_months(permit.valid_until.date(), -1)
    if today > last:
        raise Conflict(
            "extension-late",
            f"An extension is asked for a month before the permit's end, here until {last}",
            rule=_DURATION,
            remedy="File a new application.",
        )


def outcome_of(permit: DataPermit, application: DataAccessApplication) -> Outcome:
    """Whether a permit gives all that was asked for, or a part of it."""
    months = min(application.period_months, MAX_PERIOD_MONTHS)
    whole = (
        permit.data == application.data,
        {p.id for p in permit.persons} == {p.id for p in application.persons},
        not permit.methods or set(permit.methods) == set(application.methods),
        permit.replaces or permit.valid_until.date() >= add_months(permit.valid_from.date(), months),
        bool(permit.opt_out_exception) == bool(application.opt_out_exception.strip()),
    )
    return Outcome.FULL if all(whole) else Outcome.PARTIAL


def _excess(
    permit: DataPermit, application: DataAccessApplication, earlier: DataPermit | None
) -> Iterator[str]:
    asked = {scope.dataset: scope for scope in application.data}
    for scope in permit.data:
        if scope.dataset in asked:
            yield from _scope_excess(scope, asked[scope.dataset])
        else:
            yield f"data set {scope.dataset}"
    persons = {person.id for person in application.persons}
    extra = sum(person.id not in persons for person in permit.persons)
    if extra:
        yield f"{extra} person(s) whom the application does not name"
    if application.methods:
        wide = [method for method in permit.methods if method not in application.methods]
        if not permit.methods:
            yield "all methods"
        elif wide:
            yield f"method(s) {', '.join(wide)}"
    if permit.pseudonymised and not application.pseudonymised:
        yield "pseudonymised data"
    if permit.purpose != application.purpose:
        yield f"purpose {permit.purpose.value}"
    if permit.opt_out_exception and not application.opt_out_exception.strip():
        yield "data of opted-out persons"
    months = min(application.period_months, MAX_PERIOD_MONTHS)
    if earlier is None:
        latest, words = add_months(permit.valid_from.date(), months), f"a period of more than {months} months"
    elif permit.renewals == earlier.renewals:
        latest, words = earlier.valid_until.date(), "a period beyond that of the amended permit"
    else:
        latest = add_months(earlier.valid_until.date(), months)
        words = f"an extension of more than {months} months"
    if permit.valid_until.date() > latest:
        yield words


def _scope_excess(given: DataScope, asked: DataScope) -> Iterator[str]:
    if given.holder != asked.holder or given.country != asked.country:
        yield f"data set {given.dataset} of another holder"
    if not any(given.tables.values()):
        yield f"data set {given.dataset} without any column"
    for table, columns in given.tables.items():
        extra = [column for column in columns if column not in asked.tables.get(table, ())]
        if table not in asked.tables:
            yield f"table {table}"
        elif extra:
            yield f"column(s) {', '.join(extra)} of table {table}"
    for table, conditions in asked.rows.items():
        # A narrowed permit keeps the asked conditions and may add some; fewer would let more rows in.
        kept = given.rows.get(table, ())
        if table in given.tables and any(condition not in kept for condition in conditions):
            yield f"rows of table {table} that the application leaves out"
    if asked.covers_from and (given.covers_from is None or given.covers_from < asked.covers_from):
        yield f"records before {asked.covers_from}"
    if asked.covers_to and (given.covers_to is None or given.covers_to > asked.covers_to):
        yield f"records after {asked.covers_to}"


def permit_state(issued: IssuedPermit, now: datetime) -> PermitState:
    """State of a permit at an instant: a revocation stands, otherwise time ends it."""
    if issued.state is PermitState.GRANTED and now >= issued.permit.valid_until:
        return PermitState.EXPIRED
    return issued.state
