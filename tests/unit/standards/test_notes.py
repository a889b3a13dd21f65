"""Signed checkpoints."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256

import pytest

from salerno.adapters.keys import KeyRing
from salerno.kernel.errors import Invalid, Refused
from salerno.standards.notes import Checkpoint, parse_checkpoint, sign_checkpoint, verify_checkpoint

KEYS = KeyRing.generate()
STATE = Checkpoint("fr.example/audit", 7, sha256(b"").digest())
NOTE = sign_checkpoint(STATE, KEYS.sign, KEYS.signing_jwk())


def test_the_text_is_that_of_the_specification() -> None:
    text, _, signature = NOTE.partition("\n\n")
    assert text.split("\n") == ["fr.example/audit", "7", b64encode(STATE.root).decode()]
    assert signature.startswith("— fr.example/audit ")
    assert signature.endswith("\n")


def test_it_reads_back() -> None:
    assert parse_checkpoint(NOTE) == verify_checkpoint(NOTE, KEYS.signing_jwk()) == STATE


def test_witnesses_may_sign_beside() -> None:
    other = sign_checkpoint(Checkpoint("witness.example", 1, STATE.root), KEYS.sign, KEYS.signing_jwk())
    line = other.split("\n\n")[1]
    assert verify_checkpoint(NOTE + line, KEYS.signing_jwk()) == STATE
    assert verify_checkpoint(NOTE.replace("\n\n", f"\n\n{line}"), KEYS.signing_jwk()) == STATE


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\n7\n", "\n8\n"),
        ("fr.example/audit\n7", "de.example/audit\n7"),
        (b64encode(STATE.root).decode()[:4], "AAAA"),
    ],
)
def test_a_changed_note_is_refused(old: str, new: str) -> None:
    changed = NOTE.replace(old, new, 1)
    assert changed != NOTE
    with pytest.raises(Refused):
        verify_checkpoint(changed, KEYS.signing_jwk())


def test_another_key_is_refused() -> None:
    with pytest.raises(Refused):
        verify_checkpoint(NOTE, KeyRing.generate().signing_jwk())
    with pytest.raises(Invalid):
        verify_checkpoint(NOTE, KEYS.signing_jwk("ES256"))
    with pytest.raises(Invalid):
        verify_checkpoint(NOTE, {"crv": "Ed25519", "x": "é"})


@pytest.mark.parametrize(
    "note",
    [
        "",
        "x",
        "x\n1\n",
        NOTE.replace("\n7\n", "\n07\n"),
        NOTE.replace("\n7\n", "\n-7\n"),
        NOTE.replace("— ", "- "),
        NOTE[:-1],
        NOTE.replace("\n7\n", "\n7\nAAAA\n"),
        NOTE.rstrip("\n") + "!\n",
    ],
)
def test_what_is_no_checkpoint_is_invalid(note: str) -> None:
    with pytest.raises(Invalid):
        parse_checkpoint(note)


@pytest.mark.parametrize("origin", ["", "a b", "a+b", "a\nb"])
def test_a_name_that_cannot_name_a_key_is_invalid(origin: str) -> None:
    with pytest.raises(Invalid):
        sign_checkpoint(Checkpoint(origin, 0, STATE.root), KEYS.sign, KEYS.signing_jwk())
