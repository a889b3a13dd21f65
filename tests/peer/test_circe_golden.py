"""Cohorts of OHDSI's phenotype library: the rows that the SQL of OHDSI's Java library gives."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from salerno.holdings.engine.reading import read_cohort
from salerno.holdings.model import EventDefinition
from salerno.standards.circe import ROWS, circe_script

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "omop"
TIES = "1071"
"""Not deterministic by itself: only the number of its rows is."""

pytestmark = pytest.mark.skipif(
    not (DATA / "phenotypes").is_dir(), reason="the folder ../shared/data/omop is not here"
)


def golden(name: str) -> dict[str, list[Any]]:
    path = DATA / name
    return json.loads(path.read_text()) if path.exists() else {}


def definition(cohort: str) -> EventDefinition:
    return EventDefinition(circe=json.loads((DATA / "phenotypes" / f"{cohort}.json").read_text()))


def fingerprint(source: Path, cohort: str) -> tuple[int, str]:
    rows, _ = read_cohort(str(source), definition(cohort))
    plain = sorted((row["_person"], str(row["date"]), str(row["until"])) for row in rows.to_pylist())
    return len(plain), hashlib.sha256(str(plain).encode()).hexdigest()[:12]


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


@pytest.mark.parametrize("cohort", sorted(golden("golden_cohort_rows.json"), key=int))
def test_the_rows_on_a_synthetic_population(synthetic: Path, cohort: str) -> None:
    n, digest = fingerprint(synthetic, cohort)
    expected = golden("golden_cohort_rows.json")[cohort]
    assert n == expected[0]
    assert cohort == TIES or digest == expected[1]


@pytest.mark.parametrize("cohort", ["707", "1229"])
def test_the_rows_on_gibleed(cohort: str) -> None:
    n, digest = fingerprint(DATA / "gibleed_5.3_parquet", cohort)
    assert [n, digest] == golden("golden_cohort_rows_gibleed.json")[cohort][:2]


@pytest.mark.parametrize("path", sorted((DATA / "phenotypes").glob("*.json")), ids=lambda path: path.stem)
@pytest.mark.parametrize("dialect", ["postgresql", "trino"])
def test_every_definition_can_be_read(path: Path, dialect: str) -> None:
    script = circe_script(json.loads(path.read_text()), dialect)
    assert script.tables[-1][0] == ROWS
    assert "observation_period_start_date" in script.columns["observation_period"]
