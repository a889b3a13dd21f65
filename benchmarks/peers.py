"""What the benchmarks of regressions share: the same fit in R, and the comparison.

Imported by the others; as a script it does nothing.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from memory import MemoryWatch


def fit_in_r(folder: Path, sources: Sequence[Path], fit: str) -> dict[str, Any] | None:
    """A fit by R over the pooled rows; None, with a word, where R is not installed.

    Args:
        folder: Where the rows may be written for R to read.
        sources: Parquet files with numeric columns; R also gets ``holder``, the number of the file.
        fit: R code that makes a matrix ``s`` of estimates and standard errors, by term, of data frame ``d``.

    Returns:
        ``seconds`` of the fit alone, ``peak_mb`` of the process, ``terms``.
    """
    if shutil.which("Rscript") is None:
        print("R is not installed (Debian: r-base-core, r-cran-survival); it is left out")
        return None
    tables = [pq.read_table(source) for source in sources]
    names = [*tables[0].column_names, "holder"]
    for name in names[:-1]:
        np.concatenate([t[name].to_numpy().astype(np.float64) for t in tables]).tofile(folder / f"{name}.bin")
    sizes = [table.num_rows for table in tables]
    np.repeat(np.arange(float(len(tables))), sizes).tofile(folder / "holder.bin")
    script = f"""
    read <- function(name) readBin(file.path("{folder}", paste0(name, ".bin")), "double", {sum(sizes)})
    d <- data.frame({", ".join(f'{name} = read("{name}")' for name in names)})
    t <- system.time({{ {fit} }})
    rows <- paste0('"', rownames(s), '": [', sprintf("%.17g", s[, 1]), ", ", sprintf("%.17g", s[, 2]), "]")
    cat('{{"seconds":', t[["elapsed"]], ', "terms": {{', paste(rows, collapse = ", "), "}}}}")
    """
    process = subprocess.Popen(["Rscript", "-e", script], stdout=subprocess.PIPE, text=True)
    with MemoryWatch([process.pid]) as watch:
        printed, _ = process.communicate()
    if process.returncode:
        raise RuntimeError("R failed")
    return {**json.loads(printed), "peak_mb": watch.peak_mb}


def compare(
    ours: Mapping[str, Any], peers: Mapping[str, Mapping[str, Any]], *, wall: float, memory: float
) -> bool:
    """Print times, memory and differences; says whether all that is promised holds.

    Args:
        ours, peers: ``seconds``, ``peak_mb`` and ``terms`` (estimate and standard error by name); of ours
            ``node_mb``, the memory of each node.
        wall, memory: Largest ratio to each peer that is promised; memory is that of the largest node.
    """
    nodes = ", ".join(f"{name} {mb:.0f} MB" for name, mb in ours["node_mb"].items())
    largest = max(ours["node_mb"].values())
    print(f"federated, masks on: {ours['seconds']:.2f} s; {nodes}; together {ours['peak_mb']:.0f} MB")
    holds = True
    for name, theirs in peers.items():
        times, space = ours["seconds"] / theirs["seconds"], largest / theirs["peak_mb"]
        difference = max(
            abs(ours["terms"][term][i] / value - 1)
            for term, values in theirs["terms"].items()
            for i, value in enumerate(values)
        )
        print(f"{name}, pooled: {theirs['seconds']:.2f} s, peak {theirs['peak_mb']:.0f} MB")
        print(f"  ratio of wall time: {times:.2f} (promised: at most {wall:.2f})")
        print(f"  ratio of memory, largest node: {space:.2f} (promised: at most {memory:.2f})")
        print(f"  ratio of memory, all nodes together: {ours['peak_mb'] / theirs['peak_mb']:.2f}")
        print(f"  largest relative difference of estimates and standard errors: {difference:.1e}")
        holds &= times <= wall and space <= memory and difference < 1e-6
    return holds
