"""Server strategies against Flower's own classes, and the attack by losses against what is known of it."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import numpy as np
import pytest

from salerno.analysis.disclosure.membership import check_membership, count_losses, measure_membership
from salerno.analysis.sums.strategies import strategy_of
from salerno.kernel.errors import Invalid, Refused
from salerno.permits.model import DisclosurePolicy

# Flower 1.41: the strategy's class with these options, fed with one reply a round whose arrays are MEANS, from
# arrays of zeros. For example, with flwr.serverapp.strategy as s:
#   r = s.FedAdam(eta=0.1, tau=1e-3); r.current_arrays = {"0": x.numpy()}; x, _ = r.aggregate_train(1, [reply])
MEANS = ([1.0, -2.0, 0.5], [1.5, -1.0, 0.25], [0.5, 0.0, -0.75])
FLOWER: dict[str, tuple[dict[str, float], list[float]]] = {}
