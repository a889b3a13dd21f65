"""Times to events on a dense grid: pooled counts by time and group, and what follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from salerno.analysis.grids import HIGHEST, LOWEST, MOST_TIMES, N_EXPONENTS, time_resolution, upper_bound
from salerno.analysis.model import Question, Scope, Sums
from salerno.analysis.questions import Event, Factor, event, number, numeric
from salerno.analysis.sums.columns import (
    as_number,
    cells_of,
    every,
    flags,
    integers,
    is_event,
    is_listed,
    is_present,
    is_unlisted,
    keys_of,
    real,
    scatter,
    some,
)
from salerno.catalogue.model import Datatype, Variable
from salerno.kernel.errors import Invalid

Array = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class FollowUp:
    """Columns of time and event, and the grid on which times are counted.

    Args:
        resolution: Length of one tick; 0 until it is agreed. A time is rounded up to a whole tick.
        n_ticks: Highest tick.
        asked: The resolution that the question asks for.
    """

    time: Variable
    event: Event
    asked: float | None = None
    resolution: float = 0.0
    n_ticks: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether times are whole numbers."""
        return self.time.datatype is not Datatype.NUMBER

    def conditions(self, view: ir.Table) -> list[ir.BooleanValue]:
        """What a row needs to be used; a negative time counts as missing."""
        return [
            is_present(view, self.time),
            view[self.time.name] >= 0,
            view[self.event.column].notnull(),
        ]

    def wrong_code(self, view: ir.Table) -> ir.BooleanValue | None:
        """Whether the event column holds something other than 0 and 1; None where any code is right."""
        if self.event.known is None:
            return None
        column = view[self.event.column]
        return column.notnull() & column.notin(list(self.event.known))

    def tick(self, view: ir.Table) -> ir.Value:
        """A row's tick; the small allowance undoes the rounding of the division."""
        time = as_number(view, self.time)
        if self.resolution == 1.0 and self.is_whole:
            return view[self.time.name].cast("int64")
        return (time / real(self.resolution) - real(1e-9)).ceil().cast("int64")

    def exponent(self, view: ir.Table) -> ir.Value:
        """Exponent of the power of two at or below the time, or the lowest for zero."""
        time = as_number(view, self.time)
        power = (ibis.cases((time > 0, time)).ln() * real(1 / log(2))).floor().cast("int64")
        return ibis.greatest(ibis.least(power.fill_null(LOWEST), HIGHEST), LOWEST)

    def metrics(self, view: ir.Table, complete: ir.BooleanValue) -> dict[str, ir.Value]:
        """Aggregates of the first round, beside the exponents."""
        wrong = self.wrong_code(view)
        return {
            "events": (complete & is_event(view, self.event)).sum(),
            "bad": ibis.literal(0) if wrong is None else wrong.sum(),
        }

    def agreed(self, exponents: Counts) -> FollowUp:
        """The same with the grid that the pooled exponents ask for.

        Raises:
            Invalid: The resolution of the question needs too many ticks.
        """
        bound = upper_bound(exponents)
        resolution = time_resolution(bound, whole=self.is_whole, asked=self.asked)
        n_ticks = int(np.ceil(bound / resolution)) + 1
        if n_ticks > 4 * MOST_TIMES:
            raise Invalid(
                "too-fine",
                f"A resolution of {resolution:g} needs more than {4 * MOST_TIMES} time steps",
                remedy="Ask for a larger 'resolution'.",
            )
        return replace(self, resolution=resolution, n_ticks=n_ticks)

    def check_codes(self, sums: Sums) -> None:
        """Refuse event columns with other codes than 0 and 1."""
        if int(sums["bad"]):
            raise Invalid(
                "event-codes",
                f"The event column {self.event.column!r} holds codes other than 0 and 1",
                remedy='Say which codes are events: {"column": "…", "codes": [2]}.',
            )

    def notes(self) -> list[str]:
        """How times were rounded, where they were."""
        if self.is_whole and self.resolution == 1.0:
            return []
        return [f"Times were rounded up to multiples of {self.resolution:g}."]


def follow_up(question: Question, scope: Scope, *, time: Any, event_column: Any) -> FollowUp:
    """Read the time and event columns of a question."""
    asked = question.get("resolution")
    return FollowUp(
        time=numeric(scope, time, role="time"),
        event=event(scope, event_column),
        asked=None if asked is None else number(asked, key="resolution", above=0.0),
    )


