"""Fewest persons behind an answer or a holder's share of it, and the size of models."""

from __future__ import annotations

from salerno.kernel.errors import Refused
from salerno.permits.model import DisclosurePolicy

RULE = "EHDS Art. 73(2)"


def check_persons(n: int, policy: DisclosurePolicy, *, who: str = "The answer") -> None:
    """Refuse figures about somebody but fewer than the threshold.

    Raises:
        Refused: ``0 < n < min_cell``; the number itself is not told.
    """
    if 0 < n < policy.min_cell:
        raise Refused(
            "too-few-persons",
            f"{who} would rest on fewer than {policy.min_cell} persons",
            rule=RULE,
            remedy="Ask about a larger group.",
        )


def check_some(n: int, policy: DisclosurePolicy) -> None:
    """Refuse an answer about nobody, or about fewer than the threshold."""
    if n == 0:
        raise Refused(
            "no-persons",
            "No row has a value in all the columns that the question uses",
            remedy="Ask otherwise.",
        )
    check_persons(n, policy)


def check_level(n: int, policy: DisclosurePolicy, *, column: str, level: str) -> None:
    """Refuse a model with a group that has somebody but fewer than the threshold.

    Raises:
        Refused: The level's group is small; column and level are named, the number is not.
    """
    if 0 < n < policy.min_cell:
        raise Refused(
            "small-level",
            f"Fewer than {policy.min_cell} persons have {column} = {level}",
            rule=RULE,
            remedy=f"Leave {column} out, or ask about a larger group.",
        )


def check_model_size(n: int, parameters: int, policy: DisclosurePolicy) -> None:
    """Refuse a model that has so many parameters that it describes single persons.

    Raises:
        Refused: Too many parameters per person, or too few degrees of freedom left.
    """
    if parameters > policy.max_parameter_ratio * n:
        raise Refused(
            "model-too-large",
            f"{parameters} parameters are more than {policy.max_parameter_ratio:g} per person",
            rule=RULE,
            remedy="Use fewer terms.",
        )
    if policy.min_cell > 1 and n - parameters < policy.min_degrees_of_freedom:
        raise Refused(
            "degrees-of-freedom",
            f"Fewer than {policy.min_degrees_of_freedom} degrees of freedom would be left",
            rule=RULE,
            remedy="Use fewer terms.",
        )
