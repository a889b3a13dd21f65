"""Families of generalised linear models with their canonical links, row by row and for totals."""

from __future__ import annotations

from math import log, pi

import ibis
import ibis.expr.types as ir

from salerno.analysis.sums.columns import real

FAMILIES = {"gaussian": "identity", "binomial": "logit", "poisson": "log"}
"""Link by family."""

_STEEP = 30.0


def with_mean(table: ir.Table, family: str, eta: ir.Value) -> ir.Table:
    """The table with columns ``eta`` and ``mu``.

    The linear predictor is bounded where the mean is 0 or 1 to the last digit, or beyond any count: so a
    step that went too far gives finite sums, whose log-likelihood says that it did.
    """
    if family == "gaussian":
        return table.mutate(eta=eta, mu=eta)
    bounded = table.mutate(eta=ibis.greatest(ibis.least(eta, _STEEP), -_STEEP))
    if family == "binomial":
        return bounded.mutate(mu=1.0 / ((-bounded.eta).exp() + 1.0))
    return bounded.mutate(mu=bounded.eta.exp())


def variance(table: ir.Table, family: str) -> ir.Value:
    """A row's weight in the information."""
    if family == "binomial":
        return table.mu * (1.0 - table.mu)
    return table.mu if family == "poisson" else real(1)


def log_likelihood(table: ir.Table, family: str) -> ir.Value:
    """A row's log-likelihood, up to what does not depend on the coefficients."""
    if family == "binomial":
        # ln mu for y = 1; ln(1 - mu) = ln mu - eta for y = 0.
        return table.mu.ln() + (table.y - 1.0) * table.eta
    if family == "poisson":
        return table.y * table.eta - table.mu
    return (table.y - table.mu) * (table.y - table.mu) * -0.5


def saturated(y: ir.Value, family: str) -> ir.Value:
    """The same where the mean is the response itself."""
    if family != "poisson":
        return real(0)
    return ibis.cases((y > 0, y * ibis.cases((y > 0, y)).ln()), else_=real(0)) - y


def constant(y: ir.Value, family: str) -> ir.Value:
    """What a row's log-likelihood has beside that."""
    return -log_gamma(y + 1.0) if family == "poisson" else real(0)


def log_gamma(x: ir.Value) -> ir.Value:
    """ln Γ(x) for x >= 1, to 1e-12, by Stirling's series at x + 8: engines share no function for it."""
    product = x
    for i in range(1, 8):
        product = product * (x + float(i))
    z = x + 8.0
    inverse = 1.0 / z
    square = inverse * inverse
    series = inverse * (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square * (1 / 1680))))
    return (z - 0.5) * z.ln() - z + 0.5 * log(2 * pi) + series - product.ln()
