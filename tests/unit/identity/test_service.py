"""Credentials under trust, and passwords."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from salerno.adapters.clock import FixedClock
from salerno.adapters.database import Database
from salerno.adapters.keys import KeyRing
from salerno.audit import store as audit_store
from salerno.audit.service import AuditLog
from salerno.identity import store
from salerno.identity.model import Participant, ParticipantRole
from salerno.identity.rules import StaticKeyResolver, make_document, sign_credential
from salerno.identity.service import ARGON2, Trust
from salerno.kernel.errors import Invalid, SalernoError

OWN, BODY = "did:web:fr.example", "did:web:body.example"
KEYS = KeyRing.generate()
NOW = datetime(2031, 1, 1, tzinfo=UTC)
CLOCK = FixedClock(NOW)


def sign(keys: KeyRing = KEYS, **changes: Any) -> str:
    parts: dict[str, Any] = {
        "id": "permit-1",
        "subject": "did:web:de.example#anna",
        "types": ["DataPermit"],
        "claims": {"months": 12},
        "valid_from": NOW,
        "valid_until": NOW + timedelta(days=365),
        "clock": CLOCK,
    }
    return sign_credential(keys, changes.pop("issuer", BODY), **(parts | changes))


def with_trust(do: Callable[[Trust], Any], *, admitted: bool = True) -> Any:
    resolver = StaticKeyResolver()
    resolver.add(make_document(BODY, KEYS))
    database = Database("sqlite://")
    with database.transaction() as connection:
        audit_store.metadata.create_all(connection)
        store.metadata.create_all(connection)
        log = AuditLog(audit_store.SqlAuditStore(connection), CLOCK, KEYS, "x")
        trust = Trust(store.SqlTrustStore(connection), log, CLOCK, resolver, OWN)
        if admitted:
            body = Participant(
                did=BODY,
                role=ParticipantRole.ACCESS_BODY,
                name="Body",
                country="FR",
                url="https://body.example",
            )
            trust.admit(body, by="op")
        return do(trust)


def code_of(token: str, type: str = "DataPermit", *, admitted: bool = True) -> str:
    with pytest.raises(SalernoError) as caught:
        with_trust(lambda trust: trust.verify_credential(token, type=type), admitted=admitted)
    return caught.value.code


@pytest.mark.parametrize("alg", ["EdDSA", "ES256"])
def test_a_credential_of_an_admitted_issuer_is_read(alg: str) -> None:
    token = sign(alg=alg)
    found = with_trust(lambda trust: trust.verify_credential(token, type="DataPermit"))
    assert (found.issuer, found.subject, found.types) == (BODY, "did:web:de.example#anna", ("DataPermit",))
    assert found.claims == {"months": 12}
    assert found.token == token


def test_others_are_refused_by_default() -> None:
    assert code_of(sign(), admitted=False) == "credential-issuer"
    assert code_of(sign(issuer="did:web:evil.example")) == "credential-issuer"
    assert code_of(sign(KeyRing.generate())) == "token-key"
    assert code_of(sign(), type="Membership") == "credential-type"
    assert code_of(sign(valid_until=NOW + timedelta(days=2), valid_from=NOW + timedelta(days=1))) == (
        "credential-not-yet-valid"
    )
    past = {"valid_from": NOW - timedelta(days=2), "valid_until": NOW - timedelta(days=1)}
    assert code_of(sign(**past)) == "credential-expired"
    assert code_of("x") == "token-malformed"


def test_an_invalid_participant_is_not_admitted() -> None:
    nobody = Participant(did="x", role=ParticipantRole.HUB, name="x", country="EU", url="x")
    with pytest.raises(Invalid):
        with_trust(lambda trust: trust.admit(nobody, by="op"))


def test_passwords_are_hashed_with_argon2id() -> None:
    hashed = ARGON2.hash("correct horse battery")
    assert hashed.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert ARGON2.verify(hashed, "correct horse battery")
    assert not ARGON2.verify(hashed, "correct horse batterx")
    assert not ARGON2.verify("", "correct horse battery")
    assert not ARGON2.verify("nonsense", "correct horse battery")


def test_nobody_takes_as_long_as_somebody() -> None:
    from time import process_time

    hashed = ARGON2.hash("correct horse battery")
    ARGON2.verify("", "x")

    def took(hash: str) -> float:
        times = []
        for _ in range(3):
            start = process_time()
            ARGON2.verify(hash, "wrong password")
            times.append(process_time() - start)
        return min(times)

    somebody, nobody = took(hashed), took("")
    assert 0.5 < nobody / somebody < 2
