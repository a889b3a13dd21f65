"""Pictures of rates, cohorts and patterns of care: what each mark stands for, and what is left out."""

from __future__ import annotations

from typing import Any

import pytest

from salerno.web.charts import answer_chart, to_svg


def chart_of(method: str, **result: Any) -> dict[str, Any] | None:
    answer = {"method": method, "question": {}, "result": result, "disclosure": {"min_cell": 10}}
    chart = answer_chart(answer)
    if chart is not None:
        svg = to_svg(chart)
        assert svg.startswith("<svg")
        assert "NaN" not in svg
    return chart


def rate(interval: str, value: float | None, **about: str) -> dict[str, Any]:
    limits = {"conf_low": None, "conf_high": None}
    if value is not None:
        limits = {"conf_low": value - 1, "conf_high": value + 2}
    head = {"outcome": "stroke", "age_group": "0 to 150", "sex": "Both", "interval": interval}
    return {**head, **about, "incidence_100000_pys": value, **limits}


def test_a_rate_of_each_interval_and_stratum_with_its_limits() -> None:
    told = [rate("2010", 8.0, sex="Female"), rate("2011", None, sex="Female"), rate("2010", 9.0, sex="Male")]
    chart = chart_of("incidence", estimates=told, conf_level=0.95)
    assert chart is not None
    assert chart["data"]["values"] == [
        {"Outcome": "stroke", "Interval": "2010", "Group": "Female", "value": 8.0, "low": 7.0, "high": 10.0},
        {"Outcome": "stroke", "Interval": "2010", "Group": "Male", "value": 9.0, "low": 8.0, "high": 11.0},
    ]
    assert "hidden" in chart["title"]["subtitle"]
    assert chart["layer"][0]["encoding"]["x"]["sort"] == ["2010", "2011"]


def test_outcomes_are_panels_and_one_stratum_needs_no_legend() -> None:
    chart = chart_of("incidence", estimates=[rate("2010", 8.0), rate("2010", 3.0, outcome="bleed")])
    assert chart is not None
    assert chart["facet"]["row"]["field"] == "Outcome"
    assert "field" not in chart["spec"]["layer"][0]["encoding"]["color"]


def test_prevalence_is_a_share() -> None:
    row = {"outcome": "asthma", "age_group": "0 to 17", "sex": "Both", "interval": "2010", "prevalence": 0.1}
    chart = chart_of("prevalence", kind="point", estimates=[{**row, "conf_low": 0.08, "conf_high": 0.12}])
    assert chart is not None
    assert chart["layer"][1]["encoding"]["y"]["title"] == "Share, on the first day of the interval"


def test_parts_of_two_cohorts() -> None:
    pair = {"first": "a", "second": "b", "n_both": 12, "n_first_only": 40, "n_second_only": 0}
    hidden = {"first": "a", "second": "c", "n_both": None, "n_first_only": None, "n_second_only": None}
    chart = chart_of("cohort_overlap", pairs=[pair, hidden])
    assert chart is not None
    bars = {(v["pair"], v["part"]): v["persons"] for v in chart["data"]["values"]}
    assert bars == {("a, b", "first only"): 40, ("a, b", "both"): 12, ("a, b", "second only"): 0}


def test_joined_bins_of_days_keep_their_area() -> None:
    bins = [
        {"first": "a", "second": "b", "lower": -60.0, "upper": 0.0, "count": 12},
        {"first": "a", "second": "b", "lower": 0.0, "upper": 30.0, "count": 40},
    ]
    chart = chart_of("cohort_timing", days=bins, width=30)
    assert chart is not None
    assert [v["persons"] for v in chart["data"]["values"]] == [6.0, 40.0]


def test_paths_lie_below_each_other() -> None:
    told = [
        {"group": "g", "path": "A > A+B", "n": 30, "percentage": 60.0},
        {"group": "g", "path": "B", "n": 20, "percentage": 40.0},
        {"group": "g", "path": "other", "n": None, "percentage": None},
    ]
    chart = chart_of("treatment_patterns", paths=told)
    assert chart is not None
    boxes = [(v["Treatment"], v["line"], v["from"], v["to"]) for v in chart["data"]["values"]]
    assert boxes == [("A", 1, 0.0, 30.0), ("A+B", 2, 0.0, 30.0), ("B", 1, 30.0, 50.0)]


def test_use_of_a_drug_without_what_does_not_vary() -> None:
    spread = {"q05": 1.0, "q25": 5.0, "q50": 9.0, "q75": 20.0, "q95": 60.0}
    same = dict.fromkeys(spread, 1.0)
    figures = [
        {"group": "a", "variable": "days_exposed", "n": 90, **spread},
        {"group": "a", "variable": "n_eras", "n": 90, **same},
    ]
    chart = chart_of("drug_utilisation", numbers=figures)
    assert chart is not None
    assert [v["Figure"] for v in chart["data"]["values"]] == ["days exposed"]


@pytest.mark.parametrize(
    ("method", "result"),
    [
        ("incidence", {"estimates": [rate("2010", None)]}),
        ("prevalence", {"estimates": []}),
        ("cohort_overlap", {"pairs": []}),
        ("cohort_timing", {"pairs": [], "days": []}),
        ("treatment_patterns", {"paths": [{"group": "g", "path": "other", "n": None}]}),
        ("drug_utilisation", {"numbers": [{"variable": "n_eras", "group": "a", "q50": None}]}),
    ],
)
def test_without_any_figure_there_is_no_picture(method: str, result: dict[str, Any]) -> None:
    assert chart_of(method, **result) is None


def test_characteristics_tell_the_share_of_each_level_but_of_missing_ones() -> None:
    def level(group: str, name: str, count: int | None) -> dict[str, Any]:
        share = None if count is None else float(count)
        return {"group": group, "variable": "sex", "level": name, "count": count, "percentage": share}

    told = [level("a", "F", 60), level("a", "missing", 40), level("b", "F", None)]
    chart = chart_of("characteristics", levels=told, numbers=[])
    assert chart is not None
    assert chart["data"]["values"] == [{"Column": "sex", "level": "F", "group": "a", "percentage": 60.0}]
    assert "hidden" in chart["title"]["subtitle"]
    many = [{**level("a", str(i), 50), "variable": "age"} for i in range(60)]
    assert chart_of("characteristics", levels=many) is None
