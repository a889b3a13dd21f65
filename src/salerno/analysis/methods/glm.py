"""Generalised linear models: gaussian (identity), binomial (logit), poisson (log).

Question: ``{"method": "glm", "formula": "status ~ age + sex", "family": "binomial"}``, with optional
``weights`` (a column), ``offset`` (a column or ``log(column)``), ``reference``, ``conf_level``.
Result: ``{"terms": […], "family", "link", "deviance", "null_deviance", "df_residual", "df_null", "aic",
"log_likelihood", "dispersion", "n", "iterations"}``, equal to R's ``glm`` on the pooled rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log, pi
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from salerno.analysis.disclosure.persons import check_level, check_model_size, check_persons, check_some
from salerno.analysis.formula import Formula, parse_formula
from salerno.analysis.model import Aggregate, Parameter, Question, Result, Scope, Sums
from salerno.analysis.questions import (
    CONF_LEVEL,
    REFERENCE,
    Factor,
    check_keys,
    choice,
    conf_level,
    numeric,
    references,
)
from salerno.analysis.sums import families
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
from salerno.analysis.sums.design import Design, codes_of, design_of, evaluate, is_defined
from salerno.analysis.sums.newton import Maximum, Newton, advance, invert
from salerno.analysis.sums.regression import Survey, right_side, term_rows
from salerno.analysis.terms import Numeric
from salerno.catalogue.model import Variable
from salerno.kernel.errors import Invalid

NAME = "glm"
LABEL = "Regression"
PARAMETERS = (
    Parameter(
        name="formula",
        label="Formula",
        kind="formula",
        hint="The outcome, ~, then the columns with + between them",
        default="status ~ age + sex",
    ),
    Parameter(
        name="family",
        label="Kind of outcome",
        kind="choice",
        options=(
            ("binomial", "Yes or no (logistic regression)"),
            ("gaussian", "A measured value (linear regression)"),
            ("poisson", "A count (Poisson regression)"),
        ),
    ),
    Parameter(name="offset", label="Offset", kind="text", hint="Or log(column)", optional=True),
    Parameter(name="weights", label="Weights", optional=True),
    REFERENCE,
    CONF_LEVEL,
)
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Model:
    """The question, understood."""

    scope: Scope
    formula: Formula
    family: str
    conf_level: float
    weights: Variable | None
    offset: Numeric | None

    def complete(self, view: ir.Table) -> ir.BooleanValue:
        """Whether a row can be used."""
        response = self.formula.response
        conditions = [right_side(view, self.formula, self.scope)]
        if isinstance(response, Factor):
            conditions.append(is_listed(view, response))
        elif response is not None:
            conditions.append(is_defined(view, response, self.scope))
        if self.weights is not None:
            conditions += [is_present(view, self.weights), as_number(view, self.weights) > 0]
        if self.offset is not None:
            conditions.append(is_defined(view, self.offset, self.scope))
        return every(conditions)

    def rows(self, view: ir.Table) -> dict[str, ir.Value]:
        """Columns ``y`` and, where the question has them, ``w`` and ``o``."""
        response = self.formula.response
        assert response is not None
        if isinstance(response, Factor):
            second = view[response.column] == response.values[1]
            columns: dict[str, ir.Value] = {"y": ibis.cases((second, real(1)), else_=real(0))}
        else:
            columns = {"y": evaluate(view, response.node, self.scope)}
        if self.weights is not None:
            columns["w"] = as_number(view, self.weights)
        if self.offset is not None:
            columns["o"] = evaluate(view, self.offset.node, self.scope)
        return columns


@dataclass(frozen=True)
class Surveying:
    """First round: what there is."""

    model: Model
    survey: Survey


@dataclass(frozen=True)
class Fitting:
    """Further rounds: one step of Newton's method each.

    Args:
        totals: Pooled sums of the response and the weights.
        shift: Pooled mean that a gaussian response is centred by.
        null_at: Coefficient of the model with the intercept alone, where it must be searched for.
    """

    model: Model
    design: Design
    totals: dict[str, float]
    n: int
    n_missing: int
    notes: tuple[str, ...]
    search: Newton
    shift: float = 0.0
    null_at: float | None = None


def start(question: Question, scope: Scope) -> Surveying:
    """Check the question and lay out the model."""
    check_keys(question, PARAMETERS)
    formula = parse_formula(question.get("formula"), scope, references(question, scope))
    family = choice(question, "family", tuple(families.FAMILIES), "gaussian")
    _check_response(formula, family)
    weights = question.get("weights")
    model = Model(
        scope=scope,
        formula=formula,
        family=family,
        conf_level=conf_level(question),
        weights=None if weights is None else numeric(scope, weights, role="weights"),
        offset=_offset(question.get("offset"), scope),
    )
    return Surveying(model, Survey(formula, design_of(formula), scope))


def local(view: ir.Table, state: Surveying | Fitting) -> Aggregate:
    """Survey the holder's rows, or sum what a Newton step needs."""
    return _local_survey(view, state) if isinstance(state, Surveying) else _local_fit(view, state)


