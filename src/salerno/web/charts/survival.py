"""Charts of survival."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from salerno.web.charts.models import forest
from salerno.web.charts.parts import DASHES, PALETTE, Chart, Result, colour_by, intervals
from salerno.web.tables import confidence_percent, curve_name, value_text


def kaplan_meier(result: Result, question: Result, answer: Mapping[str, Any]) -> Chart | None:
    """Survival curves."""
    title = {
        "text": f"Share of persons without the event ({_event_name(question)}) over time",
        "subtitle": f"Kaplan-Meier estimate with {confidence_percent(answer)} % confidence band",
    }
    return _curves(result, question, title, field="survival", axis="Share without the event", first=1.0)


def cumulative_incidence(result: Result, question: Result, answer: Mapping[str, Any]) -> Chart | None:
    """Curves of cumulative incidence."""
    title = {
        "text": f"Share of persons with each event ({_event_name(question)}) over time",
        "subtitle": f"Aalen-Johansen estimate with {confidence_percent(answer)} % confidence band",
    }
    return _curves(result, question, title, field="incidence", axis="Share with the event", first=0.0)


def cox(result: Result, question: Result, answer: Mapping[str, Any]) -> Chart | None:
    """Survival curves of a Cox model where it has any, else its hazard ratios."""
    if not result.get("survival"):
        return forest(result, question, answer)
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
        colour = colour_by("Group", str(by) if isinstance(by, str) else "Group", names, strokes)
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


def restricted_means(result: Result, _question: Result, answer: Mapping[str, Any]) -> Chart | None:
    """Restricted mean times of groups with their limits."""
    groups = [s for s in result.get("strata", []) if s.get("mean") is not None]
    if len(groups) < 2:
        return None
    values = [
        {"level": s["stratum"], "mean": s["mean"], "low": s["conf_low"], "high": s["conf_high"]}
        for s in groups
    ]
    title = f"Mean time without the event up to {value_text(result.get('horizon'))}"
    subtitle = f"With {confidence_percent(answer)} % confidence interval"
    return intervals({"text": title, "subtitle": subtitle}, values, "Mean time")
