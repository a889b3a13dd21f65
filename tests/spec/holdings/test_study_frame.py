"""The study frame, case by case: one small life per row, and what the frame makes of it.

Written as ``event@day`` with days counted from 1 January 2010, when observation begins; it ends on day 1000.
``A`` and ``B`` start a group, ``X`` is the outcome, ``C`` a covariate's event, ``+`` is death.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from salerno.holdings.engine.reading import read_rows
from salerno.holdings.model import Covariate, EventDefinition, StudyFrame
from salerno.permits.model import Condition

START = date(2010, 1, 1)
CONCEPTS = {"A": 1, "B": 2, "X": 9, "C": 5}

FRAME = StudyFrame(
    groups={
        "a": EventDefinition(table="drug_era", concepts=(1,)),
        "b": EventDefinition(table="drug_era", concepts=(2,)),
    },
    outcome=EventDefinition(table="condition_occurrence", concepts=(9,)),
    covariates=(
        Covariate(
            name="c", event=EventDefinition(table="condition_occurrence", concepts=(5,)), days_before=30
        ),
    ),
)

CASES: list[tuple[str, str, dict[str, Any], dict[str, Any] | None]] = [
    ("the first event of any group counts", "A@100 B@200", {}, {"group": "a", "time": 900, "status": 0}),
    ("whichever comes first", "A@300 B@200 A@400", {}, {"group": "b", "time": 800}),
    ("two groups on one day", "A@100 B@100", {}, None),
    ("two groups on one day later on", "A@50 A@100 B@100", {}, {"group": "a"}),
    ("no event of a group", "X@100", {}, None),
    ("before observation", "A@-1", {}, None),
    ("first event before observation, the next inside", "A@-1 A@100", {}, None),
    ("on the first day of observation", "A@0", {}, {"time": 1000}),
    ("after observation", "A@1001", {}, None),
    ("no full day of follow-up", "A@1000", {}, None),
    ("one day of follow-up", "A@999", {}, {"time": 1, "status": 0}),
    ("washout just met", "A@365", {"washout_days": 365}, {"time": 635}),
    ("washout missed by a day", "A@364", {"washout_days": 365}, None),
    ("outcome", "A@100 X@150", {}, {"time": 50, "status": 1}),
    ("the first outcome counts", "A@100 X@170 X@150", {}, {"time": 50, "status": 1}),
    ("outcome on the next day", "A@100 X@101", {}, {"time": 1, "status": 1}),
    ("outcome on the last day of observation", "A@100 X@1000", {}, {"time": 900, "status": 1}),
    ("outcome after observation", "A@100 X@1001", {}, {"time": 900, "status": 0}),
    ("outcome on the index day counts as prior", "A@100 X@100", {}, None),
    ("prior outcome", "A@100 X@20 X@150", {}, None),
    ("prior outcome allowed", "A@100 X@20 X@150", {"allow_prior_outcome": True}, {"time": 50, "status": 1}),
    (
        "outcome on the index day, allowed",
        "A@100 X@100",
        {"allow_prior_outcome": True},
        {"time": 900, "status": 0},
    ),
    (
        "outcome on the last day of follow-up",
        "A@100 X@130",
        {"follow_up_days": 30},
        {"time": 30, "status": 1},
    ),
    ("outcome a day too late", "A@100 X@131", {"follow_up_days": 30}, {"time": 30, "status": 0}),
    ("follow-up longer than observation", "A@990", {"follow_up_days": 30}, {"time": 10}),
    ("death ends follow-up", "A@100 +@160 X@200", {}, {"time": 60, "status": 0}),
    ("outcome on the day of death", "A@100 +@160 X@160", {}, {"time": 60, "status": 1}),
    ("death on the index day", "A@100 +@100", {}, None),
    ("death after observation", "A@100 +@2000", {}, {"time": 900, "status": 0}),
    (
        "death as outcome",
        "A@100 +@160",
        {"outcome": EventDefinition(table="death")},
        {"time": 60, "status": 1},
    ),
    ("no outcome asked for", "A@100 X@150", {"outcome": None}, {"time": 900, "status": 0}),
    ("covariate on the day before", "A@100 C@99", {}, {"c": 1}),
    ("covariate on the first day that counts", "A@100 C@70", {}, {"c": 1}),
    ("covariate a day too early", "A@100 C@69", {}, {"c": 0}),
    ("covariate on the index day does not count", "A@100 C@100", {}, {"c": 0}),
    ("covariate later", "A@100 C@101", {}, {"c": 0}),
    ("covariate twice", "A@100 C@98 C@99", {}, {"c": 1}),
    ("birthday on the index day", "A@59", {}, {"age": 40}),
    ("the day before the birthday", "A@58", {}, {"age": 39}),
    ("year of index", "A@365", {}, {"index_year": 2011}),
    (
        "a condition that holds",
        "A@100",
        {"where": (Condition(column="age", operator=">=", value=40),)},
        {"age": 40},
    ),
    ("a condition that fails", "A@58", {"where": (Condition(column="age", operator=">=", value=40),)}, None),
    (
        "a condition on group",
        "A@100",
        {"where": (Condition(column="group", operator="in", value=["b"]),)},
        None,
    ),
    ("a column that is complete", "A@100", {"complete": ("age", "sex")}, {"age": 40}),
]


def day(number: int) -> str:
    return f"DATE '{START + timedelta(days=number)}'"


def write(folder: Path, life: str) -> None:
    events = [(mark, int(number)) for mark, number in (part.split("@") for part in life.split())]
    drugs = [f"(1, {CONCEPTS[m]}, {day(n)})" for m, n in events if m in "AB"]
    conditions = [f"(1, {CONCEPTS[m]}, {day(n)})" for m, n in events if m in "XC"]
    deaths = [f"(1, {day(n)})" for m, n in events if m == "+"]
    tables = {
        "person": ("person_id, gender_concept_id, year_of_birth, month_of_birth, day_of_birth",
                   ["(1, 8507, 1970, 3, 1)"]),
        "observation_period": ("person_id, observation_period_start_date, observation_period_end_date",
                               [f"(1, {day(0)}, {day(1000)})"]),
        "drug_era": ("person_id, drug_concept_id, drug_era_start_date", drugs),
        "condition_occurrence": ("person_id, condition_concept_id, condition_start_date", conditions),
        "death": ("person_id, death_date", deaths),
    }  # fmt: skip
    with duckdb.connect() as connection:
        for name, (columns, rows) in tables.items():
            some = rows or [f"({', '.join(['0'] * columns.count(','))}, {day(0)})"]
            empty = "" if rows else "LIMIT 0"
            connection.execute(
                f"COPY (SELECT * FROM (VALUES {', '.join(some)}) t({columns}) {empty}) "
                f"TO '{folder}/{name}.parquet'"
            )


@pytest.mark.parametrize(("life", "changes", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_case(tmp_path: Path, life: str, changes: dict[str, Any], expected: dict[str, Any] | None) -> None:
    write(tmp_path, life)
    rows = read_rows(str(tmp_path), replace(FRAME, **changes)).to_pylist()
    if expected is None:
        assert rows == []
    else:
        assert len(rows) == 1
        assert {name: rows[0][name] for name in expected} == expected
        assert rows[0]["sex"] == "M"