@dataclass(frozen=True)
class LifeTable:
    """Events and all leavers by group and tick.

    Args:
        factors: Groups; none means one group of all.
    """

    follow: FollowUp
    factors: tuple[Factor, ...]

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return int(np.prod([len(f.levels) for f in self.factors], dtype=np.int64))

    def complete(self, view: ir.Table) -> ir.BooleanValue:
        """Whether a row can be used."""
        return every([*self.follow.conditions(view), *(is_listed(view, f) for f in self.factors)])

    def survey(self, view: ir.Table) -> ir.Table:
        """First round: rows, complete rows, events, and times by power of two."""
        rows = view.mutate(ok=self.complete(view).fill_null(False))
        unlisted = [is_unlisted(rows, f) for f in self.factors]
        return rows.group_by(exponent=rows.ok.ifelse(self.follow.exponent(rows), ibis.null())).aggregate(
            rows=rows.count(),
            n=rows.ok.sum(),
            unlisted=some(unlisted).sum() if unlisted else ibis.literal(0),
            **self.follow.metrics(rows, rows.ok),
        )

    def survey_sums(self, table: pa.Table) -> Sums:
        """The aggregated exponents as sums."""
        totals = {
            name: np.array(integers(table, name).sum(), dtype=np.int64)
            for name in ("rows", "n", "unlisted", "events", "bad")
        }
        return {**totals, "exponents": exponent_counts(table)}

    def counts(self, view: ir.Table) -> ir.Table:
        """Second round: rows by group, tick and event."""
        kept = view.filter(self.complete(view))
        keys = keys_of(kept, self.factors)
        return kept.group_by(
            **keys, tick=self.follow.tick(kept), died=is_event(kept, self.follow.event)
        ).aggregate(n=kept.count())

    def count_sums(self, table: pa.Table) -> Sums:
        """The aggregated ticks as two dense arrays, ``died`` and ``left``, shape (groups, ticks)."""
        width = self.follow.n_ticks + 1
        place = cells_of(table, self.factors) * width + np.clip(
            integers(table, "tick"), 0, self.follow.n_ticks
        )
        died = flags(table, "died")
        n = integers(table, "n")
        shape = (self.n_groups, width)
        return {
            "died": scatter(place, np.where(died, n, 0), self.n_groups * width).reshape(shape),
            "left": scatter(place, np.where(died, 0, n), self.n_groups * width).reshape(shape),
        }


def exponent_counts(table: pa.Table) -> Counts:
    """Complete rows by exponent from an aggregate with columns ``exponent`` and ``n``."""
    exponents = [-1 if value is None else int(value) - LOWEST for value in table["exponent"].to_pylist()]
    return scatter(np.array(exponents, dtype=np.int64), integers(table, "n"), N_EXPONENTS)


def at_risk(died: Counts, left: Counts) -> Counts:
    """Persons with at least each tick, by group."""
    gone = died + left
    result: Counts = np.flip(np.cumsum(np.flip(gone, axis=-1), axis=-1), axis=-1)
    return result


@dataclass(frozen=True)
class Curve:
    """The Kaplan-Meier estimate of one group at every tick, with Greenwood's variance of its logarithm."""

    survival: Array
    log_variance: Array
    at_risk: Counts
    died: Counts

    def median(self) -> float | None:
        """Tick at which half have died; between two ticks when the curve is flat at one half, as R has it."""
        below = np.flatnonzero(self.survival <= 0.5 + 1e-12)
        if not len(below):
            return None
        first = int(below[0])
        if abs(self.survival[first] - 0.5) < 1e-12:
            further = np.flatnonzero(self.survival < 0.5 - 1e-12)
            # R takes the midpoint up to the next event, or to the last time of all.
            end = int(further[0]) if len(further) else int(np.flatnonzero(self.at_risk)[-1])
            return (first + end) / 2
        return float(first)


def kaplan_meier(died: Counts, left: Counts) -> Curve:
    """The product-limit estimate from events and censorings by tick of one group."""
    risk = at_risk(died, left)
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.where(risk > 0, 1.0 - died / risk, 1.0)
        hazard = np.where(died > 0, died / (risk * (risk - died).astype(np.float64)), 0.0)
    return Curve(np.cumprod(factor, dtype=np.float64), np.cumsum(hazard), risk, died)


def log_rank(died: Counts, left: Counts) -> tuple[Array, Array]:
    """Expected events by group, and the covariance of observed minus expected.

    Args:
        died: Events, shape (groups, ticks).
        left: Censorings, same shape.
    """
    risk = at_risk(died, left).astype(np.float64)
    total_risk, total_died = risk.sum(axis=0), died.sum(axis=0)
    used = total_died > 0
    risk, total_risk, total_died = risk[:, used], total_risk[used], total_died[used]
    share = risk / total_risk
    expected = (share * total_died).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(total_risk > 1, total_died * (total_risk - total_died) / (total_risk - 1), 0.0)
    covariance = np.diag((share * scale).sum(axis=1)) - np.einsum("gt,ht,t->gh", share, share, scale)
    return expected, covariance


def group_names(factors: Sequence[Factor]) -> list[str]:
    """Name of each group, in the order of its cells."""
    names: list[tuple[str, ...]] = [()]
    for f in factors:
        names = [(*name, level) for name in names for level in f.levels]
    return [", ".join(name) or "all" for name in names]
