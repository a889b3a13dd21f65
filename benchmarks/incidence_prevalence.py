"""Incidence and prevalence in a population, against IncidencePrevalence 1.1.0 on CPRD GOLD.

A seeded synthetic OMOP data set at one holder: 8 years of observation on average, 8 populations (four age
groups by sex, 180 days of prior observation), two outcomes, 38 calendar years. Each question goes from the
coordinator to the holder and back, through permit, view, disclosure control and ledger, with intervals and
attrition.

The published times are of 17,521,504 persons on PostgreSQL on other hardware; see the package's data set
``benchmark``. At fewer persons than that the ratio is to the published time scaled down in proportion.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import duckdb

from salerno.nodes.local import LocalSpace

PUBLISHED_PERSONS = 17_521_504
PUBLISHED_MINUTES = {
    "denominators": 31.06,
    "point prevalence": 14.08,
    "period prevalence": 14.78,
    "incidence": 64.51,
}
GOAL = 0.1

POPULATION = {
    "study_start": "1987-01-01",
    "study_end": "2024-12-31",
    "age_groups": [[0, 17], [18, 44], [45, 64], [65, 150]],
    "prior_observation_days": 180,
    "outcomes": {
        "frequent": {"table": "condition_occurrence", "concepts": [101]},
        "rare": {"table": "condition_occurrence", "concepts": [102]},
    },
    "outcome_washout_days": 365,
    "repeated_events": True,
}
ATTRITION = {"rows": "attrition", "population": {**POPULATION, "outcomes": {}}}


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--persons", type=int, default=175_000)
    parser.add_argument("--memory-mb", type=int, default=12_000, help="for the analysis engine")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="salerno-bench-") as place:
        began = time.perf_counter()
        folder = make_cdm(Path(place) / "cdm", given.persons)
        print(f"{given.persons:,} persons made in {time.perf_counter() - began:.1f} s")
        times = measure(folder, given.memory_mb)
    scale = min(given.persons / PUBLISHED_PERSONS, 1.0)
    failed = False
    for task, minutes in PUBLISHED_MINUTES.items():
        ratio = times[task] / (60 * minutes * scale)
        failed |= given.persons >= PUBLISHED_PERSONS // 2 and ratio > GOAL
        print(f"{task}: {times[task]:.1f} s, ratio {ratio:.3f} (goal: at most {GOAL} at full size)")
    print(f"of which the frame of spans, made once: {times['frame']:.1f} s")
    print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")
    sys.exit(failed)


def measure(folder: Path, memory_mb: int) -> dict[str, float]:
    """Seconds by task. The making of spans counts as part of the denominators and is told by itself."""
    times: dict[str, float] = {}

    def ask(space: LocalSpace, question: dict[str, Any]) -> tuple[float, dict[str, Any]]:
        began = time.perf_counter()
        answer = space.ask(question)
        return time.perf_counter() - began, answer["result"]

    with LocalSpace([folder], frame=ATTRITION, memory_mb=memory_mb) as space:
        attrition, result = ask(space, {"method": "attrition"})
        print("  " + "; ".join(f"{step['step']}: {step['n_left']}" for step in result["steps"]))
    with LocalSpace([folder], frame={"population": POPULATION}, memory_mb=memory_mb) as space:
        point = {"method": "prevalence", "kind": "point", "by": "sex"}
        cold, _ = ask(space, point)
        times["point prevalence"], _ = ask(space, {**point, "conf_level": 0.9})
        times["frame"] = cold - times["point prevalence"]
        times["denominators"] = attrition + times["frame"]
        times["period prevalence"], _ = ask(space, {"method": "prevalence", "by": "sex"})
        times["incidence"], result = ask(space, {"method": "incidence", "by": "sex"})
    last = result["estimates"][-1]
    print(f"  e.g. {last['outcome']}, {last['age_group']}, {last['sex']}, {last['interval']}: "
          f"{last['n_persons']} persons, {last['n_events']} events")  # fmt: skip
    return times


def make_cdm(folder: Path, persons: int) -> Path:
    """A folder of Parquet files; the same for the same number of persons."""
    folder.mkdir()
    with duckdb.connect() as connection:
        connection.execute("SET preserve_insertion_order = false")
        # A hash of key and purpose, as a number between 0 and 1: random, and the same on any number of
        # threads.
        connection.execute(
            "CREATE MACRO u(i, what) AS (hash(i * 1000003 + what) % 1000000007) / 1000000007.0"
        )
        tables = {
            "person": f"""SELECT i AS person_id, CASE WHEN u(i, 1) < 0.5 THEN 8532 ELSE 8507 END
                AS gender_concept_id, 1915 + (u(i, 2) * 70)::INT AS year_of_birth,
                1 + (u(i, 3) * 11)::INT AS month_of_birth, 1 + (u(i, 4) * 27)::INT AS day_of_birth,
                i::VARCHAR AS person_source_value FROM range(1, {persons + 1}) t(i)""",
            "observation_period": f"""SELECT i AS person_id, start AS observation_period_start_date,
                least(start + (-ln(1 - u(i, 6) * 0.999) * 3400)::INT, DATE '2024-12-31')
                AS observation_period_end_date FROM (SELECT i, DATE '1985-01-01' +
                (u(i, 5) * 13000)::INT AS start FROM range(1, {persons + 1}) t(i))""",
            "condition_occurrence": f"""SELECT 1 + i % {persons} AS person_id, i AS condition_occurrence_id,
                CASE WHEN u(i, 7) < 0.8 THEN 101 ELSE 102 END AS condition_concept_id, start AS
                condition_start_date, start + (u(i, 9) * 60)::INT AS condition_end_date FROM (SELECT i,
                DATE '1986-01-01' + (u(i, 8) * 14000)::INT AS start FROM range(1, {persons // 4}) t(i))""",
            "death": "SELECT 1 AS person_id, DATE '2030-01-01' AS death_date LIMIT 0",
            "concept_ancestor": "SELECT 1 AS ancestor_concept_id, 1 AS descendant_concept_id",
        }
        for name, sql in tables.items():
            connection.execute(f"COPY ({sql}) TO '{folder}/{name}.parquet' (FORMAT parquet)")
    return folder


if __name__ == "__main__":
    main()
