"""The cohorts of a frame whose rows are persons, and the days between entries into them."""

from __future__ import annotations

from salerno.analysis.model import Scope
from salerno.kernel.errors import Invalid, near

MOST_COHORTS = 20


def cohorts_of(scope: Scope, asked: tuple[str, ...]) -> tuple[str, ...]:
    """The cohorts that a question is about, at least two.

    Args:
        scope: What the nodes agree on.
        asked: Names; empty for all.

    Raises:
        Invalid: The frame has no cohorts, or not these.
    """
    columns = scope.dictionary.variables
    known = tuple(name for name in columns if f"{name}_date" in columns)
    if not known:
        raise Invalid(
            "no-cohorts", "The study's frame tells no cohorts", remedy='Give the frame "rows": "cohorts".'
        )
    for name in asked:
        if name not in known:
            raise Invalid("unknown-cohort", f"The frame has no cohort {name!r}", remedy=near(name, known))
    chosen = asked or known
    if not 2 <= len(chosen) <= MOST_COHORTS:
        raise Invalid("cohorts", f"Between 2 and {MOST_COHORTS} cohorts can be compared, not {len(chosen)}")
    return chosen
