"""What a holder sums for Cox's model: risk sets within its own rows, or its part of shared ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from salerno.analysis.model import Scope, Sums
from salerno.analysis.questions import Factor
from salerno.analysis.sums.columns import as_number, doubles, integers, is_event, keys_of, matrix, real
from salerno.analysis.sums.design import Design, codes_of, evaluate
from salerno.analysis.sums.follow_up import FollowUp
from salerno.analysis.sums.life_table import event_steps
from salerno.analysis.sums.risk_sets import Events, RiskSums, Score, score_of
from salerno.analysis.terms import Numeric
from salerno.catalogue.model import Variable

Array = NDArray[np.float64]
Counts = NDArray[np.int64]

_STEEP = 30.0
_CHUNK = 4096
LEFT, DIED, ENTERED = 0, 1, 2
"""What an aggregated row is about: those who leave without an event, with one, or come under observation."""


@dataclass(frozen=True)
class Hazards:
    """Sums by time, event and factor levels at given coefficients.

    Args:
        strata: Columns whose levels have risk sets of their own.
        ties: ``efron`` or ``breslow``.
        weights: Column of the rows' weights, or None.
        offsets: Terms with the coefficient 1.
        min_cell: Where times are rounded to steps with enough events, the threshold; otherwise 0.
    """

    scope: Scope
    follow: FollowUp
    design: Design
    strata: tuple[Factor, ...]
    ties: str
    weights: Variable | None = None
    offsets: tuple[Numeric, ...] = ()
    min_cell: int = 0

    @property
    def size(self) -> int:
        """Number of coefficients."""
        return len(self.design.columns)

    @property
    def n_strata(self) -> int:
        """Number of cells of the strata columns."""
        return int(np.prod([len(f.levels) for f in self.strata], dtype=np.int64))

    def rows(
        self, view: ir.Table, complete: ir.BooleanValue, coefficients: Sequence[ir.Value], **more: ir.Value
    ) -> ir.Table:
        """Complete rows with times, strata, parts ``p1``, …, and exp(eta) times these, ``v0``, ``v1``, ….

        Times are ticks when the holders share a grid, and the column itself within one holder.
        Coefficients are `Design.unscaled` ones, or places for them.
        """
        kept = view.filter(complete)
        follow = self.follow
        columns = {**keys_of(kept, self.design.factors), **self.design.part_columns(kept, self.scope)}
        eta = self.design.predictor(columns, coefficients)
        offset = None
        for numeric in self.offsets:
            value = evaluate(kept, numeric.node, self.scope)
            offset = value if offset is None else offset + value
        times: dict[str, ir.Value] = {"time": kept[follow.time.name]}
        if follow.is_agreed:
            times["time"] = follow.tick(kept)
            if follow.start is not None:
                times["start"] = follow.start_tick(kept)
        elif follow.start is not None:
            times = {"time": as_number(kept, follow.time), "start": as_number(kept, follow.start)}
        if offset is not None:
            eta = eta + offset
            more = {**more, "o": offset}
        if self.weights is not None:
            more = {**more, "w": as_number(kept, self.weights)}
        rows = kept.select(
            **times,
            died=is_event(kept, follow.event),
            **{f"stratum{i}": kept[f.column] for i, f in enumerate(self.strata)},
            **columns,
            **more,
            v0=ibis.greatest(ibis.least(eta, real(_STEEP)), real(-_STEEP)).exp(),
        )
        if self.weights is not None:
            rows = rows.mutate(v0=rows.v0 * rows.w)
        parts = range(1, len(self.design.parts))
        return rows.mutate(**{f"v{i}": rows.v0 * rows[f"p{i}"] for i in parts}) if len(parts) else rows

    def expression(
        self, view: ir.Table, complete: ir.BooleanValue, coefficients: Sequence[ir.Value]
    ) -> ir.Table:
        """One aggregate: rows by stratum, time, event and factor levels; and by entry, if there are any."""
        rows = self.rows(view, complete, coefficients)
        leaving = rows.mutate(kind=rows.died.ifelse(DIED, LEFT).cast("int64"))
        if self.follow.start is None:
            return self._aggregate(leaving)
        entering = rows.mutate(time=rows.start, kind=ibis.literal(ENTERED).cast("int64"))
        return ibis.union(self._aggregate(leaving), self._aggregate(entering))

    def _aggregate(self, rows: ir.Table) -> ir.Table:
        metrics: dict[str, ir.Value] = {"n": rows.count()}
        metrics |= self.plain_sums(rows)
        for i, j in self.design.pairs():
            metrics[f"h{i}_{j}"] = (rows[f"v{j}"] if i == 0 else rows[f"v{i}"] * rows[f"p{j}"]).sum()
        strata = [f"stratum{i}" for i in range(len(self.strata))]
        keys = [f"key{i}" for i in range(len(self.design.factors))]
        return rows.group_by([*strata, "time", "kind", *keys]).aggregate(**metrics)

    def plain_sums(self, rows: ir.Table) -> dict[str, ir.Value]:
        """Weighted sums without exp(eta): of the parts, and where there are such, of weights and offsets."""
        weighted = self.weights is not None
        metrics: dict[str, ir.Value] = {"w": rows.w.sum()} if weighted else {}
        if self.offsets:
            metrics["o"] = (rows.w * rows.o if weighted else rows.o).sum()
        for i in range(1, len(self.design.parts)):
            metrics[f"x{i}"] = (rows.w * rows[f"p{i}"] if weighted else rows[f"p{i}"]).sum()
        return metrics

    def own_score(self, table: pa.Table, coefficients: Array) -> Sums:
        """The holder's own log partial likelihood, gradient and information."""
        rows = Rows(self, table)
        total = Score.empty(self.size)
        for _, _, events in rows.strata_events():
            total = total.plus(score_of(events, self.ties))
        return self._sums(rows, total, coefficients)

    def death_counts(self, table: pa.Table) -> Counts:
        """Events by stratum and tick, shape (strata, ticks)."""
        rows = Rows(self, table)
        counts = np.zeros((self.n_strata, self.follow.n_ticks + 1), dtype=np.int64)
        died = rows.kinds == DIED
        np.add.at(counts, (rows.strata[died], rows.times[died]), rows.n[died])
        return counts

    def shared_parts(self, table: pa.Table, cells: Counts, ticks: Counts, coefficients: Array) -> Sums:
        """The holder's part of shared risk sets.

        Args:
            table: The aggregated rows.
            cells: Stratum of each pooled event time, increasing.
            ticks: Tick of each, increasing within a stratum.
            coefficients: Those that the rows were aggregated at.

        Returns:
            Sums over those who leave between one event time and the next less those who enter there, over
            those who die at one, and the weights of these.
        """
        rows = Rows(self, table)
        width = np.int64(self.follow.n_ticks + 1)
        place = np.searchsorted(cells * width + ticks, rows.strata * width + rows.times, side="right") - 1
        # Who leaves before the first event time of the stratum is in no risk set.
        inside = (place >= 0) & (cells[np.maximum(place, 0)] == rows.strata) if len(cells) else place >= 0
        leaving, dying = RiskSums.empty(len(cells), self.size), RiskSums.empty(len(cells), self.size)
        counts, weights = np.zeros(len(cells), dtype=np.int64), np.zeros(len(cells))
        for begin in range(0, len(rows.n), _CHUNK):
            part = np.arange(begin, min(begin + _CHUNK, len(rows.n)))
            part = part[inside[part]]
            sums = rows.risk_sums(part)
            _add_at(leaving, place[part], sums)
            np.add.at(counts, place[part], rows.n[part] * rows.signs[part])
            died = rows.kinds[part] == DIED
            _add_at(dying, place[part][died], sums[died])
            np.add.at(weights, place[part][died], rows.weights[part][died])
        result = self._sums(rows, Score.empty(self.size), coefficients)
        return {
            "eta": result["log_likelihood"],
            "gradient": result["gradient"],
            "counts": counts,
            "weights": weights,
            **{f"leaving{i}": a for i, a in enumerate((leaving.zero, leaving.one, leaving.two))},
            **{f"dying{i}": a for i, a in enumerate((dying.zero, dying.one, dying.two))},
        }

    def _sums(self, rows: Rows, score: Score, coefficients: Array) -> Sums:
        """A score with what the events themselves add."""
        died = rows.kinds == DIED
        events = self.design.total(rows.codes[died], rows.sums_x[died])
        eta = float(events @ coefficients) + float(rows.offsets[died].sum())
        return {
            "log_likelihood": np.array(score.log_likelihood + eta),
            "gradient": score.gradient + events,
            "information": score.information,
        }


