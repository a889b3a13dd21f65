"""The picture of a cohort's attrition: persons left and dropped at each step."""

from __future__ import annotations

from typing import Any

from salerno.web.charts import answer_chart, to_svg


def attrition(*steps: dict[str, Any]) -> dict[str, Any]:
    return {
        "method": "attrition",
        "question": {},
        "result": {"steps": list(steps)},
        "disclosure": {"min_cell": 10},
    }


STEPS = (
    {"step": "All persons", "n_left": 2690, "n_dropped": 0},
    {"step": "Observed for a year", "n_left": 1500, "n_dropped": 1190},
    {"step": "No earlier bleeding", "n_left": None, "n_dropped": None},
)


def test_each_step_is_a_bar_of_those_who_are_left_and_dropped() -> None:
    chart = answer_chart(attrition(*STEPS))
    assert chart is not None
    bars = {(v["step"], v["part"]): v["persons"] for v in chart["data"]["values"]}
    assert bars["2. Observed for a year: 1,500 (−1,190)", "left"] == 1500
    assert bars["2. Observed for a year: 1,500 (−1,190)", "dropped"] == 1190
    assert bars["3. No earlier bleeding: hidden (drop hidden)", "left"] == 0
    assert "hidden to protect" in chart["title"]["subtitle"]
    assert "Observed for a year" in to_svg(chart)


def test_without_any_figure_there_is_no_picture() -> None:
    assert answer_chart(attrition({"step": "All", "n_left": None})) is None
    assert answer_chart(attrition()) is None
