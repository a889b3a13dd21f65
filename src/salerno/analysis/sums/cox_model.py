"""A Cox model: its rows, their persons, the score of shared risk sets, and the answer's figures."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import exp
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import chdtrc

from salerno.analysis.disclosure.persons import check_level, check_persons, check_some
from salerno.analysis.formula import Formula
from salerno.analysis.grids import ticks as ticks_of
from salerno.analysis.model import Aggregate, Result, Scope, Sums
from salerno.analysis.questions import HOLDER, Factor
from salerno.analysis.sums.columns import as_number, every, integers, is_event, is_listed, is_present, real
from salerno.analysis.sums.cox_closing import Closing, Path, clock_of
from salerno.analysis.sums.follow_up import FollowUp
from salerno.analysis.sums.hazards import Hazards
from salerno.analysis.sums.life_table import group_names, is_coarse
from salerno.analysis.sums.newton import Maximum
from salerno.analysis.sums.prediction import design_row, value_of
from salerno.analysis.sums.regression import right_side, term_rows
from salerno.analysis.sums.risk_sets import Drift, Events, RiskSums, Score, drift_of, full, score_of
from salerno.analysis.sums.survival import curve_limits
from salerno.analysis.sums.told_times import Grid, told_places
from salerno.catalogue.model import Variable

Array = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Model:
    """The question, understood.

    Args:
        strata: Columns whose levels have risk sets of their own, beside the holders.
        by_holder: Whether each holder keeps its own risk sets.
        weights: Column of the rows' weights, or None.
        person: Column that names the person where one has several rows, or empty.
        predict: Covariate values of each survival curve.
        grid: Times of these curves.
        closing: What is wanted at the fitted coefficients.
        n_persons: Persons behind the rows, where they are counted.
    """

    scope: Scope
    formula: Formula
    follow: FollowUp
    ties: str
    strata: tuple[Factor, ...]
    by_holder: bool
    weights: Variable | None
    person: str
    predict: tuple[dict[str, Any], ...]
    grid: Grid
    closing: Closing
    conf_level: float
    conf_type: str
    n_persons: int | None = None

    def complete(self, view: ir.Table) -> ir.BooleanValue:
        """Whether a row can be used; its weight must be above zero."""
        conditions = self.follow.conditions(view)
        conditions += [is_listed(view, f) for f in self.strata]
        if self.weights is not None:
            conditions += [is_present(view, self.weights), as_number(view, self.weights) > 0]
        if self.person:
            conditions.append(view[self.person].notnull())
        return every([*conditions, right_side(view, self.formula, self.scope)])

    def with_formula(self, formula: Formula) -> Model:
        """The same with the formula's knots."""
        return replace(self, formula=formula)

    def notes(self, follow: FollowUp) -> list[str]:
        """What the answer says of the times."""
        notes = []
        if self.follow.start is not None and not self.person:
            notes.append("Each row counted as a person: name the person's column as 'id' if that is not so.")
        if self.by_holder:
            return notes
        notes += follow.notes()
        if is_coarse(self.scope):
            least = self.scope.policy.min_cell
            notes.append(
                "Each holder rounded its times up to steps with no events or at least "
                f"{least}, so that no single event is seen; strong effects come out weaker for it. "
                'Exact times are used with "strata": "holder".'
            )
        else:
            notes.append("Risk sets are shared: the coordinator saw sums over all holders by event time.")
        return notes


