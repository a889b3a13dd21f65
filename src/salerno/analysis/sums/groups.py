"""What a holder sums for a linear mixed model: a survey, and cross products by group, which stay with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from salerno.analysis.formula import Formula, Random
from salerno.analysis.model import Aggregate, Scope, Sums
from salerno.analysis.sums.columns import doubles, every, integers, keys_of, matrix, real
from salerno.analysis.sums.design import Design, codes_of, evaluate, is_defined
from salerno.analysis.sums.mixed import Blocks
from salerno.analysis.sums.regression import Survey, released_by, right_side
from salerno.analysis.terms import Numeric


@dataclass(frozen=True)
class Model:
    """The question, understood."""

    scope: Scope
    formula: Formula
    random: Random
    reml: bool
    conf_level: float

    def complete(self, view: ir.Table) -> ir.BooleanValue:
        """Whether a row can be used."""
        response = self.formula.response
        assert isinstance(response, Numeric)
        return every(
            [
                right_side(view, self.formula, self.scope),
                is_defined(view, response, self.scope),
                view[self.random.group].notnull(),
            ]
        )

    def with_formula(self, formula: Formula) -> Model:
        """The same with the formula's knots."""
        return replace(self, formula=formula)

    def response(self, view: ir.Table) -> ir.Value:
        """The outcome of each row."""
        assert isinstance(self.formula.response, Numeric)
        return evaluate(view, self.formula.response.node, self.scope)


@dataclass(frozen=True)
class Found:
    """What is known of the data.

    Args:
        shift: Pooled mean of the outcome, by which it is centred.
        varying: Numbers of the design's columns whose effects vary between groups.
    """

    design: Design
    varying: tuple[int, ...]
    shift: float
    n: int
    n_missing: int
    n_groups: int
    notes: tuple[str, ...]


def local_survey(view: ir.Table, model: Model, survey: Survey) -> Aggregate:
    """Counts and sums of terms and outcome, and how many groups there are."""
    complete = model.complete(view)
    rows = survey.rows(view, complete, y=model.response(view), grp=view[model.random.group])
    keys = {**keys_of(rows, survey.design.factors, rows.ok), "grp": rows.grp}
    expression = rows.group_by(**keys).aggregate(**survey.metrics(rows), y=rows.y.sum())

    def finish(table: pa.Table) -> Sums:
        codes, size = _groups(table)
        persons = np.bincount(codes, integers(table, "n"), size) if size else np.zeros(0)
        persons = persons[persons > 0]
        return {
            **survey.sums(table),
            "y": np.array(doubles(table, "y").sum()),
            "groups": np.array(len(persons), dtype=np.int64),
            "small_groups": np.array((persons < model.scope.policy.min_cell).sum(), dtype=np.int64),
        }

    return Aggregate(expression, finish, released_by(view, model.formula, complete))


def local_blocks(
    view: ir.Table, model: Model, found: Found, finish: Callable[[pa.Table, Blocks], Sums]
) -> Aggregate:
    """Cross products by group, of which `finish` makes what crosses.

    Args:
        view: The permitted view.
        model: The question.
        found: What is known of the data.
        finish: From the aggregated rows, whose column ``grp`` is the group, and the blocks in the order in
            which groups appear there.
    """
    design = found.design
    kept = view.filter(model.complete(view))
    rows = kept.select(
        **keys_of(kept, design.factors),
        **design.part_columns(kept, model.scope),
        y=model.response(kept) - real(found.shift),
        grp=kept[model.random.group],
    )
    size = len(design.parts)
    metrics: dict[str, ir.Value] = {"yy": (rows.y * rows.y).sum(), "g0": rows.y.sum()}
    for i in range(1, size):
        metrics[f"g{i}"] = (rows.y * rows[f"p{i}"]).sum()
    for i, j in design.pairs():
        if j == 0:
            metrics["h0_0"] = rows.count().cast("float64")
        else:
            metrics[f"h{i}_{j}"] = (rows[f"p{j}"] if i == 0 else rows[f"p{i}"] * rows[f"p{j}"]).sum()
    keys = {f"key{i}": rows[f"key{i}"] for i in range(len(design.factors))}
    expression = rows.group_by(**keys, grp=rows.grp).aggregate(**metrics)
    return Aggregate(expression, lambda table: finish(table, _blocks(table, found)))


def _groups(table: pa.Table) -> tuple[NDArray[np.int64], int]:
    """Number of each row's group, and how many groups there are; rows without one count to none."""
    encoded = table["grp"].combine_chunks().dictionary_encode()
    size = len(encoded.dictionary)
    return np.asarray(encoded.indices.fill_null(size).to_numpy(), dtype=np.int64), size + 1


def _blocks(table: pa.Table, found: Found) -> Blocks:
    design, varying = found.design, list(found.varying)
    codes = codes_of(table, design.factors)
    products = design.scaled_pairs(matrix(table, [f"h{i}_{j}" for i, j in design.pairs()]))
    with_y = design.scaled(matrix(table, [f"g{i}" for i in range(len(design.parts))]))
    p = len(design.columns)
    total = np.zeros((p + 1, p + 1))
    total[:p, :p] = design.gram(codes, products)
    total[:p, p] = total[p, :p] = design.total(codes, with_y)
    total[p, p] = doubles(table, "yy").sum()
    which = np.array([column.part for column in design.columns], dtype=np.int64)
    inside, index = design.indicators(codes), design.pair_index()
    groups, size = _groups(table)
    crossed = np.zeros((size, len(varying), p + 1))
    for place, column in enumerate(varying):
        row = np.column_stack([products[:, index[which[column], which]] * inside, with_y[:, which[column]]])
        np.add.at(crossed[:, place], groups, row * inside[:, [column]])
    return Blocks(total, crossed, crossed[:, :, varying])
