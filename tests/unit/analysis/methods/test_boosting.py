"""Boosted trees against scikit-learn's on the same bins, one holder against three, and what is refused."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from salerno.kernel.errors import Invalid, Refused
from salerno.permits.model import DisclosurePolicy
from tests.unit.analysis.methods.harness import OPEN, run

Answer = dict[str, Any]


@pytest.fixture(scope="module")
def patients() -> pd.DataFrame:
    """Few distinct values, each in many persons, so that every value is a bin of its own for anybody."""
    rng = np.random.default_rng(3)
    n = 3000
    frame = pd.DataFrame(
        {
            "a": rng.integers(0, 20, n).astype(float),
            "b": rng.integers(-8, 8, n).astype(float),
            "c": rng.integers(0, 2, n).astype(float),
            "site": rng.choice(["north", "south", "east", "west", "isle"], n),
            "year": rng.choice([2023, 2024], n, p=[0.7, 0.3]),
        }
    )
    effect = frame["site"].map({"north": 0.9, "south": -0.4, "east": 0.5, "west": 0.0, "isle": -1.1})
    score = 0.15 * frame.a - 0.2 * frame.b.abs() + 0.5 * frame.c * (frame.a > 9) - 1
    frame["y"] = (rng.random(n) < 1 / (1 + np.exp(-score - effect))).astype(int)
    frame["z"] = score + effect + rng.normal(size=n)
    frame["outcome"] = np.where(frame.y == 1, "yes", "no")
    frame.loc[rng.random(n) < 0.15, "b"] = np.nan
    return frame


def split(frame: pd.DataFrame, n: int = 3) -> list[pd.DataFrame]:
    return [frame.iloc[i::n].reset_index(drop=True) for i in range(n)]


def ask(frame: pd.DataFrame, holders: int = 3, policy: DisclosurePolicy = OPEN, **question: Any) -> Answer:
    question = {"method": "boosting", "outcome": "y", "variables": ["a", "b", "c"], "trees": 2} | question
    return run(question, split(frame, holders), policy).result


@pytest.mark.parametrize(
    ("family", "outcome", "model"),
    [("binomial", "y", HistGradientBoostingClassifier), ("gaussian", "z", HistGradientBoostingRegressor)],
)
def test_the_trees_are_those_of_scikit_learn(
    patients: pd.DataFrame, family: str, outcome: str, model: type
) -> None:
    names = ["a", "b", "c"]
    ours = ask(patients, family=family, outcome=outcome, bins=128, trees=4)
    fitted = model(
        max_iter=4,
        max_depth=3,
        max_leaf_nodes=None,
        min_samples_leaf=20,
        l2_regularization=1.0,
        learning_rate=0.2,
        early_stopping=False,
    ).fit(patients[names], patients[outcome])
    trees = pd.DataFrame(ours["trees"])
    for number, (predictor,) in enumerate(fitted._predictors, start=1):
        nodes, own = predictor.nodes, trees[trees["tree"] == number]
        leaf = nodes["is_leaf"] == 1
        # scikit-learn keeps gradients as float32, so its gains lose digits to cancellation.
        assert np.sort(own["value"].dropna()) == pytest.approx(np.sort(nodes["value"][leaf]), abs=1e-6)
        assert np.sort(own["gain"].dropna()) == pytest.approx(np.sort(nodes["gain"][~leaf]), rel=2e-3)
        assert np.sort(own["n"]).tolist() == np.sort(nodes["count"]).tolist()
        column = {name: position for position, name in enumerate(names)}
        used = own["variable"].dropna().map(column)
        assert sorted(used) == sorted(nodes["feature_idx"][~leaf])
    figures = ours["evaluation"][0]
    if family == "gaussian":
        assert figures["r_squared"] == pytest.approx(fitted.score(patients[names], patients["z"]), abs=1e-8)
        error = patients["z"] - fitted.predict(patients[names])
        assert figures["rmse"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-7)
        assert figures["mae"] == pytest.approx(error.abs().mean(), rel=1e-7)
        return
    predicted = fitted.predict_proba(patients[names])[:, 1]
    assert figures["brier"] == pytest.approx(brier_score_loss(patients["y"], predicted), rel=1e-7)
    assert figures["log_loss"] == pytest.approx(log_loss(patients["y"], predicted), rel=1e-7)
    exact = roc_auc_score(patients["y"], predicted)
    assert abs(figures["auc"] - exact) <= figures["auc_resolution"] < 0.03


def test_three_holders_train_what_one_does(patients: pd.DataFrame) -> None:
    names = ["a", "b", "c", "site"]
    one, three = (ask(patients, holders, variables=names) for holders in (1, 3))
    left, right = pd.DataFrame(one["trees"]), pd.DataFrame(three["trees"])
    for name in ("gain", "value", "threshold"):
        assert left[name].to_numpy() == pytest.approx(right[name].to_numpy(), rel=1e-9, nan_ok=True)
    assert left.drop(columns=["gain", "value"]).equals(right.drop(columns=["gain", "value"]))
    assert one["evaluation"][0]["auc"] == three["evaluation"][0]["auc"]


def test_categories_are_parted_in_the_best_way(patients: pd.DataFrame) -> None:
    root = ask(patients, variables=["site"], depth=1, trees=1, l2=0)["trees"][0]
    mean = patients["y"].mean()

    def gain(levels: tuple[str, ...]) -> float:
        inside = patients["site"].isin(levels)
        return sum(
            (part.y - mean).sum() ** 2 / (len(part) * mean * (1 - mean))
            for part in (patients[inside], patients[~inside])
        )

    subsets = [s for size in (1, 2) for s in combinations(sorted(patients["site"].unique()), size)]
    best = max(subsets, key=gain)
    assert root["gain"] == pytest.approx(gain(best), rel=1e-9)
    assert set(root["levels"]) in (set(best), set(patients["site"]) - set(best))


def test_a_holder_or_a_column_can_be_kept_for_the_test(patients: pd.DataFrame) -> None:
    frames = split(patients)
    whole = ask(pd.concat(frames[:2], ignore_index=True), 1)
    question = {"method": "boosting", "outcome": "y", "variables": ["a", "b", "c"], "trees": 2}
    tested = run({**question, "test": "h2"}, frames, OPEN).result
    assert [tree["value"] for tree in tested["trees"] if "value" in tree] == pytest.approx(
        [tree["value"] for tree in whole["trees"] if "value" in tree], rel=1e-9
    )
    assert [part["n"] for part in tested["evaluation"]] == [2000, 1000]
    by_year = ask(patients, test={"column": "year", "levels": [2024]})
    assert by_year["evaluation"][1]["n"] == (patients["year"] == 2024).sum()
    assert sum(group["n"] for group in by_year["calibration"]) == (patients["year"] == 2024).sum()


def test_a_two_level_outcome_is_a_yes_or_no(patients: pd.DataFrame) -> None:
    assert ask(patients, outcome="outcome")["trees"] == ask(patients)["trees"]
    turned = ask(patients, outcome="outcome", reference={"outcome": "yes"})
    assert turned["baseline"] == pytest.approx(-ask(patients)["baseline"])


@pytest.mark.parametrize("holders", [2, 3])
def test_no_side_of_a_split_has_few_persons(patients: pd.DataFrame, holders: int) -> None:
    frame = patients.assign(rare=np.where(np.arange(3000) < 30, 7.0, 1.0) + patients["c"])
    frame.loc[frame["rare"] > 6, "y"] = 1
    policy = DisclosurePolicy(min_cell=25)
    result = ask(frame, holders, policy, variables=["rare"], min_leaf=1)
    trees = pd.DataFrame(result["trees"])
    assert (trees["n"] % 25 == 0).all()
    frames = split(frame, holders)
    for number, own in trees.groupby("tree"):
        at = {row["node"]: row for row in own.to_dict("records")}
        for part in frames if holders < 3 else [frame]:
            reached = leaves_of(part, at)
            counts = reached.value_counts()
            assert (counts >= 25).all(), number
    rare = trees.loc[trees["variable"] == "rare", "threshold"].dropna()
    # 30 persons are enough for all together, but not for each of two holders.
    assert (rare.max() > 3) == (holders == 3)


def leaves_of(frame: pd.DataFrame, nodes: dict[int, Any]) -> pd.Series:
    """The leaf that each row of a data frame comes to, by the documented rule."""

    def leaf(row: pd.Series) -> int:
        at = 0
        while isinstance(nodes[at]["variable"], str):
            node = nodes[at]
            value = row[node["variable"]]
            if pd.isna(value):
                left = node["missing"] == "left"
            elif isinstance(node.get("levels"), list):
                left = value in node["levels"]
            elif pd.isna(node["threshold"]):
                left = node["missing"] != "left"
            else:
                left = value < node["threshold"]
            at = int(node["left"] if left else node["right"])
        return at

    return frame.apply(leaf, axis=1)


def test_calibration_has_no_small_class(patients: pd.DataFrame) -> None:
    result = ask(patients, policy=DisclosurePolicy(min_cell=40))
    for group in result["calibration"]:
        assert group["events"] >= 40
        assert group["n"] - group["events"] >= 40
        assert group["observed"] == group["events"] / group["n"]


def test_an_outcome_that_nothing_explains_has_no_tree() -> None:
    frame = pd.DataFrame({"a": np.ones(100), "y": np.arange(100) % 2})
    result = ask(frame, variables=["a"])
    assert result["n_trees"] == 1
    assert result["trees"] == [{"tree": 1, "node": 0, "n": 100, "value": pytest.approx(0.0, abs=1e-12)}]
    assert result["evaluation"][0]["auc"] == 0.5


def test_all_values_missing_and_one_value(patients: pd.DataFrame) -> None:
    frame = patients.assign(b=np.nan, c=1.0)
    assert {row.get("variable") for row in ask(frame)["trees"]} <= {"a", None}


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"trees": 500}, Refused, "500 trees of depth 3 take up to 1506 rounds, more than the 300"),
        ({"trees": 0}, Invalid, "'trees' must lie between 1 and 500"),
        ({"variables": ["a", "y"]}, Invalid, "The outcome cannot be one of the 'variables'"),
        ({"outcome": "a"}, Invalid, "The outcome 'a' must have the values 0 and 1"),
        ({"outcome": "site"}, Invalid, "has two levels, and 'site' has 5"),
        ({"test": "h7"}, Invalid, "no level 'h7'"),
        ({"test": {"columns": "year"}}, Invalid, "'test' must be a holder's name"),
        ({"categorical": ["year"]}, Invalid, "none of the 'variables'"),
        ({"learning_rate": 0}, Invalid, "'learning_rate' must lie between 0 and 10"),
    ],
)
def test_what_cannot_be_asked(
    patients: pd.DataFrame, changes: dict[str, Any], error: type[Exception], says: str
) -> None:
    frame = patients.drop(columns="z")
    if changes.get("outcome") == "a":
        changes = {**changes, "variables": ["b"]}
    with pytest.raises(error, match=says.replace("(", r"\(")):
        ask(frame, **changes)


def test_few_events_are_refused(patients: pd.DataFrame) -> None:
    frame = patients.assign(y=(np.arange(3000) < 12).astype(int))
    with pytest.raises(Refused, match="Fewer than 20 persons have y = 1"):
        ask(frame, policy=DisclosurePolicy(min_cell=20))
    # Each of two holders would know the other's.
    with pytest.raises(Refused, match="Fewer than 10 persons have y = 1"):
        ask(frame, 2, policy=DisclosurePolicy(min_cell=10))
