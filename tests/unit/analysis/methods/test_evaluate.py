"""A score's AUC, calibration and Brier score against figures by other means."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from salerno.kernel.errors import Invalid, Refused
from salerno.permits.model import DisclosurePolicy
from tests.unit.analysis.methods.harness import OPEN, run


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(12)
    n = 900
    eta = rng.normal(-0.5, 1.2, n)
    frame = pd.DataFrame({"risk": 1 / (1 + np.exp(-eta * 0.7)), "rank": np.exp(eta).round(2)})
    frame["y"] = (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(int)
    frame.loc[::31, "risk"] = np.nan
    return frame


def ask(frame: pd.DataFrame, holders: int = 3, policy: DisclosurePolicy = OPEN, **more: Any) -> Any:
    frames = [frame.iloc[i::holders].reset_index(drop=True) for i in range(holders)]
    return run({"method": "evaluate", "outcome": "y", "score": "risk"} | more, frames, policy)


def delong(events: np.ndarray, others: np.ndarray) -> tuple[float, float]:
    """AUC and standard error by all pairs, as DeLong, DeLong and Clarke-Pearson write them."""
    pairs = (events[:, None] > others[None]) + 0.5 * (events[:, None] == others[None])
    variance = pairs.mean(axis=1).var(ddof=1) / len(events) + pairs.mean(axis=0).var(ddof=1) / len(others)
    return float(pairs.mean()), float(np.sqrt(variance))


def test_discrimination(frame: pd.DataFrame) -> None:
    complete = frame.dropna()
    answer = ask(frame)
    result = answer.result
    assert (answer.n, answer.n_missing) == (len(complete), len(frame) - len(complete))
    auc, error = delong(complete.risk[complete.y == 1].to_numpy(), complete.risk[complete.y == 0].to_numpy())
    assert auc == pytest.approx(roc_auc_score(complete.y, complete.risk))
    assert abs(result["auc"] - auc) <= result["auc_resolution"] < 0.002
    assert result["auc_std_error"] == pytest.approx(error, rel=0.01)
    assert result["auc_conf_low"] == pytest.approx(result["auc"] - 1.959964 * result["auc_std_error"])


def test_calibration_of_probabilities(frame: pd.DataFrame) -> None:
    complete, result = frame.dropna(), ask(frame).result
    assert result["brier"] == pytest.approx(brier_score_loss(complete.y, complete.risk), rel=1e-10)
    assert result["log_loss"] == pytest.approx(log_loss(complete.y, complete.risk), rel=1e-10)
    logit = np.log(complete.risk / (1 - complete.risk))
    both = sm.GLM(complete.y, sm.add_constant(logit), family=sm.families.Binomial()).fit(tol=1e-12)
    large = sm.GLM(complete.y, np.ones(len(logit)), family=sm.families.Binomial(), offset=logit).fit(
        tol=1e-12
    )
    wanted = [*both.params, *large.params]
    assert [term["estimate"] for term in result["terms"]] == pytest.approx(wanted, rel=1e-6)
    assert [term["std_error"] for term in result["terms"]] == pytest.approx([*both.bse, *large.bse], rel=1e-6)
    groups = pd.DataFrame(result["calibration"])
    assert groups["n"].sum() == len(complete)
    assert (groups["predicted"] * groups["n"]).sum() == pytest.approx(complete.risk.sum())
    assert groups["predicted"].is_monotonic_increasing


def test_a_score_that_only_ranks(frame: pd.DataFrame) -> None:
    result = ask(frame, score="rank", scale="score").result
    assert abs(result["auc"] - roc_auc_score(frame.y, frame["rank"])) <= result["auc_resolution"]
    assert "brier" not in result


@pytest.mark.parametrize("holders", [1, 2, 3])
def test_disclosure_control(frame: pd.DataFrame, holders: int) -> None:
    policy = DisclosurePolicy(min_cell=20)
    result = ask(frame, holders, policy).result
    complete = frame.dropna()
    assert abs(result["auc"] - roc_auc_score(complete.y, complete.risk)) <= result["auc_resolution"]
    for group in result["calibration"]:
        assert min(group["events"], group["n"] - group["events"]) >= 20


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"score": "rank"}, Invalid, "between 0 and 1"),
        ({"score": "y"}, Invalid, "cannot be its own score"),
        ({"outcome": "rank", "score": "risk"}, Invalid, "'rank' must be 0 or 1"),
        ({"score": "riks"}, Invalid, "risk"),
    ],
)
def test_what_cannot_be_asked(
    frame: pd.DataFrame, changes: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        ask(frame, **changes)


def test_few_events_are_refused(frame: pd.DataFrame) -> None:
    with pytest.raises(Refused, match="Fewer than 10 persons have y = 1"):
        ask(
            frame.dropna().assign(y=(np.arange(len(frame.dropna())) < 7).astype(int)),
            policy=DisclosurePolicy(),
        )
