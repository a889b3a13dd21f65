"""Forged, altered, replayed and late messages on both sides: refused, on record, and never a wrong number."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from salerno.adapters.keys import KeyRing
from salerno.analysis.model import QuestionState, RoundCall, Share, ShareHeader, Work
from salerno.analysis.rules import share_digest
from salerno.analysis.wire import read_stored, render_share, render_signed, words_digest
from salerno.kernel.errors import SalernoError
from salerno.kernel.values import digest
from salerno.permits.model import DisclosurePolicy

DESCRIBE = {"method": "describe", "variable": "age"}


def flip(words: bytes) -> bytes:
    return bytes([words[0] ^ 1]) + words[1:]


def header_of(share: Share) -> ShareHeader:
    return read_stored(share.header, ShareHeader)


class TamperOnce:
    """Changes the first share of one holder in one round on its way to the hub."""

    def __init__(self, did: str, number: int, change) -> None:
        self.did, self.number, self.change, self.done = did, number, change, False

    def __call__(self, did: str, share: Share) -> Share:
        if did == self.did and header_of(share).round == self.number and not self.done:
            self.done = True
            return self.change(share)
        return share


def forged(space, share: Share) -> Share:
    return render_share(header_of(share), share.words, KeyRing.generate(), space.holders[1].who.did)


def as_another(space, share: Share) -> Share:
    return render_share(header_of(share), share.words, space.holders[0].keys, space.holders[0].who.did)


def altered(space, share: Share) -> Share:
    return replace(share, words=flip(share.words))


def cut(space, share: Share) -> Share:
    words = share.words[:-8]
    header = replace(header_of(share), words_sha256=words_digest(words))
    return render_share(header, words, space.holders[1].keys, space.holders[1].who.did)


def of_another_round(space, share: Share) -> Share:
    header = replace(header_of(share), round=7)
    return render_share(header, share.words, space.holders[1].keys, space.holders[1].who.did)


def with_other_scope(space, share: Share) -> Share:
    header = replace(header_of(share), scope="0" * 64)
    return render_share(header, share.words, space.holders[1].keys, space.holders[1].who.did)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (forged, "token-key"),
        (as_another, "token-key"),
        (altered, "share-altered"),
        (cut, "share-altered"),
        (of_another_round, "share-misplaced"),
        (with_other_scope, "share-misplaced"),
    ],
)
def test_the_hub_refuses_a_bad_share_and_the_right_one_still_counts(
    make_space, three_tables, change, code
) -> None:
    clean = make_space(three_tables).answer(DESCRIBE).answer
    space = make_space(three_tables)
    victim = space.holders[1]
    space.tamper_out = TamperOnce(victim.who.did, 1, lambda share: change(space, share))
    asked = space.answer(DESCRIBE)
    assert space.errors == [(victim.who.did, code)]
    assert space.hub.codes() == [code]
    assert asked.answer["result"] == clean["result"]
    assert len(victim.entries("round-answered")) == asked.answer["rounds"]  # computed once, handed in twice


def test_a_share_of_the_round_before_is_refused_as_closed(make_space, three_tables) -> None:
    space = make_space(three_tables)
    old: dict[int, Share] = {}
    victim = space.holders[2].who.did

    def replay(did: str, share: Share) -> Share:
        if did != victim:
            return share
        number = header_of(share).round
        if number == 2 and len(old) == 1:
            old[2] = share
            return replace(old[1], words=flip(old[1].words))
        old.setdefault(number, share)
        return share

    space.tamper_out = replay
    asked = space.answer(DESCRIBE)
    assert asked.state is QuestionState.ANSWERED
    assert space.errors == [(victim, "round-closed")]
    assert space.hub.codes() == ["round-closed"]


def test_the_same_share_twice_counts_once(make_space, three_tables) -> None:
    space = make_space(three_tables)
    asked = space.answer(DESCRIBE)
    for did, item in [s for s in space.seen if isinstance(s[1], Share)]:
        space.coordinator.accept_share(did, item)
    assert space.coordinator.question(asked.id, "did:web:127.0.0.1%3A9100#ada").answer == asked.answer
    did, first = next(s for s in space.seen if isinstance(s[1], Share))
    with pytest.raises(SalernoError, match="round-closed"):
        space.coordinator.accept_share(did, replace(first, words=flip(first.words)))


def test_a_second_other_share_of_the_open_round_is_a_conflict(make_space, three_tables) -> None:
    space = make_space(three_tables)
    question = space.ask(space.study(), DESCRIBE)
    thread = space.lead(question)
    one = space.holders[0]
    for holder in space.holders:  # all open; the last one's turn may already bring its share
        while not space.step(holder):
            time.sleep(0.01)
    while not any(did == one.who.did and isinstance(item, Share) for did, item in space.seen):
        space.step(one)
    did, share = next(s for s in space.seen if s[0] == one.who.did and isinstance(s[1], Share))
    words = flip(share.words)
    header = replace(header_of(share), words_sha256=words_digest(words))
    with pytest.raises(SalernoError, match="share-altered"):
        space.coordinator.accept_share(did, render_share(header, words, one.keys, did))
    assert space.hub.codes() == ["share-altered"]
    assert space.work(question, *space.holders).state is QuestionState.ANSWERED
    thread.join(5)


def sign_call(space, call: RoundCall) -> str:
    return render_signed(call, space.hub.keys, space.hub.who.did)


def shares_swapped(space, work: Work) -> Work:
    previous = (work.previous[1], work.previous[0], work.previous[2])
    call = replace(read_stored(work.token, RoundCall), previous=tuple(map(share_digest, previous)))
    return replace(work, token=sign_call(space, call), previous=previous)


def share_altered(space, work: Work) -> Work:
    bad = replace(work.previous[0], words=flip(work.previous[0].words))
    return replace(work, previous=(bad, *work.previous[1:]))


def share_forged(space, work: Work) -> Work:
    """The coordinator makes up a share of a holder, to steer the totals."""
    words = flip(work.previous[0].words)
    header = replace(header_of(work.previous[0]), words_sha256=words_digest(words))
    bad = render_share(header, words, space.hub.keys, space.holders[0].who.did)
    previous = (bad, *work.previous[1:])
    call = replace(read_stored(work.token, RoundCall), previous=tuple(map(share_digest, previous)))
    return replace(work, token=sign_call(space, call), previous=previous)


def own_share_replaced(space, work: Work) -> Work:
    previous = (work.previous[0], work.previous[0], work.previous[2])
    call = replace(read_stored(work.token, RoundCall), previous=tuple(map(share_digest, previous)))
    return replace(work, token=sign_call(space, call), previous=previous)


def share_left_out(space, work: Work) -> Work:
    previous = work.previous[:2]
    call = replace(read_stored(work.token, RoundCall), previous=tuple(map(share_digest, previous)))
    return replace(work, token=sign_call(space, call), previous=previous)


def round_skipped(space, work: Work) -> Work:
    return replace(work, token=sign_call(space, replace(read_stored(work.token, RoundCall), round=4)))


def other_scope(space, work: Work) -> Work:
    call = replace(read_stored(work.token, RoundCall), scope="0" * 64)
    return replace(work, token=sign_call(space, call))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (shares_swapped, "token-key"),
        (share_altered, "share-altered"),
        (share_forged, "token-key"),
        (own_share_replaced, "share-altered"),
        (share_left_out, "share-misplaced"),
        (round_skipped, "round-order"),
        (other_scope, "scope-altered"),
    ],
)
def test_a_holder_computes_only_on_genuine_totals(make_space, three_tables, change, code) -> None:
    space = make_space(three_tables)
    victim = space.holders[1]

    def tamper(did: str, work: Work) -> Work:
        return change(space, work) if did == victim.who.did and work.previous else work

    space.tamper_in = tamper
    question = space.ask(space.study(), DESCRIBE)
    thread = space.lead(question)
    space.work_until(victim.codes)
    assert set(victim.codes()) == {code}
    assert len(victim.entries("round-answered")) == 1  # the tampered round was not computed
    space.stop(thread)


def without_tags(space, share: Share, at: int) -> Share:
    header = replace(header_of(share), tags=b"")
    return render_share(header, share.words, space.holders[at].keys, space.holders[at].who.did)


def without_signature(share: Share) -> Share:
    return replace(share, header=share.header.rpartition(".")[0] + ".")


def one_proof_each(space, shares: tuple[Share, ...]) -> tuple[Share, ...]:
    return without_tags(space, shares[0], 0), shares[1], without_signature(shares[2])


def one_without_proof(space, shares: tuple[Share, ...]) -> tuple[Share, ...]:
    return without_signature(without_tags(space, shares[0], 0)), *shares[1:]


@pytest.mark.parametrize(
    ("change", "codes"), [(one_proof_each, []), (one_without_proof, ["token-signature"])]
)
def test_a_share_is_proved_by_its_tag_or_its_signature(make_space, three_tables, change, codes) -> None:
    space = make_space(three_tables)
    victim = space.holders[1]

    def tamper(did: str, work: Work) -> Work:
        if did != victim.who.did or not work.previous:
            return work
        previous = change(space, work.previous)
        call = replace(read_stored(work.token, RoundCall), previous=tuple(map(share_digest, previous)))
        return replace(work, token=sign_call(space, call), previous=previous)

    space.tamper_in = tamper
    asked = space.answer(DESCRIBE)
    assert victim.codes() == codes
    assert asked.state is (QuestionState.FAILED if codes else QuestionState.ANSWERED)


def test_a_call_that_the_hub_did_not_sign_gets_no_reply(make_space, three_tables) -> None:
    space = make_space(three_tables)
    victim = space.holders[1]
    stranger = KeyRing.generate()

    def tamper(did: str, work: Work) -> Work:
        if did != victim.who.did or work.kind != "round":
            return work
        return replace(
            work, token=render_signed(read_stored(work.token, RoundCall), stranger, space.hub.who.did)
        )

    space.tamper_in = tamper
    question = space.ask(space.study(), DESCRIBE)
    thread = space.lead(question)
    space.work_until(victim.codes)
    assert set(victim.codes()) == {"token-key"}
    assert victim.entries("round-answered") == []
    space.stop(thread)


def change_scope(space, work: Work, **changes) -> Work:
    scope = replace(work.scope, **changes)
    call = replace(read_stored(work.token, RoundCall), scope=digest(scope))
    return replace(work, token=sign_call(space, call), scope=scope)


def weaker(space, work: Work) -> Work:
    return change_scope(space, work, policy=replace(work.scope.policy, min_cell=1))


def unmasked(space, work: Work) -> Work:
    return change_scope(space, work, policy=replace(work.scope.policy, masks=False))


def levels_dropped(space, work: Work) -> Work:
    variables = dict(work.scope.dictionary.variables)
    variables["sex"] = replace(variables["sex"], levels=("F",))
    return change_scope(space, work, dictionary=replace(work.scope.dictionary, variables=variables))


def made_up_holders(space, work: Work) -> Work:
    """The coordinator puts itself among the holders, to know all pads but one."""
    return change_scope(space, work, holders=tuple(sorted((*work.scope.holders, space.hub.who.did))))


def a_stranger_added(space, work: Work) -> Work:
    return change_scope(space, work, holders=tuple(sorted((space.holders[1].who.did, "did:web:x.example"))))


def alone(space, work: Work) -> Work:
    return change_scope(space, work, holders=(space.holders[0].who.did,))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (weaker, "scope-policy"),
        (unmasked, "scope-policy"),
        (levels_dropped, "scope-dictionary"),
        (made_up_holders, "scope-holders"),
        (a_stranger_added, "scope-holders"),
        (alone, "scope-holders"),
    ],
)
def test_a_holder_refuses_a_scope_it_did_not_agree_to(make_space, three_tables, change, code) -> None:
    space = make_space(three_tables, policy=DisclosurePolicy(min_cell=3, masks=True))
    victim = space.holders[1]

    def tamper(did: str, work: Work) -> Work:
        return change(space, work) if did == victim.who.did and work.scope else work

    space.tamper_in = tamper
    question = space.ask(space.study(), DESCRIBE)
    thread = space.lead(question)
    space.work_until(victim.codes)
    assert set(victim.codes()) == {code}
    assert victim.entries("round-answered") == []
    space.stop(thread)


def test_the_same_round_asked_otherwise_is_refused_and_asked_again_gives_the_same_bits(
    make_space, three_tables
) -> None:
    space = make_space(three_tables)
    victim = space.holders[1]
    calls: list[Work] = []

    def keep(did: str, work: Work) -> Work:
        if did == victim.who.did and work.kind == "round":
            calls.append(work)
        return work

    space.tamper_in = keep
    asked = space.answer(DESCRIBE)
    mine = [item for did, item in space.seen if did == victim.who.did and isinstance(item, Share)]
    reads = len(victim.entries("view-read"))
    for agent in (victim.agent, victim.make_agent()):  # the one that computed, and one after a restart
        assert agent._reply(calls[0]) == mine[0]
        assert agent._reply(calls[1]) == mine[1]
    assert len(victim.entries("view-read")) == reads
    other = change_scope(space, calls[0], names={})
    assert victim.agent._reply(other) is None
    assert victim.codes() == ["round-altered"]
    assert asked.answer["rounds"] == 2
    # The run has its result after two rounds: a third is not computed.
    previous = tuple(
        next(i for d, i in space.seen if d == h.who.did and isinstance(i, Share) and header_of(i).round == 2)
        for h in space.holders
    )
    call = replace(
        read_stored(calls[1].token, RoundCall), round=3, previous=tuple(map(share_digest, previous))
    )
    reply = victim.agent._reply(Work(kind="round", token=sign_call(space, call), previous=previous))
    assert header_of(reply).refusal["title"] == "run-done"
    assert reply.words == b""
