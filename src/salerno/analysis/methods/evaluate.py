"""How well a score that the holders have predicts a yes-or-no outcome: discrimination and calibration.

Question: ``{"method": "evaluate", "outcome": "death", "score": "risk"}``, with optional ``scale``
(``probability``, or ``score`` for one that only ranks), ``reference`` (of a two-level outcome) and
``conf_level``.
Result: ``{"auc", "auc_std_error", "auc_conf_low", "auc_conf_high", "auc_resolution", "n", "events"}``, with
DeLong's interval; of probabilities also ``brier``, ``log_loss``, ``calibration`` in groups, and ``terms``:
the intercept and slope of the logistic regression of the outcome on the log odds of the score, and the
intercept where the slope is 1 (calibration in the large). Perfect are slope 1 and intercept 0.

The score must be a column of the holders. Coefficients in the question would be weights that the researcher
chooses, and a weight can single somebody out. A model of `boosting` is tested by its own ``test``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from salerno.analysis.disclosure.persons import check_level, check_persons, check_some
from salerno.analysis.model import Aggregate, Parameter, Question, Released, Result, Scope, Sums
from salerno.analysis.questions import (
    CONF_LEVEL,
    REFERENCE,
    check_keys,
    choice,
    conf_level,
    numeric,
    required,
)
from salerno.analysis.sums.bins import guard_bins, is_binnable, places
from salerno.analysis.sums.columns import as_number, doubles, integers, real, scatter
from salerno.analysis.sums.features import Binning, Feature
from salerno.analysis.sums.newton import Maximum, Newton, advance
from salerno.analysis.sums.outcomes import Outcome, outcome_of
from salerno.analysis.sums.regression import term_rows
from salerno.analysis.sums.scores import calibration, discrimination, guard_classes
from salerno.catalogue.model import Variable
from salerno.kernel.errors import Invalid

NAME = "evaluate"
LABEL = "Test a score"
PARAMETERS = (
    Parameter(name="outcome", label="Outcome"),
    Parameter(name="score", label="Column with the score"),
    Parameter(
        name="scale",
        label="What the score is",
        kind="choice",
        options=(("probability", "A predicted probability"), ("score", "Any number that ranks")),
        optional=True,
    ),
    REFERENCE,
    CONF_LEVEL,
)
_MOST_BINS = 1000
_LEAST_PROBABILITY = 1e-12
"""Probabilities nearer to 0 and 1 count as this near, so that their log odds are finite."""
_INTERCEPT, _SLOPE, _LARGE = "intercept", "slope", "calibration in the large"


@dataclass(frozen=True)
class State:
    """The question and how far it has come.

    Args:
        totals: ``rows``, ``n``, ``events``; None before the first round.
        figures: Members of the result that are known; empty before the bins are agreed.
        searches: Newton's searches for slope and intercept, and for the intercept alone.
        found: Their results.
    """

    scope: Scope
    outcome: Outcome
    score: Variable
    is_probability: bool
    conf_level: float
    binning: Binning
    totals: dict[str, int] | None = None
    feature: Feature | None = None
    figures: dict[str, Any] | None = None
    searches: tuple[Newton | Maximum, ...] = ()

    def rows(self, view: ir.Table) -> ir.Table:
        """Rows with outcome ``y`` and score ``x``."""
        return view.filter(self.known(view)).select(
            y=self.outcome.value(view), x=as_number(view, self.score), wrong=self.is_wrong(view)
        )

    def known(self, view: ir.Table) -> ir.BooleanValue:
        """Whether a row has both."""
        return self.outcome.is_known(view) & is_binnable(view, self.score)

    def is_wrong(self, view: ir.Table) -> ir.BooleanValue:
        """Whether a row's outcome or probability is out of range."""
        wrong = self.outcome.is_wrong(view)
        if not self.is_probability:
            return wrong
        x = as_number(view, self.score)
        return wrong | (x < real(0)) | (x > real(1))


def start(question: Question, scope: Scope) -> State:
    """Check the question."""
    check_keys(question, PARAMETERS)
    score = numeric(scope, required(question, "score"), role="score")
    outcome = outcome_of(question, scope, binary=True)
    if outcome.name == score.name:
        raise Invalid("repeated-column", "The outcome cannot be its own score")
    return State(
        scope=scope,
        outcome=outcome,
        score=score,
        is_probability=choice(question, "scale", ("probability", "score"), "probability") == "probability",
        conf_level=conf_level(question),
        binning=Binning(scope, (score,), _MOST_BINS),
    )


