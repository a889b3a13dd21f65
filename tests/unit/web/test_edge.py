"""The edge and the frame: headers, static files, navigation, notices, escaping."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar, Request, get, post
from litestar.response import Response
from litestar.testing import TestClient

from salerno.kernel.errors import NotFound, Refused
from salerno.web import sessions
from salerno.web.callers import Caller, needs
from salerno.web.components import (
    NavigationItem,
    count_words,
    day_words,
    instant_words,
    short_did,
    slug,
    tone,
)
from salerno.web.edge import Edge
from salerno.web.layout import Pages, local_path, sentence
from salerno.web.static_files import FOLDER, STATIC

Req = Request[Any, Any, Any]
HTML = {"Accept": "text/html"}

TEMPLATE = """{% extends "layout.html" %}{% block content %}<p>{{ words }}</p>
<form method="post">{{ ui.csrf() }}{{ ui.field("age", "Age", "<7>") }}</form>{% endblock %}"""


def make(tmp_path: Path, *, secure: bool = False) -> TestClient[Litestar]:
    (tmp_path / "page.html").write_text(TEMPLATE)
    navigation = [
        NavigationItem("/page", "Page", "A page."),
        NavigationItem("/cases", "Cases", "Decide.", frozenset({"officer"})),
    ]
    pages = Pages({"own": tmp_path}, node_name="Node <1>", role="hub", navigation=navigation, secure=secure)

    @get("/page", sync_to_thread=False)
    def page(request: Req) -> Response[Any]:
        return pages.render(request, "own/page.html", title="A page", words="<script>alert(1)</script>")

    @post("/page", sync_to_thread=False)
    def act(request: Req) -> Response[Any]:
        if not sessions.form_of(request).text("age"):
            return pages.render(
                request, "own/page.html", title="A page", words="", errors={"age": "Say your age"}
            )
        return pages.go("/page", "It is <done>.")

    @get("/cases", guards=[needs("officer")], sync_to_thread=False)
    def cases(request: Req) -> Response[Any]:
        return pages.render(request, "own/page.html", title="Cases", words="", crumbs=[("/page", "Page")])

    async def authenticate(*args: Any) -> Caller | None:
        if "who" not in args[3]:
            return None
        return Caller(kind="person", id="x", name="Odile", roles=frozenset({args[3]["who"]}))

    app = Litestar([page, act, cases], plugins=[Edge(authenticate, pages, secure=secure)])
    return TestClient(app, raise_server_exceptions=False)


@pytest.mark.parametrize("path", ["/page", "/nothing", "/static/nothing.css", "/cases"])
def test_every_answer_has_the_security_headers(tmp_path: Path, path: str) -> None:
    with make(tmp_path) as client:
        headers = client.get(path, headers=HTML, follow_redirects=False).headers
    policy = headers["content-security-policy"]
    for directive in ("default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'",
                      "base-uri 'none'", "form-action 'self'"):  # fmt: skip
        assert directive in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert "strict-transport-security" not in headers


def test_https_nodes_insist_on_it(tmp_path: Path) -> None:
    with make(tmp_path, secure=True) as client:
        answer = client.get("/page", headers=HTML)
    assert answer.headers["strict-transport-security"]
    assert answer.headers["set-cookie"].startswith("__Host-salerno_form=")
    assert "Secure" in answer.headers["set-cookie"]


def test_values_are_escaped(tmp_path: Path) -> None:
    with make(tmp_path) as client:
        text = client.get("/page", headers=HTML).text
    assert "<script>alert" not in text
    assert "Node &lt;1&gt;" in text
    assert 'value="&lt;7&gt;"' in text


def test_form_of_a_visitor_works_with_the_cookie_of_the_page(tmp_path: Path) -> None:
    with make(tmp_path) as client:
        page = client.get("/page", headers=HTML).text
        token = page.split('name="csrf" value="')[1].split('"')[0]
        assert client.post("/page", data={"csrf": "x", "age": "7"}, headers=HTML).status_code == 403
        done = client.post("/page", data={"csrf": token, "age": "7"}, headers=HTML)
        assert "It is &lt;done&gt;." in done.text
        assert "It is" not in client.get("/page", headers=HTML).text
        wrong = client.post("/page", data={"csrf": token, "age": ""}, headers=HTML)
    assert wrong.status_code == 422
    assert '<a href="#age">Say your age</a>' in wrong.text
    assert 'aria-invalid="true"' in wrong.text
    assert "<title>Error: A page" in wrong.text


def test_navigation_follows_roles(tmp_path: Path) -> None:
    with make(tmp_path) as client:
        assert 'href="/cases"' not in client.get("/page", headers=HTML).text
        client.cookies.set("who", "officer")
        text = client.get("/cases", headers=HTML).text
        assert '<a href="/cases" aria-current="page">' in text
        assert "Logged in as <strong>Odile</strong>" in text
        client.cookies.set("who", "citizen")
        refused = client.get("/cases", headers=HTML)
    assert refused.status_code == 403
    assert "This is open to officer only" in refused.text


def test_error_pages_are_pages(tmp_path: Path) -> None:
    with make(tmp_path) as client:
        answer = client.get("/nothing", headers=HTML | {"Referer": "http://testserver.local/page?x=1"})
        stranger = client.get("/nothing", headers=HTML | {"Referer": "https://elsewhere.example/"})
    assert answer.status_code == 404
    assert "<h1>Not found</h1>" in answer.text
    assert 'href="/page?x=1">Go back' in answer.text
    assert 'href="/">Go back' in stranger.text


def test_static_files_keep_for_ever_under_a_name_of_their_content(tmp_path: Path) -> None:
    with make(tmp_path) as client:
        text = client.get("/page", headers=HTML).text
        for name in ("portal.css", "portal.js", "mark.svg"):
            address = STATIC.address(name)
            assert address in text
            answer = client.get(address)
            assert answer.content == (FOLDER / name).read_bytes()
            assert "immutable" in answer.headers["cache-control"]
    with pytest.raises(NotFound):
        STATIC.response("../layout.py")


def test_what_the_browser_loads_is_small_and_ours() -> None:
    sizes = {path.name: path.stat().st_size for path in FOLDER.iterdir()}
    assert sizes["portal.css"] <= 20_000
    assert sizes["portal.js"] <= 5_000
    for path in FOLDER.iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http" not in text, f"{path.name} loads from elsewhere"


def test_words_for_people() -> None:
    assert instant_words(datetime(2031, 3, 1, 14, 5, tzinfo=UTC)) == "1 March 2031, 14:05 UTC"
    assert instant_words(None) == ""
    assert day_words(date(2031, 3, 1)) == "1 March 2031"
    assert day_words(datetime(2031, 3, 1, tzinfo=UTC)) == "1 March 2031"
    assert day_words(None) == ""
    assert count_words(2694000) == "2\N{NARROW NO-BREAK SPACE}694\N{NARROW NO-BREAK SPACE}000"
    assert count_words(None) == ""
    assert slug("Persons by sex & group") == "persons-by-sex-group"
    assert slug("—") == "x"
    assert short_did("did:web:127.0.0.1%3A8101#rosa") == "127.0.0.1:8101#rosa"
    assert tone("refused") == "bad"
    assert tone("never heard of") == ""


@pytest.mark.parametrize(
    ("path", "safe"),
    [
        ("/a?b=1", "/a?b=1"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("", "/"),
    ],
)
def test_log_in_leads_to_this_node_only(path: str, safe: str) -> None:
    assert local_path(path) == safe


def test_error_as_one_line() -> None:
    error = Refused("a", "It ended.", rule="EHDS Art. 68(12)", remedy="Apply again.")
    assert sentence(error) == "It ended (EHDS Art. 68(12)). Apply again."
