"""Who calls: found from headers and cookies, held against roles; signed bodies arrive whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from litestar import Litestar, Request, get, post
from litestar.middleware import DefineMiddleware
from litestar.testing import TestClient

from salerno.kernel.errors import Refused
from salerno.web import callers
from salerno.web.callers import Caller, CallerMiddleware, caller_of, find_caller, needs
from salerno.web.problems import problem_handlers

SIGNED = {"Authorization": "Bearer head.body.signature"}
OPAQUE = {"Authorization": "Bearer opaque-session-token"}


class Desk:
    """An application that records what `authenticate` was given."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.raises: Exception | None = None

    async def authenticate(
        self, method: str, target: str, headers: Mapping[str, str], cookies: Mapping[str, str], body: bytes
    ) -> Caller | None:
        self.asked.append((method, target, dict(cookies), body))
        if self.raises:
            raise self.raises
        if "authorization" in headers or "session" in cookies:
            return Caller(kind="person", id="did:web:x#rosa", name="Rosa", roles=frozenset({"officer"}))
        return None

    def client(self) -> TestClient[Litestar]:
        @post("/api/echo", guards=[needs("officer")])
        async def echo(request: Request[Any, Any, Any]) -> dict[str, Any]:
            return {"body": (await request.body()).decode(), "caller": caller_of(request).id}

        @get("/who", sync_to_thread=False)
        def who(request: Request[Any, Any, Any]) -> dict[str, str]:
            caller = find_caller(request)
            return {"caller": caller.id if caller else ""}

        @get("/api/who", guards=[needs()], sync_to_thread=False)
        def api_who(request: Request[Any, Any, Any]) -> dict[str, str]:
            return {"caller": caller_of(request).id}

        @get("/api/steward", guards=[needs("steward", "operator")], sync_to_thread=False)
        def steward() -> dict[str, str]:
            return {}

        app = Litestar(
            [echo, who, api_who, steward],
            middleware=[DefineMiddleware(CallerMiddleware, authenticate=self.authenticate)],
            exception_handlers=problem_handlers(),
        )
        return TestClient(app, raise_server_exceptions=False)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_signed_body_is_checked_and_still_reaches_the_application(desk: Desk) -> None:
    body = "x" * 300_000
    with desk.client() as client:
        answer = client.post("/api/echo?a=1%2F2&b=", content=body, headers=SIGNED)
    assert answer.json() == {"body": body, "caller": "did:web:x#rosa"}
    assert desk.asked == [("POST", "/api/echo?a=1%2F2&b=", {}, body.encode())]


def test_body_of_a_session_is_not_read(desk: Desk) -> None:
    with desk.client() as client:
        assert client.post("/api/echo", content="hello", headers=OPAQUE).json()["body"] == "hello"
    assert desk.asked[0][3] == b""


def test_cookie_counts_for_pages_and_not_for_the_interface(desk: Desk) -> None:
    with desk.client() as client:
        client.cookies.set("session", "1")
        assert client.get("/who").json()["caller"] == "did:web:x#rosa"
        assert client.get("/api/who").status_code == 401
    assert len(desk.asked) == 1


def test_nobody_is_asked_about_a_request_without_token_and_cookie(desk: Desk) -> None:
    with desk.client() as client:
        assert client.get("/who").json()["caller"] == ""
    assert desk.asked == []


def test_guard_tells_nobody_from_the_wrong_role(desk: Desk) -> None:
    with desk.client() as client:
        nobody, wrong = client.get("/api/steward"), client.get("/api/steward", headers=OPAQUE)
    assert (nobody.status_code, nobody.json()["title"]) == (401, "not-logged-in")
    assert nobody.headers["www-authenticate"] == "Bearer"
    assert (wrong.status_code, wrong.json()["title"]) == (403, "role-missing")
    assert "operator and steward" in wrong.json()["detail"]


def test_forged_message_is_refused_with_its_reason(desk: Desk) -> None:
    desk.raises = Refused("message-refused", "The message is not in order")
    with desk.client() as client:
        answer = client.post("/api/echo", content="x", headers=SIGNED)
    assert (answer.status_code, answer.json()["title"]) == (403, "message-refused")


def test_too_large_a_signed_body_is_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callers, "MAX_BODY_BYTES", 1000)
    with desk.client() as client:
        answer = client.post("/api/echo", content="x" * 1001, headers=SIGNED)
    assert (answer.status_code, answer.json()["title"]) == (413, "body-too-large")
    assert desk.asked == []


@pytest.mark.parametrize(
    ("header", "token"),
    [("Bearer abc", "abc"), ("bearer  abc ", "abc"), ("Basic abc", ""), ("", ""), ("Bearer", "")],
)
def test_bearer_token(header: str, token: str) -> None:
    assert callers.bearer_token({"authorization": header}) == token


def test_cookies_are_read_with_care() -> None:
    assert callers.parse_cookies('a=1; b="2=3"; broken; c=') == {"a": "1", "b": "2=3", "c": ""}
    assert callers.parse_cookies("") == {}
