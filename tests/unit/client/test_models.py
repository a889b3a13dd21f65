"""A boosting answer's model predicts on a data frame what the holders' engines did."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from salerno.client.answer import Answer
from salerno.kernel.errors import Invalid
from tests.unit.analysis.methods.harness import run


def answer_of(frame: pd.DataFrame, **question: object) -> Answer:
    asked = {"method": "boosting", "variables": ["age", "site", "visits"], "trees": 3, **question}
    found = run(asked, [frame])
    members = {"method": "boosting", "question": asked, "holders": ["one"], "n": found.n, "rounds": 1}
    return Answer({**members, "result": found.result, "seconds": 0.0, "provenance": {}})


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    n = 600
    frame = pd.DataFrame(
        {
            "age": rng.normal(60, 10, n),
            "site": rng.choice(["a", "b", "c", None], n),
            "visits": rng.choice([1.0, 2.0, 3.0, np.nan], n),
        }
    )
    frame["value"] = frame.age / 10 + (frame.site == "b") * 2 + frame.visits.isna() * 1.5 + rng.normal(size=n)
    frame["sick"] = (frame["value"] > frame["value"].median()).astype(int)
    return frame


def test_predictions_have_the_error_that_the_answer_tells(frame: pd.DataFrame) -> None:
    probability = answer_of(frame, outcome="sick", categorical=["visits"])
    predicted = probability.model().predict(frame)
    brier = probability.result["evaluation"][0]["brier"]
    assert np.mean((predicted - frame["sick"]) ** 2) == pytest.approx(brier, rel=1e-10)
    value = answer_of(frame, outcome="value", family="gaussian")
    error = value.model().predict(frame) - frame["value"]
    assert np.sqrt((error**2).mean()) == pytest.approx(value.result["evaluation"][0]["rmse"], rel=1e-10)
    assert value.tables()["trees"]["tree"].max() == 3


def test_what_cannot_be_predicted_is_named(frame: pd.DataFrame) -> None:
    model = answer_of(frame, outcome="sick").model()
    with pytest.raises(Invalid, match="The model needs the column"):
        model.predict(frame.drop(columns=model.variables[0]))
    with pytest.raises(Invalid, match="no model"):
        Answer({"method": "count", "question": {}, "result": {}, "holders": [], "n": 1}).model()
