"""What methods do at the edges: few holders, small groups, missing values, degenerate models."""

from __future__ import annotations

from dataclasses import replace

import ibis
import numpy as np
import pandas as pd
import pytest

from salerno.catalogue.model import Datatype, Variable
from salerno.holdings.model import Dictionary
from salerno.kernel.errors import Invalid, Refused
from salerno.permits.model import DisclosurePolicy
from tests.unit.analysis.methods.harness import OPEN, run, run_views, scope_of

TEN = DisclosurePolicy()
SURV = {"time": "time", "event": "dead"}


@pytest.fixture(scope="module")
def patients() -> pd.DataFrame:
    rng = np.random.default_rng(7)
    n = 400
    return pd.DataFrame(
        {
            "age": rng.normal(60, 10, n).round(),
            "sex": rng.choice(["F", "M"], n),
            "arm": np.repeat(["a", "b", "c", "d"], [200, 150, 45, 5]),
            "rare": (np.arange(n) < 4).astype(int),
            "lab": rng.normal(5, 1, n),
            "time": rng.integers(1, 100, n),
            "dead": rng.random(n) < 0.6,
            "code": rng.choice([0, 1, 2], n),
            "y": (rng.random(n) < 0.4).astype(int),
        }
    )


def thirds(frame: pd.DataFrame, n: int = 3) -> list[pd.DataFrame]:
    return [frame.iloc[i::n].reset_index(drop=True) for i in range(n)]


def test_small_groups_are_hidden_with_another(patients: pd.DataFrame) -> None:
    result = run({"method": "count", "by": "arm"}, thirds(patients), TEN)
    assert [group["n"] for group in result.result["groups"]] == [200, 150, None, None]
    assert (result.n, result.suppressed) == (400, 2)


def test_with_few_holders_each_holder_hides_its_own(patients: pd.DataFrame) -> None:
    # 12 in all, but 6 at each of two holders, who could subtract their own from the total.
    frame = patients.assign(arm=np.repeat(["a", "b", "c", "d"], [200, 150, 38, 12]))
    assert frame.groupby("arm").size()["d"] == 12
    three = run({"method": "count", "by": "arm"}, thirds(frame), TEN).result["groups"]
    assert [group["n"] for group in three] == [200, 150, 38, 12]
    two = run({"method": "count", "by": "arm"}, thirds(frame, 2), TEN)
    assert [group["n"] for group in two.result["groups"]] == [200, 150, None, None]
    table = run({"method": "crosstab", "rows": "arm", "columns": "sex"}, thirds(frame, 2), TEN).result
    assert table["counts"][3] == [None, None]
    assert "chi_square" not in table
    means = run({"method": "describe", "variable": "lab", "by": "arm"}, thirds(frame, 2), TEN).result
    assert means["groups"][3] == {"levels": ["d"], "n": None, "mean": None, "variance": None, "sd": None}
    with pytest.raises(Refused, match="small-level"):
        run({"method": "t_test", "variable": "lab", "by": "arm", "levels": ["a", "d"]}, thirds(frame, 2), TEN)


@pytest.mark.parametrize(
    "question",
    [
        {"method": "glm", "formula": "y ~ age + arm", "family": "binomial"},
        {"method": "glm", "formula": "y ~ age + rare", "family": "binomial"},
        {"method": "glm", "formula": "rare ~ age", "family": "binomial"},
        {"method": "cox", "formula": "Surv(time, dead) ~ age + arm"},
        {"method": "cox", "formula": "Surv(time, rare) ~ age"},
        {"method": "correlation", "variables": ["age", "rare"]},
        {"method": "log_rank", **SURV, "by": "arm"},
        {"method": "t_test", "variable": "lab", "by": "arm", "levels": ["a", "d"]},
    ],
    ids=str,
)
def test_models_of_small_groups_are_refused(patients: pd.DataFrame, question: dict[str, object]) -> None:
    with pytest.raises(Refused, match="small-level"):
        run(question, thirds(patients), TEN)


