"""Cox regression, with Efron's or Breslow's rule for ties.

Question: ``{"method": "cox", "formula": "Surv(time, status) ~ age + sex", "ties": "efron",
"strata": "holder"}``. With ``strata`` ``holder`` (the default) each holder keeps its own risk sets and only
its score and information are added; ``null`` shares risk sets over all holders on a grid of times;
a column, or a list, has risk sets by its levels (within holders where ``holder`` is among them).
``Surv(start, stop, event)`` takes several rows per person, whom the column ``id`` names; ``event`` may give
other event codes, as ``{"column": "status", "codes": [2]}``, for the hazard of one cause of several.
Further: ``weights`` (a column), ``offset(…)``, ``cluster(…)`` and splines in the formula, ``errors``
(``HC0``: robust), ``proportional_hazards`` (``identity`` or ``log``: a test in that function of time),
``predict`` (covariate values whose survival curve is told at ``grid``), ``reference``, ``conf_level``.
Result: ``{"terms": [{…, "hazard_ratio", "hazard_ratio_low", "hazard_ratio_high"}], "ties", "strata", "n",
"n_events", "log_likelihood_null", "log_likelihood", "likelihood_ratio", "wald", "score", "iterations"}``,
equal to R's ``coxph`` on the pooled rows; and ``errors``, ``n_persons``, ``n_clusters``,
``proportional_hazards`` (``cox.zph``), ``survival`` (``survfit``) and ``bases`` where they were asked for.
A cluster lies within one holder: the same value at two holders is two clusters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from salerno.analysis.disclosure.persons import check_level, check_model_size, check_persons, check_some
from salerno.analysis.methods._cox_question import PARAMETERS as PARAMETERS
from salerno.analysis.methods._cox_question import model_of
from salerno.analysis.methods._knots import Knotting, bases_told
from salerno.analysis.model import Aggregate, Question, Result, Scope, Sums
from salerno.analysis.sums.columns import holder_of, integers, is_event, keys_of
from salerno.analysis.sums.cox_answer import answer
from salerno.analysis.sums.cox_closing import clocked_events, local_residuals, own_closing
from salerno.analysis.sums.cox_model import CoxFit, Model, PersonCount, shared_score
from salerno.analysis.sums.design import design_of
from salerno.analysis.sums.hazards import Hazards, Rows
from salerno.analysis.sums.kept import filled, for_same, places
from salerno.analysis.sums.life_table import is_coarse
from salerno.analysis.sums.newton import Maximum, Newton, advance
from salerno.analysis.sums.regression import Survey, released_by
from salerno.analysis.sums.risk_sets import full
from salerno.analysis.sums.told_times import grid_times
from salerno.holdings.model import Numbers
from salerno.kernel.errors import Invalid

NAME = "cox"
LABEL = "Cox regression"


@dataclass(frozen=True)
class Counting:
    """First round where persons have several rows: how many persons there are."""

    model: Model
    persons: PersonCount


@dataclass(frozen=True)
class Surveying:
    """First round: what there is."""

    model: Model
    survey: Survey


@dataclass(frozen=True)
class Timing:
    """Second round with shared risk sets: when events happen anywhere."""

    fitting: Fitting

    @property
    def model(self) -> Model:
        """The question, understood."""
        return self.fitting.model


@dataclass(frozen=True)
class Fitting:
    """Further rounds: one step of Newton's method each.

    Args:
        null: Log-likelihood and score statistic at zero.
    """

    fit: CoxFit
    search: Newton
    null: tuple[float, float] | None = None

    @property
    def model(self) -> Model:
        """The question, understood."""
        return self.fit.model


@dataclass(frozen=True)
class Finishing:
    """Last rounds: what is summed at the fitted coefficients.

    Args:
        null: Log-likelihood and score statistic at zero.
        sums: Of the first of them; None before it.
    """

    fit: CoxFit
    maximum: Maximum
    null: tuple[float, float]
    sums: Sums | None = None

    @property
    def model(self) -> Model:
        """The question, understood."""
        return self.fit.model

    @property
    def is_residual(self) -> bool:
        """Whether this round sums squares of residuals, which comes last."""
        closing = self.model.closing
        return closing.robust and (self.sums is not None or not self.fit.needs_closing)


State = Knotting[Model] | Counting | Surveying | Timing | Fitting | Finishing


def start(question: Question, scope: Scope) -> State:
    """Check the question and lay out the model."""
    model = model_of(question, scope)
    return Knotting.of(model) or _counting(model)


def local(view: ir.Table, state: State) -> Aggregate:
    """Survey the rows, count events by time, or sum what a step or the answer needs."""
    if isinstance(state, Knotting):
        return state.local(view)
    if isinstance(state, Counting):
        return replace(state.persons.local(view, state.model), released=_released(view, state.model))
    if isinstance(state, Surveying):
        return _local_survey(view, state)
    if isinstance(state, Timing):
        hazards = state.fitting.fit.hazards
        expression, numbers = _at(view, state.model, hazards, state.fitting.search.at)
        return Aggregate(expression, lambda rows: {"died": hazards.death_counts(rows)}, numbers=numbers)
    fit, hazards = state.fit, state.fit.hazards
    at = state.maximum.coefficients if isinstance(state, Finishing) else state.search.at
    if isinstance(state, Finishing) and state.is_residual:
        paths = None if state.model.by_holder else fit.paths(state.sums or {})
        return local_residuals(view, state.model.complete(view), hazards, state.model.closing, at, paths)
    expression, numbers = _at(view, state.model, hazards, at)
    if isinstance(state, Finishing):
        finish = _closing_sums(view, state, at)
    elif state.model.by_holder:
        finish = partial(hazards.own_score, coefficients=at)
    else:
        finish = partial(hazards.shared_parts, cells=fit.cells, ticks=fit.ticks, coefficients=at)
    return Aggregate(expression, finish, numbers=numbers)


def _at(view: ir.Table, model: Model, hazards: Hazards, at: NDArray[np.float64]) -> tuple[ir.Table, Numbers]:
    """The aggregate of the rows by time, and the numbers that make it that of one point."""
    expression, where = _by_time(view, model, hazards)
    return expression, filled(where, hazards.design.unscaled(at))


@for_same
def _by_time(view: ir.Table, model: Model, hazards: Hazards) -> tuple[ir.Table, list[ir.FloatingScalar]]:
    where = places(hazards.size)
    return hazards.expression(view, model.complete(view), where), where


def guard(sums: Sums, state: State, scope: Scope) -> Sums:
    """Refuse to take part with too few persons, or with few holders with too few events."""
    if isinstance(state, Knotting):
        return state.guard(sums, scope)
    if isinstance(state, Counting):
        state.persons.check(sums, state.model, alone=scope.few)
    if isinstance(state, Surveying):
        check_persons(int(sums["n"]), scope.policy, who="This holder's part")
        if scope.few:
            _check_events(int(sums["events"]), state.model)
    if isinstance(state, Timing) and is_coarse(scope):
        for count in sums["died"][sums["died"] > 0].tolist():
            _check_events(count, state.model)
    return sums


def step(sums: Sums, state: State) -> State | Result:
    """Agree the event times, take the next Newton step, or answer."""
    if isinstance(state, Knotting):
        after = state.step(sums)
        return after if isinstance(after, Knotting) else _counting(after)
    if isinstance(state, Counting):
        state.persons.check(sums, state.model, alone=True)
        return _surveying(replace(state.model, n_persons=int(sums["persons"])))
    if isinstance(state, Surveying):
        return _begin(sums, state)
    if isinstance(state, Timing):
        fit = state.fitting.fit
        cells, ticks = np.nonzero(sums["died"])
        fit = replace(fit, cells=cells, ticks=ticks, deaths=sums["died"][cells, ticks])
        return replace(state.fitting, fit=fit)
    if isinstance(state, Finishing):
        return _finish(sums, state)
    return _advance(sums, state)


def _advance(sums: Sums, state: Fitting) -> Fitting | Finishing | Result:
    """One step of Newton's method."""
    if state.model.by_holder:
        log_likelihood, gradient = float(sums["log_likelihood"]), sums["gradient"]
        information = full(sums["information"], state.fit.hazards.size)
    else:
        log_likelihood, gradient, information = shared_score(sums, state.fit)
    after = advance(state.search, log_likelihood, gradient, information)
    null = state.null
    if null is None:
        first = after.at if isinstance(after, Newton) else after.coefficients
        null = (log_likelihood, float(gradient @ (first - state.search.at)))
    if isinstance(after, Newton):
        return replace(state, search=after, null=null)
    if state.fit.needs_closing or state.model.closing.robust:
        return Finishing(state.fit, after, null)
    return _answer(Finishing(state.fit, after, null), {}, {})


