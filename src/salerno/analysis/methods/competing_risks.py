"""Cumulative incidence of each of several competing events, by Aalen and Johansen.

Question: ``{"method": "competing_risks", "time": "time", "event": "status", "causes": {"relapse": [1],
"death": [2]}, "by": "arm", "grid": 30}``; ``causes`` may also be a list of codes, ``censored`` (codes for no
event) is ``[0]`` unless told; ``grid`` and ``conf_type`` are those of `kaplan_meier`.
Result: ``{"strata": [{"stratum", "cause", "n", "n_events", "time", "incidence", "std_error", "conf_low",
"conf_high", "at_risk", "events"}], "grid", "resolution", "conf_level", "conf_type"}``, equal to R's
``survfit(Surv(time, factor(status)) ~ arm)`` on the pooled rows, its standard errors too.

One minus Kaplan-Meier would treat other events as if they were censored, and tell too high a risk. The
hazard of one cause is asked of `cox` or `log_rank` with ``{"column": "status", "codes": [1]}`` as event.
A time is told only where the events of each cause since the time before are none or at least the threshold,
and while at least the threshold of persons are at risk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import ibis.expr.types as ir
import numpy as np
from numpy.typing import NDArray

from salerno.analysis.model import Aggregate, Parameter, Question, Result, Scope, Sums
from salerno.analysis.questions import (
    CONF_LEVEL,
    RESOLUTION,
    TIME,
    Event,
    check_keys,
    choice,
    conf_level,
    event,
    factor,
    names,
    required,
)
from salerno.analysis.sums.follow_up import follow_up
from salerno.analysis.sums.life_table import LifeTable, group_names
from salerno.analysis.sums.survival import Incidence, cumulative_incidence, curve_limits
from salerno.analysis.sums.told_times import (
    CONF_TYPE,
    CONF_TYPES,
    GRID,
    Grid,
    grid_of,
    plain_time,
    told_ticks,
)
from salerno.kernel.errors import Invalid

NAME = "competing_risks"
LABEL = "Cumulative incidence with competing events"
PARAMETERS = (
    TIME,
    Parameter(name="event", label="Column with the code of the event", default="status"),
    Parameter(
        name="causes",
        label="Codes of each event",
        kind="object",
        hint='As JSON, e.g. {"relapse": [1], "death": [2]}',
        default='{"first": [1], "second": [2]}',
    ),
    Parameter(
        name="censored",
        label="Codes of no event",
        kind="object",
        hint="As JSON; [0] when empty",
        optional=True,
        advanced=True,
    ),
    Parameter(name="by", label="Curves for each", kind="one-or-more", optional=True),
    GRID,
    RESOLUTION,
    CONF_LEVEL,
    CONF_TYPE,
)


@dataclass(frozen=True)
class State:
    """The question and what is counted.

    Args:
        causes: Name of each event.
    """

    table: LifeTable
    causes: tuple[str, ...]
    grid: Grid
    conf_level: float
    conf_type: str


def start(question: Question, scope: Scope) -> State:
    """Check the question."""
    check_keys(question, PARAMETERS)
    causes = _causes(required(question, "causes"))
    listed = {"column": required(question, "event"), "codes": [c for codes in causes.values() for c in codes]}
    follow = follow_up(question, scope, time=required(question, "time"), event_column=listed)
    kinds = tuple(event(scope, listed | {"codes": list(codes)}).codes for codes in causes.values())
    if len(set(follow.event.codes)) < len(follow.event.codes):
        raise Invalid("event-codes", "'causes' has a code twice")
    censored = _codes(question.get("censored", [0]), "censored")
    known = (*event(scope, listed | {"codes": list(censored)}).codes, *follow.event.codes)
    if len(set(known)) < len(known):
        raise Invalid("event-codes", "A code is both among the 'causes' and 'censored'")
    follow = replace(follow, event=Event(follow.event.column, follow.event.codes, known))
    grid = grid_of(question, follow)
    factors = tuple(factor(scope, name, role="by") for name in names(question, "by", required=False))
    return State(
        table=LifeTable(scope, follow, factors, kinds, grid.times),
        causes=tuple(causes),
        grid=grid,
        conf_level=conf_level(question),
        conf_type=choice(question, "conf_type", CONF_TYPES, "log"),
    )


def local(view: ir.Table, state: State) -> Aggregate:
    """Survey the times, then count by time and event."""
    return state.table.local(view)


def guard(sums: Sums, state: State, scope: Scope) -> Sums:
    """Refuse to take part with too few persons; hide single events from few holders."""
    return state.table.guard(sums)


def step(sums: Sums, state: State) -> State | Result:
    """Agree the grid, then give the curves."""
    table = state.table
    if not table.follow.is_agreed:
        return replace(state, table=table.agreed(sums))
    died, left, min_cell = sums["died"], sums["left"], table.scope.policy.min_cell
    gone = died.sum(axis=0) + left
    hidden = table.hidden(sums)
    step_used, wanted = state.grid.ticks(gone.sum(axis=0), table.follow, min_cell)
    notes = table.count_notes(sums)
    strata: list[dict[str, Any]] = []
    suppressed = 0
    for group, label in enumerate(group_names(table.factors)):
        if not hidden[group] and not gone[group].any():
            notes.append(f"Nobody is in group {label}.")
            continue
        curves = cumulative_incidence(died[:, group], left[group])
        told = told_ticks(wanted, curves.at_risk, curves.died, min_cell) if not hidden[group] else wanted[:0]
        dropped = len([tick for tick in wanted if curves.at_risk[tick] > 0]) - len(told)
        if hidden[group]:
            notes.append(f"The curves of group {label} are left out: too few persons.")
        elif dropped:
            where = f" of group {label}" if table.factors else ""
            notes.append(f"The curves{where} leave out {dropped} of the times asked for: too few persons.")
        suppressed += 1 if hidden[group] else dropped
        strata += _strata(curves, label, told, bool(hidden[group]), state)
    result = {
        "strata": strata,
        "grid": step_used,
        "resolution": table.follow.resolution,
        "conf_level": state.conf_level,
        "conf_type": state.conf_type,
    }
    return Result(result, table.n, table.rows - table.n, tuple(notes), suppressed)


def _causes(given: Any) -> dict[str, tuple[Any, ...]]:
    if isinstance(given, Mapping):
        found = {str(name): _codes(codes, f"causes.{name}") for name, codes in given.items()}
    else:
        found = {str(code): (code,) for code in _codes(given, "causes")}
    if len(found) < 2:
        raise Invalid(
            "too-few-causes",
            "Competing risks need two 'causes' or more",
            remedy="For a single event ask 'kaplan_meier'.",
        )
    return found


def _codes(given: Any, key: str) -> tuple[Any, ...]:
    listed = given if isinstance(given, (list, tuple)) else [given]
    if not listed or not all(isinstance(code, (str, int, float, bool)) for code in listed):
        raise Invalid("event-codes", f"{key!r} must be a list of codes, as in [1]")
    return tuple(listed)


def _strata(
    curves: Incidence, label: str, told: NDArray[np.int64], is_hidden: bool, state: State
) -> list[dict[str, Any]]:
    """A record for each cause of one group."""
    policy, resolution = state.table.scope.policy, state.table.follow.resolution
    if state.grid == Grid() and policy.min_cell <= 1:
        told = told[curves.died[:, told].sum(axis=0) > 0]
    errors = curves.errors(told)
    records = []
    for kind, cause in enumerate(state.causes):
        share, error = curves.incidence[kind, told], errors[kind]
        low, high = curve_limits(share, error, conf_level=state.conf_level, conf_type=state.conf_type)
        events = np.diff(np.cumsum(curves.died[kind])[told], prepend=0)
        n_events = int(curves.died[kind].sum())
        # The events after the last time told must not follow from the total.
        rest_is_small = 0 < n_events - int(events.sum()) < policy.min_cell
        records.append(
            {
                "stratum": label,
                "cause": cause,
                "n": None if is_hidden else int(curves.at_risk[0]),
                "n_events": None if is_hidden or rest_is_small else n_events,
                "time": [plain_time(tick, resolution) for tick in told.tolist()],
                "incidence": share.tolist(),
                "std_error": error.tolist(),
                "conf_low": _finite(low),
                "conf_high": _finite(high),
                "at_risk": curves.at_risk[told].tolist(),
                "events": events.tolist(),
            }
        )
    return records


def _finite(values: NDArray[np.float64]) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values.tolist()]
