"""Attacks on answers, each run as an intruder would: it works with the protection off and fails with it on.

The letters are those of the list of known attacks on federated analysis that the design was made against.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from salerno.analysis.model import Sensitivity
from salerno.analysis.service.noise import draw_noise
from salerno.catalogue.model import DatasetDescription
from salerno.kernel.errors import Invalid, Refused, SalernoError
from salerno.nodes.assemble import Node
from salerno.nodes.local import LocalSpace
from salerno.permits.model import DisclosurePolicy
from salerno.permits.rules import PRESETS

ON = DisclosurePolicy()
OFF = DisclosurePolicy(
    min_cell=1, max_parameter_ratio=1.0, min_degrees_of_freedom=0, max_questions_per_variable=0
)
MakeSpace = Callable[..., LocalSpace]


def patients(n: int, seed: int = 7) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "sex": random.choice(["F", "M"], n),
            "region": random.choice(["north", "south", "west"], n),
            "age": random.integers(20, 80, n),
            "lab": np.round(random.normal(100, 15, n), 6),
            "cost": np.round(random.gamma(2.0, 500.0, n), 2),
            "status": random.integers(0, 2, n),
        }
    )
    # The person whom the intruder knows: the oldest, alone at 95, with an outlying value.
    frame.loc[0, ["sex", "region", "age", "lab", "status"]] = ["M", "north", 95, 217.318462, 1]
    return frame


@pytest.fixture(scope="module")
def make_space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeSpace]:
    spaces: list[LocalSpace] = []

    def make(policy: DisclosurePolicy, frame: pd.DataFrame | None = None, holders: int = 1) -> LocalSpace:
        folder = tmp_path_factory.mktemp("site")
        whole = patients(300 * holders) if frame is None else frame
        sites = []
        for number in range(holders):
            part = whole.iloc[number::holders]
            part.to_csv(folder / f"site{number}.csv", index=False)
            sites.append(folder / f"site{number}.csv")
        space = LocalSpace(sites, policy=policy).__enter__()
        spaces.append(space)
        return space

    yield make
    for space in spaces:
        space.__exit__(None, None, None)


@pytest.fixture(scope="module")
def off(make_space: MakeSpace) -> LocalSpace:
    return make_space(OFF)


@pytest.fixture
def on(make_space: MakeSpace) -> LocalSpace:
    return make_space(ON)


def where(column: str, operator: str, value: Any) -> dict[str, Any]:
    return {"where": [{"column": column, "operator": operator, "value": value}]}


def young(space: LocalSpace, question: dict[str, Any]) -> dict[str, Any]:
    return space.ask(question, frame=where("age", "<", 90))


def target() -> pd.Series:
    return patients(300).iloc[0]


# (a) covariances with known vectors


def covariance_attack(space: LocalSpace) -> float:
    """The target's value from the covariance with a column that is 1 for the target alone."""
    return space.ask({"method": "correlation", "variables": ["lab", "I(age > 90)"]})["result"]


def test_a_no_columns_of_the_researchers_making(off: LocalSpace, on: LocalSpace) -> None:
    for space in (off, on):  # there is nothing to switch off: a question cannot name such a column
        with pytest.raises(Invalid, match="unknown-column"):
            covariance_attack(space)


def many_questions(space: LocalSpace) -> int:
    asked = 0
    for probability in np.linspace(0.1, 0.9, 8):
        space.ask({"method": "quantiles", "variable": "lab", "probabilities": [round(float(probability), 3)]})
        asked += 1
    return asked


def test_a_questions_about_one_column_are_counted(off: LocalSpace, make_space: MakeSpace) -> None:
    assert many_questions(off) == 8
    capped = make_space(replace(ON, max_questions_per_variable=5))
    with pytest.raises(Refused, match=r"too-many-questions.*'lab'"):
        many_questions(capped)
    # One that was asked before is no further question, and other columns are free.
    capped.ask({"method": "quantiles", "variable": "lab", "probabilities": [0.1]})
    capped.ask({"method": "describe", "variable": "age"})


# (b) chosen coefficients


@pytest.mark.parametrize("key", ["beta", "start", "coefficients", "beta_vect"])
def test_b_nobody_gives_coefficients(off: LocalSpace, key: str) -> None:
    question = {"method": "glm", "formula": "lab ~ age", "family": "gaussian", key: [50.0, 1.0]}
    with pytest.raises(Invalid, match="unknown-key"):
        off.ask(question)


# (c) times of single events


