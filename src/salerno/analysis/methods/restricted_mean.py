"""Restricted mean survival time: the mean time without the event up to a horizon, by group and compared.

Question: ``{"method": "restricted_mean", "time": "time", "event": "status", "by": "arm", "horizon": 365}``;
without ``horizon`` it is the last time of a suitable grid at which every group may be told.
Result: ``{"strata": [{"stratum", "n", "mean", "std_error", "conf_low", "conf_high", "lost"}], "contrasts":
[{"stratum", "reference", "difference", "std_error", "conf_low", "conf_high", "p_value", "ratio", "ratio_low",
"ratio_high", "ratio_p_value"}], "horizon", "resolution", "conf_level"}``; ``lost`` is the horizon less the
mean. Groups are compared with the first one; the ratio's interval is made on the log scale. Equal to R's
``print(survfit(…), rmean = horizon)`` and to ``survRM2::rmst2``.

A group is told when at its horizon at least the threshold are at risk, and until then none or at least the
threshold have had the event.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp, log
from typing import Any

import ibis.expr.types as ir
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from salerno.analysis.disclosure.cells import is_small
from salerno.analysis.grids import ticks
from salerno.analysis.model import Aggregate, Parameter, Question, Result, Scope, Sums
from salerno.analysis.questions import (
    CONF_LEVEL,
    EVENT,
    RESOLUTION,
    TIME,
    check_keys,
    conf_level,
    factor,
    names,
    number,
    required,
)
from salerno.analysis.sums.follow_up import follow_up
from salerno.analysis.sums.life_table import LifeTable, group_names
from salerno.analysis.sums.survival import Curve, kaplan_meier, restricted_mean
from salerno.analysis.sums.told_times import Grid, plain_time, told_ticks
from salerno.kernel.errors import Refused

NAME = "restricted_mean"
LABEL = "Restricted mean survival time"
PARAMETERS = (
    TIME,
    EVENT,
    Parameter(name="by", label="Compare", kind="one-or-more", optional=True),
    Parameter(
        name="horizon",
        label="Up to which time",
        kind="number",
        hint="In the unit of the time column, e.g. 365; chosen for you when empty",
        optional=True,
    ),
    RESOLUTION,
    CONF_LEVEL,
)


@dataclass(frozen=True)
class State:
    """The question and what is counted."""

    table: LifeTable
    horizon: float | None
    conf_level: float


def start(question: Question, scope: Scope) -> State:
    """Check the question."""
    check_keys(question, PARAMETERS)
    follow = follow_up(
        question, scope, time=required(question, "time"), event_column=required(question, "event")
    )
    asked = question.get("horizon")
    horizon = None if asked is None else number(asked, key="horizon", above=0.0)
    factors = tuple(factor(scope, name, role="by") for name in names(question, "by", required=False))
    times = () if horizon is None else (horizon,)
    return State(LifeTable(scope, follow, factors, times=times), horizon, conf_level(question))


def local(view: ir.Table, state: State) -> Aggregate:
    """Survey the times, then count by time."""
    return state.table.local(view)


def guard(sums: Sums, state: State, scope: Scope) -> Sums:
    """Refuse to take part with too few persons; hide single events from few holders."""
    return state.table.guard(sums)


def step(sums: Sums, state: State) -> State | Result:
    """Agree the grid, then give the means."""
    table = state.table
    if not table.follow.is_agreed:
        return replace(state, table=table.agreed(sums))
    died, left = sums["died"][0], sums["left"]
    n = (died + left).sum(axis=1)
    hidden = table.hidden(sums)
    used = np.flatnonzero((n > 0) & ~hidden)
    curves = {int(group): kaplan_meier(died[group], left[group]) for group in used}
    horizon = state.horizon or _common_horizon(list(curves.values()), (died + left).sum(axis=0), state)
    notes = table.count_notes(sums)
    strata: list[dict[str, Any]] = []
    for group, label in enumerate(group_names(table.factors)):
        if group not in curves and not hidden[group]:
            notes.append(f"Nobody is in group {label}.")
        elif group in curves and _can_tell(curves[group], horizon, state):
            strata.append(_stratum(label, int(n[group]), curves[group], horizon, state))
        else:
            strata.append({"stratum": label, **dict.fromkeys(_FIGURES)})
            notes.append(f"Group {label} has too few persons or events up to {horizon:g}.")
    result = {
        "strata": strata,
        "contrasts": _contrasts(strata, state.conf_level),
        "horizon": horizon,
        "resolution": table.follow.resolution,
        "conf_level": state.conf_level,
    }
    suppressed = sum(stratum["mean"] is None for stratum in strata)
    return Result(result, table.n, table.rows - table.n, tuple(notes), suppressed)


_FIGURES = ("n", "mean", "std_error", "conf_low", "conf_high", "lost")


def _common_horizon(curves: list[Curve], gone: NDArray[np.int64], state: State) -> float:
    """The last time of the usual grid at which all groups may be told."""
    follow, min_cell = state.table.follow, state.table.scope.policy.min_cell
    _, wanted = Grid().ticks(gone, follow, min_cell)
    last = [told_ticks(wanted, c.at_risk, c.died[None], min_cell)[-1:] for c in curves]
    if not last or not all(len(told) for told in last):
        raise Refused(
            "too-few-persons",
            "A group has too few persons or events at any time",
            remedy="Give a 'horizon', or ask about larger groups.",
        )
    return plain_time(int(min(told[0] for told in last)), follow.resolution)


def _can_tell(curve: Curve, horizon: float, state: State) -> bool:
    policy = state.table.scope.policy
    [tick] = ticks([horizon], state.table.follow.resolution).tolist()
    if tick >= len(curve.at_risk) or curve.at_risk[tick] < max(policy.min_cell, 1):
        return False
    return not is_small(curve.died[: tick + 1].sum(), policy.min_cell)


def _stratum(label: str, n: int, curve: Curve, horizon: float, state: State) -> dict[str, Any]:
    mean, error = restricted_mean(curve, horizon=horizon, resolution=state.table.follow.resolution)
    width = float(ndtri(0.5 + state.conf_level / 2)) * error
    figures = (n, mean, error, mean - width, mean + width, horizon - mean)
    return {"stratum": label, **dict(zip(_FIGURES, figures, strict=True))}


def _contrasts(strata: list[dict[str, Any]], level: float) -> list[dict[str, Any]]:
    """Each further group against the first."""
    if not strata or strata[0]["mean"] is None:
        return []
    first, *others = strata
    return [_contrast(other, first, level) for other in others if other["mean"] is not None]


def _contrast(group: dict[str, Any], first: dict[str, Any], level: float) -> dict[str, Any]:
    width = float(ndtri(0.5 + level / 2))
    difference = group["mean"] - first["mean"]
    error = float(np.hypot(group["std_error"], first["std_error"]))
    contrast: dict[str, Any] = {
        "stratum": group["stratum"],
        "reference": first["stratum"],
        "difference": difference,
        "std_error": error,
        "conf_low": difference - width * error,
        "conf_high": difference + width * error,
        "p_value": _p_value(difference, error),
    }
    if min(group["mean"], first["mean"]) <= 0:
        return contrast
    ratio = log(group["mean"] / first["mean"])
    error = float(np.hypot(group["std_error"] / group["mean"], first["std_error"] / first["mean"]))
    return contrast | {
        "ratio": exp(ratio),
        "ratio_low": exp(ratio - width * error),
        "ratio_high": exp(ratio + width * error),
        "ratio_p_value": _p_value(ratio, error),
    }


def _p_value(estimate: float, error: float) -> float | None:
    return float(2 * ndtr(-abs(estimate) / error)) if error > 0 else None
