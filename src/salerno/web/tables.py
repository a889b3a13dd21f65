"""Answers as tables for people: the portal, the client, the command line and reports show the same ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NARROW_SPACE = "\N{NARROW NO-BREAK SPACE}"
NOTHING = "–"

COUNT_NAMES = frozenset(
    {"n", "count", "counts", "events", "at_risk", "observed", "n_persons", "missing", "n_missing", "persons",
     "total", "row_totals", "column_totals", "n_events", "censored"}
)  # fmt: skip
"""Members that count persons: null there means suppressed, elsewhere that there is no such figure."""

WORDS: dict[str, str] = {
    "aic": "AIC", "at_risk": "At risk", "by": "By", "chi_square": "Chi-square",
    "column_totals": "Column totals", "concordance": "Concordance", "conf_high": "95 % CI to",
    "conf_low": "95 % CI from", "counts": "Persons", "count": "Persons", "deviance": "Deviance",
    "df": "Degrees of freedom", "df_residual": "Residual degrees of freedom",
    "df_null": "Null degrees of freedom", "dispersion": "Dispersion", "estimate": "Estimate",
    "events": "Events", "expected": "Expected events", "group": "Group", "iterations": "Iterations",
    "level": "Level", "log_likelihood": "Log likelihood", "loglik": "Log likelihood",
    "loglik_null": "Null log likelihood", "mean": "Mean", "median": "Median survival", "missing": "Missing",
    "n": "Persons", "n_events": "Events", "n_missing": "Rows with a missing value",
    "null_deviance": "Null deviance", "observed": "Observed events", "p_value": "p-value",
    "probability": "Probability", "probabilities": "Probability", "sd": "Standard deviation",
    "statistic": "Statistic", "std_error": "Standard error", "stratum": "Group", "survival": "Survival",
    "term": "Term", "time": "Time", "total": "All", "value": "Value", "values": "Value",
    "variable": "Variable", "variables": "Variable", "variance": "Variance",
}  # fmt: skip
"""Words for the members of results."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of texts, ready to show.

    Args:
        title: What it shows; unique among the tables of an answer.
        columns: Heads.
        rows: Cells, as many in each row as there are columns; the first one names the row.
        numeric: By column, whether it holds numbers, to be set flush right.
        note: A sentence below it, or empty.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[bool, ...] = ()
    note: str = ""


def answer_tables(answer: Mapping[str, Any]) -> list[Table]:
    """The tables of a method's answer, the main one first.

    Args:
        answer: The JSON of an answer; unknown methods and members are shown too, in a plain form.
    """
    result: dict[str, Any] = dict(answer.get("result") or {})
    teller = Teller(answer)
    make = MAKERS.get(str(answer.get("method")), _nothing)
    tables = make(result, teller)
    return tables + _rest(result, teller)


class Teller:
    """Turns values into texts with the words that one answer needs.

    Args:
        answer: The answer, for its question and its smallest cell.
    """

    def __init__(self, answer: Mapping[str, Any]) -> None:
        self.question: Mapping[str, Any] = answer.get("question") or {}
        self.min_cell = min_cell_of(answer)
        self.suppressed = f"<{self.min_cell}"

    def text(self, name: str, value: Any) -> str:
        """The value of a member as a text."""
        if value is None:
            return self.suppressed if name in COUNT_NAMES else NOTHING
        if name.startswith("p_value") and isinstance(value, (int, float)):
            return p_text(float(value))
        return value_text(value)

    def note(self, values: Iterable[Any]) -> str:
        """The sentence that explains suppressed cells, empty when there are none."""
        if not any(value is None for value in values):
            return ""
        return (
            f"{self.suppressed}: fewer than {self.min_cell} persons, or hidden so that such a figure "
            "cannot be worked out from the others."
        )


