"""The audit log in SQL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    bindparam,
    func,
    insert,
    select,
    text,
)

from salerno.adapters.database import after_rollback
from salerno.audit.model import StoredEntry
from salerno.audit.service import AuditStore
from salerno.kernel.errors import Conflict

metadata = MetaData()

_entries = Table(
    "audit_entry",
    metadata,
    Column("idx", Integer, primary_key=True, autoincrement=False),
    Column("act", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("text", Text, nullable=False),
)
Index("audit_entry_act", _entries.c.act, _entries.c.idx)
Index("audit_entry_subject", _entries.c.subject, _entries.c.idx)

# A perfect subtree is filed under the leaf that completes it, so that rows are only ever added at the end.
_subtrees = Table(
    "audit_subtree",
    metadata,
    Column("last_leaf", Integer, primary_key=True, autoincrement=False),
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("hash", Text, nullable=False),
)

_checkpoints = Table(
    "audit_checkpoint",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("size", Integer, nullable=False),
    Column("note", Text, nullable=False),
)

_LOCK_KEY = 0x5A1E_0A0D
_ONE_WRITER = text("SELECT pg_advisory_xact_lock(:key)")

# What every entry needs is built once: building a statement takes several times as long as running it.
_HIGHEST = select(func.max(_entries.c.idx))
_SUBTREE = select(_subtrees.c.hash).where(
    _subtrees.c.last_leaf == bindparam("leaf"), _subtrees.c.level == bindparam("at_level")
)
_ADD_ENTRY, _ADD_SUBTREE = insert(_entries), insert(_subtrees)


class SqlAuditStore:
    """The log's store on one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def lock(self) -> None:
        """Be the only one who appends until the transaction ends.

        On SQLite the transaction itself holds the write lock.
        """
        if self._connection.dialect.name == "postgresql":
            self._connection.execute(_ONE_WRITER, {"key": _LOCK_KEY})

    def size(self) -> int:
        """Number of entries: one more than the highest index."""
        highest = self._connection.execute(_HIGHEST).scalar_one()
        return 0 if highest is None else int(highest) + 1

    def add(self, entry: StoredEntry, subtrees: list[bytes]) -> None:
        """Store an entry and the perfect subtrees that it completes."""
        self._connection.execute(
            _ADD_ENTRY,
            {"idx": entry.index, "act": entry.act, "subject": entry.subject, "text": entry.text},
        )
        self._connection.execute(
            _ADD_SUBTREE,
            [
                {"last_leaf": entry.index, "level": level, "hash": value.hex()}
                for level, value in enumerate(subtrees)
            ],
        )

    def subtree(self, level: int, position: int) -> bytes:
        """Hash of a perfect subtree.

        Raises:
            Conflict: The store has lost it; `verify` says where.
        """
        last_leaf = ((position + 1) << level) - 1
        key = {"leaf": last_leaf, "at_level": level}
        found = self._connection.execute(_SUBTREE, key).scalar_one_or_none()
        if found is None:
            raise Conflict(
                "audit-broken",
                f"The audit log lacks a hash at entry {last_leaf}",
                remedy="Run 'salerno audit verify' and compare with a back-up.",
            )
        return bytes.fromhex(found)

    def entry(self, index: int) -> StoredEntry | None:
        """The entry at an index."""
        row = self._connection.execute(select(_entries).where(_entries.c.idx == index)).one_or_none()
        return None if row is None else _stored(row)

    def entries(self, *, after: int, limit: int, act: str = "", subject: str = "") -> list[StoredEntry]:
        """Entries with a higher index than `after`, in order."""
        query = select(_entries).where(_entries.c.idx > after).order_by(_entries.c.idx).limit(limit)
        if act:
            query = query.where(_entries.c.act == act)
        if subject:
            query = query.where(_entries.c.subject == subject)
        return [_stored(row) for row in self._connection.execute(query)]

    def subtrees(self, first: int, last: int) -> dict[tuple[int, int], bytes]:
        """Stored subtree hashes by (last leaf, level)."""
        rows = self._connection.execute(
            select(_subtrees).where(_subtrees.c.last_leaf >= first, _subtrees.c.last_leaf <= last)
        )
        return {(row.last_leaf, row.level): _unhex(row.hash) for row in rows}

    def last_leaf(self) -> int:
        """Highest leaf that a stored subtree ends with, -1 without any."""
        highest = self._connection.execute(select(func.max(_subtrees.c.last_leaf))).scalar_one()
        return -1 if highest is None else int(highest)

    def add_checkpoint(self, size: int, note: str) -> None:
        """Keep a checkpoint."""
        self._connection.execute(insert(_checkpoints).values(size=size, note=note))

    def checkpoints(self) -> list[str]:
        """All kept checkpoints, the oldest first."""
        query = select(_checkpoints.c.note).order_by(_checkpoints.c.number)
        return list(self._connection.execute(query).scalars())

    def latest_checkpoint(self) -> str:
        """The checkpoint kept last, empty when there is none."""
        query = select(_checkpoints.c.note).order_by(_checkpoints.c.number.desc()).limit(1)
        return str(self._connection.execute(query).scalar_one_or_none() or "")

    def after_rollback(self, work: Callable[[AuditStore], None]) -> None:
        """Do `work` on a store of its own transaction when this one is rolled back."""
        after_rollback(self._connection, lambda connection: work(SqlAuditStore(connection)))


def _stored(row: Any) -> StoredEntry:
    return StoredEntry(row.idx, row.text, row.act, row.subject)


def _unhex(value: str) -> bytes:
    try:
        return bytes.fromhex(value)
    except ValueError:
        return b""  # spoilt: equals no hash
