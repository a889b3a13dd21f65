"""Whole questions over several nodes: the answer, what the coordinator sees, what is put on record."""

from __future__ import annotations

import itertools
import statistics

import numpy as np
import pytest

from salerno.analysis.masking import add
from salerno.analysis.model import QuestionState, Share, ShareHeader
from salerno.analysis.rules import FEW_HOLDERS
from salerno.analysis.service.ports import Deadlines
from salerno.analysis.wire import parse_words, read_stored
from salerno.kernel.values import from_plain, to_plain
from salerno.permits.model import DisclosurePolicy

DESCRIBE = {"method": "describe", "variable": "age"}


def ages(table: str) -> list[int]:
    return [int(line.split(",")[0]) for line in table.splitlines()[1:]]


def shares_by_round(space) -> dict[int, dict[str, tuple[ShareHeader, Share]]]:
    found: dict[int, dict[str, tuple[ShareHeader, Share]]] = {}
    for did, item in space.seen:
        if isinstance(item, Share):
            header = read_stored(item.header, ShareHeader)
            found.setdefault(header.round, {})[did] = (header, item)
    return found


@pytest.mark.parametrize("masks", [True, False])
def test_a_question_gets_the_pooled_answer(make_space, three_tables, masks: bool) -> None:
    space = make_space(three_tables, policy=DisclosurePolicy(min_cell=3, masks=masks))
    asked = space.answer(DESCRIBE)
    assert asked.state is QuestionState.ANSWERED, asked.error
    answer = asked.answer
    pooled = [age for table in three_tables for age in ages(table)]
    assert answer["n"] == 120
    assert answer["result"]["mean"] == pytest.approx(statistics.mean(pooled), rel=1e-12)
    assert answer["result"]["variance"] == pytest.approx(statistics.variance(pooled), rel=1e-12)
    assert answer["holders"] == ["Hospital A", "Hospital B", "Hospital C"]
    assert answer["disclosure"]["masks"] is masks
    assert answer["disclosure"]["missing"] == []
    assert answer["disclosure"]["few_holders"] == ""
    assert answer["rounds"] == max(shares_by_round(space))
    provenance = answer["provenance"]
    assert provenance["holders"] == sorted(h.who.did for h in space.holders)
    assert space.hub.entries("question-answered")[0].index == provenance["audit_index"]
    assert from_plain(to_plain(answer), dict, what="the answer") == answer


def test_both_sides_keep_a_record_without_values(make_space, three_tables) -> None:
    space = make_space(three_tables)
    asked = space.answer(DESCRIBE)
    at_hub = [e.act for e in space.hub.entries() if e.subject == asked.id]
    assert at_hub == ["question-asked", "run-opened", "question-answered"]
    for holder in space.holders:
        mine = [e for e in holder.entries() if e.subject == asked.id]
        assert [e.act for e in mine] == ["run-opened"] + ["round-answered"] * asked.answer["rounds"]
        assert {key for e in mine for key in e.detail} <= {"run", "round", "holders", "permit"}


def test_one_and_two_holders_get_an_answer_that_says_what_masks_cannot_do(make_space, three_tables) -> None:
    two = make_space(three_tables[:2]).answer(DESCRIBE).answer
    assert two["disclosure"]["few_holders"] == FEW_HOLDERS
    assert two["n"] == 80


def test_the_coordinator_cannot_tell_a_holders_own_sums(make_space, three_tables, tmp_path) -> None:
    masked = make_space(three_tables, policy=DisclosurePolicy(min_cell=3, masks=True))
    with_masks = masked.answer(DESCRIBE)
    bare = make_space(three_tables, policy=DisclosurePolicy(min_cell=3, masks=False))
    without = bare.answer(DESCRIBE)
    assert with_masks.answer["result"] == without.answer["result"]
    hidden, plain = shares_by_round(masked), shares_by_round(bare)
    assert set(hidden) == set(plain)
    for number in hidden:
        dids = sorted(hidden[number])
        layout = hidden[number][dids[0]][0].arrays
        assert layout == plain[number][dids[0]][0].arrays
        words = {d: parse_words(hidden[number][d][1].words) for d in dids}
        own = {d: parse_words(plain[number][d][1].words) for d in dids}
        # Alone and in pairs, added or subtracted, nothing unmasks; only the whole sum is open.
        for size in (1, 2):
            for group in itertools.combinations(dids, size):
                assert not (
                    add(layout, [words[d] for d in group]) == add(layout, [own[d] for d in group])
                ).any()
        for one, two in itertools.permutations(dids, 2):
            assert not (words[one] - words[two] == own[one] - own[two]).any()
        assert (add(layout, list(words.values())) == add(layout, list(own.values()))).all()
    # Everything else that reached the hub are signed headers and replies, which hold no sums.
    bits = np.concatenate(
        [np.unpackbits(np.frombuffer(s.words, np.uint8)) for r in hidden.values() for _, s in r.values()]
    )
    assert abs(bits.mean() - 0.5) < 4 * 0.5 / np.sqrt(bits.size)


def test_equal_inputs_give_other_words_in_each_question(make_space, three_tables) -> None:
    space = make_space(three_tables)
    study = space.study()
    space.answer(DESCRIBE, study)
    first = [item.words for _, item in space.seen if isinstance(item, Share)]
    space.seen.clear()
    space.answer(DESCRIBE, study)
    second = [item.words for _, item in space.seen if isinstance(item, Share)]
    assert len(first) == len(second)
    for one, two in zip(sorted(first), sorted(second), strict=True):
        assert not (parse_words(one) == parse_words(two)).any()


def test_agents_and_worker_in_threads_answer_several_questions_at_once(make_space, three_tables) -> None:
    space = make_space(three_tables, deadlines=Deadlines(silence_seconds=300))
    study = space.study()
    for holder in space.holders:
        holder.agent = holder.make_agent(wait_seconds=1.0, working_seconds=0.05)
        holder.agent.start()
    questions = [space.ask(study, DESCRIBE) for _ in range(3)]
    threads = [space.lead(q) for q in questions]
    answers = [space.coordinator.wait(q, "did:web:127.0.0.1%3A9100#ada", 120) for q in questions]
    assert [a.state for a in answers] == [QuestionState.ANSWERED] * 3, [a.error for a in answers]
    assert len({str(a.answer["result"]) for a in answers}) == 1
    for thread in threads:
        thread.join(5)
