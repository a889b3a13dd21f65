"""Row conditions as the engine renders them mean what they say in Python, whatever the values."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import ibis
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from salerno.holdings.engine.conditions import condition_expression, keep_rows
from salerno.kernel.errors import Invalid
from salerno.permits.model import Condition

OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
TEXTS = st.text(
    alphabet=st.characters(codec="utf-8", exclude_characters="\x00"), max_size=6
) | st.sampled_from(["", "'", "''; DROP TABLE t; --", '"', "\\", "%", "NA", "ß", "\n"])
NUMBERS = st.integers(-5, 5) | st.integers(-(2**62), 2**62)
FLOATS = st.floats(allow_nan=False, allow_infinity=False, width=32) | st.integers(-3, 3)


@pytest.fixture(scope="module")
def engine() -> Iterator[Any]:
    backend = ibis.duckdb.connect()
    yield backend
    backend.disconnect()


def kept(engine: Any, values: list[Any], kind: pa.DataType, condition: Condition) -> list[Any]:
    table = ibis.memtable(pa.table({"x": pa.array(values, type=kind)}))
    result = engine.to_pyarrow(keep_rows(table, [condition], where="the table"))
    return sorted(result["x"].to_pylist())


@pytest.mark.parametrize(
    ("kind", "values"), [(pa.string(), TEXTS), (pa.int64(), NUMBERS), (pa.float64(), FLOATS)], ids=str
)
def test_conditions_mean_what_they_say(
    engine: Any, kind: pa.DataType, values: st.SearchStrategy[Any]
) -> None:
    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        rows=st.lists(st.none() | values, min_size=1, max_size=8),
        value=values,
        others=st.lists(values, max_size=4),
        sign=st.sampled_from(sorted(OPERATORS)),
    )
    def check(rows: list[Any], value: Any, others: list[Any], sign: str) -> None:
        present = [row for row in rows if row is not None]
        compared = Condition(column="x", operator=sign, value=value)  # type: ignore[arg-type]
        expected = sorted(row for row in present if OPERATORS[sign](row, value))
        assert kept(engine, rows, kind, compared) == expected
        listed = Condition(column="x", operator="in", value=[value, *others])
        assert kept(engine, rows, kind, listed) == sorted(row for row in present if row in [value, *others])

    check()


WRONG = [
    (Condition(column="xx", operator="==", value=1), "Did you mean 'x'"),
    (Condition(column="x", operator="==", value="1"), "int64"),
    (Condition(column="x", operator="==", value=True), "int64"),
    (Condition(column="x", operator="in", value=1), "list of values"),
    (Condition(column="x", operator="in", value=[1, "2"]), "int64"),
    (Condition(column="x", operator="like", value=1), "is no operator"),  # type: ignore[arg-type]
    (Condition(column="d", operator=">", value="2020-13-01"), "date"),
    (Condition(column="b", operator="==", value="yes"), "boolean"),
]


@pytest.mark.parametrize(("condition", "said"), WRONG)
def test_conditions_that_cannot_be_are_told(condition: Condition, said: str) -> None:
    table = ibis.table({"x": "int64", "d": "date", "b": "boolean", "t": "timestamp"}, name="t")
    with pytest.raises(Invalid, match=said):
        condition_expression(table, condition, where="The table")


def test_dates_booleans_and_empty_lists(engine: Any) -> None:
    from datetime import date, datetime

    days = [date(2020, 1, 1), date(2020, 2, 1)]
    assert (
        kept(engine, days, pa.date32(), Condition(column="x", operator=">", value="2020-01-01")) == days[1:]
    )
    instants = [datetime(2020, 1, 1, 12), datetime(2020, 1, 1, 13)]
    later = Condition(column="x", operator=">=", value="2020-01-01T13:00:00")
    assert kept(engine, instants, pa.timestamp("us"), later) == instants[1:]
    assert kept(engine, [True, False], pa.bool_(), Condition(column="x", operator="==", value=1)) == [True]
    assert kept(engine, [1, 2], pa.int64(), Condition(column="x", operator="in", value=[])) == []