def guard(sums: Sums, state: Surveying | Fitting, scope: Scope) -> Sums:
    """Refuse to take part with too few persons."""
    if isinstance(state, Surveying):
        check_persons(int(sums["n"]), scope.policy, who="This holder's part")
    return sums


def step(sums: Sums, state: Surveying | Fitting) -> Fitting | Result:
    """Take the next Newton step, or answer."""
    if isinstance(state, Surveying):
        return _begin(sums, state)
    information, gradient = sums["information"], sums["gradient"]
    log_likelihood = float(sums["log_likelihood"])
    if state.model.family == "gaussian":
        covariance = invert(information, state.search.names)
        coefficients = covariance @ gradient
        fitted = Maximum(coefficients, covariance, log_likelihood + float(gradient @ coefficients) / 2, 2)
        return _answer(state, fitted, -2 * log_likelihood)
    null_at = state.null_at
    if null_at is not None:
        null_at += float(sums["null_gradient"]) / float(sums["null_information"])
    after = advance(state.search, log_likelihood, gradient, information)
    if isinstance(after, Newton):
        return replace(state, search=after, null_at=null_at)
    return _answer(state, after, _null_deviance(state, sums))


def _check_response(formula: Formula, family: str) -> None:
    response = formula.response
    if response is None or formula.time:
        raise Invalid("wrong-formula", "A glm formula needs a response before '~'")
    if isinstance(response, Factor):
        if family != "binomial":
            raise Invalid(
                "not-numeric", f"A {family} response must be numeric, and {response.column!r} is not"
            )
        if len(response.levels) != 2:
            raise Invalid(
                "response-values",
                f"A binomial response has two levels, and {response.column!r} has {len(response.levels)}",
            )


def _offset(given: Any, scope: Scope) -> Numeric | None:
    if given is None:
        return None
    terms = parse_formula(f"~ {given}", scope).terms
    if len(terms) != 1 or len(terms[0]) != 1 or not isinstance(terms[0][0], Numeric):
        raise Invalid("wrong-offset", "'offset' must be a numeric column or log(column)")
    return terms[0][0]


def _local_survey(view: ir.Table, state: Surveying) -> Aggregate:
    model, survey = state.model, state.survey
    rows = survey.rows(view, model.complete(view), **model.rows(view))
    y = rows.y

    def total(value: ir.Value) -> ir.Value:
        return _weighted_sum(value, rows, model)

    metrics = survey.metrics(rows)
    metrics["y"] = total(y)
    metrics["events"] = (y == real(1)).sum()
    wrong = {"binomial": (y != real(0)) & (y != real(1)), "poisson": y < real(0)}
    metrics["bad"] = wrong[model.family].sum() if model.family in wrong else ibis.literal(0)
    totals = {"weight": metrics["n"].cast("float64"), "log_weight": real(0)}
    if model.weights is not None:
        totals = {"weight": rows.w.sum(), "log_weight": rows.w.ln().sum()}
    if model.family == "poisson":
        totals["saturated"] = total(families.saturated(y))
        totals["constant"] = total(families.constant(y))
    if model.offset is not None:
        totals["offset"] = total(rows.o)
        totals["y_offset"] = total(y * rows.o)
        if model.family == "poisson":
            totals["exp_offset"] = total(rows.o.exp())
    metrics |= totals
    keys = keys_of(rows, survey.design.factors, rows.ok)
    expression = rows.group_by(**keys).aggregate(**metrics) if keys else rows.aggregate(**metrics)

    def finish(table: pa.Table) -> Sums:
        return {
            **survey.sums(table),
            "events": np.array(integers(table, "events").sum(), dtype=np.int64),
            "bad": np.array(integers(table, "bad").sum(), dtype=np.int64),
            **{name: np.array(doubles(table, name).sum()) for name in ("y", *totals)},
        }

    return Aggregate(expression, finish)


