"""Columns as a few agreed bins: quantile bins of numbers, agreed levels of categories, and missing values.

The bins of a number are agreed in rounds of counts: first by powers of two, then those with many values are
halved on. Their edges are dyadic numbers, the same on every engine, and each bin has enough persons.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, floor, ldexp, log2

import ibis
import ibis.expr.types as ir
import numpy as np
from numpy.typing import NDArray

from salerno.analysis.disclosure.cells import merged
from salerno.analysis.grids import LOWEST, N_MAGNITUDES, Bracket, enclosing, magnitude_edges
from salerno.analysis.model import Scope, Sums
from salerno.analysis.questions import Factor
from salerno.analysis.sums.bins import is_binnable, magnitude, runs, unit
from salerno.analysis.sums.columns import as_number, real
from salerno.catalogue.model import Datatype, Variable

MISSING = 0
"""Code of a missing value, and of a value that is none of the agreed levels."""

_DIGITS = 20
"""Binary digits after the leading one beyond which no bin is halved."""
_MOST_ROUNDS = 5


@dataclass(frozen=True)
class Feature:
    """A column as codes: 0 is missing, then the bins or levels from 1.

    Args:
        variable: The column.
        factor: Its levels, where it is read as categories.
        edges: Where bins of a number meet, rising; each bin has its lower edge and not its upper one.
    """

    variable: Variable
    factor: Factor | None = None
    edges: tuple[float, ...] = ()

    @property
    def n_codes(self) -> int:
        """Number of codes with that of missing values."""
        return 1 + (len(self.factor.levels) if self.factor else len(self.edges) + 1)

    def code(self, view: ir.Table) -> ir.IntegerValue:
        """Each row's code."""
        if self.factor is not None:
            column = view[self.factor.column]
            return ibis.cases(
                *((column == v, i + 1) for i, v in enumerate(self.factor.values)), else_=MISSING
            )
        present = is_binnable(view, self.variable)
        return ibis.ifelse(present, _between(as_number(view, self.variable), self.edges, 1), MISSING)


def _between(x: ir.NumericValue, edges: Sequence[float], first: int) -> ir.IntegerValue:
    """Number of the bin that a value is in, found by halving, which engines do faster than a chain."""
    if not edges:
        return ibis.literal(first)
    middle = len(edges) // 2
    below = _between(x, edges[:middle], first)
    above = _between(x, edges[middle + 1 :], first + middle + 1)
    return ibis.ifelse(x < real(edges[middle]), below, above)


@dataclass(frozen=True)
class Binning:
    """Bins of several numeric columns, as far as the rounds have come.

    Args:
        variables: The columns.
        most: Most bins of a column, without that of missing values.
        brackets: By column: rising intervals with enough values each; none before the first round.
    """

    scope: Scope
    variables: tuple[Variable, ...]
    most: int
    brackets: tuple[tuple[Bracket, ...], ...] = ()
    rounds: int = 0

    @property
    def least(self) -> int:
        """Fewest values in a bin."""
        return max(self.scope.policy.min_cell, 1)

    @property
    def is_done(self) -> bool:
        """Whether the bins are fine enough."""
        return self.rounds > 0 and (self.rounds >= _MOST_ROUNDS or not any(map(len, self.open())))

    def spans(self) -> list[int]:
        """Number of bins of each part of a round's counts."""
        if not self.rounds:
            return [N_MAGNITUDES] * len(self.variables)
        return [bracket.n_units for column in self.open() for bracket in column]

    def codes(self, view: ir.Table) -> list[ir.IntegerValue]:
        """What each row counts in, of each column with something to count: a place in the round's counts."""
        if not self.rounds:
            return [
                magnitude(as_number(view, variable), is_binnable(view, variable).fill_null(False))
                + i * N_MAGNITUDES
                for i, variable in enumerate(self.variables)
            ]
        found, offset = [], 0
        for variable, brackets in zip(self.variables, self.open(), strict=True):
            if brackets:
                found.append(unit(as_number(view, variable), brackets, offset))
                offset += sum(bracket.n_units for bracket in brackets)
        return found

    def open(self) -> list[list[Bracket]]:
        """By column: the brackets to halve next, in units of their new bins."""
        result = []
        for variable, brackets in zip(self.variables, self.brackets, strict=True):
            n = sum(bracket.count for bracket in brackets)
            result.append(
                [
                    bracket.refined(bits)
                    for bracket in brackets
                    if (bits := self._bits(bracket, n, variable.datatype is not Datatype.NUMBER))
                ]
            )
        return result

    def _bits(self, bracket: Bracket, n: int, whole: bool) -> int:
        """How often to halve a bracket; 0 where it is fine enough, or halving would tell too much."""
        if 2 * self.most * bracket.count <= n or bracket.count < 2 * self.least:
            return 0
        size = max(abs(bracket.start), abs(bracket.end))
        if bracket.end - bracket.start <= max(ldexp(size, -_DIGITS), ldexp(1.0, LOWEST + 1)):
            return 0
        wanted = ceil(log2(4 * self.most * bracket.count / n))
        per_unit = max(bracket.count / self.least / bracket.n_units, 1)
        bits = min(max(min(wanted, floor(log2(per_unit))), 2), 7)
        return max(min(bits, bracket.exponent), 0) if whole else bits

    def step(self, sums: Sums) -> Binning:
        """Take in a round's counts, ``bins`` and ``inner``."""
        if not self.rounds:
            parts = [slice(i * N_MAGNITUDES, (i + 1) * N_MAGNITUDES) for i in range(len(self.variables))]
            found = tuple(self._magnitudes(sums["bins"][part], sums["inner"][part]) for part in parts)
            return replace(self, brackets=found, rounds=1)
        opened = self.open()
        finer = iter(runs(sums, [bracket for column in opened for bracket in column], self.least))
        columns = []
        for brackets, refined in zip(self.brackets, opened, strict=True):
            replaced = {bracket.start: next(finer) for bracket in refined}
            parts_of = (replaced.get(bracket.start, [bracket]) for bracket in brackets)
            columns.append(tuple(part for parts in parts_of for part in parts if part.count))
        return replace(self, brackets=tuple(columns), rounds=self.rounds + 1)

    def _magnitudes(self, bins: NDArray[np.int64], inner: NDArray[np.int64]) -> tuple[Bracket, ...]:
        edges = magnitude_edges()
        starts = merged(bins, self.least, inner > 0)
        ends = np.append(starts[1:], len(bins))
        totals = np.add.reduceat(bins, starts)
        return tuple(
            enclosing(edges[low], edges[high], 0, int(total), bits=0)
            for low, high, total in zip(starts.tolist(), ends.tolist(), totals.tolist(), strict=True)
            if total
        )

    def features(self) -> tuple[Feature, ...]:
        """The columns with their bins."""
        return tuple(
            Feature(variable, edges=self._edges(brackets))
            for variable, brackets in zip(self.variables, self.brackets, strict=True)
        )

    def _edges(self, brackets: tuple[Bracket, ...]) -> tuple[float, ...]:
        """Starts of the brackets, of as many as there may be bins, so that these have about the same size."""
        edges: list[float] = []
        left, size = sum(bracket.count for bracket in brackets), 0
        for bracket in brackets:
            if size and size + bracket.count / 2 >= left / (self.most - len(edges)):
                if len(edges) + 1 == self.most:
                    break
                edges.append(bracket.start)
                left, size = left - size, 0
            size += bracket.count
        return tuple(edges) if len(brackets) > self.most else tuple(b.start for b in brackets[1:])
