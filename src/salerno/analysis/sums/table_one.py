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
from salerno.analysis.sums.columns import as_number, doubles, integers, is_listed, is_present, real
from salerno.catalogue.model import Datatype, Variable

Counts = NDArray[np.int64]

EDGES: tuple[float, ...] = (
    *range(16), 18, 20, 25, *range(30, 106, 5), 110, 120, 135, 150, 165, *range(180, 185), 210, 240, 270,
    300, 330, 360, *range(365, 368), 545, 730, 732, 1095, 1460, 1825, *range(1900, 2101, 2),
    *range(2555, 36500, 730), 50_000, 100_000, 1_000_000,
)  # fmt: skip
"""Edges between which numbers are counted: fine where ages, days of follow-up and calendar years are."""


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
        """One row per group with a count per level and bin."""
        metrics: dict[str, ir.Value] = {"n": view.count()}
        for place, factor in enumerate(self.factors):
            column = view[factor.column]
            for number, value in enumerate(factor.values):
                metrics[f"f{place}_{number}"] = (column == value).fill_null(False).sum()
        edges = [real(edge) for edge in EDGES]
        for place, variable in enumerate(self.numbers):
            present = is_present(view, variable).fill_null(False)
            x = present.ifelse(as_number(view, variable), ibis.null("float64"))
            metrics |= {f"x{place}_n": present.sum(), f"x{place}_sum": x.sum(), f"x{place}_sq": (x * x).sum()}
            for number, edge in enumerate(edges):
                metrics[f"x{place}_{number}"] = (x < edge).sum()
        if self.group is None:
            expression = view.aggregate(**metrics)
        else:
            listed = is_listed(view, self.group)
            key = listed.ifelse(view[self.group.column], ibis.null())
            expression = view.group_by(key=key).aggregate(**metrics)
        keys = (view[self.group.column],) if self.group else ()
        every = is_listed(view, self.group) if self.group else ibis.literal(True)
        levels = tuple(
            Released(every & view[f.column].notnull(), (*keys, view[f.column])) for f in self.factors
        )
        whole = (Released(every, keys),)
        return Aggregate(expression, self._sums, (*whole, *levels))

    def _sums(self, table: pa.Table) -> Sums:
        places = np.zeros(table.num_rows, dtype=np.int64)
        if self.group is not None:
            table = table.filter(table["key"].is_valid())
            places = np.array([self.group.index(v) for v in table["key"].to_pylist()], dtype=np.int64)
        size = len(self.groups)

        def at(values: NDArray[Any]) -> NDArray[Any]:
            result = np.zeros((size, *values.shape[1:]), dtype=values.dtype)
            np.add.at(result, places, values)
            return result

        n = at(integers(table, "n"))
        sums: Sums = {"n": n}
        for place, factor in enumerate(self.factors):
            columns = [at(integers(table, f"f{place}_{i}")) for i in range(len(factor.levels))]
            levels = np.stack(columns, axis=1)
            missing = n - levels.sum(axis=1)
            sums[f"levels{place}"] = np.column_stack([levels, missing])
            sums[f"hidden{place}"] = np.zeros_like(sums[f"levels{place}"])
        for place in range(len(self.numbers)):
            below = np.stack([at(integers(table, f"x{place}_{i}")) for i in range(len(EDGES))], axis=1)
            present = at(integers(table, f"x{place}_n"))
            sums[f"bins{place}"] = np.diff(np.column_stack([np.zeros_like(present), below, present]), axis=1)
            sums[f"joined{place}"] = np.zeros_like(sums[f"bins{place}"])
            moments = [at(doubles(table, f"x{place}_{name}")) for name in ("sum", "sq")]
            sums[f"moments{place}"] = np.stack(moments, axis=1)
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
