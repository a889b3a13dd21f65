"""Answers as tables and charts, by the documented shape of each method's result."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from salerno.web.charts import answer_chart, describe_chart
from salerno.web.tables import answer_tables, number_text, p_text, range_text, ratio_words, value_text

THIN = "\N{NARROW NO-BREAK SPACE}"


def answer(method: str, result: dict[str, Any], **question: Any) -> dict[str, Any]:
    return {
        "method": method,
        "question": {"method": method, **question},
        "result": result,
        "disclosure": {"min_cell": 5},
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (7, "7"),
        (2694, "2694"),
        (26940, f"26{THIN}940"),
        (-12345678, f"-12{THIN}345{THIN}678"),
        (0.0, "0"),
        (0.05, "0.05"),
        (1.0, "1"),
        (0.123456, "0.1235"),
        (12.3456, "12.35"),
        (123.456, "123.5"),
        (1234.56, "1235"),
        (12345.6, f"12{THIN}346"),
        (0.00012345, "0.0001234"),
        (0.000012345, "1.234e-05"),
        (1e16, "1.000e+16"),
        (-0.98765, "-0.9877"),
        (math.inf, "∞"),
        (-math.inf, "-∞"),
        (math.nan, "–"),
        (True, "yes"),
        (False, "no"),
    ],
)
def test_numbers(value: float, text: str) -> None:
    assert number_text(value) == text


def test_small_texts() -> None:
    assert [p_text(p) for p in (0.0009, 0.001, 0.0432, 1.0, math.nan)] == [
        "<0.001",
        "0.001",
        "0.043",
        "1.000",
        "–",
    ]
    assert range_text(0.1, None) == "–"
    assert range_text(1.23456, math.inf) == "1.235 to ∞"
    assert value_text([1, "a", None]) == "1, a, –"


def test_cox_shows_hazard_ratios_and_the_tests_of_the_model() -> None:
    term = {
        "term": "sexM",
        "estimate": 0.7,
        "std_error": 0.1,
        "statistic": 6.93147,
        "p_value": 1e-9,
        "conf_low": 0.5,
        "conf_high": 0.9,
    }
    result = {
        "terms": [term],
        "ties": "efron",
        "n": 100,
        "n_events": None,
        "conf_level": 0.9,
        "wald": {"statistic": 48.04, "df": 1, "p_value": 1e-9},
    }
    first, tests, figures = answer_tables(answer("cox", result, formula="Surv(time, status) ~ sex"))
    assert first.columns == (
        "Term",
        "Hazard ratio",
        "90 % CI of the hazard ratio",
        "Estimate",
        "Standard error",
        "90 % CI",
        "Statistic",
        "p-value",
    )
    assert first.rows[0][:3] == ("sexM", "2.014", "1.649 to 2.460")
    assert first.rows[0][-1] == "<0.001"
    assert first.numeric == (False, *[True] * 7)
    assert tests.rows == (("Wald", "48.04", "1", "<0.001"),)
    # A hidden total may be large: it is never called small.
    assert ("Events", "hidden") in figures.rows
    assert figures.note.startswith("<5: fewer than 5 persons")


@pytest.mark.parametrize(
    ("question", "word"),
    [
        ({"method": "cox"}, "Hazard ratio"),
        ({"method": "glm", "family": "binomial"}, "Odds ratio"),
        ({"method": "glm", "family": "poisson"}, "Rate ratio"),
        ({"method": "glm", "family": "gaussian"}, ""),
        ({"method": "glm"}, ""),
    ],
)
def test_words_for_ratios(question: dict[str, str], word: str) -> None:
    assert ratio_words(question) == word


def test_terms_without_figures_and_too_large_ones_are_shown() -> None:
    terms = [
        {
            "term": "(Intercept)",
            "estimate": 800.0,
            "std_error": None,
            "statistic": None,
            "p_value": None,
            "conf_low": None,
            "conf_high": None,
        },
    ]
    made = answer("glm", {"terms": terms}, formula="y ~ 1", family="binomial")
    assert answer_tables(made)[0].rows == (("(Intercept)", "∞", "–", "800", "–", "–", "–", "–"),)
    assert answer_chart(made) is None


def test_survival_curves() -> None:
    stratum = {
        "stratum": "F",
        "n": 50,
        "n_events": 20,
        "median": 310.0,
        "time": [30, 60],
        "at_risk": [48, None],
        "events": [5, 0],
        "survival": [0.9, 0.87654],
        "std_error": [0.01, 0.02],
        "conf_low": [0.85, 0.8],
        "conf_high": [0.95, 0.93],
    }
    made = answer(
        "kaplan_meier", {"strata": [stratum], "grid": [30, 60], "resolution": 1}, by="sex", time="days"
    )
    summary, curve, figures = answer_tables(made)
    assert summary.rows == (("F", "50", "20", "310"),)
    assert curve.rows == (
        ("30", "48", "5", "0.9", "0.01", "0.85 to 0.95"),
        ("60", "<5", "0", "0.8765", "0.02", "0.8 to 0.93"),
    )
    assert curve.note
    assert not summary.note
    assert [row[0] for row in figures.rows] == ["Resolution"]
    chart = answer_chart(made)
    assert chart is not None
    drawn = chart["data"]["values"]
    assert drawn[0] == {"Group": "F", "time": 0, "survival": 1.0, "low": 1.0, "high": 1.0}
    assert len(drawn) == 3
    assert "days" in json.dumps(chart)
    assert describe_chart(made).startswith("Share of persons without the event")


def test_cumulative_incidence_of_each_cause() -> None:
    def record(group: str, cause: str, share: float) -> dict[str, object]:
        curve = {
            "time": [30],
            "incidence": [share],
            "std_error": [0.01],
            "conf_low": [0.1],
            "conf_high": [0.3],
        }
        return {
            "stratum": group,
            "cause": cause,
            "n": 50,
            "n_events": 20,
            **curve,
            "at_risk": [40],
            "events": [10],
        }

    strata = [record("F", "relapse", 0.2), record("F", "death", 0.25)]
    made = answer("competing_risks", {"strata": strata}, time="days", event="status")
    summary, relapse, death = answer_tables(made)
    assert summary.title == "Cumulative incidence by group"
    assert summary.rows == (("F", "relapse", "50", "20"), ("F", "death", "50", "20"))
    assert (relapse.title, death.title) == (
        "Cumulative incidence: F, relapse",
        "Cumulative incidence: F, death",
    )
    assert relapse.rows == (("30", "40", "10", "0.2", "0.01", "0.1 to 0.3"),)
    chart = answer_chart(made)
    assert chart is not None
    assert [(row["Group"], row["time"], row["incidence"]) for row in chart["data"]["values"]] == [
        ("F, relapse", 0, 0.0),
        ("F, relapse", 30, 0.2),
        ("F, death", 0, 0.0),
        ("F, death", 30, 0.25),
    ]


def test_a_cox_model_with_its_check_and_curves() -> None:
    term = {"term": "age", "estimate": 0.1, "std_error": 0.05, "conf_low": 0.0, "conf_high": 0.2}
    curve = {"time": [30], "survival": [0.9], "std_error": [0.02], "conf_low": [0.85], "conf_high": [0.95]}
    survival = [{"stratum": "Finland", "at": {"age": 50, "sex": "F"}, "cumulative_hazard": [0.1], **curve}]
    check = {"transform": "log", "tests": [{"term": "GLOBAL", "statistic": 1.2, "df": 1, "p_value": 0.27}]}
    result = {"terms": [term | {"statistic": 2.0, "p_value": 0.05}], "survival": survival}
    made = answer("cox", result | {"proportional_hazards": check}, formula="Surv(time, status) ~ age")
    terms, tests, told = answer_tables(made)
    assert terms.title == "Cox regression: Surv(time, status) ~ age"
    assert tests.rows == (("GLOBAL", "1.2", "1", "0.270"),)
    assert told.title == "Survival: Finland, age = 50, sex = F"
    assert told.rows == (("30", "0.9", "0.02", "0.85 to 0.95"),)
    chart = answer_chart(made)
    assert chart is not None
    assert chart["data"]["values"][1]["Group"] == "Finland, age = 50, sex = F"


def test_restricted_means_and_their_comparison() -> None:
    strata = [
        {
            "stratum": "a",
            "n": 90,
            "mean": 200.0,
            "std_error": 9.0,
            "conf_low": 182.0,
            "conf_high": 218.0,
            "lost": 165.0,
        },
        {"stratum": "b", **dict.fromkeys(("n", "mean", "std_error", "conf_low", "conf_high", "lost"))},
        {
            "stratum": "c",
            "n": 80,
            "mean": 220.0,
            "std_error": 9.0,
            "conf_low": 202.0,
            "conf_high": 238.0,
            "lost": 145.0,
        },
    ]
    contrast = {"stratum": "c", "reference": "a", "difference": 20.0, "conf_low": -5.0, "conf_high": 45.0}
    contrast |= {"p_value": 0.12, "ratio": 1.1, "ratio_low": 0.98, "ratio_high": 1.2, "ratio_p_value": 0.11}
    made = answer("restricted_mean", {"strata": strata, "contrasts": [contrast], "horizon": 365.0})
    means, difference, ratio, _ = answer_tables(made)
    assert means.title == "Mean time without the event up to 365"
    assert means.rows[0] == ("a", "90", "200", "9", "182 to 218", "165")
    assert means.rows[1][1] == "<5"
    assert difference.rows == (("c against a", "20", "-5 to 45", "0.120"),)
    assert ratio.rows == (("c against a", "1.1", "0.98 to 1.2", "0.110"),)
    chart = answer_chart(made)
    assert chart is not None
    assert [row["level"] for row in chart["data"]["values"]] == ["a", "c"]


def test_cross_table_with_hidden_cells_and_totals() -> None:
    result = {
        "row_variable": "sex",
        "column_variable": "arm",
        "rows": ["F", "M"],
        "columns": ["a", "b"],
        "counts": [[10, None], [20, 30]],
        "row_totals": [None, 50],
        "column_totals": [30, None],
        "n": 70,
        "chi_square": None,
        "df": 1,
        "p_value": None,
    }
    made = answer("crosstab", result, rows="sex", columns="arm")
    table, figures = answer_tables(made)
    assert table.columns == ("sex by arm", "a", "b", "All")
    assert table.rows == (("F", "10", "<5", "hidden"), ("M", "20", "30", "50"), ("All", "30", "hidden", "70"))
    assert ("p-value", "–") in figures.rows
    chart = answer_chart(made)
    assert chart is not None
    assert len(chart["data"]["values"]) == 3
    assert "protect fewer than 5 persons" in chart["title"]["subtitle"]


def test_histogram_keeps_its_outer_bins_open() -> None:
    result = {"variable": "age", "edges": [0, 10, 20, 30], "counts": [7, None, 9], "below": 0, "above": None}
    bars = answer_tables(answer("histogram", result, variable="age", bins=3))[0]
    assert bars.rows == (("below 10", "7"), ("10 to 20", "<5"), ("20 or more", "9"))
    given = answer("histogram", result, variable="age", bins=[0, 10, 20, 30])
    assert answer_tables(given)[0].rows[0] == ("0 to 10", "7")
    chart = answer_chart(given)
    assert chart is not None
    assert len(chart["data"]["values"]) == 2


def test_correlation_and_components() -> None:
    matrix = [[1, 0.25], [0.25, 1]]
    result = {
        "variables": ["a", "b"],
        "matrix": matrix,
        "covariance": [[2, 1], [1, 3]],
        "means": [1.5, 2],
        "n": 9,
    }
    made = answer("correlation", result, variables=["a", "b"])
    titles = {t.title: t for t in answer_tables(made)}
    assert set(titles) == {"Correlation", "Variables", "Covariance", "Figures"}
    assert titles["Correlation"].rows == (("a", "1", "0.25"), ("b", "0.25", "1"))
    assert titles["Variables"].rows == (("a", "1.5"), ("b", "2"))
    assert answer_chart(made) is not None
    parts = {
        "variables": ["a", "b"],
        "eigenvalues": [1.25, 0.75],
        "explained": [0.625, 0.375],
        "loadings": [[0.7, 0.7], [0.7, -0.7]],
        "means": [0, 0],
        "sds": [1, 1],
        "n": 9,
    }
    made = answer("pca", parts, variables=["a", "b"])
    titles = {t.title: t for t in answer_tables(made)}
    assert titles["Principal components"].rows[0] == ("1", "1.25", "0.6250")
    assert titles["Loadings"].columns == ("Variable", "Component 1", "Component 2")
    assert answer_chart(made) is not None


def test_counts_descriptions_quantiles_and_tests() -> None:
    groups = [{"levels": ["F", "Lyon"], "n": 12}, {"levels": ["M", "Lyon"], "n": None}]
    made = answer("count", {"n": 20, "by": ["sex", "holder"], "groups": groups}, by=["sex", "holder"])
    assert answer_tables(made)[0].rows == (("F", "Lyon", "12"), ("M", "Lyon", "<5"))
    chart = answer_chart(made)
    assert chart is not None
    assert chart["data"]["values"] == [{"level": "F, Lyon", "count": 12}]
    assert answer_chart(answer("count", {"n": 20})) is None
    assert answer_tables(answer("count", {"n": 20}))[0].rows == (("Persons", "20"),)

    flat = {"variable": "age", "n": 9, "n_missing": 1, "mean": 50.5, "variance": 4.0, "sd": 2.0}
    table = answer_tables(answer("describe", flat, variable="age"))
    assert [t.title for t in table] == ["Description of age"]
    assert table[0].rows[0][0] == "age"
    by = {"variable": "age", "by": ["sex"], "groups": [{"levels": ["F"], **flat}, {"levels": ["M"], **flat}]}
    several = answer_tables(answer("describe", {"variables": [by, by]}, variables=["age", "age"]))[0]
    assert len(several.rows) == 4
    assert several.columns[:2] == ("Variable", "Sex")
    chart = answer_chart(answer("describe", by, variable="age", by="sex"))
    assert chart is not None
    assert [v["level"] for v in chart["data"]["values"]] == ["F", "M"]

    result = {"variable": "age", "probabilities": [0.5], "values": [51.2345], "resolution": 0.5, "n": 20}
    made = answer("quantiles", result, variable="age")
    assert answer_tables(made)[0].rows == (("0.5", "51.23"),)
    assert answer_chart(made) is not None

    strata = [{"stratum": "F", "n": 9, "observed": 5, "expected": 6.1234}]
    rank = answer_tables(answer("log_rank", {"chi_square": 1.5, "df": 1, "p_value": 0.2, "strata": strata}))
    assert rank[0].rows == (("F", "9", "5", "6.123"),)
    means = {"estimate": 1.0, "groups": [{"level": "F", "n": 9, "mean": 1.0, "sd": 2.0}], "p_value": 0.5}
    assert answer_tables(answer("t_test", means, variable="age"))[0].title == "Mean of age"
    assert answer_chart(answer("t_test", means, variable="age")) is None


def test_unknown_methods_lose_no_figure() -> None:
    result = {
        "single": 1.23456,
        "nothing": None,
        "records": [{"name": "a", "n": None}, {"name": "b", "n": 7, "extra": 1}],
        "matrix": [[1, 2], [3, 4]],
        "left": [1, 2, 3],
        "right": ["x", "y", "z"],
        "nested": {"p_value": 0.0001, "n": 8},
        "levels": {"F": {"n": 5}, "M": {"n": 6}},
        "deep": {"inner": {"value": 3}, "list": [9, 8]},
        "empty": [],
    }
    tables = answer_tables(answer("something_new", result))
    shown = {cell for table in tables for row in table.rows for cell in row}
    assert {
        "1.235",
        "–",
        "a",
        "<5",
        "7",
        "1",
        "2",
        "3",
        "4",
        "x",
        "y",
        "z",
        "<0.001",
        "8",
        "F",
        "6",
        "9",
    } <= shown
    assert len({table.title for table in tables}) == len(tables)
    for table in tables:
        assert len(table.numeric) == len(table.columns)
        assert all(len(row) == len(table.columns) for row in table.rows)
    assert answer_chart(answer("something_new", result)) is None
    assert describe_chart(answer("something_new", result)) == ""
