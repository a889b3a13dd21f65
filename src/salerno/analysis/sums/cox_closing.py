"""What is summed at a Cox model's maximum: residuals, changes over time, baseline hazards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from salerno.analysis.model import Aggregate, Sums
from salerno.analysis.sums.columns import real
from salerno.analysis.sums.hazards import DIED, ENTERED, LEFT, Hazards, Rows
from salerno.analysis.sums.risk_sets import (
    Drift,
    Events,
    Increments,
    Score,
    drift_of,
    increments_of,
    score_of,
)
from salerno.analysis.sums.told_times import told_places

Array = NDArray[np.float64]
Counts = NDArray[np.int64]

CLOCKS = ("identity", "log")
"""Functions of time whose product with a column tells whether its effect changes."""


@dataclass(frozen=True)
class Closing:
    """What is wanted at the fitted coefficients.

    Args:
        robust: Whether to sum squares of score residuals.
        cluster: Column within whose values residuals are added first, or empty.
        clock: One of `CLOCKS`, or empty.
        times: Times at which baseline hazards are told.
    """

    robust: bool = False
    cluster: str = ""
    clock: str = ""
    times: tuple[float, ...] = ()


def clock_of(name: str, times: NDArray[Any]) -> Array:
    """A function of time at some times."""
    values = np.asarray(times, dtype=np.float64)
    return np.log(np.maximum(values, 1e-6)) if name == "log" else values


@dataclass(frozen=True)
class Path:
    """Increments of one stratum, and what they add up to."""

    times: Array
    steps: Increments
    hazard: Array
    variance: Array
    moved: Array

    @staticmethod
    def of(times: Array, events: list[Events], ties: str) -> Path:
        """From the event times and the pieces of one stratum, in the same order.

        Args:
            times: Event times.
            events: Risk sets and events at them.
            ties: ``efron`` or ``breslow``.
        """
        parts = [increments_of(piece, ties) for piece in events]
        order = np.argsort(times, kind="stable")
        steps = Increments(
            *(
                np.concatenate([getattr(part, name) for part in parts])[order]
                for name in ("hazard", "variance", "moved", "dying_hazard", "dying_moved", "mean")
            )
        )
        wide = np.zeros((1, steps.moved.shape[1]))
        return Path(
            times[order],
            steps,
            np.append(0.0, np.cumsum(steps.hazard)),
            np.append(0.0, np.cumsum(steps.variance)),
            np.concatenate([wide, np.cumsum(steps.moved, axis=0)]),
        )


def own_paths(rows: Rows, ties: str) -> dict[int, Path]:
    """The paths of a holder's own strata."""
    pieces: dict[int, list[tuple[Array, Events]]] = {}
    for stratum, times, events in rows.strata_events():
        pieces.setdefault(stratum, []).append((times, events))
    return {
        stratum: Path.of(np.concatenate([t for t, _ in found]), [e for _, e in found], ties)
        for stratum, found in pieces.items()
    }


def own_closing(hazards: Hazards, closing: Closing, rows: Rows, slot: int, n_slots: int) -> Sums:
    """The holder's sums for tests of proportional hazards, and its own baseline hazards in its slot.

    Args:
        hazards: The model.
        closing: What is wanted.
        rows: Aggregated at the fitted coefficients.
        slot: Number of the holder, whose risk sets are its own.
        n_slots: Number of holders.
    """
    score, drift = Score.empty(hazards.size), Drift.empty(hazards.size)
    for _, times, events in rows.strata_events():
        score = score.plus(score_of(events, hazards.ties))
        if closing.clock:
            drift = drift.plus(drift_of(events, hazards.ties, clock_of(closing.clock, times)))
    sums: Sums = {"information": score.information}
    if closing.clock:
        clocked = clocked_events(closing, rows, 1.0)
        sums |= clocked | {"clocked": clocked["clocked"] - drift.score}
        sums |= {"first": drift.first, "second": drift.second}
    if closing.times:
        sums |= _baseline_slots(hazards, closing, rows, slot, n_slots)
    return sums


def clocked_events(closing: Closing, rows: Rows, resolution: float) -> Sums:
    """The events' columns times a function of their times, and that function's first moments."""
    died = rows.kinds == DIED
    g = clock_of(closing.clock, rows.times[died] * resolution)
    n = rows.n[died]
    return {
        "clocked": rows.design.total(rows.codes[died], rows.sums_x[died] * g[:, None]),
        "clock_moments": np.array([g @ n, (g * g) @ n]),
    }


