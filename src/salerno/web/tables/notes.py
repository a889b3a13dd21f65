"""What stands beside an answer's figures: what disclosure control did, and where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from salerno.web.tables.texts import value_text

SYNTHETIC = "Rehearsal on synthetic rows: no figure here says anything about anybody."
"""What an answer of a rehearsal says of itself."""


def disclosure_notes(answer: Mapping[str, Any]) -> list[str]:
    """What disclosure control did to an answer, in sentences."""
    told = answer.get("disclosure") or {}
    notes = [SYNTHETIC] if answer.get("synthetic") else []
    notes += [f"No figure stands for fewer than {told['min_cell']} persons."] if "min_cell" in told else []
    hidden = told.get("suppressed")
    if hidden:
        notes.append(f"{hidden} {'figure is' if hidden == 1 else 'figures are'} hidden.")
    if told.get("masks"):
        notes.append("The holders' sums were masked: only the total over all holders was ever seen.")
    notes += [str(told["few_holders"])] if told.get("few_holders") else []
    notes += [str(note) for note in told.get("notes", ())]
    for missing in told.get("missing", ()):
        name = missing.get("name") or missing.get("holder", "A data holder")
        notes.append(
            f"{name} is not in the answer: {missing.get('reason') or missing.get('code', 'it was lost')}."
        )
    return notes


def provenance_facts(answer: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Where an answer comes from, as names and texts."""
    found = []
    for name, value in (answer.get("provenance") or {}).items():
        shown = (
            ", ".join(f"{k}: {v}" for k, v in value.items())
            if isinstance(value, Mapping)
            else value_text(value)
        )
        found.append((name.replace("_", " ").capitalize(), shown))
    return found
