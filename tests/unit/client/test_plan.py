"""Study files: what is read of them, and what is wrong with one, in words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from salerno import Invalid, NotFound
from salerno.client.plan import filled, parse_plan, read_plan

PLAN = """
title = "Ages"
permits = ["urn:permit:1"]
min_holders = 2
frame = "frame.json"

[questions.cuts]
method = "quantiles"
variable = "age"
probabilities = [0.25, 0.5, 0.75]

[questions.old]
title = "The older half"
method = "histogram"
variable = "age"
range = [{ from = "cuts", path = "values.1" }, 100]
needs = ["count"]

[questions.count]
method = "count"
"""


def test_a_study_file_is_read_with_its_frame(tmp_path: Path) -> None:
    (tmp_path / "frame.json").write_text('{"table": "patients"}')
    path = tmp_path / "ages.toml"
    path.write_text(PLAN)
    plan = read_plan(path)
    assert (plan.title, plan.permits, plan.min_holders) == ("Ages", ("urn:permit:1",), 2)
    assert plan.frame == {"table": "patients"}
    assert [q.name for q in plan.questions] == ["cuts", "old", "count"]
    assert plan["old"].needs == ("count", "cuts")
    assert plan["old"].title == "The older half"
    again = tmp_path / "again.json"
    again.write_text(plan.to_json())
    assert read_plan(again) == plan


def test_the_same_plan_has_the_same_key_whatever_it_asks() -> None:
    plain = {"title": "T", "questions": {"n": {"method": "count"}}}
    more = {**plain, "questions": {"n": {"method": "count"}, "m": {"method": "count", "by": "sex"}}}
    other = {**plain, "frame": {"table": "t"}}
    key = parse_plan(plain).key(["p"])
    assert parse_plan(more).key(["p"]) == key
    assert parse_plan(other).key(["p"]) != key
    assert parse_plan(plain).key(["q"]) != key


@pytest.mark.parametrize(
    ("given", "code", "says"),
    [
        ({"titel": "T"}, "unknown-key", "Did you mean 'title'"),
        ({"title": "T"}, "no-questions", "has no questions"),
        ({"title": "T", "questions": {}}, "no-questions", "has no questions"),
        ({"questions": {"a": {"method": "count"}}}, "wrong-shape", "title"),
        ({"title": "T", "questions": {"a b": {"method": "count"}}}, "question-name", "'a b'"),
        ({"title": "T", "questions": {"a": {}}}, "no-method", "'a' names no method"),
        (
            {
                "title": "T",
                "questions": {"a": {"method": "count", "needs": ["bb"]}, "b": {"method": "count"}},
            },
            "unknown-question",
            "Did you mean 'b'",
        ),
        (
            {
                "title": "T",
                "questions": {
                    "a": {"method": "count", "needs": ["b"]},
                    "b": {"method": "count", "needs": "a"},
                },
            },
            "circle",
            "a needs b needs a",
        ),
        (
            {"title": "T", "permits": ["p"], "application": "a", "questions": {"a": {"method": "count"}}},
            "permits-twice",
            "Keep one",
        ),
        ({"title": "T", "min_holders": "two", "questions": {"a": {"method": "count"}}}, "wrong-shape", "int"),
    ],
)
def test_what_is_wrong_is_named(given: dict[str, object], code: str, says: str) -> None:
    with pytest.raises(Invalid, match=code) as caught:
        parse_plan(given)
    assert says.replace("a needs b needs a", "needs") in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no-such-file"):
        read_plan(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("title = ")
    with pytest.raises(Invalid, match="not-toml"):
        read_plan(tmp_path / "bad.toml")
    (tmp_path / "bad.json").write_text("[1]")
    with pytest.raises(Invalid, match="not-an-object"):
        read_plan(tmp_path / "bad.json")


RESULTS = {"q": {"values": [10.0, None], "fit": {"scale": 2.5}}}


def test_figures_of_other_answers_take_their_place() -> None:
    question = {
        "method": "histogram",
        "edges": [0, {"from": "q", "path": "values.0"}, {"from": "q", "path": "fit.scale"}],
        "window": {"from": -365, "path": "x"},
    }
    assert filled(question, RESULTS) == {
        "method": "histogram",
        "edges": [0, 10.0, 2.5],
        "window": {"from": -365, "path": "x"},
    }


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("values.1", "figure-not-released"),
        ("values.2", "no-such-figure"),
        ("fit.scales", "Did you mean 'scale'"),
    ],
)
def test_a_figure_that_is_not_there(path: str, code: str) -> None:
    with pytest.raises(Invalid, match=code):
        filled({"x": {"from": "q", "path": path}}, RESULTS)


def test_a_question_by_name() -> None:
    plan = parse_plan(json.loads('{"title": "T", "questions": {"age": {"method": "count"}}}'))
    with pytest.raises(NotFound, match="Did you mean 'age'"):
        plan["agee"]