def event_times(space: LocalSpace) -> list[int]:
    curve = space.ask({"method": "kaplan_meier", "time": "lab", "event": "status"})["result"]["strata"][0]
    return [int(n) for n in np.array(curve["events"]) if n is not None]


def test_c_no_step_of_a_curve_is_one_persons(off: LocalSpace, on: LocalSpace) -> None:
    assert 1 in event_times(off)
    assert not {1, 2, 3, 4, 5, 6, 7, 8, 9} & set(event_times(on))


# (d) refining quantiles


def largest(space: LocalSpace) -> float:
    result = space.ask({"method": "quantiles", "variable": "lab", "probabilities": [0.9999999]})["result"]
    return abs(result["values"][0] - target()["lab"]) + result["resolution"][0]


def test_d_quantiles_do_not_close_in_on_a_person(off: LocalSpace, on: LocalSpace) -> None:
    assert largest(off) < 0.01
    assert largest(on) > 1


# (e) differences of two groups


def by_difference(space: LocalSpace) -> float:
    everybody = space.ask({"method": "describe", "variable": "lab"})["result"]
    others = young(space, {"method": "describe", "variable": "lab"})["result"]
    return everybody["mean"] * everybody["n"] - others["mean"] * others["n"]


def test_e_two_groups_that_differ_by_one_person(off: LocalSpace, on: LocalSpace) -> None:
    assert by_difference(off) == pytest.approx(target()["lab"], abs=1e-6)
    with pytest.raises(Refused, match="differs-by-too-few") as caught:
        by_difference(on)
    # The researcher is told neither by how many, nor from which question.
    said = caught.value.what.removeprefix("site0: ")
    assert not any(character.isdigit() for character in said)


def test_e_the_ledger_says_why(on: LocalSpace) -> None:
    with pytest.raises(Refused):
        by_difference(on)
    with on._holders[0].holder_desk() as desk:
        answered, refused = desk.ledger.entries()
    assert answered.refusal is None
    assert refused.refusal is not None
    assert refused.refusal.entries == (answered.id,)
    assert "by 1 of its persons" in refused.refusal.what


def test_e_the_other_way_round_and_by_another_method(make_space: MakeSpace) -> None:
    space = make_space(ON)
    young(space, {"method": "count", "by": "sex"})
    with pytest.raises(Refused, match="differs-by-too-few"):
        space.ask({"method": "crosstab", "rows": "sex", "columns": "region"})


def test_e_in_one_cell_of_many(make_space: MakeSpace) -> None:
    # Two frames that differ by many persons, but by one only among the men of the north.
    frame = patients(600)
    space = make_space(ON, frame)
    space.ask({"method": "count", "by": ["sex", "region"]})
    keep = {"where": [{"column": "age", "operator": "<", "value": 90}, {"column": "region", "operator": "in",
            "value": ["north", "south"]}]}  # fmt: skip
    with pytest.raises(Refused, match="differs-by-too-few"):
        space.ask({"method": "count", "by": ["sex", "region"]}, frame=keep)


def test_e_three_frames_that_are_safe_two_by_two(make_space: MakeSpace) -> None:
    def combine(space: LocalSpace) -> int:
        north = space.ask({"method": "count"}, frame=where("region", "==", "north"))["n"]
        rest = space.ask({"method": "count"}, frame=where("region", "!=", "north"))["n"]
        return north + rest - young(space, {"method": "count"})["n"]

    assert combine(make_space(OFF)) == 1
    with pytest.raises(Refused, match="differs-by-too-few"):
        combine(make_space(ON))


# (f) totals minus the cells that are shown


def hidden_by_subtraction(answer: dict[str, Any]) -> list[int]:
    result = answer["result"]
    found = []
    for row, total in zip(result["counts"], result["row_totals"], strict=True):
        if total is not None and row.count(None) == 1:
            found.append(total - sum(cell for cell in row if cell is not None))
    return found


def rare_cell(n: int = 400) -> pd.DataFrame:
    frame = patients(n)
    rare = (frame["sex"] == "M") & (frame["region"] == "west")
    return frame[~rare | (np.cumsum(rare) <= 4)]


def test_f_no_cell_by_subtraction(make_space: MakeSpace) -> None:
    question = {"method": "crosstab", "rows": "sex", "columns": "region"}
    counts = make_space(OFF, rare_cell()).ask(question)["result"]["counts"]
    assert counts[1][2] == 4
    # What peers do, hiding that cell alone, would give it away again; what is told here does not.
    alone = {"result": {"counts": [counts[0], [*counts[1][:2], None]],
                        "row_totals": [sum(counts[0]), sum(counts[1])]}}  # fmt: skip
    assert hidden_by_subtraction(alone) == [4]
    told = make_space(ON, rare_cell()).ask(question)
    assert told["result"]["counts"][1][2] is None
    assert hidden_by_subtraction(told) == []