def min_cell_of(answer: Mapping[str, Any]) -> int:
    """The smallest number of persons behind a figure of an answer, by its ``disclosure``."""
    disclosure = answer.get("disclosure") or {}
    found = disclosure.get("min_cell", (disclosure.get("policy") or {}).get("min_cell", 10))
    return int(found)


def number_text(value: float, digits: int = 4) -> str:
    """A number with four significant digits; whole numbers in full, thousands set apart."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return _grouped(f"{value:,}", value)
    if math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == round(value, 2) and abs(value) < 1000:
        return f"{value:g}"  # a figure that somebody chose, such as 0.05, not one with digits cut off
    if 10 ** (digits - 1) <= abs(value) < 1e15:
        return _grouped(f"{value:,.0f}", value)
    if abs(value) < 1e-4 or abs(value) >= 1e15:
        return f"{value:.{digits - 1}e}"
    return f"{value:#.{digits}g}".rstrip(".")


def p_text(value: float) -> str:
    """A p-value: three decimals, and ``<0.001`` below."""
    if math.isnan(value):
        return NOTHING
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def value_text(value: Any) -> str:
    """Any scalar as a text."""
    if isinstance(value, (bool, int, float)):
        return number_text(value)
    if isinstance(value, (list, tuple)):
        return ", ".join(value_text(v) for v in value)
    return NOTHING if value is None else str(value)


def words(name: str) -> str:
    """A member's name in words."""
    return WORDS.get(name) or name.replace("_", " ").strip().capitalize()


def _grouped(text: str, value: float) -> str:
    return text.replace(",", NARROW_SPACE if abs(value) >= 10_000 else "")


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], note: str = "") -> Table:
    cells = tuple(tuple(row) for row in rows)
    numeric = tuple(
        bool(cells) and all(_is_numeric(row[i]) for row in cells) and any(row[i] != NOTHING for row in cells)
        for i in range(len(columns))
    )
    return Table(title, tuple(columns), cells, numeric, note)


def _is_numeric(text: str) -> bool:
    plain = text.replace(NARROW_SPACE, "").lstrip("<≥±").removesuffix(" %")
    if plain in (NOTHING, "∞", "-∞"):
        return True
    low, _, high = plain.partition(" to ")
    try:
        float(low)
        float(high or "0")
    except ValueError:
        return False
    return True


Maker = Callable[[dict[str, Any], Teller], list[Table]]


def _nothing(_result: dict[str, Any], _teller: Teller) -> list[Table]:
    return []


def _regression(result: dict[str, Any], teller: Teller) -> list[Table]:
    terms = result.pop("terms", [])
    ratio = ratio_words(teller.question)
    columns = ["Term", "Estimate", "Standard error", "95 % CI", "Statistic", "p-value"]
    if ratio:
        columns[1:1] = [ratio, f"95 % CI of the {ratio.lower()}"]
    rows = []
    for term in terms:
        low, high = term.get("conf_low"), term.get("conf_high")
        row = [
            str(term["term"]),
            teller.text("estimate", term.get("estimate")),
            teller.text("std_error", term.get("std_error")),
            range_text(low, high),
            teller.text("statistic", term.get("statistic")),
            teller.text("p_value", term.get("p_value")),
        ]
        if ratio:
            row[1:1] = [teller.text("ratio", exp(term.get("estimate"))), range_text(exp(low), exp(high))]
        rows.append(row)
    title = "Cox regression" if "cox" in str(teller.question.get("method")) else "Regression"
    return [_table(f"{title}: {teller.question.get('formula', 'terms')}", columns, rows)]


def ratio_words(question: Mapping[str, Any]) -> str:
    """What the exponential of a coefficient is called; empty where it means nothing."""
    if question.get("method") == "cox":
        return "Hazard ratio"
    if question.get("method") == "glm":
        return {"binomial": "Odds ratio", "poisson": "Rate ratio"}.get(str(question.get("family")), "")
    return ""


def exp(value: float | None) -> float | None:
    """The exponential, infinite where it is too large for a float, None for None."""
    if value is None:
        return None
    return math.exp(value) if value < 700 else math.inf


