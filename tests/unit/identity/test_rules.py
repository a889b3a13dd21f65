"""Messages, participants, accounts: each way to be wrong has its own code."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from salerno.adapters.clock import FixedClock
from salerno.adapters.keys import KeyRing
from salerno.identity.model import Account, MessageClaims, Participant, ParticipantRole, PersonRole
from salerno.identity.rules import (
    StaticKeyResolver,
    check_account,
    check_message,
    check_participant,
    check_password,
    claimed_sender,
    key_id,
    key_named_by,
    make_document,
    new_session_token,
    sign_message,
    target_of,
    wait_seconds,
)
from salerno.kernel.errors import Invalid, NotFound, Refused
from salerno.kernel.values import canonical
from salerno.standards.jose import read_claims, sign_compact

SENDER, RECEIVER = "did:web:de.example", "did:web:fr.example"
KEYS = KeyRing.generate()
DOCUMENT = make_document(SENDER, KEYS)
NOW = datetime(2031, 1, 1, tzinfo=UTC)


def sign(**changes: Any) -> str:
    parts = {"method": "POST", "url": "/api/x?y=1", "body": b"{}", "clock": FixedClock(NOW)} | changes
    return sign_message(KEYS, SENDER, RECEIVER, **parts)


def with_claims(kid: str = "", **changes: Any) -> str:
    claims = {k: v for k, v in (read_claims(sign()) | changes).items() if v is not ...}
    kid = kid or key_id(SENDER, KEYS.signing_jwk())
    return sign_compact(canonical(claims), KEYS.private_jwk(), kid, "salerno-message+jwt")


def check(token: str, **changes: Any) -> MessageClaims:
    parts: dict[str, Any] = {
        "own_did": RECEIVER,
        "method": "POST",
        "url": "/api/x?y=1",
        "body": b"{}",
        "now": NOW,
    }
    return check_message(token, changes.pop("document", DOCUMENT), **(parts | changes))


def code_of(token: str, **changes: Any) -> str:
    with pytest.raises(Refused) as caught:
        check(token, **changes)
    return caught.value.code


def test_a_message_in_order_passes() -> None:
    claims = check(sign())
    assert claims.sender == SENDER
    assert claims.expires_at == NOW + timedelta(seconds=90)
    assert check(sign()).jti != claims.jti


def test_a_whole_address_counts_by_path_and_query() -> None:
    assert check(sign(url="https://fr.example/api/x?y=1"))
    assert target_of("https://fr.example") == "/"
    assert target_of("https://fr.example/a/b") == "/a/b"


SECOND = int(NOW.timestamp())


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"aud": "did:web:other.example"}, "message-audience"),
        ({"aud": ...}, "message-audience"),
        ({"aud": [RECEIVER]}, "message-audience"),
        ({"iss": "did:web:other.example"}, "message-sender"),
        ({"sub": "did:web:other.example"}, "message-sender"),
        ({"sub": ...}, "message-sender"),
        ({"iss": "did:web:x", "sub": "did:web:x"}, "message-sender"),
        ({"iat": SECOND + 31, "exp": SECOND + 60}, "message-future"),
        ({"exp": SECOND}, "message-expired"),
        ({"exp": SECOND + 121}, "message-lifetime"),
        ({"exp": SECOND + 10**9}, "message-lifetime"),
        ({"iat": SECOND + 20, "exp": SECOND + 10}, "message-lifetime"),
        ({"iat": ...}, "message-lifetime"),
        ({"exp": ...}, "message-lifetime"),
        ({"exp": "soon"}, "message-lifetime"),
        ({"htm": "GET"}, "message-method"),
        ({"htm": ...}, "message-method"),
        ({"htu": "/api/x?y=2"}, "message-path"),
        ({"htu": "/api/x"}, "message-path"),
        ({"htu": ...}, "message-path"),
        ({"digest": "x"}, "message-body"),
        ({"digest": ...}, "message-body"),
        ({"jti": ...}, "message-malformed"),
        ({"jti": "short"}, "message-malformed"),
        ({"jti": "x" * 129}, "message-malformed"),
        ({"jti": 12345678901234567890}, "message-malformed"),
    ],
)
def test_each_wrong_claim_has_its_code(changes: dict[str, Any], code: str) -> None:
    assert code_of(with_claims(**changes)) == code


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"own_did": "did:web:other.example"}, "message-audience"),
        ({"method": "PUT"}, "message-method"),
        ({"url": "/api/x?y=1&z=2"}, "message-path"),
        ({"url": "/api/z?y=1"}, "message-path"),
        ({"body": b"{ }"}, "message-body"),
        ({"body": b""}, "message-body"),
        ({"now": NOW + timedelta(seconds=90)}, "message-expired"),
        ({"now": NOW - timedelta(seconds=31)}, "message-future"),
    ],
)
def test_what_was_signed_is_what_must_arrive(changes: dict[str, Any], code: str) -> None:
    assert code_of(sign(), **changes) == code


def test_clocks_may_differ_a_little() -> None:
    assert check(sign(), now=NOW - timedelta(seconds=30))
    assert check(sign(), now=NOW + timedelta(seconds=89))


def test_keys_types_and_signatures_have_their_codes() -> None:
    other = make_document(SENDER, KeyRing.generate())
    assert code_of(sign(), document=other) == "message-key"
    same_name = replace(other, keys={key_id(SENDER, KEYS.signing_jwk()): next(iter(other.keys.values()))})
    assert code_of(sign(), document=same_name) == "message-signature"
    assert code_of(with_claims(kid=key_id(SENDER, KEYS.signing_jwk("ES256")))) == "message-algorithm"
    credential = sign_compact(b"{}", KEYS.private_jwk(), key_id(SENDER, KEYS.signing_jwk()), "vc+jwt")
    assert code_of(credential) == "message-type"
    assert code_of("x") == "message-malformed"
    no_json = sign_compact(
        b"x", KEYS.private_jwk(), key_id(SENDER, KEYS.signing_jwk()), "salerno-message+jwt"
    )
    assert code_of(no_json) == "message-malformed"


def test_a_key_for_agreement_does_not_sign() -> None:
    with_agreement = replace(DOCUMENT, keys=dict(DOCUMENT.agreement))
    kid = next(iter(DOCUMENT.agreement))
    assert code_of(with_claims(kid=kid), document=with_agreement) == "message-algorithm"


def test_the_claimed_sender_and_key_are_read_without_trust() -> None:
    assert claimed_sender(sign()) == SENDER
    assert key_named_by(sign()) == key_id(SENDER, KEYS.signing_jwk())
    assert key_named_by("x") == ""
    for token in ("x", "a.b.c", with_claims(iss=...), with_claims(iss=3, sub=3), with_claims(iss="", sub="")):
        with pytest.raises(Refused):
            claimed_sender(token)


def test_checking_takes_less_than_a_millisecond() -> None:
    tokens = [sign() for _ in range(100)]
    check(tokens[0])
    start = time.process_time()
    for token in tokens:
        check(token)
    assert (time.process_time() - start) / 100 < 0.001


HOLDER = Participant(
    did=SENDER,
    role=ParticipantRole.HOLDER,
    name="Charité",
    country="DE",
    url="https://de.example",
    access_body="did:web:body.example",
)


def test_a_participant_in_order_passes() -> None:
    check_participant(HOLDER)
    check_participant(replace(HOLDER, role=ParticipantRole.HUB, access_body="", country="EU"))


@pytest.mark.parametrize(
    "changes",
    [
        {"did": "de.example"},
        {"did": "did:key:z6Mk"},
        {"url": "http://de.example"},
        {"url": "https://de.example/"},
        {"url": "de.example"},
        {"country": "XX"},
        {"country": "de"},
        {"name": " "},
        {"access_body": ""},
        {"access_body": "body"},
        {"role": ParticipantRole.HUB},
    ],
)
def test_a_participant_that_makes_no_sense_is_invalid(changes: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        check_participant(replace(HOLDER, **changes))


ACCOUNT = Account(
    id=f"{RECEIVER}#anna", login="anna", name="Anna", roles=(PersonRole.RESEARCHER,), created_at=NOW
)


def test_an_account_in_order_passes() -> None:
    check_account(ACCOUNT)
    check_account(replace(ACCOUNT, roles=(PersonRole.CITIZEN,), person="p-1"))


@pytest.mark.parametrize(
    "changes",
    [
        {"login": ""},
        {"login": "Anna"},
        {"login": "-anna"},
        {"login": "an na"},
        {"login": "a#b"},
        {"login": "a" * 64},
        {"name": ""},
        {"roles": ()},
        {"person": "p-4711"},
        {"roles": (PersonRole.CITIZEN,)},
    ],
)
def test_an_account_that_makes_no_sense_is_invalid(changes: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as caught:
        check_account(replace(ACCOUNT, **changes))
    assert "4711" not in str(caught.value)


def test_passwords_are_long_and_not_the_name() -> None:
    check_password("twelve chars", "anna")
    for password in ("", "eleven char", "x" * 257, "annaannaanna"):
        with pytest.raises(Invalid) as caught:
            check_password(password, "anna")
        if password:
            assert password not in str(caught.value)


def test_waits_grow_to_a_quarter_of_an_hour() -> None:
    assert [wait_seconds(n) for n in (0, 4, 5, 6, 7, 9, 10, 10**6)] == [0, 0, 30, 60, 120, 480, 900, 900]


def test_session_tokens_are_never_taken_for_messages() -> None:
    tokens = {new_session_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all("." not in token and len(token) >= 43 for token in tokens)


def test_a_static_resolver_knows_what_it_was_given() -> None:
    resolver = StaticKeyResolver()
    resolver.add(DOCUMENT)
    assert resolver.resolve(SENDER) is DOCUMENT
    with pytest.raises(NotFound):
        resolver.resolve(RECEIVER)