def test_f_no_cell_by_a_frame_of_the_others(make_space: MakeSpace) -> None:
    def subtract(space: LocalSpace) -> int:
        table = space.ask({"method": "crosstab", "rows": "sex", "columns": "region"})["result"]
        women = space.ask({"method": "count"}, frame={"where": [
            {"column": "sex", "operator": "==", "value": "F"},
            {"column": "region", "operator": "==", "value": "west"}]})["n"]  # fmt: skip
        return table["column_totals"][2] - women

    assert subtract(make_space(OFF, rare_cell())) == 4
    with pytest.raises((Refused, TypeError)):
        subtract(make_space(ON, rare_cell()))


# (g) missing values


def test_g_missing_values_do_not_tell_a_cell(make_space: MakeSpace) -> None:
    """Values of all but the target's cell are missing, so that what is left is the target's."""

    def lonely(space: LocalSpace) -> float:
        return space.ask({"method": "describe", "variable": "secret"})["result"]["mean"]

    frame = patients(300).assign(secret=np.nan)
    frame.loc[0, "secret"] = 42.5
    assert lonely(make_space(OFF, frame)) == 42.5
    with pytest.raises(Refused, match="too-few-persons"):
        lonely(make_space(ON, frame))


def test_g_complete_cases_that_lack_one_person(make_space: MakeSpace) -> None:
    def lack(space: LocalSpace) -> float:
        lab = space.ask({"method": "describe", "variable": "lab"})["result"]
        both = space.ask({"method": "describe", "variables": ["lab", "other"], "missing": "complete"})
        entry = both["result"]["variables"][0]
        return lab["mean"] * lab["n"] - entry["mean"] * entry["n"]

    frame = patients(300).assign(other=1.5)
    frame.loc[0, "other"] = np.nan
    frame.loc[1:, "other"] += np.arange(299) / 10
    assert lack(make_space(OFF, frame)) == pytest.approx(target()["lab"], abs=1e-6)
    with pytest.raises(Refused, match="differs-by-too-few"):
        lack(make_space(ON, frame))


# (h) threshold after rounding


def test_h_rounding_does_not_lift_a_cell_over_the_threshold(make_space: MakeSpace) -> None:
    frame = patients(400)
    rare = (frame["sex"] == "M") & (frame["region"] == "west")
    frame = frame[~rare | (np.cumsum(rare) <= 7)]  # 7 are below 8, though 10 when rounded to tens
    question = {"method": "crosstab", "rows": "sex", "columns": "region"}
    assert make_space(OFF, frame).ask(question)["result"]["counts"][1][2] == 7
    answer = make_space(replace(PRESETS["ehrql"], rounding=10), frame).ask(question)["result"]
    assert answer["counts"][1][2] is None
    told = [n for row in answer["counts"] for n in row] + answer["row_totals"] + [answer["n"]]
    assert all(n is None or n % 10 == 0 for n in told)
    assert "chi_square" not in answer


# (i) a dummy that isolates a person


def isolate(space: LocalSpace, formula: str) -> float | None:
    terms = space.ask({"method": "glm", "formula": formula, "family": "gaussian"})["result"]["terms"]
    return sum(term["estimate"] for term in terms) if len(terms) == 2 else None


@pytest.mark.parametrize("formula", ["lab ~ C(lone)", "lab ~ lone"])
def test_i_a_level_of_one_person_in_a_model(make_space: MakeSpace, formula: str) -> None:
    frame = patients(300).assign(lone=0)
    frame.loc[0, "lone"] = 1
    assert isolate(make_space(OFF, frame), formula) == pytest.approx(target()["lab"], abs=1e-5)
    try:
        found = isolate(make_space(ON, frame), formula)
    except Refused:
        return
    assert found is None  # the level is not one that the dictionary names


# (j) largest values and dominance


def test_j_one_person_makes_up_the_sum(make_space: MakeSpace) -> None:
    frame = patients(300)
    frame.loc[0, "cost"] = 1e9
    question = {"method": "describe", "variable": "cost"}
    result = make_space(OFF, frame).ask(question)["result"]
    assert result["mean"] * result["n"] == pytest.approx(1e9, rel=1e-3)
    with pytest.raises(Refused, match="dominance"):
        make_space(ON, frame).ask(question)


