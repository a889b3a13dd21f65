"""Survival curves and tests over random data and splits equal lifelines on the pooled rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lifelines import KaplanMeierFitter
from lifelines.statistics import multivariate_logrank_test
from lifelines.utils import restricted_mean_survival_time

from salerno.permits.model import DisclosurePolicy
from tests.unit.analysis.methods.harness import run, scope_of

FEW = settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


@st.composite
def splits(draw: st.DrawFn, least: int = 30) -> tuple[pd.DataFrame, list[pd.DataFrame]]:
    """Times with ties, of whole numbers or decimals, over one to five holders."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(least, 300))
    times = rng.exponential(draw(st.sampled_from([2.0, 40.0, 3000.0])), n)
    decimals = draw(st.sampled_from([0, 1]))
    pooled = pd.DataFrame(
        {
            "time": times.round(decimals),
            "dead": rng.random(n) < draw(st.sampled_from([0.3, 0.8])),
            "arm": rng.choice(["a", "b", "c"], n),
        }
    )
    pooled.loc[rng.random(n) < 0.05, "time"] = None
    owner = rng.integers(0, draw(st.integers(1, 5)), n)
    return pooled, [pooled[owner == i].reset_index(drop=True) for i in range(owner.max() + 1)]


@FEW
@given(splits())
def test_kaplan_meier_equals_pooled(data: tuple[pd.DataFrame, list[pd.DataFrame]]) -> None:
    pooled, frames = data
    question = {"method": "kaplan_meier", "time": "time", "event": "dead", "by": "arm"}
    result = run(question, frames).result
    for curve in result["strata"]:
        own = pooled[(pooled["arm"] == curve["stratum"])].dropna()
        resolution = result["resolution"]
        rounded = np.ceil(own["time"] / resolution - 1e-9) * resolution
        oracle = KaplanMeierFitter().fit(rounded, own["dead"])
        assert curve["n"] == len(own)
        assert curve["n_events"] == own["dead"].sum()
        wanted = oracle.survival_function_at_times(np.array(curve["time"]) + 1e-6).to_numpy()
        assert curve["survival"] == pytest.approx(wanted.tolist(), abs=1e-9)
        risk = [int((rounded >= time - 1e-6).sum()) for time in curve["time"]]
        assert curve["at_risk"] == risk


@FEW
@given(splits())
def test_log_rank_equals_pooled(data: tuple[pd.DataFrame, list[pd.DataFrame]]) -> None:
    pooled, frames = data
    question = {"method": "log_rank", "time": "time", "event": "dead", "by": "arm", "resolution": 0.1}
    if pooled["time"].max() > 1000 or (pooled["time"].dropna() % 1 == 0).all():
        question["resolution"] = 1
        pooled = pooled.assign(time=np.ceil(pooled["time"]))
    complete = pooled.dropna()
    oracle = multivariate_logrank_test(complete["time"].round(6), complete["arm"], complete["dead"])
    result = run(question, frames).result
    assert result["chi_square"] == pytest.approx(oracle.test_statistic, rel=1e-6, abs=1e-9)
    assert result["p_value"] == pytest.approx(oracle.p_value, rel=1e-6, abs=1e-12)
    assert sum(group["observed"] for group in result["strata"]) == complete["dead"].sum()
    assert sum(group["expected"] for group in result["strata"]) == pytest.approx(complete["dead"].sum())


@FEW
@given(splits(least=100), st.sampled_from([None, 5, [1, 20, 100]]))
def test_no_step_tells_of_few(data: tuple[pd.DataFrame, list[pd.DataFrame]], grid: object) -> None:
    _, frames = data
    least = 10
    frames = [frame for frame in frames if len(frame) > 40] or [pd.concat(frames)]
    policy = DisclosurePolicy(min_cell=least)
    question = {"method": "kaplan_meier", "time": "time", "event": "dead", "resolution": 1}
    result = run(question | ({"grid": grid} if grid else {}), frames, scope=scope_of(frames, policy)).result
    [curve] = result["strata"]
    assert all(count == 0 or count >= least for count in curve["events"])
    assert all(count >= least for count in curve["at_risk"])
    if curve["n_events"] is not None:
        rest = curve["n_events"] - sum(curve["events"])
        assert rest == 0 or rest >= least


