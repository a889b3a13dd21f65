from __future__ import annotations

from collections.abc import Iterator

import pytest

from salerno.adapters.database import Database
from salerno.adapters.keys import KeyRing
from tests.unit.catalogue.world import HUB, LYON, NodeCatalogue


@pytest.fixture(scope="session")
def keys() -> KeyRing:
    return KeyRing.generate()


@pytest.fixture
def database() -> Iterator[Database]:
    opened = Database("sqlite://")
    yield opened
    opened.close()


@pytest.fixture
def hub(database: Database, keys: KeyRing) -> NodeCatalogue:
    return NodeCatalogue(database, HUB, keys)


@pytest.fixture
def lyon(database: Database, keys: KeyRing) -> NodeCatalogue:
    return NodeCatalogue(database, LYON, keys)
