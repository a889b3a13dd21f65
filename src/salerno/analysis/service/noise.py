"""Noise for differential privacy: drawn at each holder, before masking, and paid from the permit's budget.

Each holder adds discrete Laplace noise of scale 1 / epsilon to its own counts. One person is in one cell at
one holder, so a holder's noisy counts are epsilon-differentially private by themselves, whatever the
coordinator and all other holders know; the pooled answer then has the noise of every holder. What is done
with the noisy counts afterwards, thresholds included, costs nothing. The same question on the same sums
gets the same noise again, so that no average of repeats takes it away, and pays nothing.

The guarantee is about what the noisy sums tell; that a study frame has too few persons to be opened at all
is found by their true number. Where a person has several rows it holds for each row.

Source:
    Dwork and Roth, The Algorithmic Foundations of Differential Privacy, 2014, 2.1 and 3.3; Ghosh,
    Roughgarden and Sundararajan, 2009 (discrete Laplace). Sampling by OpenDP.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from salerno.analysis.model import Method, Sums
from salerno.kernel.errors import Refused, Unavailable

Noisy = Callable[[Sums, Any, NDArray[np.int64]], Sums]


def noisy_of(method: Method) -> Noisy:
    """How a method puts noise on its sums.

    Raises:
        Refused: ``no-noise``: it has no way to.
    """
    found: Noisy | None = getattr(method, "noisy", None)
    if found is None:
        raise Refused(
            "no-noise",
            f"The method {method.NAME!r} adds no noise, and the policy asks for differential privacy",
            rule="the holder's disclosure policy",
            remedy="Ask for counts: count and crosstab add noise.",
        )
    return found


def draw_noise(size: int, epsilon: float) -> NDArray[np.int64]:
    """Discrete Laplace noise for counts that one person changes by at most one.

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
    measure = dp.m.make_laplace(*space, scale=1.0 / epsilon)
    return np.array(measure([0] * size), dtype=np.int64)
