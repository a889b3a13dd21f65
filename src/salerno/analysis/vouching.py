"""Tags by which holders vouch for their shares to each other, under the secret that each pair has anyway.

A holder adds the shares of all others only when they are genuine. A signature proves that to everybody and
takes a tenth of a millisecond to check, which with thirty holders is more than the rest of the work; a tag
proves it to one other holder in a few microseconds (HMAC-SHA256, RFC 2104, cut to 128 bits). The key is
derived by HKDF-SHA256 from the pair's X25519 secret, apart from the pads' keys.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from functools import lru_cache

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from salerno.analysis.model import ArraySpec
from salerno.kernel.values import canonical

TAG_BYTES = 16


class Voucher:
    """Makes and compares the tags of one round.

    Args:
        context: What makes the round unique; the same at every holder.
        arrays: Layout of the shares.
    """

    def __init__(self, context: bytes, arrays: Sequence[ArraySpec]) -> None:
        self._place = hashlib.sha256(context).digest() + hashlib.sha256(canonical(arrays)).digest()

    def tag(self, secret: bytes, sender: str, words_sha256: str) -> bytes:
        """The tag of a share.

        Args:
            secret: X25519 secret of the sender and the holder that the tag is for.
            sender: DID of the holder whose share it is; it keeps a tag from being sent back.
            words_sha256: SHA-256 of the share's words, hexadecimal.
        """
        content = self._place + bytes.fromhex(words_sha256) + sender.encode()
        return hmac.digest(_key(secret), content, "sha256")[:TAG_BYTES]

    def tags(self, secrets: Sequence[bytes | None], sender: str, words_sha256: str) -> bytes:
        """The tags for all holders of a round; zeros for the one without a secret, the sender itself."""
        empty = bytes(TAG_BYTES)
        return b"".join(self.tag(s, sender, words_sha256) if s else empty for s in secrets)

    def proves(self, tags: bytes, place: int, secret: bytes, sender: str, words_sha256: str) -> bool:
        """Whether the tag at a place is the one that the sender makes of these words in this round."""
        found = tags[place * TAG_BYTES : (place + 1) * TAG_BYTES]
        return hmac.compare_digest(found, self.tag(secret, sender, words_sha256))


@lru_cache(maxsize=1024)
def _key(secret: bytes) -> bytes:
    # The same peers vouch for each other in every round.
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=b"salerno share tag 1").derive(secret)
