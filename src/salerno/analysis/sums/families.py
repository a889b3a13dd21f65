"""Families of generalised linear models with their canonical links, row by row."""

from __future__ import annotations

from math import log, pi

import ibis
import ibis.expr.types as ir

from salerno.analysis.sums.columns import real

FAMILIES = {"gaussian": "identity", "binomial": "logit", "poisson": "log"}
"""Link by family."""

_STEEP = 30.0


def mean(eta: ir.Value, family: str) -> ir.Value:
    """A row's mean from its linear predictor.

    The predictor is bounded where the mean is 0 or 1 to the last digits, or beyond any count: so a step
    that went too far gives finite sums, whose log-likelihood says that it did.
    """
    if family == "gaussian":
        return eta
    bounded = ibis.greatest(ibis.least(eta, real(_STEEP)), real(-_STEEP))
    return bounded.exp() if family == "poisson" else 1.0 / ((-bounded).exp() + 1.0)


def variance(mu: ir.Value, family: str) -> ir.Value | None:
    """A row's weight in the information; None where it is one."""
    if family == "gaussian":
        return None
    return mu if family == "poisson" else mu * (1.0 - mu)


def log_likelihood(y: ir.Value, mu: ir.Value, family: str) -> ir.Value:
    """A row's log-likelihood, up to what does not depend on the coefficients."""
    if family == "binomial":
        return ((1.0 - y) - mu).abs().ln()  # ln mu where y is 1, ln(1 - mu) where it is 0
    if family == "poisson":
        return y * mu.ln() - mu
    return (y - mu) * (y - mu) * real(-0.5)


def saturated(y: ir.Value) -> ir.Value:
    """A row's Poisson log-likelihood where the mean is the response itself; other families have none."""
    return ibis.cases((y > 0, y * ibis.cases((y > 0, y)).ln()), else_=real(0)) - y


def constant(y: ir.Value) -> ir.Value:
    """What a row's Poisson log-likelihood has beside its kernel; a negative count is refused later."""
    return -log_gamma(y.abs() + 1.0)


def log_gamma(x: ir.Value) -> ir.Value:
    """Logarithm of the gamma function for x >= 1, to 1e-12: engines share no function for it.

    Source:
        Stirling's series at x + 8, Abramowitz and Stegun 6.1.41.
    """
    product = x
    for i in range(1, 8):
        product = product * (x + float(i))
    z = x + 8.0
    inverse = 1.0 / z
    square = inverse * inverse
    series = inverse * (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square * (1 / 1680))))
    return (z - 0.5) * z.ln() - z + 0.5 * log(2 * pi) + series - product.ln()
