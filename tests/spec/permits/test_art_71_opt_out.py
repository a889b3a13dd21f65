"""EHDS Art. 71: which opt-out binds which permit, and tokens that only one holder can match."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from salerno.kernel.errors import Unavailable
from salerno.permits.model import OptOut, OptOutList
from salerno.permits.rules import binding_tokens, binds, holder_salt, opt_out_token
from tests.unit.permits.world import permit

NOW = datetime(2031, 6, 1, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)

CUT_OFF: list[tuple[str, datetime, datetime | None, bool]] = [
    # what happened, since, until, bound
    ("stands since before the approval", NOW - TICK, None, True),
    ("begins with the approval", NOW, None, True),
    ("begins after the approval", NOW + TICK, None, False),
    ("was reversed before the approval", NOW - 2 * TICK, NOW - TICK, False),
    ("was reversed with the approval", NOW - TICK, NOW, False),
    ("is reversed after the approval", NOW - TICK, NOW + TICK, True),
    ("begins and ends after the approval", NOW + TICK, NOW + 2 * TICK, False),
]


@pytest.mark.parametrize(("since", "until", "bound"), [c[1:] for c in CUT_OFF], ids=[c[0] for c in CUT_OFF])
def test_cut_off(since: datetime, until: datetime | None, bound: bool) -> None:
    opt_out = OptOut(person="t", since=since, until=until)
    assert binds(opt_out, NOW) is bound
    listed = OptOutList(salt_hex="00", entries=(opt_out,), as_of=NOW)
    assert binding_tokens(listed, permit(approved_at=NOW)) == (frozenset({"t"}) if bound else frozenset())


def test_an_exception_in_the_permit_leaves_nobody_out() -> None:
    listed = OptOutList(salt_hex="00", entries=(OptOut(person="t", since=NOW - TICK),), as_of=NOW)
    assert binding_tokens(listed, permit(approved_at=NOW, opt_out_exception="Rare disease")) == frozenset()


def test_a_list_from_before_the_approval_is_not_enough() -> None:
    listed = OptOutList(salt_hex="00", entries=(), as_of=NOW - TICK)
    with pytest.raises(Unavailable, match="opt-outs-stale"):
        binding_tokens(listed, permit(approved_at=NOW))


def test_tokens_of_two_holders_have_nothing_in_common() -> None:
    secret = bytes(range(32))
    one, two = holder_salt(secret, "did:web:a.example"), holder_salt(secret, "did:web:b.example")
    assert opt_out_token(one, "4711") != opt_out_token(two, "4711")
    assert opt_out_token(one, "4711") == opt_out_token(one, "4711")
    assert opt_out_token(one, "4711") != opt_out_token(one, "4712")
    assert len(opt_out_token(one, "4711")) == 64
    assert holder_salt(bytes(32), "did:web:a.example") != one
    # HMAC-SHA256, so that any holder's software can compute it.
    assert opt_out_token(b"key", "The quick brown fox jumps over the lazy dog") == (
        "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8"
    )
