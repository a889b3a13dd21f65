"""Every error in one form: problem JSON for programs, a page for people, and no values in the log."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from litestar import Litestar, Request, get, post
from litestar.params import FromQuery
from litestar.testing import TestClient

from salerno.kernel.errors import Conflict, Invalid, NotFound, Refused, SalernoError, Unavailable
from salerno.web.callers import NotLoggedIn
from salerno.web.problems import PROBLEM_JSON, problem_handlers

HTML = {"Accept": "text/html,application/xhtml+xml"}

ERRORS: dict[str, Exception] = {
    "refused": Refused("permit-expired", "The permit ended", rule="EHDS Art. 68(12)", remedy="Apply again."),
    "missing": NotFound("no-such-case", "There is none"),
    "conflict": Conflict("case-state", "It cannot be done"),
    "invalid": Invalid("wrong", "It is wrong"),
    "down": Unavailable("peer-unreachable", "It is down"),
    "own": SalernoError("odd", "Something odd"),
    "nobody": NotLoggedIn("not-logged-in", "This needs a log-in"),
    "bug": KeyError("Jane Doe, born 1970"),
}


def render(request: Request[Any, Any, Any], problem: dict[str, Any]) -> str:
    return f"<h1>{problem['title']}</h1>"


def make(with_pages: bool = True) -> TestClient[Litestar]:
    @get(["/fail", "/api/fail"], sync_to_thread=False)
    def fail(kind: FromQuery[str]) -> None:
        raise ERRORS[kind]

    @get("/api/number", sync_to_thread=False)
    def number(n: FromQuery[int]) -> dict[str, int]:
        return {"n": n}

    @post("/fail", sync_to_thread=False)
    def send() -> None:
        raise ERRORS["nobody"]

    handlers = problem_handlers(render if with_pages else None)
    app = Litestar([fail, number, send], exception_handlers=handlers, logging_config=None)
    return TestClient(app, raise_server_exceptions=False)


@pytest.mark.parametrize(
    ("kind", "status"),
    [("refused", 403), ("missing", 404), ("conflict", 409), ("invalid", 422), ("down", 503), ("own", 500)],
)
def test_own_errors_keep_their_words(kind: str, status: int) -> None:
    with make() as client:
        answer = client.get(f"/api/fail?kind={kind}")
    error = ERRORS[kind]
    assert isinstance(error, SalernoError)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith(PROBLEM_JSON)
    assert answer.json() == error.to_problem()


def test_people_get_a_page_and_programs_problem_json() -> None:
    with make() as client:
        assert client.get("/fail?kind=missing", headers=HTML).text == "<h1>no-such-case</h1>"
        assert client.get("/fail?kind=missing").json()["title"] == "no-such-case"
        assert client.get("/api/fail?kind=missing", headers=HTML).json()["title"] == "no-such-case"
    with make(with_pages=False) as client:
        assert client.get("/fail?kind=missing", headers=HTML).json()["title"] == "no-such-case"


def test_unexpected_error_tells_a_number_and_no_values(caplog: pytest.LogCaptureFixture) -> None:
    with make() as client, caplog.at_level(logging.ERROR, logger="salerno.web"):
        answer = client.get("/api/fail?kind=bug")
    assert answer.status_code == 500
    assert "Jane" not in answer.text
    assert answer.json()["error_id"] in answer.json()["remedy"]
    line = next(r.getMessage() for r in caplog.records if r.name == "salerno.web")
    assert answer.json()["error_id"] in line
    assert "KeyError" in line
    assert "Jane" not in line


def test_framework_errors_have_the_same_form() -> None:
    with make() as client:
        nothing, wrong = client.get("/nothing"), client.post("/api/number")
        shape = client.get("/api/number?n=many")
    assert (nothing.status_code, nothing.json()["title"]) == (404, "no-such-page")
    assert (wrong.status_code, wrong.json()["title"]) == (405, "wrong-method")
    assert (shape.status_code, shape.json()["title"]) == (400, "wrong-shape")
    assert "n: Expected `int`" in shape.json()["detail"]


def test_page_that_needs_a_log_in_leads_there_and_back() -> None:
    with make() as client:
        asked = client.get("/fail?kind=nobody&x=1", headers=HTML, follow_redirects=False)
        sent = client.post("/fail", headers=HTML, follow_redirects=False)
    assert asked.status_code == 303
    assert asked.headers["location"] == "/log-in?next=%2Ffail%3Fkind%3Dnobody%26x%3D1"
    # A form that came after the end of the session is kept by a log-in in its place.
    assert (sent.status_code, sent.text) == (401, "<h1>not-logged-in</h1>")
