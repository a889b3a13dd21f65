"""An answer's figures as plain columns and rows at full precision, the main table first.

Tables for people, with rounded texts, are `salerno.web.tables`; these are for computing on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Result = Mapping[str, Any]


@dataclass(frozen=True)
class Grid:
    """A table of values; None is a suppressed or absent figure."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


def answer_grids(answer: Mapping[str, Any]) -> list[Grid]:
    """All tables of an answer; every figure of its result is in one of them.

    Args:
        answer: The answer's JSON; unknown methods are shown too, by the shape of their result.
    """
    result = dict(answer["result"])
    question = answer.get("question") or {}
    make = _MAKERS.get(str(answer["method"]))
    grids = make(result, question) if make else []
    return [grid for grid in [*grids, *_rest(result, str(answer["method"]))] if grid.rows]


def _survival(result: dict[str, Any], question: Result) -> list[Grid]:
    rows: list[tuple[Any, ...]] = []
    names: list[str] = []
    single: list[Result] = []
    for stratum in result.pop("strata", []):
        lists = [name for name, value in stratum.items() if isinstance(value, list)]
        names = names or lists
        single.append({name: value for name, value in stratum.items() if name not in lists})
        steps = zip(*(stratum[name] for name in lists), strict=True)
        rows += [(stratum.get("stratum"), *step) for step in steps]
    curves = Grid("survival", ("stratum", *names), tuple(rows))
    return [curves, *([_records("strata", single)] if any(len(s) > 1 for s in single) else [])]


def _crosstab(result: dict[str, Any], question: Result) -> list[Grid]:
    if not isinstance(result.get("counts"), list):
        return []
    rows, columns, counts = result.pop("rows"), result.pop("columns"), result.pop("counts")
    head = (str(question.get("rows", "row")), *(str(c) for c in columns))
    lines = [(row, *line) for row, line in zip(rows, counts, strict=True)]
    right, below = result.pop("row_totals", None), result.pop("column_totals", None)
    if right is not None:
        head = (*head, "total")
        lines = [(*line, total) for line, total in zip(lines, right, strict=True)]
    if below is not None:
        lines.append(("total", *below, *([result.pop("total", None)] if right is not None else [])))
    return [Grid("counts", head, tuple(lines))]


def _histogram(result: dict[str, Any], question: Result) -> list[Grid]:
    edges, counts = result.get("edges"), result.get("counts")
    if not isinstance(edges, list) or not isinstance(counts, list) or len(edges) != len(counts) + 1:
        return []
    del result["edges"], result["counts"]
    rows = tuple(zip(edges[:-1], edges[1:], counts, strict=True))
    return [Grid("histogram", ("lower", "upper", "count"), rows)]


def _groups(result: dict[str, Any], question: Result) -> list[Grid]:
    by = result.pop("by", [])
    groups = result.pop("groups", [])
    records = [
        {**dict(zip(by, group["levels"], strict=True)), **{k: v for k, v in group.items() if k != "levels"}}
        for group in groups
    ]
    return [_records("count", records)]


def _matrix(result: dict[str, Any], question: Result) -> list[Grid]:
    names = result.get("variables")
    for key, matrix in list(result.items()):
        if isinstance(names, list) and _is_square(matrix, len(names)):
            del result[key]
            rows = tuple((name, *line) for name, line in zip(names, matrix, strict=True))
            return [Grid(key, ("variable", *map(str, names)), rows), *_matrix(result, question)]
    result.pop("variables", None)
    return []


_MAKERS: dict[str, Callable[[dict[str, Any], Result], list[Grid]]] = {
    "count": _groups,
    "kaplan_meier": _survival,
    "crosstab": _crosstab,
    "histogram": _histogram,
    "correlation": _matrix,
}


def _rest(result: Result, title: str) -> Iterator[Grid]:
    """What no maker took: lists of records, parallel lists, and single figures."""
    parallel: dict[int, dict[str, list[Any]]] = {}
    single: list[tuple[str, Any]] = []
    nested: list[Grid] = []
    for name, value in result.items():
        if isinstance(value, Mapping) and value and all(isinstance(v, Mapping) for v in value.values()):
            nested.append(_records(name, [{"name": key, **inner} for key, inner in value.items()]))
        elif isinstance(value, Mapping):
            nested += _rest(value, name)
        elif isinstance(value, list) and value and all(isinstance(v, Mapping) for v in value):
            nested.append(_records(name, value))
        elif isinstance(value, list) and value and all(isinstance(v, list) for v in value):
            wide = max(len(line) for line in value)
            nested.append(Grid(name, tuple(map(str, range(wide))), tuple(tuple(line) for line in value)))
        elif isinstance(value, list):
            parallel.setdefault(len(value), {})[name] = value
        else:
            single.append((name, value))
    for columns in parallel.values():
        named = "_".join(columns) if len(parallel) > 1 else title
        yield Grid(named, tuple(columns), tuple(zip(*columns.values(), strict=True)))
    yield from nested
    if single:
        yield Grid("figures", ("figure", "value"), tuple(single))


def _records(title: str, records: Sequence[Result]) -> Grid:
    names = list(dict.fromkeys(name for record in records for name in record))
    return Grid(title, tuple(names), tuple(tuple(record.get(name) for name in names) for record in records))


def _is_square(value: Any, size: int) -> bool:
    return (
        isinstance(value, list)
        and len(value) == size
        and all(isinstance(line, list) and len(line) == size for line in value)
    )