@pytest.mark.parametrize(
    ("formula", "family", "says"),
    [
        ("lab ~ age + I(2 * age)", "gaussian", "design-singular.*I\\(2 \\* age\\)"),
        ("y ~ age + I(age + 1)", "binomial", "design-singular"),
        ("y ~ rare", "binomial", "separated.*rare"),
    ],
)
def test_models_without_an_answer_name_the_term(
    patients: pd.DataFrame, formula: str, family: str, says: str
) -> None:
    frame = patients.assign(y=np.where(patients["rare"] == 1, 1, patients["y"]))
    with pytest.raises(Refused, match=says):
        run({"method": "glm", "formula": formula, "family": family}, thirds(frame))


def test_cox_without_an_answer_names_the_term(patients: pd.DataFrame) -> None:
    frame = patients.assign(dead=patients["dead"] & (patients["rare"] == 0))
    for strata in ("holder", None):
        question = {"method": "cox", "formula": "Surv(time, dead) ~ age + rare", "strata": strata}
        with pytest.raises(Refused, match=r"separated.*rare"):
            run(question, thirds(frame))


def test_the_holder_cannot_be_a_covariate_within_itself(patients: pd.DataFrame) -> None:
    with pytest.raises(Refused, match=r"design-singular.*holder"):
        run({"method": "cox", "formula": "Surv(time, dead) ~ holder"}, thirds(patients))


def test_response_values_are_checked(patients: pd.DataFrame) -> None:
    with pytest.raises(Invalid, match="0 and 1"):
        run({"method": "glm", "formula": "code ~ age", "family": "binomial"}, thirds(patients))
    frame = patients.assign(lab=patients["lab"] - 5)
    with pytest.raises(Invalid, match="no negative"):
        run({"method": "glm", "formula": "lab ~ age", "family": "poisson"}, thirds(frame))
    with pytest.raises(Invalid, match="codes other than 0 and 1"):
        run({"method": "kaplan_meier", "time": "time", "event": "code"}, thirds(patients))


def test_event_codes_are_explicit(patients: pd.DataFrame) -> None:
    frame = patients.assign(two=(patients["code"] == 2).astype(int))
    by_code = {"method": "log_rank", "time": "time", "event": {"column": "code", "codes": [2]}, "by": "sex"}
    plain = {"method": "log_rank", "time": "time", "event": "two", "by": "sex"}
    same = run(plain, thirds(frame)).result["chi_square"]
    assert run(by_code, thirds(frame)).result["chi_square"] == pytest.approx(same)
    formula = {
        "method": "cox",
        "formula": "Surv(time, code) ~ age",
        "event": {"column": "code", "codes": [2]},
    }
    same = run({"method": "cox", "formula": "Surv(time, two) ~ age"}, thirds(frame)).result
    got = run(formula, thirds(frame)).result["terms"][0]
    assert got["estimate"] == pytest.approx(same["terms"][0]["estimate"], rel=1e-12)


def test_two_level_response_and_reference(patients: pd.DataFrame) -> None:
    frame = patients.assign(male=(patients["sex"] == "M").astype(int))
    named = {"method": "glm", "formula": "sex ~ age", "family": "binomial"}
    coded = {"method": "glm", "formula": "male ~ age", "family": "binomial"}
    turned = named | {"reference": {"sex": "M"}}
    first, second, third = (
        run(question, thirds(frame)).result["terms"][1]["estimate"] for question in (named, coded, turned)
    )
    assert first == pytest.approx(second, rel=1e-12)
    assert third == pytest.approx(-first, rel=1e-9)


