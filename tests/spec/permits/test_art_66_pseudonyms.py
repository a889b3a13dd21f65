"""EHDS Art. 66(2)-(3): pseudonyms that are one permit's own, and whose key is the access body's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from salerno.kernel.errors import Invalid
from salerno.permits.rules import Pseudonyms, pseudonym_key

SECRET = bytes(range(32))
ONE, OTHER = (Pseudonyms(pseudonym_key(SECRET, permit)) for permit in ("urn:permit:1", "urn:permit:2"))

identifiers = st.text(min_size=1, max_size=60).filter(lambda text: text.isprintable())


@given(identifiers, identifiers)
def test_the_same_in_one_permit_never_in_two(first: str, second: str) -> None:
    again = Pseudonyms(pseudonym_key(SECRET, "urn:permit:1"))  # another holder, another table
    assert ONE.of(first) == again.of(first)
    assert (ONE.of(first) == ONE.of(second)) is (first == second)
    assert ONE.of(first) not in {OTHER.of(first), OTHER.of(second)}


@given(identifiers)
def test_taken_back_with_the_permit_s_key_alone(identifier: str) -> None:
    pseudonym = ONE.of(identifier)
    assert ONE.identifier(pseudonym) == identifier
    assert ONE.identifier(f" {pseudonym.upper()} ") == identifier
    for key in (OTHER, Pseudonyms(pseudonym_key(bytes(32), "urn:permit:1"))):
        with pytest.raises(Invalid, match="not-a-pseudonym"):
            key.identifier(pseudonym)


def test_short_identifiers_look_alike_and_are_plain_text() -> None:
    made = {ONE.of(name) for name in ("1", "4711", "123456789012345")}
    assert {len(pseudonym) for pseudonym in made} == {52}
    assert all(pseudonym.isalnum() and pseudonym.islower() for pseudonym in made)


@pytest.mark.parametrize("text", ["", "4711", "é", "a" * 52, ONE.of("4711")[:-1], ONE.of("4711") + "a"])
def test_what_is_no_pseudonym(text: str) -> None:
    with pytest.raises(Invalid, match="not-a-pseudonym"):
        ONE.identifier(text)
    with pytest.raises(Invalid, match="identifier-missing"):
        ONE.of("")
