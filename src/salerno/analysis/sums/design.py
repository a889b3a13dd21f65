"""A model's design matrix as few numeric parts times indicators of factor levels.

A column of the matrix is the product of a numeric part (1, ``age``, ``age * bmi``, …) and of level
indicators. Within a group of rows that share all factor levels the indicators are constant, so a holder
sums products of the numeric parts alone, by group, and the groups are put together afterwards.
Numeric parts are centred and scaled by pooled figures where the model allows, which keeps the normal
equations well conditioned; `Design.restore` takes the coefficients back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from salerno.analysis.formula import Formula, Term, numerics_of
from salerno.analysis.grammar import Node
from salerno.analysis.model import Scope
from salerno.analysis.questions import Factor, variable
from salerno.analysis.splines import Curve
from salerno.analysis.sums.columns import as_number, every, is_present, real
from salerno.analysis.terms import Numeric

Array = NDArray[np.float64]

_FAR = 100.0
"""Square of the mean beside the variance from which on a part is centred."""


@dataclass(frozen=True)
class Column:
    """One column of the design matrix.

    Args:
        name: R's name of the coefficient.
        part: Number of the numeric part; part 0 is the constant 1.
        levels: (factor number, level number) whose indicators it is multiplied with.
    """

    name: str
    part: int
    levels: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Design:
    """Columns of a model, with the pooled centre and scale of each numeric part.

    Args:
        parts: Numeric factors whose product is the part; the first is empty, the constant.
        constant: Whether shifting all linear predictors by one number is within the model: it has an
            intercept, or, as in Cox regression, needs none.
    """

    factors: tuple[Factor, ...]
    parts: tuple[tuple[Numeric, ...], ...]
    columns: tuple[Column, ...]
    constant: bool
    centres: tuple[float, ...] = ()
    scales: tuple[float, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """R's names of the coefficients."""
        return tuple(column.name for column in self.columns)

    def with_scales(self, sums: Array, squares: Array, n: int) -> Design:
        """The design with parts centred where the model allows, and scaled.

        Args:
            sums: Pooled sums of each part but the constant.
            squares: Pooled sums of its squares.
            n: Rows behind them, > 0.
        """
        centres, scales = [0.0], [1.0]
        plain = {column.levels for column in self.columns if column.part == 0}
        for part in range(1, len(self.parts)):
            mean = float(sums[part - 1]) / n
            mean_square = float(squares[part - 1]) / n
            variance = mean_square - mean * mean
            used = [column.levels for column in self.columns if column.part == part]
            can_centre = all(levels in plain or (not levels and self.constant) for levels in used)
            # Centring costs a subtraction per row, and helps where values are large beside their spread.
            centred = can_centre and mean * mean > _FAR * variance
            spread = variance if centred and variance > 1e-12 * mean_square else mean_square
            centres.append(mean if centred else 0.0)
            scales.append(float(np.sqrt(spread)) or 1.0)
        return replace(self, centres=tuple(centres), scales=tuple(scales))

    def restore(self) -> Array:
        """Matrix that takes coefficients of the centred and scaled columns to those of the plain ones."""
        place = {(column.part, column.levels): j for j, column in enumerate(self.columns)}
        matrix = np.zeros((len(self.columns), len(self.columns)))
        for j, column in enumerate(self.columns):
            scale = self.scales[column.part]
            matrix[j, j] += 1.0 / scale
            lower = place.get((0, column.levels))
            if column.part and lower is not None:
                matrix[lower, j] -= self.centres[column.part] / scale
        return matrix

    def indicators(self, codes: NDArray[np.int64]) -> Array:
        """Product of level indicators by group and column.

        Args:
            codes: Level number by group and factor.

        Returns:
            Zeros and ones, shape (groups, columns).
        """
        result = np.ones((len(codes), len(self.columns)))
        for j, column in enumerate(self.columns):
            for number, level in column.levels:
                result[:, j] *= codes[:, number] == level
        return result

    def gram(self, codes: NDArray[np.int64], sums: Array) -> Array:
        """Weighted cross products of the columns, summed over groups.

        Args:
            codes: Level number by group and factor.
            sums: Sums of products of parts by group, upper triangle in row order, shape (groups, pairs).

        Returns:
            Shape (columns, columns), symmetric.
        """
        indicators = self.indicators(codes)
        index = self.pair_index()
        which = np.array([column.part for column in self.columns], dtype=np.int64)
        wide = sums[:, index[np.ix_(which, which)]]
        result: Array = np.einsum("gj,gk,gjk->jk", indicators, indicators, wide)
        return result

    def total(self, codes: NDArray[np.int64], sums: Array) -> Array:
        """Sums of the columns over groups from sums of the parts by group, shape (columns,)."""
        which = [column.part for column in self.columns]
        result: Array = (self.indicators(codes) * sums[:, which]).sum(axis=0)
        return result

    def pairs(self) -> list[tuple[int, int]]:
        """Pairs of parts in the order of the upper triangle, both members included."""
        size = len(self.parts)
        return [(a, b) for a in range(size) for b in range(a, size)]

    def pair_index(self) -> NDArray[np.int64]:
        """Position of each pair in `pairs`, shape (parts, parts)."""
        size = len(self.parts)
        index = np.zeros((size, size), dtype=np.int64)
        for position, (a, b) in enumerate(self.pairs()):
            index[a, b] = index[b, a] = position
        return index

    def part_columns(self, view: ir.Table, scope: Scope) -> dict[str, ir.Value]:
        """Each part but the constant as a centred column ``p1``, ``p2``, …; sums of them are scaled later."""
        columns: dict[str, ir.Value] = {}
        for position, part in enumerate(self.parts[1:], start=1):
            value = part_value(view, part, scope)
            if self.centres[position]:
                value = value - real(self.centres[position])
            columns[f"p{position}"] = value
        return columns

    def scaled(self, sums: Array) -> Array:
        """Sums of the parts, one column each, on the scale of the coefficients."""
        result: Array = sums / np.array(self.scales)
        return result

    def scaled_pairs(self, sums: Array) -> Array:
        """Sums of products of parts, one column per pair, on the scale of the coefficients."""
        result: Array = sums / np.array([self.scales[a] * self.scales[b] for a, b in self.pairs()])
        return result

    def unscaled(self, coefficients: Array) -> list[float]:
        """Coefficients of the columns that are centred but not scaled, from those of the scaled ones."""
        scales = [self.scales[column.part] for column in self.columns]
        return [float(value) / scale for value, scale in zip(coefficients.tolist(), scales, strict=True)]

    def predictor(self, columns: Mapping[str, ir.Value], coefficients: Sequence[ir.Value]) -> ir.Value:
        """The linear predictor.

        Args:
            columns: `part_columns`, and the factors as ``key0``, ``key1``, ….
            coefficients: `unscaled` ones, or places for them.
        """
        by_part: dict[int, dict[tuple[int, ...], list[tuple[tuple[int, ...], ir.Value]]]] = {}
        for column, coefficient in zip(self.columns, coefficients, strict=True):
            numbers = tuple(number for number, _ in column.levels)
            levels = tuple(level for _, level in column.levels)
            by_part.setdefault(column.part, {}).setdefault(numbers, []).append((levels, coefficient))
        result: ir.Value = real(0)
        for part, tables in sorted(by_part.items()):
            weight: ir.Value | None = None
            for numbers, entries in tables.items():
                looked_up = self._look_up(columns, numbers, entries)
                weight = looked_up if weight is None else weight + looked_up
            assert weight is not None
            result = weight if part == 0 else result + columns[f"p{part}"] * weight
        return result

    def _look_up(
        self,
        columns: Mapping[str, ir.Value],
        numbers: tuple[int, ...],
        entries: list[tuple[tuple[int, ...], ir.Value]],
    ) -> ir.Value:
        """The coefficient of a row's levels, zero for reference levels."""
        if not numbers:
            return entries[0][1]
        branches = []
        for levels, coefficient in entries:
            condition = None
            for number, level in zip(numbers, levels, strict=True):
                equal = columns[f"key{number}"] == self.factors[number].values[level]
                condition = equal if condition is None else condition & equal
            branches.append((condition, coefficient))
        return ibis.cases(*branches, else_=real(0))


