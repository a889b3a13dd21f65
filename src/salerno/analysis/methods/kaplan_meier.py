"""Kaplan-Meier survival curves, exact over all pooled event times and told at a coarse grid.

Question: ``{"method": "kaplan_meier", "time": "time", "event": "status", "by": "sex", "grid": 30}``; ``grid``
is a step or a list of times; ``conf_type`` is ``log`` (default, as in R), ``log-log`` or ``plain``.
Result: ``{"strata": [{"stratum", "n", "n_events", "time", "survival", "std_error", "conf_low", "conf_high",
"at_risk", "events", "median"}], "grid", "resolution", "conf_level", "conf_type"}``.

A time is told only where the events since the time before are none or at least the threshold, and while at
least the threshold of persons are at risk. The median is the first such time with a survival of one half or
less (the event time itself when the threshold is 1). With fewer than three holders each tells of steps with
no or enough events alone, and the curve is estimated within them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import ibis.expr.types as ir
import numpy as np
from numpy.typing import NDArray

from salerno.analysis.model import Aggregate, Parameter, Question, Result, Scope, Sums
from salerno.analysis.questions import (
    CONF_LEVEL,
    EVENT,
    RESOLUTION,
    TIME,
    check_keys,
    choice,
    conf_level,
    factor,
    names,
    required,
)
from salerno.analysis.sums.follow_up import follow_up
from salerno.analysis.sums.life_table import LifeTable, group_names
from salerno.analysis.sums.survival import Curve, curve_limits, kaplan_meier
from salerno.analysis.sums.told_times import (
    CONF_TYPE,
    CONF_TYPES,
    GRID,
    Grid,
    grid_of,
    plain_time,
    told_ticks,
)

NAME = "kaplan_meier"
LABEL = "Survival curves"
PARAMETERS = (
    TIME,
    EVENT,
    Parameter(name="by", label="One curve for each", kind="one-or-more", optional=True),
    GRID,
    RESOLUTION,
    CONF_LEVEL,
    CONF_TYPE,
)


@dataclass(frozen=True)
class State:
    """The question and what is counted."""

    table: LifeTable
    grid: Grid
    conf_level: float
    conf_type: str


def start(question: Question, scope: Scope) -> State:
    """Check the question."""
    check_keys(question, PARAMETERS)
    follow = follow_up(
        question, scope, time=required(question, "time"), event_column=required(question, "event")
    )
    by = names(question, "by", required=False)
    grid = grid_of(question, follow)
    factors = tuple(factor(scope, name, role="by") for name in by)
    return State(
        table=LifeTable(scope, follow, factors, times=grid.times),
        grid=grid,
        conf_level=conf_level(question),
        conf_type=choice(question, "conf_type", CONF_TYPES, "log"),
    )


def local(view: ir.Table, state: State) -> Aggregate:
    """Survey the times, then count by time."""
    return state.table.local(view)


def guard(sums: Sums, state: State, scope: Scope) -> Sums:
    """Refuse to take part with too few persons; hide single events from few holders."""
    return state.table.guard(sums)


def step(sums: Sums, state: State) -> State | Result:
    """Agree the grid, then give the curves."""
    table = state.table
    if not table.follow.is_agreed:
        return replace(state, table=table.agreed(sums))
    died, left, min_cell = sums["died"][0], sums["left"], table.scope.policy.min_cell
    n = (died + left).sum(axis=1)
    hidden = table.hidden(sums)
    notes = table.count_notes(sums)
    step_used, wanted = state.grid.ticks((died + left).sum(axis=0), table.follow, min_cell)
    suppressed = int(hidden.sum())
    strata = []
    for group, label in enumerate(group_names(table.factors)):
        if hidden[group]:
            notes.append(f"The curve of group {label} is left out: too few persons.")
            strata.append(_blank(label))
        elif n[group] == 0:
            notes.append(f"Nobody is in group {label}.")
        else:
            curve = kaplan_meier(died[group], left[group])
            told = told_ticks(wanted, curve.at_risk, died[group][None], min_cell)
            dropped = len([tick for tick in wanted if curve.at_risk[tick] > 0]) - len(told)
            suppressed += dropped
            if dropped:
                where = f" of group {label}" if table.factors else ""
                notes.append(
                    f"The curve{where} leaves out {dropped} of the times asked for: too few persons."
                )
            strata.append(_stratum(curve, label, told, state))
    result = {
        "strata": strata,
        "grid": step_used,
        "resolution": table.follow.resolution,
        "conf_level": state.conf_level,
        "conf_type": state.conf_type,
    }
    return Result(result, table.n, table.rows - table.n, tuple(notes), suppressed)


def _stratum(curve: Curve, label: str, told: NDArray[np.int64], state: State) -> dict[str, Any]:
    policy, resolution = state.table.scope.policy, state.table.follow.resolution
    if state.grid == Grid() and policy.min_cell <= 1:
        told = told[curve.died[told] > 0]  # as R prints a curve
    survival = curve.survival[told]
    with np.errstate(invalid="ignore"):  # where all have died
        error = survival * np.sqrt(curve.log_variance[told])
    low, high = curve_limits(survival, error, conf_level=state.conf_level, conf_type=state.conf_type)
    n_events = int(curve.died.sum())
    told_events = np.diff(np.cumsum(curve.died)[told], prepend=0)
    # The events after the last time told must not follow from the total.
    rest = n_events - int(told_events.sum())
    if policy.min_cell <= 1:
        median = curve.median()
        middle = None if median is None else median * resolution
    else:
        below = told[survival <= 0.5 + 1e-12]
        middle = float(below[0] * resolution) if len(below) else None
    return {
        "stratum": label,
        "n": int(curve.at_risk[0]),
        "n_events": None if 0 < rest < policy.min_cell else n_events,
        "time": [plain_time(tick, resolution) for tick in told.tolist()],
        "survival": survival.tolist(),
        "std_error": _finite(error),
        "conf_low": _finite(low),
        "conf_high": _finite(high),
        "at_risk": curve.at_risk[told].tolist(),
        "events": told_events.tolist(),
        "median": middle,
    }


def _blank(label: str) -> dict[str, Any]:
    lists: dict[str, Any] = {
        name: [] for name in ("time", "survival", "std_error", "conf_low", "conf_high", "at_risk", "events")
    }
    return {"stratum": label, "n": None, "n_events": None, **lists, "median": None}


def _finite(values: NDArray[np.float64]) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values.tolist()]
