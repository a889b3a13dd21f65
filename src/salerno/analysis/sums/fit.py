"""From the maximum of a generalised linear model's likelihood to the figures of an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, inf, lgamma, log, pi, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from salerno.analysis.model import Sums
from salerno.analysis.sums.design import Design
from salerno.analysis.sums.likelihood import Outcome
from salerno.analysis.sums.newton import Maximum, invert
from salerno.analysis.sums.prediction import design_row, value_of
from salerno.analysis.sums.regression import term_rows
from salerno.analysis.sums.robust import sandwich
from salerno.kernel.errors import Invalid

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Summary:
    """Coefficients of the plain columns, with what the answer says about the fit.

    Args:
        df: Degrees of freedom of Student's t, or None for the normal distribution.
    """

    outcome: Outcome
    design: Design
    estimates: Array
    covariance: Array
    df: float | None
    statistics: dict[str, Any]

    def terms(self, conf_level: float) -> list[dict[str, Any]]:
        """Terms with tests and intervals."""
        errors = np.sqrt(np.diag(self.covariance))
        return term_rows(self.design.names, self.estimates, errors, conf_level=conf_level, df=self.df)

    def prediction(self, row: Mapping[str, Any], conf_level: float) -> dict[str, Any]:
        """Linear predictor and mean at covariate values, with interval; R's ``predict(se.fit = TRUE)``."""
        x = design_row(self.design, row)
        eta = float(x @ self.estimates) + sum(value_of(offset, row) for offset in self.outcome.offsets)
        error = sqrt(max(float(x @ self.covariance @ x), 0.0))
        tail = 0.5 + conf_level / 2
        width = error * float(ndtri(tail) if self.df is None else stdtrit(self.df, tail))
        link = self.outcome.family.link
        mean, slope = _inverse(eta, link)
        bounds = [_inverse(bound, link)[0] for bound in (eta - width, eta + width)]
        low, high = bounds if link != "inverse" else bounds[::-1]
        return {
            "at": dict(row),
            "link": {"estimate": eta, "std_error": error, "conf_low": eta - width, "conf_high": eta + width},
            "response": {
                "estimate": mean,
                "std_error": None if mean is None else abs(slope) * error,
                "conf_low": low,
                "conf_high": high,
            },
        }


@dataclass(frozen=True)
class Fit:
    """What is known of a model besides its coefficients.

    Args:
        totals: Pooled sums of response, weights and offsets.
        shift: Pooled mean that a gaussian response is centred by.
        null_deviance: None where there is none.
    """

    outcome: Outcome
    design: Design
    totals: dict[str, float]
    n: int
    n_missing: int
    notes: tuple[str, ...]
    shift: float
    null_deviance: float | None = None

    @property
    def df_residual(self) -> int:
        """Rows less coefficients."""
        return self.n - len(self.design.columns)

    def predictor_moments(self, maximum: Maximum, information: Array) -> tuple[float, float]:
        """Pooled sums of a gaussian linear predictor, less the shift, and of its square."""
        at = maximum.coefficients
        total = sum(information[j] @ at for j, name in enumerate(self.design.names) if name == "(Intercept)")
        return float(total), float(at @ information @ at)

    def deviance(self, maximum: Maximum) -> float:
        """Twice the distance to the saturated model."""
        return max(2 * (self.totals["saturated"] - maximum.log_likelihood), 0.0)

    def rough_dispersion(self, maximum: Maximum) -> float:
        """Mean deviance where the dispersion is estimated, and one elsewhere."""
        if not self.outcome.family.has_dispersion:
            return 1.0
        return self.deviance(maximum) / max(self.df_residual, 1)

    def summary(self, maximum: Maximum, sums: Sums, *, errors: str, n_clusters: int | None) -> Summary:
        """The fit on the scale of the plain columns.

        Args:
            maximum: Of the log-likelihood.
            sums: At the fitted coefficients, where they were asked for.
            errors: ``model``, ``HC0`` or ``HC1``.
            n_clusters: Clusters behind ``sums["meat"]``.
        """
        bread = (
            invert(sums["information"], self.design.names) if "information" in sums else maximum.covariance
        )
        deviance = self.deviance(maximum)
        pearson = float(sums["pearson"]) if "pearson" in sums else deviance
        dispersion = 1.0
        if self.outcome.family.has_dispersion:
            dispersion = pearson / self.df_residual if self.df_residual else float("nan")
        covariance = bread * dispersion
        if errors != "model":
            covariance = sandwich(bread, sums["meat"], errors, n=self.n, n_clusters=n_clusters)
        log_likelihood, aic = self._information_criterion(maximum, deviance)
        back = self.design.restore()
        estimates = back @ maximum.coefficients
        estimates[[j for j, name in enumerate(self.design.names) if name == "(Intercept)"]] += self.shift
        family = self.outcome.family
        return Summary(
            self.outcome,
            self.design,
            estimates,
            back @ covariance @ back.T,
            float(self.df_residual) if family.has_dispersion else None,
            {
                "family": family.name,
                "link": family.link,
                "deviance": deviance,
                "null_deviance": self.null_deviance,
                "df_residual": self.df_residual,
                "df_null": self.n - int(self.outcome.formula.intercept),
                "aic": aic,
                "log_likelihood": log_likelihood,
                "dispersion": dispersion,
            },
        )

    def _information_criterion(self, maximum: Maximum, deviance: float) -> tuple[float | None, float | None]:
        """Log-likelihood and Akaike's criterion as R has them; None where they are infinite."""
        size, totals = len(self.design.columns), self.totals
        if self.outcome.family.has_dispersion and deviance <= 0:
            return None, None
        if self.outcome.family.name == "gaussian":
            aic = self.n * (log(2 * pi * deviance / self.n) + 1) + 2 - totals["log_weight"] + 2 * size
            return size + 1 - aic / 2, aic
        if self.outcome.family.name == "gamma":
            shape = totals["weight"] / deviance
            log_y = -totals["saturated"] - totals["weight"]
            log_likelihood = (
                totals["weight"] * (shape * log(shape) - lgamma(shape))
                + shape * maximum.log_likelihood
                + (shape - 1) * log_y
            )
            return log_likelihood, -2 * log_likelihood + 2 * (size + 1)
        log_likelihood = maximum.log_likelihood - totals["constant"]
        return log_likelihood, -2 * log_likelihood + 2 * size


