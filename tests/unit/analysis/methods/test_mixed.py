"""Linear mixed models against R's lme4 on the pooled rows, and what disclosure control makes of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from salerno.analysis.methods import method_of
from salerno.analysis.model import Result
from salerno.kernel.errors import Invalid, Refused
from salerno.permits.model import DisclosurePolicy
from tests.unit.analysis.methods.harness import run, scope_of, views_of
from tests.unit.analysis.methods.seeded import by_owner, seeded

LOS = Path(__file__).resolve().parents[5] / "shared" / "data" / "exactness" / "LOS.csv"
POOLED = seeded()
FRAMES = by_owner(POOLED)
TEN = DisclosurePolicy()


def ask(formula: str, estimator: str = "REML", frames: list[pd.DataFrame] = FRAMES) -> Result:
    return run({"method": "lmm", "formula": formula, "estimator": estimator}, frames, TEN)


def column(result: Result, name: str) -> list[float]:
    return [term[name] for term in result.result["terms"]]


# m <- lmer(lab ~ age + sex + (1 | cl), d, REML = …), converged to 1e-13: fixef(m); sqrt(diag(vcov(m)));
# as.data.frame(VarCorr(m))$vcov; REMLcrit(m) or deviance(m); AIC(m); BIC(m)
INTERCEPTS = {
    "REML": (
        [5.0772192782528, 0.0511629488306, -0.0620544945686],
        [0.23362891233599, 0.00278335928399, 0.07691267755046],
        [2.064484325719, 0.855334164596],
        [1846.72619542, 1856.72619542, 1878.71084370],
    ),
    "ML": (
        [5.0772842031150, 0.0511616774717, -0.0620455487732],
        [0.23258223690691, 0.00277797720782, 0.07676632907322],
        [2.035708719883, 0.852088651304],
        [1831.78857806, 1841.78857806, 1863.77322634],
    ),
}


@pytest.mark.parametrize("estimator", INTERCEPTS)
def test_random_intercepts_of_groups_within_holders(estimator: str) -> None:
    result = ask("lab ~ age + sex + (1 | ward)", estimator)
    estimates, errors, variances, criteria = INTERCEPTS[estimator]
    assert column(result, "estimate") == pytest.approx(estimates, rel=1e-7)
    assert column(result, "std_error") == pytest.approx(errors, rel=1e-5)
    found = result.result
    assert [found["random"][0]["variance"], found["residual_variance"]] == pytest.approx(variances, rel=1e-5)
    assert [found[name] for name in ("criterion", "aic", "bic")] == pytest.approx(criteria, rel=1e-10)
    assert (found["n_groups"], found["is_singular"], result.n) == (75, False, 600)
    assert found["icc"] == pytest.approx(variances[0] / sum(variances), rel=1e-5)
    assert "effects" not in found


def test_random_slopes_on_the_edge() -> None:
    # The same with (1 + age | cl): lme4 says that the fit is singular.
    result = ask("lab ~ age + sex + (1 + age | ward)").result
    wanted = [5.1019676746626, 0.0507576120899, -0.0609104422731]
    assert [term["estimate"] for term in result["terms"]] == pytest.approx(wanted, rel=1e-5)
    assert result["criterion"] == pytest.approx(1828.95842861, abs=1e-5)
    assert result["random"][0]["variance"] == pytest.approx(0.608597670539543, rel=1e-3)
    assert result["random"][1]["variance"] == pytest.approx(0.000141802132303, rel=1e-3)
    assert result["correlations"][0]["correlation"] == pytest.approx(1.0, abs=1e-4)
    assert result["is_singular"]


def test_the_model_does_not_depend_on_the_scale_of_a_slope() -> None:
    plain = ask("lab ~ age + sex + (1 + age | ward)", "ML").result
    far = [f.assign(year=2000 + f["age"] / 10) for f in FRAMES]
    other = ask("lab ~ year + sex + (1 + year | ward)", "ML", far).result
    assert other["criterion"] == pytest.approx(plain["criterion"], rel=1e-9)
    assert other["terms"][1]["estimate"] == pytest.approx(plain["terms"][1]["estimate"] * 10, rel=1e-6)
    assert other["random"][1]["variance"] == pytest.approx(plain["random"][1]["variance"] * 100, rel=1e-3)


# L$age <- factor(L$age, levels = c('young', 'middle', 'old')); lmer(los ~ age + sex + lab + (1 | site), L)
# fixef, standard errors, VarCorr, REMLcrit, and as.data.frame(ranef(m))
@pytest.mark.skipif(
    not LOS.exists(), reason="the length-of-stay data are not there (../shared/data/exactness)"
)
def test_random_intercepts_by_holder_are_lossless() -> None:
    pooled = pd.read_csv(LOS)
    frames = [f.drop(columns="site").reset_index(drop=True) for _, f in pooled.groupby("site")]
    question = {
        "method": "lmm",
        "formula": "los ~ age + sex + lab + (1 | holder)",
        "reference": {"age": "young"},
    }
    result = run(question, frames, TEN)
    wanted = [7.136245176278, 0.984234370006, 1.905078114752, 0.455363137649, 0.101972080570]
    errors = [0.62623131334634, 0.34851542018979, 0.35355157183978, 0.25503203334700, 0.00427133896407]
    assert column(result, "estimate") == pytest.approx(wanted, rel=1e-7)
    assert column(result, "std_error") == pytest.approx(errors, rel=1e-6)
    found = result.result
    assert found["random"][0]["variance"] == pytest.approx(0.779898827138, rel=1e-6)
    assert found["residual_variance"] == pytest.approx(16.200741119171, rel=1e-8)
    assert found["criterion"] == pytest.approx(5636.42664179, rel=1e-10)
    effects = [entry["effects"][0] for entry in found["effects"]]
    assert [entry["holder"] for entry in found["effects"]] == ["h0", "h1", "h2"]
    modes = [-0.0202089454526, 0.8527126996167, -0.8325037541651]
    assert [e["estimate"] for e in effects] == pytest.approx(modes, rel=1e-6)
    sds = [0.176377532766, 0.196220136389, 0.366254304953]
    assert [e["sd"] for e in effects] == pytest.approx(sds, rel=1e-6)


def test_no_variance_between_groups() -> None:
    frames = [f.assign(noise=np.cos(np.arange(len(f)) * 1.7)) for f in FRAMES]
    result = ask("noise ~ age + (1 | ward)", frames=frames).result
    plain = run({"method": "glm", "formula": "noise ~ age"}, frames, TEN).result
    assert result["is_singular"]
    assert result["random"][0]["variance"] == pytest.approx(0.0, abs=1e-9)
    assert result["likelihood_ratio"]["statistic"] == pytest.approx(0.0, abs=1e-6)
    assert result["residual_variance"] == pytest.approx(plain["dispersion"], rel=1e-9)


def test_the_same_value_at_two_holders_is_two_groups() -> None:
    merged = pd.concat(FRAMES, ignore_index=True)
    assert ask("lab ~ age + (1 | ward)", frames=[merged]).result["n_groups"] == 25
    assert ask("lab ~ age + (1 | ward)").result["n_groups"] == 75


def test_few_small_groups_are_refused() -> None:
    frames = [f.assign(ward=np.where(f.index < 5, 1, 2)) for f in FRAMES]
    with pytest.raises(Refused, match="small-groups"):
        ask("lab ~ age + (1 | ward)", frames=frames)
    with pytest.raises(Refused, match="too-few-groups"):
        ask("lab ~ age + (1 | holder)", frames=FRAMES[:1])


def test_single_holders_need_the_policy() -> None:
    policy = DisclosurePolicy(holder_estimates=False)
    with pytest.raises(Refused, match="holder-estimates"):
        run({"method": "lmm", "formula": "lab ~ age + (1 | holder)"}, FRAMES, policy)
    within = run({"method": "lmm", "formula": "lab ~ age + (1 | ward)"}, FRAMES, policy)
    assert within.result["n_groups"] == 75


def test_what_crosses_is_as_large_for_any_number_of_groups() -> None:
    question = {"method": "lmm", "formula": "lab ~ age + (1 | ward)"}
    method = method_of(question)
    layouts = []
    for frames in (FRAMES, [f.assign(ward=f["ward"] % 10) for f in FRAMES]):
        scope = scope_of(frames, TEN)
        state = method.start(question, scope)
        for _ in range(2):
            shares = []
            for view in views_of(frames, scope):
                aggregate = method.local(view, state)
                shares.append(aggregate.finish(aggregate.expression.to_pyarrow()))
            layouts.append({name: array.shape for name, array in shares[0].items()})
            state = method.step({name: sum(s[name] for s in shares) for name in shares[0]}, state)
    assert layouts[:2] == layouts[2:]


@pytest.mark.parametrize(
    ("formula", "says"),
    [
        ("lab ~ age", "needs random effects"),
        ("lab ~ sex + (1 + age | ward)", "no fixed one beside it"),
        ("lab ~ age - 1 + (1 | ward)", "no fixed one beside it"),
        ("lab ~ age + (1 | wrad)", "Did you mean 'ward'"),
        ("lab ~ age + (1 + sex | ward)", "single numeric terms"),
        ("lab ~ age + (1 | ward) + (1 | sex)", "one group only"),
        ("lab ~ age + (1 | ward):sex", "Random effects stand alone"),
        ("sex ~ age + (1 | ward)", "numeric response"),
        ("lab ~ age + (0 | ward)", "No effect varies"),
    ],
)
def test_what_cannot_be_asked_is_named(formula: str, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        ask(formula)


def test_an_outcome_without_error_is_refused() -> None:
    frames = [f.assign(exact=2 * f["age"]) for f in FRAMES]
    with pytest.raises(Refused, match="perfect-fit"):
        ask("exact ~ age + (1 | ward)", frames=frames)
