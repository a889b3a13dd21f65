from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from salerno import Application, NotFound, Session, connect
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
    homes = {"odile": BODY, "oscar": BODY, "claire": BODY}

    def log_in(login: str) -> Session:
        return connect(homes.get(login, HUB), login=login, password=PASSWORD, http=space.http())

    return log_in


ASSESSED = {"criteria": [{"letter": letter, "met": True} for letter in "abcdefgh"]}
ABOUT = {
    "title": "Bleeding",
    "contact_email": "marie@example.org",
    "intended_use": "Compare the time to a bleeding between groups.",
    "expected_benefit": "Safer treatment.",
    "lay_summary": "We look at who bleeds.",
    "safeguards": "Only sums leave.",
}


def find(log_in: LogIn) -> None:
    """Wait until the hub has harvested."""
    operator, visitor = log_in("olga"), connect(HUB, http=log_in("marie")._link._http)
    end = time.monotonic() + 30
    while not visitor.search("bleeding"):
        assert time.monotonic() < end
        operator.harvest()
        time.sleep(0.2)


@pytest.fixture(scope="session")
def state() -> dict[str, Application]:
    return {}


@pytest.fixture
def granted(log_in: LogIn, state: dict[str, Application]) -> Application:
    """An application that the access body has granted; made once."""
    if "granted" not in state:
        find(log_in)
        marie = log_in("marie")
        filed = marie.apply(ABOUT, datasets=marie.search("bleeding"), confirm=True)
        case = arrived(log_in, filed.id)
        case.take_up().find_complete().propose("grant", ASSESSED, no_conflict=True, months=6)
        log_in("oscar").case(filed.id).confirm(no_conflict=True)
        state["granted"] = filed.wait(30, every=0.1)
    return state["granted"]


def arrived(log_in: LogIn, case_id: str):  # type: ignore[no-untyped-def]
    end = time.monotonic() + 30
    while True:
        try:
            return log_in("odile").case(case_id)
        except NotFound:
            assert time.monotonic() < end
            time.sleep(0.1)
