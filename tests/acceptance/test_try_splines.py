"""Splines whose knots are to be placed, through laptop mode: the ledger judges the round that places them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from salerno.nodes.local import LocalSpace


@pytest.mark.parametrize(
    "question",
    [
        {"method": "glm", "formula": "ill ~ ns(age, df = 3) + sex", "family": "binomial"},
        {"method": "lmm", "formula": "pain ~ ns(age, df = 2) + (1 | holder)"},
    ],
    ids=lambda question: question["method"],
)
def test_knots_are_placed(question: dict[str, Any], tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    sites = [tmp_path / f"{name}.csv" for name in "abc"]
    for number, site in enumerate(sites):
        rows = pd.DataFrame({"age": rng.uniform(20, 80, 300).round(1), "sex": rng.choice(["F", "M"], 300)})
        rows["ill"] = (rng.random(300) < 0.3).astype(int)
        rows["pain"] = (rng.normal(number, 1, 300) + rows["age"] / 40).round(3)
        rows.to_csv(site, index=False)
    with LocalSpace(sites) as space:
        answer = space.ask(question)
    assert answer["n"] == 900
    assert sum("ns(age" in term["term"] for term in answer["result"]["terms"]) >= 2
