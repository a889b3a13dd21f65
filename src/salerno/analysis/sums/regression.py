"""What regressions share: which rows they use, what is surveyed before the fit, and the table of terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from salerno.analysis.disclosure.persons import RULE, check_level
from salerno.analysis.formula import Formula
from salerno.analysis.grammar import Node
from salerno.analysis.model import Released, Scope, Sums
from salerno.analysis.questions import Factor
from salerno.analysis.sums.columns import (
    every,
    integers,
    is_listed,
    is_unlisted,
    matrix,
    real,
    some,
)
from salerno.analysis.sums.design import Design, codes_of, is_defined, part_value
from salerno.analysis.terms import Numeric
from salerno.kernel.errors import Invalid, Refused
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


def released_by(view: ir.Table, formula: Formula, complete: ir.BooleanValue) -> tuple[Released, ...]:
    """Whom a model's figures rest on: all complete rows, and for each term those of each of its cells."""
    cells = {
        tuple(f.column for f in term if isinstance(f, Factor)): None
        for term in formula.terms
        if any(isinstance(f, Factor) for f in term)
    }
    return (
        Released(complete),
        *(Released(complete, tuple(view[column] for column in columns)) for columns in cells),
    )


_MOST_CELLS = 100_000


@dataclass(frozen=True)
class Survey:
    """What is agreed about the right side before the fit: level counts, sums and squares of the parts."""

    formula: Formula
    design: Design
    scope: Scope

    @cached_property
    def tested(self) -> dict[tuple[str, ...], tuple[Numeric, ...]]:
        """Numbers whose zeros are counted: those of the columns, and those of the parts."""
        plain = [Numeric(name, Node("name", name), (name,)) for name in self.plain_columns]
        return {
            **{(numeric.text,): (numeric,) for numeric in plain},
            **{tuple(numeric.text for numeric in part): part for part in self.design.parts[1:]},
        }

    @cached_property
    def crossed(self) -> tuple[tuple[int, ...], ...]:
        """Numbers of the factors that a term crosses, two or more."""
        by_column = {f.column: number for number, f in enumerate(self.design.factors)}
        found = {
            tuple(by_column[f.column] for f in term if isinstance(f, Factor)) for term in self.formula.terms
        }
        crossed = tuple(sorted(numbers for numbers in found if len(numbers) > 1))
        if sum(len(self._cells(numbers)) for numbers in crossed) > _MOST_CELLS:
            raise Invalid("model-too-large", "The factors that the formula crosses have too many levels")
        return crossed

    def _cells(self, numbers: tuple[int, ...]) -> list[tuple[int, ...]]:
        return list(product(*(range(len(self.design.factors[number].levels)) for number in numbers)))

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
        for position, part in enumerate(self.tested.values()):
            value = part_value(view, part, self.scope)
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
        columns = range(len(self.tested))
        zeros = np.column_stack([n, *(integers(table, f"z{i}") for i in columns)])
        # Rows in which a column of the design is not zero.
        places = {texts: i + 1 for i, texts in enumerate(self.tested)}
        named = [tuple(numeric.text for numeric in part) for part in self.design.parts]
        which = [places.get(named[column.part], 0) for column in self.design.columns]
        present = n[:, None] - np.where(np.array(which, dtype=bool), zeros[:, which], 0)
        inside = self.design.indicators(codes).astype(np.int64)
        cells = [
            ((codes[:, numbers] == cell).all(axis=1) @ n)
            for numbers in self.crossed
            for cell in self._cells(numbers)
        ]
        return {
            "nonzero": (inside * present).sum(axis=0),
            "zero": (inside * zeros[:, which]).sum(axis=0),
            "cells": np.array(cells, dtype=np.int64),
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
        for texts, zeros, ones in zip(
            self.tested, sums["zeros"].tolist(), sums["ones"].tolist(), strict=True
        ):
            _check_column(":".join(texts), zeros, ones, int(sums["n"]), policy)
        self._check_cells(sums)
        if int(sums["unlisted"]):
            notes.append("Rows with a value that is no agreed level count as missing.")
        return kept, notes

    def _check_cells(self, sums: Sums) -> None:
        """Refuse terms that tell a cell of few persons apart."""
        policy, place = self.scope.policy, 0
        for numbers in self.crossed:
            for cell in self._cells(numbers):
                factors = [self.design.factors[number] for number in numbers]
                level = " and ".join(
                    f"{f.column} = {f.levels[i]}" for f, i in zip(factors[1:], cell[1:], strict=True)
                )
                check_level(
                    int(sums["cells"][place]),
                    policy,
                    column=factors[0].column,
                    level=f"{factors[0].levels[cell[0]]} and {level}",
                )
                place += 1
        indicators = {
            texts
            for texts, zeros, ones in zip(self.tested, sums["zeros"], sums["ones"], strict=True)
            if zeros + ones == sums["n"]
        }
        for column, count, zero in zip(
            self.design.columns, sums["nonzero"].tolist(), sums["zero"].tolist(), strict=True
        ):
            part = tuple(numeric.text for numeric in self.design.parts[column.part])
            if 0 < count < policy.min_cell or (part in indicators and 0 < zero < policy.min_cell):
                raise Refused(
                    "small-term",
                    f"The term {column.name!r} sets fewer than {policy.min_cell} persons apart",
                    rule=RULE,
                    remedy="Leave it out, or ask about a larger group.",
                )

    def without_empty(self, design: Design, sums: Sums) -> tuple[Design, list[str]]:
        """A design of the agreed levels without what R gives as NA since crossed factors have empty cells.

        Returns:
            The design without columns that are zero for everybody, or within the cells of a crossing are a
            combination of the columns before them; and a sentence on them.
        """
        counts = dict(zip(self.design.names, sums["nonzero"].tolist(), strict=True))
        lost = {name for name in design.names if counts.get(name, 1) == 0}
        place = 0
        for numbers in self.crossed:
            cells = self._cells(numbers)
            filled = sums["cells"][place : place + len(cells)] > 0
            place += len(cells)
            if not filled.all():
                occupied = [cell for cell, is_filled in zip(cells, filled, strict=True) if is_filled]
                lost |= self._aliased(design, numbers, occupied, lost)
        if not lost:
            return design, []
        columns = tuple(column for column in design.columns if column.name not in lost)
        named = ", ".join(name for name in design.names if name in lost)
        return replace(design, columns=columns), [f"Left out, since nobody has such a combination: {named}."]

    def _aliased(
        self, design: Design, numbers: tuple[int, ...], cells: list[tuple[int, ...]], lost: set[str]
    ) -> set[str]:
        """Indicator columns of a crossing that depend on those before them where somebody is."""
        codes = np.full((len(cells), len(design.factors)), -1, dtype=np.int64)
        for position, number in enumerate(numbers):
            old, new = self.design.factors[number], design.factors[number]
            codes[:, number] = [new.levels.index(old.levels[cell[position]]) for cell in cells]
        chosen = [
            j
            for j, column in enumerate(design.columns)
            if column.part == 0 and column.name not in lost and {n for n, _ in column.levels} <= set(numbers)
        ]
        indicators = design.indicators(codes)[:, chosen]
        found, rank = set(), 0
        for count, j in enumerate(chosen, start=1):
            after = int(np.linalg.matrix_rank(indicators[:, :count]))
            if after == rank:
                found.add(design.columns[j].name)
            rank = after
        return found


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
            "statistic": float(statistic) if np.isfinite(statistic) else None,
            "p_value": float(p_value) if np.isfinite(p_value) else None,
            "conf_low": float(estimate - width * error),
            "conf_high": float(estimate + width * error),
        }
        for name, estimate, error, statistic, p_value in zip(
            names, estimates, errors, statistics, p_values, strict=True
        )
    ]
