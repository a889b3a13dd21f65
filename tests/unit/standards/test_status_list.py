from __future__ import annotations

import gzip
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salerno.kernel.errors import Invalid
from salerno.standards.status_list import (
    LEAST_BITS,
    LIST,
    StatusEntry,
    decode_list,
    encode_list,
    is_set,
    parse_entry,
    parse_list,
    render_entry,
    render_list,
)

# Bitstring Status List 1.0, section 2.1, example 1, and section 2.2, example 3.
ENTRY: dict[str, Any] = {
    "id": "https://example.com/credentials/status/3#94567",
    "type": "BitstringStatusListEntry",
    "statusPurpose": "revocation",
    "statusListIndex": "94567",
    "statusListCredential": "https://example.com/credentials/status/3",
}
LISTED: dict[str, Any] = {
    "id": "https://example.com/status/3#list",
    "type": "BitstringStatusList",
    "statusPurpose": "revocation",
    "encodedList": "uH4sIAAAAAAAAA-3BMQEAAADCoPVPbQwfoAAAAAAAAAAAAAAAAAAAAIC3AYbSVKsAQAAA",
}


def test_the_examples_of_the_standard() -> None:
    entry = parse_entry(ENTRY)
    assert entry == StatusEntry(url="https://example.com/credentials/status/3", index=94567)
    assert render_entry(entry) == ENTRY
    field = parse_list(LISTED)
    assert len(field) == 16 * 1024
    assert not any(field)
    assert not is_set(field, entry.index)
    assert decode_list(encode_list(())) == field


def test_the_first_place_is_the_leftmost_bit() -> None:
    field = decode_list(encode_list([0, 9, LEAST_BITS - 1]))
    assert (field[0], field[1], field[-1]) == (0b1000_0000, 0b0100_0000, 0b0000_0001)


@settings(max_examples=20, deadline=None)
@given(st.sets(st.integers(0, LEAST_BITS - 1), max_size=50))
def test_what_is_set_is_found_and_nothing_else(places: set[int]) -> None:
    field = parse_list(render_list(places))
    assert {place for place in range(LEAST_BITS) if is_set(field, place)} == places


def packed(data: bytes) -> str:
    return "u" + urlsafe_b64encode(gzip.compress(data)).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "encoded",
    [
        LISTED["encodedList"][1:],  # without the multibase prefix, as in 2021
        LISTED["encodedList"][:-8],
        "u",
        "u????",
        packed(bytes(LEAST_BITS // 8 - 1)),
        packed(bytes(17 * 1024 * 1024)),
    ],
)
def test_what_is_no_list(encoded: str) -> None:
    with pytest.raises(Invalid, match="status-list"):
        decode_list(encoded)


@pytest.mark.parametrize(
    "changed", [{"type": "StatusList2021"}, {"statusPurpose": "suspension"}, {"encodedList": 7}]
)
def test_a_list_of_another_kind_or_purpose_is_none(changed: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match="status-list-shape"):
        parse_list(LISTED | changed)


@pytest.mark.parametrize(
    "changed",
    [{"type": LIST}, {"statusListIndex": 94567}, {"statusListIndex": "-1"}, {"statusListCredential": None}],
)
def test_what_is_no_entry(changed: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match="status-entry"):
        parse_entry(ENTRY | changed)


def test_places_that_there_are_not() -> None:
    field = decode_list(encode_list(()))
    for place in (-1, LEAST_BITS):
        with pytest.raises(Invalid, match="status-list-place"):
            is_set(field, place)
        with pytest.raises(Invalid, match="status-list-place"):
            encode_list([place])
    with pytest.raises(Invalid, match="status-list-length"):
        encode_list((), bits=LEAST_BITS - 8)