def _begin(sums: Sums, state: Surveying) -> Fitting:
    model = state.model
    policy = model.scope.policy
    n = int(sums["n"])
    check_some(n, policy)
    if int(sums["bad"]):
        allowed = "0 and 1" if model.family == "binomial" else "no negative numbers"
        raise Invalid("response-values", f"A {model.family} response must have {allowed}")
    if model.family == "binomial":
        response = model.formula.response
        name = response.column if isinstance(response, Factor) else getattr(response, "text", "")
        for count, value in ((int(sums["events"]), "1"), (n - int(sums["events"]), "0")):
            check_level(count, policy, column=name, level=value)
            if count == 0:
                raise Invalid("response-values", f"The response {name!r} is the same for everybody")
    kept, notes = state.survey.check(sums)
    design = design_of(model.formula, levels=kept).with_scales(sums["part_sums"], sums["part_squares"], n)
    check_model_size(n, len(design.columns), policy)
    names = ["y", "weight", "log_weight", "saturated", "constant", "offset", "y_offset", "exp_offset"]
    totals = {name: float(sums[name]) if name in sums else 0.0 for name in names}
    if model.offset is None:
        totals["exp_offset"] = totals["weight"]
    at, null_at = _first_point(model, design, totals)
    has_intercept = model.formula.intercept
    shift = (totals["y"] - totals["offset"]) / totals["weight"] if has_intercept else 0.0
    return Fitting(
        model=model,
        design=design,
        totals=totals,
        n=n,
        n_missing=int(sums["rows"]) - n,
        notes=tuple(notes),
        search=Newton(design.names, at, totals["weight"]),
        shift=shift if model.family == "gaussian" else 0.0,
        null_at=null_at,
    )


def _first_point(model: Model, design: Design, totals: dict[str, float]) -> tuple[Array, float | None]:
    """Fixed by the first round's totals: the model with the intercept alone."""
    at = np.zeros(len(design.columns))
    null_at = None
    if model.family == "gaussian" or totals["y"] <= 0:
        return at, null_at
    if model.family == "binomial":
        mean = totals["y"] / totals["weight"]
        value = log(mean / (1 - mean)) - totals["offset"] / totals["weight"]
        if model.offset is not None and model.formula.intercept:
            null_at = value
    else:
        value = log(totals["y"] / totals["exp_offset"])
    for j, column in enumerate(design.columns):
        if column.part == 0 and (not column.levels or _is_full(design, column.levels)):
            at[j] = value
            if not column.levels:
                break
    return at, null_at


def _is_full(design: Design, levels: tuple[tuple[int, int], ...]) -> bool:
    """Whether a single factor has a column for each of its levels, so that they add up to a constant."""
    if len(levels) != 1:
        return False
    number = levels[0][0]
    own = [c for c in design.columns if c.part == 0 and len(c.levels) == 1 and c.levels[0][0] == number]
    return len(own) == len(design.factors[number].levels)


