"""Cox regression, with Efron's or Breslow's rule for ties.

Question: ``{"method": "cox", "formula": "Surv(time, status) ~ age + sex", "ties": "efron",
"strata": "holder"}``. With ``strata`` ``holder`` (the default) each holder keeps its own risk sets and only
its score and information are added; ``null`` shares risk sets over all holders on a dense grid of times;
a column, or a list, has risk sets by its levels (within holders where ``holder`` is among them).
``event`` may give other event codes, as ``{"column": "status", "codes": [2]}``.
Result: ``{"terms": [{…, "hazard_ratio", "hazard_ratio_low", "hazard_ratio_high"}], "ties", "strata", "n",
"n_events", "log_likelihood_null", "log_likelihood", "likelihood_ratio", "wald", "score", "iterations"}``,
equal to R's ``coxph`` on the pooled rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import chdtrc

from salerno.analysis.disclosure.persons import check_level, check_model_size, check_persons, check_some
from salerno.analysis.formula import Formula, parse_formula
from salerno.analysis.model import Aggregate, Parameter, Question, Result, Scope, Sums
from salerno.analysis.questions import (
    CONF_LEVEL,
    EVENT,
    HOLDER,
    REFERENCE,
    RESOLUTION,
    Factor,
    check_keys,
    choice,
    conf_level,
    factor,
    names,
    references,
)
from salerno.analysis.sums.columns import every, integers, is_event, is_listed, keys_of
from salerno.analysis.sums.design import design_of
from salerno.analysis.sums.follow_up import FollowUp, follow_up
from salerno.analysis.sums.hazards import Hazards
from salerno.analysis.sums.life_table import LifeTable
from salerno.analysis.sums.newton import Maximum, Newton, advance
from salerno.analysis.sums.regression import Survey, right_side, term_rows
from salerno.analysis.sums.risk_sets import RiskSums, full, score_of
from salerno.kernel.errors import Invalid, Refused

NAME = "cox"
LABEL = "Cox regression"
PARAMETERS = (
    Parameter(
        name="formula",
        label="Formula",
        kind="formula",
        hint="Time and event in Surv(…), then the columns with + between them",
        default="Surv(time, status) ~ age + sex",
    ),
    Parameter(
        name="strata",
        label="Baseline hazard",
        kind="choice",
        optional=True,
        options=(
            ("", "One for each data holder (recommended)"),
            ("null", "One shared by all"),
        ),
    ),
    Parameter(
        name="ties",
        label="Tied times",
        kind="choice",
        optional=True,
        options=(
            ("", "The method's usual way"),
            ("efron", "Efron"),
            ("breslow", "Breslow"),
        ),
    ),
    EVENT,
    REFERENCE,
    RESOLUTION,
    CONF_LEVEL,
)
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Model:
    """The question, understood.

    Args:
        strata: Columns whose levels have risk sets of their own, beside the holders.
        by_holder: Whether each holder keeps its own risk sets.
    """

    scope: Scope
    formula: Formula
    follow: FollowUp
    ties: str
    strata: tuple[Factor, ...]
    by_holder: bool
    conf_level: float

    def complete(self, view: ir.Table) -> ir.BooleanValue:
        """Whether a row can be used."""
        conditions = self.follow.conditions(view)
        conditions += [is_listed(view, f) for f in self.strata]
        return every([*conditions, right_side(view, self.formula, self.scope)])


@dataclass(frozen=True)
class Surveying:
    """First round: what there is."""

    model: Model
    survey: Survey


@dataclass(frozen=True)
class Timing:
    """Second round with shared risk sets: when events happen anywhere."""

    model: Model
    fitting: Fitting


@dataclass(frozen=True)
class Fitting:
    """Further rounds: one step of Newton's method each.

    Args:
        cells, ticks, deaths: Pooled event times by stratum, with their events; empty within holders.
        null: Log-likelihood and score statistic at zero.
    """

    model: Model
    hazards: Hazards
    search: Newton
    n: int
    n_missing: int
    n_events: int
    notes: tuple[str, ...]
    cells: NDArray[np.int64]
    ticks: NDArray[np.int64]
    deaths: NDArray[np.int64]
    null: tuple[float, float] | None = None


State = Surveying | Timing | Fitting


def start(question: Question, scope: Scope) -> Surveying:
    """Check the question and lay out the model."""
    check_keys(question, PARAMETERS)
    formula = parse_formula(question.get("formula"), scope, references(question, scope), special=("strata",))
    if not formula.time:
        raise Invalid("wrong-formula", "A cox formula begins with Surv(time, event) ~")
    if not formula.terms:
        raise Invalid("wrong-formula", "A cox formula needs a term")
    asked = question.get("strata", HOLDER)
    listed = names({"strata": asked, "method": NAME}, "strata", required=False)
    strata = dict.fromkeys([*listed, *formula.strata])
    by_holder = strata.pop(HOLDER, "") is None
    if not by_holder and len(scope.holders) > 1 and not scope.policy.shared_risk_sets:
        raise Refused(
            "shared-risk-sets",
            "A holder's policy does not allow risk sets that are shared over holders",
            remedy='Ask with "strata": "holder".',
        )
    event = question.get("event", formula.event)
    if isinstance(event, dict) and event.get("column") != formula.event:
        raise Invalid("event-codes", "'event' must name the formula's event column")
    model = Model(
        scope=scope,
        formula=formula,
        follow=follow_up(question, scope, time=formula.time, event_column=event),
        ties=choice(question, "ties", ("efron", "breslow"), "efron"),
        strata=tuple(factor(scope, name, role="strata") for name in strata),
        by_holder=by_holder,
        conf_level=conf_level(question),
    )
    return Surveying(model, Survey(formula, design_of(formula, constant=True), scope))


def local(view: ir.Table, state: State) -> Aggregate:
    """Survey the rows, count events by time, or sum what a Newton step needs."""
    if isinstance(state, Surveying):
        return _local_survey(view, state)
    model = state.model
    if isinstance(state, Timing):
        table = LifeTable(model.scope, state.fitting.hazards.follow, model.strata)
        kept = view.filter(model.complete(view))
        return Aggregate(table.counts(kept), lambda rows: {"died": table.count_sums(rows)["died"][0]})
    expression = state.hazards.expression(view, model.complete(view), state.search.at)
    at = state.search.at
    if model.by_holder:
        return Aggregate(expression, lambda rows: state.hazards.own_score(rows, at))
    return Aggregate(expression, lambda rows: state.hazards.shared_parts(rows, state.cells, state.ticks, at))


def guard(sums: Sums, state: State, scope: Scope) -> Sums:
    """Refuse to take part with too few persons."""
    if isinstance(state, Surveying):
        check_persons(int(sums["n"]), scope.policy, who="This holder's part")
    return sums


def step(sums: Sums, state: State) -> State | Result:
    """Agree the event times, take the next Newton step, or answer."""
    if isinstance(state, Surveying):
        return _begin(sums, state)
    if isinstance(state, Timing):
        cells, ticks = np.nonzero(sums["died"])
        return replace(state.fitting, cells=cells, ticks=ticks, deaths=sums["died"][cells, ticks])
    size = state.hazards.size
    if state.model.by_holder:
        log_likelihood, gradient = float(sums["log_likelihood"]), sums["gradient"]
        information = full(sums["information"], size)
    else:
        log_likelihood, gradient, information = _shared_score(sums, state)
    after = advance(state.search, log_likelihood, gradient, information)
    null = state.null
    if null is None:
        first = after.at if isinstance(after, Newton) else after.coefficients
        null = (log_likelihood, float(gradient @ first))
    if isinstance(after, Newton):
        return replace(state, search=after, null=null)
    return _answer(replace(state, null=null), after)


def _local_survey(view: ir.Table, state: Surveying) -> Aggregate:
    model, survey = state.model, state.survey
    rows = survey.rows(view, model.complete(view))
    keys = keys_of(rows, survey.design.factors, rows.ok)
    expression = rows.group_by(**keys) if keys else rows
    expression = expression.aggregate(
        **survey.metrics(rows),
        **model.follow.metrics(rows, rows.ok),
        events=(rows.ok & is_event(rows, model.follow.event)).sum(),
    )

    def finish(table: pa.Table) -> Sums:
        return {
            **survey.sums(table),
            "events": np.array(integers(table, "events").sum(), dtype=np.int64),
            **model.follow.sums(table),
        }

    return Aggregate(expression, finish)


def _begin(sums: Sums, state: Surveying) -> Timing | Fitting:
    model = state.model
    policy = model.scope.policy
    n, n_events = int(sums["n"]), int(sums["events"])
    check_some(n, policy)
    model.follow.check_codes(sums)
    check_level(n_events, policy, column=model.follow.event.column, level="an event")
    if n_events == 0:
        raise Invalid("no-events", "Nobody has an event")
    kept, notes = state.survey.check(sums)
    design = design_of(model.formula, levels=kept, constant=True)
    check_model_size(n, len(design.columns), policy)
    if not design.columns:
        raise Invalid("design-empty", "No term of the formula varies")
    follow = model.follow if model.by_holder else model.follow.agreed(sums["exponents"])
    if not model.by_holder:
        notes += follow.notes()
        notes.append("Risk sets are shared: the coordinator saw sums over all holders by event time.")
    none = np.zeros(0, dtype=np.int64)
    fitting = Fitting(
        model=model,
        hazards=Hazards(
            scope=model.scope,
            follow=follow,
            design=design.with_scales(sums["part_sums"], sums["part_squares"], n),
            strata=model.strata,
            ties=model.ties,
        ),
        search=Newton(design.names, np.zeros(len(design.columns)), float(n_events)),
        n=n,
        n_missing=int(sums["rows"]) - n,
        n_events=n_events,
        notes=tuple(notes),
        cells=none,
        ticks=none,
        deaths=none,
    )
    return fitting if model.by_holder else Timing(model, fitting)


def _shared_score(sums: Sums, state: Fitting) -> tuple[float, Array, Array]:
    """The score from pooled sums by event time."""
    size = state.hazards.size
    leaving = RiskSums(*(sums[f"leaving{i}"] for i in range(3)))
    dying = RiskSums(*(sums[f"dying{i}"] for i in range(3)))
    log_likelihood, gradient = float(sums["eta"]), sums["gradient"]
    pairs = np.zeros(size * (size + 1) // 2)
    for stratum in np.unique(state.cells):
        rows = state.cells == stratum
        score = score_of(leaving[rows].cumulated(), dying[rows], state.deaths[rows], state.model.ties)
        log_likelihood += score.log_likelihood
        gradient = gradient + score.gradient
        pairs = pairs + score.information
    return log_likelihood, gradient, full(pairs, size)


def _answer(state: Fitting, fitted: Maximum) -> Result:
    model, design = state.model, state.hazards.design
    assert state.null is not None
    back = design.restore()
    estimates = back @ fitted.coefficients
    covariance = back @ fitted.covariance @ back.T
    terms = term_rows(design.names, estimates, np.sqrt(np.diag(covariance)), conf_level=model.conf_level)
    for term in terms:
        for name, of in (("", "estimate"), ("_low", "conf_low"), ("_high", "conf_high")):
            term[f"hazard_ratio{name}"] = exp(min(term[of], 700.0))
    df = len(terms)
    null_log_likelihood, score = state.null
    wald = float(fitted.coefficients @ np.linalg.solve(fitted.covariance, fitted.coefficients))
    strata = [*([HOLDER] if model.by_holder else []), *(f.column for f in model.strata)]
    result = {
        "terms": terms,
        "ties": model.ties,
        "strata": strata,
        "n": state.n,
        "n_events": state.n_events,
        "log_likelihood_null": null_log_likelihood,
        "log_likelihood": fitted.log_likelihood,
        "likelihood_ratio": _test(2 * (fitted.log_likelihood - null_log_likelihood), df),
        "wald": _test(wald, df),
        "score": _test(score, df),
        "iterations": fitted.iterations,
    }
    return Result(result, state.n, state.n_missing, state.notes)


def _test(statistic: float, df: int) -> dict[str, Any]:
    return {"statistic": statistic, "df": df, "p_value": float(chdtrc(df, max(statistic, 0.0)))}
