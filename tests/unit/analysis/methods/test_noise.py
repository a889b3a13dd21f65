"""Methods that add noise: what they sum, what one person changes in it, and that noise lands there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from salerno.analysis.methods import method_of
from salerno.analysis.model import Sums
from salerno.kernel.errors import Invalid
from salerno.permits.model import DisclosurePolicy
from tests.unit.analysis.methods.harness import OPEN, run, scope_of, shares_of, views_of

NOISY = replace(OPEN, epsilon=1.0)
QUESTIONS: list[dict[str, Any]] = [
    {"method": "count", "by": ["sex", "ward"]},
    {"method": "crosstab", "rows": "sex", "columns": "ward"},
    {"method": "histogram", "variable": "age", "bins": [20, 40, 60.5]},
    {"method": "describe", "variables": ["age", "crp"], "by": "sex",
     "bounds": {"age": [0, 90], "crp": [0.5, 7]}},
]  # fmt: skip


def patients() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(
        {
            "age": rng.integers(18, 100, 90),
            "crp": rng.gamma(2, 2, 90),
            "sex": rng.choice(["F", "M"], 90),
            "ward": rng.choice(["a", "b", "c"], 90),
        }
    )
    frame.loc[:4, "crp"] = np.nan
    return frame


def drawn(sums: Sums, question: dict[str, Any], state: Any) -> np.ndarray:
    """The numbers that get noise, in its order."""
    names = {"count": ["cells"], "histogram": ["bins"], "describe": ["counts", "values", "squares"]}
    if question["method"] == "crosstab":
        return np.asarray(sums["table"][:-1, :-1].ravel())
    return np.concatenate([sums[name].ravel() for name in names[question["method"]]])


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda q: q["method"])
def test_one_person_changes_no_more_than_is_said_and_noise_lands_where_it_is_drawn_for(
    question: dict[str, Any],
) -> None:
    frame = patients()
    scope = scope_of([frame], NOISY)
    method: Any = method_of(question)
    state = method.start(question, scope)
    (whole,) = shares_of(method, state, views_of([frame], scope))
    said = method.sensitivity(state)
    assert drawn(whole, question, state).shape == said.most.shape
    for person in (0, int(frame["age"].idxmax()), int(frame["crp"].idxmax()), int(frame["crp"].idxmin())):
        (left,) = shares_of(method, state, views_of([frame.drop(index=person)], scope))
        change = np.abs(drawn(whole, question, state) - drawn(left, question, state))
        assert (change <= said.most).all()
        assert 0 < (change > 0).sum() <= said.numbers
    noise = np.arange(len(said.most)) + 5
    got = drawn(method.noisy(whole, state, noise), question, state)
    assert (got == drawn(whole, question, state) + noise).all()
    assert (drawn(method.noisy(whole, state, noise * 0 - 10**6), question, state) >= 0).sum() > 0


def test_values_beyond_the_bounds_count_as_the_bounds() -> None:
    frame = patients()
    frames = [frame.iloc[i::3].reset_index(drop=True) for i in range(3)]
    result = run(QUESTIONS[-1], frames, NOISY).result
    for entry, (low, high) in zip(result["variables"], ((0, 90), (0.5, 7)), strict=True):
        for group in entry["groups"]:
            own = frame.loc[frame["sex"] == group["levels"][0], entry["variable"]].dropna().clip(low, high)
            assert group["n"] == len(own)
            assert group["mean"] == pytest.approx(own.mean(), abs=(high - low) / 2**15)
            assert group["variance"] == pytest.approx(own.var(), rel=1e-3)


def test_what_noise_needs_is_asked_for() -> None:
    frame = patients()
    for question, what in (
        ({"method": "histogram", "variable": "age", "bins": 20}, "list of edges"),
        ({"method": "describe", "variable": "age"}, "bounds"),
        ({"method": "describe", "variable": "age", "bounds": [90, 0]}, "lower and a higher"),
        ({"method": "describe", "variable": "age", "bounds": {"ag": [0, 90]}}, "Did you mean 'age'"),
    ):
        with pytest.raises(Invalid, match=what):
            run(question, [frame], NOISY)
    hidden = run(
        {"method": "describe", "variable": "age", "by": "ward", "bounds": [0, 90]}, [frame],
        replace(DisclosurePolicy(), epsilon=1.0, min_cell=40),
    )  # fmt: skip
    assert all(group["mean"] is None for group in hidden.result["groups"])
