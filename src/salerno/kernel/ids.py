"""Identifiers: random, sortable by time of making, and readable on paper."""

from __future__ import annotations

import hashlib
import re
import secrets
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's: no i, l, o, u


def new_id(prefix: str) -> str:
    """A fresh identifier such as ``permit-01k8x3f9q2-7c4d9mz0``.

    Args:
        prefix: Kind of thing, lower-case.

    The first part is the time in milliseconds, so identifiers sort by age and index well; the
    second part has 40 random bits. It is a name, not a secret.
    """
    return f"{prefix}-{_encode(time.time_ns() // 1_000_000, 10)}-{_encode(secrets.randbits(40), 8)}"


def is_id(text: str, prefix: str) -> bool:
    """Whether a text has the form of a `new_id` of this kind."""
    digit = f"[{_ALPHABET}]"
    return re.fullmatch(f"{re.escape(prefix)}-{digit}{{10}}-{digit}{{8}}", text) is not None


def derived_id(prefix: str, *parts: str) -> str:
    """The identifier that belongs to some texts: the same texts always give the same one.

    Args:
        prefix: Kind of thing, lower-case.
        *parts: What it is made of, e.g. its owner and a key that the owner chose.
    """
    content = b"".join(len(part).to_bytes(8) + part for part in (text.encode() for text in parts))
    return f"{prefix}-{_encode(int.from_bytes(hashlib.sha256(content).digest()[:15]), 24)}"


def _encode(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, rest = divmod(number, 32)
        digits.append(_ALPHABET[rest])
    return "".join(reversed(digits))