@dataclass(frozen=True)
class PersonCount:
    """Distinct persons, in all, with an event, by level, and with numbers other than zero."""

    factors: tuple[Factor, ...]
    numbers: tuple[Variable, ...]

    @staticmethod
    def of(model: Model) -> PersonCount:
        """Of a model's columns."""
        formula, known = model.formula, model.scope.dictionary.variables
        columns = dict.fromkeys(c for numeric in formula.numerics for c in numeric.columns)
        factors = {f.column: f for f in (*formula.factors, *model.strata)}
        return PersonCount(tuple(factors.values()), tuple(known[c] for c in columns if c in known))

    def local(self, view: ir.Table, model: Model) -> Aggregate:
        """Count them at one holder."""
        complete = model.complete(view).fill_null(False)

        def persons(condition: ir.BooleanValue) -> ir.Value:
            return (complete & condition).ifelse(view[model.person], ibis.null()).nunique()

        metrics = {
            "persons": persons(ibis.literal(True)),
            "events": persons(is_event(view, model.follow.event)),
        }
        for i, f in enumerate(self.factors):
            column = view[f.column]
            metrics |= {f"level{i}_{j}": persons(column == value) for j, value in enumerate(f.values)}
        for i, variable in enumerate(self.numbers):
            metrics[f"number{i}"] = persons(as_number(view, variable) != real(0))

        def finish(table: pa.Table) -> Sums:
            return {name: np.array(integers(table, name).sum(), dtype=np.int64) for name in metrics}

        return Aggregate(view.aggregate(**metrics), finish)

    def check(self, sums: Sums, model: Model, *, alone: bool) -> None:
        """Refuse groups of too few persons.

        Args:
            sums: Of one holder, or of all.
            model: Whose columns were counted.
            alone: Whether each group counts, or only all persons together.

        Raises:
            Refused: A group has somebody, but too few; it is named.
        """
        policy = model.scope.policy
        check_persons(int(sums["persons"]), policy, who="This part")
        if not alone:
            return
        check_level(int(sums["events"]), policy, column=model.follow.event.column, level="an event")
        for i, f in enumerate(self.factors):
            for j, level in enumerate(f.levels):
                check_level(int(sums[f"level{i}_{j}"]), policy, column=f.column, level=level)
        for i, variable in enumerate(self.numbers):
            check_level(int(sums[f"number{i}"]), policy, column=variable.name, level="other than 0")


def _none() -> Counts:
    return np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class CoxFit:
    """What is known of a model besides its coefficients.

    Args:
        cells, ticks, deaths: Pooled event times by stratum, with their events; empty within holders.
    """

    model: Model
    hazards: Hazards
    n: int
    n_missing: int
    n_events: int
    notes: tuple[str, ...]
    cells: Counts = field(default_factory=_none)
    ticks: Counts = field(default_factory=_none)
    deaths: Counts = field(default_factory=_none)

    @property
    def needs_closing(self) -> bool:
        """Whether there is something to be summed by event time at the fitted coefficients."""
        closing = self.model.closing
        shared_residuals = closing.robust and not self.model.by_holder
        return bool(closing.clock or closing.times or shared_residuals)

    def strata_events(self, sums: Sums) -> list[tuple[int, Counts, Events]]:
        """Pooled risk sets by stratum: its number, event ticks by rising time, and sums."""
        leaving = RiskSums(*(sums[f"leaving{i}"] for i in range(3)))
        dying = RiskSums(*(sums[f"dying{i}"] for i in range(3)))
        found = []
        for stratum in np.unique(self.cells):
            rows = self.cells == stratum
            events = Events(leaving[rows].cumulated(), dying[rows], self.deaths[rows], sums["weights"][rows])
            found.append((int(stratum), self.ticks[rows], events))
        return found

    def paths(self, sums: Sums) -> dict[int, Path]:
        """Pooled hazards by stratum."""
        return {
            stratum: Path.of(ticks.astype(np.float64), [events], self.hazards.ties)
            for stratum, ticks, events in self.strata_events(sums)
        }


def shared_score(sums: Sums, fit: CoxFit) -> tuple[float, Array, Array]:
    """Log partial likelihood, gradient and information from pooled sums by event time."""
    score = Score.empty(fit.hazards.size)
    for _, _, events in fit.strata_events(sums):
        score = score.plus(score_of(events, fit.hazards.ties))
    return (
        float(sums["eta"]) + score.log_likelihood,
        sums["gradient"] + score.gradient,
        full(score.information, fit.hazards.size),
    )


