"""Holdings in the node's database."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    Table,
    Text,
    delete,
    insert,
    select,
    update,
)

from salerno.holdings.model import App, Deletion, Holding
from salerno.kernel.time import from_text, to_text
from salerno.kernel.values import from_json, to_json
from salerno.permits.model import DisclosurePolicy

metadata = MetaData()

holdings_holding = Table(
    "holdings_holding",
    metadata,
    Column("id", Text, primary_key=True),
    Column("dataset", Text, nullable=False, unique=True),
    Column("title", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("source", Text, nullable=False),  # an address can hold a password: it stays in this table
    Column("kind", Text, nullable=False),
    Column("person_column", Text, nullable=False),
    Column("date_column", Text, nullable=False),
    Column("personal", Text, nullable=False),
    Column("policy", Text, nullable=False),
    Column("connected_at", Text, nullable=False, index=True),
)

holdings_app = Table(
    "holdings_app",
    metadata,
    Column("holding", Text, primary_key=True),
    Column("digest", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("python", Text, nullable=False),
    Column("allowed_at", Text, nullable=False),
    Column("bundle", LargeBinary, nullable=False),
)


holdings_deletion = Table(
    "holdings_deletion",
    metadata,
    Column("entry", Integer, primary_key=True, autoincrement=False),
    Column("permit", Text, nullable=False),
    Column("deleted_at", Text, nullable=False),
    Column("files", Integer, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("digest", Text, nullable=False),
    Column("sent_at", Text, nullable=False),  # empty until the access body has the proof
)


class SqlHoldingStore:
    """`HoldingStore` on one SQLAlchemy connection, whose transaction is the caller's."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, holding: Holding) -> None:
        """Keep a new holding."""
        self._connection.execute(
            insert(holdings_holding).values(
                id=holding.id,
                dataset=holding.dataset,
                title=holding.title,
                description=holding.description,
                source=holding.source,
                kind=holding.kind,
                person_column=holding.person_column,
                date_column=holding.date_column,
                personal="yes" if holding.personal else "no",
                policy=to_json(holding.policy).decode(),
                connected_at=to_text(holding.connected_at),
            )
        )

    def set_policy(self, holding_id: str, policy: DisclosurePolicy) -> None:
        """Give a holding another policy."""
        self._connection.execute(
            update(holdings_holding)
            .where(holdings_holding.c.id == holding_id)
            .values(policy=to_json(policy).decode())
        )

    def holding(self, holding_id: str) -> Holding | None:
        """The holding of this id."""
        row = self._connection.execute(
            select(holdings_holding).where(holdings_holding.c.id == holding_id)
        ).first()
        return None if row is None else _holding(row)

    def holdings(self) -> list[Holding]:
        """All, oldest first."""
        ordered = select(holdings_holding).order_by(holdings_holding.c.connected_at, holdings_holding.c.id)
        return [_holding(row) for row in self._connection.execute(ordered)]

    def allow(self, app: App) -> None:
        """Keep an app that may run on its holding, in place of an entry of the same digest."""
        self.forbid(app.holding, app.digest)
        self._connection.execute(
            insert(holdings_app).values(
                holding=app.holding,
                digest=app.digest,
                name=app.name,
                version=app.version,
                python=app.python,
                allowed_at=to_text(app.allowed_at),
                bundle=app.bundle,
            )
        )

    def forbid(self, holding_id: str, digest: str) -> None:
        """Forget one."""
        this = (holdings_app.c.holding == holding_id) & (holdings_app.c.digest == digest)
        self._connection.execute(delete(holdings_app).where(this))

    def apps(self, holding_id: str) -> list[App]:
        """Apps that may run on a holding, oldest first."""
        ordered = select(holdings_app).order_by(holdings_app.c.allowed_at, holdings_app.c.digest)
        rows = self._connection.execute(ordered.where(holdings_app.c.holding == holding_id))
        return [
            App(
                holding=row.holding,
                digest=row.digest,
                name=row.name,
                version=row.version,
                python=row.python,
                allowed_at=from_text(row.allowed_at),
                bundle=bytes(row.bundle),
            )
            for row in rows
        ]

    def add_deletion(self, deletion: Deletion) -> None:
        """Keep what was deleted."""
        self._connection.execute(
            insert(holdings_deletion).values(
                entry=deletion.entry,
                permit=deletion.permit,
                deleted_at=to_text(deletion.deleted_at),
                files=deletion.files,
                size_bytes=deletion.size_bytes,
                digest=deletion.digest,
                sent_at=to_text(deletion.sent_at) if deletion.sent_at else "",
            )
        )

    def note_sent(self, entry: int, at: datetime) -> None:
        """Note when the access body had the proof of a deletion."""
        this = holdings_deletion.c.entry == entry
        self._connection.execute(update(holdings_deletion).where(this).values(sent_at=to_text(at)))

    def deletions(self) -> list[Deletion]:
        """All, oldest first."""
        rows = self._connection.execute(select(holdings_deletion).order_by(holdings_deletion.c.entry))
        return [
            Deletion(
                permit=row.permit,
                deleted_at=from_text(row.deleted_at),
                files=row.files,
                size_bytes=row.size_bytes,
                digest=row.digest,
                entry=row.entry,
                sent_at=from_text(row.sent_at) if row.sent_at else None,
            )
            for row in rows
        ]


def _holding(row: Row[tuple[str, ...]]) -> Holding:
    return Holding(
        id=row.id,
        dataset=row.dataset,
        title=row.title,
        source=row.source,
        kind=row.kind,
        connected_at=from_text(row.connected_at),
        person_column=row.person_column,
        description=row.description,
        policy=from_json(row.policy, DisclosurePolicy, what="the stored policy"),
        personal=row.personal == "yes",
        date_column=row.date_column,
    )
