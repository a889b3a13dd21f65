"""Nodes that are killed at any point of the story go on, with nothing lost and nothing done twice."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest

from salerno.client.studies import PendingQuestion, Study
from salerno.kernel.errors import Unavailable
from salerno.nodes.assemble import open_node
from salerno.nodes.demo_data import GIBLEED_FRAME
from tests.acceptance.conftest import Running, soon

pytestmark = [pytest.mark.serial, pytest.mark.slow, pytest.mark.timeout(600)]

QUESTION = {"method": "glm", "formula": "status ~ group + age + sex", "family": "binomial"}
KILLS = 4


def answered(pending: PendingQuestion, seconds: float = 120) -> dict[str, Any]:
    """The answer, whatever happens to the hub while we wait for it."""
    end = time.monotonic() + seconds
    while not pending.done:
        assert time.monotonic() < end, pending.progress
        try:
            pending.refresh(wait=5)
        except Unavailable:
            time.sleep(0.2)
    return pending.answer.answer


def figures(answer: dict[str, Any], figure: str) -> dict[str, float]:
    return {term["term"]: term[figure] for term in answer["result"]["terms"]}


@pytest.fixture(scope="module")
def study(running: Running) -> Study:
    """An application that is filed, decided and turned into a study while nodes are killed."""
    researcher = running.session("researcher")
    citizen = running.session("citizen FR 1")
    citizen.opt_out(True)
    running.restart("FR access body")
    assert citizen.opt_out()["opted_out"] is True

    application = running.file()
    running.restart("EU")
    for country in running.space.countries:
        running.grant(application, country)
        running.restart(f"{country} access body")
    soon(lambda: application.wait(timeout=30))
    assert application.countries == dict.fromkeys(running.space.countries, "full")
    permits = researcher.permits()
    assert sorted(permit.country for permit in permits) == sorted(running.space.countries)
    assert len(researcher.applications()) == 1
    return researcher.study("Killed and alive", application, frame=GIBLEED_FRAME)


def test_a_killed_node_neither_loses_nor_changes_an_answer(running: Running, study: Study) -> None:
    undisturbed = study.ask(QUESTION, progress=None).answer
    dice = random.Random(1)
    for number in range(KILLS):
        victim = ("EU", *(f"{country} hospital" for country in running.space.countries))[number % 4]
        pending = study.submit(QUESTION)
        time.sleep(dice.uniform(0.0, 0.6))
        running.restart(victim)
        answer = answered(pending)
        # An engine adds in another order each time, which shows in the last digits of a float.
        for figure in ("estimate", "std_error"):
            assert figures(answer, figure) == pytest.approx(figures(undisturbed, figure), rel=1e-9), victim
        assert answer["n"] == undisturbed["n"]
        assert len(answer["holders"]) == 3

    questions = study.questions()
    assert len(questions) == KILLS + 1
    for name, folder in running.space.folders.items():
        with open_node(folder) as node, node.audit() as log:
            assert log.verify().ok, name
            if name == "EU":
                ended = [entry.subject for entry in log.entries(act="question-answered", limit=1000)]
                assert sorted(ended) == sorted(question.id for question in questions)
            if name.endswith("access body"):
                assert len(log.entries(act="permit-issued", limit=1000)) == 1
