"""Time and event columns of a question, and the grid of ticks on which holders count times."""

from __future__ import annotations

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
from salerno.analysis.questions import Event, event, number, numeric
from salerno.analysis.sums.columns import as_number, integers, is_present, real
from salerno.catalogue.model import Datatype, Variable
from salerno.kernel.errors import Invalid

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class FollowUp:
    """Columns of time and event, and the grid on which times are counted.

    Args:
        start: Column from which on a row is under observation (delayed entry), where there is one.
        resolution: Length of one tick; 0 until it is agreed. A time is rounded up to a whole tick.
        n_ticks: Highest tick.
        asked: The resolution that the question asks for.
    """

    time: Variable
    event: Event
    start: Variable | None = None
    asked: float | None = None
    resolution: float = 0.0
    n_ticks: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether times are whole numbers."""
        return all(v.datatype is not Datatype.NUMBER for v in (self.time, self.start) if v)

    @property
    def is_agreed(self) -> bool:
        """Whether the holders have agreed on a grid."""
        return self.resolution > 0

    def conditions(self, view: ir.Table) -> list[ir.BooleanValue]:
        """What a row needs to be used; a negative time, or one that ends at its start, counts as missing."""
        conditions = [
            is_present(view, self.time),
            view[self.time.name] >= 0,
            view[self.event.column].notnull(),
        ]
        if self.start is not None:
            start = view[self.start.name]
            conditions += [is_present(view, self.start), start >= 0, start < view[self.time.name]]
        return conditions

    def wrong_code(self, view: ir.Table) -> ir.BooleanValue | None:
        """Whether the event column holds something other than 0 and 1; None where any code is right."""
        if self.event.known is None:
            return None
        column = view[self.event.column]
        return column.notnull() & column.notin(list(self.event.known))

    def tick(self, view: ir.Table) -> ir.Value:
        """A row's tick."""
        return self._tick(view, self.time)

    def start_tick(self, view: ir.Table) -> ir.Value:
        """The tick after which a row is at risk; at least one before its last."""
        assert self.start is not None
        return ibis.least(self._tick(view, self.start), self.tick(view) - 1)

    def _tick(self, view: ir.Table, column: Variable) -> ir.Value:
        """A time in ticks, rounded up; the small allowance undoes the rounding of the division."""
        if self.resolution == 1.0 and column.datatype is not Datatype.NUMBER:
            return view[column.name].cast("int64")
        return (as_number(view, column) / real(self.resolution) - real(1e-9)).ceil().cast("int64")

    def exponent(self, view: ir.Table) -> ir.Value:
        """Exponent of the power of two at or below the time, or the lowest for zero."""
        time = as_number(view, self.time)
        power = (ibis.cases((time > 0, time)).ln() * real(1 / log(2))).floor().cast("int64")
        return ibis.greatest(ibis.least(power.fill_null(LOWEST), HIGHEST), LOWEST)

    def metrics(self, view: ir.Table, complete: ir.BooleanValue) -> dict[str, ir.Value]:
        """Aggregates of the first round: the highest exponent, and rows with a wrong event code."""
        wrong = self.wrong_code(view)
        return {
            "top": complete.ifelse(self.exponent(view), ibis.null()).max(),
            "bad": ibis.literal(0) if wrong is None else wrong.sum(),
        }

    def sums(self, table: pa.Table) -> Sums:
        """The aggregated metrics as sums; of the times no more is told than the power of two of the last.

        A count by power of two would tell who is alone in one.
        """
        tops = [int(top) for top in table["top"].to_pylist() if top is not None]
        exponents = np.zeros(N_EXPONENTS, dtype=np.int64)
        if tops:
            exponents[max(tops) - LOWEST] = 1
        return {"exponents": exponents, "bad": np.array(integers(table, "bad").sum(), dtype=np.int64)}

    def agreed(self, exponents: Counts) -> FollowUp:
        """The same with the grid that the highest of all exponents asks for.

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
        """Refuse event columns with other codes than those that the question knows."""
        if int(sums["bad"]):
            known = " and ".join(map(str, self.event.known or ()))
            raise Invalid(
                "event-codes",
                f"The event column {self.event.column!r} holds codes other than {known}",
                remedy='Say which codes are events: {"column": "…", "codes": [2]}.',
            )

    def notes(self) -> list[str]:
        """How times were rounded, where they were."""
        if self.is_whole and self.resolution == 1.0:
            return []
        return [f"Times were rounded up to multiples of {self.resolution:g}."]


def follow_up(question: Question, scope: Scope, *, time: Any, event_column: Any, start: Any = "") -> FollowUp:
    """Read the time and event columns of a question."""
    asked = question.get("resolution")
    return FollowUp(
        time=numeric(scope, time, role="time"),
        event=event(scope, event_column),
        start=numeric(scope, start, role="start") if start else None,
        asked=None if asked is None else number(asked, key="resolution", above=0.0),
    )
