"""Kaplan-Meier survival curves, exact over all pooled event times and told at a coarse grid.

Question: ``{"method": "kaplan_meier", "time": "time", "event": "status", "by": "sex", "grid": 30}``; ``grid``
is a step or a list of times; ``conf_type`` is ``log`` (default, as in R), ``log-log`` or ``plain``.
Result: ``{"strata": [{"stratum", "n", "n_events", "time", "survival", "std_error", "conf_low", "conf_high",
"at_risk", "events", "median"}], "grid", "resolution", "conf_level", "conf_type"}``.

A time is told only where the events since the time before are none or at least the threshold, and while at
least the threshold of persons are at risk. The median is the first such time with a survival of one half or
less (the event time itself when the threshold is 1).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import ibis.expr.types as ir
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from salerno.analysis.disclosure.cells import hidden_cells, is_small, merged
from salerno.analysis.disclosure.persons import check_persons, check_some
from salerno.analysis.grids import multiples, nice_step, ticks
from salerno.analysis.model import Aggregate, Parameter, Question, Result, Scope, Sums
from salerno.analysis.questions import (
    CONF_LEVEL,
    RESOLUTION,
    check_keys,
    choice,
    conf_level,
    factor,
    names,
    number,
    numbers,
    required,
)
from salerno.analysis.sums.survival import Curve, LifeTable, follow_up, group_names, kaplan_meier
from salerno.kernel.errors import Invalid

NAME = "kaplan_meier"
LABEL = "Survival curves"
PARAMETERS = (
    Parameter(name="time", label="Column with the time", default="time"),
    Parameter(name="event", label="Column that says whether the event happened", default="status"),
    Parameter(name="by", label="One curve for each", kind="one-or-more", optional=True),
    Parameter(
        name="grid",
        label="Width of a step of time",
        kind="number",
        hint="In the unit of the time column, e.g. 30; chosen for you when empty",
        optional=True,
    ),
    RESOLUTION,
    CONF_LEVEL,
    Parameter(
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
    ),
)


@dataclass(frozen=True)
class State:
    """The question and, after the first round, the grid on which times are counted.

    Args:
        grid: Step or times at which the curve is asked for; None for a step that suits the follow-up.
    """

    scope: Scope
    table: LifeTable
    grid: float | tuple[float, ...] | None
    conf_level: float
    conf_type: str
    rows: int = 0
    n: int = 0
    notes: tuple[str, ...] = ()

    @property
    def is_surveyed(self) -> bool:
        """Whether the grid of times is agreed."""
        return self.table.follow.resolution > 0


def start(question: Question, scope: Scope) -> State:
    """Check the question."""
    check_keys(question, PARAMETERS)
    follow = follow_up(
        question, scope, time=required(question, "time"), event_column=required(question, "event")
    )
    by = names(question, "by", required=False)
    grid = question.get("grid")
    asked: float | tuple[float, ...] | None = None
    if isinstance(grid, (list, tuple)):
        asked = tuple(sorted(set(numbers(grid, key="grid", above=0.0))))
    elif grid is not None:
        asked = number(grid, key="grid", above=0.0)
    if isinstance(asked, float) and follow.asked is not None and asked < follow.asked:
        raise Invalid("out-of-range", "'grid' must not be finer than 'resolution'")
    return State(
        scope=scope,
        table=LifeTable(follow, tuple(factor(scope, name, role="by") for name in by)),
        grid=asked,
        conf_level=conf_level(question),
        conf_type=choice(question, "conf_type", ("log", "log-log", "plain"), "log"),
    )


def local(view: ir.Table, state: State) -> Aggregate:
    """Survey the times, then count by time."""
    if not state.is_surveyed:
        return Aggregate(state.table.survey(view), state.table.survey_sums)
    return Aggregate(state.table.counts(view), state.table.count_sums)


def guard(sums: Sums, state: State, scope: Scope) -> Sums:
    """Refuse to take part with too few persons."""
    if not state.is_surveyed:
        check_persons(int(sums["n"]), scope.policy, who="This holder's part")
    return sums


def step(sums: Sums, state: State) -> State | Result:
    """Agree the grid, then give the curves."""
    policy = state.scope.policy
    if not state.is_surveyed:
        check_some(int(sums["n"]), policy)
        state.table.follow.check_codes(sums)
        follow = state.table.follow.agreed(sums["exponents"])
        notes = list(follow.notes())
        if int(sums["unlisted"]):
            notes.append("Rows with a value that is no agreed level count as missing.")
        return replace(
            state,
            table=replace(state.table, follow=follow),
            rows=int(sums["rows"]),
            n=int(sums["n"]),
            notes=tuple(notes),
        )
    return _answer(sums["died"], sums["left"], state)


def _answer(died: NDArray[np.int64], left: NDArray[np.int64], state: State) -> Result:
    follow, min_cell = state.table.follow, state.scope.policy.min_cell
    n = (died + left).sum(axis=1)
    hidden = hidden_cells(n, min_cell)
    step_used, wanted = _wanted(died + left, state)
    notes = list(state.notes)
    suppressed = int(hidden.sum())
    strata = []
    for group, label in enumerate(group_names(state.table.factors)):
        if n[group] == 0:
            notes.append(f"Nobody is in group {label}.")
        elif hidden[group]:
            notes.append(f"The curve of group {label} is left out: too few persons.")
            strata.append(_blank(label))
        else:
            curve = kaplan_meier(died[group], left[group])
            told = _told(curve, wanted, min_cell)
            dropped = len([tick for tick in wanted if curve.at_risk[tick] > 0]) - len(told)
            suppressed += dropped
            if dropped:
                where = f" of group {label}" if state.table.factors else ""
                notes.append(
                    f"The curve{where} leaves out {dropped} of the times asked for: too few persons."
                )
            strata.append(_stratum(curve, label, told, state))
    result = {
        "strata": strata,
        "grid": step_used,
        "resolution": follow.resolution,
        "conf_level": state.conf_level,
        "conf_type": state.conf_type,
    }
    return Result(result, state.n, state.rows - state.n, tuple(notes), suppressed)


def _wanted(gone: NDArray[np.int64], state: State) -> tuple[Any, NDArray[np.int64]]:
    """The grid asked for, or one that suits, and its times as ticks."""
    follow = state.table.follow
    last = int(np.flatnonzero(gone.sum(axis=0))[-1])
    end = last * follow.resolution
    if isinstance(state.grid, tuple):
        asked = ticks(state.grid, follow.resolution)
        return list(state.grid), np.unique(asked[asked <= follow.n_ticks])
    if state.grid is None and state.scope.policy.min_cell <= 1:
        return None, np.arange(last + 1)
    step_used = state.grid or max(nice_step(end, 25), follow.resolution)
    times = multiples(step_used, end) or [step_used]
    return step_used, np.unique(np.minimum(ticks(times, follow.resolution), follow.n_ticks))


def _told(curve: Curve, wanted: NDArray[np.int64], min_cell: int) -> NDArray[np.int64]:
    """The ticks that may be told: enough at risk, and events since the one before none or enough."""
    alive = wanted[curve.at_risk[wanted] >= max(min_cell, 1)]
    if not len(alive):
        return alive
    total = np.cumsum(curve.died)[alive]
    steps = np.diff(total, prepend=0)
    starts = merged(steps, min_cell)
    ends: NDArray[np.int64] = alive[np.append(starts[1:] - 1, len(alive) - 1)]
    if is_small(np.add.reduceat(steps, starts), min_cell).any():
        return alive[:0]
    return ends


def _stratum(curve: Curve, label: str, told: NDArray[np.int64], state: State) -> dict[str, Any]:
    policy, resolution = state.scope.policy, state.table.follow.resolution
    if state.grid is None and policy.min_cell <= 1:
        told = told[curve.died[told] > 0]  # as R prints a curve
    survival = curve.survival[told]
    error = np.sqrt(curve.log_variance[told])
    low, high = _interval(survival, error, state)
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
        "time": [_plain(tick, resolution) for tick in told.tolist()],
        "survival": survival.tolist(),
        "std_error": _finite(survival * error),
        "conf_low": _finite(low),
        "conf_high": _finite(high),
        "at_risk": curve.at_risk[told].tolist(),
        "events": told_events.tolist(),
        "median": middle,
    }


def _interval(survival: Any, error: Any, state: State) -> tuple[Any, Any]:
    """Confidence limits as R's survfit has them, within 0 and 1."""
    width = float(ndtri(0.5 + state.conf_level / 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        match state.conf_type:
            case "log":
                return survival * np.exp(-width * error), np.minimum(survival * np.exp(width * error), 1.0)
            case "plain":
                spread = width * survival * error
                return np.maximum(survival - spread, 0.0), np.minimum(survival + spread, 1.0)
        inner = np.log(-np.log(survival))
        spread = width * error / np.log(survival)
        return np.exp(-np.exp(inner - spread)), np.exp(-np.exp(inner + spread))


def _blank(label: str) -> dict[str, Any]:
    lists: dict[str, Any] = {
        name: [] for name in ("time", "survival", "std_error", "conf_low", "conf_high", "at_risk", "events")
    }
    return {"stratum": label, "n": None, "n_events": None, **lists, "median": None}


def _plain(tick: int, resolution: float) -> float:
    """A tick as a time; whole numbers stay whole, and 3 * 0.1 is told as 0.3."""
    return float(f"{tick * resolution:.12g}")


def _finite(values: NDArray[np.float64]) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values.tolist()]
