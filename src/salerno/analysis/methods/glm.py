"""Generalised linear models: gaussian, binomial (logit), poisson (log), gamma (inverse or log).

Question: ``{"method": "glm", "formula": "status ~ age + sex", "family": "binomial"}``, with optional ``link``
(gamma), ``weights`` (a column), ``offset`` (a column or ``log(column)``; or ``offset(…)`` in the formula),
``errors`` (``HC0``, ``HC1``), ``cluster`` (a column; or ``cluster(…)`` in the formula), ``predict``
(``[{"age": 50, "sex": "F"}]``), ``diagnostics`` (true), ``reference``, ``conf_level``.
Splines stand in the formula, ``ns(age, df = 4)`` or ``bs(age, knots = c(40, 60))``; where knots are not given
they are placed at pooled quantiles, and the answer says where.
Result: ``{"terms": […], "family", "link", "deviance", "null_deviance", "df_residual", "df_null", "aic",
"log_likelihood", "dispersion", "n", "iterations"}``, equal to R's ``glm`` on the pooled rows; and
``errors``, ``n_clusters``, ``bases``, ``predictions`` and ``diagnostics`` where they were asked for.
A cluster lies within one holder: the same value at two holders is two clusters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import ibis.expr.types as ir

from salerno.analysis.disclosure.persons import check_level, check_model_size, check_persons, check_some
from salerno.analysis.formula import Formula, parse_formula
from salerno.analysis.methods._knots import Knotting, bases_told
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
    variable,
)
from salerno.analysis.sums.calibration import diagnostics, edges_of, guard_calibration
from salerno.analysis.sums.design import design_of
from salerno.analysis.sums.families import FAMILIES, RESPONSES, Family
from salerno.analysis.sums.fit import Fit, first_point, null_deviance
from salerno.analysis.sums.likelihood import Closing, Outcome, Point, local_closing, local_step, local_survey
from salerno.analysis.sums.newton import Maximum, Newton, advance, invert
from salerno.analysis.sums.prediction import profiles
from salerno.analysis.sums.regression import Survey
from salerno.analysis.sums.robust import ERRORS, errors_of
from salerno.analysis.terms import Numeric
from salerno.kernel.errors import Invalid, Refused

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
            ("gamma", "A positive value, such as costs (gamma regression)"),
        ),
    ),
    Parameter(
        name="link",
        label="Link",
        kind="choice",
        optional=True,
        advanced=True,
        options=(("", "The family's usual one"), ("log", "Logarithm"), ("inverse", "Inverse (gamma)")),
    ),
    Parameter(name="offset", label="Offset", kind="text", hint="Or log(column)", optional=True),
    Parameter(name="weights", label="Weights", optional=True),
    Parameter(
        name="cluster",
        label="Clusters",
        hint="A column whose equal values are not independent",
        optional=True,
        advanced=True,
    ),
    ERRORS,
    Parameter(
        name="predict",
        label="Predict at",
        kind="object",
        hint='As JSON, e.g. [{"age": 50, "sex": "F"}]',
        optional=True,
        advanced=True,
    ),
    Parameter(
        name="diagnostics",
        label="Residuals and calibration",
        kind="choice",
        optional=True,
        advanced=True,
        options=(("", "No"), ("true", "Yes")),
    ),
    REFERENCE,
    CONF_LEVEL,
)


@dataclass(frozen=True)
class Model:
    """The question, understood.

    Args:
        errors: ``model``, ``HC0`` or ``HC1``.
        predict: Covariate values of each prediction.
    """

    outcome: Outcome
    conf_level: float
    errors: str
    cluster: str
    predict: tuple[dict[str, Any], ...]
    diagnostics: bool

    @property
    def scope(self) -> Scope:
        """What the nodes agree on."""
        return self.outcome.scope

    @property
    def formula(self) -> Formula:
        """The formula, with knots as soon as they are placed."""
        return self.outcome.formula

    def complete(self, view: ir.Table) -> ir.BooleanValue:
        """Whether a row can be used."""
        return self.outcome.complete(view)

    def with_formula(self, formula: Formula) -> Model:
        """The same with the formula's knots."""
        return replace(self, outcome=replace(self.outcome, formula=formula))

    @property
    def family(self) -> Family:
        """Family and link."""
        return self.outcome.family

    @property
    def needs_closing(self) -> bool:
        """Whether there is something to be summed at the fitted coefficients."""
        return self.errors != "model" or self.diagnostics or self.family.name == "gamma"


@dataclass(frozen=True)
class Surveying:
    """First round: what there is."""

    model: Model
    survey: Survey


@dataclass(frozen=True)
class Fitting:
    """Further rounds: one step of Newton's method each."""

    model: Model
    fit: Fit
    search: Newton
    null_at: float | None = None

    @property
    def point(self) -> Point:
        """Where this round evaluates."""
        return Point(self.search.at, self.fit.shift, self.null_at)


