"""EHDS Art. 71: which opt-out of which level binds which permit; tokens that only one holder can match."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from salerno.kernel.codes import Purpose
from salerno.kernel.errors import Invalid
from salerno.permits.model import OptOut
from salerno.permits.rules import (
    binds,
    covers,
    is_final,
    level_named,
    list_salt,
    opt_out_list,
    opt_out_token,
    parse_levels,
)

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
    assert binds(OptOut(person="t", since=since, until=until), NOW) is bound


LEVELS = """
[research]
title = "Research"
purposes = ["research"]

[genomes-in-research]
title = "Genomes in research"
purposes = ["research"]
categories = ["HGPD", "HPML"]
"""

COVERED: list[tuple[str, Purpose, tuple[str, ...], bool]] = [
    # level, purpose of the permit, categories of the data set, covered
    ("", Purpose.STATISTICS, ("EHRS",), True),
    ("research", Purpose.RESEARCH, ("EHRS",), True),
    ("research", Purpose.STATISTICS, ("EHRS",), False),
    ("genomes-in-research", Purpose.RESEARCH, ("EHRS",), False),
    ("genomes-in-research", Purpose.RESEARCH, ("EHRS", "HPML"), True),
    ("genomes-in-research", Purpose.RESEARCH, (), True),
    ("genomes-in-research", Purpose.STATISTICS, ("HGPD",), False),
]


@pytest.mark.parametrize(("name", "purpose", "categories", "covered"), COVERED)
def test_levels(name: str, purpose: Purpose, categories: tuple[str, ...], covered: bool) -> None:
    assert covers(level_named(name, parse_levels(LEVELS)), purpose, categories) is covered


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[a", "TOML"),
        ("a = 1", "title"),
        ("[a]\ntitle = ''", "title"),
        ("[a]\ntitle = 'A'", "neither"),
        ("[a]\ntitle = 'A'\npurpose = ['research']", "purposes"),
        ("[a]\ntitle = 'A'\npurposes = ['reserch']", "research"),
        ("[a]\ntitle = 'A'\ncategories = ['EHR']", "EHRS"),
        ("[a]\ntitle = 7\ncategories = ['EHRS']", "shape"),
    ],
)
def test_levels_that_are_none(text: str, named: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_levels(text)
    assert named in f"{caught.value} {caught.value.remedy}"


def test_tokens_of_two_lists_have_nothing_in_common() -> None:
    secret = bytes(range(32))
    one = list_salt(secret, "did:web:a.example", "permit-1", "d")
    others = [
        list_salt(secret, "did:web:b.example", "permit-1", "d"),
        list_salt(secret, "did:web:a.example", "permit-2", "d"),
        list_salt(secret, "did:web:a.example", "permit-1", "e"),
        list_salt(bytes(32), "did:web:a.example", "permit-1", "d"),
    ]
    assert len({one, *others, list_salt(secret, "did:web:a.example", "permit-1", "d")}) == 5
    token = opt_out_token(one, "4711")
    assert token not in {opt_out_token(salt, "4711") for salt in others}
    assert token != opt_out_token(one, "4712")
    # SHA-256 of salt and identifier, cut to 128 bits, so that any holder's software can compute it.
    salt = "The quick brown fox jumps over t"
    assert opt_out_token(salt, "he lazy dog").hex() == "d7a8fbb307d7809469ca9abcb0082e4f"


def test_a_list_is_sorted_and_final_after_a_minute() -> None:
    listed = opt_out_list(["b", "a", "b", "c"], "0" * 32, NOW)
    tokens = [listed.tokens[at : at + 16] for at in range(0, len(listed.tokens), 16)]
    assert tokens == sorted(opt_out_token("0" * 32, name) for name in "abc")
    assert len(listed) == 3
    assert is_final(listed, NOW - timedelta(minutes=1))
    assert not is_final(listed, NOW - timedelta(seconds=59))
