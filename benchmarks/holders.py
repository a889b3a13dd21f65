"""What a round costs as holders grow from 3 to 30: each holder a node of its own, all in this process.

Thirty holders have thirty machines; here they share this one's cores. So the time of a round is told as what
has to follow on each other: one holder's processor time for its share, and the hub's for taking all shares
and leading the round; both are measured by thread, one at a time, on nodes that are warm, and the
hub's includes the question's openings. Wall time of the whole space on this machine is told beside it.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from salerno.analysis.service.answering import Answering
from salerno.analysis.service.coordinator import Coordinator
from salerno.nodes.local import LocalSpace

_alone = threading.Lock()
QUESTION = {"method": "glm", "formula": "y ~ x1 + x2 + x3", "family": "binomial"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000, help="rows per holder")
    parser.add_argument("--full", action="store_true", help="a million rows per holder")
    given = parser.parse_args()
    rows = 1_000_000 if given.full else given.rows
    few, many = (measure(holders, rows) for holders in (3, 30))
    for holders, told in ((3, few), (30, many)):
        print(
            f"{holders:>2} holders x {rows:,} rows: one share {told['share']:.1f} ms, "
            f"the hub's part of a round {told['hub']:.1f} ms; "
            f"the whole space on this machine {told['wall']:.0f} ms a round"
        )
    ratio = (many["share"] + many["hub"]) / (few["share"] + few["hub"])
    print(f"ratio of a round's time, 30 to 3 holders: {ratio:.2f} (goal: at most 2)")


def measure(holders: int, rows: int) -> dict[str, float]:
    """Milliseconds a round."""
    shares: list[float] = []
    taken: list[float] = []
    with tempfile.TemporaryDirectory(prefix="salerno-bench-") as place:
        sites = [_site(Path(place) / f"s{i}.parquet", rows, i) for i in range(holders)]
        with LocalSpace(sites) as space:
            space.ask(QUESTION)  # loads what is loaded once
            Answering.share = timed(Answering.share, shares)  # type: ignore[method-assign]
            Coordinator.accept_share = timed(Coordinator.accept_share, taken)  # type: ignore[method-assign]
            Coordinator.accept_opened = timed(Coordinator.accept_opened, taken)  # type: ignore[method-assign]
            cpu, began = time.thread_time(), time.perf_counter()
            answer = space.ask(QUESTION)
            wall, cpu = time.perf_counter() - began, time.thread_time() - cpu
    rounds = int(answer["rounds"])
    return {
        "share": statistics.median(shares),
        "hub": (cpu * 1000 + sum(taken)) / rounds,
        "wall": wall * 1000 / rounds,
    }


def timed(function: Callable[..., Any], kept: list[float]) -> Callable[..., Any]:
    """The function, with its thread's processor time in milliseconds kept.

    One call at a time: thirty threads that take turns on two cores would each pay for the others.
    """
    inner = getattr(function, "inner", function)

    def call(*arguments: Any) -> Any:
        with _alone:
            began = time.thread_time()
            result = inner(*arguments)
            kept.append((time.thread_time() - began) * 1000)
        return result

    call.inner = inner  # type: ignore[attr-defined]
    return call


def _site(path: Path, rows: int, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({f"x{i}": rng.normal(size=rows) for i in range(1, 4)})
    table["y"] = (rng.random(rows) < 1 / (1 + np.exp(1 - table.x1 * 0.3 - table.x2 * 0.2))).astype(int)
    table.to_parquet(path)
    return path


if __name__ == "__main__":
    main()
