"""Meta-analysis of the holders' own fits against R's metafor, and what leaves a holder for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from salerno.analysis.methods import method_of
from salerno.analysis.model import Result
from salerno.analysis.sums.pooling import pooled, row_of
from salerno.kernel.errors import Invalid, Refused
from salerno.permits.model import DisclosurePolicy
from tests.unit.analysis.methods.harness import run, scope_of, views_of
from tests.unit.analysis.methods.seeded import by_owner, seeded

POOLED = seeded()
FRAMES = by_owner(POOLED)
TEN = DisclosurePolicy()
LOGISTIC = {"method": "glm", "formula": "sick ~ age + sex", "family": "binomial"}

# m <- rma(yi = c(.42, .11, .77, .35, -.05), sei = c(.12, .2, .15, .08, .25), method, test,
#   control = list(threshold = 1e-14)): b, se, pval, tau2, I2, H2, QE, QEp, and predict(m)'s pi.lb, pi.ub
METAFOR = {
    ("REML", "z"): [
        0.35911903628564, 0.12366302726919, 0.00368412886323, 0.05179736742709, 72.92441209781126,
        3.69336393954778, 11.78229654594332, 0.01904576438880, -0.14854535406985, 0.86678342664114,
    ],
    ("REML", "knapp-hartung"): [
        0.3591190362856, 0.1307287318900, 0.0515301728276, 0.0517973674271, 72.9244120978113,
        3.6933639395478, 11.7822965459433, 0.0190457643888, -0.3695979442212, 1.0878360167925,
    ],
    ("DL", "z"): [
        0.365381444261239, 0.110609009435696, 0.000955334522782, 0.037416264814594, 66.050761119425289,
        2.945574136485830, 11.782296545943320, 0.019045764388804, -0.071345934815442, 0.802108823337919,
    ],
    ("DL", "knapp-hartung"): [
        0.3653814442612, 0.1280953832392, 0.0462825921960, 0.0374162648146, 66.0507611194253,
        2.9455741364858, 11.7822965459433, 0.0190457643888, -0.2787579609945, 1.0095208495170,
    ],
}  # fmt: skip


@pytest.mark.parametrize(("estimator", "test"), METAFOR)
def test_pooling(estimator: str, test: str) -> None:
    estimates, errors = np.array([0.42, 0.11, 0.77, 0.35, -0.05]), np.array([0.12, 0.2, 0.15, 0.08, 0.25])
    found = pooled(estimates, errors, estimator=estimator, test=test)
    row = row_of(found.estimate, found.std_error, found.df, 0.95)
    got = [row["estimate"], row["std_error"], row["p_value"], found.tau2, found.i2, found.h2, found.q]
    assert [*got, found.q_p_value, *found.prediction(0.95)] == pytest.approx(
        METAFOR[estimator, test], rel=1e-9
    )
    assert (found.fixed, found.fixed_error) == pytest.approx((0.3857646638693, 0.0566921401088), rel=1e-11)
    assert found.weights.sum() == pytest.approx(1.0)


def test_equal_studies_have_no_variance_between_them() -> None:
    found = pooled(np.full(4, 0.3), np.array([0.1, 0.2, 0.3, 0.4]), estimator="REML", test="z")
    assert (found.tau2, found.i2, found.q) == pytest.approx((0.0, 0.0, 0.0), abs=1e-12)
    alone = pooled(np.array([0.3]), np.array([0.1]), estimator="REML", test="knapp-hartung")
    assert (alone.estimate, alone.std_error, alone.i2, alone.q_p_value) == (0.3, 0.1, None, None)


@pytest.mark.parametrize(
    "inner",
    [
        LOGISTIC,
        {**LOGISTIC, "errors": "HC1", "predict": [{"age": 50, "sex": "F"}], "diagnostics": True},
        {"method": "glm", "formula": "cost ~ age + sex", "family": "gamma", "cluster": "ward"},
        {"method": "glm", "formula": "lab ~ age * sex"},
        {"method": "cox", "formula": "Surv(bmi, sick) ~ age + sex"},
    ],
    ids=str,
)
def test_each_holder_fits_as_if_it_were_asked_alone(inner: dict[str, Any]) -> None:
    result = run({"method": "meta", "question": inner}, FRAMES, TEN)
    alone = [run(inner, [frame], TEN) for frame in FRAMES]
    for number, told in enumerate(result.result["holders"]):
        assert told["n"] == alone[number].n
        for mine, theirs in zip(told["terms"], alone[number].result["terms"], strict=True):
            name = mine.pop("term")
            assert name == theirs["term"]
            assert mine == pytest.approx({key: theirs[key] for key in mine}, rel=1e-9)
    assert (result.n, result.result["left_out"]) == (600, [])
    term = result.result["terms"][-1]
    column = [fit.result["terms"][-1] for fit in alone]
    weights = np.array([row["std_error"] for row in column]) ** -2.0
    fixed = weights @ [row["estimate"] for row in column] / weights.sum()
    assert term["fixed"]["estimate"] == pytest.approx(fixed, rel=1e-9)


def left_out(frames: list[pd.DataFrame], inner: dict[str, Any] = LOGISTIC) -> tuple[Result, list[str]]:
    result = run({"method": "meta", "question": inner}, frames, TEN)
    return result, [entry["reason"] for entry in result.result["left_out"]]


def test_holders_that_cannot_fit_are_left_out_with_the_reason() -> None:
    nobody, one_sex = FRAMES[0].iloc[:0], FRAMES[0][FRAMES[0]["sex"] == "M"].reset_index(drop=True)
    few, well = FRAMES[0].iloc[:6], FRAMES[0].assign(sick=0)
    result, reasons = left_out([*FRAMES, nobody, one_sex, few, well])
    assert reasons == [
        "no row has a value in all columns",
        "nobody with a reference level",
        "too few persons",
        "an outcome that does not vary there",
    ]
    assert result.result["terms"][1]["n_holders"] == 3
    plain = run({"method": "meta", "question": LOGISTIC}, FRAMES, TEN).result["terms"]
    for got, wanted in zip(result.result["terms"], plain, strict=True):
        assert got["estimate"] == pytest.approx(wanted["estimate"], rel=1e-12)


def test_a_level_that_one_holder_lacks_is_pooled_over_the_others() -> None:
    frames = [f.assign(arm=np.where(f.index % 3 == 0, "c", np.where(f.index % 2, "a", "b"))) for f in FRAMES]
    frames[1] = frames[1].assign(arm=frames[1]["arm"].replace("c", "b"))
    result, reasons = left_out(frames, {"method": "glm", "formula": "lab ~ age + arm"})
    assert reasons == []
    counts = {term["term"]: term["n_holders"] for term in result.result["terms"]}
    assert counts == {"(Intercept)": 3, "age": 3, "armb": 3, "armc": 2}


def test_nothing_of_a_refused_fit_leaves_its_holder() -> None:
    frames = [FRAMES[0], FRAMES[1].iloc[:6].reset_index(drop=True)]
    scope = scope_of(frames, TEN)
    question = {"method": "meta", "question": LOGISTIC}
    method = method_of(question)
    state = method.start(question, scope)
    aggregate = method.local(views_of(frames, scope)[1], state)
    sums = method.guard(aggregate.finish(aggregate.expression.to_pyarrow()), state, scope)
    told = {name: array for name, array in sums.items() if name != "slot"}
    assert told
    assert not any(array.any() for array in told.values())
    assert sums["slot"][0].tolist() == [0, 1]


def test_a_policy_can_forbid_it() -> None:
    with pytest.raises(Refused, match="holder-estimates"):
        run({"method": "meta", "question": LOGISTIC}, FRAMES, DisclosurePolicy(holder_estimates=False))


def test_nobody_who_fits_is_an_error_with_all_reasons() -> None:
    frames = [f.iloc[:6].reset_index(drop=True) for f in FRAMES]
    with pytest.raises(Refused, match=r"no-holder-fits.*h0: too few persons; h1"):
        run({"method": "meta", "question": LOGISTIC}, frames, TEN)


@pytest.mark.parametrize(
    ("question", "says"),
    [
        ({}, "must be a question of glm or cox"),
        ({"question": {"method": "count"}}, "must be a question of glm or cox"),
        ({"question": {**LOGISTIC, "formula": "sick ~ aeg"}}, "Did you mean 'age'"),
        ({"question": {**LOGISTIC, "formula": "sick ~ ns(age, df = 3)"}}, "Knots must be the same"),
        (
            {"question": {"method": "cox", "formula": "Surv(bmi, sick) ~ age", "strata": None}},
            "cannot be shared",
        ),
        ({"question": LOGISTIC, "estimator": "REMLL"}, "one of 'REML', 'DL'"),
    ],
)
def test_what_cannot_be_asked_is_named(question: dict[str, Any], says: str) -> None:
    with pytest.raises(Invalid, match=says):
        run({"method": "meta", **question}, FRAMES, TEN)
