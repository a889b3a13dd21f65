"""Bitstring Status List 1.0 (W3C, 15 May 2025): one bit for each of many credentials, in one credential.

Who asks for the list tells nobody which of its credentials is meant.
"""

from __future__ import annotations

import gzip
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from salerno.kernel.errors import Invalid

LIST_CREDENTIAL = "BitstringStatusListCredential"
LIST = "BitstringStatusList"
ENTRY = "BitstringStatusListEntry"
REVOCATION = "revocation"

LEAST_BITS = 131_072
"""A list has at least so many places, used or not (section 6.1)."""

_MOST_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusEntry:
    """Where a credential's status stands (section 2.1).

    Args:
        url: Address of the list's credential.
        index: The place in it, from 0.
        purpose: What a bit of 1 means there.
    """

    url: str
    index: int
    purpose: str = REVOCATION


def encode_list(places: Iterable[int], *, bits: int = LEAST_BITS) -> str:
    """The ``encodedList`` with a 1 at each place, the first place being the highest bit of the first byte.

    Raises:
        Invalid: The list is too short, or has no such place.
    """
    if bits < LEAST_BITS or bits % 8:
        raise Invalid("status-list-length", f"A status list has at least {LEAST_BITS:,} bits, by eights",
                      rule="Bitstring Status List 1.0, 6.1")  # fmt: skip
    field = bytearray(bits // 8)
    for place in places:
        if not 0 <= place < bits:
            raise Invalid("status-list-place", f"The status list has no place {place}")
        field[place // 8] |= 0x80 >> place % 8
    # Without the time of compression, equal lists are equal texts.
    return "u" + urlsafe_b64encode(gzip.compress(bytes(field), mtime=0)).rstrip(b"=").decode()


def decode_list(encoded: str) -> bytes:
    """The bits of an ``encodedList``, eight to a byte.

    Raises:
        Invalid: It is not multibase base64url of gzip, is shorter than the least length, or far too long.
    """
    try:
        if not encoded.startswith("u"):
            raise ValueError("not base64url")
        packed = urlsafe_b64decode(encoded[1:] + "=" * (-len(encoded[1:]) % 4))
        unpacking = zlib.decompressobj(wbits=31)
        field = unpacking.decompress(packed, _MOST_BYTES)
        if not unpacking.eof:
            raise ValueError("cut off or too long")
    except (ValueError, zlib.error) as error:
        raise Invalid("status-list-encoding", "The status list cannot be read",
                      rule="Bitstring Status List 1.0, 2.2") from error  # fmt: skip
    if len(field) * 8 < LEAST_BITS:
        raise Invalid("status-list-length", "The status list is too short to hide whom one asks about",
                      rule="Bitstring Status List 1.0, 3.2")  # fmt: skip
    return field


def is_set(field: bytes, place: int) -> bool:
    """The bit at a place.

    Raises:
        Invalid: There is no such place.
    """
    if not 0 <= place < len(field) * 8:
        raise Invalid("status-list-place", f"The status list has no place {place}",
                      rule="Bitstring Status List 1.0, 3.2")  # fmt: skip
    return bool(field[place // 8] & 0x80 >> place % 8)


def render_entry(entry: StatusEntry) -> dict[str, Any]:
    """The ``credentialStatus`` of a credential."""
    return {
        "id": f"{entry.url}#{entry.index}",
        "type": ENTRY,
        "statusPurpose": entry.purpose,
        "statusListIndex": str(entry.index),
        "statusListCredential": entry.url,
    }


def parse_entry(plain: Mapping[str, Any]) -> StatusEntry:
    """Read a ``credentialStatus``.

    Raises:
        Invalid: It is not an entry of a status list.
    """
    index, url = plain.get("statusListIndex"), plain.get("statusListCredential")
    purpose = plain.get("statusPurpose")
    if (
        plain.get("type") != ENTRY
        or not (isinstance(index, str) and index.isascii() and index.isdigit())
        or not isinstance(url, str)
        or not isinstance(purpose, str)
    ):
        raise Invalid("status-entry", "The credential's status is not an entry of a Bitstring Status List",
                      rule="Bitstring Status List 1.0, 2.1")  # fmt: skip
    return StatusEntry(url=url, index=int(index), purpose=purpose)


def render_list(places: Iterable[int], *, purpose: str = REVOCATION) -> dict[str, Any]:
    """The claims of a list's credential; their subject is its address with ``#list``."""
    return {"type": LIST, "statusPurpose": purpose, "encodedList": encode_list(places)}


def parse_list(claims: Mapping[str, Any], *, purpose: str = REVOCATION) -> bytes:
    """The bits that a list's credential claims.

    Raises:
        Invalid: It is no list, or one of another purpose.
    """
    encoded = claims.get("encodedList")
    if claims.get("type") != LIST or claims.get("statusPurpose") != purpose or not isinstance(encoded, str):
        raise Invalid("status-list-shape", f"This is no status list of the purpose {purpose!r}",
                      rule="Bitstring Status List 1.0, 2.2, 3.2")  # fmt: skip
    return decode_list(encoded)