def answer(
    fit: CoxFit,
    fitted: Maximum,
    null: tuple[float, float],
    closing: Sums,
    residuals: Sums,
    bases: list[dict[str, object]],
) -> Result:
    """The figures of the answer.

    Args:
        fit: The model.
        fitted: Its maximum.
        null: Log-likelihood and score statistic at zero.
        closing: Sums by event time at the maximum, where they were asked for.
        residuals: Sums of squared residuals, where they were asked for.
        bases: Splines with their knots, as the answer tells them.
    """
    model, design = fit.model, fit.hazards.design
    back = design.restore()
    naive = fitted.covariance
    covariance = naive @ residuals["meat"] @ naive if residuals else naive
    errors = np.sqrt(np.diag(back @ covariance @ back.T))
    terms = term_rows(design.names, back @ fitted.coefficients, errors, conf_level=model.conf_level)
    for term in terms:
        for name, of in (("", "estimate"), ("_low", "conf_low"), ("_high", "conf_high")):
            term[f"hazard_ratio{name}"] = exp(min(term[of], 700.0))
    df = len(terms)
    null_log_likelihood, score = null
    wald = float(fitted.coefficients @ np.linalg.pinv(covariance) @ fitted.coefficients)
    strata = [*([HOLDER] if model.by_holder else []), *(f.column for f in model.strata)]
    result: dict[str, Any] = {
        "terms": terms,
        "ties": model.ties,
        "strata": strata,
        "n": fit.n,
        "n_events": fit.n_events,
        "log_likelihood_null": null_log_likelihood,
        "log_likelihood": fitted.log_likelihood,
        "likelihood_ratio": _test(2 * (fitted.log_likelihood - null_log_likelihood), df),
        "wald": _test(wald, df),
        "score": _test(score, df),
        "iterations": fitted.iterations,
    }
    notes = list(fit.notes)
    if model.n_persons is not None:
        result["n_persons"] = model.n_persons
    if residuals:
        result |= {"errors": "HC0"}
        if model.closing.cluster:
            result["n_clusters"] = int(residuals["n_clusters"])
            check_some(result["n_clusters"], model.scope.policy)
    if bases:
        result["bases"] = bases
    if model.closing.clock:
        result["proportional_hazards"] = proportional_hazards(fit, fitted, closing)
    if model.closing.times:
        result |= {"survival": curves(fit, fitted, covariance, closing, notes), "conf_type": model.conf_type}
    return Result(result, fit.n, fit.n_missing, tuple(notes))


def proportional_hazards(fit: CoxFit, fitted: Maximum, sums: Sums) -> dict[str, Any]:
    """The score test of coefficients that change with a function of time, as R's ``cox.zph`` since 3.0.

    Source:
        Grambsch and Therneau, Biometrika 81 (1994) 515; Therneau, vignette "approximate zph" of survival.
    """
    clock, size = fit.model.closing.clock, fit.hazards.size
    if fit.model.by_holder:
        information, clocked = full(sums["information"], size), sums["clocked"]
        drift = Drift(clocked, sums["first"], sums["second"])
    else:
        score, drift = Score.empty(size), Drift.empty(size)
        for _, ticks, events in fit.strata_events(sums):
            g = clock_of(clock, ticks * fit.hazards.follow.resolution)
            score = score.plus(score_of(events, fit.hazards.ties))
            drift = drift.plus(drift_of(events, fit.hazards.ties, g))
        information, clocked = full(score.information, size), sums["clocked"] - drift.score
    first, second = full(drift.first, size), full(drift.second, size)
    # On the scale of the plain columns; the clock centred and scaled, which changes no test.
    to_plain = np.linalg.inv(fit.hazards.design.restore())
    mean, square = sums["clock_moments"] / fit.n_events
    spread = float(np.sqrt(max(square - mean * mean, 1e-300)))
    score_plain = to_plain.T @ clocked / spread
    crossed = to_plain.T @ (first - mean * information) @ to_plain / spread
    squared = to_plain.T @ (second - 2 * mean * first + mean * mean * information) @ to_plain / spread**2
    # What the coefficients themselves explain is taken out.
    rest = squared - crossed.T @ np.linalg.solve(to_plain.T @ information @ to_plain, crossed)
    tests = []
    for name, places in _term_places(fit):
        part = score_plain[places]
        statistic = float(part @ np.linalg.pinv(rest[np.ix_(places, places)], hermitian=True) @ part)
        tests.append({"term": name, **_test(statistic, len(places))})
    whole = float(score_plain @ np.linalg.pinv(rest, hermitian=True) @ score_plain)
    tests.append({"term": "GLOBAL", **_test(whole, size)})
    return {"transform": clock, "tests": tests}


def _term_places(fit: CoxFit) -> list[tuple[str, list[int]]]:
    """Coefficients of each term of the formula."""
    groups: dict[tuple[frozenset[str], tuple[str, ...]], list[int]] = {}
    design = fit.hazards.design
    bases = {part.text: basis.text for basis in fit.model.formula.bases for part in basis.parts}
    for j, column in enumerate(design.columns):
        numbers = frozenset(bases.get(n.text, n.text) for n in design.parts[column.part])
        factors = tuple(design.factors[number].column for number, _ in column.levels)
        groups.setdefault((numbers, factors), []).append(j)
    return [(":".join([*sorted(numbers), *factors]), places) for (numbers, factors), places in groups.items()]


