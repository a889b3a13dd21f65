"""What regressions share: which rows they use, what is surveyed before the fit, and the table of terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from salerno.analysis.disclosure.persons import check_level
from salerno.analysis.formula import Formula
from salerno.analysis.model import Scope, Sums
from salerno.analysis.questions import Factor, variable
from salerno.analysis.sums.columns import (
    as_number,
    every,
    integers,
    is_listed,
    is_unlisted,
    matrix,
    real,
    some,
)
from salerno.analysis.sums.design import Design, codes_of, is_defined, part_value
from salerno.permits.model import DisclosurePolicy

Array = NDArray[np.float64]


def right_side(view: ir.Table, formula: Formula, scope: Scope) -> ir.BooleanValue:
    """Whether a row has a value of every term, offset and cluster."""
    sources = {numeric.source.text: numeric.source for numeric in (*formula.numerics, *formula.offsets)}
    conditions = [
        *(is_defined(view, numeric, scope) for numeric in sources.values()),
        *(is_listed(view, factor) for factor in formula.factors),
    ]
    if formula.cluster:
        conditions.append(view[formula.cluster].notnull())
    return every(conditions)


@dataclass(frozen=True)
class Survey:
    """What is agreed about the right side before the fit: level counts, sums and squares of the parts."""

    formula: Formula
    design: Design
    scope: Scope

    @property
    def plain_columns(self) -> tuple[str, ...]:
        """Numeric columns of the formula, whose rare values could single somebody out."""
        return tuple(dict.fromkeys(c for numeric in self.formula.numerics for c in numeric.columns))

    def rows(self, view: ir.Table, complete: ir.BooleanValue, **more: ir.Value) -> ir.Table:
        """The view with ``ok``, and with null in numeric columns where a row is not complete.

        Nulls cost less than a condition on each sum.
        """
        marked = view.mutate(ok=complete.fill_null(False))
        values = {**{name: marked[name] for name in self.plain_columns}, **more}
        kept = {name: marked.ok.ifelse(value, ibis.null()) for name, value in values.items()}
        return marked.mutate(**kept) if kept else marked

    def metrics(self, view: ir.Table) -> dict[str, ir.Value]:
        """Aggregates of `rows` for one group of factor levels."""
        metrics: dict[str, ir.Value] = {"rows": view.count(), "n": view.ok.sum()}
        unlisted = [is_unlisted(view, f) for f in self.formula.factors]
        metrics["unlisted"] = some(unlisted).sum() if unlisted else ibis.literal(0)
        for position, part in enumerate(self.design.parts[1:], start=1):
            value = part_value(view, part, self.scope)
            metrics[f"s{position}"] = value.sum()
            metrics[f"q{position}"] = (value * value).sum()
        for position, name in enumerate(self.plain_columns):
            value = as_number(view, variable(self.scope, name, role="formula"))
            metrics[f"z{position}"] = (value == real(0)).sum()
            metrics[f"o{position}"] = (value == real(1)).sum()
        return metrics

    def sums(self, table: pa.Table) -> Sums:
        """The aggregated groups as sums."""
        codes = codes_of(table, self.design.factors)
        n = integers(table, "n")
        levels = [
            np.bincount(codes[codes[:, i] >= 0, i], n[codes[:, i] >= 0], minlength=len(f.levels))
            for i, f in enumerate(self.design.factors)
        ]
        parts = range(1, len(self.design.parts))
        columns = range(len(self.plain_columns))
        return {
            "rows": np.array(integers(table, "rows").sum(), dtype=np.int64),
            "n": np.array(n.sum(), dtype=np.int64),
            "unlisted": np.array(integers(table, "unlisted").sum(), dtype=np.int64),
            "levels": np.concatenate([*levels, np.zeros(0)]).astype(np.int64),
            "part_sums": matrix(table, [f"s{i}" for i in parts]).sum(axis=0),
            "part_squares": matrix(table, [f"q{i}" for i in parts]).sum(axis=0),
            "zeros": np.array([integers(table, f"z{i}").sum() for i in columns], dtype=np.int64),
            "ones": np.array([integers(table, f"o{i}").sum() for i in columns], dtype=np.int64),
        }

    def check(self, sums: Sums) -> tuple[list[Factor], list[str]]:
        """Refuse small groups; give the factors without empty levels, and sentences on what was dropped."""
        policy = self.scope.policy
        kept: list[Factor] = []
        notes: list[str] = []
        place = 0
        for f in self.design.factors:
            counts = sums["levels"][place : place + len(f.levels)]
            place += len(f.levels)
            for level, count in zip(f.levels, counts.tolist(), strict=True):
                check_level(count, policy, column=f.column, level=level)
            kept.append(f.keeping(level for level, count in zip(f.levels, counts, strict=True) if count))
            empty = [level for level, count in zip(f.levels, counts, strict=True) if not count]
            if empty:
                notes.append(f"Nobody has {f.column} = {', '.join(empty)}: left out of the model.")
        for name, zeros, ones in zip(
            self.plain_columns, sums["zeros"].tolist(), sums["ones"].tolist(), strict=True
        ):
            _check_column(name, zeros, ones, int(sums["n"]), policy)
        if int(sums["unlisted"]):
            notes.append("Rows with a value that is no agreed level count as missing.")
        return kept, notes


def _check_column(name: str, zeros: int, ones: int, n: int, policy: DisclosurePolicy) -> None:
    """A numeric column that is an indicator in disguise must have enough persons on both sides."""
    check_level(n - zeros, policy, column=name, level="other than 0")
    if zeros + ones == n:
        check_level(zeros, policy, column=name, level="0")


def term_rows(
    names: Sequence[str], estimates: Array, errors: Array, *, conf_level: float, df: float | None = None
) -> list[dict[str, Any]]:
    """Terms with tests and intervals: Student's t with `df` degrees of freedom, or normal."""
    with np.errstate(divide="ignore", invalid="ignore"):
        statistics = estimates / errors
    tail = 0.5 + conf_level / 2
    width = float(ndtri(tail) if df is None else stdtrit(df, tail))
    p_values = 2 * (ndtr(-abs(statistics)) if df is None else stdtr(df, -abs(statistics)))
    return [
        {
            "term": name,
            "estimate": float(estimate),
            "std_error": float(error),
            "statistic": float(statistic),
            "p_value": float(p_value),
            "conf_low": float(estimate - width * error),
            "conf_high": float(estimate + width * error),
        }
        for name, estimate, error, statistic, p_value in zip(
            names, estimates, errors, statistics, p_values, strict=True
        )
    ]
