"""Openings, rounds and shares as signed messages (compact JWS), and words as bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from salerno.analysis.model import Opened, RoundCall, RunOpening, Share, ShareHeader
from salerno.kernel.errors import Refused
from salerno.kernel.values import from_json, to_json
from salerno.standards.jose import read_header, read_payload, sign_compact, verify_compact

T = TypeVar("T")


class PublicKeys(Protocol):
    """A participant's DID document, as far as rounds need it."""

    @property
    def keys(self) -> Mapping[str, Mapping[str, Any]]:
        """Signing keys by full identifier."""
        ...

    @property
    def agreement(self) -> Mapping[str, Mapping[str, Any]]:
        """X25519 keys by full identifier."""
        ...


class KeyResolver(Protocol):
    """Where public keys come from."""

    def knows(self, did: str, *, kid: str = "") -> bool:
        """Whether `resolve` answers at once, without a request."""
        ...

    def resolve(self, did: str, *, kid: str = "") -> PublicKeys:
        """The keys of a participant, read again when the key `kid` is not among those known."""
        ...


@dataclass(frozen=True, slots=True)
class _Envelope(Generic[T]):
    """What is signed: who says it, and what."""

    body: T
    iss: str = ""


@dataclass(frozen=True, slots=True)
class _Tags:
    """The part of a `ShareHeader` that another holder reads."""

    tags: bytes = b""


_TYPES: Mapping[type, str] = {
    RunOpening: "salerno-opening+jwt",
    Opened: "salerno-opened+jwt",
    RoundCall: "salerno-round+jwt",
    ShareHeader: "salerno-share+jwt",
}


class SigningKeys(Protocol):
    """The part of a key ring that signs."""

    def private_jwk(self) -> Mapping[str, Any]:
        """The private signing key."""
        ...

    def signing_jwk(self) -> Mapping[str, Any]:
        """The public signing key with its ``kid``."""
        ...


def render_signed(
    value: RunOpening | Opened | RoundCall | ShareHeader, keys: SigningKeys, issuer: str
) -> str:
    """The value as a compact JWS whose ``typ`` says which kind it is."""
    payload = to_json({"iss": issuer, "body": value})
    kid = f"{issuer}#{keys.signing_jwk()['kid']}"
    return sign_compact(payload, keys.private_jwk(), kid, _TYPES[type(value)])


def parse_signed(token: str, kind: type[T], keys: Mapping[str, Mapping[str, Any]], issuer: str) -> T:
    """The value that the issuer signed.

    Args:
        token: Compact JWS.
        kind: What it must be.
        keys: The issuer's public keys by ``kid``.
        issuer: DID that must stand in it.

    Raises:
        Refused: Signature, kind or issuer are not in order.
        Invalid: It is signed but of another shape.
    """
    envelope = _read(verify_compact(token, keys, typ=_TYPES[kind]), kind, "the signed message")
    if envelope.iss != issuer:
        raise Refused("message-issuer", "The message names another issuer than the one who signed it")
    return envelope.body


def parse_from(token: str, kind: type[T], resolver: KeyResolver, issuer: str) -> T:
    """As `parse_signed`, with the issuer's keys as they are now; a new key of the issuer is looked up.

    Call it outside a transaction: the look-up may take a request.
    """
    document = resolver.resolve(issuer, kid=str(read_header(token).get("kid", "")))
    return parse_signed(token, kind, document.keys, issuer)


def keys_known(token: str, resolver: KeyResolver, issuer: str) -> bool:
    """Whether `parse_from` can do without a request to the issuer."""
    return resolver.knows(issuer, kid=str(read_header(token).get("kid", "")))


def read_stored(token: str, kind: type[T]) -> T:
    """The value in a token that this node has verified before it stored it; the signature is not checked."""
    return _read(read_payload(token), kind, "the stored message").body


def read_tags(header: str) -> bytes:
    """The tags in a share's signed header, NOT verified: each proves itself, see `vouching`.

    Raises:
        Invalid: It is no token, or the tags are none.
    """
    return _read(read_payload(header), _Tags, "the share's tags").body.tags


def _read(payload: bytes, kind: type[T], what: str) -> _Envelope[T]:
    return from_json(payload, _Envelope[kind], what=what)  # type: ignore[valid-type]


def render_words(words: NDArray[np.uint64]) -> bytes:
    """Words as little-endian bytes."""
    return words.astype("<u8", copy=False).tobytes()


def parse_words(data: bytes) -> NDArray[np.uint64]:
    """The words behind `render_words`.

    Raises:
        Refused: The length is no multiple of eight.
    """
    if len(data) % 8:
        raise Refused("share-altered", "The share's words are cut off")
    return np.frombuffer(data, "<u8")


def render_share(header: ShareHeader, words: bytes, keys: SigningKeys, issuer: str) -> Share:
    """A signed share."""
    return Share(header=render_signed(header, keys, issuer), words=words)


def words_digest(words: bytes) -> str:
    """SHA-256 of a share's words."""
    return hashlib.sha256(words).hexdigest()
