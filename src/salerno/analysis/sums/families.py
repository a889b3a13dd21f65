"""Families of generalised linear models and their links, row by row.

Source:
    McCullagh and Nelder, Generalized Linear Models, 2nd ed., 1989, ch. 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, pi

import ibis
import ibis.expr.types as ir

from salerno.analysis.sums.columns import real

FAMILIES = {
    "gaussian": ("identity",),
    "binomial": ("logit",),
    "poisson": ("log",),
    "gamma": ("inverse", "log"),
}
"""Links by family, the canonical one first."""

_STEEP = 30.0
_TINY = 1e-12
_OUTSIDE = -1e6


@dataclass(frozen=True)
class Family:
    """How the mean of the outcome follows from the linear predictor, and how values vary about it."""

    name: str
    link: str

    @property
    def is_canonical(self) -> bool:
        """Whether observed and expected information are the same."""
        return self.link == FAMILIES[self.name][0]

    @property
    def has_dispersion(self) -> bool:
        """Whether the dispersion is estimated, and not one."""
        return self.name in ("gaussian", "gamma")

    def mean(self, eta: ir.Value) -> ir.Value:
        """A row's mean from its linear predictor.

        The predictor is bounded where the mean is 0 or 1 to the last digits, or beyond any count: so a step
        that went too far gives finite sums, whose log-likelihood says that it did.
        """
        if self.link == "identity":
            return eta
        if self.link == "inverse":
            return 1.0 / ibis.greatest(eta, real(_TINY))
        bounded = ibis.greatest(ibis.least(eta, real(_STEEP)), real(-_STEEP))
        return bounded.exp() if self.link == "log" else 1.0 / ((-bounded).exp() + 1.0)

    def variance(self, mu: ir.Value) -> ir.Value | None:
        """Variance of a row's outcome, up to the dispersion; None where it is one."""
        match self.name:
            case "gaussian":
                return None
            case "binomial":
                return mu * (1.0 - mu)
            case "gamma":
                return mu * mu
        return mu

    def residual(self, y: ir.Value, mu: ir.Value) -> ir.Value:
        """A row's derivative of the log-likelihood by the linear predictor."""
        if self.name == "gamma":
            return mu - y if self.link == "inverse" else y / mu - 1.0
        return y - mu

    def weight(self, y: ir.Value, mu: ir.Value) -> ir.Value | None:
        """A row's weight in the observed information; None where it is one."""
        return y / mu if not self.is_canonical else self.variance(mu)

    def log_likelihood(self, y: ir.Value, mu: ir.Value) -> ir.Value:
        """A row's log-likelihood, up to what does not depend on the coefficients, at dispersion one."""
        match self.name:
            case "binomial":
                return ((1.0 - y) - mu).abs().ln()  # ln mu where y is 1, ln(1 - mu) where it is 0
            case "poisson":
                return y * mu.ln() - mu
            case "gamma":
                kernel = -(y / mu) - mu.ln()
                if self.link == "inverse":  # a predictor below zero has no mean
                    kernel = ibis.cases((mu >= real(0.5 / _TINY), real(_OUTSIDE)), else_=kernel)
                return kernel
        return (y - mu) * (y - mu) * real(-0.5)

    def saturated(self, y: ir.Value) -> ir.Value:
        """A row's log-likelihood where the mean is the response itself; zero for gaussian and binomial."""
        if self.name == "gamma":
            return -ibis.cases((y > 0, y)).ln() - 1.0
        if self.name == "poisson":
            return ibis.cases((y > 0, y * ibis.cases((y > 0, y)).ln()), else_=real(0)) - y
        return real(0)

    def wrong(self, y: ir.Value) -> ir.BooleanValue | None:
        """Whether a row's response is impossible; None where any number is right."""
        match self.name:
            case "binomial":
                return (y != real(0)) & (y != real(1))
            case "poisson":
                return y < real(0)
            case "gamma":
                return y <= real(0)
        return None


RESPONSES = {"binomial": "0 and 1", "poisson": "no negative numbers", "gamma": "positive numbers only"}
"""What a response must have, for errors."""


def log_factorial(y: ir.Value) -> ir.Value:
    """What a row's Poisson log-likelihood loses beside its kernel; a negative count is refused later."""
    return log_gamma(y.abs() + 1.0)


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
