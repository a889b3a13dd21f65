"""Holdings in SQLite and in PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.exc import IntegrityError

from salerno.adapters.database import Database
from salerno.holdings.model import Holding
from salerno.holdings.store import SqlHoldingStore, metadata
from salerno.permits.model import DisclosurePolicy

FIRST = Holding(
    id="cdm",
    dataset="https://h.example/datasets/cdm",
    title="Données",
    source="postgresql://anna:hush@host/cdm",
    kind="omop",
    connected_at=datetime(2030, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
)
SECOND = replace(
    FIRST,
    id="plain",
    dataset="https://h.example/datasets/plain",
    kind="tables",
    person_column="id",
    date_column="seen",
    personal=False,
    policy=DisclosurePolicy(min_cell=20, shared_risk_sets=False),
    connected_at=FIRST.connected_at - timedelta(days=1),
)


def test_what_is_kept_is_what_was_given(database: Database) -> None:
    metadata.create_all(database.engine)
    with database.transaction() as connection:
        store = SqlHoldingStore(connection)
        store.add(FIRST)
        store.add(SECOND)
    with database.reading() as connection:
        store = SqlHoldingStore(connection)
        assert store.holdings() == [SECOND, FIRST]
        assert store.holding("cdm") == FIRST
        assert store.holding("nothing") is None


def test_an_id_is_kept_once(database: Database) -> None:
    metadata.create_all(database.engine)
    with database.transaction() as connection:
        SqlHoldingStore(connection).add(FIRST)
    with pytest.raises(IntegrityError), database.transaction() as connection:
        SqlHoldingStore(connection).add(replace(FIRST, title="Again"))
