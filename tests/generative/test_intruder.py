"""An intruder asks what comes to mind, then solves for single persons by linear algebra over all the answers.

The intruder knows every column of everybody but one, ``ill``, and so which persons each question is about.
An answer is then an equation in the unknown: how many of these persons are ill. A person is found when the
equations fix that person's value.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from salerno.kernel.errors import SalernoError
from salerno.nodes.local import LocalSpace
from salerno.permits.model import DisclosurePolicy

K = 3
N = 24
PROTECTED = DisclosurePolicy(min_cell=K, dominance_persons=0, p_percent=0.0)
OPEN = DisclosurePolicy(min_cell=1)


def people(seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "number": np.arange(N) + 0.5,  # no category
            "sex": random.choice(["F", "M"], N),
            "region": random.choice(["n", "s", "w"], N),
            "ill": random.integers(0, 2, N),
        }
    )


CONDITIONS = st.lists(
    st.one_of(
        st.tuples(st.just("number"), st.sampled_from(["<", ">"]), st.integers(0, N).map(float)),
        st.tuples(st.just("sex"), st.just("=="), st.sampled_from("FM")),
        st.tuples(st.just("region"), st.sampled_from(["==", "!="]), st.sampled_from("nsw")),
    ),
    max_size=2,
)
COMPARE = {"<": np.less, ">": np.greater, "==": np.equal, "!=": np.not_equal}


class Intruder(RuleBasedStateMachine):
    """Keeps each answer as an equation over the persons."""

    policy = PROTECTED

    @initialize(seed=st.integers(0, 3), holders=st.integers(1, 2))
    def enter(self, seed: int, holders: int) -> None:
        self.people = people(seed)
        self.rows: list[np.ndarray] = []
        self.values: list[float] = []
        self.folder = tempfile.TemporaryDirectory()
        sites = []
        for number in range(holders):
            sites.append(Path(self.folder.name) / f"site{number}.csv")
            self.people.iloc[number::holders].to_csv(sites[-1], index=False)
        self.space = LocalSpace(sites, policy=self.policy).__enter__()

    def ask(self, question: dict[str, Any], conditions: list[tuple[str, str, Any]]) -> dict[str, Any] | None:
        frame = {"where": [dict(zip(("column", "operator", "value"), c, strict=True)) for c in conditions]}
        self.inside = np.ones(N, dtype=bool)
        for column, operator, value in conditions:
            self.inside &= COMPARE[operator](self.people[column].to_numpy(), value)
        try:
            return self.space.ask(question, frame=frame)["result"]
        except SalernoError:
            return None

    def learn(self, members: np.ndarray, ill: float | None) -> None:
        if ill is not None:
            self.rows.append((members & self.inside).astype(float))
            self.values.append(ill)

    def is_(self, column: str, level: str) -> np.ndarray:
        return (self.people[column].astype(str) == level).to_numpy()

    @rule(conditions=CONDITIONS, by=st.sampled_from([[], ["sex"], ["region"], ["sex", "region"]]))
    def mean(self, conditions: list[tuple[str, str, Any]], by: list[str]) -> None:
        question = {"method": "describe", "variable": "ill", **({"by": by} if by else {})}
        result = self.ask(question, conditions)
        if result is None:
            return
        for group in result["groups"] if by else [{"levels": [], **result}]:
            members = np.ones(N, dtype=bool)
            for column, level in zip(by, group["levels"], strict=True):
                members &= self.is_(column, level)
            if group["mean"] is not None:
                self.learn(members, group["mean"] * group["n"])

    @rule(conditions=CONDITIONS, column=st.sampled_from(["sex", "region"]))
    def table(self, conditions: list[tuple[str, str, Any]], column: str) -> None:
        result = self.ask({"method": "crosstab", "rows": column, "columns": "ill"}, conditions)
        if result is None or "1" not in result["columns"]:
            return
        at = result["columns"].index("1")
        for level, counts in zip(result["rows"], result["counts"], strict=True):
            self.learn(self.is_(column, level), counts[at])
        # Who has a level of too few persons is not in the table, and the intruder knows who that is.
        counted = self.people[column].isin(result["rows"]).to_numpy()
        self.learn(counted, result["column_totals"][at])

    @rule(conditions=CONDITIONS)
    def count(self, conditions: list[tuple[str, str, Any]]) -> None:
        result = self.ask({"method": "count", "by": "ill"}, conditions)
        for group in result["groups"] if result else ():
            if group["levels"] == ["1"]:
                self.learn(np.ones(N, dtype=bool), group["n"])

    def solved(self) -> set[int]:
        """Persons whose value the equations fix."""
        if not self.rows:
            return set()
        system = np.array(self.rows)
        _, scale, right = np.linalg.svd(system)
        rank = int((scale > 1e-9 * scale.max(initial=1)).sum())
        free = right[rank:]
        return set(np.flatnonzero(np.abs(free).max(axis=0, initial=0) < 1e-9).tolist())

    def teardown(self) -> None:
        if hasattr(self, "space"):
            self.space.__exit__(None, None, None)
            self.folder.cleanup()
            self.check(self.solved())

    def check(self, solved: set[int]) -> None:
        assert not solved, f"{len(solved)} persons were found"


def test_an_intruder_never_finds_a_person() -> None:
    run_state_machine_as_test(
        Intruder,
        settings=settings(
            max_examples=6,
            stateful_step_count=6,
            phases=[Phase.explicit, Phase.reuse, Phase.generate],  # each run of shrinking takes seconds
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize(
    "policy", [OPEN, DisclosurePolicy(min_cell=K, differencing=False, dominance_persons=0, p_percent=0.0)]
)
def test_without_the_ledger_the_same_intruder_finds_persons(policy: DisclosurePolicy) -> None:
    intruder = Intruder()
    intruder.policy = policy
    intruder.people, intruder.rows, intruder.values = people(0), [], []
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder) / "site.csv"
        intruder.people.to_csv(site, index=False)
        with LocalSpace([site], policy=policy) as intruder.space:
            for edge in range(N - 6, N + 1):
                Intruder.mean(intruder, [("number", "<", float(edge))], [])
    assert len(intruder.solved()) >= 4


def test_the_solver_solves() -> None:
    intruder = Intruder()
    intruder.rows = [np.arange(N) < edge for edge in (10, 11)]
    assert intruder.solved() == {10}
    intruder.rows = [np.arange(N) < edge for edge in (10, 13)]
    assert intruder.solved() == set()
