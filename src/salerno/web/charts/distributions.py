"""Charts of counts and distributions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from salerno.web.charts.parts import PALETTE, Chart, Result, colour_by, flat, intervals, titled
from salerno.web.tables import matrix_of, value_text


def crosstab(result: Result, question: Result, answer: Mapping[str, Any]) -> Chart | None:
    """Bars by row, side by side for the columns."""
    rows, columns, counts = result.get("rows"), result.get("columns"), result.get("counts")
    if not (isinstance(rows, list) and isinstance(columns, list) and isinstance(counts, list)):
        return None
    values = [
        {"row": value_text(r), "column": value_text(c), "count": counts[i][j]}
        for i, r in enumerate(rows)
        for j, c in enumerate(columns)
        if counts[i][j] is not None
    ]
    if not values:
        return None
    names = [value_text(c) for c in columns]
    column = str(question.get("columns", "Column"))
    return {
        "title": titled(f"Persons by {question.get('rows', 'row')} and {column}", flat(counts), answer),
        "height": {"step": max(16, min(28, 90 // len(names)))}, "data": {"values": values},
        "mark": {"type": "bar"},
        "encoding": {
            "y": {"field": "row", "type": "nominal", "sort": None, "title": str(question.get("rows", "Row")),
                  "scale": {"paddingInner": 0.25}},
            "yOffset": {"field": "column", "sort": names},
            "x": {"field": "count", "type": "quantitative", "title": "Persons"},
            "color": colour_by("column", column, names),
        },
    }  # fmt: skip


def histogram(result: Result, question: Result, answer: Mapping[str, Any]) -> Chart | None:
    """Bars of a histogram."""
    edges, counts = result.get("edges"), result.get("counts")
    if not isinstance(edges, list) or not isinstance(counts, list) or len(edges) != len(counts) + 1:
        return None
    values = [
        {"from": edges[i], "to": edges[i + 1], "count": count}
        for i, count in enumerate(counts)
        if count is not None
    ]
    name = str(question.get("variable", "value"))
    x = {"field": "from", "type": "quantitative", "bin": {"binned": True}, "title": name}
    return {
        "title": titled(f"Distribution of {name}", counts, answer),
        "height": 300, "data": {"values": values},
        "mark": {"type": "bar", "color": PALETTE[0], "stroke": "white"},
        "encoding": {"x": x, "x2": {"field": "to"},
                     "y": {"field": "count", "type": "quantitative", "title": "Persons"}},
    }  # fmt: skip


def correlation(result: Result, _question: Result, _answer: Mapping[str, Any]) -> Chart | None:
    """A matrix of colours and figures."""
    found = matrix_of(result)
    if found is None:
        return None
    _, names, matrix = found
    values = [
        {"a": str(a), "b": str(b), "r": matrix[i][j]}
        for i, a in enumerate(names)
        for j, b in enumerate(names)
        if matrix[i][j] is not None
    ]
    x: Chart = {"field": "a", "type": "nominal", "sort": None, "title": None, "axis": {"labelAngle": -40}}
    y: Chart = {"field": "b", "type": "nominal", "sort": None, "title": None}
    fill = {"field": "r", "type": "quantitative", "title": "Correlation",
            "scale": {"domain": [-1, 0, 1], "range": ["#c8500a", "#ffffff", "#0b5cad"],
                      "interpolate": "rgb"}}  # fmt: skip
    text = {"condition": {"test": "abs(datum.r) > 0.6", "value": "white"}, "value": "#1b2330"}
    return {
        "title": {"text": "Correlation of each pair of variables"},
        "width": {"step": 72}, "height": {"step": 44}, "data": {"values": values},
        "layer": [
            {"mark": {"type": "rect", "stroke": "#cfd6e0"}, "encoding": {"x": x, "y": y, "color": fill}},
            {"mark": {"type": "text", "fontSize": 13},
             "encoding": {"x": x, "y": y, "color": text, "text": {"field": "r", "format": ".2f"}}},
        ],
    }  # fmt: skip


def quantiles(result: Result, question: Result, _answer: Mapping[str, Any]) -> Chart | None:
    """Quantiles as lines."""
    groups = result.get("groups") or [{**result, "levels": ["all"]}]
    values = [
        {"Group": ", ".join(map(value_text, group["levels"])), "p": p, "value": v}
        for group in groups
        for p, v in zip(group.get("probabilities", []), group.get("values", []), strict=False)
        if v is not None
    ]
    if not values:
        return None
    name = str(question.get("variable", "value"))
    names = list(dict.fromkeys(value["Group"] for value in values))
    colour = (
        colour_by("Group", str(question.get("by")), names) if "groups" in result else {"value": PALETTE[0]}
    )
    return {
        "title": {"text": f"Quantiles of {name}"},
        "height": 260, "data": {"values": values},
        "mark": {"type": "line", "point": {"size": 110, "filled": True}},
        "encoding": {
            "color": colour,
            "x": {"field": "value", "type": "quantitative", "title": name, "scale": {"zero": False}},
            "y": {"field": "p", "type": "quantitative", "title": "Share of persons at or below",
                  "axis": {"format": "%"}, "scale": {"domain": [0, 1]}},
            "order": {"field": "p"},
        },
    }  # fmt: skip


def count(result: Result, question: Result, answer: Mapping[str, Any]) -> Chart | None:
    """A bar for each level."""
    bars = bars_of(result)
    if len(bars) < 2:
        return None
    by = question.get("by")
    name = " and ".join(map(str, by)) if isinstance(by, list) else str(by or "group")
    title = f"Persons by {name}"
    return {
        "title": titled(title, [v for _, v in bars], answer),
        "height": {"step": 34},
        "data": {"values": [{"level": k, "count": v} for k, v in bars if v is not None]},
        "mark": {"type": "bar", "color": PALETTE[0], "height": {"band": 0.7}},
        "encoding": {
            "y": {"field": "level", "type": "nominal", "sort": None, "title": None},
            "x": {"field": "count", "type": "quantitative", "title": "Persons"},
        },
    }  # fmt: skip


def bars_of(result: Result) -> list[tuple[str, int | None]]:
    """Level and count of a result that counts by level, whichever of its lists says so."""
    for value in result.values():
        if isinstance(value, list) and value and all(isinstance(v, Mapping) and "n" in v for v in value):
            return [(_label(record), record["n"]) for record in value]
    levels, counts = result.get("levels"), result.get("counts")
    if isinstance(levels, list) and isinstance(counts, list) and len(levels) == len(counts):
        return [(value_text(level), count) for level, count in zip(levels, counts, strict=True)]
    return []


def _label(record: Mapping[str, Any]) -> str:
    if isinstance(record.get("levels"), list):
        return ", ".join(value_text(v) for v in record["levels"])
    named = [v for k, v in record.items() if isinstance(v, str) or k in ("level", "group")]
    return ", ".join(value_text(v) for v in named) or "all"


def means(result: Result, question: Result, _answer: Mapping[str, Any]) -> Chart | None:
    """Means of groups with their standard deviations."""
    listed = result.get("groups") or []
    groups = [g for g in listed if g.get("mean") is not None and g.get("sd") is not None]
    if len(groups) < 2:
        return None
    values = [
        {"level": _label(g), "mean": g["mean"], "low": g["mean"] - g["sd"], "high": g["mean"] + g["sd"]}
        for g in groups
    ]
    title = {"text": "Mean by group", "subtitle": "The line goes one standard deviation to each side"}
    return intervals(title, values, str(question.get("variable", "Mean")))
