"""Credentials as JWT."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from salerno.adapters.keys import KeyRing
from salerno.kernel.errors import Invalid, Refused, SalernoError
from salerno.standards.jose import read_claims, read_header, sign_compact
from salerno.standards.vc import CONTEXT, issuer_of, parse_credential, render_credential

KEYS = KeyRing.generate()
ISSUER = "did:web:fr.example"
PUBLIC = {f"{ISSUER}#{alg}": KEYS.signing_jwk(alg) for alg in ("EdDSA", "ES256")}
START = datetime(2031, 1, 1, 12, tzinfo=UTC)
END = START + timedelta(days=365)


def render(alg: str = "EdDSA", **changes: Any) -> str:
    parts: dict[str, Any] = {
        "id": "permit-1",
        "issuer": ISSUER,
        "subject": "did:web:de.example#anna",
        "types": ["DataPermit"],
        "claims": {"purpose": "research", "data": ["a", "b"]},
        "issued_at": START,
        "valid_from": START,
        "valid_until": END,
        "key": KEYS.private_jwk(alg),
        "kid": f"{ISSUER}#{alg}",
        "alg": alg,
        "contexts": ["https://example.org/ctx"],
    }
    return render_credential(**(parts | changes))


def signed(**changes: Any) -> str:
    plain = read_claims(render()) | changes
    payload = json.dumps({k: v for k, v in plain.items() if v is not ...}).encode()
    return sign_compact(payload, KEYS.private_jwk(), f"{ISSUER}#EdDSA", "vc+jwt")


@pytest.mark.parametrize("alg", ["EdDSA", "ES256"])
def test_a_credential_comes_back(alg: str) -> None:
    token = render(alg)
    found = parse_credential(token, PUBLIC, at=START)
    assert (found.id, found.issuer, found.subject) == (
        "urn:salerno:permit-1",
        ISSUER,
        "did:web:de.example#anna",
    )
    assert found.types == ("DataPermit",)
    assert found.claims == {"purpose": "research", "data": ["a", "b"]}
    assert (found.issued_at, found.valid_from, found.valid_until) == (START, START, END)
    assert issuer_of(token) == ISSUER


def test_the_payload_is_the_credential() -> None:
    token = render(id="urn:x:1", types=["VerifiableCredential", "A"])
    plain = read_claims(token)
    assert read_header(token)["typ"] == "vc+jwt"
    assert plain["@context"] == [CONTEXT, "https://example.org/ctx"]
    assert plain["type"] == ["VerifiableCredential", "A"]
    assert plain["id"] == plain["jti"] == "urn:x:1"
    assert plain["credentialSubject"]["id"] == plain["sub"]
    assert (plain["nbf"], plain["exp"]) == (int(START.timestamp()), int(END.timestamp()))


@pytest.mark.parametrize(
    ("at", "code"),
    [
        (START - timedelta(seconds=1), "credential-not-yet-valid"),
        (END + timedelta(seconds=1), "credential-expired"),
    ],
)
def test_it_is_valid_between_its_dates(at: datetime, code: str) -> None:
    assert parse_credential(render(), PUBLIC, at=END)
    assert parse_credential(render(), PUBLIC)
    with pytest.raises(Refused) as caught:
        parse_credential(render(), PUBLIC, at=at)
    assert caught.value.code == code


def test_it_cannot_end_before_it_begins() -> None:
    with pytest.raises(Invalid):
        render(valid_until=START)


@pytest.mark.parametrize(
    "changes",
    [
        {"@context": ["https://www.w3.org/2018/credentials/v1"]},
        {"@context": CONTEXT},
        {"@context": ["https://example.org/ctx", CONTEXT]},
        {"type": "DataPermit"},
        {"type": ["DataPermit"]},
        {"type": ["VerifiableCredential", 3]},
        {"credentialSubject": ...},
        {"credentialSubject": {}},
        {"credentialSubject": [{"id": "a"}, {"id": "b"}]},
        {"issuer": ...},
        {"issuer": {"name": "x"}},
        {"issuer": ""},
        {"id": ...},
        {"validFrom": ...},
        {"validUntil": "soon"},
        {"validUntil": "2031-01-01T00:00:00"},
        {"iat": 1e99},
        {"iat": 10**30},
        {"vc": {}},
        {"iss": "did:web:evil.example"},
        {"sub": "did:web:de.example#bert"},
        {"jti": "urn:other"},
        {"exp": 1},
        {"nbf": 1},
    ],
)
def test_a_signed_text_that_is_no_credential_is_invalid(changes: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        parse_credential(signed(**changes), PUBLIC, at=START)


def test_claims_of_the_token_may_be_absent_and_an_issuer_may_be_an_object() -> None:
    bare = signed(iss=..., sub=..., jti=..., exp=..., nbf=..., iat=..., issuer={"id": ISSUER, "name": "FR"})
    assert parse_credential(bare, PUBLIC, at=START).issued_at == START


def test_a_changed_or_foreign_signature_is_refused() -> None:
    head, _, signature = render().split(".")
    other = render(claims={"purpose": "policy"}).split(".")[1]
    with pytest.raises(Refused):
        parse_credential(f"{head}.{other}.{signature}", PUBLIC)
    with pytest.raises(Refused):
        parse_credential(render(), {f"{ISSUER}#EdDSA": KeyRing.generate().signing_jwk()})
    message = sign_compact(b"{}", KEYS.private_jwk(), f"{ISSUER}#EdDSA", "salerno-message+jwt")
    with pytest.raises(SalernoError):
        parse_credential(message, PUBLIC)
