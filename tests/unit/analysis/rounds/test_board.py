"""What is asked of whom at the moment, and what came."""

from __future__ import annotations

from salerno.analysis.model import Share, ShareHeader, Work
from salerno.analysis.service.board import Board, in_lane
from salerno.kernel.values import from_json

CALL = Work(kind="round", token="t")
EXPECTED = ShareHeader(
    question_id="q", run=1, round=1, scope="s", holders=("a", "b"), arrays=(), words_sha256=""
)


def board() -> Board:
    made = Board()
    made.post("q", 1, 1, {"a": CALL, "b": CALL}, EXPECTED)
    return made


def test_each_holder_gets_its_work_until_it_has_replied() -> None:
    made = board()
    assert made.works("a", 0, 1) == [CALL]
    assert from_json(made.encoded("a", 0, 1)[0], Work, what="work") == CALL
    assert made.works("c", 0, 1) == []
    assert made.waiting_for("q") == ("a", "b")
    assert made.expected("q", 1, 1, "a") == EXPECTED
    share = Share(header="h", words=b"12345678")
    assert made.put("q", 1, 1, "a", share) == share
    assert made.works("a", 0, 1) == []
    assert made.expected("q", 1, 1, "a") == EXPECTED
    assert made.put("q", 1, 1, "a", Share(header="other")) == share  # the first one counts
    assert made.shares("q", 1, 1) == {"a": share}
    assert not made.complete("q", 1, 1)
    made.put("q", 1, 1, "b", share)
    assert made.complete("q", 1, 1)


def test_what_is_not_on_the_board_is_left_to_the_database() -> None:
    made = board()
    for step in (("p", 1, 1), ("q", 2, 1), ("q", 1, 2)):
        assert made.expected(*step, "a") is None
        assert made.put(*step, "a", Share(header="h")) is None
        assert made.complete(*step)
        assert made.shares(*step) == {}
    assert made.expected("q", 1, 1, "c") is None
    made.withdraw("q")
    assert made.waiting_for("q") is None
    assert made.works("a", 0, 1) == []


def test_a_new_step_takes_the_place_of_the_one_before() -> None:
    made = board()
    made.post("q", 1, 2, {"b": CALL}, EXPECTED, {"a": Share(header="kept")})
    assert made.expected("q", 1, 1, "a") is None
    assert made.shares("q", 1, 2) == {"a": Share(header="kept")}
    assert made.waiting_for("q") == ("b",)
    made.post("q", 2, 0, {"a": CALL, "b": CALL})
    assert made.opening("q", 2, "a") == "t"
    assert made.put("q", 2, 0, "a", "reply") == made.put("q", 2, 0, "a", "another") == "reply"
    assert made.put("q", 1, 0, "b", "of another run") is None
    assert made.opening("q", 2, "a") is made.opening("q", 1, "b") is None
    assert made.openings("q", 2) == {"a": "reply"}
    assert made.waiting_for("q") == ("b",)


def test_every_question_falls_into_one_lane() -> None:
    for number in range(50):
        assert sum(in_lane(f"question-{number}", lane, 3) for lane in range(3)) == 1
