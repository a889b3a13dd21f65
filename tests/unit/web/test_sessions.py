"""Forms count only when they come from the portal's own pages."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
from litestar import Litestar, Request, get, post
from litestar.middleware import DefineMiddleware
from litestar.testing import TestClient

from salerno.kernel.errors import Invalid, Refused
from salerno.web import sessions
from salerno.web.problems import problem_handlers
from salerno.web.sessions import Form, FormMiddleware, check_form, form_of, read_form

FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def client() -> TestClient[Litestar]:
    @post(["/act", "/api/act"], sync_to_thread=False)
    def act(request: Request[Any, Any, Any]) -> dict[str, Any]:
        return {"fields": form_of(request).fields}

    @get("/look", sync_to_thread=False)
    def look(request: Request[Any, Any, Any]) -> dict[str, Any]:
        return {"fields": form_of(request).fields}

    app = Litestar(
        [act, look], middleware=[DefineMiddleware(FormMiddleware)], exception_handlers=problem_handlers()
    )
    return TestClient(app, raise_server_exceptions=False)


def test_form_with_the_token_of_the_session_is_read(client: TestClient[Litestar]) -> None:
    token = sessions.token_for("the-session")
    with client:
        client.cookies.set(sessions.SESSION, "the-session")
        sent = urlencode([("csrf", token), ("a", "1"), ("a", " 2 "), ("b", "")])
        answer = client.post("/act", content=sent, headers={"Content-Type": FORM})
    assert answer.json()["fields"] == {"csrf": [token], "a": ["1", " 2 "], "b": [""]}


@pytest.mark.parametrize(
    ("cookies", "csrf"),
    [
        ({}, ""),
        ({}, "anything"),
        ({sessions.SESSION: "the-session"}, ""),
        ({sessions.SESSION: "the-session"}, sessions.token_for("another-session")),
        ({sessions.SESSION: "the-session"}, "the-session"),
        # Logged in: the token of the time before the log-in counts no longer.
        ({sessions.SESSION: "the-session", sessions.FORM: "before"}, sessions.token_for("before")),
        ({sessions.SESSION: "the-session"}, "é"),
    ],
)
def test_form_from_elsewhere_is_refused(
    client: TestClient[Litestar], cookies: dict[str, str], csrf: str
) -> None:
    with client:
        for name, value in cookies.items():
            client.cookies.set(name, value)
        answer = client.post("/act", data={"csrf": csrf, "a": "1"})
    assert (answer.status_code, answer.json()["title"]) == (403, "form-not-ours")


def test_other_media_types_do_not_get_around_the_token(client: TestClient[Litestar]) -> None:
    with client:
        client.cookies.set(sessions.SESSION, "the-session")
        for kind in ("text/plain", "application/json", "multipart/form-data; boundary=x"):
            content = f"csrf={sessions.token_for('the-session')}"
            answer = client.post("/act", content=content, headers={"Content-Type": kind})
            assert answer.status_code == 403, kind


def test_interface_needs_no_token(client: TestClient[Litestar]) -> None:
    with client:
        assert client.post("/api/act", json={}).status_code == 201
        # No other site can make a browser send this header.
        assert client.post("/act", headers={"Authorization": "Bearer x"}).status_code == 201
        assert client.get("/look").json()["fields"] == {}


def test_log_in_form_is_held_against_the_form_cookie(client: TestClient[Litestar]) -> None:
    value = sessions.new_form_value()
    with client:
        client.cookies.set(sessions.FORM, value)
        assert client.post("/act", data={"csrf": sessions.token_for(value)}).status_code == 201
        assert client.post("/act", data={"csrf": value}).status_code == 403


def test_too_large_a_form_is_refused(client: TestClient[Litestar]) -> None:
    with client:
        answer = client.post("/act", data={"a": "x" * (sessions.MAX_FORM_BYTES + 1)})
    assert answer.status_code == 413


def test_form_reading() -> None:
    form = Form({"name": [" Rosa "], "box": ["a", "b"], "lines": ["one\r\n\r\n two "], "off": [""]})
    assert form.text("name") == "Rosa"
    assert form.text("missing", "default") == "default"
    assert form.many("box") == ("a", "b")
    assert form.many("missing") == ()
    assert form.flag("name")
    assert not form.flag("off")
    assert form.lines("lines") == ("one", "two")
    assert len(form) == 4
    assert set(form) == {"name", "box", "lines", "off"}


def test_unreadable_forms() -> None:
    assert read_form("text/plain", b"a=1").fields == {}
    with pytest.raises(Invalid, match="form-unreadable"):
        read_form(FORM, b"a=%ff")
    with pytest.raises(Invalid, match="form-unreadable"):
        read_form(FORM, b"&".join(b"a=1" for _ in range(sessions.MAX_FORM_FIELDS + 1)))


def test_secure_cookies_bind_to_the_host() -> None:
    cookie = sessions.log_in_cookie("token", secure=True)
    assert (cookie.key, cookie.secure, cookie.httponly, cookie.samesite) == (
        "__Host-salerno_session",
        True,
        True,
        "lax",
    )
    assert sessions.session_token({}, {"__Host-salerno_session": "token"}) == "token"
    assert sessions.session_token({"authorization": "Bearer other"}, {"salerno_session": "token"}) == "other"
    check_form(Form({"csrf": [sessions.token_for("token")]}), {"__Host-salerno_session": "token"})
    with pytest.raises(Refused):
        check_form(Form(), {"__Host-salerno_session": "token"})


def test_notice_survives_the_way_to_the_next_page() -> None:
    cookie = sessions.notice_cookie('Sent to 3 länder; "all" of them', secure=False)
    assert sessions.notice_of({cookie.key: cookie.value or ""}) == 'Sent to 3 länder; "all" of them'
    assert sessions.notice_of({cookie.key: "no hex"}) == ""
    assert sessions.notice_cookie("", secure=False).max_age == 0
