"""Boosted trees, clusters and scores over random data and splits equal those of one holder with all rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from salerno.kernel.errors import Refused
from salerno.permits.model import DisclosurePolicy
from tests.unit.analysis.methods.harness import OPEN, run

FEW = settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
POLICIES = st.sampled_from([OPEN, DisclosurePolicy(min_cell=8)])


@st.composite
def splits(draw: st.DrawFn) -> tuple[pd.DataFrame, list[pd.DataFrame]]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(120, 500))
    x = draw(st.sampled_from([rng.normal(1e6, 1, n), rng.standard_cauchy(n), rng.integers(0, 5, n) * 1.0]))
    pooled = pd.DataFrame({"x": x, "w": rng.normal(0, 2, n), "sex": rng.choice(["F", "M", "X"], n)})
    eta = 0.8 * pooled["w"] + (pooled["sex"] == "M")
    pooled["p"] = 1 / (1 + np.exp(-eta))
    pooled["y"] = (rng.random(n) < pooled["p"]).astype(int)
    for name in ("x", "sex"):
        pooled.loc[rng.random(n) < 0.1, name] = None
    holders = draw(st.integers(3, 5))
    return pooled, [pooled.iloc[i::holders].reset_index(drop=True) for i in range(holders)]


def same(left: Any, right: Any) -> None:
    """Figures agree to what the order of addition leaves; all else to the letter."""
    if isinstance(left, dict):
        assert left.keys() == right.keys()
        for name in left:
            same(left[name], right[name])
    elif isinstance(left, list):
        assert len(left) == len(right)
        for a, b in zip(left, right, strict=True):
            same(a, b)
    elif isinstance(left, float):
        assert right == pytest.approx(left, rel=1e-6, abs=1e-8)
    else:
        assert left == right


@FEW
@given(splits(), POLICIES)
def test_federated_equals_pooled(
    data: tuple[pd.DataFrame, list[pd.DataFrame]], policy: DisclosurePolicy
) -> None:
    pooled, frames = data
    whole = [pooled.iloc[i::3].reset_index(drop=True) for i in range(3)]
    boosting = {
        "method": "boosting",
        "variables": ["x", "w", "sex"],
        "trees": 1,
        "depth": 2,
        "min_leaf": 5,
        "bins": 8,
    }
    for question in (
        {**boosting, "outcome": "y"},
        {**boosting, "outcome": "w", "variables": ["x", "sex"], "family": "gaussian"},
        {"method": "kmeans", "variables": ["x", "w"], "clusters": 3, "iterations": 5},
        {"method": "evaluate", "outcome": "y", "score": "p"},
    ):
        try:
            wanted = run(question, whole, policy)
        except Refused as error:
            with pytest.raises(Refused, match=error.code):
                run(question, frames, policy)
            continue
        got = run(question, frames, policy)
        same(got.result, wanted.result)
        assert (got.n, got.n_missing, got.notes) == (wanted.n, wanted.n_missing, wanted.notes)
