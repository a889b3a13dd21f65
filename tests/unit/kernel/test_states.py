"""State tables: what is legal, what is said about the rest, and the diagram."""

from __future__ import annotations

import pytest

from salerno.kernel.errors import Conflict
from salerno.kernel.states import StateTable, Step

DOOR = StateTable(
    "garden door",
    (
        Step("", "hang", "shut", "carpenter"),
        Step("shut", "open", "ajar", "anybody", "House rule 1"),
        Step("ajar", "shut", "shut", "anybody"),
        Step("shut", "brick up", "gone", "mason"),
    ),
)


def test_states_come_in_the_order_of_the_steps() -> None:
    assert DOOR.states == ("shut", "ajar", "gone")
    assert DOOR.final == {"gone"}
    assert [step.verb for step in DOOR.steps_from("shut")] == ["open", "brick up"]


@pytest.mark.parametrize(
    ("state", "verb", "after"),
    [("", "hang", "shut"), ("shut", "open", "ajar"), ("ajar", "shut", "shut"), ("shut", "brick up", "gone")],
)
def test_a_legal_step_leads_on(state: str, verb: str, after: str) -> None:
    assert DOOR.after(state, verb) == after


@pytest.mark.parametrize(
    ("state", "verb", "words"),
    [
        ("ajar", "open", "A garden door that is ajar cannot open (House rule 1). Legal now: shut."),
        ("gone", "open", "Legal now: nothing: the state is final."),
        ("", "open", "A garden door that is new cannot open"),
    ],
)
def test_an_illegal_step_says_what_would_be_legal(state: str, verb: str, words: str) -> None:
    with pytest.raises(Conflict) as caught:
        DOOR.after(state, verb)
    assert caught.value.code == "garden-door-state"
    assert words in str(caught.value)


def test_the_diagram_has_every_step() -> None:
    lines = DOOR.render_mermaid().splitlines()
    assert lines[0] == "stateDiagram-v2"
    assert "    [*] --> shut: hang (carpenter)" in lines
    assert "    shut --> ajar: open (anybody)" in lines
    assert lines[-1] == "    gone --> [*]"
    assert len(lines) == 1 + len(DOOR.steps) + len(DOOR.final)
