"""What a holder sums for a generalised linear model: a survey, Newton steps, and a last look at the fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from salerno.analysis.formula import Formula
from salerno.analysis.model import Aggregate, Scope, Sums
from salerno.analysis.questions import Factor
from salerno.analysis.sums.columns import (
    as_number,
    doubles,
    every,
    integers,
    is_listed,
    is_present,
    keys_of,
    matrix,
    real,
)
from salerno.analysis.sums.design import Design, codes_of, evaluate, is_defined
from salerno.analysis.sums.families import Family, log_factorial
from salerno.analysis.sums.kept import filled, for_same, places
from salerno.analysis.sums.regression import Survey, released_by, right_side
from salerno.analysis.terms import Numeric
from salerno.catalogue.model import Variable

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Outcome:
    """Response, weights and offset of a model."""

    scope: Scope
    formula: Formula
    family: Family
    weights: Variable | None = None
    offsets: tuple[Numeric, ...] = ()

    def complete(self, view: ir.Table) -> ir.BooleanValue:
        """Whether a row can be used."""
        response = self.formula.response
        conditions = [right_side(view, self.formula, self.scope)]
        if isinstance(response, Factor):
            conditions.append(is_listed(view, response))
        elif isinstance(response, Numeric):
            conditions.append(is_defined(view, response, self.scope))
        if self.weights is not None:
            conditions += [is_present(view, self.weights), as_number(view, self.weights) > 0]
        conditions += [is_defined(view, offset, self.scope) for offset in self.offsets]
        return every(conditions)

    def rows(self, view: ir.Table) -> dict[str, ir.Value]:
        """Columns ``y`` and, where the question has them, ``w`` and ``o``."""
        response = self.formula.response
        if isinstance(response, Factor):
            second = view[response.column] == response.values[1]
            columns: dict[str, ir.Value] = {"y": ibis.cases((second, real(1)), else_=real(0))}
        else:
            assert isinstance(response, Numeric)
            columns = {"y": evaluate(view, response.node, self.scope)}
        if self.weights is not None:
            columns["w"] = as_number(view, self.weights)
        for offset in self.offsets:
            value = evaluate(view, offset.node, self.scope)
            columns["o"] = columns["o"] + value if "o" in columns else value
        return columns

    def total(self, value: ir.Value, rows: ir.Table) -> ir.Value:
        """Sum over rows, with the question's weights."""
        return (value if self.weights is None else value * rows.w).sum()


@dataclass(frozen=True)
class Point:
    """Where a model is evaluated.

    Args:
        at: Coefficients of the centred and scaled columns.
        shift: Constant beside them in the linear predictor.
        null_at: Coefficient of the model with the intercept alone, where it must be searched for.
    """

    at: Array
    shift: float = 0.0
    null_at: float | None = None

    def numbers(self, design: Design) -> list[float]:
        """Coefficients of the design's unscaled columns, the shift, and the last one where there is one."""
        return [*design.unscaled(self.at), self.shift, *([] if self.null_at is None else [self.null_at])]


