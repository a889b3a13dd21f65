"""At which times a curve may be told: steps with no events or enough, and enough persons at risk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from salerno.analysis.disclosure.cells import is_small
from salerno.analysis.grids import multiples, nice_step, ticks
from salerno.analysis.model import Parameter, Question
from salerno.analysis.questions import number, numbers
from salerno.analysis.sums.follow_up import FollowUp
from salerno.kernel.errors import Invalid

Counts = NDArray[np.int64]

GRID = Parameter(
    name="grid",
    label="Width of a step of time",
    kind="number",
    hint="In the unit of the time column, e.g. 30; chosen for you when empty",
    optional=True,
)
CONF_TYPE = Parameter(
    name="conf_type",
    label="Confidence limits",
    kind="choice",
    optional=True,
    advanced=True,
    options=(
        ("", "On the log scale, as R"),
        ("log-log", "On the log-log scale"),
        ("plain", "Plain"),
    ),
)
CONF_TYPES = ("log", "log-log", "plain")
_PIECES = 25
_MOST = 1000


@dataclass(frozen=True)
class Grid:
    """Times at which curves are asked for.

    Args:
        step: Every so often; None for a step that suits the follow-up.
        times: Or these times, rising.
    """

    step: float | None = None
    times: tuple[float, ...] = ()

    def ticks(
        self, gone: Counts, follow: FollowUp, min_cell: int
    ) -> tuple[float | list[float] | None, Counts]:
        """The step or times used, and the ticks to tell; no step where every tick is told.

        Args:
            gone: Leavers by tick, of all groups.
            follow: The agreed grid.
            min_cell: Smallest count that may be told, persons.
        """
        last = int(np.flatnonzero(gone)[-1])
        end = last * follow.resolution
        if self.times:
            asked = ticks(self.times, follow.resolution)
            return list(self.times), np.unique(asked[asked <= follow.n_ticks])
        if self.step is None and min_cell <= 1:
            return None, np.arange(last + 1)
        step = self.step or max(nice_step(end, _PIECES), follow.resolution)
        times = multiples(step, end) or [step]
        return step, np.unique(np.minimum(ticks(times, follow.resolution), follow.n_ticks))


def grid_times(grid: Grid, follow: FollowUp, *, bound: float) -> tuple[float, ...]:
    """The times that a grid means where no more is known than a bound of all times."""
    if grid.times:
        return tuple(time for time in grid.times if time <= bound)
    step = grid.step or max(nice_step(bound, 2 * _PIECES), follow.resolution)
    if bound / step > _MOST:
        raise Invalid("too-fine", f"A grid of {step:g} has more than {_MOST} times")
    return tuple(multiples(step, bound))


def grid_of(question: Question, follow: FollowUp) -> Grid:
    """Read ``grid``: a step, or a list of times."""
    grid = question.get("grid")
    if isinstance(grid, (list, tuple)):
        return Grid(times=tuple(sorted(set(numbers(grid, key="grid", above=0.0)))))
    if grid is None:
        return Grid()
    step = number(grid, key="grid", above=0.0)
    if follow.asked is not None and step < follow.asked:
        raise Invalid("out-of-range", "'grid' must not be finer than 'resolution'")
    return Grid(step=step)


def told_ticks(wanted: Counts, at_risk: Counts, died: Counts, min_cell: int) -> Counts:
    """Those of the wanted ticks that may be told of one group.

    Args:
        wanted: Ticks, rising.
        at_risk: Persons by tick.
        died: Events of each kind by tick, shape (kinds, ticks).
        min_cell: Smallest count that may be told, persons.

    Returns:
        Ticks with enough persons at risk, of each kind none or enough events since the one before.
    """
    until = np.cumsum(died, axis=1)[:, wanted]
    result: Counts = wanted[told_places(at_risk[wanted], until, min_cell)]
    return result


def told_places(at_risk: Counts, until: Counts, min_cell: int) -> Counts:
    """Places of the times that may be told, of some times in rising order.

    Args:
        at_risk: Persons at risk at each time.
        until: Events of each kind until each time, shape (kinds, times).
        min_cell: Smallest count that may be told, persons.
    """
    alive = np.flatnonzero(at_risk >= max(min_cell, 1))
    if not len(alive):
        return alive
    steps = np.diff(until[:, alive], prepend=0, axis=1)
    starts = joined_steps(steps, min_cell)
    if is_small(np.add.reduceat(steps, starts, axis=1), min_cell).any():
        return alive[:0]
    ends: Counts = alive[np.append(starts[1:] - 1, len(alive) - 1)]
    return ends


def joined_steps(counts: Counts, min_cell: int) -> Counts:
    """First positions of runs of neighbours with nobody or at least the threshold, of each kind.

    Args:
        counts: Shape (kinds, positions).
        min_cell: Smallest count that may be told, persons.

    Returns:
        Increasing, the first 0; a rest that is too small joins the run before it, in the end in one run.
    """
    starts: list[int] = []
    totals: list[Counts] = []
    for position, here in enumerate(counts.T):
        if totals and is_small(totals[-1], min_cell).any():
            totals[-1] = totals[-1] + here
        else:
            starts.append(position)
            totals.append(here)
    while len(totals) > 1 and is_small(totals[-1], min_cell).any():
        starts.pop()
        rest = totals.pop()
        totals[-1] = totals[-1] + rest
    return np.array(starts or [0], dtype=np.int64)


def plain_time(tick: int, resolution: float) -> float:
    """A tick as a time; whole numbers stay whole, and 3 * 0.1 is told as 0.3."""
    return float(f"{tick * resolution:.12g}")
