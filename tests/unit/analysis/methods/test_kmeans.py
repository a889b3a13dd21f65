"""k-means against scikit-learn from the same start, and what disclosure control does to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans

from salerno.kernel.errors import Invalid, Refused
from salerno.permits.model import DisclosurePolicy
from tests.unit.analysis.methods.harness import OPEN, run

NAMES = ["age", "bmi", "crp"]


def blobs(n: int = 600, seed: int = 5) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    centres = np.array([[40.0, 22, 1], [70, 24, 8], [55, 35, 4]])
    kind = rng.integers(0, 3, n)
    frame = pd.DataFrame(centres[kind] + rng.normal(size=(n, 3)) * [6, 2.5, 1.2], columns=NAMES)
    frame.loc[rng.random(n) < 0.05, "crp"] = np.nan
    return frame


def ask(frame: pd.DataFrame, holders: int = 3, policy: DisclosurePolicy = OPEN, **more: Any) -> Any:
    frames = [frame.iloc[i::holders].reset_index(drop=True) for i in range(holders)]
    return run({"method": "kmeans", "variables": NAMES, "clusters": 3} | more, frames, policy)


@pytest.mark.parametrize(("standardise", "size"), [(True, 3), (False, 3), (True, 5)])
def test_the_clusters_are_those_of_scikit_learn(standardise: bool, size: int) -> None:
    frame = blobs()
    answer = ask(frame, standardise=standardise, clusters=size)
    complete = frame.dropna()
    assert (answer.n, answer.n_missing) == (len(complete), len(frame) - len(complete))
    scale = complete.std() if standardise else pd.Series(1.0, index=NAMES)
    begin = pd.DataFrame(answer.result["start"])[NAMES]
    model = KMeans(size, init=(begin / scale).to_numpy(), n_init=1, tol=0, algorithm="lloyd", max_iter=100)
    labels = model.fit_predict(complete / scale)
    centres = pd.DataFrame([cluster["centre"] for cluster in answer.result["clusters"]])[NAMES]
    assert centres.to_numpy() == pytest.approx(model.cluster_centers_ * scale.to_numpy(), rel=1e-9)
    sizes = [cluster["n"] for cluster in answer.result["clusters"]]
    assert sizes == np.bincount(labels).tolist()
    assert answer.result["within_ss"] == pytest.approx(model.inertia_, rel=1e-9)
    total = ((complete - complete.mean()) ** 2 / scale**2).to_numpy().sum()
    assert answer.result["total_ss"] == pytest.approx(total, rel=1e-9)
    assert answer.result["converged"]


def test_one_holder_and_three_find_the_same() -> None:
    one, three = ask(blobs(), 1).result, ask(blobs(), 3).result
    assert [c["n"] for c in one["clusters"]] == [c["n"] for c in three["clusters"]]
    for left, right in zip(one["clusters"], three["clusters"], strict=True):
        assert left["centre"] == pytest.approx(right["centre"], rel=1e-10)


@pytest.mark.parametrize("holders", [2, 3])
def test_small_clusters_are_given_up_and_small_moves_not_made(holders: int) -> None:
    frame = pd.concat([blobs(), pd.DataFrame([[400.0, 90, 60]] * 6, columns=NAMES)], ignore_index=True)
    policy = DisclosurePolicy(min_cell=20)
    answer = ask(frame, holders, policy, clusters=8)
    assert 2 <= len(answer.result["clusters"]) < 8
    assert min(cluster["n"] for cluster in answer.result["clusters"]) >= 20
    assert "given up" in " ".join(answer.notes)
    open_answer = ask(frame, holders, clusters=3)
    assert open_answer.result["converged"]


def test_no_sum_tells_of_few_who_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever sums are asked for: they differ from what is known already by nobody or by enough persons."""
    from salerno.analysis.methods import kmeans
    from tests.unit.analysis.methods.harness import scope_of, views_of

    frame, least = blobs(900, seed=8), 15
    frames = [frame.iloc[i::3].reset_index(drop=True) for i in range(3)]
    scope = scope_of(frames, DisclosurePolicy(min_cell=least))
    state: Any = kmeans.start({"method": "kmeans", "variables": NAMES, "clusters": 6}, scope)
    z = frame.dropna()
    known: dict[int, np.ndarray] = {}
    asked = 0
    while isinstance(state, kmeans.State):
        if any(state.due):
            means, now = state.moments.means, state.now
            scaled = ((z - means) / state.scale).to_numpy()
            distance = ((scaled[:, None, :] - now.centres[None]) ** 2).sum(axis=2)
            distance[:, ~np.array(now.alive)] = np.inf
            label = distance.argmin(axis=1)
            fresh = dict(known)
            for j in np.flatnonzero(state.due):
                fresh[int(j)] = label == j
                before = known.get(int(j))
                changed = fresh[int(j)] if before is None else before ^ fresh[int(j)]
                assert changed.sum() == 0 or changed.sum() >= least
            known, asked = fresh, asked + 1
        views = views_of(frames, scope)
        shares = []
        for view in views:
            aggregate = kmeans.local(view, state)
            shares.append(kmeans.guard(aggregate.finish(aggregate.expression.to_pyarrow()), state, scope))
        state = kmeans.step({name: sum(share[name] for share in shares) for name in shares[0]}, state)
    assert asked > 2
    assert not state.result["converged"] or "safe" not in " ".join(state.notes)


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"clusters": 1}, Invalid, "'clusters' must lie between 2 and 50"),
        ({"clusters": 2.5}, Invalid, "'clusters' must be a whole number"),
        ({"iterations": 500}, Refused, "500 iterations take up to 1006 rounds"),
        ({"variables": ["age"]}, Invalid, "two variables or more"),
        ({"standardise": 1}, Invalid, "'standardise' must be one of True, False"),
    ],
)
def test_what_cannot_be_asked(changes: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        ask(blobs(60), **changes)


def test_a_column_that_does_not_vary_is_named() -> None:
    with pytest.raises(Refused, match="bmi is the same for everybody"):
        ask(blobs().assign(bmi=25.0))
