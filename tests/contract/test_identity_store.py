"""Trust and accounts on every database."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from argon2 import PasswordHasher
from sqlalchemy import text

from salerno.adapters.clock import FixedClock
from salerno.adapters.database import Database, Opens
from salerno.adapters.keys import KeyRing
from salerno.audit import store as audit_store
from salerno.audit.service import AuditLog
from salerno.identity import store
from salerno.identity.api import authenticator
from salerno.identity.model import Participant, ParticipantRole, PersonRole
from salerno.identity.rules import StaticKeyResolver, make_document, sign_message
from salerno.identity.service import Accounts, Argon2Passwords, Trust, log_in
from salerno.kernel.errors import Conflict, Invalid, NotFound, Refused

OWN, PEER = "did:web:127.0.0.1%3A8101", "did:web:127.0.0.1%3A8102"
KEYS, PEER_KEYS = KeyRing.generate(), KeyRing.generate()
PASSWORD = "correct horse battery"
HUB = Participant(did=PEER, role=ParticipantRole.HUB, name="Hub", country="EU", url="http://127.0.0.1:8102")
QUICK = Argon2Passwords(PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))


class Node:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = FixedClock(datetime(2031, 1, 1, tzinfo=UTC))
        resolver = StaticKeyResolver()
        resolver.add(make_document(PEER, PEER_KEYS))
        with database.transaction() as connection:
            audit_store.metadata.create_all(connection)
            store.metadata.create_all(connection)

        def log(c: Any) -> AuditLog:
            return AuditLog(audit_store.SqlAuditStore(c), self.clock, KEYS, "x")

        self.open_audit: Opens[AuditLog] = database.opens(log)
        self.open_trust: Opens[Trust] = database.opens(
            lambda c: Trust(store.SqlTrustStore(c), log(c), self.clock, resolver, OWN)
        )
        self.open_accounts: Opens[Accounts] = database.opens(
            lambda c: Accounts(store.SqlAccountStore(c), log(c), self.clock, OWN, QUICK)
        )

    def acts(self) -> list[str]:
        with self.open_audit() as audit:
            return [e.act for e in audit.entries(limit=1000)]

    def message(self, **changes: Any) -> str:
        parts = {"method": "POST", "url": "/api/x?y=1", "body": b"{}", "clock": self.clock} | changes
        return sign_message(PEER_KEYS, PEER, OWN, **parts)

    def receive(self, token: str) -> Any:
        (answer,) = self.receive_all([token])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def receive_all(self, tokens: Sequence[str], meanwhile: Callable[[], None] | None = None) -> list[Any]:
        """What comes of messages that arrive at one door at the same time."""
        find = authenticator(self.open_trust, self.open_accounts)

        async def receive(token: str) -> Any:
            return await find("POST", "/api/x?y=1", {"authorization": f"Bearer {token}"}, {}, b"{}")

        async def receive_all() -> list[Any]:
            answers = await asyncio.gather(*map(receive, tokens[:-1]), return_exceptions=True)
            if meanwhile is not None:
                meanwhile()
            return [*answers, *await asyncio.gather(receive(tokens[-1]), return_exceptions=True)]

        return asyncio.run(receive_all())


@pytest.fixture
def node(database: Database) -> Node:
    return Node(database)


def refused(code: str, do: Callable[[], Any]) -> None:
    with pytest.raises(Refused) as caught:
        do()
    assert caught.value.code == code


def test_participants_are_admitted_changed_and_expelled(node: Node) -> None:
    holder = Participant(
        did="did:web:127.0.0.1%3A8103",
        role=ParticipantRole.HOLDER,
        name="Hospital",
        country="DE",
        url="http://127.0.0.1:8103",
        access_body=PEER,
    )
    with node.open_trust() as trust:
        trust.admit(HUB, by="op")
        trust.admit(HUB, by="op")  # nothing changes, nothing is logged
        trust.admit(holder, by="op")
    with node.open_trust() as trust:
        assert trust.participants() == [holder, HUB]
        assert trust.participants(ParticipantRole.HUB) == [HUB]
        assert trust.participant(PEER) == HUB
        changed = Participant(did=PEER, role=HUB.role, name="The hub", country="EU", url=HUB.url)
        trust.admit(changed, by="op")
        assert trust.participant(PEER) == changed
        trust.expel(PEER, by="op", reason="left")
    with node.open_trust() as trust:
        with pytest.raises(NotFound):
            trust.participant(PEER)
        with pytest.raises(NotFound):
            trust.expel(PEER, by="op", reason="again")
    admissions = ["participant-admitted", "participant-admitted", "participant-changed"]
    assert node.acts() == [*admissions, "participant-expelled"]


def test_a_message_counts_once_also_when_its_handler_fails_later(node: Node) -> None:
    with node.open_trust() as trust:
        trust.admit(HUB, by="op")
    token = node.message()
    caller = node.receive(token)
    assert (caller.kind, caller.id, caller.roles, caller.country) == (
        "participant",
        PEER,
        frozenset({"hub"}),
        "EU",
    )
    refused("message-refused", lambda: node.receive(token))
    with node.open_audit() as audit:
        (entry,) = audit.entries(act="message-refused")
    assert entry.actor == PEER
    assert entry.detail == {"reason": "message-replayed", "method": "POST", "path": "/api/x"}


def test_who_is_not_admitted_is_refused_and_logged_without_a_name(node: Node) -> None:
    refused("message-refused", lambda: node.receive(node.message()))
    with node.open_audit() as audit:
        (entry,) = audit.entries()
    assert (entry.actor, entry.detail["reason"]) == ("unknown", "message-unknown-sender")


def test_a_forged_message_does_not_burn_the_true_one(node: Node) -> None:
    with node.open_trust() as trust:
        trust.admit(HUB, by="op")
    token = node.message()
    head, claims, signature = token.split(".")
    forged = f"{head}.{claims}.{signature[:-4]}AAAA"
    refused("message-refused", lambda: node.receive(forged))
    assert node.receive(token).id == PEER


def test_the_same_message_at_many_doors_at_once_passes_one(node: Node) -> None:
    with node.open_trust() as trust:
        trust.admit(HUB, by="op")
    token, passed = node.message(), []

    def arrive() -> None:
        with suppress(Refused):
            passed.append(node.receive(token))

    threads = [threading.Thread(target=arrive) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(passed) == 1
    assert node.acts().count("message-refused") == 5


def test_messages_that_are_counted_together_count_once_each(node: Node) -> None:
    with node.open_trust() as trust:
        trust.admit(HUB, by="op")
    token, another = node.message(), node.message()
    answers = node.receive_all([token, another, token, node.message(body=b"other"), token, token])
    assert [getattr(answer, "code", "") or answer.id for answer in answers] == [
        PEER,
        PEER,
        *["message-refused"] * 4,
    ]
    with node.open_audit() as audit:
        reasons = [entry.detail["reason"] for entry in audit.entries(act="message-refused")]
    assert sorted(reasons) == ["message-body", *["message-replayed"] * 3]


def test_who_is_expelled_is_refused_from_the_next_message_on(node: Node) -> None:
    with node.open_trust() as trust:
        trust.admit(HUB, by="op")

    def expel() -> None:
        with node.open_trust() as trust:
            trust.expel(PEER, by="op", reason="left")

    known, late = node.receive_all([node.message(), node.message()], expel)
    assert (known.id, late.code) == (PEER, "message-refused")
    with node.open_audit() as audit:
        (entry,) = audit.entries(act="message-refused")
    assert entry.detail["reason"] == "message-unknown-sender"


def test_burnt_messages_are_forgotten_once_they_have_expired(node: Node) -> None:
    with node.open_trust() as trust:
        trust.admit(HUB, by="op")
    old = node.message()
    node.receive(old)
    node.clock.advance(seconds=300)
    node.receive(node.message())
    with node.database.reading() as connection:
        assert connection.execute(text("SELECT count(*) FROM identity_message")).scalar_one() == 1
    refused("message-refused", lambda: node.receive(old))


def create(node: Node, login: str = "anna", *roles: PersonRole, person: str = "") -> None:
    with node.open_accounts() as accounts:
        accounts.create(login, "Anna", PASSWORD, roles or (PersonRole.RESEARCHER,), person)


def test_a_person_logs_in_and_out(node: Node) -> None:
    create(node)
    token = log_in(node.open_accounts, "anna", PASSWORD)
    find = authenticator(node.open_trust, node.open_accounts)

    def ask(headers: dict[str, str]) -> Any:
        return asyncio.run(find("GET", "/", headers, {}, b""))

    caller = ask({"authorization": f"Bearer {token}"})
    assert caller is not None
    assert (caller.kind, caller.id, caller.roles) == ("person", f"{OWN}#anna", frozenset({"researcher"}))
    assert ask({}) is None
    assert ask({"authorization": "Bearer nonsense"}) is None
    with node.open_accounts() as accounts:
        accounts.log_out(token)
        accounts.log_out(token)
        assert accounts.account_of(token) is None
    assert node.acts() == ["account-created", "session-opened", "session-closed"]


def test_a_session_ends_after_twelve_hours_and_its_token_is_not_stored(node: Node) -> None:
    create(node)
    token = log_in(node.open_accounts, "anna", PASSWORD)
    with node.database.reading() as connection:
        rows = connection.execute(text("SELECT * FROM identity_session")).all()
    assert token not in str(rows)
    node.clock.advance(seconds=12 * 3600 - 1)
    with node.open_accounts() as accounts:
        assert accounts.account_of(token) is not None
    node.clock.advance(seconds=1)
    with node.open_accounts() as accounts:
        assert accounts.account_of(token) is None
        assert accounts.account_of("") is None
    log_in(node.open_accounts, "anna", PASSWORD)  # ended ones are swept
    with node.database.reading() as connection:
        assert connection.execute(text("SELECT count(*) FROM identity_session")).scalar_one() == 1


def test_roles_count_from_the_next_request_on(node: Node) -> None:
    create(node)
    token = log_in(node.open_accounts, "anna", PASSWORD)
    with node.open_accounts() as accounts:
        accounts.set_roles("anna", [PersonRole.OFFICER], by="op")
        account = accounts.account_of(token)
        assert account is not None
        assert account.roles == (PersonRole.OFFICER,)
        assert accounts.accounts() == [account]
        with pytest.raises(NotFound):
            accounts.set_roles("bert", [PersonRole.OFFICER], by="op")
        with pytest.raises(Invalid):
            accounts.set_roles("anna", [], by="op")


def test_a_login_name_is_taken_once(node: Node) -> None:
    create(node)
    with pytest.raises(Conflict):
        create(node)


def wrong(node: Node, login: str = "anna") -> None:
    log_in(node.open_accounts, login, "wrong password")


@pytest.mark.parametrize("login", ["anna", "nobody"])
def test_five_failures_make_one_wait_and_a_wait_ends(node: Node, login: str) -> None:
    create(node)
    for _ in range(5):
        refused("log-in-failed", lambda: wrong(node, login))
    refused("log-in-throttled", lambda: log_in(node.open_accounts, login, PASSWORD))
    node.clock.advance(seconds=29)
    refused("log-in-throttled", lambda: wrong(node, login))
    node.clock.advance(seconds=2)
    refused("log-in-failed", lambda: wrong(node, login))  # the sixth: now a minute
    node.clock.advance(seconds=59)
    refused("log-in-throttled", lambda: wrong(node, login))
    node.clock.advance(seconds=2)
    if login == "anna":
        assert log_in(node.open_accounts, "anna", PASSWORD)
        refused("log-in-failed", lambda: wrong(node))  # counted anew
        assert log_in(node.open_accounts, "anna", PASSWORD)


def test_failures_within_one_transaction_are_kept_too(node: Node) -> None:
    create(node)

    def fail() -> None:
        with node.open_accounts() as accounts:
            accounts.log_in("anna", "wrong password")

    for _ in range(5):
        refused("log-in-failed", fail)
    refused("log-in-throttled", fail)
    assert node.acts().count("log-in-refused") == 6
    with node.open_audit() as audit:
        assert {e.subject for e in audit.entries(act="log-in-refused")} == {f"{OWN}#anna"}
        assert audit.verify().ok


def test_attempts_side_by_side_cannot_outrun_the_count(node: Node) -> None:
    create(node)
    with node.open_accounts() as accounts:
        attempts = [accounts.begin_log_in("anna") for _ in range(8)]

    def end(index: int, correct: bool) -> None:
        with node.open_accounts() as accounts:
            accounts.end_log_in(attempts[index], correct)

    for index in range(5):
        refused("log-in-failed", lambda index=index: end(index, False))  # type: ignore[misc]
    refused("log-in-throttled", lambda: end(5, True))


def test_the_log_holds_no_name_person_or_tried_name(node: Node) -> None:
    create(node, "anna", PersonRole.CITIZEN, person="person-4711")
    refused("log-in-failed", lambda: wrong(node, "a password typed here"))
    with node.open_audit() as audit:
        whole = str(audit.entries())
    for word in ("person-4711", "Anna", PASSWORD, "typed"):
        assert word not in whole
