"""Permits, and what comes after them, in SQL."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from sqlalchemy import (
    Column,
    ForeignKey,
    Integer,
    Table,
    Text,
    select,
)

from salerno.kernel.time import to_text
from salerno.kernel.values import from_json, to_json
from salerno.permits.model import (
    DeletionProof,
    IssuedPermit,
    PermitState,
    Reidentification,
)
from salerno.permits.store.tables import PermitTables, metadata

_permits = Table(
    "permits_permit",
    metadata,
    Column("id", Text, primary_key=True),
    Column("case_id", Text, nullable=False),
    Column("approved_at", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("value", Text, nullable=False),
)

_permit_persons = Table(
    "permits_permit_person",
    metadata,
    Column("person_id", Text, primary_key=True),
    Column("permit_id", Text, ForeignKey("permits_permit.id"), primary_key=True),
)

_status = Table(
    "permits_status",
    metadata,
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("permit", Text, nullable=False, unique=True),
)

_deletions = Table(
    "permits_deletion",
    metadata,
    Column("permit", Text, primary_key=True),
    Column("holder", Text, primary_key=True),
    Column("entry", Integer, primary_key=True, autoincrement=False),
    Column("deleted_at", Text, nullable=False),
    Column("value", Text, nullable=False),
)

_reidentifications = Table(
    "permits_reidentification",
    metadata,
    Column("id", Text, primary_key=True),
    Column("asked_at", Text, nullable=False),
    Column("value", Text, nullable=False),
)


class SqlPermits(PermitTables):
    """Permits, their places in the status list, proofs of deletion, re-identifications."""

    def put_permit(self, issued: IssuedPermit) -> None:
        """See `service.ports.CaseStore`."""
        permit = issued.permit
        values = {
            "case_id": permit.application_id,
            "approved_at": to_text(permit.approved_at),
            "state": issued.state.value,
            "value": to_json(issued).decode(),
        }
        self._put(_permits, {"id": permit.id}, values)
        for person_id in {person.id for person in permit.persons}:
            key = {"person_id": person_id, "permit_id": permit.id}
            self._put(_permit_persons, key, {}, overwrite=False)

    def permit(self, permit_id: str) -> IssuedPermit | None:
        """See `service.ports.CaseStore`."""
        row = self._one(select(_permits.c.value).where(_permits.c.id == permit_id).with_for_update())
        return None if row is None else from_json(row.value, IssuedPermit, what="the stored permit")

    def permits(
        self, *, person_id: str | None = None, ids: Sequence[str] | None = None
    ) -> list[IssuedPermit]:
        """See `service.ports.CaseStore`."""
        query = select(_permits.c.value).order_by(_permits.c.approved_at.desc(), _permits.c.id.desc())
        if ids is not None:
            query = query.where(_permits.c.id.in_(ids))
        if person_id is not None:
            query = query.join(_permit_persons, _permit_persons.c.permit_id == _permits.c.id).where(
                _permit_persons.c.person_id == person_id
            )
        rows = self._connection.execute(query)
        return [from_json(row.value, IssuedPermit, what="the stored permit") for row in rows]

    def status_place(self, permit_id: str, most: int) -> int:
        """See `service.ports.EndingStore`."""
        own = select(_status.c.place).where(_status.c.permit == permit_id)
        while (row := self._one(own)) is None:
            # A place that is taken is left alone, and another one drawn.
            self._put(_status, {"place": secrets.randbelow(most)}, {"permit": permit_id}, overwrite=False)
        return int(row.place)

    def revoked_places(self) -> list[int]:
        """See `service.ports.EndingStore`."""
        query = (
            select(_status.c.place)
            .join(_permits, _permits.c.id == _status.c.permit)
            .where(_permits.c.state.not_in([PermitState.GRANTED.value, PermitState.EXPIRED.value]))
            .order_by(_status.c.place)
        )
        return [int(place) for place in self._connection.execute(query).scalars()]

    def add_deletion(self, proof: DeletionProof) -> None:
        """See `service.ports.EndingStore`."""
        key = {"permit": proof.permit, "holder": proof.holder, "entry": proof.receipt.index}
        values = {"deleted_at": to_text(proof.deleted_at), "value": to_json(proof).decode()}
        self._put(_deletions, key, values, overwrite=False)

    def deletions(self, permit_id: str) -> list[DeletionProof]:
        """See `service.ports.EndingStore`."""
        query = (
            select(_deletions.c.value)
            .where(_deletions.c.permit == permit_id)
            .order_by(_deletions.c.deleted_at, _deletions.c.holder)
        )
        rows = self._connection.execute(query).scalars()
        return [from_json(value, DeletionProof, what="the stored proof") for value in rows]

    def put_reidentification(self, one: Reidentification) -> None:
        """See `service.ports.EndingStore`."""
        values = {"asked_at": to_text(one.asked_at), "value": to_json(one).decode()}
        self._put(_reidentifications, {"id": one.id}, values)

    def reidentification(self, id: str) -> Reidentification | None:
        """See `service.ports.EndingStore`."""
        row = self._one(
            select(_reidentifications.c.value).where(_reidentifications.c.id == id).with_for_update()
        )
        return None if row is None else from_json(row.value, Reidentification, what="the stored value")

    def reidentifications(self) -> list[Reidentification]:
        """See `service.ports.EndingStore`."""
        query = select(_reidentifications.c.value).order_by(
            _reidentifications.c.asked_at, _reidentifications.c.id
        )
        rows = self._connection.execute(query).scalars()
        return [from_json(value, Reidentification, what="the stored value") for value in rows]
