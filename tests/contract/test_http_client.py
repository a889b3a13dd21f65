"""The HTTP client and what stands on it, against a real server on loopback."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from salerno.adapters.clock import FixedClock
from salerno.adapters.http import HttpClient, request_target
from salerno.adapters.keys import KeyRing
from salerno.identity.model import Participant, ParticipantRole
from salerno.identity.remote import HttpKeyResolver, PeerClient
from salerno.identity.rules import check_message, make_document
from salerno.kernel.errors import Conflict, Invalid, NotFound, Unavailable
from salerno.standards.did import DidDocument, did_web, render_document

Answer = tuple[int, bytes]


class Peer:
    """A server that answers as it is told and remembers what came."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        self.answer: Callable[[int], Answer] = lambda n: (200, b'{"ok":true}')
        peer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {k.lower(): v for k, v in self.headers.items()}
                peer.seen.append((self.command, self.path, headers, body))
                status, content = peer.answer(len(peer.seen))
                if status == 0:
                    self.close_connection = True
                    self.connection.close()
                    return
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                with suppress(ConnectionError):  # the client may have hung up
                    self.wfile.write(content)

            do_GET = do_POST = do_PUT = handle_any

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.did = did_web(self.url)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def peer() -> Iterator[Peer]:
    server = Peer()
    yield server
    server.stop()


@pytest.fixture
def http() -> Iterator[HttpClient]:
    client = HttpClient(timeout_seconds=5)
    yield client
    client.close()


def problem(status: int, title: str) -> Answer:
    return status, json.dumps({"title": title, "detail": "no", "rule": "r", "remedy": "m"}).encode()


def test_json_goes_and_comes(peer: Peer, http: HttpClient) -> None:
    answer = http.request("POST", f"{peer.url}/a?b=%20c", json={"x": 1}, headers={"x-own": "1"})
    assert (answer.status, answer.json()) == (200, {"ok": True})
    method, path, headers, body = peer.seen[0]
    assert (method, path, body) == ("POST", "/a?b=%20c", b'{"x":1}')
    assert (headers["content-type"], headers["x-own"]) == ("application/json", "1")


def test_an_empty_answer_is_none_and_other_text_is_not_json(peer: Peer, http: HttpClient) -> None:
    peer.answer = lambda n: (200, b"" if n == 1 else b"<html>")
    assert http.request("GET", peer.url).json() is None
    with pytest.raises(Unavailable, match="peer-answer"):
        http.request("GET", peer.url).json()


@pytest.mark.parametrize(
    ("status", "kind"), [(404, NotFound), (409, Conflict), (422, Invalid), (400, Invalid)]
)
def test_the_peers_error_is_raised_here(
    peer: Peer, http: HttpClient, status: int, kind: type[Exception]
) -> None:
    peer.answer = lambda n: problem(status, "case-state")
    with pytest.raises(kind, match="case-state: no") as caught:
        http.request("POST", peer.url)
    assert (caught.value.rule, caught.value.remedy) == ("r", "m")  # type: ignore[attr-defined]
    assert len(peer.seen) == 1


def test_an_error_without_words_names_the_place(peer: Peer, http: HttpClient) -> None:
    peer.answer = lambda n: (500, b"<html>")
    with pytest.raises(Unavailable, match=f"http://127.0.0.1:{peer.port} answered with HTTP status 500"):
        http.request("POST", peer.url)


def test_safe_requests_are_sent_again_others_are_not(peer: Peer, http: HttpClient) -> None:
    peer.answer = lambda n: problem(503, "busy") if n % 2 else (200, b"1")
    assert http.request("GET", peer.url).json() == 1
    with pytest.raises(Unavailable, match="busy"):
        http.request("POST", peer.url)
    assert len(peer.seen) == 3
    peer.answer = lambda n: (0, b"")
    with pytest.raises(Unavailable, match="peer-unreachable"):
        http.request("POST", peer.url)
    assert len(peer.seen) == 4


def test_nobody_there_names_the_place_and_not_the_path(http: HttpClient) -> None:
    start = time.monotonic()
    with pytest.raises(Unavailable, match=r"http://127\.0\.0\.1:1 cannot be reached") as caught:
        http.request("GET", "http://127.0.0.1:1/persons/4711?x=1", retries=1)
    assert "4711" not in str(caught.value)
    assert time.monotonic() - start < 3


def test_a_slow_peer_is_not_waited_for(peer: Peer, http: HttpClient) -> None:
    def slow(_: int) -> Answer:
        time.sleep(1)
        return 200, b"1"

    peer.answer = slow
    with pytest.raises(Unavailable, match="peer-slow"):
        http.request("POST", peer.url, timeout_seconds=0.2)


def test_an_endless_answer_is_cut_off(peer: Peer, http: HttpClient) -> None:
    peer.answer = lambda n: (200, b"x" * 100_000)
    with pytest.raises(Unavailable, match="answer-too-large"):
        http.request("GET", peer.url, max_bytes=1000)


def test_redirects_are_not_followed(peer: Peer, http: HttpClient) -> None:
    peer.answer = lambda n: (302, b"")
    assert http.request("GET", peer.url).status == 302
    assert len(peer.seen) == 1


@pytest.mark.parametrize("url", ["", "x", "/path", "ftp://host/", "http://", "http://h:99999", "http://h\n"])
def test_what_is_no_address_is_invalid(http: HttpClient, url: str) -> None:
    with pytest.raises(Invalid):
        http.request("GET", url)


