"""Signed notes and log checkpoints as text (C2SP signed-note and tlog-checkpoint, Ed25519)."""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode, urlsafe_b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from salerno.kernel.errors import Invalid, Refused

_ED25519 = b"\x01"
_DASH = "\u2014"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """State of a log.

    Args:
        origin: Name of the log, also that of its key.
        size: Number of entries.
        root: Root hash of the Merkle tree over them, 32 bytes.
    """

    origin: str
    size: int
    root: bytes


def sign_checkpoint(checkpoint: Checkpoint, sign: Callable[[bytes], bytes], jwk: Mapping[str, Any]) -> str:
    """The checkpoint as a signed note.

    Args:
        checkpoint: What to sign; its origin has no white space and no plus sign.
        sign: Gives the Ed25519 signature of bytes.
        jwk: The public key of `sign`.

    Raises:
        Invalid: The origin cannot name a key.
    """
    if not checkpoint.origin or "+" in checkpoint.origin or any(c.isspace() for c in checkpoint.origin):
        raise Invalid(
            "note-origin", "The name of a log has no white space and no plus sign", rule="C2SP signed-note"
        )
    text = f"{checkpoint.origin}\n{checkpoint.size}\n{b64encode(checkpoint.root).decode()}\n"
    signature = _key_hash(checkpoint.origin, _public(jwk)) + sign(text.encode())
    return f"{text}\n{_DASH} {checkpoint.origin} {b64encode(signature).decode()}\n"


def parse_checkpoint(note: str) -> Checkpoint:
    """Read a checkpoint without looking at its signatures.

    Raises:
        Invalid: It is no checkpoint.
    """
    return _split(note)[1]


def verify_checkpoint(note: str, jwk: Mapping[str, Any]) -> Checkpoint:
    """Read a checkpoint that the key signed under the name of its origin; other signatures may stand beside.

    Raises:
        Invalid: It is no checkpoint.
        Refused: The key has not signed it.
    """
    text, checkpoint, signatures = _split(note)
    public = _public(jwk)
    wanted = _key_hash(checkpoint.origin, public)
    for name, signature in signatures:
        if name == checkpoint.origin and signature[:4] == wanted:
            try:
                Ed25519PublicKey.from_public_bytes(public).verify(signature[4:], text.encode())
            except InvalidSignature:
                break
            return checkpoint
    raise Refused("checkpoint-signature", "The checkpoint is not signed by this key", rule="C2SP signed-note")


def _split(note: str) -> tuple[str, Checkpoint, list[tuple[str, bytes]]]:
    try:
        text, separator, tail = note.rpartition("\n\n")
        if not separator or not tail.endswith("\n"):
            raise ValueError("no signatures")
        text += "\n"
        origin, size, root, *_ = text.split("\n")
        if not origin or not size.isascii() or not size.isdigit() or str(int(size)) != size:
            raise ValueError("no origin or size")
        hash_bytes = b64decode(root, validate=True)
        if len(hash_bytes) != 32:
            raise ValueError("no root")
        signatures = []
        for line in tail[:-1].split("\n"):
            dash, name, signature = line.split(" ")
            if dash != _DASH:
                raise ValueError("no signature line")
            signatures.append((name, b64decode(signature, validate=True)))
    except (ValueError, binascii.Error) as error:
        raise Invalid("checkpoint-malformed", "This is no checkpoint", rule="C2SP tlog-checkpoint") from error
    return text, Checkpoint(origin, int(size), hash_bytes), signatures


def _key_hash(name: str, public: bytes) -> bytes:
    return sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:4]


def _public(jwk: Mapping[str, Any]) -> bytes:
    text = str(jwk.get("x", ""))
    try:
        public = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (ValueError, binascii.Error):
        public = b""
    if jwk.get("crv") != "Ed25519" or len(public) != 32:
        raise Invalid("note-key", "Checkpoints are signed with Ed25519 keys", rule="C2SP signed-note")
    return public
