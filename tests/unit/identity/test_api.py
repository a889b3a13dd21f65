"""JSON routes of identity, through the middleware that finds the caller."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from argon2 import PasswordHasher
from litestar import Litestar, Request, Response, post
from litestar.testing import TestClient

from salerno.adapters.clock import FixedClock
from salerno.adapters.database import Database
from salerno.adapters.keys import KeyRing
from salerno.audit import store as audit_store
from salerno.audit.service import AuditLog
from salerno.identity import api, store
from salerno.identity.model import Participant, ParticipantRole, PersonRole
from salerno.identity.rules import StaticKeyResolver, make_document, sign_message
from salerno.identity.service import Accounts, Argon2Passwords, Trust
from salerno.kernel.errors import SalernoError
from salerno.standards.did import parse_document
from salerno.web.callers import CallerMiddleware, needs

OWN, PEER = "did:web:127.0.0.1%3A8101", "did:web:127.0.0.1%3A8102"
KEYS, PEER_KEYS = KeyRing.generate(), KeyRing.generate()
CLOCK = FixedClock(datetime(2031, 1, 1, tzinfo=UTC))
QUICK = Argon2Passwords(PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
PASSWORD = "correct horse battery"


@pytest.fixture
def http() -> Iterator[TestClient[Litestar]]:
    database = Database("sqlite://")
    with database.transaction() as connection:
        audit_store.metadata.create_all(connection)
        store.metadata.create_all(connection)
    resolver = StaticKeyResolver()
    resolver.add(make_document(PEER, PEER_KEYS))

    def log(c: Any) -> AuditLog:
        return AuditLog(audit_store.SqlAuditStore(c), CLOCK, KEYS, "x")

    open_trust = database.opens(lambda c: Trust(store.SqlTrustStore(c), log(c), CLOCK, resolver, OWN))
    open_accounts = database.opens(lambda c: Accounts(store.SqlAccountStore(c), log(c), CLOCK, OWN, QUICK))
    with open_accounts() as accounts:
        accounts.create("anna", "Anna", PASSWORD, [PersonRole.CITIZEN], "person-4711")
    with open_trust() as trust:
        url = "http://127.0.0.1:8102"
        trust.admit(
            Participant(did=PEER, role=ParticipantRole.HUB, name="Hub", country="EU", url=url), by="op"
        )

    @post("/api/echo", guards=[needs("hub")])
    async def echo(request: Request[Any, Any, Any]) -> dict[str, Any]:
        return {"body": (await request.body()).decode()}

    def problem(_: Any, error: SalernoError) -> Response[Any]:
        return Response(error.to_problem(), status_code=error.status)

    find = api.authenticator(open_trust, open_accounts)
    inner = Litestar(
        [*api.routes(open_accounts, make_document(OWN, KEYS)), echo],
        exception_handlers={SalernoError: problem},
        middleware=[lambda app: CallerMiddleware(app, find)],
    )
    with TestClient(inner) as client:
        yield client


def test_the_document_is_for_everybody(http: TestClient[Litestar]) -> None:
    answer = http.get("/.well-known/did.json")
    assert parse_document(answer.content, OWN) == make_document(OWN, KEYS)


def log_in(http: TestClient[Litestar], password: str = PASSWORD) -> Any:
    return http.post("/api/log-in", json={"login": "anna", "password": password})


def test_a_person_logs_in_sees_herself_and_logs_out(http: TestClient[Litestar]) -> None:
    answer = log_in(http)
    assert answer.status_code == 200
    assert "4711" not in answer.text
    assert answer.json()["account"]["id"] == f"{OWN}#anna"
    headers = {"authorization": f"Bearer {answer.json()['token']}"}
    me = http.get("/api/me", headers=headers)
    assert me.json() == {
        "kind": "person",
        "id": f"{OWN}#anna",
        "login": "anna",
        "name": "Anna",
        "roles": ["citizen"],
    }
    assert http.post("/api/echo", headers=headers).status_code == 403
    assert http.post("/api/log-out", headers=headers).status_code == 204
    assert http.get("/api/me", headers=headers).status_code == 401
    assert http.get("/api/me").status_code == 401


def test_a_wrong_password_says_no_more_than_that(http: TestClient[Litestar]) -> None:
    answer = log_in(http, "wrong password")
    assert answer.status_code == 403
    assert answer.json()["title"] == "log-in-failed"
    unknown = http.post("/api/log-in", json={"login": "bert", "password": "wrong password"})
    assert unknown.json() == answer.json()
    assert http.post("/api/log-in", json={"login": "anna"}).status_code == 422


def send(http: TestClient[Litestar], token: str, body: bytes = b'{"a":1}') -> Any:
    return http.post("/api/echo?x=%2F", content=body, headers={"authorization": f"Bearer {token}"})


def sign(**changes: Any) -> str:
    parts = {"method": "POST", "url": "/api/echo?x=%2F", "body": b'{"a":1}', "clock": CLOCK} | changes
    return sign_message(PEER_KEYS, PEER, OWN, **parts)


def test_a_signed_message_gets_through_once(http: TestClient[Litestar]) -> None:
    token = sign()
    assert send(http, token).json() == {"body": '{"a":1}'}
    again = send(http, token)
    assert again.status_code == 403


@pytest.mark.parametrize(
    "changes", [{"body": b"{}"}, {"url": "/api/echo"}, {"method": "PUT"}, {"url": "/api/other?x=%2F"}]
)
def test_the_outside_learns_only_that_a_message_is_refused(
    http: TestClient[Litestar], changes: dict[str, Any]
) -> None:
    answers = [send(http, sign(**changes)), send(http, "a.b.c"), send(http, sign()[:-6] + "AAAAAA")]
    assert {a.status_code for a in answers} == {403}
    assert len({a.text for a in answers}) == 1
    assert answers[0].json()["title"] == "message-refused"


def test_a_participant_sees_itself(http: TestClient[Litestar]) -> None:
    token = sign(method="GET", url="/api/me", body=b"")
    me = http.get("/api/me", headers={"authorization": f"Bearer {token}"})
    assert me.json() == {"kind": "participant", "id": PEER, "name": "Hub", "roles": ["hub"], "country": "EU"}
