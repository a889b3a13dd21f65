from __future__ import annotations

from typing import Any

import pytest

from salerno import Answer
from salerno.client.summarised import COLUMNS, summarised_rows
from tests.unit.client import answers


@pytest.mark.parametrize("plain", answers.ALL, ids=lambda a: a["method"])
def test_rows_have_the_formats_columns_and_text_values(plain: dict[str, Any]) -> None:
    for row in summarised_rows(plain):
        assert tuple(row) == COLUMNS
        assert row["result_id"] == 1
        assert all(isinstance(value, str) for name, value in row.items() if name != "result_id")
        assert row["estimate_type"] in {"integer", "numeric", "character", "logical"}


def find(plain: dict[str, Any], **wanted: str) -> list[str]:
    rows = summarised_rows(plain)
    return [r["estimate_value"] for r in rows if all(r[name] == value for name, value in wanted.items())]


def test_a_coefficient() -> None:
    assert find(answers.COX, variable_name="age", estimate_name="estimate") == ["0.0169897540295"]


def test_a_step_of_a_curve() -> None:
    found = find(
        answers.CURVES,
        strata_level="M",
        estimate_name="survival",
        additional_name="time",
        additional_level="30",
    )
    assert found == ["0.9"]


def test_a_suppressed_cell_is_a_dash() -> None:
    found = find(answers.CROSSTAB, variable_level="1", strata_level="M", estimate_name="count")
    assert found == ["-"]


def test_a_quantile() -> None:
    assert find(answers.QUANTILES, additional_level="0.5", estimate_name="values") == ["5.816"]


def test_a_group_of_a_count() -> None:
    assert find(answers.COUNT, strata_name="sex", strata_level="M") == ["138"]


def test_a_bin_of_a_histogram() -> None:
    assert find(answers.HISTOGRAM, additional_name="lower &&& upper", additional_level="0.0 &&& 10.0") == [
        "15"
    ]


def test_a_correlation() -> None:
    found = find(
        answers.CORRELATION, variable_name="age", additional_name="variable", additional_level="time"
    )
    assert found == ["0.3"]


def test_a_mean() -> None:
    assert find(answers.DESCRIBE, variable_name="age", estimate_name="mean") == ["62.4"]


def test_as_a_data_frame() -> None:
    frame = Answer(answers.COX).summarised_result()
    assert tuple(frame.columns) == COLUMNS
    assert len(frame) == 1 + 2 * 6 + 1 + 2