@FEW
@given(splits(), st.sampled_from([2, 30]))
def test_restricted_mean_equals_pooled(data: tuple[pd.DataFrame, list[pd.DataFrame]], horizon: float) -> None:
    pooled, frames = data
    question = {"method": "restricted_mean", "time": "time", "event": "dead", "horizon": horizon}
    result = run(question, frames).result
    own = pooled.dropna()
    rounded = np.ceil(own["time"] / result["resolution"] - 1e-9) * result["resolution"]
    [group] = result["strata"]
    if rounded.max() < horizon:
        assert group["mean"] is None
        return
    curve = KaplanMeierFitter().fit(rounded, own["dead"])
    wanted = restricted_mean_survival_time(curve, t=horizon)
    assert group["mean"] == pytest.approx(wanted, rel=1e-6)


@FEW
@given(splits())
def test_incidences_add_up_and_do_not_depend_on_the_split(
    data: tuple[pd.DataFrame, list[pd.DataFrame]],
) -> None:
    _, frames = data
    question = {"method": "competing_risks", "time": "time", "event": "code", "causes": [1, 2]}
    frames = [f.assign(code=np.where(f["dead"], 1 + (f["arm"] == "a"), 0)) for f in frames]
    whole = pd.concat(frames, ignore_index=True)
    result = run(question, frames).result
    one = run(question, [whole]).result
    assert result == one
    curves = result["strata"]
    survival = run({"method": "kaplan_meier", "time": "time", "event": "dead"}, frames).result["strata"][0]
    assert curves[0]["time"] == survival["time"]
    total = np.array(curves[0]["incidence"]) + np.array(curves[1]["incidence"])
    assert total == pytest.approx(1 - np.array(survival["survival"]), abs=1e-12)


@settings(FEW, max_examples=5)
@given(splits(least=80), st.sampled_from(["efron", "breslow"]), st.booleans())
def test_counting_process_does_not_depend_on_the_split(
    data: tuple[pd.DataFrame, list[pd.DataFrame]], ties: str, shared: bool
) -> None:
    pooled, _ = data
    frame = pooled.dropna().reset_index(drop=True)
    frame = frame[frame["time"] >= 1].reset_index(drop=True)
    frame["time"] = np.ceil(frame["time"]).astype(int)
    i = np.arange(len(frame))
    cut = np.minimum(frame["time"] - 1, i % 7)
    late = frame.assign(start=cut, dose=(i % 4) + 1.0, person=i, w=1.0 + i % 3, site=i % 3)
    early = late.assign(time=cut, start=0, dead=False, dose=0.5 * (i % 3))
    rows = pd.concat([late, early[cut > 0]], ignore_index=True)
    frames = [rows[rows["site"] == k].reset_index(drop=True) for k in range(3)]
    question = {
        "method": "cox",
        "formula": "Surv(start, time, dead) ~ dose",
        "ties": ties,
        "weights": "w",
        "id": "person",
        "errors": "HC0",
        "resolution": 1,
        "proportional_hazards": "identity",
        "predict": {"dose": 1.0},
    }
    rows["site"] = rows["site"].map(lambda k: f"h{k}")
    split = run(question | {"strata": None if shared else "holder"}, frames).result
    whole = run(question | {"strata": None if shared else "site"}, [rows]).result
    for name in ("terms", "proportional_hazards", "log_likelihood", "n_persons", "n_clusters"):
        same(split[name], whole[name])
    assert len(split["survival"]) == len(whole["survival"])
    for one, other in zip(split["survival"], whole["survival"], strict=True):
        # After the last event shared risk sets do not say how many are left, so nothing is told there.
        assert set(one["time"]) <= set(other["time"])
        at = [other["time"].index(time) for time in one["time"]]
        for name in ("survival", "std_error"):
            same(one[name], [other[name][i] for i in at])


def same(got: object, wanted: object) -> None:
    if isinstance(wanted, dict):
        assert isinstance(got, dict)
        for key, value in wanted.items():
            same(got[key], value)
    elif isinstance(wanted, list):
        assert isinstance(got, list)
        assert len(got) == len(wanted)
        for one, other in zip(got, wanted, strict=True):
            same(one, other)
    elif isinstance(wanted, float):
        assert got == pytest.approx(wanted, rel=1e-6, abs=1e-8)
    else:
        assert got == wanted