class Rows:
    """The aggregated rows as arrays, with rounded times where the holder tells of steps alone."""

    def __init__(self, hazards: Hazards, table: pa.Table) -> None:
        design = hazards.design
        self.design = design
        self.codes = codes_of(table, design.factors)
        self.strata = strata_of(table, hazards.strata)
        self.times = np.asarray(table["time"].to_numpy(zero_copy_only=False))
        self.kinds = integers(table, "kind")
        self.signs = np.where(self.kinds == ENTERED, -1, 1)
        self.n = integers(table, "n")
        self.weights = self.n.astype(np.float64) if hazards.weights is None else doubles(table, "w")
        self.offsets = doubles(table, "o") if hazards.offsets else np.zeros(len(self.n))
        size = len(design.parts)
        self.sums_x = design.scaled(
            np.column_stack([self.weights, matrix(table, [f"x{i}" for i in range(1, size)])])
        )
        pairs = [f"h{i}_{j}" for i, j in design.pairs()]
        if pairs[-1] not in table.column_names:  # rows by cluster have no second-order sums
            pairs = [name for name in pairs if name.startswith("h0_")]
        products = np.zeros((table.num_rows, len(design.pairs())))
        products[:, : len(pairs)] = matrix(table, pairs)
        self.products = design.scaled_pairs(products)
        which = np.array([column.part for column in design.columns], dtype=np.int64)
        index = design.pair_index()
        self.upper = np.triu_indices(len(which))
        self.one_index = index[0, which]
        self.two_index = index[which[self.upper[0]], which[self.upper[1]]]
        if hazards.follow.is_agreed:
            self.times = np.clip(self.times.astype(np.int64), 0, hazards.follow.n_ticks)
        if hazards.min_cell:
            self._round(hazards)

    def risk_sums(self, rows: NDArray[np.int64]) -> RiskSums:
        """Sums by row for the design's columns; those who enter count negative."""
        indicators = self.design.indicators(self.codes[rows]) * self.signs[rows, None]
        products = self.products[rows]
        both = indicators[:, self.upper[0]] * np.abs(indicators[:, self.upper[1]])
        return RiskSums(
            products[:, 0] * self.signs[rows],
            products[:, self.one_index] * indicators,
            products[:, self.two_index] * both,
        )

    def strata_events(self) -> Iterator[tuple[int, Array, Events]]:
        """Risk sets at the event times within this holder: stratum, times, sums, in pieces."""
        order = np.lexsort((-self.times, self.strata))
        strata = self.strata[order]
        for stratum in np.unique(strata):
            for times, events in self._stratum_events(order[strata == stratum]):
                yield int(stratum), times, events

    def _stratum_events(self, order: NDArray[np.int64]) -> Iterator[tuple[Array, Events]]:
        """One stratum, its rows by falling time, in chunks that end where a time ends."""
        times = self.times[order]
        starts = np.flatnonzero(np.append(True, np.diff(times) != 0))
        ends = np.append(starts[1:], len(order))
        carry = RiskSums.empty(1, len(self.design.columns))
        first = 0
        while first < len(starts):
            last = max(first + 1, int(np.searchsorted(starts, starts[first] + _CHUNK)))
            last = min(last, len(starts))
            span = order[starts[first] : ends[last - 1]]
            local = starts[first:last] - starts[first]
            sums = self.risk_sums(span)
            by_time = sums.gathered(local)
            running = RiskSums(*(np.cumsum(a, axis=0) for a in (by_time.zero, by_time.one, by_time.two)))
            risk = running.plus(carry)
            carry = risk[np.array([len(local) - 1])]
            died = self.kinds[span] == DIED
            deaths = np.add.reduceat(np.where(died, self.n[span], 0), local)
            weights = np.add.reduceat(np.where(died, self.weights[span], 0.0), local)
            own = np.where(died, 1.0, 0.0)
            dying = RiskSums(sums.zero * own, sums.one * own[:, None], sums.two * own[:, None])
            dying = dying.gathered(local)
            some = deaths > 0
            if some.any():
                at = times[starts[first:last]][some]
                yield at, Events(risk[some], dying[some], deaths[some], weights[some])
            first = last

    def _round(self, hazards: Hazards) -> None:
        """Leave at the end of a step with nobody or enough, and enter before the step's beginning."""
        width = hazards.follow.n_ticks + 1
        for stratum in np.unique(self.strata):
            own = np.flatnonzero(self.strata == stratum)
            counts = np.zeros((3, width), dtype=np.int64)
            np.add.at(counts, (self.kinds[own], self.times[own]), self.n[own])
            starts = event_steps(np.stack([counts[DIED], counts[LEFT] + counts[DIED]]), hazards.min_cell)
            step = np.searchsorted(starts, self.times[own], side="right") - 1
            ends = np.append(starts[1:], width) - 1
            entered = self.kinds[own] == ENTERED
            # A row enters after its start: one that starts with the last tick of a step is not in it.
            after = np.searchsorted(starts, self.times[own] + 1, side="right") - 1
            self.times[own] = np.where(entered, np.maximum(starts[after] - 1, 0), ends[step])


def _add_at(target: RiskSums, place: NDArray[np.int64], values: RiskSums) -> None:
    np.add.at(target.zero, place, values.zero)
    np.add.at(target.one, place, values.one)
    np.add.at(target.two, place, values.two)


def strata_of(table: pa.Table, strata: Sequence[Factor]) -> NDArray[np.int64]:
    """Cell number of each row's stratum."""
    cells = np.zeros(table.num_rows, dtype=np.int64)
    for i, f in enumerate(strata):
        place = {value: number for number, value in enumerate(f.values)}
        codes = np.array([place[value] for value in table[f"stratum{i}"].to_pylist()], dtype=np.int64)
        cells = cells * len(f.levels) + codes.reshape(table.num_rows)
    return cells
