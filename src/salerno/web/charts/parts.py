"""What the charts of all methods share: colours, titles, points with limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from salerno.web.tables import min_cell_of

Chart = dict[str, Any]
Result = Mapping[str, Any]
Maker = Callable[[Result, Result, Mapping[str, Any]], Chart | None]
"""A chart of a result, its question and its answer; None where a table shows it better."""

PALETTE = ["#0b5cad", "#c8500a", "#00805a", "#a8447f", "#7a5c00", "#3a3a3a", "#5b8fd1", "#e08a4f"]
"""Hues that people with any colour vision tell apart; all but the last two have 3:1 contrast on white."""

DASHES = [[1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [4, 2], [1, 3], [10, 4], [3, 1]]
WIDTH = 620

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
        "header": {"labelFontSize": 13, "labelColor": "#1b2330"},
        "title": {"fontSize": 16, "anchor": "start", "offset": 14, "color": "#1b2330",
                  "subtitleFontSize": 13, "subtitleColor": "#526070"},
        "range": {"category": PALETTE},
        "view": {"stroke": None},
    },
}  # fmt: skip


def intervals(title: Chart, values: Sequence[Mapping[str, Any]], axis: str) -> Chart:
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


def colour_by(field: str, title: str, names: Sequence[str], legend: Chart | None = None) -> Chart:
    """A colour for each name of a field."""
    scale = {"domain": list(names), "range": PALETTE}
    return {"field": field, "type": "nominal", "title": title, "scale": scale, "legend": legend or {}}


def titled(text: str, counts: Sequence[Any], answer: Mapping[str, Any]) -> Chart:
    """A title that says where figures are hidden."""
    if not any(count is None for count in counts):
        return {"text": text}
    return {
        "text": text,
        "subtitle": f"Without figures hidden to protect fewer than {min_cell_of(answer)} persons",
    }


def flat(rows: Sequence[Sequence[Any]]) -> list[Any]:
    """The values of all rows."""
    return [value for row in rows for value in row]
