"""Rows by a formula that R computes as well, so that its figures can stand in the tests.

In R: i <- 1:600; u <- (i*i*7919 + i*104729) %% 10007 / 10007; v <- (i*i*3571 + i*15485863) %% 9973 / 9973;
d <- data.frame(age = 30 + (i*7919) %% 501 / 10, bmi = 18 + (i*104729) %% 223 / 10,
sex = ifelse((i*13) %% 7 < 3, 'F', 'M'), ward = i %% 25, owner = i %% 3); d$cl <- d$owner*100 + d$ward;
d$cost <- exp(0.01*d$age + 0.3*(d$sex == 'M')) * (0.2 + u);
d$sick <- as.numeric(v < plogis(-2 + 0.03*d$age + 0.5*(d$sex == 'M')));
d$lab <- 5 + 0.05*d$age + sin(d$bmi/4) + 2*(u - 0.5) + sin(d$cl) * (1 + d$age/50)
"""

from __future__ import annotations

import numpy as np
import pandas as pd


def seeded() -> pd.DataFrame:
    """All rows, with ``owner`` 0 to 2 and the clusters ``cl`` that lie within owners."""
    i = np.arange(1, 601)
    u, v = (i * i * 7919 + i * 104729) % 10007 / 10007, (i * i * 3571 + i * 15485863) % 9973 / 9973
    d = pd.DataFrame(
        {
            "age": 30 + (i * 7919) % 501 / 10,
            "bmi": 18 + (i * 104729) % 223 / 10,
            "sex": np.where((i * 13) % 7 < 3, "F", "M"),
            "ward": i % 25,
            "owner": i % 3,
        }
    )
    d["cl"] = d["owner"] * 100 + d["ward"]
    is_man = d["sex"] == "M"
    d["cost"] = np.exp(0.01 * d["age"] + 0.3 * is_man) * (0.2 + u)
    d["sick"] = (v < 1 / (1 + np.exp(2 - 0.03 * d["age"] - 0.5 * is_man))).astype(int)
    d["lab"] = (
        5 + 0.05 * d["age"] + np.sin(d["bmi"] / 4) + 2 * (u - 0.5) + np.sin(d["cl"]) * (1 + d["age"] / 50)
    )
    return d


def by_owner(pooled: pd.DataFrame) -> list[pd.DataFrame]:
    """The same over three holders, who know nothing of the pool."""
    return [
        pooled[pooled["owner"] == i].drop(columns=["owner", "cl"]).reset_index(drop=True) for i in range(3)
    ]