def _local_fit(view: ir.Table, state: Fitting) -> Aggregate:
    model, design = state.model, state.design
    kept = view.filter(model.complete(view))
    given = model.rows(kept)
    columns = {**keys_of(kept, design.factors), **design.part_columns(kept, model.scope)}
    eta = design.predictor(columns, state.search.at)
    if model.offset is not None:
        eta = eta + given["o"]
    if state.shift:
        eta = eta + real(state.shift)
    if state.null_at is not None:
        given["null"] = families.mean(given["o"] + real(state.null_at), "binomial")
    rows = kept.select(**columns, **given, mu=families.mean(eta, model.family))
    residual, weight = rows.y - rows.mu, families.variance(rows.mu, model.family)
    if model.weights is not None:
        residual, weight = residual * rows.w, rows.w if weight is None else weight * rows.w
    size = len(design.parts)
    parts = {i: rows[f"p{i}"] for i in range(1, size)}
    rows = rows.mutate(
        r=residual,
        v0=real(1) if weight is None else weight,
        **{f"v{i}": part if weight is None else weight * part for i, part in parts.items()},
    )
    metrics: dict[str, ir.Value] = {
        "ll": _weighted_sum(families.log_likelihood(rows.y, rows.mu, model.family), rows, model),
        "g0": rows.r.sum(),
    }
    for i in range(1, size):
        metrics[f"g{i}"] = (rows.r * rows[f"p{i}"]).sum()
    for i, j in design.pairs():
        metrics[f"h{i}_{j}"] = (rows[f"v{j}"] if i == 0 else rows[f"v{i}"] * rows[f"p{j}"]).sum()
    if state.null_at is not None:
        metrics["null_ll"] = _weighted_sum(
            families.log_likelihood(rows.y, rows.null, model.family), rows, model
        )
        metrics["null_gradient"] = _weighted_sum(rows.y - rows.null, rows, model)
        metrics["null_information"] = _weighted_sum(rows.null * (1.0 - rows.null), rows, model)
    keys = [rows[f"key{i}"] for i in range(len(design.factors))]
    expression = rows.group_by(keys).aggregate(**metrics) if keys else rows.aggregate(**metrics)
    pairs = [f"h{i}_{j}" for i, j in design.pairs()]

    def finish(table: pa.Table) -> Sums:
        codes = codes_of(table, design.factors)
        sums = {
            "information": design.gram(codes, design.scaled_pairs(matrix(table, pairs))),
            "gradient": design.total(codes, design.scaled(matrix(table, [f"g{i}" for i in range(size)]))),
            "log_likelihood": np.array(doubles(table, "ll").sum()),
        }
        for name in metrics:
            if name.startswith("null"):
                sums[name] = np.array(doubles(table, name).sum())
        return sums

    return Aggregate(expression, finish)


def _weighted_sum(value: ir.Value, rows: ir.Table, model: Model) -> ir.Value:
    """Sum over rows, with the question's weights."""
    return (value if model.weights is None else value * rows.w).sum()


def _null_deviance(state: Fitting, sums: Sums) -> float:
    """Deviance of the model with the intercept alone, or with nothing where there is no intercept."""
    totals = state.totals
    y, weight = totals["y"], totals["weight"]
    if state.model.family == "poisson":
        if state.model.formula.intercept:
            kernel = y * log(y / totals["exp_offset"]) + totals["y_offset"] - y if y > 0 else 0.0
        else:
            kernel = totals["y_offset"] - totals["exp_offset"]
        return 2 * (totals["saturated"] - kernel)
    if state.null_at is not None:
        return -2 * float(sums["null_ll"])
    mean = y / weight if state.model.formula.intercept else 0.5
    return -2 * (y * log(mean) + (weight - y) * log(1 - mean))


def _answer(state: Fitting, fitted: Maximum, null_deviance: float) -> Result:
    model, design, n = state.model, state.design, state.n
    back = design.restore()
    estimates = back @ fitted.coefficients
    estimates[[j for j, name in enumerate(design.names) if name == "(Intercept)"]] += state.shift
    covariance = back @ fitted.covariance @ back.T
    size = len(design.columns)
    df_residual = n - size
    deviance = 2 * (state.totals["saturated"] - fitted.log_likelihood)
    if model.family == "gaussian":
        deviance = max(deviance, 0.0)
        dispersion = deviance / df_residual if df_residual else float("nan")
        aic = n * (log(2 * pi * deviance / n) + 1) + 2 - state.totals["log_weight"] + 2 * size
        log_likelihood = size + 1 - aic / 2
    else:
        dispersion = 1.0
        log_likelihood = fitted.log_likelihood + state.totals["constant"]
        aic = -2 * log_likelihood + 2 * size
    errors = np.sqrt(np.diag(covariance) * dispersion)
    df = float(df_residual) if model.family == "gaussian" else None
    result = {
        "terms": term_rows(design.names, estimates, errors, conf_level=model.conf_level, df=df),
        "family": model.family,
        "link": families.FAMILIES[model.family],
        "deviance": deviance,
        "null_deviance": null_deviance,
        "df_residual": df_residual,
        "df_null": n - int(model.formula.intercept),
        "aic": aic,
        "log_likelihood": log_likelihood,
        "dispersion": dispersion,
        "n": n,
        "iterations": fitted.iterations,
    }
    return Result(result, n, state.n_missing, state.notes)
