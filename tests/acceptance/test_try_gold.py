"""Laptop mode against R: every value of the gold file, through permit, view, rounds and masks."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from salerno.nodes.local import LocalSpace
from salerno.permits.model import DisclosurePolicy

DATA = Path(__file__).parents[3] / "shared" / "data" / "exactness"
pytestmark = pytest.mark.skipif(
    not (DATA / "gold_R.tsv").exists(), reason="the R gold values are not beside the project"
)

RELATIVE = 1e-6

# R's figures rest on the rows that are complete for each of them, and these differ by few persons from one to
# the next: what the ledger is there to refuse, and what this file is not about.
FORGETFUL = DisclosurePolicy(differencing=False)


def gold() -> dict[str, list[list[str]]]:
    rows: dict[str, list[list[str]]] = {}
    for line in (DATA / "gold_R.tsv").read_text().splitlines():
        if not line.startswith("#"):
            name, *values = line.split("\t")
            rows.setdefault(name, []).append([value.strip() for value in values])
    return rows


@pytest.fixture(scope="module")
def lung(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSpace]:
    folder = tmp_path_factory.mktemp("lung")
    with (DATA / "lung2.csv").open() as file:
        rows = list(csv.DictReader(file))
    paths = []
    for site in ("site1", "site2", "site3"):
        paths.append(folder / f"{site}.csv")
        with paths[-1].open("w", newline="") as out:
            writer = csv.DictWriter(out, rows[0].keys())
            writer.writeheader()
            writer.writerows(row for row in rows if row["site"] == site)
    with LocalSpace(paths, policy=FORGETFUL) as space:
        yield space


@pytest.fixture(scope="module")
def cnsim() -> Iterator[LocalSpace]:
    with LocalSpace([DATA / f"CNSIM{number}.csv" for number in (1, 2, 3)], policy=FORGETFUL) as space:
        yield space


def check_terms(answer: dict[str, Any], name: str) -> None:
    terms = {term["term"]: term for term in answer["result"]["terms"]}
    for term, estimate, std_error in gold()[name]:
        assert terms[term]["estimate"] == pytest.approx(float(estimate), rel=RELATIVE), term
        assert terms[term]["std_error"] == pytest.approx(float(std_error), rel=RELATIVE), term
    assert len(terms) == len(gold()[name])
    assert answer["disclosure"]["masks"] is True


@pytest.mark.parametrize("ties", ["breslow", "efron"])
@pytest.mark.parametrize("strata", ["holder", None])
def test_cox(lung: LocalSpace, ties: str, strata: str | None) -> None:
    question = {"method": "cox", "formula": "Surv(time, status) ~ age + sex", "ties": ties, "strata": strata}
    stratified = " strata(site)" if strata else ""
    check_terms(lung.ask(question), f"lung2 coxph age+sex{stratified} ties={ties} [coef,se]")


def test_kaplan_meier_at_listed_times(lung: LocalSpace) -> None:
    answer = lung.ask({"method": "kaplan_meier", "time": "time", "event": "status", "grid": [100, 365, 730]})
    (curve,) = answer["result"]["strata"]
    rows = gold()["lung2 survfit pooled [S,se,lo,hi,nrisk]"]
    assert curve["time"] == [float(row[0].removeprefix("t=")) for row in rows]
    for at, (_, survival, std_error, low, high, at_risk) in enumerate(rows):
        assert curve["survival"][at] == pytest.approx(float(survival), rel=RELATIVE)
        assert curve["std_error"][at] == pytest.approx(float(std_error), rel=RELATIVE)
        assert curve["conf_low"][at] == pytest.approx(float(low), rel=RELATIVE)
        assert curve["conf_high"][at] == pytest.approx(float(high), rel=RELATIVE)
        assert curve["at_risk"][at] == int(at_risk)


def test_log_rank(lung: LocalSpace) -> None:
    answer = lung.ask({"method": "log_rank", "time": "time", "event": "status", "by": "sex"})
    assert answer["result"]["chi_square"] == pytest.approx(
        float(gold()["lung2 logrank sex"][0][1]), rel=RELATIVE
    )


def test_logistic_regression(lung: LocalSpace) -> None:
    answer = lung.ask({"method": "glm", "formula": "status ~ age + sex", "family": "binomial"})
    check_terms(answer, "lung2 glm logit status~age+sex [coef,se]")


@pytest.mark.parametrize(
    ("formula", "family", "row", "n", "deviance"),
    [
        (
            "DIS_DIAB ~ LAB_TRIG + GENDER + PM_BMI_CONTINUOUS",
            "binomial",
            "CNSIM glm logit DIS_DIAB~LAB_TRIG+GENDER+PM_BMI_CONTINUOUS n=7477 dev=1046.64680342 [coef,se]",
            7477,
            1046.64680342,
        ),
        (
            "LAB_TSC ~ LAB_TRIG + GENDER",
            "gaussian",
            "CNSIM glm gaussian LAB_TSC~LAB_TRIG+GENDER n=7800 dev=8923.19454388 [coef,se]",
            7800,
            8923.19454388,
        ),
    ],
)
def test_regression_on_cnsim(
    cnsim: LocalSpace, formula: str, family: str, row: str, n: int, deviance: float
) -> None:
    answer = cnsim.ask({"method": "glm", "formula": formula, "family": family})
    check_terms(answer, row)
    assert answer["n"] == n
    assert answer["result"]["deviance"] == pytest.approx(deviance, rel=RELATIVE)


def test_quantiles_are_right_to_the_resolution_that_they_state(cnsim: LocalSpace) -> None:
    probabilities = [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95]
    answer = cnsim.ask({"method": "quantiles", "variable": "LAB_TSC", "probabilities": probabilities})
    true = [float(value) for value in gold()["CNSIM LAB_TSC type-7 quantiles"][0][1:]]
    result = answer["result"]
    for value, expected, resolution in zip(result["values"], true, result["resolution"], strict=True):
        assert abs(value - expected) <= resolution
        assert resolution <= 0.1  # a tenth of a standard deviation of LAB_TSC


def test_mean_and_variance(cnsim: LocalSpace) -> None:
    rows = {row[0]: row[1:] for row in gold()["CNSIM LAB_TSC [mean,var,n]"]}
    mean, variance, n = (float(value) for value in rows["pooled"])
    result = cnsim.ask({"method": "describe", "variable": "LAB_TSC"})["result"]
    assert result["mean"] == pytest.approx(mean, rel=RELATIVE)
    assert result["variance"] == pytest.approx(variance, rel=RELATIVE)
    assert result["n"] == n


@pytest.mark.parametrize("site", [1, 2, 3])
def test_each_site_alone(site: int) -> None:
    means = {row[0]: row[1:] for row in gold()["CNSIM LAB_TSC [mean,var,n]"]}
    cells = [int(value) for value in gold()["CNSIM table DIS_DIAB x GENDER"][site - 1][1:]]
    with LocalSpace([DATA / f"CNSIM{site}.csv"], threshold=5) as space:
        described = space.ask({"method": "describe", "variable": "LAB_TSC"})["result"]
        table = space.ask({"method": "crosstab", "rows": "DIS_DIAB", "columns": "GENDER"})["result"]
    mean, variance, n = (float(value) for value in means[f"site{site}"])
    assert described["mean"] == pytest.approx(mean, rel=RELATIVE)
    assert described["variance"] == pytest.approx(variance, rel=RELATIVE)
    assert described["n"] == n
    d0g0, d1g0, d0g1, d1g1 = cells
    assert table["counts"] == [[d0g0, d0g1], [d1g0, d1g1]]


def test_table(cnsim: LocalSpace) -> None:
    d0g0, d1g0, d0g1, d1g1 = (int(value) for value in gold()["CNSIM table DIS_DIAB x GENDER pooled"][0][1:])
    table = cnsim.ask({"method": "crosstab", "rows": "DIS_DIAB", "columns": "GENDER"})["result"]
    assert table["counts"] == [[d0g0, d0g1], [d1g0, d1g1]]
    assert [str(level) for level in table["rows"]] == ["0", "1"]


def test_principal_components(cnsim: LocalSpace) -> None:
    variables = ["LAB_TSC", "LAB_TRIG", "LAB_HDL", "LAB_GLUC_ADJUSTED", "PM_BMI_CONTINUOUS"]
    answer = cnsim.ask({"method": "pca", "variables": variables})
    true = [float(value) for value in gold()["CNSIM PCA 5 vars complete cases"][0][1:]]
    assert answer["result"]["eigenvalues"] == pytest.approx(true, rel=RELATIVE)


def run_try(*arguments: str, question: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "salerno", "try", *arguments, "--question", "-"],
        input=json.dumps(question),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


SITES = [f"--site={DATA / f'CNSIM{number}.csv'}" for number in (1, 2, 3)]
RARE = {"method": "glm", "formula": "DIS_DIAB ~ LAB_TRIG", "family": "binomial"}


def test_the_command_prints_the_answer_alone() -> None:
    done = run_try(*SITES, "--json", "--threshold", "100", question=RARE)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["n"] + answer["n_missing"] == 2163 + 3088 + 4128
    members = "method question holders n n_missing result disclosure rounds seconds provenance"
    assert set(answer) == set(members.split())


def test_what_disclosure_control_refuses_ends_with_code_3() -> None:
    refused = run_try(*SITES, "--threshold", "200", question=RARE)
    assert refused.returncode == 3, refused.stdout + refused.stderr
    assert "DIS_DIAB" in refused.stderr


def test_masks_do_not_change_the_answer(cnsim: LocalSpace) -> None:
    question = {"method": "glm", "formula": "LAB_TSC ~ LAB_TRIG", "family": "gaussian"}
    with LocalSpace([DATA / f"CNSIM{number}.csv" for number in (1, 2, 3)], masks=False) as plain:
        without = plain.ask(question)
    assert without["disclosure"]["masks"] is False
    assert cnsim.ask(question)["result"] == without["result"]
