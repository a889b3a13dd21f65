"""Charts of cohorts, rates and patterns of care on OMOP data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from salerno.web.charts.parts import PALETTE, WIDTH, Chart, Result, colour_by, titled
from salerno.web.tables import confidence_percent, value_text

_MOST_LEVELS = 40


def attrition(result: Result, _question: Result, answer: Mapping[str, Any]) -> Chart | None:
    """How many persons each step of a cohort leaves, and how many it drops, from top to bottom."""
    steps = [step for step in result.get("steps") or () if isinstance(step, Mapping)]
    values: list[dict[str, Any]] = []
    for number, step in enumerate(steps, 1):
        left, dropped = step.get("n_left"), step.get("n_dropped")
        words = f"{number}. {step.get('step', 'step')}: {'hidden' if left is None else f'{left:,}'}"
        if number > 1:
            words += " (drop hidden)" if dropped is None else f" (−{dropped:,})"
        values.append({"step": words, "part": "left", "persons": left or 0})
        values.append({"step": words, "part": "dropped", "persons": dropped or 0})
    if not any(value["persons"] for value in values):
        return None
    parts = {"domain": ["left", "dropped"], "range": [PALETTE[0], "#cfd6e0"]}
    return {
        "title": titled("Persons after each step", [step.get("n_left") for step in steps], answer),
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


def rates(result: Result, _question: Result, answer: Mapping[str, Any]) -> Chart | None:
    """Incidence rates by interval, a line for each stratum and a panel for each outcome."""
    title = f"New cases per 100,000 person-years, with {confidence_percent(answer)} % confidence interval"
    return _by_interval(result, answer, title, field="incidence_100000_pys", axis="Cases per 100,000 years")


def proportions(result: Result, _question: Result, answer: Mapping[str, Any]) -> Chart | None:
    """Prevalence by interval, a line for each stratum and a panel for each outcome."""
    when = "on the first day of" if result.get("kind") == "point" else "at any time in"
    title = f"Share of persons with the outcome, with {confidence_percent(answer)} % confidence interval"
    axis = f"Share, {when} the interval"
    return _by_interval(result, answer, title, field="prevalence", axis=axis, form=".1~%")


def _by_interval(
    result: Result, answer: Mapping[str, Any], title: str, *, field: str, axis: str, form: str = ","
) -> Chart | None:
    """Points with limits over time: a colour for each stratum, and a panel below another for each outcome."""
    estimates = [row for row in result.get("estimates") or () if isinstance(row, Mapping)]
    values = [
        {
            "Outcome": str(row["outcome"]),
            "Interval": str(row["interval"]),
            "Group": _stratum(row, estimates),
            "value": row[field],
            "low": row["conf_low"],
            "high": row["conf_high"],
        }
        for row in estimates
        if row.get(field) is not None
    ]
    if not values:
        return None
    names = list(dict.fromkeys(value["Group"] for value in values))
    order = list(dict.fromkeys(str(row["interval"]) for row in estimates))
    offset: Chart = {"field": "Group", "sort": names} if len(names) > 1 else {"value": 0}
    x: Chart = {
        "field": "Interval", "type": "ordinal", "sort": order, "title": None, "scale": {"domain": order},
        "axis": {"labelAngle": -45 if len(order) > 6 else 0},
    }  # fmt: skip
    y: Chart = {"type": "quantitative", "title": axis, "axis": {"format": form}, "scale": {"zero": True}}
    strokes = {"symbolType": "circle", "symbolOpacity": 1}
    colour = colour_by("Group", "Age and sex", names, strokes) if len(names) > 1 else {"value": PALETTE[0]}
    layer = [
        {"mark": {"type": "rule", "strokeWidth": 1.8},
         "encoding": {"x": x, "xOffset": offset, "y": {**y, "field": "low"}, "y2": {"field": "high"},
                      "color": colour}},
        {"mark": {"type": "point", "filled": True, "size": 42, "opacity": 1},
         "encoding": {"x": x, "xOffset": offset, "y": {**y, "field": "value"}, "color": colour}},
    ]  # fmt: skip
    panels = len({value["Outcome"] for value in values}) > 1
    shown = titled(title, [row.get(field) for row in estimates], answer)
    if not panels:
        named = {**shown, "text": f"{values[0]['Outcome']}: {title[0].lower()}{title[1:]}"}
        return {"title": named, "height": 320, "data": {"values": values}, "layer": layer}
    return {
        "title": shown, "data": {"values": values},
        "facet": {"row": {"field": "Outcome", "type": "nominal", "sort": None, "title": None}},
        "resolve": {"scale": {"y": "independent"}},
        "spec": {"height": 220, "width": WIDTH, "layer": layer},
    }  # fmt: skip


def _stratum(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    """What tells a row's stratum from the others: age group, sex, both or neither."""
    told = [
        str(row[name]) for name in ("age_group", "sex") if len({str(other.get(name)) for other in rows}) > 1
    ]
    return ", ".join(told) or "all"


