"""What masks cost: the same questions with masks and without, in turn, and the pads by themselves.

Three holders in this process, the real path from permit to answer. A regression's round carries few numbers,
a Cox model with shared risk sets some ten thousand.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from salerno.analysis.masking import encode, mask
from salerno.nodes.local import LocalSpace

HOLDERS = 3
QUESTIONS: dict[str, dict[str, Any]] = {
    "logistic regression": {"method": "glm", "formula": "status ~ age + dose", "family": "binomial"},
    "Cox, shared risk sets": {
        "method": "cox",
        "formula": "Surv(time, status) ~ age + dose",
        "strata": None,
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000, help="rows per holder")
    parser.add_argument("--times", type=int, default=5, help="how often each question is asked")
    given = parser.parse_args()
    holds = True
    with tempfile.TemporaryDirectory(prefix="salerno-bench-") as place:
        sites = [_make(Path(place) / f"site{i}.parquet", given.rows, i) for i in range(HOLDERS)]
        with LocalSpace(sites, masks=True) as masked, LocalSpace(sites, masks=False) as plain:
            for name, question in QUESTIONS.items():
                seconds: dict[str, list[float]] = {"masked": [], "plain": []}
                for turn in range(given.times + 1):
                    # The same question twice on one frame: only the first reads the rows from their file.
                    for kind, space in (("masked", masked), ("plain", plain)):
                        began = time.perf_counter()
                        answer = space.ask({**question, "conf_level": 0.9 + turn / 1000})
                        if turn:
                            seconds[kind].append((time.perf_counter() - began) / answer["rounds"])
                with_masks, without = (statistics.median(seconds[kind]) for kind in ("masked", "plain"))
                print(
                    f"{name}: a round {1000 * with_masks:.0f} ms with masks, {1000 * without:.0f} without; "
                    f"ratio {with_masks / without:.3f} (promised: at most 1.10)"
                )
                holds &= with_masks <= 1.10 * without
    for size in (100, 10_000, 1_000_000):
        print(f"pads for {size:,} numbers and {HOLDERS} holders: {1000 * _pads(size):.1f} ms per holder")
    sys.exit(not holds)


def _pads(size: int) -> float:
    encoded = encode({"sums": np.random.default_rng(1).normal(size=size)}, addends=HOLDERS)
    holders = [f"did:web:h{i}" for i in range(HOLDERS)]
    secrets = {did: bytes([i]) * 32 for i, did in enumerate(holders) if i}
    began = time.perf_counter()
    mask(encoded, own=holders[0], holders=holders, secrets=secrets, context=b"benchmark")
    return time.perf_counter() - began


def _make(path: Path, rows: int, site: int) -> Path:
    rng = np.random.default_rng(300 + site)
    age, dose = rng.normal(60, 10, rows), rng.uniform(0, 2, rows)
    death = rng.exponential(1 / (2e-4 * np.exp(0.03 * (age - 60) - 0.4 * dose)))
    end = rng.uniform(30, 3650, rows)
    columns = {
        "time": np.ceil(np.minimum(death, end)).astype(np.int64),
        "status": (death <= end).astype(np.int64),
        "age": age,
        "dose": dose,
    }
    pq.write_table(pa.table(columns), path, row_group_size=122_880)
    return path


if __name__ == "__main__":
    main()