def design_of(formula: Formula, *, levels: Sequence[Factor] | None = None, constant: bool = False) -> Design:
    """Lay out the columns as R's ``model.matrix`` does with treatment contrasts.

    Args:
        formula: The model.
        levels: The formula's factors with the levels to use, when some have nobody.
        constant: As in Cox regression: contrasts as with an intercept, but no column for it.

    Source:
        R Core Team, "Statistical Models in S" coding rule: a factor of a term is coded by contrasts
        when the term without it is in the model, and by all its levels otherwise.
    """
    factors = tuple(levels if levels is not None else formula.factors)
    by_column = {f.column: number for number, f in enumerate(factors)}
    intercept = formula.intercept or constant
    present = {_key(term) for term in formula.terms} | {frozenset[str]()}
    # R codes as if there were an intercept, and then the first factor in full where there is none.
    full_first = None if intercept else next(iter(formula.factors), None)
    parts: dict[tuple[str, ...], tuple[Numeric, ...]] = {(): ()}
    columns = [Column("(Intercept)", 0)] if formula.intercept and not constant else []
    seen_full = False
    for term in formula.terms:
        choices: list[list[tuple[str, Numeric | None, int, int]]] = []
        for f in term:
            if not isinstance(f, Factor):
                choices.append([(numeric.text, numeric, -1, -1) for numeric in numerics_of(f)])
                continue
            margin = _key(tuple(other for other in term if other is not f))
            is_first = full_first is not None and f.column == full_first.column and not seen_full
            seen_full |= is_first
            number = by_column[f.column]
            shown = factors[number].levels
            start = 1 if margin in present and not is_first else 0
            choices.append([(f"{f.column}{shown[i]}", None, number, i) for i in range(start, len(shown))])
        for combination in product(*reversed(choices)):  # R: the first factor runs fastest
            ordered = combination[::-1]
            numerics = sorted((n for _, n, _, _ in ordered if n is not None), key=lambda n: n.text)
            names = tuple(n.text for n in numerics)
            parts.setdefault(names, tuple(numerics))
            columns.append(
                Column(
                    ":".join(name for name, _, _, _ in ordered),
                    list(parts).index(names),
                    tuple((number, level) for _, _, number, level in ordered if number >= 0),
                )
            )
    has_constant = constant or any(c.part == 0 and not c.levels for c in columns)
    return Design(factors, tuple(parts.values()), tuple(columns), has_constant)


