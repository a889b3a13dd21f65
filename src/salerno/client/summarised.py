"""An answer in the long format of DARWIN EU's packages: one row per estimate.

Source: class ``summarised_result`` of the omopgenerics package, version 1; thirteen columns, all
but ``result_id`` texts, and ``overall`` where a column does not apply.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

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

_OVERALL = "overall"
_ABSENT = "NA"

_NAMES = ("term", "variable", "stratum", "group", "level", "name", "row", "column")
"""Members of a record that say what its estimates are about, rather than being estimates."""


def summarised_rows(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of the long format.

    Args:
        answer: The answer's JSON.

    Returns:
        One mapping per estimate with the keys of `COLUMNS`.
    """
    first = {"variable_name": "number of records", "estimate_name": "count", "estimate_value": answer["n"]}
    rows = [first, *_estimates(answer["result"], {})]
    name = " & ".join(str(holder) for holder in answer["holders"])
    return [_row(row, str(answer["method"]), name) for row in rows]


def _row(given: Mapping[str, Any], method: str, cdm_name: str) -> dict[str, Any]:
    value = given["estimate_value"]
    row = {
        "result_id": 1,
        "cdm_name": cdm_name,
        "group_name": _OVERALL,
        "group_level": _OVERALL,
        "strata_name": _OVERALL,
        "strata_level": _OVERALL,
        "variable_name": method,
        "variable_level": _ABSENT,
        "estimate_type": _type_of(value, given["estimate_name"]),
        "additional_name": _OVERALL,
        "additional_level": _OVERALL,
        **given,
        "estimate_value": SUPPRESSED if value is None else _text(value),
    }
    return {column: row[column] for column in COLUMNS}


def _estimates(result: Any, about: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Walk the result's JSON: records, curves (parallel lists) and matrices become rows."""
    if not isinstance(result, Mapping):
        return
    about = {**about, **_subject(result)}
    yield from _matrix(result, about)
    lists = {k: v for k, v in result.items() if _is_numbers(v)}
    along = next((k for k in ("time", "probabilities", "breaks", "lower") if k in lists), None)
    for name, value in result.items():
        if name in _NAMES or name in ("rows", "columns", "counts", along):
            continue
        if isinstance(value, Mapping):
            yield from _estimates(value, {"variable_name": name, **about} if _is_flat(value) else about)
        elif name in lists:
            keys = lists[along] if along else range(len(value))
            for key, number in zip(keys, value, strict=False):
                yield {
                    **about,
                    "estimate_name": name,
                    "estimate_value": number,
                    "additional_name": along or "index",
                    "additional_level": _text(key),
                }
        elif isinstance(value, Sequence) and not isinstance(value, str):
            for part in value:
                yield from _estimates(part, about)
        elif not isinstance(value, str) or not about:
            yield {**about, "estimate_name": name, "estimate_value": value}


def _matrix(result: Mapping[str, Any], about: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """A table of counts with named rows and columns."""
    counts, rows, columns = result.get("counts"), result.get("rows"), result.get("columns")
    if not (isinstance(counts, Sequence) and isinstance(rows, Sequence) and isinstance(columns, Sequence)):
        return
    for row, line in zip(rows, counts, strict=False):
        for column, count in zip(columns, line, strict=False):
            yield {
                **about,
                "variable_level": _text(row),
                "strata_name": "column",
                "strata_level": _text(column),
                "estimate_name": "count",
                "estimate_value": count,
            }


def _subject(record: Mapping[str, Any]) -> dict[str, str]:
    for name in ("term", "variable", "name"):
        if isinstance(record.get(name), str):
            return {"variable_name": record[name]} | _level(record)
    for name in ("stratum", "group"):
        if isinstance(record.get(name), str):
            return {"strata_name": name, "strata_level": record[name]}
    return _level(record)


def _level(record: Mapping[str, Any]) -> dict[str, str]:
    level = record.get("level")
    return {"variable_level": _text(level)} if isinstance(level, str | int | float) else {}


def _is_numbers(value: Any) -> bool:
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and bool(value)
        and all(v is None or isinstance(v, int | float) for v in value)
    )


def _is_flat(value: Mapping[str, Any]) -> bool:
    return all(v is None or isinstance(v, str | int | float) for v in value.values())


def _type_of(value: Any, name: str) -> str:
    if isinstance(value, bool):
        return "logical"
    if isinstance(value, int) or (value is None and name in ("count", "n", "events", "at_risk")):
        return "integer"
    return "numeric" if value is None or isinstance(value, float) else "character"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    return repr(value) if isinstance(value, float) else str(value)
