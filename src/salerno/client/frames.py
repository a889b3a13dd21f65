"""An answer's figures as plain columns and rows at full precision, the main table first.

Tables for people, with rounded texts, are `salerno.web.tables`; these are for computing on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Result = Mapping[str, Any]

KEYS = (
    "term", "variable", "name", "level", "stratum", "reference", "cause", "group", "time", "probabilities",
    "lower", "upper", "outcome", "age_group", "sex", "interval", "start_date", "end_date", "window", "table",
    "concept_id", "path", "step", "first", "second",
)  # fmt: skip
"""Columns that say what a row's figures are about, whichever method the answer is of."""


@dataclass(frozen=True)
class Grid:
    """A table of values; None is a suppressed or absent figure.

    Args:
        title: What it shows.
        columns: Heads.
        rows: Values, as many in each row as there are columns.
        keys: The columns that name what a row is about.
        across: For a table with a column per level: what the levels are of; empty for all others.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    keys: tuple[str, ...] = ()
    across: str = ""


def answer_grids(answer: Mapping[str, Any]) -> list[Grid]:
    """All tables of an answer; every figure of its result is in one of them.

    Args:
        answer: The answer's JSON; unknown methods are shown too, by the shape of their result.
    """
    result = dict(answer["result"])
    question = answer.get("question") or {}
    make = _MAKERS.get(str(answer["method"]))
    grids = make(result, question) if make else []
    factors = _names(question.get("by"))
    return [grid for grid in [*grids, *_rest(result, str(answer["method"]), factors)] if grid.rows]


def _crosstab(result: dict[str, Any], question: Result) -> list[Grid]:
    if not isinstance(result.get("counts"), list):
        return []
    rows, columns, counts = result.pop("rows"), result.pop("columns"), result.pop("counts")
    first = str(question.get("rows", "row"))
    head = (first, *(str(c) for c in columns))
    lines = [(row, *line) for row, line in zip(rows, counts, strict=True)]
    right, below = result.pop("row_totals", None), result.pop("column_totals", None)
    if right is not None:
        head = (*head, "total")
        lines = [(*line, total) for line, total in zip(lines, right, strict=True)]
    if below is not None:
        total = result.pop("total", result.get("n"))
        lines.append(("total", *below, *([total] if right is not None else [])))
    return [Grid("count", head, tuple(lines), (first,), str(question.get("columns", "column")))]


def _histogram(result: dict[str, Any], question: Result) -> list[Grid]:
    edges, counts = result.get("edges"), result.get("counts")
    if not isinstance(edges, list) or not isinstance(counts, list) or len(edges) != len(counts) + 1:
        return []
    del result["edges"], result["counts"]
    rows = tuple(zip(edges[:-1], edges[1:], counts, strict=True))
    return [Grid("histogram", ("lower", "upper", "count"), rows, ("lower", "upper"))]


def _matrices(result: dict[str, Any], question: Result) -> list[Grid]:
    names = result.get("variables")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return []
    head = ("variable", *names)
    grids = []
    for key, matrix in list(result.items()):
        if _is_square(matrix, len(names)):
            rows = tuple((name, *line) for name, line in zip(names, matrix, strict=True))
            grids.append(Grid(key, head, rows, ("variable",), "variable"))
            del result[key]
    if grids:
        del result["variables"]
    return grids


def _boosting(result: dict[str, Any], question: Result) -> list[Grid]:
    """The trees as one row a node, levels joined: a list within a record would be taken for several rows."""
    grids = [
        Grid("evaluation", *_columns(result.pop("evaluation", [])), ("rows",)),
        Grid("importance", *_columns(result.pop("importance", [])), ("variable",)),
    ]
    nodes = [
        {**node, "levels": _LEVELS.join(node["levels"])} if "levels" in node else node
        for node in result.pop("trees", [])
    ]
    return [*grids, Grid("trees", *_columns(nodes, _NODE), ("tree", "node"))]


_LEVELS = " | "
_NODE = (
    *("tree", "node", "variable", "threshold", "levels", "missing"),
    *("left", "right", "gain", "value", "n"),
)


def _columns(
    records: Sequence[Result], names: Sequence[str] = ()
) -> tuple[tuple[str, ...], tuple[tuple[Any, ...], ...]]:
    heads = tuple(names or dict.fromkeys(name for record in records for name in record))
    return heads, tuple(tuple(record.get(name) for name in heads) for record in records)


def _clusters(result: dict[str, Any], question: Result) -> list[Grid]:
    listed = [
        {**{k: v for k, v in cluster.items() if k != "centre"}, **cluster["centre"]}
        for cluster in result.pop("clusters", [])
    ]
    return [
        Grid("clusters", *_columns(listed), ("cluster",)),
        Grid("start", *_columns(result.pop("start", []))),
    ]


def _federated_learning(result: dict[str, Any], question: Result) -> list[Grid]:
    """The values of the arrays are left to ``answer.arrays()``: a model may have a million."""
    arrays = [
        {"array": entry["name"], "shape": " x ".join(map(str, entry["shape"])), "dtype": entry["dtype"]}
        for entry in result.pop("arrays", [])
    ]
    return [
        Grid("history", *_columns(result.pop("history", [])), ("round",)),
        Grid("membership", *_columns(result.pop("membership", []))),
        Grid("arrays", *_columns(arrays), ("array",)),
    ]


_MAKERS: dict[str, Callable[[dict[str, Any], Result], list[Grid]]] = {
    "boosting": _boosting,
    "federated_learning": _federated_learning,
    "kmeans": _clusters,
    "crosstab": _crosstab,
    "histogram": _histogram,
    "correlation": _matrices,
}


def _rest(result: Result, title: str, factors: Sequence[str]) -> Iterator[Grid]:
    """What no maker took: lists of records, parallel lists, and single figures."""
    parallel: dict[int, dict[str, list[Any]]] = {}
    single: list[tuple[str, Any]] = []
    nested: list[Grid] = []
    for name, value in result.items():
        if isinstance(value, Mapping) and value and all(isinstance(v, Mapping) for v in value.values()):
            nested.append(_records(name, [{"name": key, **inner} for key, inner in value.items()], factors))
        elif isinstance(value, Mapping):
            nested += _rest(value, name, factors)
        elif isinstance(value, list) and value and all(isinstance(v, Mapping) for v in value):
            nested.append(_records(name, value, factors))
        elif isinstance(value, list) and value and all(isinstance(v, list) for v in value):
            wide = max(len(line) for line in value)
            nested.append(Grid(name, tuple(map(str, range(wide))), tuple(tuple(line) for line in value)))
        elif isinstance(value, list) and name != "by":
            parallel.setdefault(len(value), {})[name] = value
        elif name != "by":
            single.append((name, value))
    yield from nested
    for columns in parallel.values():
        named = title if len(parallel) == 1 and not nested else " ".join(columns)
        yield _keyed(named, tuple(columns), tuple(zip(*columns.values(), strict=True)), ())
    if single:
        yield Grid("figures", ("figure", "value"), tuple(single), ("figure",))


def _records(title: str, records: Sequence[Result], factors: Sequence[str]) -> Grid:
    flat = [line for record in records for line in _lines(record, factors)]
    names = tuple(dict.fromkeys(name for line in flat for name in line))
    named = [name for record in records for name in _names(record.get("by"))]
    rows = tuple(tuple(line.get(name) for name in names) for line in flat)
    return _keyed(title, names, rows, [*factors, *named])


def _lines(record: Result, factors: Sequence[str]) -> list[dict[str, Any]]:
    """A record as flat ones: inner records and parallel lists become several, each with the rest."""
    factors = _names(record.get("by")) or factors
    around: dict[str, Any] = {}
    inner: list[Result] = []
    lists: dict[str, list[Any]] = {}
    for name, value in record.items():
        if name == "levels" and isinstance(value, list) and len(value) == len(factors):
            around |= dict(zip(factors, value, strict=True))
        elif name == "by":
            continue
        elif isinstance(value, Mapping):
            around |= {f"{name}_{key}": part for key, part in value.items()}
        elif isinstance(value, list) and value and all(isinstance(v, Mapping) for v in value):
            inner += value
        elif isinstance(value, list):
            lists[name] = value
        else:
            around[name] = value
    if lists:
        return [
            {**around, **dict(zip(lists, line, strict=True))} for line in zip(*lists.values(), strict=True)
        ]
    if inner:
        return [{**around, **line} for part in inner for line in _lines(part, factors)]
    return [around]


def _keyed(
    title: str, columns: tuple[str, ...], rows: tuple[tuple[Any, ...], ...], factors: Sequence[str]
) -> Grid:
    return Grid(title, columns, rows, tuple(c for c in columns if c in KEYS or c in factors))


def _names(by: Any) -> list[str]:
    return [by] if isinstance(by, str) else list(by) if isinstance(by, list | tuple) else []


def _is_square(value: Any, size: int) -> bool:
    return (
        isinstance(value, list)
        and len(value) == size
        and all(isinstance(line, list) and len(line) == size for line in value)
    )