def _key(term: Term) -> frozenset[str]:
    return frozenset(f"C({f.column})" if isinstance(f, Factor) else f.text for f in term)


def codes_of(table: pa.Table, factors: Sequence[Factor]) -> NDArray[np.int64]:
    """Level number of each aggregated row and factor, -1 for null, shape (rows, factors)."""
    codes = np.zeros((table.num_rows, len(factors)), dtype=np.int64)
    for number, f in enumerate(factors):
        place = {value: level for level, value in enumerate(f.values)}
        codes[:, number] = [place.get(value, -1) for value in table[f"key{number}"].to_pylist()]
    return codes


def part_value(view: ir.Table, part: tuple[Numeric, ...], scope: Scope) -> ir.Value:
    """The product of numeric factors for each row."""
    value = evaluate(view, part[0].node, scope)
    for other in part[1:]:
        value = value * evaluate(view, other.node, scope)
    return value


def evaluate(view: ir.Table, node: Node, scope: Scope) -> ir.Value:
    """A numeric factor as an expression on the view, null where it has no value (``log(0)``, ``1 / 0``)."""
    if node.kind == "name":
        return as_number(view, variable(scope, node.value, role="formula"))
    if node.kind == "number":
        return real(node.value)
    values = [evaluate(view, part, scope) for part in node.parts]
    first = values[0]
    if node.kind == "curve":
        return _follow(node.value, first)
    match node.kind, len(values):
        # Engines differ in what they do outside a function's domain; so nothing gets there.
        case "call", _:
            match node.value:
                case "log":
                    return ibis.cases((first > 0, first)).ln()
                case "sqrt":
                    return ibis.cases((first >= 0, first)).sqrt()
                case "exp":
                    return ibis.cases((first < 500, first)).exp()
            return first
        case "paren" | "+", 1:
            return first
        case "-", 1:
            return -first
        case "+", _:
            return first + values[1]
        case "-", _:
            return first - values[1]
        case "*", _:
            return first * values[1]
        case "/", _:
            return first / values[1].nullif(0.0)
    return _power(first, values[1], node.parts[1])


def _follow(curve: Curve, x: ir.Value) -> ir.Value:
    """A curve's value, by Horner's rule within the interval that a row lies in."""
    heights = []
    for piece in curve:
        u = x - real(piece.origin) if piece.origin else x
        value: ir.Value = real(piece.coefficients[-1])
        for coefficient in piece.coefficients[-2::-1]:
            value = value * u + real(coefficient) if coefficient else value * u
        heights.append(value)
    branches = [(x < real(piece.end), value) for piece, value in zip(curve[:-1], heights, strict=False)]
    return ibis.cases(*branches, (x.notnull(), heights[-1])) if branches else heights[-1]


def _power(base: ir.Value, exponent: ir.Value, node: Node) -> ir.Value:
    if node.kind != "number" or node.value != int(node.value):
        return ibis.cases((base > 0, base)) ** exponent
    if node.value < 0:
        return base.nullif(0.0) ** exponent
    if node.value not in (1.0, 2.0, 3.0, 4.0):
        return base**exponent
    result = base
    for _ in range(int(node.value) - 1):
        result = result * base
    return result


def is_defined(view: ir.Table, numeric: Numeric, scope: Scope) -> ir.BooleanValue:
    """Whether a row has a finite value of a numeric factor."""
    present = every(is_present(view, variable(scope, name, role="formula")) for name in numeric.columns)
    if numeric.node.kind == "name":
        return present
    return present & (evaluate(view, numeric.node, scope).abs() <= 1e150)
