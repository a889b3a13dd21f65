"""Survival curves, competing risks and restricted means against R's survival; what few holders may tell.

The data come from formulas, so that R has the same:

    i <- 0:299
    u <- function(a, b) ((i * a + b) %% 1009) / 1009
    d <- data.frame(time = ceiling(60 * (0.02 + u(367, 11))^1.5),
                    code = ifelse(u(523, 77) < 0.35, 1, ifelse(u(523, 77) < 0.6, 2, 0)),
                    arm = c("a", "b", "c")[1 + i %% 3], age = 40 + round(40 * u(131, 7)))
    d$dead <- as.integer(d$code > 0)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salerno.analysis.methods import method_of
from salerno.analysis.sums.life_table import event_steps, spread
from salerno.kernel.errors import Invalid, Refused
from salerno.permits.model import DisclosurePolicy
from tests.unit.analysis.methods.harness import run, scope_of, views_of

TEN = DisclosurePolicy()
SURV = {"time": "time", "event": "dead"}
CAUSES = {
    "method": "competing_risks",
    "time": "time",
    "event": "code",
    "causes": {"first": [1], "second": [2]},
}


def patients() -> pd.DataFrame:
    i = np.arange(300)

    def u(a: int, b: int) -> Any:
        return ((i * a + b) % 1009) / 1009

    code = np.where(u(523, 77) < 0.35, 1, np.where(u(523, 77) < 0.6, 2, 0))
    return pd.DataFrame(
        {
            "time": np.ceil(60 * (0.02 + u(367, 11)) ** 1.5).astype(int),
            "code": code,
            "arm": np.array(["a", "b", "c"])[i % 3],
            "age": 40 + np.round(40 * u(131, 7)),
            "dead": (code > 0).astype(int),
        }
    )


def split(n: int) -> list[pd.DataFrame]:
    pooled = patients()
    owner = np.arange(len(pooled)) * n // len(pooled)
    return [pooled[owner == i].reset_index(drop=True) for i in range(n)]


def test_cumulative_incidence_equals_that_of_r() -> None:
    # s <- summary(survfit(Surv(time, factor(code)) ~ arm, d), times = c(10, 30, 50)): pstate, std.err, lower
    wanted = {
        ("a", "first"): [
            (0.1051241830065, 0.0315113323837, 0.0584187241687),
            (0.2611020252172, 0.0487292890533, 0.1811136109666),
            (0.4248193201298, 0.0609527338278, 0.3206819736789),
        ],
        ("b", "second"): [
            (0.0625086021427, 0.0247429927354, 0.0287743673072),
            (0.1992002334525, 0.0437577126538, 0.1295116913785),
            (0.3359754605311, 0.0567625606152, 0.2412672129141),
        ],
        ("c", "first"): [
            (0.0950381917824, 0.0301963544473, 0.0509855448604),
            (0.2523039810830, 0.0483344843176, 0.1733234653109),
            (0.4543097855343, 0.0657217226823, 0.3421487031893),
        ],
    }
    result = run(CAUSES | {"by": "arm", "grid": [10, 30, 50]}, split(4)).result
    curves = {(curve["stratum"], curve["cause"]): curve for curve in result["strata"]}
    assert len(curves) == 6
    for key, rows in wanted.items():
        got = zip(*(curves[key][name] for name in ("incidence", "std_error", "conf_low")), strict=True)
        assert [value for row in got for value in row] == pytest.approx(
            [value for row in rows for value in row], rel=1e-9
        )
    assert curves["b", "first"]["at_risk"] == [73, 36, 10]


def test_restricted_means_equal_those_of_r() -> None:
    # summary(survfit(Surv(time, dead) ~ arm, d), rmean = 40)$table[, c("rmean", "se(rmean)")]
    wanted = [
        (27.5122275591, 1.51148269973),
        (26.9521402442, 1.51533664601),
        (28.5367971215, 1.49565851568),
    ]
    result = run({"method": "restricted_mean", **SURV, "by": "arm", "horizon": 40}, split(3)).result
    for group, figures in zip(result["strata"], wanted, strict=True):
        assert (group["mean"], group["std_error"]) == pytest.approx(figures, rel=1e-10)
        assert group["lost"] == pytest.approx(40 - figures[0])
    # As survRM2 compares arms: errors add in squares, of the ratio on the log scale.
    second = result["contrasts"][0]
    assert (second["stratum"], second["reference"]) == ("b", "a")
    assert second["difference"] == pytest.approx(wanted[1][0] - wanted[0][0])
    assert second["std_error"] == pytest.approx(np.hypot(wanted[0][1], wanted[1][1]))
    error = np.hypot(wanted[0][1] / wanted[0][0], wanted[1][1] / wanted[1][0])
    assert np.log(second["ratio_high"] / second["ratio"]) == pytest.approx(1.959963985 * error)


def test_a_horizon_is_found_and_one_too_far_is_not_told() -> None:
    found = run({"method": "restricted_mean", **SURV, "by": "arm"}, split(3), TEN).result
    assert found["horizon"] == 45
    assert all(group["mean"] for group in found["strata"])
    late = run({"method": "restricted_mean", **SURV, "by": "arm", "horizon": 59}, split(3), TEN)
    assert [group["mean"] for group in late.result["strata"]] == [None, None, None]
    assert (late.suppressed, late.result["contrasts"]) == (3, [])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"causes": [1]}, "two 'causes'"),
        ({"causes": [1, 1]}, "two 'causes'"),
        ({"causes": {"a": [1], "b": [1, 2]}}, "a code twice"),
        ({"causes": [1, 2], "censored": [2]}, "both among"),
        ({"causes": {"a": [], "b": [2]}}, "causes.a"),
        ({"causes": ["one", "two"]}, "'one' is no integer value"),
        ({"causes": [1, 3]}, "codes other than 0 and 1 and 3"),
    ],
)
def test_wrong_causes_are_named(change: dict[str, Any], says: str) -> None:
    with pytest.raises(Invalid, match=says):
        run(CAUSES | change, split(3))


@pytest.mark.parametrize("method", ["competing_risks", "kaplan_meier", "restricted_mean", "log_rank"])
@pytest.mark.parametrize("n_holders", [1, 2])
def test_few_holders_tell_of_steps_alone(method: str, n_holders: int) -> None:
    question = {**SURV, "method": method, "by": "arm"}
    if method == "competing_risks":
        question = CAUSES | {"by": "arm"}
    frames = split(n_holders)
    exact, result = run(question, frames), run(question, frames, TEN)
    assert not any("steps of time" in note for note in exact.notes)
    assert any("steps of time with at least 10 events" in note for note in result.notes)
    if method == "log_rank":
        assert result.result["chi_square"] == pytest.approx(exact.result["chi_square"], abs=0.5)
        return
    name = {"competing_risks": "incidence", "kaplan_meier": "survival", "restricted_mean": "mean"}[method]
    if method == "restricted_mean":
        horizon = result.result["horizon"]
        exact = run(question | {"horizon": horizon}, frames)
    told = [stratum for stratum in result.result["strata"] if stratum[name]]
    assert told
    for stratum in told:
        same = next(
            s
            for s in exact.result["strata"]
            if (s["stratum"], s.get("cause")) == (stratum["stratum"], stratum.get("cause"))
        )
        if method == "restricted_mean":
            assert stratum["mean"] == pytest.approx(same["mean"], rel=0.05)
            continue
        at = np.searchsorted(same["time"], stratum["time"], side="right") - 1
        assert stratum[name] == pytest.approx(np.array(same[name])[at], abs=0.1)


def test_what_leaves_one_of_two_holders_has_no_small_count() -> None:
    """A holder subtracts its own part from the totals and has the other's: no single event is in it."""
    frames = split(2)
    scope = scope_of(frames, TEN)
    question = {"method": "kaplan_meier", **SURV, "by": "arm"}
    method = method_of(question)

    def shares(few: bool) -> tuple[Any, Any]:
        state = method.start(question, scope)
        for _ in range(2):
            parts = []
            for view in views_of(frames, scope):
                aggregate = method.local(view, state)
                sums = aggregate.finish(aggregate.expression.to_pyarrow())
                parts.append(method.guard(sums, state, scope) if few else sums)
            total = {name: parts[0][name] + parts[1][name] for name in parts[0]}
            if "died" in total:
                break
            state = method.step(total, state)
        return total, parts[0]

    total, own = shares(few=False)
    other = total["died"] - own["died"]
    own_times = frames[1].loc[frames[1]["dead"] == 1].groupby(["arm", "time"]).size()
    assert (own_times == 1).any()
    for (arm, time), count in own_times.items():  # without protection each event time is read off
        assert other[0, "abc".index(arm), time] == count
    total, own = shares(few=True)
    other = total["died"] - own["died"]
    wrong = sum(other[0, "abc".index(arm), time] != count for (arm, time), count in own_times.items())
    assert wrong > len(own_times) / 4
    assert other.sum() == frames[1]["dead"].sum()


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 6), min_size=40, max_size=40), min_size=1, max_size=3),
    st.integers(2, 12),
)
def test_steps_have_nobody_or_enough(rows: list[list[int]], least: int) -> None:
    counts = np.array(rows)
    starts = event_steps(counts, least)
    totals = np.add.reduceat(counts, starts, axis=1)
    if len(starts) > 1:
        assert ((totals == 0) | (totals >= least)).all()
    even = spread(counts, starts)
    assert (np.add.reduceat(even, starts, axis=1) == totals).all()
    assert (even >= 0).all()
    # Nothing but the totals is left: any other rows with the same totals are spread alike.
    moved = np.zeros_like(counts)
    moved[:, starts] = totals
    assert (spread(moved, starts) == even).all()


