"""Signed messages of a run, and words as bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from salerno.adapters.keys import KeyRing
from salerno.analysis.model import Opened, RoundCall, RunOpening, ShareHeader
from salerno.analysis.wire import (
    parse_from,
    parse_signed,
    parse_words,
    read_stored,
    render_share,
    render_signed,
    render_words,
    words_digest,
)
from salerno.holdings.model import Dictionary, StudyFrame
from salerno.identity.rules import StaticKeyResolver, make_document
from salerno.kernel.errors import Invalid, Refused
from salerno.permits.model import Condition
from salerno.standards.jose import sign_compact

DID = "did:web:hub.example"

VALUES: list[Any] = [
    RunOpening(
        study="s",
        question_id="q",
        run=1,
        question={"method": "count", "deep": [1, {"x": 2.5}]},
        frame=StudyFrame(where=(Condition(column="age", operator="in", value=[1, 2]),)),
        permits=("token",),
        dataset={"did:a": "https://a.example/datasets/x"},
        user="u",
        purpose="research",
    ),
    Opened(question_id="q", run=1, holder="did:a", opening="0", dictionary=Dictionary(variables={})),
    Opened(question_id="q", run=1, holder="did:a", opening="0", refusal={"title": "permit-expired"}),
    RoundCall(question_id="q", run=1, round=2, scope="s", previous=("a", "b")),
    ShareHeader(question_id="q", run=1, round=1, scope="s", holders=("a",), arrays=(), words_sha256="0"),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda v: type(v).__name__)
def test_signed_values_come_back_and_are_nothing_else(value) -> None:
    keys = KeyRing.generate()
    document = make_document(DID, keys)
    token = render_signed(value, keys, DID)
    assert parse_signed(token, type(value), document.keys, DID) == value
    assert read_stored(token, type(value)) == value
    resolver = StaticKeyResolver()
    resolver.add(document)
    assert parse_from(token, type(value), resolver, DID) == value
    other = RoundCall if not isinstance(value, RoundCall) else Opened
    with pytest.raises(Refused, match="token-type"):
        parse_signed(token, other, document.keys, DID)
    with pytest.raises(Refused, match="message-issuer"):
        parse_signed(token, type(value), document.keys, "did:web:other.example")
    stranger = make_document(DID, KeyRing.generate())
    with pytest.raises(Refused, match="token-key"):
        parse_signed(token, type(value), stranger.keys, DID)
    head, payload, signature = token.split(".")
    changed = payload[:-4] + ("AAAA" if payload[-4:] != "AAAA" else "BBBB")
    with pytest.raises((Refused, Invalid)):
        parse_signed(f"{head}.{changed}.{signature}", type(value), document.keys, DID)


def test_what_is_signed_but_of_another_shape_is_invalid() -> None:
    keys = KeyRing.generate()
    kid = next(iter(make_document(DID, keys).keys))
    payload = b'{"iss": "did:web:hub.example", "body": {"run": "one"}}'
    token = sign_compact(payload, keys.private_jwk(), kid, "salerno-round+jwt")
    with pytest.raises(Invalid, match="wrong-shape"):
        parse_signed(token, RoundCall, make_document(DID, keys).keys, DID)


def test_words_are_little_endian_bytes() -> None:
    words = np.array([1, 2**63], np.uint64)
    data = render_words(words)
    assert data == (1).to_bytes(8, "little") + (2**63).to_bytes(8, "little")
    assert parse_words(data).tolist() == words.tolist()
    with pytest.raises(Refused, match="share-altered"):
        parse_words(data[:-1])


def test_a_share_is_a_signed_header_and_words() -> None:
    keys = KeyRing.generate()
    share = render_share(VALUES[-1], b"12345678", keys, DID)
    assert share.words == b"12345678"
    assert read_stored(share.header, ShareHeader) == VALUES[-1]
    assert words_digest(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
