"""Expressions that are made once for all rounds of a search, with places for the numbers of each round.

To make a regression's expression takes longer than to sum twenty thousand rows, and from one step of Newton's
method to the next nothing in it changes but the coefficients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, wraps
from typing import Any, ParamSpec, TypeVar

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir

_KEPT = 32

Given = ParamSpec("Given")
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True, eq=False)
class _Same:
    """An object that is equal to itself alone: to compare two scopes would take long."""

    value: Any

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.value is other.value


def for_same(make: Callable[Given, Made]) -> Callable[Given, Made]:
    """Make something once for the very same arguments, which must not be changed; a few results are kept."""

    @lru_cache(maxsize=_KEPT)
    def kept(*given: _Same) -> Any:
        return make(*(one.value for one in given))  # type: ignore[call-arg]

    @wraps(make)
    def made(*given: Given.args, **named: Given.kwargs) -> Made:
        assert not named, "arguments are told apart by their place"
        result: Made = kept(*map(_Same, given))
        return result

    return made


def places(size: int) -> list[ir.FloatingScalar]:
    """As many numbers that are given later."""
    return [ibis.param("float64") for _ in range(size)]


def filled(where: Sequence[ir.FloatingScalar], numbers: Sequence[float]) -> dict[ops.Node, float]:
    """Numbers for some places."""
    return {place.op(): float(number) for place, number in zip(where, numbers, strict=True)}
