"""Numeric factors of a formula's terms: one column, arithmetic on columns, or a basis of several columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from math import floor, log10

from salerno.analysis.grammar import Node, render
from salerno.analysis.splines import Curve, b_spline, natural_spline, power
from salerno.kernel.errors import Invalid, near

OUTER = (0.05, 0.95)
"""Pooled quantiles at which boundary knots are placed; R's smallest and largest value would name persons."""
_MOST = 20
_KNOWN = {
    "ns": ("x", "df", "knots", "intercept", "Boundary.knots"),
    "bs": ("x", "df", "knots", "degree", "intercept", "Boundary.knots"),
    "poly": ("x", "degree", "raw"),
}


@dataclass(frozen=True)
class Numeric:
    """A numeric factor of a term: a column, or arithmetic on columns.

    Args:
        text: As R names it, e.g. ``I(age^2)``.
        node: What to compute; of kind ``curve``, the value's curve at the only part.
        columns: Columns that it reads.
    """

    text: str
    node: Node
    columns: tuple[str, ...]

    @property
    def source(self) -> Numeric:
        """What must have a value for this to have one: the number that a curve is drawn over, or itself."""
        if self.node.kind != "curve":
            return self
        (number,) = self.node.parts
        return Numeric(render(number), number, self.columns)


@dataclass(frozen=True)
class Basis:
    """Several numeric columns of one number: a spline or powers.

    Args:
        text: As R names it, e.g. ``ns(age, df = 4)``.
        kind: ``ns``, ``bs`` or ``poly``.
        argument: The number.
        degree: Of the polynomials.
        knots: Interior knots, None until they are placed.
        n_knots: How many interior knots there are.
        boundary: Boundary knots, None until they are placed.
    """

    text: str
    kind: str
    argument: Numeric
    degree: int
    n_knots: int = 0
    knots: tuple[float, ...] | None = ()
    boundary: tuple[float, float] | None = (0.0, 1.0)

    @property
    def is_placed(self) -> bool:
        """Whether all knots are known."""
        return self.knots is not None and self.boundary is not None

    @cached_property
    def parts(self) -> tuple[Numeric, ...]:
        """The columns; the argument alone until the knots are placed."""
        if self.knots is None or self.boundary is None:
            return (self.argument,)
        curves: tuple[Curve, ...]
        if self.kind == "poly":
            curves = tuple(power(i) for i in range(1, self.degree + 1))
        elif self.kind == "ns":
            curves = natural_spline(self.knots, self.boundary)
        else:
            curves = b_spline(self.knots, self.boundary, self.degree)
        numbers = [""] if self.kind == "poly" and self.degree == 1 else range(1, len(curves) + 1)
        return tuple(
            Numeric(f"{self.text}{i}", Node("curve", curve, (self.argument.node,)), self.argument.columns)
            for i, curve in zip(numbers, curves, strict=True)
        )

    @property
    def probabilities(self) -> tuple[float, ...]:
        """Pooled quantiles that the knots are placed at: the outer ones, and evenly between them."""
        low, high = OUTER
        steps = range(self.n_knots + 2) if self.knots is None else (0, self.n_knots + 1)
        return tuple(low + (high - low) * i / (self.n_knots + 1) for i in steps)

    def placed(self, quantiles: tuple[float, ...]) -> Basis:
        """The basis with its missing knots at pooled quantiles, rounded to a thousandth of their span.

        Args:
            quantiles: At `probabilities`.

        Raises:
            Invalid: Knots fall together, or lie outside the boundary.
        """
        span = quantiles[-1] - quantiles[0]
        step = 10.0 ** (floor(log10(span)) - 3) if span > 0 else 1.0
        rounded = tuple(float(f"{round(q / step) * step:.12g}") for q in quantiles)
        boundary = self.boundary or (rounded[0], rounded[-1])
        knots = rounded[1:-1] if self.knots is None else self.knots
        return replace(self, knots=_inside(knots, boundary, self.text), boundary=boundary)

    def as_r(self) -> str:
        """What gives the same columns in R."""
        if self.kind == "poly" or self.knots is None or self.boundary is None:
            return self.text
        knots = ", ".join(f"{knot:.15g}" for knot in self.knots)
        parts = [self.argument.text, *([f"knots = c({knots})"] if knots else [])]
        if self.kind == "bs":
            parts.append(f"degree = {self.degree}")
        low, high = self.boundary
        return f"{self.kind}({', '.join(parts)}, Boundary.knots = c({low:.15g}, {high:.15g}))"


