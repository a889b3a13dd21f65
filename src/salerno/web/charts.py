"""Answers as charts: Vega-Lite as plain JSON, drawn to SVG on the server; a table always stands beside."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from salerno.web.tables import (
    confidence_percent,
    curve_name,
    exp,
    matrix_of,
    min_cell_of,
    ratio_words,
    value_text,
)

Chart = dict[str, Any]

PALETTE = ["#0b5cad", "#c8500a", "#00805a", "#a8447f", "#7a5c00", "#3a3a3a", "#5b8fd1", "#e08a4f"]
"""Hues that people with any colour vision tell apart; all but the last two have 3:1 contrast on white."""

DASHES = [[1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [4, 2], [1, 3], [10, 4], [3, 1]]
WIDTH = 620


def answer_chart(answer: Mapping[str, Any]) -> Chart | None:
    """A Vega-Lite chart of an answer; None for answers that a table shows better.

    Args:
        answer: The JSON of an answer.
    """
    make = MAKERS.get(str(answer.get("method")))
    chart = make(answer.get("result") or {}, answer.get("question") or {}, answer) if make else None
    if chart is None:
        return None
    return {**FRAME, **chart, **({"title": _synthetic(chart["title"])} if answer.get("synthetic") else {})}


def _synthetic(title: Any) -> Chart:
    """A title that says that the chart is of made-up rows."""
    titled = title if isinstance(title, dict) else {"text": title}
    return {**titled, "text": f"SYNTHETIC: {titled['text']}", "color": "#b01e1b"}


def to_svg(chart: Mapping[str, Any]) -> str:
    """Draw a Vega-Lite chart as SVG, without network."""
    import vl_convert  # takes most of a second to load, and few commands draw

    return str(vl_convert.vegalite_to_svg(json.dumps(chart)))


def describe_chart(answer: Mapping[str, Any]) -> str:
    """What a chart shows, in a sentence for people who do not see it."""
    chart = answer_chart(answer)
    if chart is None:
        return ""
    title = chart["title"]
    return f"{title['text'] if isinstance(title, dict) else title}. The table beside it has the same figures."


FRAME: Chart = {
    "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
    "background": "white",
    "width": WIDTH,
    "padding": 12,
    "config": {
        "font": "Arial, Helvetica, sans-serif",
        "axis": {"labelFontSize": 13, "titleFontSize": 13, "titlePadding": 10, "gridColor": "#e3e8ef",
                 "domainColor": "#6b7686", "tickColor": "#6b7686", "labelColor": "#1b2330",
                 "titleColor": "#1b2330", "titleFontWeight": "normal", "labelLimit": 260, "tickCount": 8,
                 "labelOverlap": True},
        "legend": {"labelFontSize": 13, "titleFontSize": 13, "orient": "top", "symbolSize": 160,
                   "symbolStrokeWidth": 3, "labelLimit": 280, "titleFontWeight": "normal"},
        "title": {"fontSize": 16, "anchor": "start", "offset": 14, "color": "#1b2330",
                  "subtitleFontSize": 13, "subtitleColor": "#526070"},
        "range": {"category": PALETTE},
        "view": {"stroke": None},
    },
}  # fmt: skip

Result = Mapping[str, Any]
Maker = Callable[[Result, Result, Mapping[str, Any]], Chart | None]


def _kaplan_meier(result: Result, question: Result, answer: Mapping[str, Any]) -> Chart | None:
    title = {
        "text": f"Share of persons without the event ({_event_name(question)}) over time",
        "subtitle": f"Kaplan-Meier estimate with {confidence_percent(answer)} % confidence band",
    }
    return _curves(result, question, title, field="survival", axis="Share without the event", first=1.0)


def _incidence(result: Result, question: Result, answer: Mapping[str, Any]) -> Chart | None:
    title = {
        "text": f"Share of persons with each event ({_event_name(question)}) over time",
        "subtitle": f"Aalen-Johansen estimate with {confidence_percent(answer)} % confidence band",
    }
    return _curves(result, question, title, field="incidence", axis="Share with the event", first=0.0)


def _cox(result: Result, question: Result, answer: Mapping[str, Any]) -> Chart | None:
    if not result.get("survival"):
        return _forest(result, question, answer)
    title = {
        "text": "Share of persons without the event, as the model has it",
        "subtitle": f"{question.get('formula', '')}, with {confidence_percent(answer)} % confidence band",
    }
    strata = {"strata": result["survival"]}
    return _curves(strata, question, title, field="survival", axis="Share without the event", first=1.0)


def _event_name(question: Result) -> str:
    event = question.get("event", "event")
    return str(event.get("column", "event") if isinstance(event, Mapping) else event)


def _curves(
    result: Result, question: Result, title: Chart, *, field: str, axis: str, first: float
) -> Chart | None:
    """Steps of a probability over time, one line for each stratum (and cause), from a first value at zero."""
    rows = []
    names = []
    for stratum in result.get("strata", []):
        name = curve_name(stratum)
        names.append(name)
        times, survival = stratum.get("time", []), stratum.get(field, [])
        lows = stratum.get("conf_low") or [None] * len(times)
        highs = stratum.get("conf_high") or [None] * len(times)
        points = list(zip(times, survival, lows, highs, strict=True))
        if points and points[0][0] > 0:
            points.insert(0, (0, first, first, first))
        for time, share, low, high in points:
            if share is not None:
                rows.append({"Group": name, "time": time, field: share, "low": low, "high": high})
    if not rows:
        return None
    many = len(names) > 1
    by = question.get("by")
    x = {"field": "time", "type": "quantitative", "title": f"Time ({question.get('time', 'time')})",
         "axis": {"grid": False}}  # fmt: skip
    y = {"field": field, "type": "quantitative", "title": axis,
         "scale": {"domain": [0, 1]}, "axis": {"format": "%"}}  # fmt: skip
    strokes = {"symbolType": "stroke", "symbolOpacity": 1, "symbolStrokeWidth": 3}
    colour: Chart = {"value": PALETTE[0]}
    if many:
        colour = _colour("Group", str(by) if isinstance(by, str) else "Group", names, strokes)
    line: Chart = {
        "mark": {"type": "line", "interpolate": "step-after", "strokeWidth": 2.5},
        "encoding": {"x": x, "y": y, "color": colour},
    }
    if many:
        # Lines differ in dashes too, for print and for people who do not tell the colours apart.
        line["encoding"]["strokeDash"] = {
            "field": "Group", "type": "nominal", "title": colour["title"],
            "scale": {"domain": names, "range": DASHES},
        }  # fmt: skip
    band: Chart = {
        "transform": [{"filter": "isValid(datum.low) && isValid(datum.high)"}],
        "mark": {"type": "area", "interpolate": "step-after", "opacity": 0.14},
        "encoding": {
            "x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"},
            "color": colour,
        },
    }  # fmt: skip
    return {"title": title, "height": 360, "data": {"values": rows}, "layer": [line, band]}


def _forest(result: Result, question: Result, answer: Mapping[str, Any]) -> Chart | None:
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


def _study_forest(result: Result, question: Result, answer: Mapping[str, Any]) -> Chart | None:
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


def _crosstab(result: Result, question: Result, answer: Mapping[str, Any]) -> Chart | None:
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
        "title": _title(f"Persons by {question.get('rows', 'row')} and {column}", _flat(counts), answer),
        "height": {"step": max(16, min(28, 90 // len(names)))}, "data": {"values": values},
        "mark": {"type": "bar"},
        "encoding": {
            "y": {"field": "row", "type": "nominal", "sort": None, "title": str(question.get("rows", "Row")),
                  "scale": {"paddingInner": 0.25}},
            "yOffset": {"field": "column", "sort": names},
            "x": {"field": "count", "type": "quantitative", "title": "Persons"},
            "color": _colour("column", column, names),
        },
    }  # fmt: skip


def _histogram(result: Result, question: Result, answer: Mapping[str, Any]) -> Chart | None:
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
        "title": _title(f"Distribution of {name}", counts, answer),
        "height": 300, "data": {"values": values},
        "mark": {"type": "bar", "color": PALETTE[0], "stroke": "white"},
        "encoding": {"x": x, "x2": {"field": "to"},
                     "y": {"field": "count", "type": "quantitative", "title": "Persons"}},
    }  # fmt: skip


def _correlation(result: Result, _question: Result, _answer: Mapping[str, Any]) -> Chart | None:
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


def _quantiles(result: Result, question: Result, _answer: Mapping[str, Any]) -> Chart | None:
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
    colour = _colour("Group", str(question.get("by")), names) if "groups" in result else {"value": PALETTE[0]}
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


def _count(result: Result, question: Result, answer: Mapping[str, Any]) -> Chart | None:
    bars = bars_of(result)
    if len(bars) < 2:
        return None
    by = question.get("by")
    name = " and ".join(map(str, by)) if isinstance(by, list) else str(by or "group")
    title = f"Persons by {name}"
    return {
        "title": _title(title, [v for _, v in bars], answer),
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


def _means(result: Result, question: Result, _answer: Mapping[str, Any]) -> Chart | None:
    listed = result.get("groups") or []
    groups = [g for g in listed if g.get("mean") is not None and g.get("sd") is not None]
    if len(groups) < 2:
        return None
    values = [
        {"level": _label(g), "mean": g["mean"], "low": g["mean"] - g["sd"], "high": g["mean"] + g["sd"]}
        for g in groups
    ]
    title = {"text": "Mean by group", "subtitle": "The line goes one standard deviation to each side"}
    return _intervals(title, values, str(question.get("variable", "Mean")))


def _intervals(title: Chart, values: Sequence[Mapping[str, Any]], axis: str) -> Chart:
    """A point and a line from ``low`` to ``high`` for each level."""
    y: Chart = {"field": "level", "type": "nominal", "sort": None, "title": None}
    x: Chart = {"type": "quantitative", "title": axis, "scale": {"zero": False}}
    return {
        "title": title,
        "height": {"step": 42}, "data": {"values": list(values)},
        "layer": [
            {"mark": {"type": "rule", "strokeWidth": 2.5, "color": PALETTE[0]},
             "encoding": {"y": y, "x": {**x, "field": "low"}, "x2": {"field": "high"}}},
            {"mark": {"type": "point", "filled": True, "size": 130, "opacity": 1, "color": PALETTE[0]},
             "encoding": {"y": y, "x": {**x, "field": "mean"}}},
        ],
    }  # fmt: skip


def _restricted_means(result: Result, _question: Result, answer: Mapping[str, Any]) -> Chart | None:
    groups = [s for s in result.get("strata", []) if s.get("mean") is not None]
    if len(groups) < 2:
        return None
    values = [
        {"level": s["stratum"], "mean": s["mean"], "low": s["conf_low"], "high": s["conf_high"]}
        for s in groups
    ]
    title = f"Mean time without the event up to {value_text(result.get('horizon'))}"
    subtitle = f"With {confidence_percent(answer)} % confidence interval"
    return _intervals({"text": title, "subtitle": subtitle}, values, "Mean time")


def _attrition(result: Result, _question: Result, answer: Mapping[str, Any]) -> Chart | None:
    """How many persons each step of a cohort leaves, and how many it drops, from top to bottom."""
    steps = [step for step in result.get("steps") or () if isinstance(step, Mapping)]
    values: list[dict[str, Any]] = []
    for number, step in enumerate(steps, 1):
        left, dropped = step.get("persons"), step.get("dropped")
        words = f"{number}. {step.get('step', 'step')}: {'hidden' if left is None else f'{left:,}'}"
        if number > 1:
            words += " (drop hidden)" if dropped is None else f" (−{dropped:,})"
        values.append({"step": words, "part": "left", "persons": left or 0})
        values.append({"step": words, "part": "dropped", "persons": dropped or 0})
    if not any(value["persons"] for value in values):
        return None
    parts = {"domain": ["left", "dropped"], "range": [PALETTE[0], "#cfd6e0"]}
    return {
        "title": _title("Persons after each step", [step.get("persons") for step in steps], answer),
        "height": {"step": 36}, "data": {"values": values},
        "mark": {"type": "bar", "height": {"band": 0.7}},
        "encoding": {
            "y": {"field": "step", "type": "nominal", "sort": None, "title": None,
                  "axis": {"labelLimit": 420}},
            "x": {"field": "persons", "type": "quantitative", "title": "Persons", "stack": "zero"},
            "order": {"field": "part", "sort": "descending"},
            "color": {"field": "part", "type": "nominal", "title": None, "scale": parts},
        },
    }  # fmt: skip


def _components(result: Result, _question: Result, _answer: Mapping[str, Any]) -> Chart | None:
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


def _calibration(result: Result, question: Result, _answer: Mapping[str, Any]) -> Chart | None:
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


def _colour(field: str, title: str, names: Sequence[str], legend: Chart | None = None) -> Chart:
    scale = {"domain": list(names), "range": PALETTE}
    return {"field": field, "type": "nominal", "title": title, "scale": scale, "legend": legend or {}}


def _title(text: str, counts: Sequence[Any], answer: Mapping[str, Any]) -> Chart:
    if not any(count is None for count in counts):
        return {"text": text}
    return {
        "text": text,
        "subtitle": f"Without figures hidden to protect fewer than {min_cell_of(answer)} persons",
    }


def _flat(rows: Sequence[Sequence[Any]]) -> list[Any]:
    return [value for row in rows for value in row]


MAKERS: dict[str, Maker] = {
    "kaplan_meier": _kaplan_meier,
    "competing_risks": _incidence,
    "restricted_mean": _restricted_means,
    "cox": _cox,
    "glm": _forest,
    "lmm": _forest,
    "meta": _study_forest,
    "count": _count,
    "attrition": _attrition,
    "crosstab": _crosstab,
    "histogram": _histogram,
    "correlation": _correlation,
    "quantiles": _quantiles,
    "describe": _means,
    "t_test": _means,
    "pca": _components,
    "boosting": _calibration,
    "evaluate": _calibration,
}
