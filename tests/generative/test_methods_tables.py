"""Counts, moments, tables, quantiles and histograms over random data and splits equal the pooled ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from salerno.kernel.errors import Refused
from salerno.permits.model import DisclosurePolicy
from tests.unit.analysis.methods.harness import OPEN, run, scope_of

FEW = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
POLICIES = st.sampled_from([OPEN, DisclosurePolicy(min_cell=5)])
SHAPES = ["normal", "whole", "heavy", "shifted", "ties", "small"]


def values(shape: str, rng: np.random.Generator, n: int) -> np.ndarray:
    match shape:
        case "normal":
            return rng.normal(0, 3, n)
        case "whole":
            return rng.integers(-50, 1000, n).astype(float)
        case "heavy":
            return rng.standard_cauchy(n) * 10
        case "shifted":
            return 1e9 + rng.normal(size=n)
        case "ties":
            return rng.choice([-8.0, 0.0, 0.5, 4.0], n)
    return rng.normal(size=n) * 1e-6


@st.composite
def splits(draw: st.DrawFn) -> tuple[pd.DataFrame, list[pd.DataFrame]]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(30, 300))
    pooled = pd.DataFrame(
        {
            "x": values(draw(st.sampled_from(SHAPES)), rng, n),
            "y": rng.normal(5, 2, n),
            "sex": rng.choice(["F", "M"], n, p=[0.3, 0.7]),
            "stage": rng.choice([1, 2, 3, 4], n, p=[0.6, 0.25, 0.12, 0.03]),
        }
    )
    for name in ("x", "sex"):
        pooled.loc[rng.random(n) < 0.1, name] = None
    owner = rng.integers(0, draw(st.integers(1, 5)), n)
    return pooled, [pooled[owner == i].reset_index(drop=True) for i in range(owner.max() + 1)]


@FEW
@given(splits())
def test_describe_equals_pooled(data: tuple[pd.DataFrame, list[pd.DataFrame]]) -> None:
    pooled, frames = data
    one = run({"method": "describe", "variable": "x"}, frames)
    assert one.result["mean"] == pytest.approx(pooled["x"].mean(), rel=1e-12, abs=1e-12)
    assert one.result["variance"] == pytest.approx(pooled["x"].var(), rel=1e-8)
    assert (one.n, one.n_missing) == (pooled["x"].count(), pooled["x"].isna().sum())
    by = run({"method": "describe", "variables": ["x", "y"], "by": "sex"}, frames)
    for entry in by.result["variables"]:
        for group in entry["groups"]:
            own = pooled.loc[pooled["sex"] == group["levels"][0], entry["variable"]]
            assert group["n"] == own.count()
            assert group["mean"] == pytest.approx(own.mean(), rel=1e-10, abs=1e-10)
            assert group["variance"] == pytest.approx(own.var(), rel=1e-6)


@FEW
@given(splits())
def test_correlation_and_t_test_equal_pooled(data: tuple[pd.DataFrame, list[pd.DataFrame]]) -> None:
    pooled, frames = data
    complete = pooled.dropna(subset=["x", "y"])
    result = run({"method": "correlation", "variables": ["x", "y"]}, frames).result
    assert result["matrix"][0][1] == pytest.approx(complete["x"].corr(complete["y"]), rel=1e-7, abs=1e-10)
    groups = [group.dropna() for _, group in pooled.groupby("sex")["x"]]
    for equal in (True, False):
        question = {"method": "t_test", "variable": "x", "by": "sex", "equal_variance": equal}
        test = run(question, frames).result
        oracle = stats.ttest_ind(*groups, equal_var=equal)
        assert test["statistic"] == pytest.approx(oracle.statistic, rel=1e-6, abs=1e-9)
        assert test["p_value"] == pytest.approx(oracle.pvalue, rel=1e-6)
        assert test["df"] == pytest.approx(oracle.df, rel=1e-6)
        low, high = oracle.confidence_interval()
        assert (test["conf_low"], test["conf_high"]) == pytest.approx((low, high), rel=1e-6, abs=1e-9)


def table_of(pooled: pd.DataFrame) -> pd.DataFrame:
    """Counts by stage and sex, with a row for each stage that occurs at all."""
    table = pd.crosstab(pooled["stage"], pooled["sex"])
    return table.reindex(sorted(pooled["stage"].unique()), fill_value=0)


@FEW
@given(splits())
def test_crosstab_equals_pooled(data: tuple[pd.DataFrame, list[pd.DataFrame]]) -> None:
    pooled, frames = data
    result = run({"method": "crosstab", "rows": "stage", "columns": "sex"}, frames).result
    table = table_of(pooled)
    assert result["counts"] == table.to_numpy().tolist()
    oracle = stats.chi2_contingency(table[table.sum(axis=1) > 0], correction=False)
    assert result["chi_square"] == pytest.approx(oracle.statistic, rel=1e-10)
    assert result["p_value"] == pytest.approx(oracle.pvalue, rel=1e-8)
    counted = run({"method": "count", "by": ["sex", "stage"]}, frames).result
    assert [group["n"] for group in counted["groups"]] == table.T.to_numpy().ravel().tolist()


@FEW
@given(splits(), POLICIES)
def test_hidden_cells_cannot_be_had_by_subtraction(
    data: tuple[pd.DataFrame, list[pd.DataFrame]], policy: DisclosurePolicy
) -> None:
    _, frames = data
    frames = [frame for frame in frames if len(frame.dropna()) >= 10]
    assume(frames)
    result = run({"method": "crosstab", "rows": "stage", "columns": "sex"}, frames, policy).result
    table = table_of(pd.concat(frames, ignore_index=True)).to_numpy()
    told = np.array([[-1 if cell is None else cell for cell in row] for row in result["counts"]])
    assert ((told == table) | (told == -1)).all()
    assert not ((told > 0) & (told < policy.min_cell)).any()
    lines = [*zip(told, table, strict=True), *zip(told.T, table.T, strict=True)]
    for line, true in lines:
        blank = line == -1
        assert blank.sum() != 1
        assert not blank.any() or true[blank].sum() >= policy.min_cell or blank.all()


@FEW
@given(splits(), POLICIES)
def test_quantiles_lie_within_their_resolution(
    data: tuple[pd.DataFrame, list[pd.DataFrame]], policy: DisclosurePolicy
) -> None:
    _, frames = data
    frames = [frame for frame in frames if frame["x"].count() >= 10]
    assume(frames)
    probabilities = [0.0, 0.05, 0.25, 0.5, 0.77, 1.0]
    question = {"method": "quantiles", "variable": "x", "probabilities": probabilities}
    result = run(question, frames, policy).result
    pooled = pd.concat(frames)["x"].dropna()
    wanted = np.quantile(pooled, probabilities)
    for value, true, resolution in zip(result["values"], wanted, result["resolution"], strict=True):
        assert abs(value - true) <= resolution * (1 + 1e-9) + 1e-12 * abs(true)
    if policy is OPEN:
        size = np.abs(pooled).max()
        assert max(result["resolution"]) <= size * 1e-9 + 1e-11


@FEW
@given(splits(), POLICIES, st.sampled_from([10, 30, [-100.0, -1.0, 0.0, 0.5, 4.0, 1e3]]))
def test_histogram_equals_pooled(
    data: tuple[pd.DataFrame, list[pd.DataFrame]], policy: DisclosurePolicy, bins: object
) -> None:
    _, frames = data
    frames = [frame for frame in frames if frame["x"].count() >= 10]
    assume(frames)
    result = run({"method": "histogram", "variable": "x", "bins": bins}, frames, policy).result
    pooled = pd.concat(frames)["x"].dropna().to_numpy()
    edges = np.array(result["edges"])
    outer = [-np.inf, *edges[1:-1], np.inf] if isinstance(bins, int) else [-np.inf, *edges, np.inf]
    place = np.searchsorted(outer[1:-1], pooled, side="right")
    wanted = np.bincount(place, minlength=len(outer) - 1).tolist()
    told = (
        result["counts"] if isinstance(bins, int) else [result["below"], *result["counts"], result["above"]]
    )
    for count, true in zip(told, wanted, strict=True):
        assert count is None or count == true
        assert count is None or count == 0 or count >= policy.min_cell
    if policy is OPEN:
        assert None not in told


@FEW
@given(splits())
def test_a_holder_with_few_refuses(data: tuple[pd.DataFrame, list[pd.DataFrame]]) -> None:
    pooled, _ = data
    frames = [pooled[:25], pooled[25:28]]
    policy = DisclosurePolicy(min_cell=10)
    for question in (
        {"method": "count"},
        {"method": "describe", "variable": "y"},
        {"method": "crosstab", "rows": "stage", "columns": "sex"},
        {"method": "quantiles", "variable": "y"},
        {"method": "histogram", "variable": "y"},
        {"method": "correlation", "variables": ["x", "y"]},
        {"method": "t_test", "variable": "y", "by": "sex"},
        {"method": "glm", "formula": "y ~ x"},
    ):
        with pytest.raises(Refused, match="too-few-persons"):
            run(question, frames, scope=scope_of(frames, policy))
