"""Charts of regressions and predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from salerno.web.charts.parts import DASHES, PALETTE, WIDTH, Chart, Result, colour_by
from salerno.web.tables import confidence_percent, exp, ratio_words


def forest(result: Result, question: Result, answer: Mapping[str, Any]) -> Chart | None:
    """Coefficients, or ratios, with their limits."""
    ratio = ratio_words(question)
    rows: list[dict[str, Any]] = []
    for term in result.get("terms", []):
        values = [term.get("estimate"), term.get("conf_low"), term.get("conf_high")]
        if term["term"] == "(Intercept)" or any(v is None for v in values):
            continue
        shown = [exp(v) for v in values] if ratio else values
        if all(v is not None and abs(v) < 1e12 and (v > 1e-12 or not ratio) for v in shown):
            rows.append({"Term": str(term["term"]), "value": shown[0], "low": shown[1], "high": shown[2]})
    if not rows:
        return None
    neutral, percent = 1 if ratio else 0, confidence_percent(answer)
    title = f"{ratio} (logarithmic scale)" if ratio else "Change of the outcome per unit"
    # One factor of four decades of difference between terms would squeeze the others to points.
    scale: Chart = {"type": "log", "nice": False} if ratio else {"zero": True}
    if ratio:
        low = min([r["low"] for r in rows] + [0.8])
        high = max([r["high"] for r in rows] + [1.25])
        scale["domain"] = [low / 1.1, high * 1.1]
    x: Chart = {"field": "value", "type": "quantitative", "title": title, "scale": scale}
    y: Chart = {"field": "Term", "type": "nominal", "sort": None, "title": None, "axis": {"grid": True}}
    return {
        "title": {"text": f"{ratio or 'Coefficient'} by term, with {percent} % confidence interval",
                  "subtitle": str(question.get("formula", ""))},
        "height": {"step": 38}, "data": {"values": rows},
        "layer": [
            {"mark": {"type": "rule", "strokeDash": [5, 4], "color": "#526070"},
             "encoding": {"x": {"datum": neutral, "scale": scale, "type": "quantitative"}}},
            {"mark": {"type": "rule", "strokeWidth": 2.5, "color": PALETTE[0]},
             "encoding": {"x": {**x, "field": "low"}, "x2": {"field": "high"}, "y": y}},
            {"mark": {"type": "point", "filled": True, "size": 130, "opacity": 1, "color": PALETTE[0]},
             "encoding": {"x": x, "y": y}},
        ],
    }  # fmt: skip


def study_forest(result: Result, question: Result, answer: Mapping[str, Any]) -> Chart | None:
    """Each holder's own estimate of each term, with the pooled one below."""
    ratio = ratio_words(question)
    rows: list[dict[str, Any]] = []
    for term in result.get("terms", []):
        if term["term"] == "(Intercept)":
            continue
        own = [
            (str(entry["holder"]), row, "holder")
            for entry in result.get("holders", [])
            for row in entry["terms"]
            if row["term"] == term["term"]
        ]
        for name, row, kind in [*own, ("All, random effects", term, "pooled")]:
            values = [row.get("estimate"), row.get("conf_low"), row.get("conf_high")]
            shown = [exp(v) for v in values] if ratio else values
            if all(v is not None and abs(v) < 1e12 and (v > 1e-12 or not ratio) for v in shown):
                rows.append({"Term": str(term["term"]), "Holder": name, "kind": kind,
                             "value": shown[0], "low": shown[1], "high": shown[2]})  # fmt: skip
    if not rows:
        return None
    neutral, percent = 1 if ratio else 0, confidence_percent(answer)
    title = f"{ratio} (logarithmic scale)" if ratio else "Change of the outcome per unit"
    scale: Chart = {"type": "log", "nice": False} if ratio else {"zero": True}
    x: Chart = {"field": "value", "type": "quantitative", "title": title, "scale": scale}
    y: Chart = {"field": "Holder", "type": "nominal", "sort": None, "title": None, "axis": {"grid": True}}
    colour: Chart = {"field": "kind", "type": "nominal", "legend": None,
                     "scale": {"domain": ["holder", "pooled"], "range": PALETTE}}  # fmt: skip
    return {
        "title": {"text": f"{ratio or 'Coefficient'} by holder, with {percent} % confidence interval"},
        "data": {"values": rows},
        "facet": {"row": {"field": "Term", "type": "nominal", "sort": None, "title": None}},
        "resolve": {"scale": {"x": "independent", "y": "independent"}},
        "spec": {
            "height": {"step": 28},
            "layer": [
                {"mark": {"type": "rule", "strokeDash": [5, 4], "color": "#526070"},
                 "encoding": {"x": {"datum": neutral, "scale": scale, "type": "quantitative"}}},
                {"mark": {"type": "rule", "strokeWidth": 2.5},
                 "encoding": {"x": {**x, "field": "low"}, "x2": {"field": "high"}, "y": y, "color": colour}},
                {"mark": {"type": "point", "filled": True, "size": 110, "opacity": 1},
                 "encoding": {"x": x, "y": y, "color": colour}},
            ],
        },
    }  # fmt: skip


