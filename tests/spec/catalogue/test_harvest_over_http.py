"""EHDS Art. 77: one node's public catalogue, harvested by another over a real connection."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
import uvicorn
from litestar import Litestar

from salerno.adapters.database import Database
from salerno.adapters.http import HttpClient
from salerno.adapters.keys import KeyRing
from salerno.catalogue.api import routes
from salerno.catalogue.remote import HttpCatalogueSource
from salerno.catalogue.service import harvest_outside
from salerno.identity.model import Participant, ParticipantRole
from tests.unit.catalogue.world import EVERYBODY, HUB, LYON, NodeCatalogue, TellingSource, agent, description


@pytest.fixture
def holder(keys: KeyRing) -> Iterator[NodeCatalogue]:
    """A holder's node that serves its catalogue on loopback."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    own = replace(LYON, url=url, did=f"did:web:127.0.0.1%3A{listening.getsockname()[1]}")
    database = Database("sqlite://")
    node = NodeCatalogue(database, own, keys)
    app = Litestar(routes(node.open, lambda _: own, TellingSource()))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield node
    server.should_exit = True
    thread.join()
    database.close()


def test_publish_harvest_change_withdraw(holder: NodeCatalogue, database: Database, keys: KeyRing) -> None:
    hub = NodeCatalogue(database, HUB, keys)
    hub.known = (*EVERYBODY, holder.own)
    http = HttpClient(timeout_seconds=5, retries=0)
    source = HttpCatalogueSource(http)
    told = description(iri=f"{holder.own.url}/datasets/1", holder=agent(holder.own))

    def harvest() -> dict[str, tuple[str, ...]]:
        report = harvest_outside(hub.open, holder.own, source)
        assert (report.error, report.refused) == ("", ())
        names = ("added", "changed", "removed", "unchanged")
        return {name: getattr(report, name) for name in names if getattr(report, name)}

    assert harvest() == {}
    with holder.open() as catalogue:
        catalogue.publish(told, "sara")
    assert harvest() == {"added": (told.iri,)}
    assert source.fetch(holder.own, etag=known_version(hub, holder.own)) is None
    assert harvest() == {"unchanged": (told.iri,)}
    with holder.open() as catalogue:
        catalogue.publish(replace(told, title="New"), "sara")
    assert harvest() == {"changed": (told.iri,)}
    with holder.open() as catalogue:
        catalogue.withdraw(told.iri, "sara")
    assert harvest() == {"removed": (told.iri,)}
    http.close()


def known_version(hub: NodeCatalogue, source: Participant) -> str:
    with hub.open() as catalogue:
        return catalogue.etag_of(source.did)


def test_a_node_that_is_down_or_serves_something_else(database: Database, keys: KeyRing) -> None:
    hub = NodeCatalogue(database, HUB, keys)
    http = HttpClient(timeout_seconds=2, retries=0)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        gone = Participant(
            did="did:web:gone.example",
            role=ParticipantRole.HOLDER,
            name="Gone",
            country="FR",
            url=f"http://127.0.0.1:{taken.getsockname()[1]}",
        )
        report = harvest_outside(hub.open, gone, HttpCatalogueSource(http))
    assert report.error.startswith("peer-unreachable")
    http.close()
