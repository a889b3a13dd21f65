"""Noise for differential privacy: drawn at each holder, before masking, and paid from the permit's budget.

Each holder adds discrete Laplace noise to its own whole numbers, of scale sensitivity / epsilon. In counts
one person is in one cell at one holder, so the sensitivity is 1; where one person changes several numbers,
each has its share of epsilon. A holder's noisy sums are then epsilon-differentially private by themselves,
whatever the coordinator and all other holders know; the pooled answer then has the noise of every holder.
What is done with the noisy sums afterwards, thresholds included, costs nothing. The same question on the same
sums gets the same noise again, so that no average of repeats takes it away, and pays nothing.

The guarantee is about what the noisy sums tell; that a study frame has too few persons to be opened at all
is found by their true number. Where a person has several rows it holds for each row.

Source:
    Dwork and Roth, The Algorithmic Foundations of Differential Privacy, 2014, 2.1 and 3.3; Ghosh,
    Roughgarden and Sundararajan, 2009 (discrete Laplace). Sampling by OpenDP.
"""

from __future__ import annotations

from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from salerno.analysis.model import Method, Sums
from salerno.kernel.errors import Refused, Unavailable


class Noisy(Protocol):
    """A method that can put noise on its sums."""

    def sensitivities(self, state: Any) -> NDArray[np.int64]:
        """What one person changes in each number at most, times the numbers that one person changes."""
        ...

    def noisy(self, sums: Sums, state: Any, noise: NDArray[np.int64]) -> Sums:
        """The same sums with noise, one figure for each sensitivity."""
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


def draw_noise(sensitivities: NDArray[np.int64], epsilon: float) -> NDArray[np.int64]:
    """Discrete Laplace noise for each number, by what one person changes in it.

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
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l1_distance(T="i64")
    noise = np.zeros(len(sensitivities), dtype=np.int64)
    for sensitivity in np.unique(sensitivities).tolist():
        same = sensitivities == sensitivity
        measure = dp.m.make_laplace(*space, scale=sensitivity / epsilon)
        noise[same] = measure([0] * int(same.sum()))
    return noise
