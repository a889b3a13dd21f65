"""Pseudonyms of one permit: keyed, the same wherever an identifier stands, never those of another permit.

AES-256-SIV (RFC 5297) over the padded identifier, under a key that is derived from the access body's secret
for each permit: deterministic, authenticated, and reversible with the key alone. A pseudonym tells neither
how long the identifier is nor anything that a pseudonym of another permit would tell.
"""

from __future__ import annotations

from base64 import b32decode, b32encode
from binascii import Error

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from salerno.kernel.errors import Invalid

KEY_BYTES = 64
_BLOCK = 16
_RULE = "EHDS Art. 66(2)-(3)"


def pseudonym_key(secret: bytes, permit_id: str) -> bytes:
    """The key of a permit's pseudonyms (HKDF-SHA256), `KEY_BYTES` long.

    Args:
        secret: The access body's secret, 32 random bytes that never leave it.
        permit_id: The permit.
    """
    info = b"salerno pseudonyms\0" + permit_id.encode()
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(secret)


class Pseudonyms:
    """Makes and takes back the pseudonyms of one permit.

    Args:
        key: What `pseudonym_key` gave.
    """

    def __init__(self, key: bytes) -> None:
        self._cipher = AESSIV(key)

    def of(self, identifier: str) -> str:
        """The pseudonym of an identifier: letters and digits of base 32, in lower case.

        Raises:
            Invalid: There is no identifier.
        """
        plain = identifier.encode()
        if not plain:
            raise Invalid("identifier-missing", "What has no identifier has no pseudonym", rule=_RULE)
        # Padded to whole blocks, so that its length tells next to nothing.
        left = _BLOCK - len(plain) % _BLOCK
        sealed = self._cipher.encrypt(plain + bytes([left]) * left, None)
        return b32encode(sealed).decode().rstrip("=").lower()

    def identifier(self, pseudonym: str) -> str:
        """The identifier behind a pseudonym.

        Raises:
            Invalid: ``not-a-pseudonym``: it is none of this permit's.
        """
        text = pseudonym.strip().upper()
        try:
            plain = self._cipher.decrypt(b32decode(text + "=" * (-len(text) % 8)), None)
            return plain[: -plain[-1]].decode()
        except (Error, ValueError, InvalidTag) as error:
            raise Invalid(
                "not-a-pseudonym",
                "This is no pseudonym of the permit",
                rule=_RULE,
                remedy="Give the permit under which the pseudonym was seen.",
            ) from error
