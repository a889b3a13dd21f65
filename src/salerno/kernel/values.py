"""Values to JSON and back, with errors that name the place; canonical bytes for hashes and signatures."""

from __future__ import annotations

import hashlib
import threading
from typing import Any, TypeVar

import msgspec

from salerno.kernel.errors import Invalid

T = TypeVar("T")


def to_json(value: Any) -> bytes:
    """A value (dataclass, enum, datetime, dict, list …) as JSON bytes."""
    return msgspec.json.encode(value)


def to_plain(value: Any) -> Any:
    """A value as plain JSON types: dict, list, str, int, float, bool, None."""
    return msgspec.to_builtins(value, str_keys=True)


def from_json(data: bytes | str, kind: type[T], *, what: str) -> T:
    """Read JSON into a typed value.

    Args:
        data: JSON text.
        kind: Type to read into; unknown members of dataclasses are ignored.
        what: What the text is, for the error, e.g. ``the application``.

    Raises:
        Invalid: It is no JSON, or a member is missing or of the wrong type; the path is named.
    """
    _prepare(kind)
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        raise Invalid("wrong-shape", f"{what} does not have the right shape: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid("not-json", f"{what} is not JSON: {error}") from error


def from_plain(data: Any, kind: type[T], *, what: str) -> T:
    """Like `from_json`, from plain JSON types."""
    _prepare(kind)
    try:
        return msgspec.convert(data, type=kind)
    except msgspec.ValidationError as error:
        raise Invalid("wrong-shape", f"{what} does not have the right shape: {error}") from error


def _prepare(kind: Any) -> None:
    """Have msgspec look at a type for the first time while no other thread does.

    It lets others see a dataclass that it has half looked at, which ends the process (0.22).
    """
    if kind not in _known:
        with _looking:
            msgspec.json.Decoder(kind)
            _known.add(kind)


_known: set[Any] = set()
_looking = threading.Lock()


def canonical(value: Any) -> bytes:
    """The value as JSON with sorted members and no white space, equal bytes for equal values."""
    return msgspec.json.encode(msgspec.to_builtins(value, str_keys=True), order="sorted")


def digest(value: Any) -> str:
    """SHA-256 of the canonical bytes, hexadecimal."""
    return hashlib.sha256(canonical(value)).hexdigest()