def local_survey(view: ir.Table, outcome: Outcome, survey: Survey) -> Aggregate:
    """Counts and sums of response, weights and terms."""
    family = outcome.family
    complete = outcome.complete(view)
    rows = survey.rows(view, complete, **outcome.rows(view))
    y = rows.y

    metrics = survey.metrics(rows)
    wrong = family.wrong(y)
    metrics["events"] = (y == real(1)).sum()
    metrics["bad"] = ibis.literal(0) if wrong is None else wrong.sum()
    totals: dict[str, ir.Value] = {
        "y": outcome.total(y, rows),
        "weight": metrics["n"].cast("float64"),
        "log_weight": real(0),
    }
    if outcome.weights is not None:
        totals |= {"weight": rows.w.sum(), "log_weight": rows.w.ln().sum()}
    if family.name in ("poisson", "gamma"):
        totals["saturated"] = outcome.total(family.saturated(y), rows)
    if family.name == "poisson":
        totals["constant"] = outcome.total(log_factorial(y), rows)
    if outcome.offsets:
        totals["offset"] = outcome.total(rows.o, rows)
        totals["y_offset"] = outcome.total(y * rows.o, rows)
        if family.link == "log":
            totals["exp_offset"] = outcome.total(rows.o.exp(), rows)
            totals["y_exp_offset"] = outcome.total(y * (-rows.o).exp(), rows)
    metrics |= totals
    keys = keys_of(rows, survey.design.factors, rows.ok)
    expression = rows.group_by(**keys).aggregate(**metrics) if keys else rows.aggregate(**metrics)

    def finish(table: pa.Table) -> Sums:
        return {
            **survey.sums(table),
            "events": np.array(integers(table, "events").sum(), dtype=np.int64),
            "bad": np.array(integers(table, "bad").sum(), dtype=np.int64),
            **{name: np.array(doubles(table, name).sum()) for name in totals},
        }

    return Aggregate(expression, finish, released_by(view, outcome.formula, complete))


def local_step(
    view: ir.Table, outcome: Outcome, design: Design, point: Point, *, spread: bool = False
) -> Aggregate:
    """Log-likelihood, gradient and observed information at a point.

    Args:
        view: The permitted view.
        outcome: What is modelled.
        design: By which columns.
        point: Where.
        spread: Whether to sum the linear predictor and its square too.
    """
    expression, where, others = _step(view, outcome, design, point.null_at is not None, spread)

    def finish(table: pa.Table) -> Sums:
        codes = codes_of(table, design.factors)
        return {
            "information": _information(table, codes, design),
            "gradient": _score(table, codes, design),
            "log_likelihood": np.array(doubles(table, "ll").sum()),
            **{name: np.array(doubles(table, name).sum()) for name in others},
        }

    return Aggregate(expression, finish, numbers=filled(where, point.numbers(design)))


@for_same
def _step(
    view: ir.Table, outcome: Outcome, design: Design, with_null: bool, spread: bool
) -> tuple[ir.Table, list[ir.FloatingScalar], list[str]]:
    """A step's aggregate, the places of its point's numbers, and the names of its further sums."""
    family = outcome.family
    where = places(len(design.columns) + 1 + with_null)
    rows = _rows_at(view, outcome, design, where)
    residual, weight = family.residual(rows.y, rows.mu), family.weight(rows.y, rows.mu)
    if outcome.weights is not None:
        residual, weight = residual * rows.w, rows.w if weight is None else weight * rows.w
    rows = _with_weight(rows, design, weight, r=residual)
    metrics: dict[str, ir.Value] = {
        "ll": outcome.total(family.log_likelihood(rows.y, rows.mu), rows),
        **_gradient(rows, design),
        **_products(rows, design),
    }
    others: dict[str, ir.Value] = {}
    if spread:
        others |= {"eta": rows.eta.sum(), "eta2": (rows.eta * rows.eta).sum()}
    if with_null:
        others |= {
            "null_ll": outcome.total(family.log_likelihood(rows.y, rows.null), rows),
            "null_gradient": outcome.total(family.residual(rows.y, rows.null), rows),
            "null_information": outcome.total(family.weight(rows.y, rows.null), rows),
        }
    metrics |= others
    keys = [rows[f"key{i}"] for i in range(len(design.factors))]
    expression = rows.group_by(keys).aggregate(**metrics) if keys else rows.aggregate(**metrics)
    return expression, where, list(others)


@dataclass(frozen=True)
class Closing:
    """What is summed at the fitted coefficients.

    Args:
        robust: Whether to sum squares of the rows' scores.
        cluster: Column within whose values scores are added first, or empty.
        diagnostics: Whether to sum what describes residuals and calibration.
        edges: Bounds of the linear predictor between which outcomes and means are compared.
        far: Square of a Pearson residual from which on it is counted.
    """

    robust: bool = False
    cluster: str = ""
    diagnostics: bool = False
    edges: tuple[float, ...] = ()
    far: float = 4.0


