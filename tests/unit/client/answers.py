"""Answers of each shape that the contract knows, as a node sends them."""

from __future__ import annotations

from typing import Any


def answer(method: str, result: dict[str, Any], n: int = 228, **members: Any) -> dict[str, Any]:
    return {
        "method": method,
        "question": {"method": method, **members.pop("question", {})},
        "holders": ["Lyon", "Berlin", "Oulu"],
        "n": n,
        "n_missing": 1,
        "result": result,
        "disclosure": {"min_cell": 10, "notes": ["2 steps were merged."]},
        "rounds": 4,
        "seconds": 0.31,
        "provenance": {},
        **members,
    }


COX = answer(
    "cox",
    {
        "terms": [
            {
                "term": "age",
                "estimate": 0.0169897540295,
                "std_error": 0.00932878268633,
                "statistic": 1.8212,
                "p_value": 0.0686,
                "conf_low": -0.001294,
                "conf_high": 0.035274,
            },
            {
                "term": "sexM",
                "estimate": 0.556881065089,
                "std_error": 0.171620933287,
                "statistic": 3.24,
                "p_value": 0.0012,
                "conf_low": 0.2205,
                "conf_high": 0.8933,
            },
        ],
        "strata": ["holder"],
        "log_likelihood": -516.4,
        "n_events": 165,
    },
    question={"formula": "Surv(time, status) ~ age + sex", "ties": "efron"},
)

CURVES = answer(
    "kaplan_meier",
    {
        "strata": [
            {
                "stratum": "F",
                "time": [0, 30, 60],
                "survival": [1.0, 0.98, 0.91],
                "std_error": [0.0, 0.01, 0.02],
                "conf_low": [1.0, 0.95, 0.88],
                "conf_high": [1.0, 1.0, 0.95],
                "at_risk": [90, 88, None],
                "events": [0, 2, None],
            },
            {
                "stratum": "M",
                "time": [0, 30],
                "survival": [1.0, 0.9],
                "std_error": [0.0, 0.03],
                "conf_low": [1.0, 0.84],
                "conf_high": [1.0, 0.96],
                "at_risk": [138, 120],
                "events": [0, 14],
            },
        ]
    },
    question={"time": "time", "event": "status", "by": "sex"},
)

CROSSTAB = answer(
    "crosstab",
    {
        "rows": ["0", "1"],
        "columns": ["F", "M"],
        "counts": [[4671, 4562], [97, None]],
        "row_totals": [9233, 146],
        "column_totals": [4768, None],
        "total": 9379,
        "chi_square": 13.9,
        "df": 1,
        "p_value": 0.0002,
    },
    question={"rows": "DIS_DIAB", "columns": "GENDER"},
)

QUANTILES = answer(
    "quantiles",
    {"probabilities": [0.05, 0.5, 0.95], "values": [4.152, 5.816, 7.6478]},
    question={"variable": "LAB_TSC"},
)

HISTOGRAM = answer(
    "histogram", {"edges": [0.0, 10.0, 20.0], "counts": [15, None]}, question={"variable": "age"}
)

COUNT = answer(
    "count",
    {"n": 228, "by": ["sex"], "groups": [{"levels": ["F"], "n": 90}, {"levels": ["M"], "n": 138}]},
    question={"by": "sex"},
)

CORRELATION = answer(
    "correlation",
    {"variables": ["age", "time"], "correlation": [[1.0, 0.3], [0.3, 1.0]]},
    question={"variables": ["age", "time"]},
)

DESCRIBE = answer(
    "describe",
    {"variable": "age", "n": 228, "n_missing": 0, "mean": 62.4, "variance": 82.3, "sd": 9.07},
    question={"variable": "age"},
)

ALL = [COX, CURVES, CROSSTAB, QUANTILES, HISTOGRAM, COUNT, CORRELATION, DESCRIBE]
