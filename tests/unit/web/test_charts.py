"""Charts of trained models and of groups."""

from __future__ import annotations

from salerno.web.charts import answer_chart, to_svg


def test_quantiles_by_group_have_a_line_each() -> None:
    groups = [
        {
            "levels": ["F"],
            "n": 90,
            "probabilities": [0.5, 0.9],
            "values": [2.0, 8.0],
            "resolution": [0.1, 0.1],
        },
        {
            "levels": ["M"],
            "n": None,
            "probabilities": [0.5, 0.9],
            "values": [None] * 2,
            "resolution": [None] * 2,
        },
    ]
    question = {"method": "quantiles", "variable": "crp", "by": "sex"}
    chart = answer_chart(
        {"method": "quantiles", "question": question, "result": {"groups": groups, "by": ["sex"]}}
    )
    assert chart is not None
    assert [value["Group"] for value in chart["data"]["values"]] == ["F", "F"]
    assert chart["encoding"]["color"]["title"] == "sex"


def test_calibration_stands_beside_its_line() -> None:
    groups = [
        {"group": 1, "n": 50, "events": 5, "predicted": 0.1, "observed": 0.1},
        {"group": 2, "n": 50, "events": 30, "predicted": 0.5, "observed": 0.6},
    ]
    for method in ("evaluate", "boosting"):
        question = {"method": method, "outcome": "death"}
        chart = answer_chart({"method": method, "question": question, "result": {"calibration": groups}})
        assert chart is not None
        assert [value["observed"] for value in chart["data"]["values"]] == [0.1, 0.6]
        assert "<svg" in to_svg(chart)
    importance = [
        {"variable": "age", "gain": 0.7, "splits": 3},
        {"variable": "sex", "gain": 0.0, "splits": 0},
    ]
    bars = answer_chart({"method": "boosting", "question": {}, "result": {"importance": importance}})
    assert bars is not None
    assert [value["variable"] for value in bars["data"]["values"]] == ["age"]


def test_the_centres_of_clusters_stand_column_by_column() -> None:
    found = [
        {"cluster": 1, "n": 1200, "centre": {"age": 60.0, "bmi": 25.0}},
        {"cluster": 2, "n": None, "centre": {"age": None, "bmi": None}},
    ]
    chart = answer_chart({"method": "kmeans", "question": {}, "result": {"clusters": found}})
    assert chart is not None
    assert chart["data"]["values"] == [
        {"Column": "age", "cluster": "1 (n = 1,200)", "value": 60.0},
        {"Column": "bmi", "cluster": "1 (n = 1,200)", "value": 25.0},
    ]
    assert "<svg" in to_svg(chart)
