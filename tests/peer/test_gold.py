"""Every figure that R computed on the pooled files, from the same files split over holders."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from salerno.analysis.model import Result
from salerno.permits.model import DisclosurePolicy
from tests.unit.analysis.methods.harness import OPEN, run

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "exactness"
pytestmark = pytest.mark.skipif(
    not DATA.exists(), reason="the test data of R are not there (../shared/data/exactness)"
)

DEFAULT = DisclosurePolicy()
SURVIVAL = {"time": "time", "event": "status"}
CNSIM_GLM = "CNSIM glm logit DIS_DIAB~LAB_TRIG+GENDER+PM_BMI_CONTINUOUS n=7477 dev=1046.64680342 [coef,se]"
CNSIM_LM = "CNSIM glm gaussian LAB_TSC~LAB_TRIG+GENDER n=7800 dev=8923.19454388 [coef,se]"
LABS = ["LAB_TSC", "LAB_TRIG", "LAB_HDL", "LAB_GLUC_ADJUSTED", "PM_BMI_CONTINUOUS"]


@cache
def gold() -> dict[tuple[str, str], tuple[float, ...]]:
    """Values by name and item."""
    rows = [line.split("\t") for line in (DATA / "gold_R.tsv").read_text().splitlines() if line[:1] != "#"]
    return {(name, item): tuple(float(v) for v in values) for name, item, *values in rows}


@cache
def frames(name: str) -> tuple[pd.DataFrame, ...]:
    if name == "lung2":
        pooled = pd.read_csv(DATA / "lung2.csv")
        return tuple(frame for _, frame in pooled.groupby("site"))
    return tuple(pd.read_csv(DATA / f"CNSIM{i}.csv") for i in (1, 2, 3))


def close(got: Sequence[Any], wanted: Sequence[float]) -> None:
    assert list(got) == pytest.approx(list(wanted), rel=1e-6)


def terms(result: Result) -> dict[str, tuple[float, float]]:
    return {term["term"]: (term["estimate"], term["std_error"]) for term in result.result["terms"]}


def rows_of(name: str) -> dict[str, tuple[float, ...]]:
    found = {item: values for (row, item), values in gold().items() if row == name}
    assert found
    return found


@pytest.mark.parametrize("policy", [OPEN, DEFAULT], ids=["open", "default"])
@pytest.mark.parametrize("ties", ["breslow", "efron"])
@pytest.mark.parametrize(
    ("strata", "label"),
    [(None, ""), ("holder", " strata(site)"), ("site", " strata(site)")],
    ids=["shared", "holder", "site"],
)
def test_cox(policy: DisclosurePolicy, ties: str, strata: str | None, label: str) -> None:
    question = {
        "method": "cox",
        "formula": "Surv(time, status) ~ age + sex",
        "ties": ties,
        "strata": strata,
    }
    got = terms(run(question, frames("lung2"), policy))
    wanted = rows_of(f"lung2 coxph age+sex{label} ties={ties} [coef,se]")
    assert set(got) == set(wanted)
    for term, values in wanted.items():
        close(got[term], values)


@pytest.mark.parametrize("policy", [OPEN, DEFAULT], ids=["open", "default"])
@pytest.mark.parametrize(
    ("data", "question", "name"),
    [
        (
            "lung2",
            {"formula": "status ~ age + sex", "family": "binomial"},
            "lung2 glm logit status~age+sex [coef,se]",
        ),
        (
            "CNSIM",
            {"formula": "DIS_DIAB ~ LAB_TRIG + GENDER + PM_BMI_CONTINUOUS", "family": "binomial"},
            CNSIM_GLM,
        ),
        ("CNSIM", {"formula": "LAB_TSC ~ LAB_TRIG + GENDER", "family": "gaussian"}, CNSIM_LM),
    ],
    ids=["lung2-logit", "cnsim-logit", "cnsim-gaussian"],
)
def test_glm(policy: DisclosurePolicy, data: str, question: dict[str, Any], name: str) -> None:
    result = run({"method": "glm", **question}, frames(data), policy)
    got, wanted = terms(result), rows_of(name)
    assert set(got) == set(wanted)
    for term, values in wanted.items():
        close(got[term], values)
    if " n=" in name:
        stated = dict(part.split("=") for part in name.split() if "=" in part)
        assert result.n == int(stated["n"])
        close([result.result["deviance"]], [float(stated["dev"])])


@pytest.mark.parametrize("policy", [OPEN, DEFAULT], ids=["open", "default"])
def test_kaplan_meier(policy: DisclosurePolicy) -> None:
    wanted = rows_of("lung2 survfit pooled [S,se,lo,hi,nrisk]")
    result = run({"method": "kaplan_meier", **SURVIVAL, "grid": [100, 365, 730]}, frames("lung2"), policy)
    [curve] = result.result["strata"]
    for i, item in enumerate(wanted):
        assert curve["time"][i] == float(item.removeprefix("t="))
        figures = ("survival", "std_error", "conf_low", "conf_high", "at_risk")
        close([curve[figure][i] for figure in figures], wanted[item])


def test_log_rank_and_median() -> None:
    [(chi_square, median)] = rows_of("lung2 logrank sex").values()
    test = run({"method": "log_rank", **SURVIVAL, "by": "sex"}, frames("lung2"), DEFAULT)
    close([test.result["chi_square"]], [chi_square])
    curve = run({"method": "kaplan_meier", **SURVIVAL}, frames("lung2"), OPEN)
    assert curve.result["strata"][0]["median"] == median


@pytest.mark.parametrize("policy", [OPEN, DEFAULT], ids=["open", "default"])
def test_quantiles(policy: DisclosurePolicy) -> None:
    [wanted] = rows_of("CNSIM LAB_TSC type-7 quantiles").values()
    probabilities = [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95]
    question = {"method": "quantiles", "variable": "LAB_TSC", "probabilities": probabilities}
    result = run(question, frames("CNSIM"), policy).result
    for got, value, resolution in zip(result["values"], wanted, result["resolution"], strict=True):
        assert abs(got - value) <= resolution + 1e-9
        assert resolution < (1e-9 if policy is OPEN else 0.01)


def test_describe_pooled_and_by_site() -> None:
    wanted = rows_of("CNSIM LAB_TSC [mean,var,n]")
    pooled = run({"method": "describe", "variable": "LAB_TSC"}, frames("CNSIM"), DEFAULT).result
    close([pooled["mean"], pooled["variance"], pooled["n"]], wanted["pooled"])
    question = {"method": "describe", "variable": "LAB_TSC", "by": "holder"}
    by_site = run(question, frames("CNSIM"), DEFAULT).result
    for i, group in enumerate(by_site["groups"], start=1):
        close([group["mean"], group["variance"], group["n"]], wanted[f"site{i}"])


@pytest.mark.parametrize("site", [None, 1, 2, 3])
def test_crosstab(site: int | None) -> None:
    name = "CNSIM table DIS_DIAB x GENDER" + (" pooled" if site is None else "")
    wanted = rows_of(name)["d0g0,d1g0,d0g1,d1g1" if site is None else f"site{site}"]
    held = frames("CNSIM") if site is None else frames("CNSIM")[site - 1 : site]
    result = run({"method": "crosstab", "rows": "DIS_DIAB", "columns": "GENDER"}, held, OPEN).result
    (d0g0, d0g1), (d1g0, d1g1) = result["counts"]
    assert (d0g0, d1g0, d0g1, d1g1) == wanted


def test_pca() -> None:
    [wanted] = rows_of("CNSIM PCA 5 vars complete cases").values()
    result = run({"method": "pca", "variables": LABS}, frames("CNSIM"), DEFAULT).result
    close(result["eigenvalues"], wanted)