def test_j_in_one_group_at_one_of_three_holders(make_space: MakeSpace) -> None:
    frame = patients(900)
    frame.loc[0, "cost"] = 1e9
    question = {"method": "describe", "variable": "cost", "by": "sex"}
    with pytest.raises(Refused, match="dominance"):
        make_space(ON, frame, holders=3).ask(question)


# (k) the same question again


def test_k_the_same_question_gives_the_same_answer(make_space: MakeSpace) -> None:
    space = make_space(ON)
    answers = [space.ask({"method": "describe", "variable": "lab", "by": "sex"})["result"] for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]


def test_k_no_average_of_repeats_takes_the_noise_away(make_space: MakeSpace) -> None:
    space = make_space(replace(ON, epsilon=0.4, epsilon_per_question=0.1))
    answers = [space.ask({"method": "count", "by": "sex"})["result"]["groups"] for _ in range(6)]
    assert all(answer == answers[0] for answer in answers)  # and one of them is paid for
    true = patients(300)["sex"].value_counts()
    assert any(group["n"] != true[group["levels"][0]] for group in answers[0])
    for region in ("north", "south", "west"):
        space.ask({"method": "count"}, frame=where("region", "==", region))
    with pytest.raises(Refused, match="budget-spent"):
        space.ask({"method": "crosstab", "rows": "sex", "columns": "region"})
    space.ask({"method": "count", "by": "sex"})
    space = make_space(replace(ON, epsilon=40.0, epsilon_per_question=20.0, delta=1e-6))
    told = space.ask({"method": "describe", "variable": "age", "bounds": [0, 120]})["result"]
    assert told["mean"] == pytest.approx(patients(300)["age"].mean(), abs=2)
    assert told["mean"] != patients(300)["age"].mean()
    bins = space.ask({"method": "histogram", "variable": "age", "bins": [40, 60]})["result"]
    assert bins["n"] == bins["below"] + sum(bins["counts"]) + bins["above"]
    with pytest.raises(Refused, match="no-noise"):
        space.ask({"method": "quantiles", "variable": "age"})


def test_k_noise_has_the_scale_that_was_paid_for() -> None:
    policy = DisclosurePolicy(epsilon=1.0, epsilon_per_question=0.5)
    noise = draw_noise(Sensitivity(1, np.ones(20_000, dtype=np.int64)), policy)
    # The discrete Laplace law: variance 2a / (1 - a)^2 with a = exp(-epsilon).
    a = np.exp(-0.5)
    assert abs(noise.mean()) < 0.1
    assert noise.var() == pytest.approx(2 * a / (1 - a) ** 2, rel=0.08)
    # Of the Gaussian, by the privacy loss of one person who changes three numbers by 1, 1 and 100: its tail.
    policy = replace(policy, delta=2e-5)
    most = np.repeat([1, 100], 10_000)
    noise = draw_noise(Sensitivity(3, most), policy)
    scales = noise[:10_000].std(), noise[10_000:].std()
    assert scales[1] == pytest.approx(100 * scales[0], rel=0.05)
    shift = np.sqrt(2 / scales[0] ** 2 + (100 / scales[1]) ** 2)
    delta = norm.cdf(shift / 2 - 0.5 / shift) - np.exp(0.5) * norm.cdf(-shift / 2 - 0.5 / shift)
    assert 1e-6 < delta < 1e-5  # half of the budget's, since the question spends half of its epsilon


# (l) one of two holders subtracts its own part


def test_l_a_holder_subtracts_its_own_part(make_space: MakeSpace) -> None:
    frame = pd.concat([patients(300, 1).assign(arm="a"), patients(300, 2).assign(arm="a")]).sort_index(
        kind="stable"
    )
    frame = frame.reset_index(drop=True)
    frame.loc[[0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 1, 3], "arm"] = "b"  # 12 at one, 2 at the other
    frame.loc[24:, "arm"] = np.where(np.arange(576) % 4 < 2, "a", "c")
    own = frame.iloc[0::2]["arm"].value_counts()

    def subtract(space: LocalSpace) -> int:
        groups = space.ask({"method": "count", "by": "arm"})["result"]["groups"]
        return {g["levels"][0]: g["n"] for g in groups}["b"] - own["b"]

    assert subtract(make_space(OFF, frame, holders=2)) == 2
    with pytest.raises(TypeError):  # the count is not told
        subtract(make_space(ON, frame, holders=2))


# (m) formulas as programs


