"""Generalised linear models beyond the plain ones, against figures of R on the pooled rows (`seeded`)."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from salerno.analysis.model import Result
from salerno.kernel.errors import Invalid, Refused
from salerno.permits.model import DisclosurePolicy
from tests.unit.analysis.methods.harness import run
from tests.unit.analysis.methods.seeded import by_owner, seeded

POOLED = seeded()
FRAMES = by_owner(POOLED)
TEN = DisclosurePolicy()


def ask(formula: str, frames: list[pd.DataFrame] = FRAMES, **more: Any) -> Result:
    return run({"method": "glm", "formula": formula, **more}, frames, TEN)


def column(result: Result, name: str) -> list[float]:
    return [term[name] for term in result.result["terms"]]


# m <- glm(cost ~ age + sex, Gamma(link), d, control = glm.control(epsilon = 1e-14)); coef(m);
# sqrt(diag(vcov(m))); summary(m)$dispersion; AIC(m); logLik(m); deviance(m); m$null.deviance;
# predict(m, data.frame(age = 50, sex = 'M'), se.fit = TRUE), and the same with type = 'response'
GAMMA = {
    "log": (
        [-0.3862619868891, 0.0110343537771, 0.2497660016328],
        [0.0701076978802, 0.0011762734250, 0.0344052508644],
        [0.1737051026654, 1108.2404203993904, -550.1202101996952, 126.2542317076158, 150.2778204908188],
        [0.415221703600, 0.023206828120, 1.514706519357, 0.035151533847],
    ),
    "inverse": (
        [1.21446604007, -7.42263713338e-03, -1.71018524443e-01],
        [5.17391235369e-02, 8.02538282315e-04, 2.45617188740e-02],
        [0.174152047766, 1109.58951306, -550.794756532, 126.528822767, 150.277820491],
        [0.6723156589617, 0.0158154669671, 1.4873965624188, 0.0349893251576],
    ),
}


@pytest.mark.parametrize("link", GAMMA)
def test_gamma(link: str) -> None:
    result = ask("cost ~ age + sex", family="gamma", link=link, predict=[{"age": 50, "sex": "M"}])
    estimates, errors, statistics, predicted = GAMMA[link]
    assert column(result, "estimate") == pytest.approx(estimates, rel=1e-9)
    assert column(result, "std_error") == pytest.approx(errors, rel=1e-7)
    names = ("dispersion", "aic", "log_likelihood", "deviance", "null_deviance")
    assert [result.result[name] for name in names] == pytest.approx(statistics, rel=1e-9)
    (told,) = result.result["predictions"]
    got = [told[scale][name] for scale in ("link", "response") for name in ("estimate", "std_error")]
    assert got == pytest.approx(predicted, rel=1e-7)


# U <- rowsum of the rows' scores by cl, B <- summary(m)$cov.unscaled, G clusters: sqrt(diag(B U'U B) G/(G-1))
ROBUST = [
    ("lab ~ age + sex", {"errors": "HC1"}, [0.27237841417446, 0.00475543601601, 0.13979447575041]),
    ("lab ~ age + sex", {"cluster": "ward"}, [0.25441419694395, 0.00464043671574, 0.09278562908507]),
    (
        "sick ~ age + sex",
        {"family": "binomial", "errors": "HC0"},
        [0.35587187102672, 0.00587565293562, 0.17220441252622],
    ),
    (
        "sick ~ age + sex + cluster(ward)",
        {"family": "binomial", "errors": "HC0"},
        [0.35820271420520, 0.00605633177038, 0.16777907345809],
    ),
    (
        "cost ~ age + sex",
        {"family": "gamma", "link": "log", "errors": "HC0"},
        [0.07076809631697, 0.00117812601296, 0.03391076329143],
    ),
    (
        "cost ~ age + sex",
        {"family": "gamma", "link": "log", "cluster": "ward", "errors": "HC0"},
        [0.07036204183796, 0.00117262553945, 0.03387763216930],
    ),
]


@pytest.mark.parametrize(("formula", "more", "wanted"), ROBUST, ids=lambda v: str(v)[:40])
def test_robust_errors(formula: str, more: dict[str, Any], wanted: list[float]) -> None:
    result = ask(formula, **more)
    assert column(result, "std_error") == pytest.approx(wanted, rel=1e-7)
    if "cluster" in formula or "cluster" in more:
        assert result.result["n_clusters"] == 75  # 25 wards at each of three holders


# m <- lm(lab ~ ns(age, knots = c(40, 55, 70), Boundary.knots = c(33, 77)) +
#   bs(bmi, knots = c(25, 30), Boundary.knots = c(18, 41)) * sex, d); coef(m); sqrt(diag(vcov(m)))
SPLINES = [
    (6.0612251453469, 0.566147530858),
    (0.9955448124081, 0.347771426037),
    (1.7260046627071, 0.288477566319),
    (2.2135058878933, 0.453112892967),
    (1.8201814670468, 0.237674216090),
    (-0.3512610168058, 1.076396270850),
    (1.1107321183272, 0.664414044039),
    (1.8522167763179, 0.987255224584),
    (0.5544185703077, 0.938191373506),
    (-0.1414805937420, 1.025871716550),
    (-0.1763491456482, 0.725971185188),
    (-0.3358813124809, 1.441540523560),
    (-0.6201595730527, 0.881327254935),
    (0.7524991297449, 1.311457027476),
    (0.7314390417205, 1.235212325910),
    (0.0910986050206, 1.338912027708),
]
NS = "ns(age, knots = c(40, 55, 70), Boundary.knots = c(33, 77))"
BS = "bs(bmi, knots = c(25, 30), Boundary.knots = c(18, 41))"


def test_splines_with_given_knots() -> None:
    result = ask(f"lab ~ {NS} + {BS} * sex")
    assert list(zip(column(result, "estimate"), column(result, "std_error"), strict=True)) == [
        pytest.approx(pair, rel=1e-9) for pair in SPLINES
    ]
    names = [term["term"] for term in result.result["terms"]]
    assert names[1:6] == [*(f"{NS}{i}" for i in range(1, 5)), f"{BS}1"]
    assert names[-1] == f"{BS}5:sexM"


def test_knots_are_placed_at_pooled_quantiles_and_told() -> None:
    formula = "lab ~ ns(age, df = 4) + poly(bmi, 2, raw = TRUE)"
    for frames in (FRAMES, [POOLED]):
        result = ask(formula, frames)
        (basis,) = result.result["bases"]
        wanted = np.quantile(POOLED["age"], [0.275, 0.5, 0.725])
        assert basis["knots"] == pytest.approx(wanted, abs=1.0)
        outer = np.quantile(POOLED["age"], [0.05, 0.95])
        assert basis["boundary_knots"] == pytest.approx(outer, abs=1.0)
        assert not set(basis["boundary_knots"]) & {POOLED["age"].min(), POOLED["age"].max()}
        told = ask(f"lab ~ {basis['in_r']} + poly(bmi, 2, raw = TRUE)", frames)
        assert column(told, "estimate") == pytest.approx(column(result, "estimate"), rel=1e-10)
        assert [t["term"] for t in result.result["terms"]][-2:] == [
            f"poly(bmi, 2, raw = TRUE){i}" for i in (1, 2)
        ]


def test_a_prediction_follows_a_spline_beyond_its_boundary() -> None:
    inside = {"age": 50.0, "bmi": 28.0, "sex": "F"}
    rows = [inside, {**inside, "age": 90.0}, {**inside, "age": 95.0}, {**inside, "age": 100.0}]
    told = ask(f"lab ~ {NS} + bmi + sex", predict=rows).result["predictions"]
    _, a, b, c = (row["link"]["estimate"] for row in told)
    assert c - b == pytest.approx(b - a, rel=1e-9)  # straight beyond the boundary
    assert told[0]["response"]["conf_low"] < told[0]["response"]["estimate"]


def test_an_offset_in_the_formula_is_the_offset_of_the_question() -> None:
    one = ask("sick ~ age + offset(log(cost)) + offset(bmi)", family="poisson")
    frames = [f.assign(both=np.log(f["cost"]) + f["bmi"]) for f in FRAMES]
    other = ask("sick ~ age", frames, family="poisson", offset="both")
    assert one.result["terms"][1]["estimate"] == pytest.approx(other.result["terms"][1]["estimate"], rel=1e-9)
    assert one.result["null_deviance"] == pytest.approx(other.result["null_deviance"], rel=1e-9)


def test_diagnostics_describe_groups_of_enough_persons() -> None:
    result = ask("sick ~ age + sex", family="binomial", diagnostics=True).result
    groups = result["diagnostics"]["calibration"]["groups"]
    assert sum(group["n"] for group in groups) == 600
    for group in groups:
        events = round(group["n"] * group["observed"])
        assert min(events, group["n"] - events) >= 10
    # A logistic model with an intercept meets the number of events.
    expected = sum(group["n"] * group["expected"] for group in groups)
    assert expected == pytest.approx(POOLED["sick"].sum(), rel=1e-8)
    residuals = result["diagnostics"]["pearson_residuals"]
    estimates = [term["estimate"] for term in result["terms"]]
    eta = estimates[0] + estimates[1] * POOLED["age"] + estimates[2] * (POOLED["sex"] == "M")
    mu = 1 / (1 + np.exp(-eta))
    pearson = (POOLED["sick"] - mu) / np.sqrt(mu * (1 - mu))
    assert residuals["mean"] == pytest.approx(pearson.mean(), abs=1e-8)
    assert residuals["sd"] == pytest.approx(pearson.std(ddof=0), rel=1e-8)
    assert residuals["skewness"] == pytest.approx(pearson.skew(), rel=0.01)


@pytest.mark.parametrize("n_holders", [1, 2])
def test_few_holders_join_groups_by_themselves(n_holders: int) -> None:
    frames = [POOLED.iloc[i::n_holders].reset_index(drop=True) for i in range(n_holders)]
    result = ask("sick ~ age + sex", frames, family="binomial", diagnostics=True).result["diagnostics"]
    assert sum(group["n"] for group in result["calibration"]["groups"]) == 600
    assert result["pearson_residuals"]["n_beyond_two"] is None


def test_a_crossing_that_singles_somebody_out_is_refused() -> None:
    frames = [f.assign(arm=np.where((f["sex"] == "F") & (f["age"] > 77), "b", "a")) for f in FRAMES]
    few = [f.assign(arm=np.where(f.index % 2 == 0, "a", f["arm"])) for f in frames]
    few = [f.assign(arm=np.where((f["sex"] == "M") & (f["age"] > 50), "b", f["arm"])) for f in few]
    women = sum(int(((f["sex"] == "F") & (f["arm"] == "b")).sum()) for f in few)
    assert 0 < women < 10
    assert ask("lab ~ arm + sex", few).n == 600
    for formula in ("lab ~ arm * sex", "lab ~ age + arm:sex"):
        with pytest.raises(Refused, match="small-level"):
            ask(formula, few)
    flags = [f.assign(arm=(f["arm"] == "b").astype(float)) for f in few]
    with pytest.raises(Refused, match="small-term"):
        ask("lab ~ I(arm * 2):sex + sex", flags)


def test_a_cell_without_anybody_is_left_out_as_in_r() -> None:
    frames = [f.assign(arm=np.where((f["sex"] == "M") & (f["age"] > 50), "b", "a")) for f in FRAMES]
    result = ask("lab ~ arm * sex", frames)
    # R: coef(lm(lab ~ arm * sex)) has NA for armb:sexM, as armb says the same where no woman has it.
    assert [term["term"] for term in result.result["terms"]] == ["(Intercept)", "armb", "sexM"]
    assert any("armb:sexM" in note for note in result.notes)
    plain = ask("lab ~ arm + sex", frames)
    assert column(result, "estimate") == pytest.approx(column(plain, "estimate"), rel=1e-10)
    three = [f.assign(arm=np.where((f["sex"] == "F") & (f["age"] > 50), "c", f["arm"])) for f in frames]
    names = [term["term"] for term in ask("lab ~ age + sex * arm", three).result["terms"]]
    assert names == ["(Intercept)", "age", "sexM", "armb", "armc"]


def test_a_level_of_one_holder_alone_gets_its_estimate() -> None:
    frames = [f.assign(site="a" if i else "b") for i, f in enumerate(FRAMES)]
    got = column(ask("lab ~ age + site", frames), "estimate")
    pooled = column(ask("lab ~ age + site", [pd.concat(frames, ignore_index=True)]), "estimate")
    assert got == pytest.approx(pooled, rel=1e-10)


@pytest.mark.parametrize(
    ("formula", "more", "says"),
    [
        ("lab ~ ns(age, df = 4", {}, "missing"),
        ("lab ~ ns(age, dff = 4)", {}, "Did you mean 'df'"),
        ("lab ~ ns(sex, df = 4)", {}, "must be a number"),
        ("lab ~ ns(age, knots = c(60, 40))", {}, "must rise"),
        ("lab ~ ns(age, knots = 90, Boundary.knots = c(30, 80))", {}, "outside the boundary"),
        ("lab ~ ns(age, df = 0)", {}, "from 1 to 20"),
        ("lab ~ poly(age, 2)", {}, "raw = TRUE"),
        ("lab ~ bs(age, df = 2)", {}, "from 3 to 20"),
        ("ns(lab, df = 3) ~ age", {}, "cannot be the response"),
        ("lab ~ age + (1 | ward)", {}, "'lmm'"),
        ("lab ~ age + strata(sex)", {}, "has no strata"),
        ("lab ~ age + cluster(wrad)", {}, "Did you mean 'ward'"),
        ("lab ~ age + cluster(ward)", {"cluster": "sex"}, "in the formula and as"),
        ("lab ~ age", {"errors": "HC3"}, "one of 'model', 'HC0', 'HC1'"),
        ("lab ~ age", {"link": "log"}, "one of 'identity'"),
        ("lab ~ age + sex", {"predict": [{"age": 50}]}, "needs a value of 'sex'"),
        ("lab ~ age", {"predict": [{"age": 50, "agee": 1}]}, "Did you mean 'age'"),
        ("lab ~ sex", {"predict": [{"sex": "X"}]}, "no level 'X'"),
        ("lab ~ log(age)", {"predict": [{"age": -1}]}, "has no value"),
        ("lab ~ age", {"diagnostics": "maybe"}, "true or false"),
        ("cost ~ age - 1", {"family": "gamma"}, "needs an intercept"),
        ("sick ~ age", {"family": "gamma"}, "positive numbers"),
    ],
)
def test_what_cannot_be_asked_is_named(formula: str, more: dict[str, Any], says: str) -> None:
    with pytest.raises(Invalid, match=says):
        ask(formula, **more)


def test_knots_that_fall_together_are_named() -> None:
    frames = [f.assign(two=np.where(f["age"] > 50, 2.0, 1.0)) for f in FRAMES]
    with pytest.raises(Invalid, match="wrong-knots"):
        ask("lab ~ ns(two, df = 4)", frames)


def test_an_exact_fit_has_no_likelihood() -> None:
    frames = [f.assign(y=f["age"] * 0 + 2.0) for f in FRAMES]
    result = ask("y ~ age", frames).result
    assert (result["deviance"], result["aic"]) == (0.0, None)
    json.dumps(result, allow_nan=False)