def test_levels_that_nobody_has_and_values_that_are_no_level(patients: pd.DataFrame) -> None:
    frames = thirds(patients[patients["arm"] != "d"])
    variables = dict(scope_of(thirds(patients)).dictionary.variables)
    variables["sex"] = Variable(name="sex", datatype=Datatype.STRING, levels=("F",))
    scope = replace(scope_of(frames), dictionary=Dictionary(variables=variables))
    result = run({"method": "glm", "formula": "lab ~ arm"}, frames, scope=scope)
    assert [term["term"] for term in result.result["terms"]] == ["(Intercept)", "armb", "armc"]
    assert "Nobody has arm = d: left out of the model." in result.notes
    counted = run(
        {"method": "glm", "formula": "lab ~ age + sex"} | {"formula": "lab ~ age"}, frames, scope=scope
    )
    assert counted.n == 395
    cross = run({"method": "count", "by": "sex"}, frames, scope=scope)
    assert cross.n_missing == sum((frame["sex"] == "M").sum() for frame in frames)


def test_not_a_number_and_infinity_are_missing() -> None:
    connection = ibis.duckdb.connect()
    rows = "select unnest([1.0, 2.0, 4.0, 'nan'::double, 'inf'::double, null]) x, unnest([1.0,2,2,3,3,3]) y"
    connection.raw_sql(f"create table v as {rows}")
    view = connection.table("v").mutate(holder=ibis.literal("h0"))
    variables = {n: Variable(name=n, datatype=Datatype.NUMBER) for n in ("x", "y")}
    scope = replace(scope_of([pd.DataFrame({"x": [1.5]})]), dictionary=Dictionary(variables=variables))
    result = run_views({"method": "describe", "variable": "x"}, [view], scope)
    assert (result.result["mean"], result.n, result.n_missing) == (pytest.approx(7 / 3), 3, 3)
    result = run_views({"method": "glm", "formula": "y ~ log(x)"}, [view], scope)
    assert (result.n, result.n_missing) == (3, 3)
    result = run_views({"method": "quantiles", "variable": "x"}, [view], scope)
    assert result.result["values"] == pytest.approx([1.5, 2.0, 3.0])


def test_logarithms_outside_their_domain_are_missing(patients: pd.DataFrame) -> None:
    frame = patients.assign(z=np.where(np.arange(400) < 40, 0, patients["age"]))
    result = run({"method": "glm", "formula": "lab ~ log(z) + I(1 / z)"}, thirds(frame))
    assert (result.n, result.n_missing) == (360, 40)


def test_a_covariate_far_from_zero_loses_nothing(patients: pd.DataFrame) -> None:
    frame = patients.assign(far=patients["age"] + 1e7)
    near = run({"method": "glm", "formula": "y ~ age", "family": "binomial"}, thirds(frame)).result["terms"]
    far = run({"method": "glm", "formula": "y ~ far", "family": "binomial"}, thirds(frame)).result["terms"]
    for figure in ("estimate", "std_error"):
        assert far[1][figure] == pytest.approx(near[1][figure], rel=1e-8)


def test_survival_is_told_at_the_grid_alone(patients: pd.DataFrame) -> None:
    question = {"method": "kaplan_meier", **SURV, "by": "arm", "grid": 5}
    result = run(question, thirds(patients), TEN)
    curves = {curve["stratum"]: curve for curve in result.result["strata"]}
    assert curves["d"]["n"] is None
    assert curves["d"]["time"] == []
    assert all(time % 5 == 0 for curve in curves.values() for time in curve["time"])
    assert curves["a"]["median"] in curves["a"]["time"]
    assert any("leaves out" in note for note in result.notes)
    exact = run(question | {"grid": curves["a"]["time"]}, thirds(patients)).result["strata"][0]
    assert exact["survival"] == pytest.approx(curves["a"]["survival"])


def test_conf_types_lie_around_the_curve(patients: pd.DataFrame) -> None:
    for kind in ("log", "log-log", "plain"):
        question = {"method": "kaplan_meier", **SURV, "conf_type": kind, "grid": 20}
        [curve] = run(question, thirds(patients)).result["strata"]
        for low, middle, high in zip(curve["conf_low"], curve["survival"], curve["conf_high"], strict=True):
            assert 0 <= low < middle < high <= 1


