"""Methods on frames of an OMOP data set, through the holder's engine, against pandas on the same rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest

from salerno.analysis.methods import method_of
from salerno.analysis.model import Result, Scope
from salerno.analysis.rules import merge_dictionaries
from salerno.holdings.engine.opening import IbisEngine
from salerno.holdings.engine.reading import read_rows
from salerno.holdings.model import (
    Concepts,
    Covariate,
    DrugUse,
    EventDefinition,
    Holding,
    StudyFrame,
    Treatments,
)
from salerno.holdings.rules import columns_needed
from salerno.kernel.errors import Invalid
from salerno.nodes.demo_data import GIBLEED_FRAME, split_omop, synthetic_omop
from salerno.permits.model import DataScope, DisclosurePolicy, OptOutList

from .harness import OPEN, run_views

NOBODY = OptOutList(salt="0" * 32, tokens=b"", as_of=datetime(2031, 1, 1, tzinfo=UTC))

N = 1500
CELECOXIB, DICLOFENAC = 1118084, 1124300
DRUGS = {
    "celecoxib": EventDefinition(table="drug_exposure", concepts=(CELECOXIB,)),
    "diclofenac": EventDefinition(table="drug_exposure", concepts=(DICLOFENAC,)),
}
ENTRIES = StudyFrame(groups=GIBLEED_FRAME.groups, entry="each", allow_prior_outcome=True)


@pytest.fixture(scope="module")
def cdm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(synthetic_omop(tmp_path_factory.mktemp("whole"), N, seed=5))


@pytest.fixture(scope="module")
def parts(cdm: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return list(split_omop(cdm, [tmp_path_factory.mktemp(f"part{n}") for n in range(3)]))


def ask(
    question: dict[str, Any], frame: StudyFrame, folders: list[Path], policy: DisclosurePolicy = OPEN
) -> Result:
    """The answer over holders, each with the view that its engine opens."""
    opened, dictionaries = [], {}
    tables = {name: tuple(sorted(columns)) for name, columns in columns_needed(frame).items()}
    for number, folder in enumerate(folders):
        holding = Holding(
            id="h", dataset="urn:d", title="", source=str(folder), kind="omop",
            connected_at=datetime(2026, 1, 1, tzinfo=UTC),
        )  # fmt: skip
        scope = DataScope(dataset="urn:d", holder="did:web:h", country="FR", tables=tables)
        made = IbisEngine().open(
            holding, frame, scope, left_out=NOBODY, min_cell=policy.min_cell,
            holder_name=f"h{number}",
        )  # fmt: skip
        opened.append(made)
        dictionaries[f"did:web:h{number}"] = made.dictionary
    try:
        names = {did: did[-2:] for did in dictionaries}
        merged = merge_dictionaries(dictionaries, names).dictionary
        agreed = Scope(dictionary=merged, policy=policy, holders=tuple(dictionaries), names=names)
        for view in opened:
            aggregate = method_of(question).local(view.table, method_of(question).start(question, agreed))
            view.check(aggregate.expression)
        return run_views(question, [view.table for view in opened], agreed)
    finally:
        for view in opened:
            view.close()


def rows_of(cdm: Path, frame: StudyFrame) -> pd.DataFrame:
    return read_rows(str(cdm), frame).to_pandas()


def table(cdm: Path, name: str) -> pd.DataFrame:
    with duckdb.connect() as connection:
        return connection.execute(f"SELECT * FROM '{cdm}/{name}.parquet'").df()


def test_attrition(cdm: Path, parts: list[Path]) -> None:
    frame = replace(GIBLEED_FRAME, rows="attrition")
    result = ask({"method": "attrition"}, frame, parts).result["steps"]
    counted = Counter(rows_of(cdm, frame).step)
    last = [counted[label] for label in sorted(counted, key=lambda text: int(text.split(".")[0]))]
    left = [step["n_left"] for step in result]
    assert left[0] == sum(counted.values()) > 500
    assert left[-1] == len(rows_of(cdm, GIBLEED_FRAME)) == last[-1]
    assert [step["n_dropped"] for step in result[1:]] == [a - b for a, b in pairwise(left)]


@pytest.mark.parametrize("holders", [1, 2, 3])
def test_differences_of_attrition_are_of_nobody_or_of_enough(parts: list[Path], holders: int) -> None:
    frame = replace(GIBLEED_FRAME, rows="attrition")
    true = [s["n_left"] for s in ask({"method": "attrition"}, frame, parts[:holders]).result["steps"]]
    steps = ask({"method": "attrition"}, frame, parts[:holders], DisclosurePolicy(min_cell=25)).result[
        "steps"
    ]
    told = [(a, b["n_left"]) for a, b in zip(true, steps, strict=True) if b["n_left"] is not None]
    assert all(a == b for a, b in told)
    differences = [a - b for (a, _), (b, _) in pairwise(told)]
    assert all(d == 0 or d >= 25 for d in differences)
    assert told[0][0] == true[0]
    assert None in [s["n_left"] for s in steps]


COHORTS = StudyFrame(
    groups={**DRUGS, "ulcer": EventDefinition(table="condition_occurrence", concepts=(4027663, 192671))},
    rows="cohorts",
)


def test_overlap_and_timing(cdm: Path, parts: list[Path]) -> None:
    rows = rows_of(cdm, COHORTS)
    assert {"celecoxib", "celecoxib_date", "ulcer"} <= set(rows.columns)
    for pair in ask({"method": "cohort_overlap"}, COHORTS, parts).result["pairs"]:
        a, b = rows[pair["first"]] == 1, rows[pair["second"]] == 1
        assert pair["n_both"] == (a & b).sum()
        assert pair["n_first_only"] == (a & ~b).sum()
        assert pair["n_second_only"] == (b & ~a).sum()
        assert pair["percentage_both"] == pytest.approx(100 * (a & b).sum() / (a | b).sum())
    question = {"method": "cohort_timing", "cohorts": ["celecoxib", "ulcer"], "width": 1}
    told = ask(question, COHORTS, parts).result
    (pair,) = told["pairs"]
    both = rows[(rows.celecoxib == 1) & (rows.ulcer == 1)]
    days = (pd.to_datetime(both.ulcer_date) - pd.to_datetime(both.celecoxib_date)).dt.days
    assert pair["n"] == len(days) > 100
    assert pair["q50"] == pytest.approx(np.quantile(days, 0.5, method="inverted_cdf"), abs=1)
    assert pair["q25"] == pytest.approx(np.quantile(days, 0.25, method="inverted_cdf"), abs=1)
    for entry in told["days"]:
        assert entry["count"] == ((days >= entry["lower"]) & (days < entry["upper"])).sum()
    strict = ask({**question, "width": 7}, COHORTS, parts, DisclosurePolicy()).result["days"]
    counts = [entry["count"] for entry in strict]
    assert sum(counts) == len(days)
    assert all(count == 0 or count >= 10 for count in counts)


def test_characteristics(cdm: Path, parts: list[Path]) -> None:
    frame = replace(
        ENTRIES,
        covariates=(
            Covariate(
                name="ulcer",
                event=EventDefinition(table="condition_occurrence", concepts=(4027663, 192671)),
                window=(0, 365),
            ),
        ),
    )
    rows = rows_of(cdm, frame)
    result = ask({"method": "characteristics", "by": "group", "numbers": ["index_year"]}, frame, parts).result
    assert {g["group"]: g["n"] for g in result["groups"]} == rows.group.value_counts().to_dict()
    for level in result["levels"]:
        of_group = rows[rows.group == level["group"]]
        assert level["count"] == (of_group[level["variable"]].astype(str) == level["level"]).sum()
        assert level["percentage"] == pytest.approx(100 * level["count"] / len(of_group))
    assert {"sex", "ulcer"} <= {level["variable"] for level in result["levels"]}
    numbers = {(e["group"], e["variable"]): e for e in result["numbers"]}
    for group, of_group in rows.groupby("group"):
        for name in ("age", "prior_observation", "future_observation"):
            found = numbers[group, name]
            assert found["n"] == of_group[name].count()
            assert found["mean"] == pytest.approx(of_group[name].mean())
            assert found["sd"] == pytest.approx(of_group[name].std())
        assert numbers[group, "age"]["q50"] == pytest.approx(of_group.age.median(), abs=5)
        # Years lie between edges of their own: days of the same size would be told in steps of two years.
        for name, q in (("q25", 0.25), ("q50", 0.5), ("q75", 0.75)):
            assert numbers[group, "index_year"][name] == pytest.approx(
                np.quantile(of_group.index_year, q, method="inverted_cdf"), abs=2
            )


def test_the_window_of_a_covariate(cdm: Path) -> None:
    base = replace(GIBLEED_FRAME, covariates=())
    event = EventDefinition(table="condition_occurrence", concepts=(4027663, 192671))

    def mean(**window: Any) -> float:
        frame = replace(base, covariates=(Covariate(name="x", event=event, **window),))
        return float(rows_of(cdm, frame).x.mean())

    assert mean(days_before=365) == mean(window=(-365, -1))
    assert mean() == mean(window=(None, -1))
    assert mean(window=(None, -1)) < mean(window=(None, None))


def test_large_scale_characteristics(cdm: Path, parts: list[Path]) -> None:
    frame = replace(
        ENTRIES,
        concepts=Concepts(tables=("condition_occurrence", "drug_exposure"), windows=((-365, -1), (0, 0))),
    )
    rows = rows_of(cdm, frame)
    question = {"method": "large_scale_characteristics", "minimum_percentage": 0}
    result = ask(question, frame, parts).result
    entries = rows[rows.concept.isna()].group.value_counts().to_dict()
    assert {g["group"]: g["n"] for g in result["groups"]} == entries
    counted = rows[rows.concept.notna()].groupby(["group", "window", "concept"]).size()
    whole = {(e["group"], e["window"], f"{e['table']}:{e['concept_id']}"): e["n"] for e in result["concepts"]}
    assert whole == counted.to_dict()
    assert whole["celecoxib", "0 to 0", f"drug_exposure:{CELECOXIB}"] == entries["celecoxib"]
    strict = ask(question, frame, parts, DisclosurePolicy()).result["concepts"]
    told = {(e["group"], e["window"], f"{e['table']}:{e['concept_id']}"): e["n"] for e in strict}
    assert told.items() <= whole.items()
    assert all(10 <= n <= entries[key[0]] - 10 or n == entries[key[0]] for key, n in told.items())


def test_drug_utilisation(cdm: Path, parts: list[Path]) -> None:
    frame = replace(
        ENTRIES,
        groups={"celecoxib": DRUGS["celecoxib"]},
        follow_up_days=365,
        drug=DrugUse(concepts=(CELECOXIB,), descendants=False, gap_days=10),
    )
    rows = rows_of(cdm, frame)
    exposures = table(cdm, "drug_exposure")
    mine = exposures[exposures.drug_concept_id == CELECOXIB]
    assert 0 < len(rows) <= mine.person_id.nunique()
    assert rows.n_exposures.sum() <= len(mine)
    assert (rows.days_to_first == 0).all()
    assert (rows.n_eras <= rows.n_exposures).all()
    assert (rows.first_duration >= 1).all()
    assert (rows.days_exposed >= rows.first_duration).all()
    result = ask({"method": "drug_utilisation"}, frame, parts).result["numbers"]
    told = {found["variable"]: found for found in result}
    assert told["first_quantity"]["mean"] is None  # the data have no quantities
    for name in ("n_exposures", "n_eras", "days_exposed", "first_duration"):
        assert told[name]["mean"] == pytest.approx(rows[name].mean())
        assert told[name]["sd"] == pytest.approx(rows[name].std())


def drugs_cdm(folder: Path, lives: list[list[tuple[str, int, int]]]) -> Path:
    """A data set in which each person takes treatments from one day to another, from the index day on."""
    exposures = [
        (person, {"X": 1, "A": 2, "B": 3}[name], first, last)
        for person, life in enumerate(lives, 1)
        for name, first, last in [("X", 0, 0), *life]
    ]
    frames = {
        "person": pd.DataFrame({"person_id": range(1, len(lives) + 1), "gender_concept_id": 8532,
                                "year_of_birth": 1960, "month_of_birth": 1, "day_of_birth": 1}),
        "observation_period": pd.DataFrame({"person_id": range(1, len(lives) + 1), "first": -500,
                                            "last": 1000}),
        "drug_exposure": pd.DataFrame(exposures, columns=["person_id", "drug_concept_id", "first", "last"]),
        "death": pd.DataFrame({"person_id": [1], "first": [5000], "last": [5000]}),
    }  # fmt: skip
    names = {
        "observation_period": ("observation_period_start_date", "observation_period_end_date"),
        "drug_exposure": ("drug_exposure_start_date", "drug_exposure_end_date"),
        "death": ("death_date", "ended"),
    }
    with duckdb.connect() as connection:
        for name, frame in frames.items():
            connection.register("frame", frame)
            start, end = names.get(name, ("", ""))
            dates = f", DATE '2010-01-01' + first::INT AS {start}, DATE '2010-01-01' + last::INT AS {end}"
            columns = "* EXCLUDE (first, last)" + dates if start else "*"
            connection.execute(f"COPY (SELECT {columns} FROM frame) TO '{folder}/{name}.parquet'")
    return folder


PATHS = StudyFrame(
    groups={"all": EventDefinition(table="drug_exposure", concepts=(1,))},
    treatments=Treatments(
        events={
            "A": EventDefinition(table="drug_exposure", concepts=(2,)),
            "B": EventDefinition(table="drug_exposure", concepts=(3,)),
        },
        gap_days=30,
        combination_days=30,
        min_days=5,
    ),
)

LIVES: list[tuple[str, list[tuple[str, int, int]], str]] = [
    ("one treatment", [("A", 5, 100)], "A"),
    ("none", [], "none"),
    ("a gap within one treatment", [("A", 5, 30), ("A", 55, 90)], "A"),
    ("a switch", [("A", 5, 50), ("B", 60, 120)], "A > B"),
    ("a switch with a short overlap", [("A", 5, 50), ("B", 40, 120)], "A > B"),
    ("a combination", [("A", 5, 100), ("B", 50, 200)], "A > A+B > B"),
    ("together from the start", [("A", 5, 100), ("B", 5, 100)], "A+B"),
    ("back again", [("A", 5, 50), ("B", 60, 120), ("A", 130, 200)], "A > B > A"),
    ("too short to count", [("A", 5, 100), ("B", 200, 202)], "A"),
    ("before the index date", [("A", -50, -10), ("B", 5, 50)], "B"),
    ("an overlap inside", [("A", 5, 200), ("B", 50, 60)], "A > B > A"),
]


@pytest.mark.parametrize(("what", "life", "path"), LIVES, ids=[what for what, _, _ in LIVES])
def test_a_path(tmp_path: Path, what: str, life: list[tuple[str, int, int]], path: str) -> None:
    found = rows_of(drugs_cdm(tmp_path, [life]), PATHS)
    assert found.path.tolist() == [path]
    assert found.n_lines.tolist() == [0 if path == "none" else path.count(">") + 1]
    assert found.first_line.tolist() == [path.split(" > ")[0]]


@pytest.fixture
def patterns(tmp_path: Path) -> list[Path]:
    folders = []
    for holder in range(3):
        folder = tmp_path / str(holder)
        folder.mkdir()
        lives = [life for number, (_, life, _) in enumerate(LIVES) for _ in range(3 * number + holder)]
        folders.append(drugs_cdm(folder, lives))
    return folders


def test_treatment_patterns(patterns: list[Path]) -> None:
    counted: Counter[str] = Counter()
    for number, (_, _, path) in enumerate(LIVES):
        counted[path] += sum(3 * number + holder for holder in range(3))
    whole = ask({"method": "treatment_patterns"}, PATHS, patterns).result
    (group,) = whole["groups"]
    assert {p["path"]: p["n"] for p in whole["paths"]} == {p: n for p, n in counted.items() if n}
    assert group["n"] == sum(counted.values())
    strict = ask({"method": "treatment_patterns"}, PATHS, patterns, DisclosurePolicy()).result
    told = {p["path"]: p["n"] for p in strict["paths"]}
    assert "other" in told
    assert sum(told.values()) == group["n"]
    assert all(n >= 10 for n in told.values())


def test_each_says_which_frame_it_needs(parts: list[Path]) -> None:
    for method, said in (
        ("attrition", '"rows": "attrition"'),
        ("cohort_overlap", '"rows": "cohorts"'),
        ("cohort_timing", '"rows": "cohorts"'),
        ("treatment_patterns", "'treatments'"),
        ("large_scale_characteristics", "'concepts'"),
        ("drug_utilisation", "'drug'"),
        ("incidence", "'population'"),
    ):
        with pytest.raises(Invalid, match=said):
            ask({"method": method}, ENTRIES, parts[:1])