def first_point(outcome: Outcome, design: Design, totals: dict[str, float]) -> tuple[Array, float | None]:
    """Where the search begins, fixed by the first round's totals: the model with the intercept alone.

    Returns:
        Coefficients, and the null model's own where it must be searched for as well.

    Raises:
        Invalid: An inverse link without an intercept has no place to begin.
    """
    at = np.zeros(len(design.columns))
    family, formula = outcome.family, outcome.formula
    value, null_at = 0.0, None
    if family.link == "logit":
        mean = totals["y"] / totals["weight"]
        value = log(mean / (1 - mean)) - totals["offset"] / totals["weight"]
    elif family.link == "inverse":
        value = totals["weight"] / totals["y"] - totals["offset"] / totals["weight"]
    elif family.name == "poisson" and totals["y"] > 0:
        value = log(totals["y"] / totals["exp_offset"])
    elif family.name == "gamma":
        value = log(totals["y_exp_offset"] / totals["weight"])
    if outcome.offsets and family.link in ("logit", "inverse"):
        null_at = value if formula.intercept else 0.0
    found = False
    for j, column in enumerate(design.columns):
        if column.part == 0 and (not column.levels or _is_full(design, column.levels)):
            at[j] = value
            found = True
            if not column.levels:
                break
    if family.link == "inverse" and not found:
        raise Invalid("wrong-formula", "A model with an inverse link needs an intercept")
    return at, null_at


def null_deviance(outcome: Outcome, totals: dict[str, float], kernel: float | None) -> float | None:
    """Deviance of the model with the intercept alone, or with nothing where there is no intercept.

    Args:
        outcome: The model.
        totals: Pooled sums of response, weights and offsets.
        kernel: Its log-likelihood where that was searched for.
    """
    y, weight = totals["y"], totals["weight"]
    intercept = outcome.formula.intercept
    family = outcome.family
    if kernel is None and family.name == "binomial":
        mean = y / weight if intercept else 0.5
        kernel = y * log(mean) + (weight - y) * log(1 - mean)
    elif kernel is None and family.name == "poisson":
        kernel = totals["y_offset"] - totals["exp_offset"]
        if intercept:
            kernel = y * log(y / totals["exp_offset"]) + totals["y_offset"] - y if y > 0 else 0.0
    elif kernel is None and family.link == "inverse":
        kernel = -weight * (1 + log(y / weight)) if intercept else None
    elif kernel is None:
        constant = log(totals["y_exp_offset"] / weight) if intercept else 0.0
        kernel = -totals["y_exp_offset"] * exp(-constant) - weight * constant - totals["offset"]
    return None if kernel is None else 2 * (totals["saturated"] - kernel)


def _is_full(design: Design, levels: tuple[tuple[int, int], ...]) -> bool:
    """Whether a single factor has a column for each of its levels, so that they add up to a constant."""
    if len(levels) != 1:
        return False
    number = levels[0][0]
    own = [c for c in design.columns if c.part == 0 and len(c.levels) == 1 and c.levels[0][0] == number]
    return len(own) == len(design.factors[number].levels)


def _inverse(eta: float, link: str) -> tuple[float | None, float]:
    """The mean and its derivative at a linear predictor; None where there is no mean."""
    if link == "identity":
        return eta, 1.0
    if link == "log":
        mean = exp(eta) if eta < 700 else inf
        return (mean, mean) if mean < inf else (None, 0.0)
    if link == "inverse":
        return (1 / eta, 1 / eta**2) if eta > 0 else (None, 0.0)
    mean = 1 / (1 + exp(-eta)) if eta > -700 else 0.0
    return mean, mean * (1 - mean)
