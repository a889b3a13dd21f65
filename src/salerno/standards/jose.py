"""JSON Web Signatures in compact form (RFC 7515), with two algorithms and no way around them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey
from joserfc.util import urlsafe_b64decode, urlsafe_b64encode

from salerno.kernel.errors import Invalid, Refused
from salerno.kernel.values import from_json, to_json

ALGORITHMS: Mapping[str, tuple[str, str]] = {"EdDSA": ("OKP", "Ed25519"), "ES256": ("EC", "P-256")}
"""Allowed algorithms with the only kind of key (kty, crv) that each may be used with."""

MAX_TOKEN_BYTES = 4 * 1024 * 1024


# A whole token takes joserfc longer than its signature does, since it reads the header three times.
_SIGNERS: Mapping[str, Any] = {name: jws.JWSRegistry.algorithms[name] for name in ALGORITHMS}


def sign_compact(payload: bytes, key: Mapping[str, Any], kid: str, typ: str, alg: str = "EdDSA") -> str:
    """Sign bytes.

    Args:
        payload: What to sign.
        key: Private key as JWK.
        kid: Name under which the receiver finds the public key, e.g. ``did:web:example.org#key``.
        typ: What the token is, e.g. ``vc+jwt``; the receiver insists on it (RFC 8725 section 3.11).
        alg: ``EdDSA`` or ``ES256``, fitting the key.

    Raises:
        Invalid: Algorithm and key do not fit, or the payload is larger than tokens may be.
    """
    _check_fit(alg, key)
    head = to_json({"alg": alg, "kid": kid, "typ": typ})
    signed = urlsafe_b64encode(head) + b"." + urlsafe_b64encode(payload)
    try:
        signature = urlsafe_b64encode(_SIGNERS[alg].sign(signed, _load(key)))
    except (JoseError, ValueError) as error:
        raise Invalid("token-not-signed", f"The token cannot be signed: {error}") from error
    token = (signed + b"." + signature).decode("ascii")
    if len(token) > MAX_TOKEN_BYTES:
        raise Invalid(
            "token-too-long", f"A token of {len(token)} bytes is too long; {MAX_TOKEN_BYTES} may be"
        )
    return token


def verify_compact(token: str, keys: Mapping[str, Mapping[str, Any]], *, typ: str) -> bytes:
    """Check a signature.

    The header chooses among the given keys by `kid` and nothing else: keys inside the token, or addresses
    of keys, are refused, and the algorithm must be the one that fits the key.

    Args:
        token: Compact form.
        keys: Public keys as JWK by the exact `kid` that may name them.
        typ: What the token must be; upper and lower case are alike, ``application/`` may stand before it.

    Returns:
        The payload.

    Raises:
        Invalid: It is no token (``token-malformed``).
        Refused: ``token-type``, ``token-algorithm``, ``token-key`` or ``token-signature``.
    """
    header = read_header(token)
    if _media_type(header.get("typ")) != _media_type(typ):
        raise Refused("token-type", f"The token is not of type {typ}", rule="RFC 8725 section 3.11")
    if set(header) & {"jwk", "jku", "x5u", "x5c", "crit", "b64"}:
        raise Refused("token-key", "The token brings its own key or extensions", rule="RFC 8725 section 3.10")
    key = keys.get(str(header.get("kid", "")))
    if key is None:
        raise Refused("token-key", "The token names a key that its sender does not publish")
    alg = str(header.get("alg"))
    if alg not in ALGORITHMS or (key.get("kty"), key.get("crv")) != ALGORITHMS[alg]:
        raise Refused(
            "token-algorithm",
            "The token's algorithm is not allowed or does not fit its key",
            rule="RFC 8725 section 3.1",
        )
    signed, _, signature = token.encode("ascii").rpartition(b".")
    try:
        genuine = _SIGNERS[alg].verify(signed, urlsafe_b64decode(signature), _load(key))
        payload = urlsafe_b64decode(signed.partition(b".")[2])
    except (JoseError, ValueError) as error:
        raise Refused("token-signature", "The token's signature is wrong") from error
    if not genuine:
        raise Refused("token-signature", "The token's signature is wrong")
    return payload


def read_header(token: str) -> dict[str, Any]:
    """The token's header, NOT verified.

    Raises:
        Invalid: It is no token.
    """
    return dict(_parse_header(_part(token, 0)))


def read_claims(token: str) -> dict[str, Any]:
    """The token's JSON payload, NOT verified: good for finding out whose key to look up, for nothing else.

    Raises:
        Invalid: It is no token.
    """
    return _parse(_part(token, 1))


def read_payload(token: str) -> bytes:
    """The token's payload, NOT verified: for tokens that were verified before they were kept.

    Raises:
        Invalid: It is no token.
    """
    return _decode(_part(token, 1))


def _part(token: str, number: int) -> str:
    parts = token.split(".")
    if len(parts) != 3 or len(token) > MAX_TOKEN_BYTES:
        raise _malformed()
    return parts[number]


@lru_cache(maxsize=1024)
def _parse_header(part: str) -> dict[str, Any]:
    # All that one key signs of one kind begins with the same header.
    return _parse(part)


def _parse(part: str) -> dict[str, Any]:
    try:
        return from_json(_decode(part), dict[str, Any], what="the token")
    except Invalid as error:
        raise _malformed() from error


def _decode(part: str) -> bytes:
    try:
        decoded: bytes = urlsafe_b64decode(part.encode("ascii"))
    except ValueError as error:
        raise _malformed() from error
    return decoded


def _malformed() -> Invalid:
    return Invalid("token-malformed", "The token is not a signed token in compact form")


def _media_type(value: object) -> str:
    return str(value).lower().removeprefix("application/") if isinstance(value, str) else ""


def _check_fit(alg: str, key: Mapping[str, Any]) -> None:
    if ALGORITHMS.get(alg) != (key.get("kty"), key.get("crv")):
        raise Invalid("token-algorithm", f"Algorithm {alg} is not allowed or does not fit the key")


def _load(key: Mapping[str, Any]) -> OKPKey | ECKey:
    # Members such as `use`, `key_ops` or `alg` are left out: what a key may do is decided above.
    kept: dict[str, str | list[str]] = {
        k: str(v) for k, v in key.items() if k in ("kty", "crv", "x", "y", "d")
    }
    members = tuple(sorted((k, str(v)) for k, v in kept.items()))
    return _load_private(members) if "d" in kept else _load_public(members)


# The same peers send all the time, and reading a key takes longer than using it.
@lru_cache(maxsize=1024)
def _load_public(members: tuple[tuple[str, str], ...]) -> OKPKey | ECKey:
    return _import(dict(members))


@lru_cache(maxsize=64)
def _load_private(members: tuple[tuple[str, str], ...]) -> OKPKey | ECKey:
    return _import(dict(members))


def _import(members: dict[str, str | list[str]]) -> OKPKey | ECKey:
    return OKPKey.import_key(members) if members.get("kty") == "OKP" else ECKey.import_key(members)
