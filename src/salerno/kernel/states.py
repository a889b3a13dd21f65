"""State machines as tables: the diagram, the error on an illegal step and the tests come from them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from salerno.kernel.errors import Conflict


@dataclass(frozen=True, slots=True)
class Step:
    """One legal step of a state machine.

    Args:
        source: State before the step; empty for the step that makes the thing.
        verb: What the actor does, as the law or standard calls it.
        target: State after the step.
        actor: Who may take it, e.g. ``data user``.
        rule: Where the step stands in law or standard.
    """

    source: str
    verb: str
    target: str
    actor: str
    rule: str = ""


@dataclass(frozen=True)
class StateTable:
    """All legal steps of one kind of thing, e.g. a data access application."""

    noun: str
    steps: tuple[Step, ...]

    @property
    def states(self) -> tuple[str, ...]:
        """Every state that a step can reach, in order of first mention."""
        return tuple(dict.fromkeys(s.target for s in self.steps))

    @property
    def final(self) -> frozenset[str]:
        """States that no step leaves."""
        return frozenset(self.states) - {s.source for s in self.steps}

    def steps_from(self, state: str) -> tuple[Step, ...]:
        """The steps that are legal in a state."""
        return tuple(s for s in self.steps if s.source == state)

    def after(self, state: str, verb: str) -> str:
        """The state that follows when `verb` is done in `state`.

        Raises:
            Conflict: The table has no such step; the message lists what would be legal.
        """
        for step in self.steps:
            if step.source == state and step.verb == verb:
                return step.target
        legal = ", ".join(_verbs(self.steps_from(state))) or "nothing: the state is final"
        raise Conflict(
            f"{self.noun.replace(' ', '-')}-state",
            f"A {self.noun} that is {state or 'new'} cannot {verb}",
            rule=next((s.rule for s in self.steps if s.verb == verb and s.rule), ""),
            remedy=f"Legal now: {legal}.",
        )

    def render_mermaid(self) -> str:
        """The table as a Mermaid state diagram."""
        lines = ["stateDiagram-v2"]
        lines += [f"    {s.source or '[*]'} --> {s.target}: {s.verb} ({s.actor})" for s in self.steps]
        lines += [f"    {state} --> [*]" for state in self.states if state in self.final]
        return "\n".join(lines)


def _verbs(steps: Iterable[Step]) -> list[str]:
    return list(dict.fromkeys(s.verb for s in steps))