def test_a_group_too_small_at_one_of_two_holders_is_not_compared() -> None:
    frames = split(2)
    frames[0] = frames[0][(frames[0]["arm"] != "c") | (frames[0].index < 15)]
    question = {**SURV, "by": "arm"}
    with pytest.raises(Refused, match="small-level"):
        run({"method": "log_rank", **question}, frames, TEN)
    curves = run({"method": "kaplan_meier", **question}, frames, TEN).result["strata"]
    assert curves[2]["n"] is None
    assert sum(curve["n"] is None for curve in curves) >= 2


def test_a_policy_may_ask_for_steps_of_any_number_of_holders() -> None:
    policy = DisclosurePolicy(shared_risk_sets=False)
    result = run({"method": "kaplan_meier", **SURV}, split(3), policy)
    assert any("by a holder's policy" in note for note in result.notes)
    exact = run({"method": "kaplan_meier", **SURV, "grid": 10}, split(3)).result["strata"][0]
    close = run({"method": "kaplan_meier", **SURV, "grid": 10}, split(3), policy).result["strata"][0]
    assert close["survival"][:4] == pytest.approx(exact["survival"][:4], abs=0.04)


def test_everybody_censored_or_dead_at_once() -> None:
    frames = [frame.assign(dead=0) for frame in split(3)]
    [curve] = run({"method": "kaplan_meier", **SURV, "grid": 10}, frames, TEN).result["strata"]
    assert set(curve["survival"]) == {1.0}
    mean = run({"method": "restricted_mean", **SURV, "horizon": 30}, frames, TEN).result["strata"][0]
    assert (mean["mean"], mean["std_error"]) == (30.0, 0.0)
    frames = [frame.assign(dead=1, time=0) for frame in split(3)]
    [curve] = run({"method": "kaplan_meier", **SURV}, frames).result["strata"]
    assert curve["survival"] == [0.0]
    assert curve["std_error"] == [None]
