"""Laptop mode by command line: what it prints, and its exit codes."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Salerno


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder, dice, words = tmp_path_factory.mktemp("sites"), random.Random(3), []
    for name in ("lyon", "berlin", "oulu"):
        with (folder / f"{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["age", "sex", "rare"])
            writer.writerows([dice.randint(30, 80), dice.choice("FM"), int(i < 2)] for i in range(80))
        words += ["--site", str(folder / f"{name}.csv")]
    return words


def test_the_answer_is_printed(salerno: Salerno, sites: list[str], tmp_path: Path) -> None:
    question = tmp_path / "question.json"
    question.write_text('{"method": "describe", "variable": "age"}')
    report = tmp_path / "report.html"
    run = salerno("try", *sites, "--question", question, "--report", report)
    assert run.code == 0, run.err
    assert "n = 240" in run.out
    assert "Description of age" in run.out
    assert "<table>" in report.read_text()


def test_json_is_the_answer_alone(salerno: Salerno, sites: list[str]) -> None:
    run = salerno("try", *sites, "--json", stdin='{"method": "count", "by": "sex"}')
    assert run.code == 0, run.err
    assert sorted(run.json) == sorted(
        [
            "method",
            "question",
            "holders",
            "n",
            "n_missing",
            "result",
            "disclosure",
            "rounds",
            "seconds",
            "provenance",
        ]
    )
    assert run.json["n"] == 240
    plain = salerno("try", *sites, "--json", "--no-masks", stdin='{"method": "count", "by": "sex"}')
    assert plain.json["result"] == run.json["result"]


def test_a_refusal_has_exit_code_3(salerno: Salerno, sites: list[str]) -> None:
    run = salerno("try", *sites, "--threshold", 100, "--json", stdin='{"method": "count"}')
    assert run.code == 3
    assert run.out == ""
    assert json.loads(run.err.strip().splitlines()[-1])["status"] == 403


@pytest.mark.parametrize(
    ("question", "code", "words"),
    [
        ("{", 2, "not-json"),
        ("[]", 2, "not-an-object"),
        ('{"method": "cont"}', 2, "Did you mean 'count'"),
        ('{"method": "describe", "variable": "agee"}', 2, "Did you mean 'age'"),
    ],
)
def test_a_wrong_question_is_named(
    salerno: Salerno, sites: list[str], question: str, code: int, words: str
) -> None:
    run = salerno("try", *sites, stdin=question)
    assert (run.code, words in run.err) == (code, True), run.err


def test_files_that_are_not_there(salerno: Salerno, sites: list[str], tmp_path: Path) -> None:
    assert salerno("try", *sites, "--question", tmp_path / "none.json").code == 4
    assert salerno("try", "--site", tmp_path / "none.csv", stdin='{"method": "count"}').code in (2, 4)
    assert salerno("try", stdin='{"method": "count"}').code == 2


def test_the_demo_checks_its_options_first(salerno: Salerno) -> None:
    assert salerno("demo", "stray").err.startswith("unexpected-argument")
    assert salerno("demo", "--cdm", "a", "b", "--persons", 100).err.startswith("two-inputs")
