"""Opt-outs and the secrets of an access body in SQL."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    Index,
    Integer,
    Row,
    Table,
    Text,
    insert,
    select,
    update,
)

from salerno.kernel.time import from_text, to_text
from salerno.permits.model import (
    OptOut,
)
from salerno.permits.store.tables import PermitTables, metadata

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


class SqlOptOuts(PermitTables):
    """Implements `service.ports.OptOutStore`."""

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


def _opt_out(row: Row[Any]) -> OptOut:
    return OptOut(
        person=row.person,
        since=from_text(row.since),
        until=from_text(row.until) if row.until else None,
        level=row.level,
        receipt=row.receipt,
        reversal_receipt=row.reversal_receipt,
    )
