"""Cohorts of OHDSI's phenotype library: the rows that the SQL of OHDSI's Java library gives."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from salerno.holdings.engine.reading import read_cohort
from salerno.holdings.model import EventDefinition
from salerno.standards.circe import ROWS, circe_script

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "omop"
ALL = os.environ.get("SALERNO_GOLDEN") == "all"
"""Whether all that the files tell is asked, as ``make golden`` does."""

pytestmark = pytest.mark.skipif(
    not (DATA / "phenotypes").is_dir(), reason="the folder ../shared/data/omop is not here"
)


def golden(name: str) -> dict[str, list[Any]]:
    path = DATA / name
    return json.loads(path.read_text()) if path.exists() else {}


def definition(cohort: str) -> EventDefinition:
    return EventDefinition(circe=json.loads((DATA / "phenotypes" / f"{cohort}.json").read_text()))


def check_golden(name: str, source: str, cohort: str) -> None:
    """Compare a cohort with a file that tells how many rows it has, and their hash."""
    rows, _ = read_cohort(source, definition(cohort))
    plain = sorted((row["_person"], str(row["date"]), str(row["until"])) for row in rows.to_pylist())
    digest = hashlib.sha256(str(plain).encode()).hexdigest()[:12]
    assert [len(plain), digest] == golden(name)[cohort][:2]


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20,000 persons, whose rows are the golden ones."""
    return synthetic_phenotypes(tmp_path_factory.mktemp("cdm") / "synthetic.duckdb", 20_000)


def synthetic_phenotypes(path: Path, persons: int) -> Path:
    """A database of persons whose records have the concepts of the definitions."""
    subprocess.run(
        [sys.executable, DATA / "make_synthetic_cdm.py", str(persons), path],
        check=True,
        capture_output=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    return path


def phenotype_records(path: Path, persons: int, cohorts: Iterable[str]) -> dict[str, pa.Table]:
    """Of such a database, all columns that some definitions read."""
    needed: dict[str, set[str]] = {"person": {"person_id", "gender_concept_id", "year_of_birth"}}
    for cohort in cohorts:
        for name, columns in circe_script(definition(cohort).circe or {}, "duckdb").columns.items():
            needed[name] = needed.get(name, set()) | columns
    with duckdb.connect(str(synthetic_phenotypes(path, persons)), read_only=True) as opened:
        return {
            name: opened.table(name).select(*sorted(columns)).to_arrow_table()
            for name, columns in needed.items()
        }


@pytest.mark.parametrize("cohort", sorted(golden("golden_cohort_rows.json"), key=int))
def test_the_rows_on_a_synthetic_population(synthetic: Path, cohort: str) -> None:
    check_golden("golden_cohort_rows.json", str(synthetic), cohort)


ON_GIBLEED = ["707", "1229"]
"""The longest, and the only one that has rows; ``make golden`` asks all."""
if ALL:
    ON_GIBLEED = list(golden("golden_cohort_rows_gibleed.json"))


@pytest.mark.parametrize("cohort", ON_GIBLEED)
def test_the_rows_on_gibleed(cohort: str) -> None:
    check_golden("golden_cohort_rows_gibleed.json", str(DATA / "gibleed_5.3_parquet"), cohort)


@pytest.mark.parametrize("path", sorted((DATA / "phenotypes").glob("*.json")), ids=lambda path: path.stem)
@pytest.mark.parametrize("dialect", ["postgresql", "trino"])
def test_every_definition_can_be_read(path: Path, dialect: str) -> None:
    script = circe_script(json.loads(path.read_text()), dialect)
    assert script.tables[-1][0] == ROWS
    assert "observation_period_start_date" in script.columns["observation_period"]
