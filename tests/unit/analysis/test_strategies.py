"""Server strategies against Flower's own classes, and the attack by losses against what is known of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from salerno.analysis.disclosure.membership import check_membership, count_losses, measure_membership
from salerno.analysis.sums.strategies import strategy_of
from salerno.kernel.errors import Invalid, Refused
from salerno.permits.model import DisclosurePolicy

MEANS = ([1.0, -2.0, 0.5], [1.5, -1.0, 0.25], [0.5, 0.0, -0.75])
# Flower 1.41, from arrays of zeros: each class of flwr.serverapp.strategy with these options, whose
# aggregate_train(round, [reply]) got one reply a round with the arrays of MEANS; current_arrays were the last
# arrays before each round, as configure_train sets them.
FLOWER: dict[str, tuple[dict[str, float], list[float]]] = {
    "FedAvg": ({}, [0.5, 0.0, -0.75]),
    "FedAvgM": ({"server_learning_rate": 0.5, "server_momentum": 0.9}, [1.83, -1.76, 0.06499999999999995]),
    "FedAdagrad": ({"eta": 0.1}, [0.19943506854691442, -0.13455823407167783, 0.04263334463545333]),
    "FedAdam": ({"eta": 0.1}, [0.23734744475146585, -0.21289532512500942, 0.12863063398876037]),
    "FedYogi": ({"beta_1": 0.9}, [0.03722296991875934, -0.03349922349104755, 0.020455927931837682]),
}


@pytest.mark.parametrize("name", FLOWER)
def test_a_strategy_is_flowers(name: str) -> None:
    options, wanted = FLOWER[name]
    strategy, model = strategy_of(name, options), (np.zeros(3),)
    for number, mean in enumerate(MEANS, 1):
        model, strategy = strategy.advance(model, (np.array(mean),), number)
    np.testing.assert_allclose(model[0], wanted, rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "options", "error", "words"),
    [
        ("Krum", {}, Refused, "nobody sees more than their sum"),
        ("fedadm", {}, Invalid, "Did you mean 'fedadam'"),
        ("fedadam", {"beta_3": 0.5}, Invalid, "beta-"),
        ("fedadam", {"beta_1": 1.0}, Invalid, "below 1"),
        ("fedavg", [], Invalid, "must map"),
    ],
)
def test_a_strategy_that_cannot_be_had(name: str, options: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        strategy_of(name, options)


def test_a_model_that_knows_its_rows_by_heart_is_withheld_and_an_honest_one_is_not() -> None:
    rng = np.random.default_rng(5)
    honest = [count_losses(rng.exponential(0.6, 300)) for _ in range(2)]
    check_membership(measure_membership(*honest), DisclosurePolicy())
    learnt = measure_membership(count_losses(rng.exponential(0.01, 300)), honest[1])
    # Of exponential losses with means a and b the best threshold's advantage has a closed form.
    a, b = 0.01, 0.6
    best = np.log(b / a) * a * b / (b - a)
    assert learnt.advantage == pytest.approx(np.exp(-best / b) - np.exp(-best / a), abs=0.06)
    with pytest.raises(Refused, match="withheld"):
        check_membership(learnt, DisclosurePolicy())
    check_membership(learnt, DisclosurePolicy(max_membership_advantage=1.0))


def test_few_rows_prove_nothing() -> None:
    found = measure_membership(count_losses([0.0] * 5), count_losses([9.0] * 5))
    assert (found.advantage, found.rows) == (1.0, (5, 5))
    assert found.margin > 0.7
    assert measure_membership(count_losses([]), count_losses([1.0])).margin == 1.0
