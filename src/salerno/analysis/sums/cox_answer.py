"""The figures of a Cox model's answer: terms, the test of proportional hazards, curves."""

from __future__ import annotations

from math import exp
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from salerno.analysis.disclosure.persons import check_some
from salerno.analysis.grids import ticks as ticks_of
from salerno.analysis.model import Result, Sums
from salerno.analysis.questions import HOLDER
from salerno.analysis.sums.cox_closing import clock_of
from salerno.analysis.sums.cox_model import CoxFit
from salerno.analysis.sums.life_table import group_names
from salerno.analysis.sums.newton import Maximum
from salerno.analysis.sums.prediction import design_row, value_of
from salerno.analysis.sums.regression import term_rows
from salerno.analysis.sums.risk_sets import Drift, Score, drift_of, full, score_of
from salerno.analysis.sums.survival import curve_limits
from salerno.analysis.sums.told_times import told_places

Array = NDArray[np.float64]


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
