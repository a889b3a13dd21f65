"""Masking against whole numbers and fractions of Python: exact sums, correct rounding, pads that cancel."""

from __future__ import annotations

import itertools
import math
import time
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salerno.analysis import masking
from salerno.analysis.masking import FRACTION_BITS, add, decode, encode, keystream, layout, mask, n_words
from salerno.analysis.model import ArraySpec
from salerno.kernel.errors import Invalid

LIMIT = 2.0**124
numbers = st.floats(-LIMIT, LIMIT, allow_nan=False, exclude_min=True, exclude_max=True) | st.floats(-1e6, 1e6)
counts = st.integers(-(2**59) + 1, 2**59 - 1)
SCALE = 2**FRACTION_BITS


def secrets_between(holders: list[str]) -> dict[str, dict[str, bytes]]:
    pair = {frozenset(p): bytes([i + 1] * 32) for i, p in enumerate(itertools.combinations(holders, 2))}
    return {h: {o: pair[frozenset((h, o))] for o in holders if o != h} for h in holders}


def whole(x: float) -> int:
    """The fixed-point integer that a number should become: truncated towards zero."""
    return int(abs(Fraction(x)) * SCALE) * (-1 if x < 0 else 1)


def limbs_to_int(words: np.ndarray, column: int, n: int) -> int:
    value = sum(int(words[limb * n + column]) << (64 * limb) for limb in range(4))
    return value - (1 << 256) if value >> 255 else value


@given(st.lists(numbers, min_size=1, max_size=20))
def test_encoding_equals_the_truncated_fraction(values: list[float]) -> None:
    words = encode({"x": np.array(values)}).words
    assert [limbs_to_int(words, i, len(values)) for i in range(len(values))] == [whole(v) for v in values]


@given(st.lists(numbers, min_size=1, max_size=20))
def test_decoding_gives_back_what_fits(values: list[float]) -> None:
    encoded = encode({"x": np.array(values)})
    expected = [float(Fraction(whole(v), SCALE)) for v in values]
    assert decode(encoded.arrays, encoded.words)["x"].tolist() == expected


@given(st.lists(st.integers(-(2**255), 2**255 - 1), min_size=1, max_size=20))
def test_decoding_rounds_to_the_nearest_double(integers: list[int]) -> None:
    words = np.array([(v >> (64 * limb)) & (2**64 - 1) for limb in range(4) for v in integers], np.uint64)
    spec = (ArraySpec(name="x", shape=(len(integers),), kind="f"),)
    assert decode(spec, words)["x"].tolist() == [float(Fraction(v, SCALE)) for v in integers]


@given(st.integers(0, 200), st.integers(-2, 2), st.integers(0, 1), st.booleans())
def test_ties_round_to_even(shift: int, nudge: int, odd: int, negative: bool) -> None:
    value = ((2**53 + 2 * odd + 1) << shift) + nudge
    value = -value if negative else value
    words = np.array([(value >> (64 * limb)) & (2**64 - 1) for limb in range(4)], np.uint64)
    got = decode((ArraySpec(name="x", shape=(), kind="f"),), words)["x"]
    assert float(got) == float(Fraction(value, SCALE))


@settings(max_examples=150, deadline=None)
@given(st.data(), st.integers(1, 5), st.integers(0, 6), st.integers(0, 6))
def test_masked_parts_add_to_the_exact_total(data: st.DataObject, n: int, n_i: int, n_f: int) -> None:
    holders = [f"did:web:h{i}" for i in range(n)]
    secrets = secrets_between(holders)
    count_rows = data.draw(st.lists(st.lists(counts, min_size=n_i, max_size=n_i), min_size=n, max_size=n))
    rows = data.draw(st.lists(st.lists(numbers, min_size=n_f, max_size=n_f), min_size=n, max_size=n))
    parts, arrays = [], ()
    for holder, c, x in zip(holders, count_rows, rows, strict=True):
        encoded = encode({"c": np.array(c, np.int64), "x": np.array(x, np.float64)}, addends=n)
        arrays = encoded.arrays
        parts.append(mask(encoded, own=holder, holders=holders, secrets=secrets[holder], context=b"r"))
    total = decode(arrays, add(arrays, parts))
    assert total["c"].tolist() == [sum(column) for column in zip(*count_rows, strict=True)][:n_i]
    sums = [sum(whole(v) for v in column) for column in zip(*rows, strict=True)]
    assert total["x"].tolist() == [float(Fraction(s, SCALE)) for s in sums]


