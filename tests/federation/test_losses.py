"""Holders that are lost, late or refuse, and nodes that start again in the middle: a right answer or none."""

from __future__ import annotations

import statistics
import time
from dataclasses import replace

import pytest

from salerno.analysis.model import QuestionState, Share, ShareHeader, StudyOptions, Work
from salerno.analysis.service.ports import Deadlines
from salerno.analysis.service.waiting import Pulses
from salerno.analysis.wire import read_stored
from salerno.kernel.errors import Invalid, NotFound, Refused, SalernoError, Unavailable
from salerno.permits.model import DisclosurePolicy, PermitState

DESCRIBE = {"method": "describe", "variable": "age"}
USER = "did:web:127.0.0.1%3A9100#ada"


def ages(tables: list[str]) -> list[int]:
    return [int(line.split(",")[0]) for table in tables for line in table.splitlines()[1:]]


class DeadFrom:
    """A holder whose shares no longer leave it from a round on."""

    def __init__(self, did: str, number: int) -> None:
        self.did, self.number, self.kept = did, number, []

    def __call__(self, did: str, share: Share) -> Share:
        if did == self.did and read_stored(share.header, ShareHeader).round >= self.number:
            self.kept.append(share)
            raise Unavailable("dead", "This holder is cut off")
        return share


def test_lost_before_the_first_total_the_answer_does_without_it_and_says_so(make_space, three_tables) -> None:
    space = make_space(three_tables)
    lost = space.holders[2]
    space.tamper_out = dead = DeadFrom(lost.who.did, 1)
    study = space.study(options=StudyOptions(min_holders=2))
    asked = space.answer(DESCRIBE, study, dead=(lost,))
    assert asked.state is QuestionState.ANSWERED, asked.error
    assert asked.answer["result"]["mean"] == pytest.approx(statistics.mean(ages(three_tables[:2])))
    assert asked.answer["provenance"]["run"] == 2
    assert asked.answer["disclosure"]["missing"] == [
        {"holder": lost.who.did, "name": "Hospital C", "reason": "did not answer round 1"}
    ]
    # What it sends now is too late: refused, on record, and nothing of it is stored.
    with pytest.raises(Refused, match="round-closed"):
        space.coordinator.accept_share(lost.who.did, dead.kept[0])
    assert space.hub.codes() == ["round-closed"]
    with space.hub.coordinator._parts.reads() as desk:
        assert lost.who.did not in desk.store.shares(asked.id, 1, 1)
    # The masks of the second run are fresh.
    shares = [(read_stored(i.header, ShareHeader), i) for _, i in space.seen if isinstance(i, Share)]
    first = {(h.run, h.round): i.words for h, i in shares if h.round == 1}
    assert first[1, 1] != first[2, 1]


def test_lost_before_the_first_total_without_leave_is_a_clear_error(make_space, three_tables) -> None:
    space = make_space(three_tables)
    space.tamper_out = DeadFrom(space.holders[2].who.did, 1)
    asked = space.answer(DESCRIBE, dead=(space.holders[2],))
    assert asked.state is QuestionState.FAILED
    assert asked.error["title"] == "holder-lost"
    assert "Hospital C" in asked.error["detail"]
    assert asked.answer is None


def test_lost_after_a_total_the_question_fails_whatever_the_study_allows(make_space, three_tables) -> None:
    space = make_space(three_tables)
    space.tamper_out = DeadFrom(space.holders[2].who.did, 2)
    asked = space.answer(DESCRIBE, space.study(options=StudyOptions(min_holders=1)), (space.holders[2],))
    assert asked.error["title"] == "holder-lost"
    assert "after a total" in asked.error["detail"]


def test_the_policy_can_forbid_to_go_on_with_fewer(make_space, three_tables) -> None:
    policy = DisclosurePolicy(min_cell=3, min_holders=3)
    space = make_space(three_tables, policy=policy)
    space.tamper_out = DeadFrom(space.holders[2].who.did, 1)
    asked = space.answer(DESCRIBE, space.study(options=StudyOptions(min_holders=2)), (space.holders[2],))
    assert asked.error["title"] == "holder-lost"


def test_a_holder_that_never_opens_is_left_out_or_named(make_space, three_tables) -> None:
    space = make_space(three_tables)
    for options, title in ((StudyOptions(min_holders=2), None), (StudyOptions(), "holder-lost")):
        question = space.ask(space.study(options=options), DESCRIBE)
        thread = space.lead(question)
        asked = space.work(question, *space.holders[:2], dead=(space.holders[2],))
        thread.join(5)
        if title is None:
            assert asked.answer["holders"] == ["Hospital A", "Hospital B"]
            assert asked.answer["disclosure"]["missing"][0]["reason"] == "did not answer"
        else:
            assert asked.error["title"] == title
    # The openings are closed: a reply that comes now is late.
    assert space.step(space.holders[2]) is False
    assert space.coordinator.work_for(space.holders[2].who.did) == []


