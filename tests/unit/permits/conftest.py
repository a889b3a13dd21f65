from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.permits.world import World


@pytest.fixture
def world() -> Iterator[World]:
    made = World("FR", "DE")
    yield made
    made.close()