def local_closing(
    view: ir.Table, outcome: Outcome, design: Design, point: Point, closing: Closing
) -> Aggregate:
    """Pearson's statistic, expected information, squares of scores, and outcomes by bin of the predictor."""
    family = outcome.family
    where = [real(number) for number in point.numbers(design)]
    rows = _rows_at(view, outcome, design, where, more=[closing.cluster] if closing.cluster else [])
    residual = family.residual(rows.y, rows.mu)
    variance = family.variance(rows.mu)
    deviation = (rows.y - rows.mu) * (rows.y - rows.mu)
    pearson = deviation if variance is None else deviation / variance
    sign = ibis.cases((rows.y < rows.mu, real(-1)), else_=real(1))
    expected = None if not family.is_canonical else family.weight(rows.y, rows.mu)
    if outcome.weights is not None:
        residual, pearson = residual * rows.w, pearson * rows.w
        expected = rows.w if expected is None else expected * rows.w
    rows = rows.mutate(
        r=residual, pearson=pearson, signed=sign * pearson.sqrt(), e=real(1) if expected is None else expected
    )
    if not family.is_canonical:
        rows = _with_weight(rows, design, rows.e)
    if closing.robust and not closing.cluster:
        rows = _with_weight(rows, design, rows.r * rows.r, prefix="m")
    metrics: dict[str, ir.Value] = {"pearson": rows.pearson.sum()}
    keys = {f"key{i}": rows[f"key{i}"] for i in range(len(design.factors))}
    if closing.cluster:
        keys["cluster"] = rows.cluster
        metrics |= _gradient(rows, design)
    if closing.diagnostics:
        bounds = [(rows.eta < real(edge), i) for i, edge in enumerate(closing.edges)]
        keys["bin"] = ibis.cases(*bounds, else_=len(bounds)) if bounds else ibis.literal(0)
        metrics |= {
            "n": rows.count(),
            "events": (rows.y == real(1)).sum(),
            "weight": rows.count().cast("float64") if outcome.weights is None else rows.w.sum(),
            "observed": outcome.total(rows.y, rows),
            "expected": outcome.total(rows.mu, rows),
            "far": (rows.pearson > real(closing.far)).sum(),
            "pearson_sum": rows.signed.sum(),
            "pearson_cubes": (rows.signed * rows.pearson).sum(),
        }
    if closing.robust and not closing.cluster:
        metrics |= _products(rows, design, prefix="m")
    if not family.is_canonical:
        metrics |= _products(rows, design)
    expression = rows.group_by(**keys).aggregate(**metrics) if keys else rows.aggregate(**metrics)

    def finish(table: pa.Table) -> Sums:
        codes = codes_of(table, design.factors)
        sums: Sums = {"pearson": np.array(doubles(table, "pearson").sum())}
        if not family.is_canonical:
            sums["information"] = _information(table, codes, design)
        if closing.cluster:
            sums |= _cluster_sums(table, codes, design)
        elif closing.robust:
            sums["meat"] = _information(table, codes, design, prefix="m")
        if closing.diagnostics:
            sums |= _bin_sums(table, len(closing.edges) + 1)
        return sums

    return Aggregate(expression, finish)