def range_text(low: float | None, high: float | None) -> str:
    """An interval in words."""
    if low is None or high is None:
        return NOTHING
    return f"{number_text(low)} to {number_text(high)}"


def _survival(result: dict[str, Any], teller: Teller) -> list[Table]:
    strata = result.pop("strata", [])
    tables = []
    summary = []
    for stratum in strata:
        name = str(stratum.get("stratum", "") or "all")
        lists = {k: v for k, v in stratum.items() if isinstance(v, list)}
        single = {k: v for k, v in stratum.items() if not isinstance(v, (list, dict)) and k != "stratum"}
        summary.append({"stratum": name, **single})
        names = [n for n in ("time", "at_risk", "events", "survival", "std_error") if n in lists]
        rows = []
        for i in range(len(lists.get("time", []))):
            row = [teller.text(n, lists[n][i]) for n in names]
            if "conf_low" in lists:
                row.append(range_text(lists["conf_low"][i], lists["conf_high"][i]))
            rows.append(row)
        heads = [words(n) for n in names] + (["95 % CI"] if "conf_low" in lists else [])
        hidden = [v for n in names if n in COUNT_NAMES for v in lists[n]]
        tables.append(_table(f"Survival: {name}", heads, rows, teller.note(hidden)))
    if any(len(row) > 1 for row in summary):
        tables.insert(0, _records("Survival by group", summary, teller))
    return tables


def _crosstab(result: dict[str, Any], teller: Teller) -> list[Table]:
    if not isinstance(result.get("counts"), list):
        return []
    rows, columns, counts = result.pop("rows"), result.pop("columns"), result.pop("counts")
    row_totals, column_totals = result.pop("row_totals", None), result.pop("column_totals", None)
    total = result.pop("total", None)
    row_name, column_name = teller.question.get("rows", "Rows"), teller.question.get("columns", "Columns")
    heads = [f"{row_name} by {column_name}", *(value_text(c) for c in columns)]
    body = [
        [value_text(r), *(teller.text("counts", v) for v in line)]
        for r, line in zip(rows, counts, strict=True)
    ]
    hidden: list[Any] = [v for line in counts for v in line]
    if row_totals is not None:
        heads.append("All")
        hidden += row_totals
        for line, value in zip(body, row_totals, strict=True):
            line.append(teller.text("counts", value))
    if column_totals is not None:
        hidden += column_totals
        last = [] if row_totals is None else [teller.text("counts", total)]
        body.append(["All", *(teller.text("counts", v) for v in column_totals), *last])
    return [_table(f"Persons by {row_name} and {column_name}", heads, body, teller.note(hidden))]


def _histogram(result: dict[str, Any], teller: Teller) -> list[Table]:
    edges, counts = result.get("edges"), result.get("counts")
    if not isinstance(edges, list) or not isinstance(counts, list) or len(edges) != len(counts) + 1:
        return []
    result.pop("edges"), result.pop("counts")
    variable = teller.question.get("variable", "value")
    rows = [
        [range_text(edges[i], edges[i + 1]), teller.text("counts", count)] for i, count in enumerate(counts)
    ]
    return [_table(f"Histogram of {variable}", [str(variable), "Persons"], rows, teller.note(counts))]


def _correlation(result: dict[str, Any], teller: Teller) -> list[Table]:
    found = matrix_of(result)
    if found is None:
        return []
    key, names, matrix = found
    result.pop(key)
    result.pop("variables", None)
    rows = [[str(n), *(teller.text("r", v) for v in line)] for n, line in zip(names, matrix, strict=True)]
    return [_table("Correlation", ["Variable", *map(str, names)], rows)]


def matrix_of(result: Mapping[str, Any]) -> tuple[str, list[str], list[list[float | None]]] | None:
    """Member name, variables and square matrix of a correlation's result; None when there is none."""
    names = result.get("variables")
    for key in ("correlation", "matrix", "correlations", "r"):
        matrix = result.get(key)
        if isinstance(names, list) and isinstance(matrix, list) and len(matrix) == len(names):
            return key, names, matrix
    return None


