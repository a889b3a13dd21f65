"""The same questions on all rows in one place, by statsmodels: only the demo can do that, having all data.

It is the demo's independent judge: nothing here comes from Salerno's own statistics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure, federated and pooled."""

    question: str
    figure: str
    federated: float
    pooled: float

    @property
    def difference(self) -> float:
        """Relative difference; absolute where the pooled figure is zero."""
        gap = abs(self.federated - self.pooled)
        return gap / abs(self.pooled) if self.pooled else gap


def compare(answers: Mapping[str, Mapping[str, Any]], rows: pd.DataFrame) -> list[Comparison]:
    """Hold the demo's answers against statsmodels on the pooled rows.

    Args:
        answers: Answer by the demo's name of the question: ``persons``, ``age``, ``sex``, ``survival``,
            ``log_rank``, ``cox``, ``logistic``; those that are missing are left out.
        rows: The study frame of all holders, one row per person, with the column ``holder``.
    """
    found: list[Comparison] = []
    for name, judge in JUDGES.items():
        if name in answers:
            found += [Comparison(name, *figure) for figure in judge(answers[name]["result"], rows)]
    return found


Figures = list[tuple[str, float, float]]


def _persons(result: Mapping[str, Any], rows: pd.DataFrame) -> Figures:
    counts = rows["holder"].value_counts()
    return [
        (group["levels"][0], group["n"], float(counts[group["levels"][0]]))
        for group in result["groups"]
        if group["n"] is not None
    ]


def _age(result: Mapping[str, Any], rows: pd.DataFrame) -> Figures:
    figures: Figures = []
    for group in result["groups"]:
        (name,) = group["levels"]
        ages = rows.loc[rows["group"] == name, "age"]
        figures += [
            (f"mean age, {name}", group["mean"], float(ages.mean())),
            (f"sd of age, {name}", group["sd"], float(ages.std(ddof=1))),
        ]
    return figures


def _sex(result: Mapping[str, Any], rows: pd.DataFrame) -> Figures:
    table = pd.crosstab(rows["group"], rows["sex"])
    return [
        (f"{group}, {sex}", count, float(table.loc[group, sex]))
        for group, counts in zip(result["rows"], result["counts"], strict=True)
        for sex, count in zip(result["columns"], counts, strict=True)
        if count is not None and group in table.index and sex in table.columns
    ]


def _survival(result: Mapping[str, Any], rows: pd.DataFrame) -> Figures:
    from statsmodels.duration.survfunc import SurvfuncRight

    figures: Figures = []
    for stratum in result["strata"]:
        name = stratum["stratum"]
        part = rows[rows["group"] == name]
        curve = SurvfuncRight(part["time"], part["status"])
        shown = (stratum["time"][0], stratum["time"][-1])
        for time, survival, std_error in zip(
            stratum["time"], stratum["survival"], stratum["std_error"], strict=True
        ):
            at = int(np.searchsorted(curve.surv_times, time, side="right")) - 1
            if at >= 0 and time in shown:
                figures += [
                    (f"S({time:g} days), {name}", survival, float(curve.surv_prob[at])),
                    (f"its standard error, {name}", std_error, float(curve.surv_prob_se[at])),
                ]
    return figures


def _log_rank(result: Mapping[str, Any], rows: pd.DataFrame) -> Figures:
    from statsmodels.duration.survfunc import survdiff

    chi_square, p_value = survdiff(rows["time"], rows["status"], rows["group"])
    return [
        ("chi-square", result["chi_square"], float(chi_square)),
        ("p-value", result["p_value"], float(p_value)),
    ]


def _cox(result: Mapping[str, Any], rows: pd.DataFrame) -> Figures:
    from statsmodels.duration.hazard_regression import PHReg

    terms = [term["term"] for term in result["terms"]]
    fit = PHReg(
        rows["time"], _design(rows, terms), status=rows["status"], strata=rows["holder"], ties="efron"
    ).fit(disp=0)
    return _terms(result["terms"], fit.params, fit.bse)


def _logistic(result: Mapping[str, Any], rows: pd.DataFrame) -> Figures:
    import statsmodels.api as sm

    terms = [term["term"] for term in result["terms"]]
    fit = sm.GLM(rows["status"], _design(rows, terms), family=sm.families.Binomial()).fit(tol=1e-12)
    return _terms(result["terms"], np.asarray(fit.params), np.asarray(fit.bse))


def _terms(terms: Sequence[Mapping[str, Any]], estimates: Any, std_errors: Any) -> Figures:
    figures: Figures = []
    for term, estimate, std_error in zip(terms, estimates, std_errors, strict=True):
        figures += [
            (str(term["term"]), term["estimate"], float(estimate)),
            (f"std. error of {term['term']}", term["std_error"], float(std_error)),
        ]
    return figures


def _design(rows: pd.DataFrame, terms: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Columns by R's term names: a numeric column, or a factor's name followed by its level."""
    columns = []
    for term in terms:
        if term == "(Intercept)":
            columns.append(np.ones(len(rows)))
        elif term in rows:
            columns.append(rows[term].to_numpy(dtype=float))
        else:
            factor = next(name for name in rows if term.startswith(str(name)))
            columns.append((rows[factor].astype(str) == term.removeprefix(str(factor))).to_numpy(dtype=float))
    return np.column_stack(columns)


JUDGES = {
    "persons": _persons,
    "age": _age,
    "sex": _sex,
    "survival": _survival,
    "log_rank": _log_rank,
    "cox": _cox,
    "logistic": _logistic,
}
