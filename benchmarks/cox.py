"""Federated Cox regression against R's ``coxph`` on the pooled rows: time, memory, the same numbers.

Three holders, each with risk sets of its own (R: ``strata(holder)``), and times in whole days. Timed as in
``benchmarks/glm.py``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from memory import MemoryWatch
from network import network
from peers import compare, fit_in_r

HOLDERS = 3
COVARIATES = ("age", "dose", "marker")
RIGHT = " + ".join(COVARIATES)
IN_R = (
    f"library(survival); f <- coxph(Surv(time, status) ~ {RIGHT} + strata(holder), d); "
    "s <- cbind(coef(f), sqrt(diag(vcov(f))))"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=300_000, help="rows per holder")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="salerno-bench-") as place:
        folder = Path(place)
        sources = [_make(folder / f"site{site}.parquet", given.rows, site) for site in range(HOLDERS)]
        fitted = fit_in_r(folder, sources, IN_R)
        ours = federated(folder, sources)
    print(f"{HOLDERS} holders x {given.rows:,} rows x {len(COVARIATES)} covariates, {ours['rounds']} rounds")
    # No ratio is promised here; only the numbers must be the same.
    sys.exit(not compare(ours, {"R": fitted} if fitted else {}, wall=float("inf"), memory=float("inf")))


def federated(folder: Path, sources: list[Path]) -> dict[str, Any]:
    """The question over node processes."""
    with network(folder, sources) as space:
        space.settle()
        began = time.perf_counter()
        with MemoryWatch(space.processes.values()) as watch:
            answer = space.ask({"method": "cox", "formula": f"Surv(time, status) ~ {RIGHT}"})
        seconds = time.perf_counter() - began
    terms = {t["term"]: (t["estimate"], t["std_error"]) for t in answer["result"]["terms"]}
    return {
        "seconds": seconds,
        "peak_mb": watch.peak_mb,
        "node_mb": dict(zip(space.processes, watch.peaks, strict=True)),
        "rounds": answer["rounds"],
        "terms": terms,
    }


def _make(path: Path, rows: int, site: int) -> Path:
    rng = np.random.default_rng(200 + site)
    age, dose, marker = rng.normal(60, 10, rows), rng.uniform(0, 2, rows), rng.normal(size=rows)
    hazard = 2e-4 * np.exp(0.03 * (age - 60) - 0.4 * dose + 0.2 * marker)
    death, end = rng.exponential(1 / hazard), rng.uniform(30, 3650, rows)
    columns = {
        "time": np.ceil(np.minimum(death, end)).astype(np.int64),
        "status": (death <= end).astype(np.int64),
        "age": age,
        "dose": dose,
        "marker": marker,
    }
    pq.write_table(pa.table(columns), path, row_group_size=122_880)
    return path


if __name__ == "__main__":
    main()
