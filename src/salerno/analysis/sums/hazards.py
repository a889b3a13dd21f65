"""What a holder sums for Cox's model: risk sets within its own rows, or its part of shared ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from salerno.analysis.model import Scope, Sums
from salerno.analysis.questions import Factor
from salerno.analysis.sums.columns import flags, integers, is_event, keys_of, matrix, real
from salerno.analysis.sums.design import Design, codes_of
from salerno.analysis.sums.follow_up import FollowUp
from salerno.analysis.sums.risk_sets import RiskSums, Score, score_of

Array = NDArray[np.float64]

_STEEP = 30.0
_CHUNK = 4096


@dataclass(frozen=True)
class Hazards:
    """Sums by time, event and factor levels at given coefficients.

    Args:
        strata: Columns whose levels have risk sets of their own.
    """

    scope: Scope
    follow: FollowUp
    design: Design
    strata: tuple[Factor, ...]
    ties: str

    @property
    def size(self) -> int:
        """Number of coefficients."""
        return len(self.design.columns)

    def expression(self, view: ir.Table, complete: ir.BooleanValue, coefficients: Array) -> ir.Table:
        """One aggregate: rows by stratum, time, event and factor levels.

        Times are ticks when the holders share a grid, and the column itself within one holder.
        """
        kept = view.filter(complete)
        shared = self.follow.resolution > 0
        columns = {
            **keys_of(kept, self.design.factors),
            **self.design.part_columns(kept, self.scope),
        }
        eta = self.design.predictor(columns, coefficients)
        rows = kept.select(
            time=self.follow.tick(kept) if shared else kept[self.follow.time.name],
            died=is_event(kept, self.follow.event),
            **{f"stratum{i}": kept[f.column] for i, f in enumerate(self.strata)},
            **columns,
            v0=ibis.greatest(ibis.least(eta, real(_STEEP)), real(-_STEEP)).exp(),
        )
        parts = range(1, len(self.design.parts))
        rows = rows.mutate(**{f"v{i}": rows.v0 * rows[f"p{i}"] for i in parts})
        metrics: dict[str, ir.Value] = {"n": rows.count()}
        for i in parts:
            metrics[f"x{i}"] = rows[f"p{i}"].sum()
        for i, j in self.design.pairs():
            metrics[f"h{i}_{j}"] = (rows[f"v{j}"] if i == 0 else rows[f"v{i}"] * rows[f"p{j}"]).sum()
        strata = [f"stratum{i}" for i in range(len(self.strata))]
        keys = [f"key{i}" for i in range(len(self.design.factors))]
        return rows.group_by([*strata, "time", "died", *keys]).aggregate(**metrics)

    def own_score(self, table: pa.Table, coefficients: Array) -> Sums:
        """The holder's own log partial likelihood, gradient and information."""
        rows = _Rows(self, table)
        total = Score.empty(self.size)
        order = np.lexsort((-rows.times, rows.strata))
        strata = rows.strata[order]
        for stratum in np.unique(strata):
            total = total.plus(self._stratum_score(rows, order[strata == stratum]))
        return self._sums(rows, total, coefficients)

    def shared_parts(
        self,
        table: pa.Table,
        cells: NDArray[np.int64],
        ticks: NDArray[np.int64],
        coefficients: Array,
    ) -> Sums:
        """The holder's part of shared risk sets.

        Args:
            table: The aggregated rows.
            cells: Stratum of each pooled event time, increasing.
            ticks: Tick of each, increasing within a stratum.
            coefficients: Those that the rows were aggregated at.

        Returns:
            Sums over those who leave between one event time and the next, and over those who die at one.
        """
        rows = _Rows(self, table)
        width = np.int64(self.follow.n_ticks + 1)
        place = np.searchsorted(cells * width + ticks, rows.strata * width + rows.times, side="right") - 1
        # Who leaves before the first event time of the stratum is in no risk set.
        inside = (place >= 0) & (cells[np.maximum(place, 0)] == rows.strata)
        leaving, dying = RiskSums.empty(len(cells), self.size), RiskSums.empty(len(cells), self.size)
        for begin in range(0, table.num_rows, _CHUNK):
            part = np.arange(begin, min(begin + _CHUNK, table.num_rows))
            part = part[inside[part]]
            sums = rows.risk_sums(part)
            _add_at(leaving, place[part], sums)
            died = rows.died[part]
            _add_at(dying, place[part][died], sums[died])
        result = self._sums(rows, Score.empty(self.size), coefficients)
        return {
            "eta": result["log_likelihood"],
            "gradient": result["gradient"],
            **{f"leaving{i}": a for i, a in enumerate((leaving.zero, leaving.one, leaving.two))},
            **{f"dying{i}": a for i, a in enumerate((dying.zero, dying.one, dying.two))},
        }

    def _stratum_score(self, rows: _Rows, order: NDArray[np.int64]) -> Score:
        """One stratum, its rows by falling time, in chunks that end where a time ends."""
        times = rows.times[order]
        starts = np.flatnonzero(np.append(True, np.diff(times) != 0))
        ends = np.append(starts[1:], len(order))
        total = Score.empty(self.size)
        carry = RiskSums.empty(1, self.size)
        first = 0
        while first < len(starts):
            last = max(first + 1, int(np.searchsorted(starts, starts[first] + _CHUNK)))
            last = min(last, len(starts))
            span = order[starts[first] : ends[last - 1]]
            local = starts[first:last] - starts[first]
            sums = rows.risk_sums(span)
            by_time = sums.gathered(local)
            running = RiskSums(*(np.cumsum(a, axis=0) for a in (by_time.zero, by_time.one, by_time.two)))
            risk = running.plus(carry)
            carry = risk[np.array([len(local) - 1])]
            died = rows.died[span]
            deaths = np.add.reduceat(np.where(died, rows.n[span], 0), local)
            own = np.where(died, 1.0, 0.0)
            dying = RiskSums(sums.zero * own, sums.one * own[:, None], sums.two * own[:, None]).gathered(
                local
            )
            some = deaths > 0
            total = total.plus(score_of(risk[some], dying[some], deaths[some], self.ties))
            first = last
        return total

    def _sums(self, rows: _Rows, score: Score, coefficients: Array) -> Sums:
        """A score with what the events themselves add."""
        died = rows.died
        events = self.design.total(rows.codes[died], rows.sums_x[died])
        return {
            "log_likelihood": np.array(score.log_likelihood + float(events @ coefficients)),
            "gradient": score.gradient + events,
            "information": score.information,
        }


