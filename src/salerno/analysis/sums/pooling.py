"""Meta-analysis of one estimate per study: fixed effect and random effects, as R's metafor has them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, ndtr, ndtri, stdtr, stdtrit

Array = NDArray[np.float64]

ESTIMATORS = ("REML", "DL")
TESTS = ("z", "knapp-hartung")
_STEPS = 500
_CLOSE = 1e-13


@dataclass(frozen=True)
class Pooled:
    """One parameter over studies.

    Args:
        estimate, std_error: Of the random-effects mean.
        df: Degrees of freedom of its t distribution; None for the normal one.
        tau2: Variance between studies.
        q: Cochran's statistic of heterogeneity, with ``k - 1`` degrees of freedom.
        i2: Share of the variance that lies between studies, per cent; None with one study.
        h2: Total variance beside the typical one within studies; None with one study.
        fixed, fixed_error: Of the fixed effect.
        weights: Share of each study in the random-effects mean.
    """

    estimate: float
    std_error: float
    df: float | None
    tau2: float
    q: float
    i2: float | None
    h2: float | None
    fixed: float
    fixed_error: float
    weights: Array

    @property
    def q_p_value(self) -> float | None:
        """Probability of a larger heterogeneity by chance; None with one study."""
        df = len(self.weights) - 1
        return float(chdtrc(df, self.q)) if df else None

    def prediction(self, conf_level: float) -> tuple[float, float]:
        """Interval for the parameter of a further study."""
        width = _width(conf_level, self.df) * np.sqrt(self.tau2 + self.std_error**2)
        return float(self.estimate - width), float(self.estimate + width)


def pooled(estimates: Array, errors: Array, *, estimator: str, test: str) -> Pooled:
    """Pool the estimates of studies.

    Args:
        estimates: One per study.
        errors: Their standard errors, > 0.
        estimator: Of the variance between studies: ``REML`` or ``DL`` (DerSimonian and Laird).
        test: ``z``, or ``knapp-hartung`` for few studies.

    Source:
        Viechtbauer, J. Educ. Behav. Stat. 30 (2005) 261 (REML by Fisher scoring); DerSimonian and Laird,
        Control. Clin. Trials 7 (1986) 177; Knapp and Hartung, Stat. Med. 22 (2003) 2693; Higgins and
        Thompson, Stat. Med. 21 (2002) 1539 (I², H²).
    """
    variances = errors**2
    k = len(estimates)
    weights = 1 / variances
    fixed = float(weights @ estimates / weights.sum())
    q = float(weights @ (estimates - fixed) ** 2)
    spread = float(weights.sum() - (weights**2).sum() / weights.sum())
    tau2 = 0.0
    if k > 1:
        tau2 = max((q - (k - 1)) / spread, 0.0)
        if estimator == "REML":
            tau2 = _reml(estimates, variances, tau2)
    share = 1 / (variances + tau2)
    mean = float(share @ estimates / share.sum())
    error = float(share.sum() ** -0.5)
    df = None
    if test == "knapp-hartung" and k > 1:
        df = float(k - 1)
        error *= float(np.sqrt(share @ (estimates - mean) ** 2 / df))
    typical = (k - 1) / spread if k > 1 else None
    return Pooled(
        estimate=mean,
        std_error=error,
        df=df,
        tau2=tau2,
        q=q,
        i2=None if typical is None else 100 * tau2 / (typical + tau2),
        h2=None if typical is None else tau2 / typical + 1,
        fixed=fixed,
        fixed_error=float(weights.sum() ** -0.5),
        weights=share / share.sum(),
    )


def _reml(estimates: Array, variances: Array, start: float) -> float:
    """The variance between studies at which the restricted likelihood is largest."""
    tau2 = start
    for _ in range(_STEPS):
        weights = 1 / (variances + tau2)
        projection = np.diag(weights) - np.outer(weights, weights) / weights.sum()
        once = projection @ estimates
        step = float((once @ once - np.trace(projection)) / (projection**2).sum())
        while tau2 + step < 0:
            step = -tau2 if tau2 + step / 2 < 0 and tau2 < _CLOSE else step / 2
        tau2 += step
        if abs(step) <= _CLOSE * (1 + tau2):
            break
    return tau2


def row_of(estimate: float, error: float, df: float | None, conf_level: float) -> dict[str, float]:
    """An estimate with its test and interval."""
    statistic = estimate / error if error else np.inf
    tail = ndtr(-abs(statistic)) if df is None else stdtr(df, -abs(statistic))
    width = _width(conf_level, df) * error
    return {
        "estimate": estimate,
        "std_error": error,
        "statistic": float(statistic),
        "p_value": float(2 * tail),
        "conf_low": float(estimate - width),
        "conf_high": float(estimate + width),
    }


def _width(conf_level: float, df: float | None) -> float:
    tail = 0.5 + conf_level / 2
    return float(ndtri(tail) if df is None else stdtrit(df, tail))
