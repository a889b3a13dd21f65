"""Tokens: two algorithms, one way to choose a key."""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from salerno.adapters.keys import KeyRing
from salerno.kernel.errors import Invalid, Refused, SalernoError
from salerno.standards.jose import read_claims, read_header, sign_compact, verify_compact

KEYS = KeyRing.generate()
ED, EC = KEYS.signing_jwk("EdDSA"), KEYS.signing_jwk("ES256")
PUBLIC = {"ed": ED, "ec": EC}


def sign(payload: bytes = b'{"a":1}', kid: str = "ed", typ: str = "x+jwt", alg: str = "EdDSA") -> str:
    return sign_compact(payload, KEYS.private_jwk(alg), kid, typ, alg)


def b64(data: bytes | dict[str, Any]) -> str:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def with_header(token: str, **changes: Any) -> str:
    header, *rest = token.split(".")
    plain = json.loads(urlsafe_b64decode(header + "=="))
    return ".".join([b64({k: v for k, v in (plain | changes).items() if v is not None}), *rest])


def code_of(token: str, keys: Any = PUBLIC, typ: str = "x+jwt") -> str:
    with pytest.raises(SalernoError) as caught:
        verify_compact(token, keys, typ=typ)
    return caught.value.code


@pytest.mark.parametrize(("alg", "kid"), [("EdDSA", "ed"), ("ES256", "ec")])
def test_signed_bytes_come_back(alg: str, kid: str) -> None:
    token = sign(alg=alg, kid=kid)
    assert verify_compact(token, PUBLIC, typ="x+jwt") == b'{"a":1}'
    assert verify_compact(token, PUBLIC, typ="application/X+JWT") == b'{"a":1}'
    assert read_header(token) == {"alg": alg, "kid": kid, "typ": "x+jwt"}
    assert read_claims(token) == {"a": 1}


@given(st.binary(max_size=200), st.data())
def test_any_flipped_bit_is_noticed(payload: bytes, draw: st.DataObject) -> None:
    parts = [urlsafe_b64decode(p + "==") for p in sign(payload).split(".")]
    part = draw.draw(st.sampled_from([i for i, p in enumerate(parts) if p]))
    place = draw.draw(st.integers(0, len(parts[part]) * 8 - 1))
    changed = bytearray(parts[part])
    changed[place // 8] ^= 1 << place % 8
    parts[part] = bytes(changed)
    with pytest.raises(SalernoError):
        verify_compact(".".join(b64(p) for p in parts), PUBLIC, typ="x+jwt")


def test_no_algorithm_is_no_signature() -> None:
    for name in ("none", "None", "NONE", "", None):
        head, claims, _ = with_header(sign(), alg=name).split(".")
        assert code_of(f"{head}.{claims}.") == "token-algorithm"


def test_a_public_key_is_never_a_shared_secret() -> None:
    head = b64({"alg": "HS256", "kid": "ed", "typ": "x+jwt"})
    claims = b64(b'{"a":1}')
    for secret in (ED["x"].encode(), urlsafe_b64decode(ED["x"] + "=="), json.dumps(ED).encode()):
        mac = hmac.digest(secret, f"{head}.{claims}".encode(), "sha256")
        assert code_of(f"{head}.{claims}.{b64(mac)}") == "token-algorithm"


@pytest.mark.parametrize("alg", ["ES256", "RS256", "Ed448", "ES384", 5, ["EdDSA"]])
def test_an_algorithm_that_does_not_fit_the_key_is_refused(alg: Any) -> None:
    assert code_of(with_header(sign(), alg=alg)) == "token-algorithm"


def test_a_key_of_another_curve_is_refused() -> None:
    assert code_of(sign(), {"ed": KEYS.agreement_jwk()}) == "token-algorithm"


@pytest.mark.parametrize("kid", ["other", "", None, 7])
def test_an_unpublished_key_is_refused(kid: Any) -> None:
    assert code_of(with_header(sign(), kid=kid)) == "token-key"


@pytest.mark.parametrize("name", ["jwk", "jku", "x5u", "x5c", "crit", "b64"])
def test_a_token_cannot_bring_its_own_key(name: str) -> None:
    assert code_of(with_header(sign(), **{name: ED})) == "token-key"


@pytest.mark.parametrize("typ", ["JWT", "vc+jwt", "", None, 3])
def test_a_token_of_another_kind_is_refused(typ: Any) -> None:
    assert code_of(with_header(sign(), typ=typ)) == "token-type"


def test_the_key_of_somebody_else_is_refused() -> None:
    assert code_of(sign(), {"ed": KeyRing.generate().signing_jwk()}) == "token-signature"


@pytest.mark.parametrize(
    "token",
    ["", "a", "a.b", "a.b.c", "a.b.c.d", "é.é.é", "....", "e30", "W10.e30.x", "e30.e30.e30." + "x" * 9],
)
def test_what_is_no_token_is_refused(token: str) -> None:
    assert code_of(token) in ("token-malformed", "token-type")


def test_a_spoilt_key_is_refused_not_a_crash() -> None:
    for x in ("", "AAAA", "é", None):
        assert code_of(sign(), {"ed": ED | {"x": x}}) == "token-signature"


def test_a_key_signs_with_its_own_algorithm_only() -> None:
    for alg, key in (("ES256", "EdDSA"), ("EdDSA", "ES256"), ("HS256", "EdDSA"), ("none", "EdDSA")):
        with pytest.raises(Invalid):
            sign_compact(b"", KEYS.private_jwk(key), "k", "x+jwt", alg)


def test_too_long_a_token_is_refused() -> None:
    with pytest.raises(Invalid):
        sign_compact(b"x" * 5_000_000, KEYS.private_jwk(), "ed", "x+jwt")
    with pytest.raises(Invalid):
        read_claims(f"e30.{'A' * 5_000_000}.e30")


def test_it_is_quick_enough_to_stand_at_every_door() -> None:
    from time import process_time

    token = sign()
    verify_compact(token, PUBLIC, typ="x+jwt")
    start = process_time()
    for _ in range(200):
        verify_compact(token, PUBLIC, typ="x+jwt")
    assert (process_time() - start) / 200 < 0.001


def test_refused_is_what_an_attacker_sees() -> None:
    with pytest.raises(Refused):
        verify_compact(with_header(sign(), alg="none"), PUBLIC, typ="x+jwt")
