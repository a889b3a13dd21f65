"""An answer in the long format of DARWIN EU's packages: one row per estimate.

Source: class ``summarised_result`` of the omopgenerics package: thirteen columns, all but
``result_id`` texts; ``overall`` where a column does not apply; several names in one cell are joined.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import salerno
from salerno.client.darwin import LAYOUTS, Layout, told
from salerno.client.frames import Grid, answer_grids

COLUMNS = (
    "result_id",
    "cdm_name",
    "group_name",
    "group_level",
    "strata_name",
    "strata_level",
    "variable_name",
    "variable_level",
    "estimate_name",
    "estimate_type",
    "estimate_value",
    "additional_name",
    "additional_level",
)

SUPPRESSED = "-"
"""What the format writes for a suppressed estimate."""

_JOIN = " &&& "
_OVERALL = "overall"
_ABSENT = "NA"
_SUBJECT = ("term", "variable", "name")
_GROUP = ("outcome", "first", "second")
_ADDITIONAL = ("time", "probabilities", "lower", "upper", "interval", "start_date", "end_date", "window")
_COUNTS = (
    "count", "n", "n_missing", "events", "at_risk", "n_events", "denominator_count", "outcome_count",
    "person_days",
)  # fmt: skip


def summarised_rows(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of the long format.

    Args:
        answer: The answer's JSON.

    Returns:
        One mapping per estimate, with the keys of `COLUMNS` in their order.
    """
    method = str(answer["method"])
    holders = " & ".join(str(holder) for holder in answer["holders"])
    layout = LAYOUTS.get(method)
    if layout is None:
        figures = [row for grid in answer_grids(answer) for row in _of_grid(grid, method)]
    else:
        figures = list(_of_layout(layout, answer["result"]))
    records = _estimate(answer["n"], "count", variable_name="Number records")
    rows = [records, *figures, *_settings(answer, layout)]
    return [{**row, "result_id": 1, "cdm_name": holders} for row in rows]


def _settings(answer: Mapping[str, Any], layout: Layout | None) -> Iterator[dict[str, Any]]:
    """What the format says of a whole result, as rows: how omopgenerics writes settings into a file."""
    result = answer["result"]
    known = {
        "result_type": layout.result_type if layout else f"salerno_{answer['method']}",
        "package_name": "salerno",
        "package_version": salerno.__version__,
        "min_cell_count": (answer.get("disclosure") or {}).get("min_cell"),
    }
    if layout:
        known |= {k: v for k, v in result.items() if isinstance(v, str | int | float)}
    for name, value in known.items():
        if value is not None:
            yield _estimate(value, name, variable_name="settings")


def _of_layout(layout: Layout, result: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for found in told(layout, result):
        about = {"variable_name": found.figure.variable, "variable_level": found.figure.level}
        for prefix, named in found.parts.items():
            if named:
                about[f"{prefix}_name"] = _JOIN.join(named)
                about[f"{prefix}_level"] = _JOIN.join(named.values())
        yield _estimate(found.value, found.figure.estimate, **about)


def _of_grid(grid: Grid, method: str) -> Iterator[dict[str, Any]]:
    if grid.columns == ("figure", "value"):
        figures = dict(grid.rows)
        subject = str(figures.pop("variable", method))
        for name, value in figures.items():
            yield _estimate(value, str(name), variable_name=subject)
        return
    for row in grid.rows:
        record = dict(zip(grid.columns, row, strict=True))
        about = _about(record, grid, method)
        for name in grid.columns:
            if name in grid.keys:
                continue
            if grid.across:
                yield _estimate(record[name], grid.title, **{**about, **_across(grid, name)})
            else:
                yield _estimate(record[name], name, **about)


def _about(record: Mapping[str, Any], grid: Grid, method: str) -> dict[str, str]:
    """What the figures of a row are about, told by its key columns."""
    about = {"variable_name": next((_text(record[k]) for k in grid.keys if k in _SUBJECT), method)}
    if "level" in grid.keys:
        about["variable_level"] = _text(record["level"])
    strata = [k for k in grid.keys if k not in (*_SUBJECT, *_GROUP, *_ADDITIONAL, "level")]
    if grid.across and strata:
        return about | {"variable_name": strata[0], "variable_level": _text(record[strata[0]])}
    groups = [k for k in grid.keys if k in _GROUP]
    additional = [k for k in grid.keys if k in _ADDITIONAL]
    for names, prefix in ((groups, "group"), (strata, "strata"), (additional, "additional")):
        if names:
            about[f"{prefix}_name"] = _JOIN.join(names)
            about[f"{prefix}_level"] = _JOIN.join(_text(record[name]) for name in names)
    return about


def _across(grid: Grid, column: str) -> dict[str, str]:
    if grid.across in grid.keys:  # a matrix of a thing with itself, e.g. of correlations
        return {"additional_name": grid.across, "additional_level": column}
    return {"strata_name": grid.across, "strata_level": column}


def _estimate(value: Any, name: str, **about: str) -> dict[str, Any]:
    row = {
        "result_id": 1,
        "cdm_name": "",
        "group_name": _OVERALL,
        "group_level": _OVERALL,
        "strata_name": _OVERALL,
        "strata_level": _OVERALL,
        "variable_name": _OVERALL,
        "variable_level": _ABSENT,
        "estimate_name": name,
        "estimate_type": _type_of(value, name),
        "estimate_value": SUPPRESSED if value is None else _text(value),
        "additional_name": _OVERALL,
        "additional_level": _OVERALL,
    }
    return {**row, **about}


def _type_of(value: Any, name: str) -> str:
    if isinstance(value, bool):
        return "logical"
    if isinstance(value, int) or (value is None and name in _COUNTS):
        return "integer"
    return "numeric" if value is None or isinstance(value, float) else "character"


def _text(value: Any) -> str:
    if value is None:
        return _ABSENT
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    return repr(value) if isinstance(value, float) else str(value)
