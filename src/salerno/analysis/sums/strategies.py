"""Server strategies of federated learning that need no more than the weighted mean of the holders' models.

Each goes from the model before a round and the mean after it to the next model, and is pure, so that all
nodes of a run come to the same one. With Flower's own classes of these names they agree to the last bits.

Source:
    McMahan and others, Communication-efficient learning of deep networks from decentralized data, 2017
    (FedAvg). Hsu, Qi and Brown, Measuring the effects of non-identical data distribution, 2019 (FedAvgM).
    Reddi and others, Adaptive federated optimization, 2021 (FedAdagrad, FedAdam, FedYogi). Li and others,
    Federated optimization in heterogeneous networks, 2020 (FedProx: the app's own loss does it).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from salerno.analysis.questions import number
from salerno.kernel.errors import Invalid, Refused, near

Arrays = tuple[NDArray[np.float64], ...]

_ADAPTIVE = {"eta": 0.1, "tau": 1e-3}
OPTIONS: Mapping[str, Mapping[str, float]] = {
    "fedavg": {},
    "fedprox": {"proximal-mu": 0.1},
    "fedavgm": {"server-learning-rate": 1.0, "server-momentum": 0.0},
    "fedadagrad": _ADAPTIVE,
    "fedadam": {**_ADAPTIVE, "beta-1": 0.9, "beta-2": 0.99},
    "fedyogi": {**_ADAPTIVE, "eta": 0.01, "beta-1": 0.9, "beta-2": 0.99},
}
"""Strategies with their options, and what these are unless the question says otherwise: as in Flower."""

NEED_SINGLE_MODELS = ("bulyan", "fedmedian", "fedtrimmedavg", "krum", "multikrum", "qfedavg")


@dataclass(frozen=True)
class Strategy:
    """A strategy and what it remembers.

    Args:
        name: One of `OPTIONS`.
        options: All of its options.
        first, second: Its moments; empty before the first round.
    """

    name: str
    options: Mapping[str, float]
    first: Arrays = ()
    second: Arrays = field(default=())

    def advance(self, current: Arrays, mean: Arrays, server_round: int) -> tuple[Arrays, Strategy]:
        """The next model, and the strategy as it is then.

        Args:
            current: The model before the round.
            mean: The holders' models after it, weighted by their rows.
            server_round: 1, 2, …
        """
        if self.name in ("fedavg", "fedprox"):
            return mean, self
        if self.name == "fedavgm":
            return self._momentum(current, mean)
        return self._adaptive(current, mean, server_round)

    def _momentum(self, current: Arrays, mean: Arrays) -> tuple[Arrays, Strategy]:
        rate, momentum = self.options["server-learning-rate"], self.options["server-momentum"]
        steps = _each(lambda old, new: old - new, current, mean)
        if self.first:
            steps = _each(lambda before, step: momentum * before + step, self.first, steps)
        return _each(lambda old, step: old - rate * step, current, steps), replace(self, first=steps)

    def _adaptive(self, current: Arrays, mean: Arrays, server_round: int) -> tuple[Arrays, Strategy]:
        eta, tau = self.options["eta"], self.options["tau"]
        beta1, beta2 = self.options.get("beta-1", 0.0), self.options.get("beta-2", 0.0)
        zeros = tuple(np.zeros_like(array) for array in current)
        delta = _each(lambda new, old: new - old, mean, current)
        first = _each(lambda m, d: beta1 * m + (1 - beta1) * d, self.first or zeros, delta)

        def spread(v: Any, d: Any) -> Any:
            if self.name == "fedadagrad":
                return v + d**2
            if self.name == "fedadam":
                return beta2 * v + (1 - beta2) * d**2
            return v - (1 - beta2) * d**2 * np.sign(v - d**2)

        second = _each(spread, self.second or zeros, delta)
        if self.name == "fedadam":
            # As in Kingma and Ba, 2014, with Flower's count of rounds, which is one ahead.
            steps = server_round + 1.0
            eta *= float(np.sqrt(1 - beta2**steps) / (1 - beta1**steps))
        model = tuple(
            x + eta * m / (np.sqrt(v) + tau) for x, m, v in zip(current, first, second, strict=True)
        )
        return model, replace(self, first=first, second=second)


def strategy_of(name: Any, options: Any) -> Strategy:
    """The strategy that a question asks for.

    Raises:
        Invalid: There is none of this name or with such an option; the nearest is named.
        Refused: It needs the single models of the holders, which nobody sees.
    """
    key = str(name).lower().replace("-", "").replace("_", "")
    if key in NEED_SINGLE_MODELS:
        raise Refused(
            "needs-single-models",
            f"The strategy {name!r} compares the holders' single models, and nobody sees more than their sum",
            rule="Whatever crosses a border in an analysis is a sum",
            remedy=f"Use {', '.join(OPTIONS)}.",
        )
    if key not in OPTIONS:
        raise Invalid("unknown-choice", f"There is no strategy {name!r}", remedy=near(key, OPTIONS))
    if not isinstance(options, Mapping):
        raise Invalid("wrong-type", "'strategy_options' must map names to numbers")
    usual = OPTIONS[key]
    given = {str(option).replace("_", "-"): value for option, value in options.items()}
    for option, value in given.items():
        if option not in usual:
            raise Invalid("unknown-key", f"{name!r} has no option {option!r}", remedy=near(option, usual))
        below = 1.0 if option in ("beta-1", "beta-2", "server-momentum") else 1e6
        number(value, key=option, above=0.0, below=below, closed=True)
        if value == below == 1.0:
            raise Invalid("out-of-range", f"{option!r} must lie below 1")
    return Strategy(key, {**usual, **{option: float(value) for option, value in given.items()}})


def _each(act: Callable[[Any, Any], Any], one: Arrays, other: Arrays) -> Arrays:
    return tuple(act(a, b) for a, b in zip(one, other, strict=True))