def local(view: ir.Table, state: State) -> Aggregate:
    """Counts by bins of the score; of events and others by these; then steps towards slope and intercept."""
    if state.feature is None:
        return _local_bins(view, state)
    return _local_classes(view, state) if state.figures is None else _local_steps(view, state)


def _local_bins(view: ir.Table, state: State) -> Aggregate:
    known = state.known(view).fill_null(False)
    (code,) = state.binning.codes(view)
    kept = view.select(
        bin=ibis.ifelse(known, code, ibis.null()),
        y=state.outcome.value(view),
        ok=known,
        wrong=state.is_wrong(view),
    )
    metrics = {
        "rows": kept.count(),
        "n": kept.ok.sum(),
        "events": (kept.ok & (kept.y == real(1))).sum(),
        "wrong": (kept.ok & kept.wrong).sum(),
    }
    expression = kept.group_by("bin").aggregate(**metrics)
    size = sum(state.binning.spans())
    first = state.totals is None

    def finish(table: pa.Table) -> Sums:
        sums: Sums = {
            "bins": scatter(places(table), integers(table, "n"), size),
            "inner": np.zeros(size, dtype=np.int64),
        }
        if first:
            sums |= {name: np.array(integers(table, name).sum(), dtype=np.int64) for name in metrics}
        return sums

    if not first:
        return Aggregate(expression, finish)
    return Aggregate(expression, finish, (Released(known), Released(known, (state.outcome.value(view),))))


def _local_classes(view: ir.Table, state: State) -> Aggregate:
    assert state.feature is not None
    rows = view.filter(state.known(view))
    rows = rows.select(
        bin=state.feature.code(rows), y=state.outcome.value(rows), x=as_number(rows, state.score)
    )
    p = _clipped(rows.x) if state.is_probability else real(0)
    rows = rows.select("bin", "y", p=p)
    metrics = {"n": rows.count(), "events": (rows.y == real(1)).sum()}
    if state.is_probability:
        metrics |= {
            "p": rows.p.sum(),
            "brier": ((rows.y - rows.p) * (rows.y - rows.p)).sum(),
            "log_loss": -((1.0 - rows.y) - rows.p).abs().ln().sum(),
        }
    expression = rows.group_by("bin").aggregate(**metrics)
    size = state.feature.n_codes

    def finish(table: pa.Table) -> Sums:
        cells, n, events = places(table), integers(table, "n"), integers(table, "events")
        sums: Sums = {
            "classes": np.stack([scatter(cells, n - events, size), scatter(cells, events, size)]),
            "inner": np.zeros(size, dtype=np.int64),
        }
        if state.is_probability:
            sums["predicted"] = scatter(cells, doubles(table, "p"), size)
            sums |= {name: np.array(doubles(table, name).sum()) for name in ("brier", "log_loss")}
        return sums

    return Aggregate(expression, finish)


def _local_steps(view: ir.Table, state: State) -> Aggregate:
    rows = view.filter(state.known(view))
    rows = rows.select(y=state.outcome.value(rows), p=_clipped(as_number(rows, state.score)))
    rows = rows.select("y", x=(rows.p / (1.0 - rows.p)).ln())
    columns: dict[str, ir.Value] = {}
    for name, search in zip("ab", state.searches, strict=True):
        if isinstance(search, Newton):
            slope = search.at[1] if name == "a" else 1.0
            columns[name] = _mean(real(search.at[0]) + real(slope) * rows.x)
    rows = rows.select("x", "y", **columns)
    metrics: dict[str, ir.Value] = {}
    for name in columns:
        m = rows[name]
        weight, rest = m * (1.0 - m), rows.y - m
        metrics[f"{name}_ll"] = ((1.0 - rows.y) - m).abs().ln().sum()
        metrics |= {f"{name}_g0": rest.sum(), f"{name}_h0": weight.sum()}
        if name == "a":
            metrics |= {
                "a_g1": (rest * rows.x).sum(),
                "a_h1": (weight * rows.x).sum(),
                "a_h2": (weight * rows.x * rows.x).sum(),
            }

    def finish(table: pa.Table) -> Sums:
        return {name: np.array(doubles(table, name).sum()) for name in metrics}

    return Aggregate(rows.aggregate(**metrics), finish)


