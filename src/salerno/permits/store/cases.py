"""Cases, their events, versions and decisions in SQL, the same on SQLite and PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    ForeignKey,
    Index,
    Integer,
    Row,
    Select,
    Table,
    Text,
    func,
    insert,
    select,
    tuple_,
)

from salerno.kernel.errors import Invalid
from salerno.kernel.time import from_text, to_text
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
    Turn,
)
from salerno.permits.rules import CLOSED_STATES, TURNS
from salerno.permits.store.tables import PermitTables, metadata

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


class SqlCases(PermitTables):
    """Implements `service.ports.CaseStore`, but for permits."""

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