def components(result: Result, _question: Result, _answer: Mapping[str, Any]) -> Chart | None:
    """Share of variance of each principal component."""
    shares = result.get("explained") or []
    if not shares:
        return None
    y: Chart = {
        "field": "share",
        "type": "quantitative",
        "title": "Share of variance",
        "axis": {"format": "%"},
    }
    return {
        "title": {"text": "Share of variance by principal component"},
        "height": 240, "data": {"values": [{"component": i + 1, "share": s} for i, s in enumerate(shares)]},
        "mark": {"type": "bar", "color": PALETTE[0], "width": {"band": 0.7}},
        "encoding": {
            "x": {"field": "component", "type": "ordinal", "title": "Component", "axis": {"labelAngle": 0}},
            "y": y,
        },
    }  # fmt: skip


def clusters(result: Result, _question: Result, _answer: Mapping[str, Any]) -> Chart | None:
    """Where the centre of each cluster lies on each column."""
    rows = [
        {"Column": str(column), "cluster": f"{found['cluster']} (n = {found['n']:,})", "value": value}
        for found in result.get("clusters", [])
        if found.get("n") is not None
        for column, value in found["centre"].items()
        if value is not None
    ]
    if not rows:
        return None
    names = list(dict.fromkeys(row["cluster"] for row in rows))
    x: Chart = {"field": "value", "type": "quantitative", "title": None, "scale": {"zero": False}}
    y: Chart = {"field": "cluster", "type": "nominal", "sort": None, "title": None, "axis": {"grid": True}}
    return {
        "title": {"text": "Mean of each column by cluster"},
        "data": {"values": rows},
        "facet": {"row": {"field": "Column", "type": "nominal", "sort": None, "title": None}},
        "resolve": {"scale": {"x": "independent"}},
        "spec": {
            "width": 0.8 * WIDTH, "height": {"step": 30},
            "mark": {"type": "point", "filled": True, "size": 130, "opacity": 1},
            "encoding": {"x": x, "y": y, "color": {**colour_by("cluster", "Cluster", names), "legend": None}},
        },
    }  # fmt: skip


def training(result: Result, _question: Result, _answer: Mapping[str, Any]) -> Chart | None:
    """Metrics of a model that is trained, by round."""
    names = list(dict.fromkeys(name for entry in result.get("history", []) for name in entry))
    shown = [name for name in names if name != "round"]
    rows = [
        {"round": entry["round"], "Metric": name.replace("_", " "), "value": entry[name]}
        for name in shown
        for entry in result["history"]
        if name in entry
    ]
    if not rows:
        return None
    labels = [name.replace("_", " ") for name in shown]
    dashes = {"domain": labels, "range": DASHES}
    y: Chart = {"field": "value", "type": "quantitative", "title": "Mean over rows", "scale": {"zero": False}}
    return {
        "title": {"text": "Training by round"},
        "height": 280, "data": {"values": rows},
        "mark": {"type": "line", "point": True, "strokeWidth": 2.5},
        "encoding": {
            "x": {"field": "round", "type": "quantitative", "title": "Round", "axis": {"tickMinStep": 1}},
            "y": y,
            "color": colour_by("Metric", "Metric", labels),
            "strokeDash": {"field": "Metric", "type": "nominal", "scale": dashes},
        },
    }  # fmt: skip


def calibration(result: Result, question: Result, _answer: Mapping[str, Any]) -> Chart | None:
    """Observed against predicted shares, or the importance of columns."""
    groups = result.get("calibration") or []
    if len(groups) < 2:
        return None if "importance" not in result else _importance(result)
    axis: Chart = {"type": "quantitative", "axis": {"format": "%"}, "scale": {"domain": [0, 1]}}
    x: Chart = {**axis, "field": "predicted", "title": "Predicted share of events"}
    y: Chart = {**axis, "field": "observed", "title": "Observed share of events"}
    line = [{"predicted": 0, "observed": 0}, {"predicted": 1, "observed": 1}]
    return {
        "title": {"text": f"Calibration for {question.get('outcome', 'the outcome')}",
                  "subtitle": "Groups of about equal size; the broken line is perfect calibration"},
        "height": 420, "width": 420, "data": {"values": [dict(group) for group in groups]},
        "layer": [
            {"data": {"values": line}, "mark": {"type": "line", "strokeDash": [5, 4], "color": "#526070"},
             "encoding": {"x": x, "y": y}},
            {"mark": {"type": "line", "point": {"size": 110, "filled": True}, "color": PALETTE[0]},
             "encoding": {"x": x, "y": y}},
        ],
    }  # fmt: skip


def _importance(result: Result) -> Chart | None:
    values = [row for row in result.get("importance", []) if row["gain"] > 0]
    if not values:
        return None
    return {
        "title": {"text": "Share of each column in what the splits gained"},
        "height": {"step": 34}, "data": {"values": values},
        "mark": {"type": "bar", "color": PALETTE[0], "height": {"band": 0.7}},
        "encoding": {
            "y": {"field": "variable", "type": "nominal", "sort": None, "title": None},
            "x": {"field": "gain", "type": "quantitative", "title": "Share of the gain",
                  "axis": {"format": "%"}},
        },
    }  # fmt: skip