def test_pads_may_be_added_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    holders = list("abcdefg")
    secrets = secrets_between(holders)
    encoded = encode({"x": np.linspace(-9, 9, 7), "n": np.arange(3)}, addends=7)

    def shares() -> list[list[int]]:
        return [
            mask(encoded, own=h, holders=holders, secrets=secrets[h], context=b"r").tolist() for h in holders
        ]

    at_once = shares()
    monkeypatch.setattr(masking, "_PADS_BYTES", 2 * encoded.words.nbytes)
    assert shares() == at_once


def test_two_of_three_shares_are_still_masked_and_contexts_give_other_pads() -> None:
    holders = ["a", "b", "c"]
    secrets = secrets_between(holders)
    encoded = encode({"x": np.ones(1000), "n": np.arange(1000)}, addends=3)
    plain = encoded.words
    shares = {
        (h, context): mask(encoded, own=h, holders=holders, secrets=secrets[h], context=context)
        for h in holders
        for context in (b"1", b"2")
    }
    for pair in itertools.combinations(holders, 2):
        partial = add(encoded.arrays, [shares[h, b"1"] for h in pair])
        open_sum = add(encoded.arrays, [plain, plain])
        assert not (partial == open_sum).any()
    for h in holders:
        assert not (shares[h, b"1"] == plain).any()
        assert not (shares[h, b"1"] == shares[h, b"2"]).any()
        bits = np.unpackbits(shares[h, b"1"].view(np.uint8))
        assert abs(bits.mean() - 0.5) < 5 * 0.5 / math.sqrt(bits.size)


def test_pad_is_the_chacha20_keystream() -> None:
    one, two = keystream(b"k" * 32, b"context", 3), keystream(b"k" * 32, b"context", 5)
    assert (one == two[:3]).all()
    assert not (keystream(b"j" * 32, b"context", 5) == two).any()
    assert keystream(b"k" * 32, b"context", 0).size == 0


def test_arrays_keep_shape_and_kind_in_any_order_of_names() -> None:
    sums = {
        "z": np.arange(6).reshape(2, 3),
        "a": np.array(2.5),
        "b": np.zeros((0, 2)),
        "c": np.array([True, False]),
    }
    encoded = encode(sums)
    assert [(s.name, s.kind) for s in encoded.arrays] == [("c", "i"), ("z", "i"), ("a", "f"), ("b", "f")]
    again = encode(dict(reversed(sums.items())))
    assert again.arrays == encoded.arrays
    assert (again.words == encoded.words).all()
    back = decode(encoded.arrays, encoded.words)
    assert back["z"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert back["z"].dtype == np.int64
    assert back["a"].shape == ()
    assert back["b"].shape == (0, 2)
    assert layout(encoded.arrays) == (8, 1)
    assert n_words(encoded.arrays) == 12
    assert encode({}).words.size == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_by_name(bad: float) -> None:
    with pytest.raises(Invalid, match="not-finite: The sums 'gram'"):
        encode({"gram": np.array([1.0, bad])})


def test_what_could_overflow_is_refused_by_name() -> None:
    with pytest.raises(Invalid, match="too-large"):
        encode({"x": np.array([2.0**126])}, addends=2)
    assert encode({"x": np.array([np.nextafter(2.0**126, 0)])}, addends=2).words.size == 4
    with pytest.raises(Invalid, match="too-large"):
        encode({"n": np.array([2**61])}, addends=3)
    with pytest.raises(Invalid, match="wrong-sums"):
        encode({"s": np.array(["text"])})


def test_wrong_lengths_and_kinds_are_refused() -> None:
    spec = (ArraySpec(name="x", shape=(2,), kind="i"),)
    with pytest.raises(Invalid, match="wrong-words"):
        decode(spec, np.zeros(3, np.uint64))
    with pytest.raises(Invalid, match="wrong-words"):
        add(spec, [np.zeros(1, np.uint64)])
    with pytest.raises(Invalid, match="wrong-sums"):
        layout((ArraySpec(name="x", shape=(2,), kind="q"),))
    with pytest.raises(Invalid, match="wrong-sums"):
        layout((ArraySpec(name="x", shape=(-2,), kind="i"),))


def test_a_million_numbers_take_far_below_a_second() -> None:
    values = np.random.default_rng(7).standard_normal(1_000_000)
    start = time.process_time()
    encoded = encode({"x": values})
    masked = mask(encoded, own="a", holders=["a", "b"], secrets={"b": b"s" * 32}, context=b"c")
    other = mask(encode({"x": -values}), own="b", holders=["a", "b"], secrets={"a": b"s" * 32}, context=b"c")
    total = decode(encoded.arrays, add(encoded.arrays, [masked, other]))["x"]
    assert time.process_time() - start < 2  # two holders' work; generous, for machines under load
    assert not total.any()