@pytest.mark.parametrize(
    "formula",
    [
        "lab ~ __import__('os').system('id')",
        "lab ~ system('id')",
        "lab ~ age; DROP TABLE x",
        "lab ~ eval(parse(text='1'))",
        'lab ~ "age" || (SELECT 1)',
    ],
)
def test_m_a_formula_is_no_program(off: LocalSpace, formula: str) -> None:
    with pytest.raises(Invalid):
        off.ask({"method": "glm", "formula": formula, "family": "gaussian"})


@pytest.mark.parametrize("column", ['age" OR 1=1 --', "age); DROP TABLE site0; --"])
def test_m_a_column_is_no_sql(off: LocalSpace, column: str) -> None:
    with pytest.raises(SalernoError, match=r"unknown-column|wrong"):
        off.ask({"method": "describe", "variable": column})
    with pytest.raises(SalernoError, match="unknown-column"):
        off.ask({"method": "count"}, frame=where(column, "==", 1))


class Visits(LocalSpace):
    """A space whose tables have several rows of one person."""

    def _connect(self, node: Node, site: str, name: str) -> DatasetDescription:
        desk = node.holding_desk
        holding = desk.connect(
            "data", site, node.operator, person_column="person", personal=False, policy=self._policy
        )
        return desk.describe(holding.id, node.operator)


@pytest.mark.parametrize(
    "question",
    [
        {"method": "describe", "variable": "lab"},
        {"method": "lmm", "formula": "lab ~ age + (1 | region)"},
        {"method": "meta", "question": {"method": "glm", "formula": "lab ~ age"}},
    ],
    ids=lambda question: question["method"],
)
def test_many_rows_of_few_persons_are_few_persons(tmp_path: Path, question: dict[str, Any]) -> None:
    rows = patients(300).assign(person=np.arange(300) // 10)
    rows.loc[rows["person"] >= 6, "lab"] = None  # 60 rows of 6 persons
    rows.to_csv(tmp_path / "visits.csv", index=False)
    with LocalSpace([tmp_path / "visits.csv"], policy=ON) as by_row:
        assert by_row.ask(question)["n"] == 60
    with Visits([tmp_path / "visits.csv"], policy=ON) as by_person:
        with pytest.raises(Refused, match="too-few-persons"):
            by_person.ask(question)
        assert by_person.ask({"method": "describe", "variable": "age"})["n"] == 300


# (n) is a person among them?


def membership(space: LocalSpace) -> bool:
    """A person whom the intruder knows by age, sex and lab value: is there one?"""
    known = {"where": [{"column": "age", "operator": "==", "value": 95},
                       {"column": "sex", "operator": "==", "value": "M"}]}  # fmt: skip
    return bool(space.ask({"method": "count"}, frame=known)["n"] == 1)


def test_n_membership(off: LocalSpace, on: LocalSpace) -> None:
    assert membership(off)
    with pytest.raises(Refused, match="too-few-persons"):
        membership(on)


# (o) side outputs


def test_o_errors_and_logs_carry_no_value(on: LocalSpace, caplog: pytest.LogCaptureFixture) -> None:
    said = []
    for question in (
        {"method": "describe", "variable": "age", "by": "nothing"},
        {"method": "glm", "formula": "lab ~ age", "family": "binomial"},
        {"method": "glm", "formula": "status ~ lab", "family": "gamma"},
        {"method": "crosstab", "rows": "lab", "columns": "sex"},
    ):
        with pytest.raises(SalernoError) as caught:
            on.ask(question)
        said.append(str(caught.value))
    with pytest.raises(SalernoError) as caught:
        membership(on)
    text = "\n".join([*said, str(caught.value), caplog.text])
    for value in ("217.318462", "95", *map(str, patients(300)["lab"].head(50))):
        assert value not in text


def test_o_an_answer_says_nothing_of_single_persons(on: LocalSpace) -> None:
    text = json.dumps(on.ask({"method": "glm", "formula": "lab ~ age + sex", "family": "gaussian"}))
    assert "217.318462" not in text


def test_the_sets_of_persons_do_not_leave_the_holder(make_space: MakeSpace) -> None:
    space = make_space(ON)
    space.ask({"method": "count", "by": "sex"})
    with space._holders[0].holder_desk() as desk:
        stored = desk.ledger.sets([entry.id for entry in desk.ledger.entries()])
        persons = desk.ledger.bitmap(stored[0].digest)
    for node in (space._hub, space._body):
        with node.holder_desk() as desk:
            assert desk.ledger.entries() == []
        data = b"".join(path.read_bytes() for path in Path(node.settings.folder).rglob("*") if path.is_file())
        assert persons not in data