@dataclass(frozen=True)
class Finishing:
    """Last round: what is summed at the fitted coefficients."""

    model: Model
    fit: Fit
    maximum: Maximum
    closing: Closing


State = Knotting[Model] | Surveying | Fitting | Finishing


def start(question: Question, scope: Scope) -> Knotting[Model] | Surveying:
    """Check the question and lay out the model."""
    check_keys(question, PARAMETERS)
    formula = parse_formula(
        question.get("formula"), scope, references(question, scope), special=("offset", "cluster")
    )
    family = _family(question)
    _check_response(formula, family)
    formula = _with_cluster(formula, question.get("cluster"), scope)
    weights = question.get("weights")
    offset = _offset(question.get("offset"), scope)
    outcome = Outcome(
        scope=scope,
        formula=formula,
        family=family,
        weights=None if weights is None else numeric(scope, weights, role="weights"),
        offsets=(*offset, *formula.offsets),
    )
    read = [c for n in (*formula.numerics, *outcome.offsets) for c in n.columns]
    model = Model(
        outcome=outcome,
        conf_level=conf_level(question),
        errors=errors_of(question, cluster=bool(formula.cluster)),
        cluster=formula.cluster,
        predict=profiles(
            question.get("predict"), list(dict.fromkeys([*read, *(f.column for f in formula.factors)]))
        ),
        diagnostics=_is_true(question.get("diagnostics")),
    )
    return Knotting.of(model) or _surveying(model)


def local(view: ir.Table, state: State) -> Aggregate:
    """Place knots, survey the holder's rows, or sum what a Newton step or the answer needs."""
    outcome = state.model.outcome
    if isinstance(state, Knotting):
        return state.local(view)
    if isinstance(state, Surveying):
        return local_survey(view, outcome, state.survey)
    if isinstance(state, Finishing):
        point = Point(state.maximum.coefficients, state.fit.shift)
        return local_closing(view, outcome, state.fit.design, point, state.closing)
    return local_step(view, outcome, state.fit.design, state.point, spread=state.model.diagnostics)


def guard(sums: Sums, state: State, scope: Scope) -> Sums:
    """Refuse to take part with too few persons; with few holders join small groups."""
    if isinstance(state, Knotting):
        return state.guard(sums, scope)
    if isinstance(state, Surveying):
        check_persons(int(sums["n"]), scope.policy, who="This holder's part")
    if isinstance(state, Finishing) and state.closing.diagnostics:
        return guard_calibration(sums, scope, events=state.model.family.name == "binomial")
    return sums


def step(sums: Sums, state: State) -> State | Result:
    """Take the next step, or answer."""
    if isinstance(state, Knotting):
        after = state.step(sums)
        return after if isinstance(after, Knotting) else _surveying(after)
    if isinstance(state, Surveying):
        return _begin(sums, state)
    if isinstance(state, Finishing):
        return _answer(sums, state)
    return _advance(sums, state)


def _advance(sums: Sums, state: Fitting) -> Fitting | Finishing | Result:
    """One step of Newton's method."""
    information, gradient = sums["information"], sums["gradient"]
    log_likelihood = float(sums["log_likelihood"])
    if state.model.family.name == "gaussian":
        covariance = invert(information, state.search.names)
        coefficients = covariance @ gradient
        found = Maximum(coefficients, covariance, log_likelihood + float(gradient @ coefficients) / 2, 2)
        return _finish(sums, state, found, -2 * log_likelihood)
    null_at = state.null_at
    if null_at is not None and state.model.formula.intercept:
        null_at += float(sums["null_gradient"]) / float(sums["null_information"])
    after = advance(state.search, log_likelihood, gradient, information)
    if isinstance(after, Newton):
        return replace(state, search=after, null_at=null_at)
    null_kernel = float(sums["null_ll"]) if "null_ll" in sums else None
    return _finish(sums, state, after, null_deviance(state.model.outcome, state.fit.totals, null_kernel))


def _finish(sums: Sums, state: Fitting, maximum: Maximum, null: float | None) -> Finishing | Result:
    """Answer, or ask for the sums at the fitted coefficients first."""
    model, fit = state.model, replace(state.fit, null_deviance=null)
    closing = Closing()
    if model.needs_closing:
        edges: tuple[float, ...] = ()
        if model.diagnostics and model.family.name == "gaussian":  # evaluated before its only step
            total, squares = fit.predictor_moments(maximum, sums["information"])
            edges = edges_of(total, squares, fit.totals["weight"], shift=fit.shift)
        elif model.diagnostics:
            edges = edges_of(float(sums["eta"]), float(sums["eta2"]), fit.n)
        closing = Closing(
            robust=model.errors != "model",
            cluster=model.cluster,
            diagnostics=model.diagnostics,
            edges=edges,
            far=4 * fit.rough_dispersion(maximum),
        )
    finishing = Finishing(model, fit, maximum, closing)
    return finishing if model.needs_closing else _answer({}, finishing)


def _surveying(model: Model) -> Surveying:
    return Surveying(model, Survey(model.formula, design_of(model.formula), model.scope))


