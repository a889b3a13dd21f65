"""Federated logistic regression against statsmodels and R on the pooled rows: time, memory, the same numbers.

Three holders with a million rows and seven covariates each, as Parquet; hub, access body and holders are
processes of their own on loopback, masks on. The federation is timed from the question to the answer, on
nodes that are up and idle and have not read a row; statsmodels from the first read of the files to the
fitted model, with all it needs imported; R's ``glm`` for the fit alone, with the rows in its memory. Memory
is the peak of the proportional set size; what is promised is that of the largest node, since each holder has
a machine of its own, and that of all nodes together is told beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
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
COVARIATES = tuple(f"x{i}" for i in range(1, 8))
FORMULA = "y ~ " + " + ".join(COVARIATES)
IN_R = f"f <- glm({FORMULA}, binomial, d, epsilon = 1e-12); s <- summary(f)$coefficients[, 1:2]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows per holder")
    parser.add_argument("--pooled", nargs="*", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.pooled:
        print(json.dumps(in_statsmodels(given.pooled)))
        return
    with tempfile.TemporaryDirectory(prefix="salerno-bench-") as place:
        folder = Path(place)
        sources = [_make(folder / f"site{site}.parquet", given.rows, site) for site in range(HOLDERS)]
        command = [sys.executable, __file__, "--pooled", *map(str, sources)]
        peers = {"statsmodels": json.loads(subprocess.run(command, check=True, capture_output=True).stdout)}
        if (fitted := fit_in_r(folder, sources, IN_R)) is not None:
            peers["R"] = fitted
        ours = federated(folder, sources)
    print(f"{HOLDERS} holders x {given.rows:,} rows x {len(COVARIATES)} covariates, {ours['rounds']} rounds")
    sys.exit(not compare(ours, peers, wall=0.2, memory=0.25))


def federated(folder: Path, sources: list[Path]) -> dict[str, Any]:
    """The question over node processes."""
    with network(folder, sources) as space:
        space.settle()
        began = time.perf_counter()
        with MemoryWatch(space.processes.values()) as watch:
            answer = space.ask({"method": "glm", "formula": FORMULA, "family": "binomial"})
        seconds = time.perf_counter() - began
    terms = {t["term"]: (t["estimate"], t["std_error"]) for t in answer["result"]["terms"]}
    assert answer["disclosure"]["masks"]
    return {
        "seconds": seconds,
        "peak_mb": watch.peak_mb,
        "node_mb": dict(zip(space.processes, watch.peaks, strict=True)),
        "rounds": answer["rounds"],
        "terms": terms,
    }


def in_statsmodels(sources: list[str]) -> dict[str, Any]:
    """The same rows in one process, as an analyst would fit them who may have them all."""
    import pandas as pd
    import statsmodels.formula.api as smf
    from statsmodels.genmod.families import Binomial

    began = time.perf_counter()
    with MemoryWatch([os.getpid()]) as watch:
        rows = pd.concat([pd.read_parquet(source) for source in sources], ignore_index=True)
        fitted = smf.glm(FORMULA, rows, family=Binomial()).fit()
    seconds = time.perf_counter() - began
    names = {"Intercept": "(Intercept)"}
    terms = {names.get(n, n): (fitted.params[n], fitted.bse[n]) for n in fitted.params.index}
    return {"seconds": seconds, "peak_mb": watch.peak_mb, "terms": terms}


def _make(path: Path, rows: int, site: int) -> Path:
    rng = np.random.default_rng(100 + site)
    columns = {name: rng.normal(size=rows) for name in COVARIATES}
    linear = -1 + sum(0.1 * i * columns[name] for i, name in enumerate(COVARIATES, start=1))
    columns["y"] = (rng.random(rows) < 1 / (1 + np.exp(-linear))).astype(np.int64)
    pq.write_table(pa.table(columns), path, row_group_size=122_880)  # as DuckDB and most tools write them
    return path


if __name__ == "__main__":
    main()