def _clipped(p: ir.FloatingValue) -> ir.FloatingValue:
    return ibis.greatest(ibis.least(p, real(1 - _LEAST_PROBABILITY)), real(_LEAST_PROBABILITY))


def _mean(eta: ir.FloatingValue) -> ir.FloatingValue:
    bounded = ibis.greatest(ibis.least(eta, real(30)), real(-30))
    return 1.0 / ((-bounded).exp() + 1.0)


def guard(sums: Sums, state: State, scope: Scope) -> Sums:
    """Refuse to take part with too few persons; with few holders join bins with too few of either class."""
    if state.feature is None:
        if state.totals is None:
            n, events = int(sums["n"]), int(sums["events"])
            check_persons(n, scope.policy, who="This holder's part")
            if scope.few:
                for count, level in ((events, "1"), (n - events, "0")):
                    check_level(count, scope.policy, column=state.outcome.name, level=level)
        return guard_bins(sums, state.binning.spans(), scope)
    return guard_classes(sums, scope) if state.figures is None else sums


def step(sums: Sums, state: State) -> State | Result:
    """Refine the bins, take the figures from the counts, step, or answer."""
    if state.feature is None:
        return _agree(sums, state)
    if state.figures is None:
        return _measure(sums, state)
    searches = tuple(_advance(sums, name, search) for name, search in zip("ab", state.searches, strict=True))
    state = replace(state, searches=searches)
    return state if any(isinstance(search, Newton) for search in searches) else _answer(state)


def _agree(sums: Sums, state: State) -> State:
    if state.totals is None:
        totals = {name: int(sums[name]) for name in ("rows", "n", "events")}
        n, events = totals["n"], totals["events"]
        check_some(n, state.scope.policy)
        if int(sums["wrong"]):
            rule = f" and {state.score.name!r} between 0 and 1" if state.is_probability else ""
            raise Invalid(
                "response-values",
                f"{state.outcome.name!r} must be 0 or 1{rule}",
                remedy='For a score that only ranks say "scale": "score".' if rule else "",
            )
        state.outcome.check(0, (n - events, events), state.scope.policy)
        state = replace(state, totals=totals)
    binning = state.binning.step(sums)
    feature = binning.features()[0] if binning.is_done else None
    return replace(state, binning=binning, feature=feature)


def _measure(sums: Sums, state: State) -> State | Result:
    assert state.totals is not None
    n, events, policy = state.totals["n"], state.totals["events"], state.scope.policy
    found = discrimination(sums["classes"], sums["inner"])
    figures: dict[str, Any] = {
        "outcome": state.outcome.name,
        "score": state.score.name,
        "n": n,
        "events": events,
        **found.members(state.conf_level),
    }
    if not state.is_probability:
        return _answer(replace(state, figures=figures))
    figures |= {
        "brier": float(sums["brier"]) / n,
        "log_loss": float(sums["log_loss"]) / n,
        "calibration": calibration(
            sums["classes"], sums["predicted"], sums["inner"], max(policy.min_cell, 1)
        ),
    }
    both = Newton((_INTERCEPT, _SLOPE), np.array([0.0, 1.0]), float(n))
    return replace(state, figures=figures, searches=(both, Newton((_LARGE,), np.zeros(1), float(n))))


def _advance(sums: Sums, name: str, search: Newton | Maximum) -> Newton | Maximum:
    if isinstance(search, Maximum):
        return search
    gradient, information = sums[f"{name}_g0"].reshape(1), sums[f"{name}_h0"].reshape(1, 1)
    if name == "a":
        gradient = np.array([sums["a_g0"], sums["a_g1"]])
        information = np.array([[sums["a_h0"], sums["a_h1"]], [sums["a_h1"], sums["a_h2"]]])
    return advance(search, float(sums[f"{name}_ll"]), gradient, information)


def _answer(state: State) -> Result:
    assert state.totals is not None
    assert state.figures is not None
    result = dict(state.figures)
    terms: list[dict[str, Any]] = []
    for names, search in zip(((_INTERCEPT, _SLOPE), (_LARGE,)), state.searches, strict=False):
        assert isinstance(search, Maximum)
        errors = np.sqrt(np.diag(search.covariance))
        terms += term_rows(names, search.coefficients, errors, conf_level=state.conf_level, df=None)
    if terms:
        result["terms"] = terms
    return Result(result, state.totals["n"], state.totals["rows"] - state.totals["n"])
