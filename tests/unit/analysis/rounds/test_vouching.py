"""Tags between two holders: one round, one layout, one sender, one share."""

from __future__ import annotations

import hashlib
import hmac

from salerno.analysis.model import ArraySpec
from salerno.analysis.vouching import Voucher

LAYOUT = (ArraySpec(name="n", shape=(2,), kind="i"),)
SECRET, WORDS = b"s" * 32, hashlib.sha256(b"words").hexdigest()


def test_a_tag_proves_one_share_of_one_sender_in_one_round() -> None:
    voucher = Voucher(b"round 1", LAYOUT)
    tags = voucher.tags([b"t" * 32, None, SECRET], "b", WORDS)
    assert voucher.proves(tags, 2, SECRET, "b", WORDS)
    assert voucher.proves(tags, 0, b"t" * 32, "b", WORDS)
    assert not voucher.proves(tags, 0, SECRET, "b", WORDS)  # another holder's
    assert not voucher.proves(tags, 2, SECRET, "c", WORDS)  # sent back to its sender
    assert not voucher.proves(tags, 2, SECRET, "b", hashlib.sha256(b"others").hexdigest())
    assert not Voucher(b"round 2", LAYOUT).proves(tags, 2, SECRET, "b", WORDS)
    assert not Voucher(b"round 1", ()).proves(tags, 2, SECRET, "b", WORDS)
    for bad in (b"", tags[:-1], tags[:16]):
        assert not voucher.proves(bad, 2, SECRET, "b", WORDS)


def test_a_tag_is_what_two_versions_agree_on() -> None:
    # HKDF-SHA256 (RFC 5869) by hand, so that a change of what is hashed does not go unnoticed.
    extracted = hmac.digest(bytes(32), SECRET, "sha256")
    key = hmac.digest(extracted, b"salerno share tag 1\x01", "sha256")
    layout = b'[{"kind":"i","name":"n","shape":[2]}]'
    place = hashlib.sha256(b"round 1").digest() + hashlib.sha256(layout).digest()
    told = hmac.digest(key, place + bytes.fromhex(WORDS) + b"a", "sha256")
    assert Voucher(b"round 1", LAYOUT).tag(SECRET, "a", WORDS) == told[:16]