def test_a_sign_of_life_moves_the_deadline() -> None:
    pulses = Pulses()
    assert pulses.last("q", 1, 0, "a", 5.0) == 5.0
    before = time.monotonic()
    pulses.note("q", 1, 0, "a")
    assert pulses.last("q", 1, 0, "a", 0.0) >= before
    assert pulses.last("q", 1, 1, "a", 0.0) == 0.0
    pulses.forget("q")
    assert pulses.last("q", 1, 0, "a", 5.0) == 5.0


def test_silence_beyond_the_deadline_ends_the_wait(make_space, three_tables) -> None:
    space = make_space(three_tables, deadlines=Deadlines(silence_seconds=0.3, poll_seconds=0.05))
    question = space.ask(space.study(), DESCRIBE)
    space.lead(question).join(20)
    asked = space.coordinator.question(question, USER)
    assert asked.error["title"] == "holder-lost"


def test_a_refusal_at_the_opening_fails_the_question_by_name_or_leaves_the_holder_out(
    make_space, three_tables
) -> None:
    space = make_space(three_tables)
    space.holders[1].status.answer = PermitState.REVOKED
    asked = space.answer(DESCRIBE)
    assert asked.error["title"].startswith("permit-revoked")
    assert asked.error["detail"].startswith("Hospital B: ")
    assert asked.error["status"] == 403
    study = space.study(options=StudyOptions(on_refusal="leave-out"))
    left = space.answer(DESCRIBE, study).answer
    assert left["holders"] == ["Hospital A", "Hospital C"]
    assert left["disclosure"]["missing"][0]["reason"].startswith("permit-revoked")
    for holder in space.holders:
        holder.status.answer = PermitState.REVOKED
    nobody = space.answer(DESCRIBE, space.study(options=StudyOptions(on_refusal="leave-out")))
    assert nobody.error["title"] == "no-holders"


def test_a_permit_revoked_in_the_middle_ends_the_question(make_space, three_tables) -> None:
    space = make_space(three_tables)
    victim = space.holders[1]

    def revoke(did: str, work: Work) -> Work:
        if did == victim.who.did and work.previous:
            victim.status.answer = PermitState.REVOKED
            victim.door._states.clear()  # as after the time for which the access body's word is believed
        return work

    space.tamper_in = revoke
    asked = space.answer(DESCRIBE)
    assert asked.error["title"] == "permit-revoked"
    assert asked.error["detail"].startswith("Hospital B: ")


def test_too_few_persons_at_one_holder_is_named(make_space, three_tables) -> None:
    space = make_space([*three_tables[:2], "age,sex\n50,F\n51,M\n"], policy=DisclosurePolicy(min_cell=5))
    asked = space.answer(DESCRIBE)
    assert asked.state is QuestionState.FAILED
    assert asked.error["detail"].startswith("Hospital C: ")


def test_columns_that_do_not_agree_are_named_when_the_question_uses_them(make_space, three_tables) -> None:
    other = "years,sex\n" + "\n".join(f"{30 + i % 9},F" for i in range(40)) + "\n"
    space = make_space([*three_tables[:2], other])
    study = space.study(columns=("age", "sex", "years"))
    asked = space.answer(DESCRIBE, study)
    assert asked.error["title"] in {"column-missing", "permit-other-column", "permit-columns"}, asked.error


def test_types_that_do_not_agree_are_named(make_space, three_tables) -> None:
    words = "age,sex\n" + "\n".join(f"{'old' if i % 2 else 'young'},F" for i in range(40)) + "\n"
    asked = make_space([*three_tables[:2], words]).answer(DESCRIBE)
    assert asked.error["title"] == "column-types"
    assert "Hospital C" in asked.error["detail"]


def test_whole_numbers_here_and_fractions_there_are_numbers(make_space, three_tables) -> None:
    fractions = "age,sex\n" + "\n".join(f"{30.5 + i % 9},F" for i in range(40)) + "\n"
    asked = make_space([*three_tables[:2], fractions]).answer(DESCRIBE)
    pooled = ages(three_tables[:2]) + [30.5 + i % 9 for i in range(40)]
    assert asked.answer["result"]["mean"] == pytest.approx(statistics.mean(pooled))


@pytest.mark.parametrize("number", [0, 1, 2])
def test_both_sides_start_again_in_the_middle_and_go_on(make_space, three_tables, number, tmp_path) -> None:
    expected = make_space(three_tables).answer(DESCRIBE).answer["result"]
    space = make_space(three_tables, hub_url=f"sqlite:///{tmp_path}/hub.sqlite")
    question = space.ask(space.study(), DESCRIBE)
    thread = space.lead(question)
    cut = space.holders[2].who.did

    def stop_here(did: str, share: Share) -> Share:
        if did == cut and read_stored(share.header, ShareHeader).round == number:
            raise Unavailable("dead", "The process was killed")
        return share

    space.tamper_out = stop_here
    turns = 0
    while turns < 6:
        if number == 0:
            space.step(space.holders[0])  # only one holder opens before the stop
        else:
            for holder in space.holders:
                space.step(holder)
        turns += 1
        time.sleep(0.02)
    answered = {h.who.did: len(h.entries("round-answered")) for h in space.holders}
    space.stop(thread)
    space.hub.coordinator = space.hub.make_coordinator()
    for holder in space.holders:
        holder.agent.stop(0)
        holder.agent = holder.make_agent()
    space.tamper_out = lambda _, share: share
    thread = space.lead(question)
    asked = space.work(question, *space.holders)
    thread.join(5)
    assert asked.state is QuestionState.ANSWERED, asked.error
    assert asked.answer["result"] == expected
    for holder in space.holders:
        entries = holder.entries("round-answered")
        assert len(entries) == asked.answer["rounds"]  # no round was computed twice
        assert len(entries) >= answered[holder.who.did]
    space.coordinator.run(question)  # a job that runs once more does nothing
    assert len(space.hub.entries("question-answered")) == 1


