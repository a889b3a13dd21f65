"""The variable dictionary: what it tells, and what it keeps to itself."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from salerno.catalogue.model import Datatype, Variable
from salerno.holdings.engine.dictionary import profile, round_down
from salerno.holdings.engine.sources import open_source

SELECT = """
SELECT i AS code, printf('P%05d', i) AS label, 'note ' || (i % 150) AS note, CASE WHEN i < 5 THEN 'rare'
WHEN i % 3 = 0 THEN 'often' ELSE 'common' END AS kind, i % 12 AS month, i % 2 = 0 AS even, i / 7.0 AS value,
CASE WHEN i % 10 < 9 THEN DATE '2020-01-01' + i::INTEGER END AS day, NULL::INTEGER AS nothing, [i] AS list,
(i % 500)::INTEGER AS person, i % 500 < 8 AS held
FROM range(1000) t(i)
"""


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, Variable]:
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({SELECT}) TO '{tmp_path}/t.parquet'")
    with open_source(str(tmp_path)) as source:
        found = profile(source, source.table("t"), min_cell=10, person="person")
        assert (found.n_rows, found.n_persons) == (1000, 500)
        return found.variables


def test_types_and_counts(variables: dict[str, Variable]) -> None:
    assert {name: v.datatype for name, v in variables.items()} == {
        "code": Datatype.INTEGER,
        "label": Datatype.STRING,
        "note": Datatype.STRING,
        "kind": Datatype.STRING,
        "month": Datatype.INTEGER,
        "even": Datatype.BOOLEAN,
        "value": Datatype.NUMBER,
        "day": Datatype.DATE,
        "nothing": Datatype.INTEGER,
        "person": Datatype.INTEGER,
        "held": Datatype.BOOLEAN,
    }
    assert variables["code"].n == 1000
    assert variables["day"].n == 900
    assert variables["nothing"].n is None


def test_only_categories_have_levels_and_only_frequent_ones(variables: dict[str, Variable]) -> None:
    assert variables["kind"].levels == ("common", "often")  # five persons have the rare one
    assert variables["even"].levels == ("false", "true")
    assert variables["month"].levels == tuple(str(n) for n in range(12))  # in the order of numbers
    for name in ("code", "label", "note", "value", "day", "nothing", "person"):
        assert variables[name].levels == ()


def test_levels_count_persons_not_rows(variables: dict[str, Variable]) -> None:
    # 16 rows, but 8 persons.
    assert variables["held"].levels == ("false",)


@pytest.mark.parametrize(("count", "shown"), [(0, None), (9, None), (10, 10), (19, 10), (2694, 2690)])
def test_counts_are_rounded_down(count: int, shown: int | None) -> None:
    assert round_down(count, 10) == shown