def _family(question: Question) -> Family:
    name = choice(question, "family", tuple(FAMILIES), "gaussian")
    links = FAMILIES[name]
    return Family(name, choice(question, "link", links, links[0]))


def _check_response(formula: Formula, family: Family) -> None:
    response = formula.response
    if response is None or formula.time:
        raise Invalid("wrong-formula", "A glm formula needs a response before '~'")
    if isinstance(response, Factor):
        if family.name != "binomial":
            raise Invalid(
                "not-numeric", f"A {family.name} response must be numeric, and {response.column!r} is not"
            )
        if len(response.levels) != 2:
            raise Invalid(
                "response-values",
                f"A binomial response has two levels, and {response.column!r} has {len(response.levels)}",
            )


def _with_cluster(formula: Formula, given: Any, scope: Scope) -> Formula:
    if given is None:
        return formula
    if formula.cluster:
        raise Invalid("wrong-formula", "Clusters are given in the formula and as 'cluster'")
    return replace(formula, cluster=variable(scope, given, role="cluster").name)


def _offset(given: Any, scope: Scope) -> tuple[Numeric, ...]:
    if given is None:
        return ()
    terms = parse_formula(f"~ {given}", scope).terms
    if len(terms) != 1 or len(terms[0]) != 1 or not isinstance(terms[0][0], Numeric):
        raise Invalid("wrong-offset", "'offset' must be a numeric column or log(column)")
    return (terms[0][0],)


def _is_true(given: Any) -> bool:
    if given not in (None, True, False, "true", "false"):
        raise Invalid("unknown-choice", f"'diagnostics' must be true or false, not {given!r}")
    return given in (True, "true")


def _begin(sums: Sums, state: Surveying) -> Fitting:
    model = state.model
    policy = model.scope.policy
    n = int(sums["n"])
    check_some(n, policy)
    if int(sums["bad"]):
        name = model.family.name
        raise Invalid("response-values", f"A {name} response must have {RESPONSES[name]}")
    if model.family.name == "binomial":
        _check_events(model.formula, n, int(sums["events"]), model.scope)
    kept, notes = state.survey.check(sums)
    design, empty = state.survey.without_empty(design_of(model.formula, levels=kept), sums)
    design = design.with_scales(sums["part_sums"], sums["part_squares"], n)
    check_model_size(n, len(design.columns), policy)
    names = ("y", "weight", "log_weight", "saturated", "constant")
    offsets = ("offset", "y_offset", "exp_offset", "y_exp_offset")
    totals = {name: float(sums[name]) if name in sums else 0.0 for name in (*names, *offsets)}
    if not model.outcome.offsets:
        totals |= {"exp_offset": totals["weight"], "y_exp_offset": totals["y"]}
    at, null_at = first_point(model.outcome, design, totals)
    shift = (totals["y"] - totals["offset"]) / totals["weight"] if model.formula.intercept else 0.0
    fit = Fit(
        outcome=model.outcome,
        design=design,
        totals=totals,
        n=n,
        n_missing=int(sums["rows"]) - n,
        notes=(*notes, *empty),
        shift=shift if model.family.name == "gaussian" else 0.0,
    )
    return Fitting(model, fit, Newton(design.names, at, totals["weight"]), null_at)


def _check_events(formula: Formula, n: int, events: int, scope: Scope) -> None:
    response = formula.response
    name = response.column if isinstance(response, Factor) else getattr(response, "text", "")
    for count, value in ((events, "1"), (n - events, "0")):
        check_level(count, scope.policy, column=name, level=value)
        if count == 0:
            raise Invalid("response-values", f"The response {name!r} is the same for everybody")


def _answer(sums: Sums, state: Finishing) -> Result:
    model, fit = state.model, state.fit
    n_clusters = int(sums["n_clusters"]) if "n_clusters" in sums else None
    if n_clusters is not None and n_clusters < 2:
        raise Refused("too-few-clusters", f"Fewer than two values of {model.cluster!r} are clusters")
    fitted = fit.summary(state.maximum, sums, errors=model.errors, n_clusters=n_clusters)
    result: dict[str, Any] = {
        "terms": fitted.terms(model.conf_level),
        **fitted.statistics,
        "n": fit.n,
        "iterations": state.maximum.iterations,
    }
    if model.errors != "model":
        result |= {"errors": model.errors}
    if n_clusters is not None:
        result |= {"cluster": model.cluster, "n_clusters": n_clusters}
    bases = bases_told(model.formula)
    if bases:
        result["bases"] = bases
    if model.predict:
        result["predictions"] = [fitted.prediction(row, model.conf_level) for row in model.predict]
    if model.diagnostics:
        dispersion = fitted.statistics["dispersion"]
        result["diagnostics"] = diagnostics(
            sums, model.scope, fit.n, dispersion, events=model.family.name == "binomial"
        )
    return Result(result, fit.n, fit.n_missing, fit.notes)