class _Rows:
    """The aggregated rows as arrays."""

    def __init__(self, hazards: Hazards, table: pa.Table) -> None:
        design = hazards.design
        self.design = design
        self.codes = codes_of(table, design.factors)
        self.strata = _strata_of(table, hazards.strata)
        self.times = np.asarray(table["time"].to_numpy(zero_copy_only=False))
        self.died = flags(table, "died")
        self.n = integers(table, "n")
        size = len(design.parts)
        sums = [self.n.astype(np.float64), matrix(table, [f"x{i}" for i in range(1, size)])]
        self.sums_x = design.scaled(np.column_stack(sums))
        self.products = design.scaled_pairs(matrix(table, [f"h{i}_{j}" for i, j in design.pairs()]))
        which = np.array([column.part for column in design.columns], dtype=np.int64)
        index = design.pair_index()
        self.upper = np.triu_indices(len(which))
        self.one_index = index[0, which]
        self.two_index = index[which[self.upper[0]], which[self.upper[1]]]

    def risk_sums(self, rows: NDArray[np.int64]) -> RiskSums:
        """Sums by row for the design's columns."""
        indicators = self.design.indicators(self.codes[rows])
        products = self.products[rows]
        both = indicators[:, self.upper[0]] * indicators[:, self.upper[1]]
        return RiskSums(
            products[:, 0], products[:, self.one_index] * indicators, products[:, self.two_index] * both
        )


def _add_at(target: RiskSums, place: NDArray[np.int64], values: RiskSums) -> None:
    np.add.at(target.zero, place, values.zero)
    np.add.at(target.one, place, values.one)
    np.add.at(target.two, place, values.two)


def _strata_of(table: pa.Table, strata: Sequence[Factor]) -> NDArray[np.int64]:
    """Cell number of each row's stratum."""
    cells = np.zeros(table.num_rows, dtype=np.int64)
    for i, f in enumerate(strata):
        place = {value: number for number, value in enumerate(f.values)}
        codes = np.array([place[value] for value in table[f"stratum{i}"].to_pylist()], dtype=np.int64)
        cells = cells * len(f.levels) + codes.reshape(table.num_rows)
    return cells
