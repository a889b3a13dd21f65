"""The rows of OHDSI's phenotypes on 20,000 persons, on PostgreSQL and on Spark.

Each run asks those that between them use almost all that definitions are made of; ``make golden`` asks all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pyarrow as pa
import pytest

from tests.contract.test_engines import load_postgres, write
from tests.peer.test_circe_golden import ALL, DATA, check_golden, golden, phenotype_records

pytestmark = [
    pytest.mark.serial,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not (DATA / "phenotypes").is_dir(), reason="the folder ../shared/data/omop is not here"
    ),
]

ASKED = {
    "postgresql": ("61", "218", "269", "306", "693", "842", "921", "1016", "1030"),
    "spark": ("306", "693", "1030"),
}
if ALL:
    ASKED = dict.fromkeys(ASKED, tuple(golden("golden_cohort_rows.json")))


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pa.Table]:
    asked = {cohort for cohorts in ASKED.values() for cohort in cohorts}
    return phenotype_records(tmp_path_factory.mktemp("golden") / "cdm.duckdb", 20_000, asked)


@pytest.fixture(scope="module")
def address(
    request: pytest.FixtureRequest, tables: Mapping[str, pa.Table], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], str]:
    """Where the tables lie on an engine; they are loaded when it is first asked."""
    known: dict[str, str] = {}

    def load(engine: str) -> str:
        if engine == "postgresql":
            return load_postgres(request.getfixturevalue("postgres_url"), "golden", tables)
        folder = write(tmp_path_factory.mktemp("golden") / "files", tables)
        return f"{request.getfixturevalue('spark_server')}?path={folder}"

    return lambda engine: known.get(engine) or known.setdefault(engine, load(engine))


@pytest.mark.parametrize(
    ("engine", "cohort"), [(engine, cohort) for engine, asked in ASKED.items() for cohort in asked]
)
def test_the_golden_rows(engine: str, cohort: str, address: Callable[[str], str]) -> None:
    check_golden("golden_cohort_rows.json", address(engine), cohort)
