"""Table 1: levels of categories with their counts, numbers with mean, deviation and quantiles, by group.

All in one round: numbers are counted between edges that are the same for everybody, so that quantiles need no
search for them, and bins of few persons are joined before anything is read off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from salerno.analysis.disclosure.cells import hidden_cells, merged
from salerno.analysis.disclosure.persons import check_persons, check_some
from salerno.analysis.model import Aggregate, Released, Result, Scope, Sums
from salerno.analysis.questions import Factor
from salerno.analysis.sums.columns import (
    as_number,
    cells_of,
    integers,
    is_listed,
    is_present,
    keys_of,
    matrix,
    real,
    scatter,
)
from salerno.catalogue.model import Datatype, Variable

Counts = NDArray[np.int64]

EDGES: tuple[float, ...] = (
    *range(16), 18, 20, 25, *range(30, 106, 5), 110, 120, 135, 150, 165, *range(180, 185), 210, 240, 270,
    300, 330, 360, *range(365, 368), 545, 730, 732, 1095, 1460, 1825, *range(1900, 2101, 2),
    *range(2555, 36500, 730), 50_000, 100_000, 1_000_000,
)  # fmt: skip
"""Edges between which numbers are counted: fine where ages, days of follow-up and calendar years are."""

_WHOLE = -1
"""The part that counts the rows of each group."""
_UNLISTED = -1
"""The place of values that are no agreed level."""


@dataclass(frozen=True)
class TableOne:
    """What is told of whom.

    Args:
        scope: What the nodes agree on.
        group: What the groups are levels of; None for one group of all.
        factors: Columns told by level.
        numbers: Columns told by mean, deviation and quantiles.
    """

    scope: Scope
    group: Factor | None
    factors: tuple[Factor, ...]
    numbers: tuple[Variable, ...]

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups."""
        return self.group.levels if self.group else ("overall",)

    def local(self, view: ir.Table) -> Aggregate:
        """Rows per group and level, and per group and whole number: for each column a pass over it."""
        rows = view.filter(is_listed(view, self.group)) if self.group else view
        parts = [self._counted(rows, _WHOLE, ibis.literal(0))]
        for place, factor in enumerate(self.factors):
            levels = [(rows[factor.column] == value, number) for number, value in enumerate(factor.values)]
            parts.append(self._counted(rows, place, ibis.cases(*levels, else_=_UNLISTED)))
        for place, variable in enumerate(self.numbers, len(self.factors)):
            present = rows.filter(is_present(rows, variable))
            x = as_number(present, variable)
            # The edges are whole, so the whole part of a number tells between which it lies.
            within = ibis.greatest(ibis.least(x, real(EDGES[-1])), real(EDGES[0] - 1))
            parts.append(self._counted(present, place, within.floor(), x))
        keys = (view[self.group.column],) if self.group else ()
        every = is_listed(view, self.group) if self.group else ibis.literal(True)
        told = tuple(
            Released(every & view[f.column].notnull(), (*keys, view[f.column])) for f in self.factors
        )
        return Aggregate(
            ibis.union(*parts, distinct=False) if len(parts) > 1 else parts[0],
            self._sums,
            (Released(every, keys), *told),
        )

    def _counted(self, rows: ir.Table, part: int, at: ir.Value, x: ir.Value | None = None) -> ir.Table:
        """Rows by group and place: their number and, of `x`, sum and sum of squares."""
        keys = keys_of(rows, (self.group,) if self.group else ())
        sums = {} if x is None else {"total": x.sum(), "squares": (x * x).sum()}
        counted = rows.group_by(**keys, at=at.cast("int64")).aggregate(n=rows.count(), **sums)
        nothing = {} if sums else {"total": real(0), "squares": real(0)}
        told = counted.mutate(part=ibis.literal(part, "int64"), **nothing)
        return told.select(*keys, "part", "at", "n", "total", "squares")

    def _sums(self, table: pa.Table) -> Sums:
        groups = cells_of(table, (self.group,) if self.group else ())
        part, at, n = (integers(table, name) for name in ("part", "at", "n"))
        moments = matrix(table, ("total", "squares"))
        size = len(self.groups)

        def counts(number: int, places: Counts, width: int) -> Counts:
            cells = np.where((part == number) & (places >= 0), groups * width + places, -1)
            return scatter(cells, n, size * width).reshape(size, width)

        sums: Sums = {"n": counts(_WHOLE, at, 1)[:, 0]}
        for place, factor in enumerate(self.factors):
            levels = counts(place, at, len(factor.levels))
            missing = sums["n"] - levels.sum(axis=1)
            sums[f"levels{place}"] = np.column_stack([levels, missing])
            sums[f"hidden{place}"] = np.zeros_like(sums[f"levels{place}"])
        bins = np.searchsorted(EDGES, at, side="right")
        for place in range(len(self.numbers)):
            number = len(self.factors) + place
            sums[f"bins{place}"] = counts(number, bins, len(EDGES) + 1)
            sums[f"joined{place}"] = np.zeros_like(sums[f"bins{place}"])
            sums[f"moments{place}"] = scatter(np.where(part == number, groups, -1), moments, size)
        return sums

    def guard(self, sums: Sums, scope: Scope) -> Sums:
        """Refuse few persons; with few holders, withhold this holder's small numbers."""
        check_persons(int(sums["n"].sum()), scope.policy, who="This holder's part")
        if not scope.few:
            return sums
        least, kept = scope.policy.min_cell, dict(sums)
        few = hidden_cells(sums["n"], least)
        kept["n"] = np.where(few, 0, sums["n"])
        for place in range(len(self.factors)):
            hidden = hidden_cells(sums[f"levels{place}"], least) | few[:, None]
            kept[f"levels{place}"] = np.where(hidden, 0, sums[f"levels{place}"])
            kept[f"hidden{place}"] = hidden.astype(np.int64)
        for place in range(len(self.numbers)):
            bins, joined = np.zeros_like(sums[f"bins{place}"]), np.ones_like(sums[f"bins{place}"])
            small = np.zeros(len(self.groups), dtype=bool)
            for group, row in enumerate(sums[f"bins{place}"]):
                small[group] = bool(few[group]) or 0 < row.sum() < least
                if small[group]:
                    continue
                starts = merged(row, least)
                bins[group, starts], joined[group, starts] = np.add.reduceat(row, starts), 0
            kept[f"bins{place}"], kept[f"joined{place}"] = bins, joined
            kept[f"moments{place}"] = np.where(small[:, None], 0.0, sums[f"moments{place}"])
        return kept

    def result(self, sums: Sums) -> Result:
        """The table, without what may not be told."""
        policy = self.scope.policy
        n = sums["n"]
        check_some(int(n.sum()), policy)
        few = hidden_cells(n, policy.min_cell)
        for place in range(len(self.factors)):  # a holder's part of a group may be missing
            few |= (sums[f"hidden{place}"] > 0).all(axis=1)
        suppressed = int(few.sum())
        levels: list[dict[str, Any]] = []
        for place, factor in enumerate(self.factors):
            hidden = hidden_cells(sums[f"levels{place}"], policy.min_cell, sums[f"hidden{place}"] > 0)
            hidden |= few[:, None]
            suppressed += int(hidden.sum())
            levels += self._levels(factor, sums[f"levels{place}"], hidden, n)
        numbers = [
            self._number(place, group, sums, bool(few[group]))
            for place in range(len(self.numbers))
            for group in range(len(self.groups))
        ]
        groups = [
            {"group": name, "n": None if few[place] else int(n[place])}
            for place, name in enumerate(self.groups)
        ]
        result = {"groups": groups, "levels": levels, "numbers": numbers}
        return Result(result, int(n.sum()), suppressed=suppressed)

    def _levels(
        self, factor: Factor, counts: Counts, hidden: NDArray[np.bool_], n: Counts
    ) -> list[dict[str, Any]]:
        told = []
        for group, name in enumerate(self.groups):
            for place, level in enumerate((*factor.levels, "missing")):
                count = int(counts[group, place])
                if level == "missing" and not counts[:, place].any():
                    continue
                blank = bool(hidden[group, place])
                share = None if blank or not n[group] else 100 * count / int(n[group])
                told.append(
                    {
                        "group": name,
                        "variable": factor.column,
                        "level": level,
                        "count": None if blank else count,
                        "percentage": share,
                    }
                )
        return told

    def _number(self, place: int, group: int, sums: Sums, few: bool) -> dict[str, Any]:
        least = self.scope.policy.min_cell
        bins = sums[f"bins{place}"][group]
        n = int(bins.sum())
        head: dict[str, Any] = {"group": self.groups[group], "variable": self.numbers[place].name}
        blank = dict.fromkeys(("n", "mean", "sd", "q05", "q25", "q50", "q75", "q95"))
        if few or n == 0 or n < least:
            return {**head, **blank}
        total, squares = sums[f"moments{place}"][group].tolist()
        missing = int(sums["n"][group]) - n
        variance = max(squares - total * total / n, 0.0) / (n - 1) if n > 1 else None
        whole = self.numbers[place].datatype is Datatype.INTEGER
        starts = merged(bins, least, sums[f"joined{place}"][group] > 0)
        edges = np.array([EDGES[0], *EDGES, EDGES[-1]], dtype=np.float64)[np.append(starts, len(bins))]
        found = quantiles(edges, np.add.reduceat(bins, starts), (0.05, 0.25, 0.5, 0.75, 0.95), whole=whole)
        return {
            **head,
            "n": None if 0 < missing < least else n,
            "mean": total / n,
            "sd": None if variance is None else sqrt(variance),
            **dict(zip(("q05", "q25", "q50", "q75", "q95"), found, strict=True)),
        }


def quantiles(
    edges: NDArray[np.float64], counts: Counts, probabilities: Sequence[float], *, whole: bool = False
) -> list[float | None]:
    """Quantiles as if values were spread evenly in each bin.

    Args:
        edges: One more than bins, increasing.
        counts: Values per bin.
        probabilities: Between 0 and 1.
        whole: Values are whole numbers, so that the last one in a bin is one below its upper edge.
    """
    total = counts.sum()
    if not total:
        return [None] * len(probabilities)
    ranks = np.append(0, np.cumsum(counts)) / total
    found: list[float | None] = []
    for probability in probabilities:
        place = max(int(np.searchsorted(ranks, probability, side="left")) - 1, 0)
        share = (probability - ranks[place]) / (ranks[place + 1] - ranks[place])
        width = max(edges[place + 1] - edges[place] - (1 if whole else 0), 0)
        found.append(float(edges[place] + share * width))
    return found
