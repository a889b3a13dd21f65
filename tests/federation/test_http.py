"""Rounds and questions over HTTP: real server, real signatures, agents that only call out."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest
import uvicorn
from litestar import Litestar

from salerno.analysis.api import routes
from salerno.kernel.errors import Refused
from salerno.nodes.rehearse import Rehearsals
from salerno.permits.model import DisclosurePolicy
from salerno.web.callers import Caller, CallerMiddleware
from salerno.web.problems import problem_handlers

USER = "did:web:127.0.0.1%3A9100#ada"
DESCRIBE = {"method": "describe", "variable": "age"}


class Served:
    """A space whose hub listens on loopback."""

    def __init__(self, make_space, tables: list[str]) -> None:
        self.port = free_port()
        self.space = make_space(tables, hub_port=self.port)
        self.permit = self.space.permit(("age", "sex"), DisclosurePolicy(masks=True, min_cell=1))

        async def authenticate(
            method: str, target: str, headers: Mapping[str, str], cookies: Mapping[str, str], body: bytes
        ) -> Caller | None:
            token = headers.get("authorization", "").removeprefix("Bearer ")
            if token in ("ada", "eve"):
                user = USER if token == "ada" else "did:web:x.example#eve"
                return Caller(kind="person", id=user, name=token, roles=frozenset({"researcher"}))
            with self.space.hub.database.transaction() as connection:
                trust = self.space.hub.trust(connection)
                sender = trust.sender(token)
                claims = trust.check_message(token, sender, method=method, url=target, body=body)
                assert trust.burn_messages([claims]) == [sender]
            return Caller(
                kind="participant", id=sender.did, name=sender.name, roles=frozenset({sender.role.value})
            )

        app = Litestar(
            routes(
                self.space.coordinator, lambda user: [self.permit] if user == USER else [], Rehearsals(), list
            ),
            exception_handlers=problem_handlers(),
            openapi_config=None,
        )
        app.asgi_handler = CallerMiddleware(app.asgi_handler, authenticate)
        self.server = uvicorn.Server(
            uvicorn.Config(app, host="127.0.0.1", port=self.port, log_level="warning", lifespan="off")
        )
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)
        for holder in self.space.holders:
            holder.agent = holder.make_agent(holder.http_hub(), wait_seconds=2.0)
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=40)

    def call(self, method: str, path: str, json: Any = None, who: str = "ada") -> httpx.Response:
        return self.http.request(method, path, json=json, headers={"Authorization": f"Bearer {who}"})

    def close(self) -> None:
        self.space.coordinator.stop()
        for holder in self.space.holders:
            holder.agent.stop(0.1)
        self.server.should_exit = True
        self.thread.join(10)
        self.http.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def served(make_space, three_tables) -> Iterator[Served]:
    made = Served(make_space, three_tables)
    yield made
    made.close()


def test_a_question_over_http_from_study_to_answer(served) -> None:
    for holder in served.space.holders:
        holder.agent.start()
    body = {"title": "Ages", "purpose": "research", "permits": [served.permit.permit.id]}
    study = served.call("POST", "/api/studies", body).json()
    assert study["user"] == USER
    assert served.call("GET", "/api/studies").json() == [study]
    assert served.call("GET", f"/api/studies/{study['id']}").json() == study
    asked = served.call("POST", f"/api/studies/{study['id']}/questions", DESCRIBE).json()
    assert asked["state"] == "queued"
    thread = served.space.lead(asked["id"])
    for _ in range(5):  # machines under load
        done = served.call("GET", f"/api/questions/{asked['id']}?wait=25").json()
        if done["state"] in ("answered", "failed"):
            break
    thread.join(10)
    assert done["state"] == "answered", done
    assert done["answer"]["n"] == 120
    assert served.call("GET", f"/api/studies/{study['id']}/questions").json() == [done]
    assert served.call("GET", f"/api/questions/{asked['id']}", who="eve").status_code == 404
    assert served.call("GET", "/api/studies", who="eve").json() == []
    refused = served.call("POST", "/api/studies", body, who="eve")
    assert refused.status_code == 403
    assert refused.json()["title"] == "permit-not-yours"
    wrong = served.call("POST", f"/api/studies/{study['id']}/questions", {"method": "descirbe"})
    assert wrong.status_code == 422
    assert "describe" in wrong.json()["remedy"]


def test_only_holders_reach_the_rounds_and_only_researchers_the_studies(served) -> None:
    for path in ("next", "opened", "share", "working"):
        assert served.call("POST", f"/api/rounds/{path}", {}).status_code == 403
    hub = served.space.holders[0].http_hub()
    assert hub.next(0.0, 0, 1) == []
    with pytest.raises(Refused, match="role-missing"):
        hub._peers.call(served.space.hub.who, "GET", "/api/studies")
    with pytest.raises(Refused, match="share-missing"):
        hub._work("share", {}, 0.0)
    hub.working("question-1", 1, 0)


def test_a_long_poll_ends_when_its_time_is_up_or_work_comes(served) -> None:
    agent_hub = served.space.holders[0].http_hub()
    start = time.monotonic()
    assert agent_hub.next(0.3, 0, 1) == []
    assert 0.25 < time.monotonic() - start < 5
    found: list[Any] = []
    waiting = threading.Thread(target=lambda: found.extend(agent_hub.next(20.0, 0, 1)))
    waiting.start()
    time.sleep(0.2)
    start = time.monotonic()
    question = served.space.ask(served.space.study(), DESCRIBE)
    lead = served.space.lead(question)
    waiting.join(10)
    assert time.monotonic() - start < 1.9  # woken by the bell, not by the next look at the database
    assert [work.kind for work in found] == ["opening"]
    served.space.stop(lead)
