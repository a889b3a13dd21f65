"""Carrying a study out: order, what fails, what is not asked twice, and the report and evidence of it."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from salerno import Answer, Application, Conflict, Refused, StudyRun
from salerno.client.plan import PlannedQuestion, parse_plan
from salerno.client.runs import carry_out
from tests.unit.client.conftest import LogIn
from tests.unit.client.five_safes import faults


def plan_with(questions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"title": "A study of ages", "description": "Who is old?", **more, "questions": questions}


def answered(question: dict[str, Any]) -> Answer:
    return Answer(
        {"method": "count", "question": question, "holders": ["A"], "n": 20, "result": {"n": 20}, "rounds": 1}
    )


def test_what_does_not_depend_goes_at_the_same_time_and_what_does_waits() -> None:
    plan = parse_plan(
        plan_with(
            {
                "a": {"method": "count"},
                "b": {"method": "count"},
                "c": {"method": "count", "needs": ["a", "b"], "by": {"from": "a", "path": "n"}},
            }
        )
    )
    both = threading.Barrier(2, timeout=10)
    order: list[str] = []

    def ask(planned: PlannedQuestion, question: dict[str, Any]) -> Answer:
        if planned.name in "ab":
            both.wait()  # breaks unless both are under way at once
        order.append(planned.name)
        return answered(question)

    run = carry_out(StudyRun(plan=plan), ask)
    assert run.complete
    assert order[-1] == "c"
    assert run.questions["c"]["by"] == 20


def test_a_question_that_fails_ends_those_that_need_it_and_no_others() -> None:
    plan = parse_plan(
        plan_with(
            {
                "bad": {"method": "count"},
                "after": {"method": "count", "needs": "bad"},
                "last": {"method": "count", "needs": "after"},
                "good": {"method": "count"},
            }
        )
    )

    def ask(planned: PlannedQuestion, question: dict[str, Any]) -> Answer:
        if planned.name == "bad":
            raise Refused("too-few-persons", "Spain: This holder's part would rest on fewer than 10 persons")
        return answered(question)

    run = carry_out(StudyRun(plan=plan), ask)
    assert sorted(run.answers) == ["good"]
    assert {name: error.code for name, error in run.problems.items()} == {
        "bad": "too-few-persons",
        "after": "not-asked",
        "last": "not-asked",
    }
    with pytest.raises(Refused, match="Spain"):
        run["bad"]
    with pytest.raises(Refused, match="Spain"):
        run.raise_first()


def test_an_interruption_ends_what_waits() -> None:
    plan = parse_plan(plan_with({"a": {"method": "count"}, "b": {"method": "count"}}))
    stop = threading.Event()

    def ask(planned: PlannedQuestion, question: dict[str, Any]) -> Answer:
        if planned.name == "a":
            return answered(question)
        assert stop.wait(10)
        raise Conflict("stopped", "stopped")

    def changed(run: StudyRun) -> None:
        if "a" in run.answers:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carry_out(StudyRun(plan=plan), ask, changed=changed, stop=stop)


QUESTIONS = {
    "quartiles": {"method": "quantiles", "variable": "time", "probabilities": [0.25, 0.5, 0.75]},
    "curve": {
        "method": "kaplan_meier",
        "time": "time",
        "event": "status",
        "grid": {"from": "quartiles", "path": "values.0"},
    },
    "sexes": {"method": "count", "by": "sex", "title": "Women and men"},
    "wrong": {"method": "describe", "variable": "agee"},
}


def test_a_study_at_a_node_from_plan_to_evidence(log_in: LogIn, granted: Application, tmp_path: Path) -> None:
    marie = log_in("marie")
    plan = plan_with(QUESTIONS, application=granted.id)
    seen: list[dict[str, str]] = []
    run = marie.run(plan, watch=lambda run: seen.append(dict(run.states)))
    assert sorted(run.answers) == ["curve", "quartiles", "sexes"], run.problems
    assert "Did you mean 'age'" in str(run.problems["wrong"])
    assert run.questions["curve"]["grid"] == run["quartiles"].result["values"][0]
    assert seen[-1]["curve"] == "answered"

    report = run.write_report(tmp_path / "report.html").read_text()
    for wanted in (
        "Women and men",
        "Hospital Lyon",
        granted.permit_ids["FR"],
        "Provenance",
        "Did you mean",
        "<svg",
    ):
        assert wanted in report
    assert run._repr_html_().count("<table") == report.count("<table")

    crate = run.write_crate(tmp_path / "evidence.zip").read_bytes()
    assert faults(crate, published=True) == []
    # The checker is no rubber stamp: a byte more or less is found.
    assert faults(crate.replace(b"report.html", b"rep0rt.html"), published=True)

    # Run again, nothing is asked twice, though the one that failed may be.
    study = marie.open_study(run.study["id"])
    before = [question.id for question in study.questions()]
    again = marie.run(plan)
    assert [question.id for question in study.questions()] == before
    assert {n: a.answer["provenance"]["question_id"] for n, a in again.answers.items()} == {
        n: a.answer["provenance"]["question_id"] for n, a in run.answers.items()
    }
    marie.run(plan, again=True)
    assert len(study.questions()) == len(before) + 1


def test_a_run_goes_on_where_it_was_interrupted(log_in: LogIn, granted: Application, tmp_path: Path) -> None:
    marie = log_in("marie")
    plan = plan_with({f"q{i}": {"method": "count", "by": by} for i, by in enumerate(("sex", "status"))},
                     application=granted.id, purpose="research", min_holders=1)  # fmt: skip

    def interrupt(run: StudyRun) -> None:
        if run.answers:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        marie.run(plan, watch=interrupt, at_once=1)
    run = marie.run(plan)
    assert run.complete
    assert len(marie.open_study(run.study["id"]).questions()) == 2
    files = {path.name for path in run.write(tmp_path / "out")}
    assert {"report.html", "evidence.zip", "q0.json", "q0.csv"} <= files
    assert json.loads((tmp_path / "out" / "answers" / "q0.json").read_text())["n"] == 400


def test_a_study_is_rehearsed_before_it_is_sent(log_in: LogIn, granted: Application, tmp_path: Path) -> None:
    marie = log_in("marie")
    run = marie.rehearse(plan_with(QUESTIONS, application=granted.id))
    assert sorted(run.answers) == ["curve", "quartiles", "sexes"], run.problems
    assert "Did you mean 'age'" in str(run.problems["wrong"])
    assert run.synthetic
    assert all(answer.synthetic for answer in run.answers.values())
    report = run.write_report(tmp_path / "report.html").read_text()
    assert report.count("synthetic") > 10
    assert "SYNTHETIC: " in report  # the plots
    assert run["sexes"].to_frame()["synthetic"].all()
    assert "(synthetic)" in run["sexes"].summarised_result()["cdm_name"][0]
    with pytest.raises(Conflict, match="rehearsal"):
        run.write_crate(tmp_path / "evidence.zip")
    assert {path.name for path in run.write(tmp_path / "out")} >= {"report.html", "sexes.csv"}


def test_an_open_study_rehearses_a_question(log_in: LogIn, granted: Application) -> None:
    study = log_in("marie").study("Rehearsed", granted)
    answer = study.rehearse({"method": "count", "by": "sex"})
    assert answer.synthetic
    assert answer.holders == ["Hospital Lyon (synthetic)"]
    assert "Synthetic: " in answer._repr_html_()
    assert study.questions() == []
