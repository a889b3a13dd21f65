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
    assert len(frame) == 1 + 2 * 6 + 1 + 2 + 4  # with four settings


RATES = answers.answer(
    "incidence",
    {
        "estimates": [
            {
                "outcome": "stroke", "age_group": "18 to 64", "sex": "Both", "interval": "2010",
                "start_date": "2010-01-01", "end_date": "2010-12-31", "n_persons": 1200,
                "person_days": 400_000, "person_years": 1095.14, "n_events": None,
                "incidence_100000_pys": None, "conf_low": 12.5, "conf_high": None,
            }
        ],
        "interval": "years",
        "conf_level": 0.95,
    },
)  # fmt: skip


def test_incidence_has_the_names_of_incidence_prevalence() -> None:
    about = {
        "group_name": "denominator_cohort_name &&& outcome_cohort_name",
        "group_level": "population &&& stroke",
        "strata_name": "age_group &&& sex",
        "strata_level": "18 to 64 &&& Both",
        "additional_name": "incidence_start_date &&& incidence_end_date &&& analysis_interval",
        "additional_level": "2010-01-01 &&& 2010-12-31 &&& years",
    }
    denominator = {**about, "variable_name": "Denominator"}
    outcome = {**about, "variable_name": "Outcome"}
    assert find(RATES, **denominator, estimate_name="denominator_count") == ["1200"]
    assert find(RATES, **denominator, estimate_name="person_years") == ["1095.14"]
    assert find(RATES, **outcome, estimate_name="outcome_count", estimate_type="integer") == ["-"]
    assert find(RATES, **outcome, estimate_name="incidence_100000_pys_95CI_lower") == ["12.5"]
    assert find(RATES, variable_name="settings", estimate_name="result_type") == ["incidence"]


def test_prevalence_names_its_limits_by_their_level() -> None:
    row = {"outcome": "a", "age_group": "0 to 150", "sex": "Both", "interval": "2010", "n_population": 90,
           "start_date": "2010-01-01", "end_date": "2010-12-31", "n_cases": 20, "prevalence": 0.22,
           "conf_low": 0.15, "conf_high": 0.31}  # fmt: skip
    plain = answers.answer("prevalence", {"estimates": [row], "interval": "years", "conf_level": 0.9})
    assert find(plain, estimate_name="prevalence_90CI_upper") == ["0.31"]


def test_characteristics_overlap_and_attrition_have_the_names_of_cohort_characteristics() -> None:
    level = {"group": "a", "variable": "sex", "level": "F", "count": 12, "percentage": 40.0}
    number = {"group": "a", "variable": "age", "n": 30, "mean": 61.5, "sd": 9.0, "q50": 62.0}
    table = answers.answer(
        "characteristics", {"groups": [{"group": "a", "n": 30}], "levels": [level], "numbers": [number]}
    )
    assert find(table, group_level="a", variable_name="Number subjects", estimate_name="count") == ["30"]
    assert find(table, variable_name="Sex", variable_level="F", estimate_name="percentage") == ["40.0"]
    assert find(table, variable_name="Age", estimate_name="median") == ["62.0"]

    pair = {"first": "a", "second": "b", "n_both": 10, "n_first_only": 30, "n_second_only": 0,
            "percentage_both": 25.0}  # fmt: skip
    overlap = answers.answer("cohort_overlap", {"pairs": [pair]})
    only = {"group_level": "a &&& b", "variable_name": "Only in reference cohort"}
    assert find(overlap, **only, estimate_name="count") == ["30"]
    assert find(overlap, **only, estimate_name="percentage") == ["75.0"]
    hidden = answers.answer(
        "cohort_overlap", {"pairs": [{**pair, "n_both": None, "n_first_only": None, "percentage_both": None}]}
    )
    assert find(hidden, **only) == ["-", "-"]

    steps = answers.answer("attrition", {"steps": [{"step": "one year", "n_left": 90, "n_dropped": None}]})
    reason = {"strata_name": "reason", "strata_level": "one year"}
    assert find(steps, **reason, variable_name="number_subjects") == ["90"]
    assert find(steps, **reason, variable_name="excluded_subjects") == ["-"]
