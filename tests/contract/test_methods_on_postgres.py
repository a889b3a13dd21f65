"""The methods' expressions on PostgreSQL: the same answers as on DuckDB."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import ibis
import numpy as np
import pandas as pd
import psycopg
import pytest

from salerno.catalogue.model import Datatype
from tests.unit.analysis.methods.harness import run, run_views, scope_of, tables_of

SQL_TYPES = {
    Datatype.STRING: "text",
    Datatype.INTEGER: "bigint",
    Datatype.NUMBER: "double precision",
    Datatype.BOOLEAN: "boolean",
}
QUESTIONS: list[dict[str, Any]] = [
    {"method": "count", "by": ["sex", "holder"]},
    {"method": "describe", "variables": ["age", "flag"], "by": "sex"},
    {"method": "crosstab", "rows": "sick", "columns": "sex"},
    {"method": "histogram", "variable": "lab", "bins": 10},
    {"method": "quantiles", "variable": "lab", "probabilities": [0.05, 0.5, 0.95]},
    {"method": "quantiles", "variable": "time"},
    {"method": "correlation", "variables": ["age", "lab", "flag"]},
    {"method": "pca", "variables": ["age", "lab", "time"]},
    {"method": "t_test", "variable": "lab", "by": "sex"},
    {"method": "kaplan_meier", "time": "time", "event": "sick", "by": "sex"},
    {"method": "kaplan_meier", "time": "lab", "event": "flag", "grid": 1},
    {"method": "log_rank", "time": "time", "event": "flag", "by": "sex"},
    {"method": "competing_risks", "time": "time", "event": "code", "causes": [1, 2], "by": "sex"},
    {"method": "restricted_mean", "time": "lab", "event": "sick", "by": "sex", "horizon": 5},
    {"method": "cox", "formula": "Surv(time, sick) ~ age + sex + flag"},
    {"method": "cox", "formula": "Surv(lab, sick) ~ log(age) * sex", "strata": None},
    {"method": "glm", "formula": "sick ~ age * sex + flag", "family": "binomial"},
    {"method": "glm", "formula": "sick ~ age", "family": "binomial", "offset": "log(lab)"},
    {"method": "glm", "formula": "time ~ age + I(lab^2)", "family": "poisson", "weights": "lab"},
    {"method": "glm", "formula": "lab ~ age + sqrt(time) + sex"},
]


@pytest.fixture(scope="module")
def frames() -> list[pd.DataFrame]:
    rng = np.random.default_rng(11)
    n = 240
    pooled = pd.DataFrame(
        {
            "age": rng.normal(60, 10, n),
            "lab": rng.gamma(2.0, 3.0, n).round(1) + 0.1,
            "time": rng.integers(1, 60, n),
            "sick": (rng.random(n) < 0.5).astype(int),
            "flag": rng.random(n) < 0.5,
            "code": rng.integers(0, 3, n),
            "sex": rng.choice(["F", "M"], n),
        }
    )
    pooled.loc[::13, ["age", "sex"]] = None
    return [pooled.iloc[i::2].reset_index(drop=True) for i in range(2)]


@pytest.fixture(scope="module")
def views(postgres_url: str, frames: list[pd.DataFrame]) -> Iterator[list[ibis.Table]]:
    scope = scope_of(frames)
    parts = urlsplit(postgres_url)
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute("create database methods")
        admin.commit()
    url = parts._replace(path="/methods").geturl()
    with psycopg.connect(url, autocommit=True) as own:
        for i, table in enumerate(tables_of(frames, scope)):
            columns = ", ".join(
                f'"{n}" {SQL_TYPES[v.datatype]}' for n, v in scope.dictionary.variables.items()
            )
            own.execute(f"create table rows{i} ({columns})")
            with own.cursor().copy(f"copy rows{i} from stdin") as copy:
                for row in table.to_pylist():
                    copy.write_row(list(row.values()))
    connection = ibis.postgres.connect(
        host=parts.hostname, port=parts.port, user=parts.username, password=parts.password, database="methods"
    )
    yield [
        connection.table(f"rows{i}").mutate(holder=ibis.literal(scope.names[did]))
        for i, did in enumerate(scope.holders)
    ]
    connection.disconnect()


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda q: f"{q['method']}-{QUESTIONS.index(q)}")
def test_the_same_answer_as_on_duckdb(
    question: dict[str, Any], views: list[ibis.Table], frames: list[pd.DataFrame]
) -> None:
    wanted = run(question, frames)
    got = run_views(question, views, scope_of(frames))
    assert (got.n, got.n_missing) == (wanted.n, wanted.n_missing)
    same(got.result, wanted.result)


def same(got: Any, wanted: Any) -> None:
    if isinstance(wanted, dict):
        assert got.keys() == wanted.keys()
        for key, value in wanted.items():
            same(got[key], value)
    elif isinstance(wanted, list):
        assert len(got) == len(wanted)
        for left, right in zip(got, wanted, strict=True):
            same(left, right)
    elif isinstance(wanted, float):
        assert got == pytest.approx(wanted, rel=1e-8, abs=1e-10)
    else:
        assert got == wanted