def test_strata_in_the_formula_and_in_the_key_are_the_same(patients: pd.DataFrame) -> None:
    key = {"method": "cox", "formula": "Surv(time, dead) ~ age", "strata": ["holder", "sex"]}
    formula = {"method": "cox", "formula": "Surv(time, dead) ~ age + strata(sex)"}
    one, other = (run(question, thirds(patients)).result for question in (key, formula))
    assert one["strata"] == other["strata"] == ["holder", "sex"]
    assert one["terms"][0]["estimate"] == pytest.approx(other["terms"][0]["estimate"], rel=1e-12)


def test_models_are_as_large_as_the_policy_allows(patients: pd.DataFrame) -> None:
    frames = [patients[:12], patients[200:212], patients[350:362]]
    with pytest.raises(Refused, match="model-too-large"):
        run({"method": "glm", "formula": "lab ~ (age + time + y + code)^3"}, frames, TEN)


def test_a_variable_that_does_not_vary(patients: pd.DataFrame) -> None:
    frames = thirds(patients.assign(same=3.5))
    with pytest.raises(Refused, match="no-variation"):
        run({"method": "correlation", "variables": ["age", "same"]}, frames)
    with pytest.raises(Refused, match="no-variation"):
        run({"method": "t_test", "variable": "same", "by": "sex"}, frames)
    one = run({"method": "describe", "variable": "same"}, frames).result
    assert (one["mean"], one["variance"]) == (3.5, 0.0)


def test_nobody_at_all(patients: pd.DataFrame) -> None:
    frames = thirds(patients.assign(lab=np.nan))
    with pytest.raises(Refused, match="no-persons"):
        run({"method": "describe", "variable": "lab"}, frames, OPEN)


def test_quantiles_by_group_lie_within_their_resolution() -> None:
    """R's type 7 (numpy's default), on skewed values, ties and whole numbers, group by group."""
    rng = np.random.default_rng(3)
    n = 4000
    frame = pd.DataFrame(
        {
            "cost": np.exp(rng.normal(5, 2, n)),
            "ties": rng.choice([0.0, 0.5, 80.0], n, p=[0.7, 0.2, 0.1]),
            "visits": rng.negative_binomial(1, 0.05, n),
            "arm": np.repeat(["a", "b", "c", "d"], [2500, 1400, 93, 7]),
        }
    )
    probabilities = [0.0, 0.05, 0.5, 0.9, 1.0]
    for variable in ("cost", "ties", "visits"):
        question = {"method": "quantiles", "variable": variable, "probabilities": probabilities, "by": "arm"}
        for policy in (OPEN, TEN):
            groups = run(question, thirds(frame), policy).result["groups"]
            for group in groups:
                own = frame.loc[frame["arm"] == group["levels"][0], variable]
                if policy is TEN and group["levels"][0] in "cd":
                    assert group["n"] is None
                    assert group["values"] == [None] * len(probabilities)
                    continue
                error = np.abs(np.array(group["values"]) - np.quantile(own, probabilities))
                assert (error <= np.array(group["resolution"]) * (1 + 1e-9) + 1e-12).all()
                if policy is OPEN:
                    assert max(group["resolution"]) <= 1e-9 * own.max()


def test_a_quantile_is_as_near_as_was_asked_for(patients: pd.DataFrame) -> None:
    question = {"method": "quantiles", "variable": "lab", "probabilities": [0.5]}
    coarse = run({**question, "resolution": 0.1}, thirds(patients)).result["resolution"][0]
    fine = run(question, thirds(patients)).result["resolution"][0]
    assert fine < 1e-6 < coarse <= 0.1
    with pytest.raises(Invalid, match="'resolution' must lie"):
        run({**question, "resolution": 0}, thirds(patients))