def curves(
    fit: CoxFit, fitted: Maximum, covariance: Array, sums: Sums, notes: list[str]
) -> list[dict[str, Any]]:
    """Survival at the asked covariate values, by stratum, at times that have enough events and persons.

    Source:
        Therneau and Grambsch, Modeling Survival Data (2000), sec. 10.2, as R's ``survfit`` of a Cox model.
    """
    model, times = fit.model, np.array(fit.model.closing.times)
    labels = group_names(model.strata)
    if model.by_holder:
        told, tables = sums["told"] > 0, (sums["hazard"], sums["variance"], sums["moved"])
        holders = [model.scope.names.get(did, did) for did in model.scope.holders]
        labels = [h if label == "all" else f"{h}, {label}" for h in holders for label in labels]
    else:
        told, tables = _pooled_baselines(fit, sums, times)
    records = []
    for row, label in enumerate(labels):
        places = np.flatnonzero(told[row])
        if not len(places):
            notes.append(f"The curves of {label} are left out: too few persons or events.")
            continue
        hazard, variance, moved = (table[row, places] for table in tables)
        for profile in model.predict:
            z, eta = _centred_row(fit, profile)
            linear = eta + float(z @ fitted.coefficients)
            ratio = exp(min(linear, 700.0))
            shift = z * hazard[:, None] - moved
            spread = variance + np.einsum("ij,jk,ik->i", shift, covariance, shift)
            survival = np.exp(-hazard * ratio)
            error = survival * ratio * np.sqrt(spread)
            low, high = curve_limits(survival, error, conf_level=model.conf_level, conf_type=model.conf_type)
            records.append(
                {
                    "stratum": label,
                    "at": dict(profile),
                    "time": times[places].tolist(),
                    "cumulative_hazard": (hazard * ratio).tolist(),
                    "survival": survival.tolist(),
                    "std_error": error.tolist(),
                    "conf_low": [float(v) if np.isfinite(v) else None for v in low],
                    "conf_high": [float(v) if np.isfinite(v) else None for v in high],
                }
            )
    return records


def _centred_row(fit: CoxFit, profile: dict[str, Any]) -> tuple[Array, float]:
    """A row of the centred and scaled design, and the offset, at covariate values."""
    design = fit.hazards.design
    plain = {(column.part, column.levels) for column in design.columns}
    absorbed = np.array(
        [
            design.centres[c.part] / design.scales[c.part] if c.part and (0, c.levels) not in plain else 0.0
            for c in design.columns
        ]
    )
    offset = sum(value_of(numeric, profile) for numeric in fit.hazards.offsets)
    return design_row(design, profile) @ design.restore() - absorbed, float(offset)


def _pooled_baselines(fit: CoxFit, sums: Sums, times: Array) -> tuple[Any, tuple[Array, Array, Array]]:
    """Which times may be told of each stratum, and hazard, variance and moved means there."""
    shape = (fit.hazards.n_strata, len(times))
    told = np.zeros(shape, dtype=bool)
    hazard, variance, moved = np.zeros(shape), np.zeros(shape), np.zeros((*shape, fit.hazards.size))
    wanted = ticks_of(times.tolist(), fit.hazards.follow.resolution)
    for stratum, path in fit.paths(sums).items():
        rows = fit.cells == stratum
        ticks, deaths = fit.ticks[rows], fit.deaths[rows]
        at_risk = np.flip(np.cumsum(np.flip(sums["counts"][rows])))
        upto = np.searchsorted(ticks, wanted, side="right")
        until = np.append(0, np.cumsum(deaths))[upto]
        # Between two event times as many are at risk at least as at the next one.
        later = np.append(at_risk, 0)[np.searchsorted(ticks, wanted, side="left")]
        places = told_places(later, until[None], fit.model.scope.policy.min_cell)
        told[stratum, places] = True
        hazard[stratum, places], variance[stratum, places] = (
            path.hazard[upto[places]],
            path.variance[upto[places]],
        )
        moved[stratum, places] = path.moved[upto[places]]
    return told, (hazard, variance, moved)


def _test(statistic: float, df: int) -> dict[str, Any]:
    return {"statistic": statistic, "df": df, "p_value": float(chdtrc(df, max(statistic, 0.0)))}