def read_basis(node: Node, argument: Callable[[Node], Numeric]) -> Basis:
    """``ns(x, df = 4)``, ``bs(x, knots = c(40, 60), degree = 3)``, ``poly(x, 2, raw = TRUE)``.

    Args:
        node: The call.
        argument: Reads its first argument.

    Raises:
        Invalid: An argument is unknown or out of range.
    """
    given = _arguments(node)
    number = argument(given["x"])
    text = render(node)
    if node.value == "poly":
        if "raw" not in given or given["raw"] != Node("name", "TRUE"):
            raise Invalid(
                "wrong-formula",
                "Orthogonal polynomials depend on every single value",
                remedy=f"Write poly({number.text}, 2, raw = TRUE), or a spline: ns({number.text}, df = 3).",
            )
        return Basis(text, "poly", number, _whole(given.get("degree", Node("number", 1.0)), "degree", 1, 6))
    if given.get("intercept", Node("name", "FALSE")) != Node("name", "FALSE"):
        raise Invalid("wrong-formula", f"A spline's intercept cannot be chosen in {text!r}")
    degree = _whole(given["degree"], "degree", 1, 6) if "degree" in given else 3
    boundary = _numbers(given["Boundary.knots"]) if "Boundary.knots" in given else None
    if boundary is not None and (len(boundary) != 2 or boundary[0] >= boundary[1]):
        raise Invalid("wrong-formula", "Boundary.knots must be two rising numbers, as in c(20, 80)")
    knots: tuple[float, ...] | None
    if "knots" in given:
        knots = _numbers(given["knots"])
        n_knots = len(knots)
    else:
        fewest = degree if node.value == "bs" else 1
        df = _whole(given["df"], "df", fewest, _MOST) if "df" in given else fewest
        n_knots = df - fewest
        knots = None if n_knots else ()
    outer = None if boundary is None else (boundary[0], boundary[1])
    if knots is not None and (list(knots) != sorted(set(knots)) or len(knots) > _MOST):
        raise Invalid("wrong-formula", f"The knots of {text!r} must rise, and be at most {_MOST}")
    if knots is not None and outer is not None:
        _inside(knots, outer, text)
    return Basis(text, node.value, number, degree, n_knots, knots, outer)


def _arguments(node: Node) -> dict[str, Node]:
    """Arguments by name, matched as R does."""
    known = _KNOWN[node.value]
    given: dict[str, Node] = {}
    for part in node.parts:
        if part.kind == "named":
            if part.value not in known:
                raise Invalid(
                    "wrong-formula", f"{node.value} has no {part.value!r}", remedy=near(part.value, known)
                )
            given[part.value] = part.parts[0]
    rest = [name for name in known if name not in given]
    places = [part for part in node.parts if part.kind != "named"]
    if len(places) > len(rest):
        raise Invalid("wrong-formula", f"{render(node)} has too many arguments")
    given |= dict(zip(rest, places, strict=False))
    if "x" not in given:
        raise Invalid("wrong-formula", f"Write {node.value}(column, …)")
    return given


def _inside(knots: tuple[float, ...], boundary: tuple[float, float], text: str) -> tuple[float, ...]:
    order = [boundary[0], *knots, boundary[1]]
    if any(a >= b for a, b in pairwise(order)):
        raise Invalid(
            "wrong-knots",
            f"The knots of {text!r} fall together, or lie outside the boundary",
            remedy="Ask for a smaller df, or give knots = c(…) and Boundary.knots = c(…).",
        )
    return knots


def _whole(node: Node, name: str, low: int, high: int) -> int:
    if node.kind != "number" or node.value != int(node.value) or not low <= node.value <= high:
        raise Invalid("wrong-formula", f"{name!r} must be a whole number from {low} to {high}")
    return int(node.value)


def _numbers(node: Node) -> tuple[float, ...]:
    """``c(40, 60)`` or one number."""
    parts = node.parts if node.kind == "call" and node.value == "c" else (node,)
    return tuple(_number(part) for part in parts)


def _number(node: Node) -> float:
    if node.kind in "+-" and len(node.parts) == 1:
        value = _number(node.parts[0])
        return -value if node.kind == "-" else value
    if node.kind != "number":
        raise Invalid("wrong-formula", f"{render(node)!r} must be a number")
    return float(node.value)
