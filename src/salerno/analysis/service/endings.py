"""Why a question ends without an answer, in the words that the researcher reads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from salerno.analysis.service.records import Missing
from salerno.kernel.errors import Invalid, SalernoError, Unavailable, parse_problem


def named(problem: dict[str, Any], name: str) -> SalernoError:
    """A holder's refusal, with the holder's name before it."""
    error = parse_problem(problem, int(problem.get("status", 403)))
    error.what = f"{name}: {error.what}"
    return error


def reason(problem: dict[str, Any]) -> str:
    """A refusal in one sentence, for the list of missing holders."""
    return f"{problem.get('title', 'refused')}: {problem.get('detail', '')}".strip().rstrip(":")


def lost(names: list[str], *, started: bool = False) -> SalernoError:
    """Holders that did not answer."""
    listed = ", ".join(names)
    why = " after a total with its part had been formed" if started else ""
    return Unavailable("holder-lost", f"{listed} did not answer{why}", remedy="Ask again when it is back.")


def too_few(found: int, least: int, missing: Iterable[Missing]) -> SalernoError:
    """Not enough holders are left."""
    return Unavailable(
        "too-few-holders",
        f"{found} holders are left, and {least} are needed; missing: {', '.join(m.name for m in missing)}",
        remedy="Ask again when they are back, or open a study that goes on with fewer (min_holders).",
    )


def nobody(missing: Iterable[Missing]) -> SalernoError:
    """Nobody opened the data."""
    reasons = "; ".join(f"{m.name}: {m.reason}" for m in missing)
    what = f"No holder is left ({reasons})"
    return Unavailable("no-holders", what, remedy="Mend what each of them names, then ask again.")


def no_end(rounds: int) -> SalernoError:
    """The method goes on longer than the policy allows."""
    return Invalid(
        "too-many-rounds",
        f"The method has no result after {rounds} rounds, the most that the policy allows",
        remedy="Simplify the model, or look for a variable that separates the outcome.",
    )


def stopping() -> Unavailable:
    """The node stops; the question goes on when it is back."""
    return Unavailable("node-stopping", "The node is about to stop", remedy="Try again in a moment.")
