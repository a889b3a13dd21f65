"""Descriptions and harvest states in SQL; the description itself is JSON text."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Column, Connection, MetaData, Table, Text, delete, insert, select, text, update

from salerno.catalogue.model import DatasetDescription
from salerno.catalogue.service import HarvestState, StoredDataset
from salerno.kernel.ids import new_id
from salerno.kernel.values import from_json, to_json

metadata = MetaData()

_datasets = Table(
    "catalogue_dataset",
    metadata,
    Column("iri", Text, primary_key=True),
    Column("source", Text, nullable=False, index=True),
    Column("digest", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("stored_at", Text, nullable=False),
)

_harvests = Table(
    "catalogue_harvest",
    metadata,
    Column("source", Text, primary_key=True),
    Column("state", Text, nullable=False),
)

# A counter would come back after a rollback and then name other content, so the stamp is drawn anew.
_stamps = Table(
    "catalogue_stamp",
    metadata,
    Column("name", Text, primary_key=True),
    Column("stamp", Text, nullable=False),
)

_LOCK_KEY = 0x5A1E_CA7A
_ONE_WRITER = text("SELECT pg_advisory_xact_lock(:key)")
_CHUNK = 500


class SqlCatalogueStore:
    """The catalogue's store on one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def lock(self) -> None:
        """Be the only writer until the transaction ends; on SQLite the transaction itself is."""
        if self._connection.dialect.name == "postgresql":
            self._connection.execute(_ONE_WRITER, {"key": _LOCK_KEY})

    def stamp(self) -> str:
        """A text that differs after every committed change."""
        found = self._connection.execute(select(_stamps.c.stamp).where(_stamps.c.name == "datasets"))
        return str(found.scalar_one_or_none() or "")

    def entry(self, iri: str) -> StoredDataset | None:
        """Who told of a data set."""
        query = select(_datasets.c.iri, _datasets.c.source, _datasets.c.digest).where(_datasets.c.iri == iri)
        row = self._connection.execute(query).one_or_none()
        return None if row is None else StoredDataset(iri=row.iri, source=row.source, digest=row.digest)

    def listing(self) -> list[StoredDataset]:
        """All data sets by IRI."""
        query = select(_datasets.c.iri, _datasets.c.source, _datasets.c.digest)
        rows = self._connection.execute(query).all()
        # Ordered here: collations of databases differ.
        return sorted(
            (StoredDataset(iri=row.iri, source=row.source, digest=row.digest) for row in rows),
            key=lambda entry: entry.iri,
        )

    def load(self, iris: Iterable[str]) -> list[DatasetDescription]:
        """Descriptions of those of the IRIs that are stored."""
        wanted = list(iris)
        found: list[DatasetDescription] = []
        for first in range(0, len(wanted), _CHUNK):
            query = select(_datasets.c.description).where(_datasets.c.iri.in_(wanted[first : first + _CHUNK]))
            found += [
                from_json(body, DatasetDescription, what="the stored description")
                for body in self._connection.execute(query).scalars()
            ]
        return found

    def put(self, description: DatasetDescription, *, source: str, digest: str, stored_at: str) -> None:
        """Store or replace a description."""
        values = {
            "source": source,
            "digest": digest,
            "description": to_json(description).decode(),
            "stored_at": stored_at,
        }
        replaced = self._connection.execute(
            update(_datasets).where(_datasets.c.iri == description.iri).values(**values)
        )
        if replaced.rowcount == 0:
            self._connection.execute(insert(_datasets).values(iri=description.iri, **values))
        self._restamp()

    def remove(self, iri: str) -> None:
        """Remove a description."""
        self._connection.execute(delete(_datasets).where(_datasets.c.iri == iri))
        self._restamp()

    def harvest_state(self, source: str) -> HarvestState | None:
        """What is remembered of the last harvest of a source."""
        query = select(_harvests.c.state).where(_harvests.c.source == source)
        body = self._connection.execute(query).scalar_one_or_none()
        return None if body is None else from_json(body, HarvestState, what="the stored harvest")

    def harvest_states(self) -> list[HarvestState]:
        """The same of all sources, by DID."""
        bodies = self._connection.execute(select(_harvests.c.state)).scalars()
        states = [from_json(body, HarvestState, what="the stored harvest") for body in bodies]
        return sorted(states, key=lambda state: state.source)

    def put_harvest_state(self, state: HarvestState) -> None:
        """Remember it."""
        body = to_json(state).decode()
        replaced = self._connection.execute(
            update(_harvests).where(_harvests.c.source == state.source).values(state=body)
        )
        if replaced.rowcount == 0:
            self._connection.execute(insert(_harvests).values(source=state.source, state=body))

    def _restamp(self) -> None:
        stamp = new_id("stamp")
        replaced = self._connection.execute(
            update(_stamps).where(_stamps.c.name == "datasets").values(stamp=stamp)
        )
        if replaced.rowcount == 0:
            self._connection.execute(insert(_stamps).values(name="datasets", stamp=stamp))
