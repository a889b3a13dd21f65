"""Which rows a frame keeps."""

from __future__ import annotations

import ibis
import pytest

from salerno.holdings.engine.conditions import keep_rows
from salerno.kernel.errors import Invalid
from salerno.permits.model import Condition


@pytest.fixture
def rows() -> ibis.Table:
    """Four persons: with all values, without one, with not-a-number, without the other."""
    connection = ibis.duckdb.connect()
    connection.raw_sql(
        "CREATE TABLE t AS SELECT * FROM (VALUES (1, 20.5, 'F'), (2, NULL, 'M'), (3, 'nan'::DOUBLE, 'F'), "
        "(4, 22.5, NULL)) AS v(id, bmi, sex)"
    )
    return connection.table("t")


def kept(rows: ibis.Table, *complete: str, where: tuple[Condition, ...] = ()) -> list[int]:
    return sorted(keep_rows(rows, where, where="The frame", complete=complete).id.to_pyarrow().to_pylist())


def test_rows_without_a_value_of_a_complete_column_go(rows: ibis.Table) -> None:
    assert kept(rows) == [1, 2, 3, 4]
    assert kept(rows, "bmi") == [1, 4]
    assert kept(rows, "sex") == [1, 2, 3]
    assert kept(rows, "bmi", "sex") == [1]
    assert kept(rows, "bmi", where=(Condition(column="bmi", operator=">", value=21),)) == [4]


def test_an_unknown_complete_column_is_named_with_the_nearest(rows: ibis.Table) -> None:
    with pytest.raises(Invalid, match="no column 'bim'") as error:
        keep_rows(rows, (), where="The frame", complete=("bim",))
    assert "bmi" in error.value.remedy