def _rest(result: Mapping[str, Any], teller: Teller) -> list[Table]:
    """Whatever no maker took: single figures in one table, lists of records and of figures in their own."""
    singles: list[list[str]] = []
    columns: dict[str, list[Any]] = {}
    tables: list[Table] = []
    for name, value in result.items():
        if isinstance(value, Mapping):
            if all(isinstance(v, Mapping) for v in value.values()) and value:
                tables.append(_records(words(name), [{"level": k, **v} for k, v in value.items()], teller))
            elif value and all(not isinstance(v, (list, Mapping)) for v in value.values()):
                title = words(name)
                rows = [[words(k), teller.text(k, v)] for k, v in value.items()]
                tables.append(_table(title, ["Figure", "Value"], rows, teller.note(_counts(value))))
            else:
                tables += _rest(value, teller)
        elif isinstance(value, list) and value and all(isinstance(v, Mapping) for v in value):
            tables.append(_records(words(name), value, teller))
        elif isinstance(value, list) and value and all(isinstance(v, list) for v in value):
            wide = max(len(line) for line in value)
            lines = [[str(i + 1), *(teller.text(name, v) for v in line)] for i, line in enumerate(value)]
            tables.append(_table(words(name), ["", *(str(i + 1) for i in range(wide))], lines))
        elif isinstance(value, list):
            columns[name] = value
        else:
            singles.append([words(name), teller.text(name, value)])
    tables = _lists(columns, teller) + tables
    if singles:
        tables.append(_table("Figures", ["Figure", "Value"], singles, teller.note(_counts(result))))
    return tables


def _counts(values: Mapping[str, Any]) -> list[Any]:
    return [v for k, v in values.items() if k in COUNT_NAMES]


def _lists(columns: dict[str, list[Any]], teller: Teller) -> list[Table]:
    by_length: dict[int, list[str]] = {}
    for name, values in columns.items():
        by_length.setdefault(len(values), []).append(name)
    tables = []
    for names in by_length.values():
        rows = [
            [teller.text(n, v) for n, v in zip(names, line, strict=True)]
            for line in zip(*(columns[n] for n in names), strict=True)
        ]
        hidden = [v for n in names if n in COUNT_NAMES for v in columns[n]]
        tables.append(
            _table(" and ".join(map(words, names)), [words(n) for n in names], rows, teller.note(hidden))
        )
    return tables


def _groups(result: dict[str, Any], teller: Teller) -> list[Table]:
    """Counts by the levels of factors, a column for each factor."""
    groups, by = result.get("groups"), result.get("by")
    if not isinstance(groups, list) or not isinstance(by, list) or not by:
        return []
    result.pop("groups"), result.pop("by")
    records = []
    for group in groups:
        levels = dict(zip(by, map(value_text, group["levels"]), strict=True))
        records.append({**levels, **{k: v for k, v in group.items() if k != "levels"}})
    return [_records(f"Persons by {' and '.join(by)}", records, teller)]


def _records(title: str, records: Sequence[Mapping[str, Any]], teller: Teller) -> Table:
    names = list(
        dict.fromkeys(k for r in records for k, v in r.items() if not isinstance(v, (list, Mapping)))
    )
    rows = [[teller.text(n, r[n]) if n in r else NOTHING for n in names] for r in records]
    hidden = [r[n] for r in records for n in names if n in COUNT_NAMES and n in r]
    return _table(title, [words(n) for n in names], rows, teller.note(hidden))


MAKERS: dict[str, Maker] = {
    "count": _groups,
    "cox": _regression,
    "glm": _regression,
    "kaplan_meier": _survival,
    "crosstab": _crosstab,
    "histogram": _histogram,
    "correlation": _correlation,
}