def _rows_at(
    view: ir.Table,
    outcome: Outcome,
    design: Design,
    where: Sequence[ir.FloatingScalar],
    more: list[str] | None = None,
) -> ir.Table:
    """Complete rows with ``y``, ``w``, ``o``, the parts, the linear predictor ``eta`` and the mean ``mu``.

    Args:
        view: The permitted view.
        outcome: What is modelled.
        design: By which columns.
        where: `Point.numbers`, or places for them.
        more: Further columns of the view.
    """
    kept = view.filter(outcome.complete(view))
    given = outcome.rows(kept)
    columns = {**keys_of(kept, design.factors), **design.part_columns(kept, outcome.scope)}
    at, (shift, *null_at) = where[: len(design.columns)], where[len(design.columns) :]
    eta = design.predictor(columns, at)
    if "o" in given:
        eta = eta + given["o"]
    if outcome.family.name == "gaussian":  # the others have none
        eta = eta + shift
    for null in null_at:
        given["null"] = outcome.family.mean(given["o"] + null)
    if more:
        given["cluster"] = kept[more[0]]
    return kept.select(**columns, **given, eta=eta, mu=outcome.family.mean(eta))


def _with_weight(
    rows: ir.Table, design: Design, weight: ir.Value | None, prefix: str = "v", **more: ir.Value
) -> ir.Table:
    """The parts times a weight, ``v0``, ``v1``, …, and further columns."""
    parts = {i: rows[f"p{i}"] for i in range(1, len(design.parts))}
    weighted = {f"{prefix}{i}": part if weight is None else weight * part for i, part in parts.items()}
    return rows.mutate(**{f"{prefix}0": real(1) if weight is None else weight}, **weighted, **more)


def _gradient(rows: ir.Table, design: Design) -> dict[str, ir.Value]:
    metrics: dict[str, ir.Value] = {"g0": rows.r.sum()}
    for i in range(1, len(design.parts)):
        metrics[f"g{i}"] = (rows.r * rows[f"p{i}"]).sum()
    return metrics


def _products(rows: ir.Table, design: Design, prefix: str = "v") -> dict[str, ir.Value]:
    metrics: dict[str, ir.Value] = {}
    for i, j in design.pairs():
        value = rows[f"{prefix}{j}"] if i == 0 else rows[f"{prefix}{i}"] * rows[f"p{j}"]
        metrics[f"{prefix}{i}_{j}"] = value.sum()
    return metrics


def _information(table: pa.Table, codes: NDArray[np.int64], design: Design, prefix: str = "v") -> Array:
    names = [f"{prefix}{i}_{j}" for i, j in design.pairs()]
    return design.gram(codes, design.scaled_pairs(matrix(table, names)))


def _score(table: pa.Table, codes: NDArray[np.int64], design: Design) -> Array:
    return design.total(codes, _parts(table, design))


def _parts(table: pa.Table, design: Design) -> Array:
    return design.scaled(matrix(table, [f"g{i}" for i in range(len(design.parts))]))


def _cluster_sums(table: pa.Table, codes: NDArray[np.int64], design: Design) -> Sums:
    """Squares of the scores added within clusters, and how many clusters there are."""
    which = [column.part for column in design.columns]
    scores = design.indicators(codes) * _parts(table, design)[:, which]
    names = table["cluster"].combine_chunks().dictionary_encode()
    size = len(names.dictionary)
    by_cluster = np.zeros((size, scores.shape[1]))
    np.add.at(by_cluster, names.indices.to_numpy(), scores)
    return {"meat": by_cluster.T @ by_cluster, "n_clusters": np.array(size, dtype=np.int64)}


def _bin_sums(table: pa.Table, size: int) -> Sums:
    """Figures by bin of the linear predictor."""
    place = np.array(table["bin"].to_pylist(), dtype=np.int64)
    sums: Sums = {"inner": np.zeros(size, dtype=np.int64)}
    for name in ("n", "events", "far"):
        sums[f"bin_{name}"] = np.bincount(place, integers(table, name), size).astype(np.int64)
    for name in ("weight", "observed", "expected"):
        sums[f"bin_{name}"] = np.bincount(place, doubles(table, name), size).astype(np.float64)
    for name in ("pearson_sum", "pearson_cubes"):
        sums[name] = np.array(doubles(table, name).sum())
    return sums