KEYS, PEER_KEYS = KeyRing.generate(), KeyRing.generate()
CLOCK = FixedClock(datetime(2031, 1, 1, tzinfo=UTC))
OWN = "did:web:127.0.0.1%3A1"


def participant(peer: Peer) -> Participant:
    return Participant(did=peer.did, role=ParticipantRole.HUB, name="Hub", country="EU", url=peer.url)


def check(peer: Peer, seen: tuple[str, str, dict[str, str], bytes]) -> str:
    method, path, headers, body = seen
    token = headers["authorization"].removeprefix("Bearer ")
    claims = check_message(
        token, make_document(OWN, KEYS), own_did=peer.did, method=method, url=path, body=body, now=CLOCK.now()
    )
    return claims.jti


@pytest.mark.parametrize("path", ["/api/x", "/api/x?iri=https%3A%2F%2Fa%2Fb&y=%20", "/api/é?q=ü x"])
def test_what_is_signed_is_what_arrives(peer: Peer, http: HttpClient, path: str) -> None:
    client = PeerClient(http, KEYS, OWN, CLOCK)
    assert client.call(participant(peer), "POST", path, {"n": 1.5, "t": "é"}) == {"ok": True}
    assert client.call(participant(peer), "GET", path) == {"ok": True}
    client.send(participant(peer), "PUT", path, content=b"\x00\xff")
    jtis = {check(peer, seen) for seen in peer.seen}
    assert len(jtis) == 3
    assert peer.seen[2][2]["content-type"] == "application/octet-stream"


def test_a_message_that_broke_off_is_sent_again_with_a_fresh_token(peer: Peer, http: HttpClient) -> None:
    peer.answer = lambda n: (0, b"") if n == 1 else (200, b"1")
    assert PeerClient(http, KEYS, OWN, CLOCK).call(participant(peer), "POST", "/api/x", {}) == 1
    assert len({check(peer, seen) for seen in peer.seen}) == len(peer.seen) == 2


def test_the_receivers_error_comes_through_at_once(peer: Peer, http: HttpClient) -> None:
    peer.answer = lambda n: problem(503, "busy")
    with pytest.raises(Unavailable, match="busy"):
        PeerClient(http, KEYS, OWN, CLOCK).call(participant(peer), "POST", "/api/x")
    assert len(peer.seen) == 1


def document(peer: Peer, keys: KeyRing = PEER_KEYS) -> DidDocument:
    return make_document(peer.did, keys)


def test_documents_are_read_once_and_kept(peer: Peer, http: HttpClient) -> None:
    peer.answer = lambda n: (200, render_document(document(peer)))
    resolver = HttpKeyResolver(http)
    kid = next(iter(document(peer).keys))
    for _ in range(3):
        assert resolver.resolve(peer.did, kid=kid) == document(peer)
    assert [path for _, path, _, _ in peer.seen] == ["/.well-known/did.json"]


def test_many_threads_ask_once(peer: Peer, http: HttpClient) -> None:
    def slow(_: int) -> Answer:
        time.sleep(0.1)
        return 200, render_document(document(peer))

    peer.answer = slow
    resolver = HttpKeyResolver(http)
    threads = [threading.Thread(target=resolver.resolve, args=(peer.did,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(peer.seen) == 1


def test_a_new_key_is_found_but_invented_keys_do_not_make_us_ask(
    peer: Peer, http: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("salerno.identity.remote.time.monotonic", lambda: now[0])
    peer.answer = lambda n: (200, render_document(document(peer)))
    resolver = HttpKeyResolver(http)
    resolver.resolve(peer.did)
    for _ in range(5):
        resolver.resolve(peer.did, kid=f"{peer.did}#invented")
    assert len(peer.seen) == 1
    renewed = KeyRing.generate()
    peer.answer = lambda n: (200, render_document(document(peer, renewed)))
    now[0] += 11
    kid = next(iter(document(peer, renewed).keys))
    assert kid in resolver.resolve(peer.did, kid=kid).keys
    assert len(peer.seen) == 2


def test_an_old_document_serves_while_its_owner_is_down_and_then_no_more(
    peer: Peer, http: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("salerno.identity.remote.time.monotonic", lambda: now[0])
    peer.answer = lambda n: (200, render_document(document(peer))) if n == 1 else (500, b"")
    resolver = HttpKeyResolver(http, ttl_seconds=300, stale_seconds=3600)
    resolver.resolve(peer.did)
    now[0] += 301
    for _ in range(5):
        assert resolver.resolve(peer.did) == document(peer)
    assert len(peer.seen) == 2  # asked once, not at every message
    now[0] += 3600
    for _ in range(5):
        with pytest.raises(Unavailable, match="did-document"):
            resolver.resolve(peer.did)
    assert len(peer.seen) == 3


@pytest.mark.parametrize("content", [b"", b"{}", b'{"id":"did:web:evil.example"}', b"x" * 300_000])
def test_what_is_no_document_of_that_did_is_not_taken(peer: Peer, http: HttpClient, content: bytes) -> None:
    peer.answer = lambda n: (200, content)
    with pytest.raises(Unavailable, match="did-document"):
        HttpKeyResolver(http).resolve(peer.did)


def test_a_node_never_asks_itself(http: HttpClient) -> None:
    own = make_document(OWN, KEYS)
    assert HttpKeyResolver(http, own=own).resolve(OWN) is own


def test_the_target_is_what_goes_on_the_wire() -> None:
    assert request_target("http://h/a b?c=é") == "/a%20b?c=%C3%A9"
    assert request_target("http://h") == "/"