def overlap(result: Result, _question: Result, answer: Mapping[str, Any]) -> Chart | None:
    """For each pair of cohorts, a bar of those in the first only, in both, in the second only."""
    pairs = [pair for pair in result.get("pairs") or () if isinstance(pair, Mapping)]
    parts = {"n_first_only": "first only", "n_both": "both", "n_second_only": "second only"}
    values = [
        {"pair": f"{pair['first']}, {pair['second']}", "part": part, "place": place, "persons": pair[name]}
        for pair in pairs
        for place, (name, part) in enumerate(parts.items())
        if pair.get(name) is not None
    ]
    if not values:
        return None
    return {
        "title": titled("Persons in two cohorts", [pair.get("n_both") for pair in pairs], answer),
        "height": {"step": 40}, "data": {"values": values},
        "mark": {"type": "bar", "height": {"band": 0.7}},
        "encoding": {
            "y": {"field": "pair", "type": "nominal", "sort": None, "title": None},
            "x": {"field": "persons", "type": "quantitative", "title": "Persons", "stack": "zero"},
            "order": {"field": "place"},
            "color": colour_by("part", "In", list(parts.values())),
        },
    }  # fmt: skip


def timing(result: Result, _question: Result, _answer: Mapping[str, Any]) -> Chart | None:
    """Histograms of the days from the first cohort of a pair to the second, a panel for each pair.

    Bins may be joined, and so of different widths: the height is persons in `width` days, so that areas
    are numbers of persons.
    """
    width = float(result.get("width") or 1)
    values = [
        {"pair": f"{row['first']} to {row['second']}", "from": row["lower"], "to": row["upper"],
         "persons": row["count"] * width / (row["upper"] - row["lower"])}
        for row in result.get("days") or ()
        if row["count"] is not None and row["upper"] > row["lower"]
    ]  # fmt: skip
    if not values:
        return None
    per = f"Persons in {value_text(result.get('width'))} days"
    layer = [
        {"mark": {"type": "bar", "color": PALETTE[0], "stroke": "white", "strokeWidth": 0.4},
         "encoding": {
             "x": {"field": "from", "type": "quantitative", "bin": {"binned": True}, "title": "Days",
                   "scale": {"nice": False}},
             "x2": {"field": "to"}, "y": {"field": "persons", "type": "quantitative", "title": per},
             "y2": {"datum": 0}}},
        {"mark": {"type": "rule", "strokeDash": [5, 4], "color": "#526070"}, "encoding": {"x": {"datum": 0}}},
    ]  # fmt: skip
    return {
        "title": {"text": "Days from the first entry into one cohort to that into the other",
                  "subtitle": "Neighbouring bins of few persons are joined"},
        "data": {"values": values},
        "facet": {"row": {"field": "pair", "type": "nominal", "sort": None, "title": None}},
        "resolve": {"scale": {"x": "independent", "y": "independent"}},
        "spec": {"height": 200, "width": WIDTH, "layer": layer},
    }  # fmt: skip


def paths(result: Result, _question: Result, _answer: Mapping[str, Any]) -> Chart | None:
    """Each path as a row of its lines of treatment, as thick as the share of persons, by group."""
    told = [row for row in result.get("paths") or () if row.get("n")]
    values = []
    begins: dict[str, float] = {}
    for row in told:
        group, lines = str(row["group"]), str(row["path"]).split(" > ")
        first = begins.get(group, 0.0)
        begins[group] = first + row["n"]
        values += [
            {"Group": group, "from": first, "to": begins[group], "line": place, "next": place + 1,
             "Treatment": line, "persons": row["n"]}
            for place, line in enumerate(lines, 1)
        ]  # fmt: skip
    if not values:
        return None
    names = list(dict.fromkeys(str(value["Treatment"]) for value in values))
    most = max(int(value["next"]) for value in values)
    marks = [place + 0.5 for place in range(1, most)]
    x: Chart = {
        "field": "line", "type": "quantitative", "title": "Line of treatment",
        "scale": {"domain": [1, most], "nice": False},
        "axis": {"values": marks, "labelExpr": "floor(datum.value)", "ticks": False, "grid": False},
    }  # fmt: skip
    y: Chart = {
        "field": "from", "type": "quantitative", "title": "Persons",
        "scale": {"reverse": True, "nice": False},
    }  # fmt: skip
    layer = [
        {"mark": {"type": "rect", "stroke": "white", "strokeWidth": 1.5},
         "encoding": {"x": x, "x2": {"field": "next"}, "y": y, "y2": {"field": "to"},
                      "color": colour_by("Treatment", "Treatment", names)}},
    ]  # fmt: skip
    return {
        "title": {"text": "Paths of treatment, the most frequent first",
                  "subtitle": "Each band is a path from left to right, as thick as it has persons"},
        "data": {"values": values},
        "facet": {"row": {"field": "Group", "type": "nominal", "sort": None, "title": None}},
        "resolve": {"scale": {"y": "independent"}},
        "spec": {"height": 320, "width": WIDTH, "layer": layer},
    }  # fmt: skip


