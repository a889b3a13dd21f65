"""Cases, permits and opt-outs in SQL, the same on SQLite and PostgreSQL."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Row,
    Select,
    Table,
    Text,
    func,
    insert,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from salerno.adapters.jobs import enqueue
from salerno.kernel.errors import Invalid
from salerno.kernel.time import Clock, from_text, to_text
from salerno.kernel.values import from_json, to_json
from salerno.permits.model import (
    ApplicationState,
    BoardView,
    Case,
    CaseEvent,
    CaseKind,
    CaseLine,
    CasePage,
    CountryStatus,
    DataAccessApplication,
    Decision,
    DeletionProof,
    IssuedPermit,
    OptOut,
    PermitState,
    Reidentification,
    Turn,
)
from salerno.permits.rules import CLOSED_STATES, TURNS

metadata = MetaData()

_cases = Table(
    "permits_case",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("applicant_id", Text, nullable=False),
    Column("applicant", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("words", Text, nullable=False),  # what a search looks in, folded
    Column("state", Text, nullable=False),
    Column("open", Integer, nullable=False),
    Column("turn", Text, nullable=False),
    Column("proposed", Integer, nullable=False),
    Column("assignee", Text, nullable=False),
    Column("due", Text, nullable=False),  # LATER where nothing runs
    Column("created_at", Text, nullable=False),
    Column("submitted_at", Text, nullable=False),  # empty before
    Column("updated_at", Text, nullable=False),
    Column("countries", Text, nullable=False),
    Column("value", Text, nullable=False),
)
Index("permits_case_applicant", _cases.c.applicant_id, _cases.c.created_at)
# The whole board is read from this index alone.
Index(
    "permits_case_board",
    *(_cases.c[name] for name in ("open", "due", "id", "assignee", "proposed", "state")),
)
Index("permits_case_closed", _cases.c.open, _cases.c.updated_at, _cases.c.id)
Index("permits_case_submitted", _cases.c.submitted_at, _cases.c.id)

_events = Table(
    "permits_event",
    metadata,
    Column("case_id", Text, ForeignKey("permits_case.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at", Text, nullable=False),
    Column("act", Text, nullable=False),
    Column("value", Text, nullable=False),
)

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
    Column("number", Integer, primary_key=True, autoincrement=False),
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

    def put_case(self, case: Case, updated_at: datetime) -> None:
        """See `service.ports.CaseStore`."""
        asked, handling = case.application, case.handling
        due = min((s.due for s in case.countries.values() if s.due), default=None)
        values = {
            "kind": case.kind.value,
            "applicant_id": case.applicant_id,
            "applicant": asked.applicant,
            "title": asked.title,
            "words": f"{asked.title}\n{asked.applicant}\n{case.id}".casefold(),
            "state": case.state.value,
            "open": int(case.state not in CLOSED_STATES),
            "turn": TURNS[case.state].value,
            "proposed": int(handling.proposal is not None),
            "assignee": handling.assignee,
            "due": due.isoformat() if due else _LATER,
            "created_at": to_text(case.created_at),
            "submitted_at": to_text(case.submitted_at) if case.submitted_at else "",
            "updated_at": to_text(updated_at),
            "countries": to_json({c: replace(s, decision="") for c, s in case.countries.items()}).decode(),
            "value": to_json(case).decode(),
        }
        self._put(_cases, {"id": case.id}, values)

    def lines(
        self,
        view: BoardView | None,
        *,
        applicant_id: str = "",
        officer: str = "",
        text: str = "",
        today: date | None = None,
        after: str = "",
        limit: int,
    ) -> CasePage:
        """See `service.ports.CaseStore`."""
        c = _cases.c
        query = select(*(column for column in c if column.name not in ("value", "words")))
        if applicant_id:
            query = query.where(c.applicant_id == applicant_id)
        if view is not None:
            query = query.where(*_of_view(view, officer, today))
        if text.strip():
            query = query.where(c.words.contains(text.strip().casefold(), autoescape=True))
        column, newest = (c.due, False) if view else (c.created_at, True)
        if view is BoardView.CLOSED:
            column, newest = c.updated_at, True
        rows, further = self._page(query, column, newest=newest, after=after, limit=limit)
        return CasePage(lines=tuple(_line(row) for row in rows), next=further)

    def counts(self, *, officer: str, today: date) -> dict[BoardView, int]:
        """See `service.ports.CaseStore`."""
        counted = (
            select(func.count()).select_from(_cases).where(*_of_view(view, officer, today)).scalar_subquery()
            for view in BoardView
        )
        row = self._connection.execute(select(*counted)).one()
        return dict(zip(BoardView, row, strict=True))

    def received(self, *, after: str = "", limit: int) -> tuple[list[Case], str]:
        """See `service.ports.CaseStore`."""
        query = select(_cases.c.id, _cases.c.submitted_at, _cases.c.value).where(_cases.c.submitted_at != "")
        rows, further = self._page(query, _cases.c.submitted_at, newest=True, after=after, limit=limit)
        return [from_json(row.value, Case, what="the stored case") for row in rows], further

    def add_event(self, case_id: str, event: CaseEvent) -> None:
        """See `service.ports.CaseStore`."""
        number = self._connection.execute(
            select(func.coalesce(func.max(_events.c.number), 0) + 1).where(_events.c.case_id == case_id)
        ).scalar_one()
        self._connection.execute(
            insert(_events).values(
                case_id=case_id,
                number=number,
                at=to_text(event.at),
                act=event.act,
                value=to_json(replace(event, number=number)).decode(),
            )
        )

    def events(self, case_id: str) -> list[CaseEvent]:
        """See `service.ports.CaseStore`."""
        query = select(_events.c.value).where(_events.c.case_id == case_id).order_by(_events.c.number)
        return [_event(row) for row in self._connection.execute(query)]

    def last_event(self, case_id: str) -> CaseEvent | None:
        """See `service.ports.CaseStore`."""
        query = select(_events.c.value).where(_events.c.case_id == case_id)
        row = self._one(query.order_by(_events.c.number.desc()).limit(1))
        return None if row is None else _event(row)

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
                number=decision.number,
                decided_at=to_text(decision.decided_at),
                value=to_json(decision).decode(),
            )
        )

    def decisions(self, case_id: str) -> list[Decision]:
        """See `service.ports.CaseStore`."""
        query = select(_decisions.c.value).where(_decisions.c.case_id == case_id)
        rows = self._connection.execute(query.order_by(_decisions.c.number))
        return [from_json(row.value, Decision, what="the stored decision") for row in rows]

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

    def secret(self, name: str) -> bytes:
        """See `service.ports.OptOutStore`."""
        # Two first calls at once agree on the one that was stored.
        self._put(_secrets, {"name": name}, {"value": secrets.token_hex(32)}, overwrite=False)
        row = self._connection.execute(select(_secrets.c.value).where(_secrets.c.name == name)).one()
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

    def _page(
        self, query: Select[Any], column: Column[Any], *, newest: bool, after: str, limit: int
    ) -> tuple[list[Row[Any]], str]:
        """A part of a list that is ordered by a column and the identifier, and what asks for the next one."""
        key = tuple_(column, _cases.c.id)
        if after:
            place = _place(after)
            query = query.where(key < place if newest else key > place)
        order = (column.desc(), _cases.c.id.desc()) if newest else (column, _cases.c.id)
        rows = list(self._connection.execute(query.order_by(*order).limit(limit + 1)))
        if len(rows) <= limit:
            return rows, ""
        last = rows[limit - 1]
        return rows[:limit], f"{getattr(last, column.name)}~{last.id}"

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


_LATER = "9999-12-31"
"""Where nothing runs: sorts behind every day."""


def _of_view(view: BoardView, officer: str, today: date | None) -> tuple[ColumnElement[bool], ...]:
    c = _cases.c
    still_open = c.open == 1
    match view:
        case BoardView.OPEN:
            return (still_open,)
        case BoardView.MINE:
            return still_open, c.assignee == officer
        case BoardView.UNASSIGNED:
            return still_open, c.assignee == ""
        case BoardView.OVERDUE:
            return still_open, c.due < (today.isoformat() if today else "")
        case BoardView.PROPOSED:
            return still_open, c.proposed == 1
        case BoardView.AWAITING:
            return still_open, c.state == ApplicationState.AWAITING_INFORMATION.value
        case BoardView.CLOSED:
            return (c.open == 0,)


def _place(after: str) -> tuple[str, str]:
    value, _, id = after.partition("~")
    if not id:
        raise Invalid("wrong-page", "There is no such page", remedy="Begin with the first one.")
    return value, id


def _line(row: Row[Any]) -> CaseLine:
    return CaseLine(
        id=row.id,
        kind=CaseKind(row.kind),
        title=row.title,
        applicant=row.applicant,
        state=ApplicationState(row.state),
        turn=Turn(row.turn),
        countries=from_json(row.countries, dict[str, CountryStatus], what="the stored states"),
        created_at=from_text(row.created_at),
        updated_at=from_text(row.updated_at),
        submitted_at=from_text(row.submitted_at) if row.submitted_at else None,
        due=None if row.due == _LATER else date.fromisoformat(row.due),
        assignee=row.assignee,
        proposed=bool(row.proposed),
    )


def _event(row: Row[Any]) -> CaseEvent:
    return from_json(row.value, CaseEvent, what="the stored event")


def _opt_out(row: Row[Any]) -> OptOut:
    return OptOut(
        person=row.person,
        since=from_text(row.since),
        until=from_text(row.until) if row.until else None,
        level=row.level,
        receipt=row.receipt,
        reversal_receipt=row.reversal_receipt,
    )
