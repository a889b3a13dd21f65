"""Regressions over random data and splits equal the pooled fits of statsmodels and lifelines."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from lifelines import CoxPHFitter

from salerno.analysis.model import Result
from salerno.kernel.errors import Refused
from tests.unit.analysis.methods.harness import run

FEW = settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
FAMILIES = {
    "gaussian": sm.families.Gaussian(),
    "binomial": sm.families.Binomial(),
    "poisson": sm.families.Poisson(),
}


@st.composite
def splits(draw: st.DrawFn) -> tuple[pd.DataFrame, list[pd.DataFrame]]:
    """Pooled rows with missing values, and the same over one to five holders, one of them perhaps empty."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(60, 300))
    n_levels = draw(st.integers(2, 4))
    pooled = pd.DataFrame(
        {
            "age": rng.normal(60, 10, n).round(1),
            "year": 2000.0 + rng.integers(0, 20, n),
            "sex": rng.choice(["F", "M"], n),
            "site": rng.choice(list("abcd")[:n_levels], n),
            "flag": rng.random(n) < 0.4,
            "exposure": rng.uniform(0.5, 5, n),
            "weight": rng.integers(1, 4, n),
        }
    )
    effect = -0.5 + 0.03 * (pooled["age"] - 60) + 0.5 * (pooled["sex"] == "M") - 0.4 * (pooled["site"] == "b")
    pooled["sick"] = (rng.random(n) < 1 / (1 + np.exp(-effect))).astype(int)
    pooled["visits"] = rng.poisson(np.exp(effect) * pooled["exposure"])
    pooled["score"] = draw(st.sampled_from([0.0, 1e4])) + effect + rng.normal(size=n)
    pooled["time"] = np.ceil(rng.exponential(20, n) / np.exp(effect)).clip(0, 400)
    pooled["dead"] = (rng.random(n) < 0.6).astype(int)
    gaps = draw(st.sampled_from([0.0, 0.05]))
    for name in ("age", "sex", "time"):
        pooled.loc[rng.random(n) < gaps, name] = None
    n_holders = draw(st.integers(1, 5))
    owner = rng.integers(0, n_holders, n)
    if draw(st.booleans()):
        owner[pooled["site"] == "b"] = 0  # a level that other holders do not have
    if n_holders > 2 and draw(st.booleans()):
        owner[owner == 1] = 0  # a holder that has nobody
    pooled["owner"] = [f"h{i}" for i in owner]
    return pooled, [pooled[owner == i].reset_index(drop=True) for i in range(n_holders)]


