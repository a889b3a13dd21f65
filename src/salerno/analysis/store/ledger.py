"""A holder's ledger, in SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, or_, select

from salerno.analysis.service.entries import Entry, Refusal, StoredSet
from salerno.analysis.store import tables as t
from salerno.analysis.store.texts import text
from salerno.kernel.time import from_text, to_text
from salerno.kernel.values import from_json

_AT_ONCE = 500


class SqlLedgerStore:
    """The ledger's store on one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def secret(self, dataset: str) -> bytes:
        """The key of the persons' numbers of a data set; empty when there is none yet."""
        found = self._connection.scalar(
            select(t.ledger_secret.c.secret).where(t.ledger_secret.c.dataset == dataset)
        )
        return bytes(found or b"")

    def set_secret(self, dataset: str, secret: bytes) -> None:
        """Keep a new key."""
        self._connection.execute(insert(t.ledger_secret).values(dataset=dataset, secret=secret))

    def entries(
        self, *, dataset: str = "", user: str = "", permit: str = "", refused: bool | None = None
    ) -> list[Entry]:
        """Entries of a data set by a user or under a permit, oldest first; without either, of anybody."""
        c = t.ledger_entry.c
        query = select(t.ledger_entry).order_by(c.id)
        if dataset:
            query = query.where(c.dataset == dataset)
        whose = [column == value for column, value in ((c.user_id, user), (c.permit, permit)) if value]
        if whose:
            query = query.where(or_(*whose))
        if refused is not None:
            query = query.where(c.refusal != "null" if refused else c.refusal == "null")
        return [_entry(row) for row in self._connection.execute(query)]

    def sets(self, entries: Sequence[int]) -> list[StoredSet]:
        """The sets of entries, by entry and family."""
        found: list[StoredSet] = []
        for start in range(0, len(entries), _AT_ONCE):
            c = t.ledger_set.c
            rows = self._connection.execute(
                select(t.ledger_set)
                .where(c.entry.in_(entries[start : start + _AT_ONCE]))
                .order_by(c.entry, c.family, c.number)
            )
            found += [
                StoredSet(
                    entry=row.entry,
                    family=row.family,
                    cell=None
                    if row.cell == "null"
                    else tuple(from_json(row.cell, list[str | None], what="the cell")),
                    size=row.size,
                    rows=row.rows,
                    numbering=row.numbering,
                    digest=row.digest,
                )
                for row in rows
            ]
        return found

    def bitmap(self, digest: str) -> bytes:
        """One set's persons."""
        return bytes(
            self._connection.execute(
                select(t.ledger_persons.c.bitmap).where(t.ledger_persons.c.digest == digest)
            ).scalar_one()
        )

    def noise(self, key: str) -> bytes:
        """Noise that was drawn before; empty when none was."""
        found = self._connection.scalar(select(t.ledger_noise.c.noise).where(t.ledger_noise.c.key == key))
        return bytes(found or b"")

    def set_noise(self, key: str, noise: bytes) -> None:
        """Keep new noise."""
        self._connection.execute(insert(t.ledger_noise).values(key=key, noise=noise))

    def add(self, entry: Entry, sets: Sequence[StoredSet], bitmaps: Mapping[str, bytes]) -> int:
        """Keep an entry with its sets and return its number."""
        added = self._connection.execute(
            insert(t.ledger_entry).values(
                coordinator=entry.coordinator,
                question_id=entry.question_id,
                run=entry.run,
                user_id=entry.user,
                permit=entry.permit,
                dataset=entry.dataset,
                frame=entry.frame,
                question=text(entry.question),
                columns=text(entry.columns),
                measures=text(entry.measures),
                holders=text(entry.holders),
                asked_at=to_text(entry.asked_at),
                until=to_text(entry.until),
                epsilon=repr(entry.epsilon),
                refusal=text(entry.refusal),
            )
        )
        assert added.inserted_primary_key is not None
        number = int(added.inserted_primary_key[0])
        known = self._known(list(bitmaps))
        new = [{"digest": key, "bitmap": data} for key, data in bitmaps.items() if key not in known]
        if new:
            self._connection.execute(insert(t.ledger_persons), new)
        rows = [
            {
                "entry": number,
                "number": place,
                "family": one.family,
                "cell": text(one.cell),
                "size": one.size,
                "rows": one.rows,
                "numbering": one.numbering,
                "digest": one.digest,
            }
            for place, one in enumerate(sets)
        ]
        if rows:
            self._connection.execute(insert(t.ledger_set), rows)
        return number

    def purge(self, now: datetime) -> None:
        """Drop entries whose time has come, and persons of sets that no entry has."""
        old = select(t.ledger_entry.c.id).where(t.ledger_entry.c.until < to_text(now))
        if self._connection.scalar(old.limit(1)) is None:
            return
        self._connection.execute(delete(t.ledger_set).where(t.ledger_set.c.entry.in_(old)))
        self._connection.execute(delete(t.ledger_entry).where(t.ledger_entry.c.until < to_text(now)))
        self._connection.execute(
            delete(t.ledger_persons).where(t.ledger_persons.c.digest.notin_(select(t.ledger_set.c.digest)))
        )

    def _known(self, digests: Sequence[str]) -> set[str]:
        known: set[str] = set()
        for start in range(0, len(digests), _AT_ONCE):
            c = t.ledger_persons.c
            known |= set(
                self._connection.scalars(
                    select(c.digest).where(c.digest.in_(digests[start : start + _AT_ONCE]))
                )
            )
        return known


def _entry(row: Row[Any]) -> Entry:
    return Entry(
        id=row.id,
        coordinator=row.coordinator,
        question_id=row.question_id,
        run=row.run,
        user=row.user_id,
        permit=row.permit,
        dataset=row.dataset,
        frame=row.frame,
        question=from_json(row.question, dict[str, Any], what="the question"),
        columns=from_json(row.columns, tuple[str, ...], what="the columns"),
        measures=from_json(row.measures, tuple[str, ...], what="the columns"),
        holders=from_json(row.holders, tuple[str, ...], what="the holders"),
        asked_at=from_text(row.asked_at),
        until=from_text(row.until),
        epsilon=float(row.epsilon),
        refusal=None if row.refusal == "null" else from_json(row.refusal, Refusal, what="the refusal"),
    )