def _finish(sums: Sums, state: Finishing) -> Finishing | Result:
    """Go on to the residuals, or answer."""
    if state.is_residual:
        return _answer(state, state.sums or {}, sums)
    if state.model.closing.robust:
        return replace(state, sums=sums)
    return _answer(state, sums, {})


def _answer(state: Finishing, closing: Sums, residuals: Sums) -> Result:
    bases = bases_told(state.model.formula)
    return answer(state.fit, state.maximum, state.null, closing, residuals, bases)


def _counting(model: Model) -> Counting | Surveying:
    return Counting(model, PersonCount.of(model)) if model.person else _surveying(model)


def _surveying(model: Model) -> Surveying:
    return Surveying(model, Survey(model.formula, design_of(model.formula, constant=True), model.scope))


def _released(view: ir.Table, model: Model) -> Any:
    return released_by(view, model.formula, model.complete(view).fill_null(False))


def _check_events(n: int, model: Model) -> None:
    check_level(n, model.scope.policy, column=model.follow.event.column, level="an event")


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

    return Aggregate(expression, finish, _released(view, model))


def _begin(sums: Sums, state: Surveying) -> Timing | Fitting:
    model = state.model
    policy = model.scope.policy
    n, n_events = int(sums["n"]), int(sums["events"])
    check_some(n, policy)
    model.follow.check_codes(sums)
    _check_events(n_events, model)
    if n_events == 0:
        raise Invalid("no-events", "Nobody has an event")
    kept, notes = state.survey.check(sums)
    design, empty = state.survey.without_empty(design_of(model.formula, levels=kept, constant=True), sums)
    check_model_size(model.n_persons or n, len(design.columns), policy)
    if not design.columns:
        raise Invalid("design-empty", "No term of the formula varies")
    agreed = model.follow.agreed(sums["exponents"])
    if model.predict:
        times = grid_times(model.grid, agreed, bound=agreed.n_ticks * agreed.resolution)
        model = replace(model, closing=replace(model.closing, times=times))
    follow = model.follow if model.by_holder else agreed
    coarse = not model.by_holder and is_coarse(model.scope)
    fit = CoxFit(
        model=model,
        hazards=Hazards(
            scope=model.scope,
            follow=follow,
            design=design.with_scales(sums["part_sums"], sums["part_squares"], n),
            strata=model.strata,
            ties=model.ties,
            weights=model.weights,
            offsets=model.formula.offsets,
            min_cell=policy.min_cell if coarse else 0,
        ),
        n=n,
        n_missing=int(sums["rows"]) - n,
        n_events=n_events,
        notes=(*notes, *empty, *model.notes(follow)),
    )
    fitting = Fitting(fit, Newton(design.names, np.zeros(len(design.columns)), float(n_events)))
    return fitting if model.by_holder else Timing(fitting)


def _closing_sums(view: ir.Table, state: Finishing, at: NDArray[np.float64]) -> Any:
    """How the aggregated rows become the sums of the first closing round."""
    model, fit, hazards = state.model, state.fit, state.fit.hazards
    holders = [model.scope.names.get(did, did) for did in model.scope.holders]
    own = holder_of(view)
    slot = holders.index(own) if own in holders else 0

    def finish(table: pa.Table) -> Sums:
        if model.by_holder:
            rows = Rows(hazards, table)
            return own_closing(hazards, model.closing, rows, slot, len(holders))
        sums = hazards.shared_parts(table, fit.cells, fit.ticks, at)
        if model.closing.clock:
            sums |= clocked_events(model.closing, Rows(hazards, table), hazards.follow.resolution)
        return sums

    return finish
