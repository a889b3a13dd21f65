"""A node's keys: Ed25519 and P-256 to sign, X25519 to agree on secrets."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn

from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from salerno.kernel.errors import Conflict, Invalid, Refused, Unavailable
from salerno.kernel.values import canonical

_Private = Ed25519PrivateKey | EllipticCurvePrivateKey | X25519PrivateKey

_FILES = ("ed25519.pem", "p256.pem", "x25519.pem")


class KeyRing:
    """The private keys of one node; what leaves it are signatures, shared secrets and public keys.

    Keys are named by their RFC 7638 thumbprint (``kid``).
    """

    def __init__(
        self, ed25519: Ed25519PrivateKey, p256: EllipticCurvePrivateKey, x25519: X25519PrivateKey
    ) -> None:
        self._ed25519 = ed25519
        self._p256 = p256
        self._x25519 = x25519
        self._public = {"EdDSA": _okp_jwk("Ed25519", ed25519), "ES256": _ec_jwk(p256)}
        self._agreement = _okp_jwk("X25519", x25519)
        # The same peers agree on secrets in every round.
        self._exchange = lru_cache(maxsize=1024)(self._exchange_with)

    @classmethod
    def generate(cls) -> KeyRing:
        """Fresh keys in memory alone."""
        p256 = generate_private_key(SECP256R1())
        return cls(Ed25519PrivateKey.generate(), p256, X25519PrivateKey.generate())

    @classmethod
    def create(cls, folder: Path | str) -> KeyRing:
        """Make fresh keys and keep them in a new folder (0700) as PKCS#8 PEM files (0600).

        The folder appears complete or not at all.

        Raises:
            Conflict: There is something in the folder already; keys are never written over.
            Unavailable: The disk does not take them.
        """
        target = Path(folder)
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise Conflict(
                "keys-exist",
                f"{target.name!r} is not an empty folder",
                remedy="Load the keys, or choose another.",
            )
        keys = cls.generate()
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            making = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
            try:
                private: tuple[_Private, ...] = (keys._ed25519, keys._p256, keys._x25519)
                for name, key in zip(_FILES, private, strict=True):
                    _write(
                        making / name, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
                    )
                making.rename(target)
            except BaseException:
                shutil.rmtree(making, ignore_errors=True)
                raise
            _sync_folder(target.parent)
        except OSError as error:
            raise Unavailable(
                "keys-not-written",
                f"The keys cannot be written to {target.name!r}: {error.strerror}",
                remedy="Check that the place is writable and has room.",
            ) from error
        return keys

    @classmethod
    def load(cls, folder: Path | str) -> KeyRing:
        """Read the keys that `create` made.

        Raises:
            Refused: Others on the machine could read them.
            Unavailable: A file is missing or is no such key.
        """
        place = Path(folder)
        try:
            _check_private(place, 0o700)
            for name in _FILES:
                _check_private(place / name, 0o600)
            ed25519, p256, x25519 = (
                load_pem_private_key((place / name).read_bytes(), password=None) for name in _FILES
            )
        except (OSError, ValueError, TypeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not an unencrypted PKCS#8 PEM file"
            raise Unavailable(
                "keys-not-read",
                f"The keys in {place.name!r} cannot be read: {reason}",
                remedy="Restore the folder from a back-up, or make new keys.",
            ) from error
        if (
            not isinstance(ed25519, Ed25519PrivateKey)
            or not isinstance(p256, EllipticCurvePrivateKey)
            or not isinstance(p256.curve, SECP256R1)
            or not isinstance(x25519, X25519PrivateKey)
        ):
            raise Unavailable("keys-not-read", f"A file in {place.name!r} holds a key of another kind")
        return cls(ed25519, p256, x25519)

    def sign(self, data: bytes) -> bytes:
        """The Ed25519 signature of `data`, 64 bytes."""
        return self._ed25519.sign(data)

    def signing_jwk(self, alg: str = "EdDSA") -> dict[str, Any]:
        """The public signing key as JWK: Ed25519 for ``EdDSA``, P-256 for ``ES256``."""
        return dict(self._public[alg])

    def agreement_jwk(self) -> dict[str, Any]:
        """The public X25519 key as JWK."""
        return dict(self._agreement)

    def private_jwk(self, alg: str = "EdDSA") -> dict[str, Any]:
        """The private signing key as JWK, for a JOSE library in this process; never store or send it."""
        if alg == "EdDSA":
            secret = self._ed25519.private_bytes_raw()
        else:
            secret = self._p256.private_numbers().private_value.to_bytes(32, "big")
        return self.signing_jwk(alg) | {"d": _base64url(secret)}

    def agree(self, peer_jwk: Mapping[str, Any]) -> bytes:
        """The secret shared with the owner of a public X25519 key, 32 bytes (RFC 7748).

        Feed it to a key derivation function; do not use it as a key.

        Raises:
            Invalid: The JWK is no X25519 key, or one that makes the secret known to all.
        """
        try:
            if (peer_jwk.get("kty"), peer_jwk.get("crv")) != ("OKP", "X25519"):
                raise ValueError("another kind of key")
            return self._exchange(str(peer_jwk["x"]))
        except (KeyError, ValueError) as error:
            raise Invalid("agreement-key", "The peer's agreement key is not a usable X25519 key") from error

    def _exchange_with(self, peer: str) -> bytes:
        public = X25519PublicKey.from_public_bytes(urlsafe_b64decode(peer + "=" * (-len(peer) % 4)))
        return self._x25519.exchange(public)

    def __repr__(self) -> str:
        return f"KeyRing(kid={self._public['EdDSA']['kid']!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("keys are not pickled: they would leave the process")


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _okp_jwk(curve: str, key: Ed25519PrivateKey | X25519PrivateKey) -> dict[str, Any]:
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return _named({"crv": curve, "kty": "OKP", "x": _base64url(public)})


def _ec_jwk(key: EllipticCurvePrivateKey) -> dict[str, Any]:
    numbers = key.public_key().public_numbers()
    x, y = (_base64url(n.to_bytes(32, "big")) for n in (numbers.x, numbers.y))
    return _named({"crv": "P-256", "kty": "EC", "x": x, "y": y})


def _named(jwk: dict[str, Any]) -> dict[str, Any]:
    # RFC 7638: SHA-256 of the required members, sorted, without white space.
    return jwk | {"kid": _base64url(sha256(canonical(jwk)).digest())}


def _write(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _check_private(path: Path, mode: int) -> None:
    found = path.stat()
    if stat.S_IMODE(found.st_mode) & ~mode or found.st_uid != os.geteuid():
        raise Refused(
            "keys-open-to-others",
            f"{path.name!r} has mode {stat.S_IMODE(found.st_mode):04o} or another owner: others may read it",
            remedy=f"Make it the node's own and set its mode to {mode:04o}, and consider making new keys.",
        )
