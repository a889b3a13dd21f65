"""Whether a permit is in force and covers all of a request."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from salerno.holdings.model import AccessRequest, Holding
from salerno.kernel.errors import Refused, near
from salerno.kernel.time import to_text
from salerno.permits.model import DataPermit, DataScope, PermitState

Columns = Mapping[str, Collection[str]]
"""Column names by table."""


def scope_for(permit: DataPermit, dataset: str, own_did: str) -> DataScope:
    """The part of a permit that is about one data set of this holder.

    Args:
        permit: A verified permit.
        dataset: IRI of the data set; empty means the only one of this holder.
        own_did: DID of this holder.

    Raises:
        Refused: ``permit-other-holder`` or ``permit-other-dataset``.
    """
    own = [scope for scope in permit.data if scope.holder == own_did]
    if not own:
        raise Refused(
            "permit-other-holder",
            f"Permit {permit.id} names no data of this holder",
            rule="EHDS Art. 68(10)(a)",
            remedy="Ask the holder that the permit names, or apply for data of this one.",
        )
    matching = [scope for scope in own if scope.dataset == dataset] if dataset else own
    if len(matching) != 1:
        named = ", ".join(scope.dataset for scope in own)
        raise Refused(
            "permit-other-dataset",
            f"Permit {permit.id} does not cover data set {dataset or '(none was named)'}",
            rule="EHDS Art. 68(10)(a)",
            remedy=f"Of this holder it covers: {named}.",
        )
    return matching[0]


def check_permit_live(permit: DataPermit, now: datetime, state: PermitState = PermitState.GRANTED) -> None:
    """Refuse when a permit is not in force at an instant.

    Args:
        permit: A verified permit.
        now: The present instant.
        state: What its access body says about it at the moment.

    Raises:
        Refused: ``permit-revoked``, ``permit-not-yet-valid`` or ``permit-expired``.
    """
    if state is PermitState.REVOKED:
        raise Refused(
            "permit-revoked",
            f"Permit {permit.id} has been revoked by its access body",
            rule="EHDS Art. 63(3)",
            remedy="Ask the access body for its reasons; a new application is possible.",
        )
    if now < permit.valid_from:
        raise Refused(
            "permit-not-yet-valid",
            f"Permit {permit.id} begins on {to_text(permit.valid_from)[:10]}",
            rule="EHDS Art. 68(12)",
            remedy="Ask again from that day on.",
        )
    if now >= permit.valid_until or state is PermitState.EXPIRED:
        raise Refused(
            "permit-expired",
            f"Permit {permit.id} ended on {to_text(permit.valid_until)[:10]}",
            rule="EHDS Art. 68(12)",
            remedy="Ask for an extension before the end date, or apply again.",
        )


def check_permit_covers(
    permit: DataPermit,
    request: AccessRequest,
    holding: Holding,
    now: datetime,
    own_did: str,
    *,
    state: PermitState = PermitState.GRANTED,
    needed: Columns | None = None,
) -> DataScope:
    """Refuse a request that goes beyond its permit in any way.

    Args:
        permit: A verified permit.
        request: What is asked for, by whom, for what.
        holding: The data set to be read.
        now: The present instant.
        own_did: DID of this holder.
        state: What the access body says about the permit at the moment.
        needed: Columns by table that the request's frame is computed from.

    Returns:
        The part of the permit that covers the data set.

    Raises:
        Refused: With a code of its own for each way to be outside the permit.
    """
    check_permit_live(permit, now, state)
    scope = scope_for(permit, request.dataset or holding.dataset, own_did)
    if scope.dataset != holding.dataset:
        raise Refused(
            "permit-other-dataset",
            f"Permit {permit.id} does not cover data set {holding.dataset}",
            rule="EHDS Art. 68(10)(a)",
            remedy=f"Of this holder it covers: {scope.dataset}.",
        )
    if request.user not in {person.id for person in permit.persons}:
        raise Refused(
            "permit-other-user",
            f"Permit {permit.id} does not name {request.user} among the persons who get access",
            rule="EHDS Art. 68(10)(d)",
            remedy="Have the applicant add the person to the permit.",
        )
    if request.purpose != permit.purpose:
        raise Refused(
            "permit-other-purpose",
            f"Permit {permit.id} is for the purpose {permit.purpose.value!r}, not {request.purpose!r}",
            rule="EHDS Art. 61(1), 68(10)(b)",
            remedy="State the permit's purpose, or apply for the other one.",
        )
    if request.environment != permit.environment:
        raise Refused(
            "permit-other-environment",
            f"Permit {permit.id} lets {permit.environment} coordinate, not {request.environment}",
            rule="EHDS Art. 68(10)(f), 73(1)",
            remedy="Run the study in the environment that the permit names.",
        )
    if request.method and permit.methods and request.method not in permit.methods:
        raise Refused(
            "permit-other-method",
            f"Permit {permit.id} does not permit the method {request.method!r}",
            rule="EHDS Art. 68(10)(f)",
            remedy=f"{near(request.method, permit.methods)} Permitted: {', '.join(sorted(permit.methods))}.",
        )
    check_columns(permit.id, scope, needed or {})
    return scope


def check_columns(permit_id: str, scope: DataScope, needed: Columns) -> None:
    """Refuse when a column is needed that the permit does not name.

    Raises:
        Refused: ``permit-column``; the tables and columns outside the permit are named.
    """
    outside = {
        table: sorted(set(columns) - set(scope.tables.get(table, ())))
        for table, columns in sorted(needed.items())
    }
    named = [f"{table}.{column}" for table, columns in outside.items() for column in columns]
    if named:
        raise Refused(
            "permit-column",
            f"Permit {permit_id} does not cover {', '.join(named)} of {scope.dataset}",
            rule="EHDS Art. 66(1), 68(10)(a)",
            remedy="Leave out what needs these columns, or have the access body extend the permit.",
        )


def check_enough_persons(n_persons: int, min_cell: int) -> None:
    """Refuse a view of so few persons that any answer could point at one of them; none at all is fine.

    Raises:
        Refused: ``too-few-persons``; the number itself is not told.
    """
    if 0 < n_persons < min_cell:
        raise Refused(
            "too-few-persons",
            f"Fewer than {min_cell} persons of this holder meet the conditions",
            rule="EHDS Art. 73(2); threshold of the access body's and the holder's policy",
            remedy="Widen the conditions.",
        )
