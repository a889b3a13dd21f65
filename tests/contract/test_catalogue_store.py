"""The catalogue's store keeps its promises on SQLite and PostgreSQL alike."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from salerno.adapters.database import Database
from salerno.adapters.keys import KeyRing
from salerno.catalogue.model import Finding, HarvestReport, Level
from salerno.catalogue.service import HarvestState, StoredDataset, harvest_outside
from salerno.catalogue.store import SqlCatalogueStore, metadata
from salerno.kernel.values import digest
from tests.unit.catalogue.world import FRANCE, HUB, LYON, NodeCatalogue, TellingSource, description

FULL = description(title="Blutungen – Ωμέγα 𝄞 'quoted' \\ %s :name")
NOW = "2026-11-02T09:00:00.000000Z"


@pytest.fixture
def stores(database: Database) -> Database:
    metadata.create_all(database.engine)
    return database


def put(store: SqlCatalogueStore, description=FULL, source: str = LYON.did) -> None:
    store.put(description, source=source, digest=digest(description), stored_at=NOW)


def test_what_is_put_is_loaded_listed_and_removed(stores: Database) -> None:
    other = replace(FULL, iri="urn:x:1", title="Other")
    with stores.transaction() as connection:
        store = SqlCatalogueStore(connection)
        assert (store.stamp(), store.listing(), store.load(["urn:x:1"])) == ("", [], [])
        put(store)
        put(store, other, FRANCE.did)
    with stores.transaction() as connection:
        store = SqlCatalogueStore(connection)
        assert store.load([FULL.iri, "urn:x:missing"]) == [FULL]
        assert store.listing() == [
            StoredDataset(iri=FULL.iri, source=LYON.did, digest=digest(FULL)),
            StoredDataset(iri="urn:x:1", source=FRANCE.did, digest=digest(other)),
        ]
        assert store.entry("urn:x:1") == StoredDataset(iri="urn:x:1", source=FRANCE.did, digest=digest(other))
        assert store.entry("urn:x:2") is None
        store.remove(FULL.iri)
        store.remove("urn:x:missing")
        assert [entry.iri for entry in store.listing()] == ["urn:x:1"]


def test_put_replaces(stores: Database) -> None:
    changed = replace(FULL, title="New")
    with stores.transaction() as connection:
        store = SqlCatalogueStore(connection)
        put(store)
        put(store, changed, FRANCE.did)
        assert store.load([FULL.iri]) == [changed]
        assert [entry.source for entry in store.listing()] == [FRANCE.did]


def test_every_change_has_its_own_stamp_also_after_a_rollback(stores: Database) -> None:
    stamps: list[str] = []
    for step in range(4):
        try:
            with stores.transaction() as connection:
                store = SqlCatalogueStore(connection)
                put(store, replace(FULL, title=str(step)))
                stamps.append(store.stamp())
                if step == 1:
                    raise RuntimeError("power failure")
        except RuntimeError:
            with stores.transaction() as connection:
                assert SqlCatalogueStore(connection).stamp() == stamps[0]
    assert len(set(stamps)) == 4


def test_many_descriptions_are_loaded_at_once(stores: Database) -> None:
    with stores.transaction() as connection:
        store = SqlCatalogueStore(connection)
        small = replace(FULL, tables=())
        for number in range(1100):
            put(store, replace(small, iri=f"urn:x:{number:04d}"))
        iris = [entry.iri for entry in store.listing()]
        assert iris == sorted(iris)
        assert len(store.load(iris)) == 1100


def test_harvest_states(stores: Database) -> None:
    finding = Finding(
        level=Level.MANDATORY, dataset="urn:x", property="dct:title", what="empty", remedy="fill"
    )
    report = HarvestReport(
        source=FRANCE.did,
        harvested_at=datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
        added=("a",),
        refused=(finding,),
    )
    first = HarvestState(source=FRANCE.did, etag='"1"', report=report)
    second = HarvestState(source="did:a", etag="", report=replace(report, source="did:a", error="down"))
    with stores.transaction() as connection:
        store = SqlCatalogueStore(connection)
        assert (store.harvest_state(FRANCE.did), store.harvest_states()) == (None, [])
        store.put_harvest_state(replace(first, etag="old"))
        store.put_harvest_state(first)
        store.put_harvest_state(second)
    with stores.transaction() as connection:
        store = SqlCatalogueStore(connection)
        assert store.harvest_state(FRANCE.did) == first
        assert store.harvest_states() == [second, first]


def test_harvests_at_the_same_time_do_not_meet_half_way(database: Database) -> None:
    node = NodeCatalogue(database, HUB, KeyRing.generate())
    source = TellingSource(
        *(description(iri=f"{LYON.url}/datasets/{n}", identifier=str(n)) for n in range(20))
    )
    reports: list[HarvestReport] = []
    threads = [
        threading.Thread(target=lambda: reports.append(harvest_outside(node.open, FRANCE, source)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(len(report.added) for report in reports) == [0, 0, 0, 20]
    assert not any(report.error or report.refused for report in reports)
    with node.open() as catalogue:
        assert len(catalogue.search("bleeding")) == 20
