"""Cases, permits and opt-outs in SQL, the same on SQLite and PostgreSQL."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Row,
    Table,
    Text,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from salerno.adapters.jobs import enqueue
from salerno.kernel.time import Clock, from_text, to_text
from salerno.kernel.values import from_json, to_json
from salerno.permits.model import Case, DataAccessApplication, Decision, IssuedPermit, OptOut

metadata = MetaData()

_cases = Table(
    "permits_case",
    metadata,
    Column("id", Text, primary_key=True),
    Column("applicant_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("value", Text, nullable=False),
)
Index("permits_case_applicant", _cases.c.applicant_id, _cases.c.created_at)

_versions = Table(
    "permits_version",
    metadata,
    Column("case_id", Text, ForeignKey("permits_case.id"), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("saved_at", Text, nullable=False),
    Column("application", Text, nullable=False),
)

_decisions = Table(
    "permits_decision",
    metadata,
    Column("case_id", Text, ForeignKey("permits_case.id"), primary_key=True),
    Column("decided_at", Text, nullable=False),
    Column("value", Text, nullable=False),
)

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

_opt_outs = Table(
    "permits_opt_out",
    metadata,
    Column("id", Text, primary_key=True),
    Column("person", Text, nullable=False),
    Column("since", Text, nullable=False),
    Column("until", Text, nullable=False),  # empty while it stands
    Column("receipt", Integer, nullable=False),
    Column("reversal_receipt", Integer),
    Column("level", Text, nullable=False, server_default=""),  # empty for all secondary use
)
Index("permits_opt_out_person", _opt_outs.c.person, _opt_outs.c.since)
# One open period per person and level, also when two requests of the same person meet.
Index(
    "permits_opt_out_open",
    _opt_outs.c.person,
    _opt_outs.c.level,
    unique=True,
    sqlite_where=_opt_outs.c.until == "",
    postgresql_where=_opt_outs.c.until == "",
)

_secrets = Table(
    "permits_secret",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)


class SqlPermitStore:
    """Implements `service.PermitStore` on one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def case(self, case_id: str) -> Case | None:
        """See `service.ports.CaseStore`."""
        row = self._one(select(_cases.c.value).where(_cases.c.id == case_id).with_for_update())
        return None if row is None else from_json(row.value, Case, what="the stored case")

    def cases(self, *, applicant_id: str | None = None) -> list[Case]:
        """See `service.ports.CaseStore`."""
        query = select(_cases.c.value).order_by(_cases.c.created_at.desc(), _cases.c.id.desc())
        if applicant_id is not None:
            query = query.where(_cases.c.applicant_id == applicant_id)
        rows = self._connection.execute(query)
        return [from_json(row.value, Case, what="the stored case") for row in rows]

    def put_case(self, case: Case) -> None:
        """See `service.ports.CaseStore`."""
        values = {
            "applicant_id": case.applicant_id,
            "state": case.state.value,
            "created_at": to_text(case.created_at),
            "value": to_json(case).decode(),
        }
        self._put(_cases, {"id": case.id}, values)

    def add_version(
        self, case_id: str, version: int, application: DataAccessApplication, saved_at: datetime
    ) -> None:
        """See `service.ports.CaseStore`."""
        values = {"saved_at": to_text(saved_at), "application": to_json(application).decode()}
        self._put(_versions, {"case_id": case_id, "version": version}, values, overwrite=False)

    def application(self, case_id: str, version: int) -> DataAccessApplication | None:
        """See `service.ports.CaseStore`."""
        row = self._one(
            select(_versions.c.application).where(
                _versions.c.case_id == case_id, _versions.c.version == version
            )
        )
        if row is None:
            return None
        return from_json(row.application, DataAccessApplication, what="the stored application")

    def add_decision(self, decision: Decision) -> None:
        """See `service.ports.CaseStore`."""
        self._connection.execute(
            insert(_decisions).values(
                case_id=decision.case_id,
                decided_at=to_text(decision.decided_at),
                value=to_json(decision).decode(),
            )
        )

    def decision(self, case_id: str) -> Decision | None:
        """See `service.ports.CaseStore`."""
        row = self._one(select(_decisions.c.value).where(_decisions.c.case_id == case_id))
        return None if row is None else from_json(row.value, Decision, what="the stored decision")

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

    def permits(self, *, person_id: str | None = None) -> list[IssuedPermit]:
        """See `service.ports.CaseStore`."""
        query = select(_permits.c.value).order_by(_permits.c.approved_at.desc(), _permits.c.id.desc())
        if person_id is not None:
            query = query.join(_permit_persons, _permit_persons.c.permit_id == _permits.c.id).where(
                _permit_persons.c.person_id == person_id
            )
        rows = self._connection.execute(query)
        return [from_json(row.value, IssuedPermit, what="the stored permit") for row in rows]

    def opt_out_secret(self) -> bytes:
        """See `service.ports.OptOutStore`."""
        # Two first calls at once agree on the one that was stored.
        self._put(_secrets, {"name": "opt-out"}, {"value": secrets.token_hex(32)}, overwrite=False)
        row = self._connection.execute(select(_secrets.c.value).where(_secrets.c.name == "opt-out")).one()
        return bytes.fromhex(row.value)

    def opt_outs(self, person: str | None = None) -> list[OptOut]:
        """See `service.ports.OptOutStore`."""
        query = select(_opt_outs).order_by(_opt_outs.c.since, _opt_outs.c.id)
        if person is not None:
            query = query.where(_opt_outs.c.person == person)
        return [_opt_out(row) for row in self._connection.execute(query)]

    def add_opt_out(self, opt_out_id: str, opt_out: OptOut) -> None:
        """See `service.ports.OptOutStore`."""
        self._connection.execute(
            insert(_opt_outs).values(
                id=opt_out_id,
                person=opt_out.person,
                since=to_text(opt_out.since),
                until=to_text(opt_out.until) if opt_out.until else "",
                level=opt_out.level,
                receipt=opt_out.receipt,
                reversal_receipt=opt_out.reversal_receipt,
            )
        )

    def end_opt_out(self, person: str, level: str, until: datetime, receipt: int) -> None:
        """See `service.ports.OptOutStore`."""
        self._connection.execute(
            update(_opt_outs)
            .where(_opt_outs.c.person == person, _opt_outs.c.level == level, _opt_outs.c.until == "")
            .values(until=to_text(until), reversal_receipt=receipt)
        )

    def opt_out_id(self, person: str, level: str) -> str:
        """See `service.ports.OptOutStore`."""
        row = self._one(
            select(_opt_outs.c.id).where(
                _opt_outs.c.person == person, _opt_outs.c.level == level, _opt_outs.c.until == ""
            )
        )
        return "" if row is None else str(row.id)

    def opted_out(self, at: datetime, *, except_levels: Collection[str] = ()) -> Iterable[str]:
        """See `service.ports.OptOutStore`."""
        # Texts of instants sort as the instants do.
        instant = to_text(at)
        query = select(_opt_outs.c.person).where(
            _opt_outs.c.since <= instant,
            (_opt_outs.c.until == "") | (_opt_outs.c.until > instant),
            _opt_outs.c.level.not_in(list(except_levels)),
        )
        return self._connection.execute(query).scalars()

    def _one(self, query: Any) -> Row[Any] | None:
        return self._connection.execute(query).one_or_none()

    def _put(
        self, table: Table, key: Mapping[str, Any], values: Mapping[str, Any], *, overwrite: bool = True
    ) -> None:
        make = sqlite.insert if self._connection.dialect.name == "sqlite" else postgresql.insert
        statement = make(table).values(**key, **values)
        if overwrite:
            statement = statement.on_conflict_do_update(index_elements=list(key), set_=dict(values))
        else:
            statement = statement.on_conflict_do_nothing(index_elements=list(key))
        self._connection.execute(statement)


class TransactionJobs:
    """Implements `service.JobQueue`: a job is stored in the transaction of the act that asks for it."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    def enqueue(self, kind: str, payload: dict[str, Any], *, key: str) -> None:
        """See `service.ports.JobQueue`."""
        enqueue(self._connection, kind, payload, key=key, clock=self._clock)


def _opt_out(row: Row[Any]) -> OptOut:
    return OptOut(
        person=row.person,
        since=from_text(row.since),
        until=from_text(row.until) if row.until else None,
        level=row.level,
        receipt=row.receipt,
        reversal_receipt=row.reversal_receipt,
    )
