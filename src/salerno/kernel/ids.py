"""Identifiers: random, sortable by time of making, and readable on paper."""

from __future__ import annotations

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


def _encode(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, rest = divmod(number, 32)
        digits.append(_ALPHABET[rest])
    return "".join(reversed(digits))