def fit(formula: str, data: pd.DataFrame, family: str, **given: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            model = smf.glm(formula, data, family=FAMILIES[family], **given)
            return model.fit(tol=1e-13, maxiter=200)
        except Warning:
            assume(False)


def same_terms(result: Result, names: dict[str, str], params: Any, errors: Any) -> None:
    got = {term["term"]: term for term in result.result["terms"]}
    assert list(got) == list(names)
    for ours, theirs in names.items():
        assert got[ours]["estimate"] == pytest.approx(params[theirs], rel=1e-6, abs=1e-9)
        assert got[ours]["std_error"] == pytest.approx(errors[theirs], rel=1e-6)


def site_names(pooled: pd.DataFrame, prefix: str = "site") -> dict[str, str]:
    return {f"site{level}": f"{prefix}[T.{level}]" for level in sorted(pooled["site"].unique())[1:]}


@FEW
@given(splits(), st.sampled_from(list(FAMILIES)))
def test_glm_equals_pooled(data: tuple[pd.DataFrame, list[pd.DataFrame]], family: str) -> None:
    pooled, frames = data
    response = {"gaussian": "score", "binomial": "sick", "poisson": "visits"}[family]
    complete = pooled.dropna(subset=["age", "sex"])
    assume(complete["site"].nunique() == pooled["site"].nunique() and complete["sex"].nunique() == 2)
    oracle = fit(f"{response} ~ age + year + sex + site", complete, family)
    assume(np.abs(oracle.params.iloc[1:]).max() < 5)
    question = {"method": "glm", "formula": f"{response} ~ age + year + sex + site", "family": family}
    result = run(question, frames)
    names = {
        "(Intercept)": "Intercept",
        "age": "age",
        "year": "year",
        "sexM": "sex[T.M]",
        **site_names(complete),
    }
    same_terms(result, names, oracle.params, oracle.bse)
    assert (result.n, result.n_missing) == (len(complete), len(pooled) - len(complete))
    for name, value in (
        ("deviance", oracle.deviance),
        ("null_deviance", oracle.null_deviance),
        ("log_likelihood", oracle.llf),
        ("aic", oracle.aic + (2 if family == "gaussian" else 0)),  # R counts the dispersion
        ("dispersion", oracle.scale),
    ):
        assert result.result[name] == pytest.approx(value, rel=1e-8)
    lowest, highest = oracle.conf_int().loc["age"]
    if family != "gaussian":
        age = result.result["terms"][1]
        assert (age["conf_low"], age["conf_high"]) == pytest.approx((lowest, highest), rel=1e-6)


@FEW
@given(splits(), st.sampled_from(list(FAMILIES)))
def test_glm_with_weights_interaction_and_arithmetic(
    data: tuple[pd.DataFrame, list[pd.DataFrame]], family: str
) -> None:
    pooled, frames = data
    response = {"gaussian": "score", "binomial": "sick", "poisson": "visits"}[family]
    complete = pooled.dropna(subset=["age", "sex"]).assign(yes=lambda d: d["flag"].astype(float))
    key = "var_weights" if family == "gaussian" else "freq_weights"
    oracle = fit(
        f"{response} ~ sex * np.log(age) + I(exposure ** 2) + yes",
        complete,
        family,
        **{key: complete["weight"]},
    )
    question = {
        "method": "glm",
        "formula": f"{response} ~ sex * log(age) + I(exposure^2) + flag",
        "family": family,
        "weights": "weight",
    }
    names = {
        "(Intercept)": "Intercept",
        "sexM": "sex[T.M]",
        "log(age)": "np.log(age)",
        "I(exposure^2)": "I(exposure ** 2)",
        "flag": "yes",
        "sexM:log(age)": "sex[T.M]:np.log(age)",
    }
    result = run(question, frames)
    same_terms(result, names, oracle.params, oracle.bse)
    assert result.result["deviance"] == pytest.approx(oracle.deviance, rel=1e-8)


@FEW
@given(splits(), st.sampled_from(list(FAMILIES)))
def test_glm_with_offset(data: tuple[pd.DataFrame, list[pd.DataFrame]], family: str) -> None:
    pooled, frames = data
    complete = pooled.dropna(subset=["age"])
    response = {"gaussian": "score", "binomial": "sick", "poisson": "visits"}[family]
    oracle = fit(f"{response} ~ age", complete, family, offset=np.log(complete["exposure"]))
    question = {"method": "glm", "formula": f"{response} ~ age", "family": family, "offset": "log(exposure)"}
    result = run(question, frames)
    same_terms(result, {"(Intercept)": "Intercept", "age": "age"}, oracle.params, oracle.bse)
    assert result.result["deviance"] == pytest.approx(oracle.deviance, rel=1e-8)
    assert result.result["null_deviance"] == pytest.approx(oracle.null_deviance, rel=1e-6)


@FEW
@given(splits(), st.sampled_from(["holder", None, "site"]))
def test_cox_equals_pooled(data: tuple[pd.DataFrame, list[pd.DataFrame]], strata: str | None) -> None:
    pooled, frames = data
    used = ["time", "dead", "age", "sex"] + (["site"] if strata == "site" else [])
    complete = pooled.dropna(subset=used).assign(
        sexM=lambda d: (d["sex"] == "M").astype(float), yes=lambda d: d["flag"].astype(float)
    )
    column = {"holder": "owner", "site": "site"}.get(strata or "")
    columns = ["time", "dead", "age", "sexM", "yes", *([column] if column else [])]
    question = {"method": "cox", "formula": "Surv(time, dead) ~ age + sex + flag", "strata": strata}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            oracle = CoxPHFitter().fit(
                complete[columns],
                "time",
                "dead",
                strata=[column] if column else None,
                fit_options={"precision": 1e-12},
            )
        except Exception:
            with pytest.raises(Refused):
                run(question, frames)
            return
    assume(np.abs(oracle.params_["sexM"]) < 5)
    result = run(question, frames)
    names = {"age": "age", "sexM": "sexM", "flag": "yes"}
    same_terms(result, names, oracle.params_, oracle.standard_errors_)
    assert result.result["log_likelihood"] == pytest.approx(oracle.log_likelihood_, rel=1e-8)
    test = oracle.log_likelihood_ratio_test()
    if column is None:
        assert result.result["likelihood_ratio"]["statistic"] == pytest.approx(
            test.test_statistic, rel=1e-5, abs=1e-6
        )
    assert result.result["n_events"] == complete["dead"].sum()
    assert result.n == len(complete)


@FEW
@given(splits(), st.sampled_from(["gaussian", "binomial", "poisson"]), st.booleans())
def test_robust_errors_equal_pooled(
    data: tuple[pd.DataFrame, list[pd.DataFrame]], family: str, clustered: bool
) -> None:
    pooled, frames = data
    response = {"gaussian": "score", "binomial": "sick", "poisson": "visits"}[family]
    complete = pooled.dropna(subset=["age"])
    formula = f"{response} ~ age + exposure"
    oracle = fit(formula, complete, family)
    assume(np.abs(oracle.params.iloc[1:]).max() < 5)
    x = oracle.model.exog
    scores = x * np.asarray(oracle.resid_response)[:, None]
    factor = 1.0
    if clustered:
        groups = pd.factorize(complete["owner"] + complete["site"])[0]
        n_groups = groups.max() + 1
        assume(n_groups > 3)
        scores = np.array([scores[groups == g].sum(axis=0) for g in range(n_groups)])
        factor = n_groups / (n_groups - 1)
    bread = np.asarray(oracle.cov_params()) / oracle.scale
    wanted = np.sqrt(np.diag(bread @ scores.T @ scores @ bread) * factor)
    question = {"method": "glm", "formula": formula, "family": family, "errors": "HC0"}
    result = run(question | ({"cluster": "site"} if clustered else {}), frames)
    got = [term["std_error"] for term in result.result["terms"]]
    assert got == pytest.approx(wanted, rel=1e-6)


@settings(FEW, max_examples=3)
@given(splits(), st.sampled_from(["log", "inverse"]))
def test_gamma_and_curves_do_not_depend_on_the_split(
    data: tuple[pd.DataFrame, list[pd.DataFrame]], link: str
) -> None:
    pooled, frames = data
    question = {
        "method": "glm",
        "formula": "exposure ~ ns(age, df = 3) + sex",
        "family": "gamma",
        "link": link,
    }
    one, several = (run(question, parts).result for parts in ([pooled], frames))
    assert one["bases"] == several["bases"]
    for left, right in zip(one["terms"], several["terms"], strict=True):
        assert left["term"] == right["term"]
        assert left["estimate"] == pytest.approx(right["estimate"], rel=1e-6, abs=1e-9)
        assert left["std_error"] == pytest.approx(right["std_error"], rel=1e-6)
    for name in ("deviance", "null_deviance", "aic", "dispersion"):
        assert several[name] == pytest.approx(one[name], rel=1e-8)


@FEW
@given(splits(), st.booleans())
def test_mixed_models_equal_pooled(data: tuple[pd.DataFrame, list[pd.DataFrame]], reml: bool) -> None:
    pooled, frames = data
    complete = pooled.dropna(subset=["age"]).assign(grp=lambda d: d["owner"] + d["site"])
    assume(complete["grp"].nunique() > 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        oracle = smf.mixedlm("score ~ age", complete, groups=complete["grp"]).fit(reml=reml)
    question = {
        "method": "lmm",
        "formula": "score ~ age + (1 | site)",
        "estimator": "REML" if reml else "ML",
    }
    result = run(question, frames).result
    one = run({**question, "formula": "score ~ age + (1 | grp)"}, [complete]).result
    assert one["criterion"] == pytest.approx(result["criterion"], rel=1e-9)
    assert one["n_groups"] == result["n_groups"] == complete["grp"].nunique()
    assert one["terms"][1]["estimate"] == pytest.approx(result["terms"][1]["estimate"], rel=1e-6)
    if np.isfinite(oracle.llf):  # theirs may end before the likeliest variance
        assert result["log_likelihood"] >= oracle.llf - 1e-6 * abs(oracle.llf)
