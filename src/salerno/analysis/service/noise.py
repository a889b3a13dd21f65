"""Noise for differential privacy: drawn at each holder, before masking, and paid from the permit's budget.

Each holder adds discrete Laplace noise to its own whole numbers, of scale sensitivity / epsilon. In counts
one person is in one cell at one holder, so the sensitivity is 1; where one person changes several numbers,
each has its share of epsilon. With a delta the noise is discrete Gaussian, which is less where one person
changes many numbers. A holder's noisy sums are then differentially private by themselves,
whatever the coordinator and all other holders know; the pooled answer then has the noise of every holder.
What is done with the noisy sums afterwards, thresholds included, costs nothing. The same question on the same
sums gets the same noise again, so that no average of repeats takes it away, and pays nothing.

The guarantee is about what the noisy sums tell; that a study frame has too few persons to be opened at all
is found by their true number. Where a person has several rows it holds for each row.

Source:
    Dwork and Roth, The Algorithmic Foundations of Differential Privacy, 2014, 2.1 and 3.3; Ghosh,
    Roughgarden and Sundararajan, 2009 (discrete Laplace); Canonne, Kamath and Steinke, 2020 (discrete
    Gaussian). Sampling and the step from zero-concentrated to approximate privacy by OpenDP.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from salerno.analysis.model import Method, Sensitivity, Sums
from salerno.kernel.errors import Refused, Unavailable
from salerno.permits.model import DisclosurePolicy


class Noisy(Protocol):
    """A method that can put noise on its sums."""

    def sensitivity(self, state: Any) -> Sensitivity:
        """What one person changes in the numbers that get noise."""
        ...

    def noisy(self, sums: Sums, state: Any, noise: NDArray[np.int64]) -> Sums:
        """The same sums with noise, one figure for each number."""
        ...


def noisy_of(method: Method) -> Noisy:
    """How a method puts noise on its sums.

    Raises:
        Refused: ``no-noise``: it has no way to.
    """
    if not hasattr(method, "noisy"):
        raise Refused(
            "no-noise",
            f"The method {method.NAME!r} adds no noise, and the policy asks for differential privacy",
            rule="the holder's disclosure policy",
            remedy="Ask for what adds noise: count, crosstab, histogram with edges, describe with bounds.",
        )
    return cast("Noisy", method)


def draw_noise(sensitivity: Sensitivity, policy: DisclosurePolicy) -> NDArray[np.int64]:
    """Noise for each number of one question, discrete Laplace or, with a delta, discrete Gaussian.

    Args:
        sensitivity: What one person changes.
        policy: What a question may spend. Of delta it spends the share that it spends of epsilon, so that
            the questions of a whole budget spend at most both, whatever noise they had.

    Raises:
        Unavailable: OpenDP is not installed.
    """
    try:
        import opendp.prelude as dp
    except ImportError as error:
        raise Unavailable(
            "no-opendp", "The holder's node lacks OpenDP", remedy="Install salerno[privacy] there."
        ) from error
    dp.enable_features("contrib")
    epsilon = policy.epsilon_per_question
    numbers = dp.vector_domain(dp.atom_domain(T="i64"))
    if policy.delta:
        delta = policy.delta * epsilon / policy.epsilon
        unit = _gaussian_scale(epsilon, delta) * sensitivity.numbers**0.5
    noise = np.zeros(len(sensitivity.most), dtype=np.int64)
    for most in np.unique(sensitivity.most).tolist():
        same = sensitivity.most == most
        if policy.delta:
            measure = dp.m.make_gaussian(numbers, dp.l2_distance(T=float), scale=most * unit)
        else:
            measure = dp.m.make_laplace(
                numbers, dp.l1_distance(T="i64"), scale=most * sensitivity.numbers / epsilon
            )
        noise[same] = measure([0] * int(same.sum()))
    return noise


@cache
def _gaussian_scale(epsilon: float, delta: float) -> float:
    """The least scale that is (epsilon, delta)-private where one person changes the numbers by 1 in all.

    Parts of other scales compose to the same: each spends most^2 / (2 scale^2) of zero-concentrated privacy.
    """
    import opendp.prelude as dp

    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T=float)

    def made(scale: float) -> Any:
        measure = dp.m.make_gaussian(*space, scale=scale)
        return dp.c.make_fix_delta(dp.c.make_zCDP_to_approxDP(measure), delta)

    return float(dp.binary_search_param(made, d_in=1.0, d_out=(epsilon, delta)))
