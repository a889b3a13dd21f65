from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from salerno import Session, connect
from tests.unit.client.space import BODY, HUB, PASSWORD, Space


@pytest.fixture(scope="session")
def space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Space]:
    with Space(tmp_path_factory.mktemp("space")).running() as running:
        yield running


LogIn = Callable[[str], Session]


@pytest.fixture
def log_in(space: Space, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> LogIn:
    for name in ("SALERNO_URL", "SALERNO_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SALERNO_CONFIG", str(tmp_path / "config"))
    homes = {"odile": BODY, "claire": BODY}

    def log_in(login: str) -> Session:
        return connect(homes.get(login, HUB), login=login, password=PASSWORD, http=space.http())

    return log_in