def _baseline_slots(hazards: Hazards, closing: Closing, rows: Rows, slot: int, n_slots: int) -> Sums:
    """Baseline hazards of the holder's strata, at the times that have enough events and persons."""
    n_strata, times = hazards.n_strata, np.array(closing.times)
    shape = (n_slots * n_strata, len(times))
    told = np.zeros(shape, dtype=np.int64)
    hazard, variance, moved = np.zeros(shape), np.zeros(shape), np.zeros((*shape, hazards.size))
    for stratum, path in own_paths(rows, hazards.ties).items():
        own = rows.strata == stratum
        at, n, died = rows.times[own], rows.n[own], rows.kinds[own] == DIED
        signed = n * rows.signs[own]
        at_risk = np.array([signed[at >= time].sum() for time in times], dtype=np.int64)
        until = np.array([n[died & (at <= time)].sum() for time in times], dtype=np.int64)
        least = hazards.scope.policy.min_cell
        places = told_places(at_risk, until[None], least)
        row = slot * n_strata + stratum
        upto = np.searchsorted(path.times, times[places], side="right")
        told[row, places] = 1
        hazard[row, places], variance[row, places] = path.hazard[upto], path.variance[upto]
        moved[row, places] = path.moved[upto]
    return {"told": told, "hazard": hazard, "variance": variance, "moved": moved}


def local_residuals(
    view: ir.Table,
    complete: ir.BooleanValue,
    hazards: Hazards,
    closing: Closing,
    coefficients: Array,
    paths: Mapping[int, Path] | None,
) -> Aggregate:
    """Squares of score residuals, added within clusters or of each row.

    Args:
        view: The permitted view.
        complete: Which rows are used.
        hazards: The model.
        closing: What is wanted.
        coefficients: The fitted ones.
        paths: Hazards by stratum where risk sets are shared; None for the holder's own.

    Source:
        Lin and Wei, JASA 84 (1989) 1074; Therneau and Grambsch, Modeling Survival Data (2000), sec. 7.1.
    """
    at = [real(number) for number in hazards.design.unscaled(coefficients)]
    if closing.cluster:
        rows = hazards.rows(view, complete, at, cluster=view[closing.cluster])
    else:
        rows = hazards.rows(view, complete, at).mutate(cluster=ibis.row_number())
    strata = [f"stratum{i}" for i in range(len(hazards.strata))]
    keys = [f"key{i}" for i in range(len(hazards.design.factors))]
    start = ["start"] if hazards.follow.start is not None else []
    metrics: dict[str, ir.Value] = {"n": rows.count(), **hazards.plain_sums(rows)}
    metrics |= {f"h0_{i}": rows[f"v{i}"].sum() for i in range(len(hazards.design.parts))}
    expression = rows.group_by(["cluster", *strata, *start, "time", "died", *keys]).aggregate(**metrics)

    def finish(table: pa.Table) -> Sums:
        return _meat(hazards, _with_entries(table), paths)

    return Aggregate(expression, finish)


def _with_entries(table: pa.Table) -> pa.Table:
    """Rows that leave, and where there is a start the same ones as they enter."""
    died = np.asarray(table["died"].to_numpy(zero_copy_only=False), dtype=bool)
    leaving = table.drop_columns(["died"]).append_column("kind", pa.array(np.where(died, DIED, LEFT)))
    if "start" not in table.column_names:
        return leaving
    entering = leaving.drop_columns(["time", "kind"]).rename_columns({"start": "time"})
    entering = entering.append_column("kind", pa.array(np.full(table.num_rows, ENTERED)))
    leaving = leaving.drop_columns(["start"])
    return pa.concat_tables([leaving, entering.select(leaving.column_names)])


def _meat(hazards: Hazards, table: pa.Table, paths: Mapping[int, Path] | None) -> Sums:
    """Sum over clusters of the square of their residuals, and how many clusters there are."""
    rows = Rows(hazards, table)
    paths = own_paths(rows, hazards.ties) if paths is None else paths
    which = [column.part for column in hazards.design.columns]
    residuals = np.zeros((len(rows.n), hazards.size))
    for stratum, path in paths.items():
        own = np.flatnonzero(rows.strata == stratum)
        place = np.searchsorted(path.times, rows.times[own], side="right")
        sums = rows.risk_sums(own)
        hazard, moved = path.hazard[place], path.moved[place]
        died = rows.kinds[own] == DIED
        at = np.maximum(place - 1, 0)
        hazard = hazard - np.where(died, path.steps.hazard[at] - path.steps.dying_hazard[at], 0.0)
        moved = moved - np.where(died[:, None], path.steps.moved[at] - path.steps.dying_moved[at], 0.0)
        residuals[own] = sums.zero[:, None] * moved - sums.one * hazard[:, None]
        events = own[died]
        columns = hazards.design.indicators(rows.codes[events]) * rows.sums_x[events][:, which]
        residuals[events] += columns - rows.weights[events][:, None] * path.steps.mean[at[died]]
    names = table["cluster"].combine_chunks().dictionary_encode()
    if isinstance(names, pa.ChunkedArray):
        names = names.combine_chunks()
    size = len(names.dictionary)
    by_cluster = np.zeros((size, hazards.size))
    np.add.at(by_cluster, np.asarray(names.indices.to_numpy()), residuals)
    return {"meat": by_cluster.T @ by_cluster, "n_clusters": np.array(size, dtype=np.int64)}