def test_a_question_that_cannot_be_asked_fails_with_its_reason(make_space, three_tables) -> None:
    space = make_space(three_tables)
    asked = space.answer({"method": "describe", "variable": "agee"})
    assert "'age'" in asked.error["remedy"]
    assert asked.error["status"] == 422


def test_who_may_open_a_study(make_space, three_tables) -> None:
    space = make_space(three_tables)
    open_study, permit = space.coordinator.open_study, space.permit(("age",), DisclosurePolicy())
    for code, user, purpose, permits in (
        ("no-permits", USER, "research", []),
        ("permit-other-user", "somebody", "research", [permit]),
        ("permit-other-purpose", USER, "policy", [permit]),
        ("permit-revoked", USER, "research", [replace(permit, state=PermitState.REVOKED)]),
        (
            "permit-other-environment",
            USER,
            "research",
            [space.permit(("age",), DisclosurePolicy(), environment="did:web:other.example")],
        ),
        (
            "permit-expired",
            USER,
            "research",
            [replace(permit, permit=replace(permit.permit, valid_until=permit.permit.valid_from))],
        ),
        (
            "permit-not-yet-valid",
            USER,
            "research",
            [replace(permit, permit=replace(permit.permit, valid_from=permit.permit.valid_until))],
        ),
    ):
        with pytest.raises(SalernoError) as caught:
            open_study("Study", user, purpose, permits)
        assert caught.value.code == code
    assert space.coordinator.studies(USER) == []


def test_questions_are_their_owners_and_methods_the_permits(make_space, three_tables) -> None:
    space = make_space(three_tables)
    study = space.study(methods=("count",))
    assert space.coordinator.studies(USER) == [study]
    assert space.coordinator.study(study.id, USER) == study
    with pytest.raises(Refused, match="method-not-permitted"):
        space.coordinator.ask(study.id, DESCRIBE, USER)
    with pytest.raises(Invalid, match="Did you mean 'count'"):
        space.coordinator.ask(study.id, {"method": "cuont"}, USER)
    asked = space.coordinator.ask(study.id, {"method": "count"}, USER)
    assert space.coordinator.questions(study.id, USER) == [asked]
    for look in (
        lambda: space.coordinator.study(study.id, "somebody"),
        lambda: space.coordinator.ask(study.id, {"method": "count"}, "somebody"),
        lambda: space.coordinator.questions(study.id, "somebody"),
        lambda: space.coordinator.question(asked.id, "somebody"),
        lambda: space.coordinator.question("question-0", USER),
    ):
        with pytest.raises(NotFound):
            look()


def test_progress_names_the_holders_that_are_waited_for(make_space, three_tables) -> None:
    space = make_space(three_tables)
    question = space.ask(space.study(), DESCRIBE)
    thread = space.lead(question)
    end = time.monotonic() + 5
    while "waiting for Hospital" not in space.coordinator.question(question, USER).progress:
        assert time.monotonic() < end
        time.sleep(0.01)
    space.step(space.holders[0])
    progress = space.coordinator.question(question, USER).progress
    assert progress == "opening the data, waiting for Hospital B, Hospital C"
    space.stop(thread)


def test_progress_says_what_each_holder_does(make_space, three_tables) -> None:
    space = make_space(three_tables)
    question = space.ask(space.study(), DESCRIBE)
    assert space.coordinator.question(question, USER).holders == ()  # it waits for its turn
    thread = space.lead(question)

    def states() -> list[str]:
        return [part.state for part in space.coordinator.question(question, USER).holders]

    end = time.monotonic() + 5
    while states() != ["opening"] * 3:
        assert time.monotonic() < end
        time.sleep(0.01)
    space.step(space.holders[0])
    space.hub.patience.gone.add((question, 1, 0, space.holders[2].who.did))
    assert states() == ["opened", "opening", "silent"]
    space.stop(thread)


def test_after_a_refusal_the_holders_parts_stay_to_be_seen(make_space, three_tables) -> None:
    space = make_space(three_tables)
    space.holders[1].status.answer = PermitState.REVOKED
    asked = space.answer(DESCRIBE, space.study())
    assert asked.state is QuestionState.FAILED
    parts = {part.name: part for part in space.coordinator.question(asked.id, USER).holders}
    assert [part.state for part in parts.values()] == ["opened", "refused", "opened"]
    assert parts["Hospital B"].reason.startswith("permit-revoked")