def characteristics(result: Result, _question: Result, answer: Mapping[str, Any]) -> Chart | None:
    """Share of each level in each group, column by column."""
    told = [row for row in result.get("levels", []) if row["level"] != "missing"]
    values = [
        {"Column": str(row["variable"]), "level": value_text(row["level"]), "group": value_text(row["group"]),
         "percentage": row["percentage"]}
        for row in told
        if row.get("percentage") is not None
    ]  # fmt: skip
    if not values or len({(v["Column"], v["level"]) for v in values}) > _MOST_LEVELS:
        return None
    names = list(dict.fromkeys(v["group"] for v in values))
    legend: Chart | None = None if len(names) == 1 else {}
    return {
        "title": titled("Characteristics", [row.get("count") for row in told], answer),
        "data": {"values": values},
        "facet": {"row": {"field": "Column", "type": "nominal", "sort": None, "title": None}},
        "resolve": {"scale": {"y": "independent"}},
        "spec": {
            "width": 0.8 * WIDTH, "height": {"step": max(12, 30 // len(names))},
            "mark": {"type": "bar"},
            "encoding": {
                "y": {"field": "level", "type": "nominal", "sort": None, "title": None,
                      "scale": {"paddingInner": 0.25}},
                "yOffset": {"field": "group", "sort": names},
                "x": {"field": "percentage", "type": "quantitative", "title": "Share of the group in %",
                      "scale": {"domain": [0, 100]}},
                "color": {**colour_by("group", "Group", names), "legend": legend},
            },
        },
    }  # fmt: skip


def drug_use(result: Result, _question: Result, answer: Mapping[str, Any]) -> Chart | None:
    """Medians with the middle half and the middle nine tenths, a panel for each figure."""
    numbers = [row for row in result.get("numbers") or () if isinstance(row, Mapping)]
    values = [
        {"Figure": str(row["variable"]).replace("_", " "), "Group": str(row["group"]),
         **{name: row[name] for name in ("q05", "q25", "q50", "q75", "q95")}}
        for row in numbers
        if row.get("q50") is not None and row["q05"] < row["q95"]
    ]  # fmt: skip
    if not values:
        return None
    y: Chart = {"field": "Group", "type": "nominal", "sort": None, "title": None}
    x: Chart = {"type": "quantitative", "title": None, "scale": {"zero": True}}
    layer = [
        {"mark": {"type": "rule", "strokeWidth": 2, "color": PALETTE[0]},
         "encoding": {"y": y, "x": {**x, "field": "q05"}, "x2": {"field": "q95"}}},
        {"mark": {"type": "bar", "height": 16, "color": PALETTE[-2]},
         "encoding": {"y": y, "x": {**x, "field": "q25"}, "x2": {"field": "q75"}}},
        {"mark": {"type": "tick", "thickness": 3, "size": 22, "color": "#1b2330"},
         "encoding": {"y": y, "x": {**x, "field": "q50"}}},
    ]  # fmt: skip
    title = titled("Use of the drug", [row.get("q50") for row in numbers], answer)
    words = "Median, middle half (box) and middle nine tenths (line) of persons"
    return {
        "title": {**title, "subtitle": [words, *([title["subtitle"]] if "subtitle" in title else [])]},
        "data": {"values": values},
        "facet": {"row": {"field": "Figure", "type": "nominal", "sort": None, "title": None,
                          "header": {"labelAngle": 0, "labelAlign": "left"}}},
        "resolve": {"scale": {"x": "independent"}},
        "spec": {"height": {"step": 34}, "width": 480, "layer": layer},
    }  # fmt: skip
