"""A holder's part of questions while its rows grow tenfold: time grows with them, memory does not.

One Parquet file, opened as a permitted view with 512 MB for the engine; each question runs over all its
rounds, without network. Time is the question's, memory the largest of the process while the question ran,
libraries included, but not what the one before used and is about to be given back. ``--full`` takes 10 and
100 million rows.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
from memory import MemoryWatch

MEMORY_MB = 512
_GIVES_BACK = 2.0  # seconds that the engine's allocator takes to give back what was used before
QUESTIONS: dict[str, dict[str, Any]] = {
    "describe": {"method": "describe", "variables": ["age", "lab", "days"], "by": "region"},
    "crosstab": {"method": "crosstab", "rows": "region", "columns": "sex"},
    "quantiles": {"method": "quantiles", "variable": "lab"},
    "kaplan_meier": {"method": "kaplan_meier", "time": "days", "event": "died", "by": "sex"},
    "cox": {"method": "cox", "formula": "Surv(days, died) ~ age + sex"},
    "glm": {"method": "glm", "formula": "died ~ age + lab + sex + region", "family": "binomial"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=400_000, help="rows of the smaller table")
    parser.add_argument("--full", action="store_true", help="10 and 100 million rows")
    parser.add_argument("--ask", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.ask:
        print(json.dumps(ask(given.ask)))
        return
    rows = 10_000_000 if given.full else given.rows
    runs = []
    with tempfile.TemporaryDirectory(prefix="salerno-bench-") as place:
        for n in (rows, 10 * rows):
            path = make(Path(place) / f"rows{n}.parquet", n)
            command = [sys.executable, __file__, "--ask", str(path)]
            runs.append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))
            path.unlink()
    print(f"{rows:,} and {10 * rows:,} rows, the engine may use {MEMORY_MB} MB")
    for name in runs[0]:
        (little, low), (much, high) = (run[name] for run in runs)
        print(f"{name:>12}: {little:6.2f} s -> {much:6.2f} s, {low:4.0f} MB -> {high:4.0f} MB")
    slower = sum(much for much, _ in runs[1].values()) / sum(little for little, _ in runs[0].values())
    opened = [run.pop("open")[1] for run in runs]
    larger = max(mb for _, mb in runs[1].values()) / max(mb for _, mb in runs[0].values())
    print(f"ratio of time for ten times the rows: {slower:.1f} (promised: at most 12)")
    print(f"ratio of memory for ten times the rows: {larger:.2f} (promised: at most 1.5)")
    print(f"opening counts persons within the engine's memory: {opened[1] - opened[0]:.0f} MB more")
    sys.exit(slower > 12 or larger > 1.5 or opened[1] - opened[0] > MEMORY_MB)


def make(path: Path, rows: int) -> Path:
    """A seeded table: each figure is a hash of the row's number."""
    draw = "(hash(16 * i + {0}) / 18446744073709551615.0)"
    normal = "(sqrt(-2 * ln({} + 1e-12)) * cos(2 * pi() * {}))"
    columns = {
        "id": "i",
        "age": f"round(60 + 12 * {normal.format(draw.format(1), draw.format(2))}, 1)",
        "lab": f"exp(1 + 0.4 * {normal.format(draw.format(3), draw.format(4))})",
        "days": f"1 + CAST(floor(-900 * ln({draw.format(5)} + 1e-9)) AS INTEGER) % 3650",
        "died": f"CAST({draw.format(6)} < 0.3 AS INTEGER)",
        "sex": f"CASE WHEN {draw.format(7)} < 0.5 THEN 'F' ELSE 'M' END",
        "region": f"'R' || CAST(floor(8 * {draw.format(8)}) AS INTEGER)",
    }
    listed = ", ".join(f"{sql} AS {name}" for name, sql in columns.items())
    with duckdb.connect(config={"memory_limit": "1GB"}) as connection:
        connection.execute("SET preserve_insertion_order = false")
        connection.execute(f"COPY (SELECT {listed} FROM range({rows}) r(i)) TO '{path}' (FORMAT parquet)")
    return path


def ask(path: str) -> dict[str, tuple[float, float]]:
    """Seconds and largest MB of each question over one file, and of opening it."""
    from salerno.holdings.engine.opening import IbisEngine
    from salerno.holdings.engine.source import EngineLimits
    from salerno.holdings.model import Holding, StudyFrame
    from salerno.permits.model import DataScope, OptOutList

    found: dict[str, tuple[float, float]] = {}

    def timed(name: str, act: Callable[[], Any]) -> Any:
        time.sleep(_GIVES_BACK)
        began = time.perf_counter()
        with MemoryWatch([os.getpid()]) as watch:
            result = act()
        found[name] = (time.perf_counter() - began, watch.peak_mb)
        return result

    holding = Holding(
        id="h",
        dataset="urn:d",
        title="H",
        source=path,
        kind="tables",
        person_column="id",
        connected_at=datetime.now(UTC),
    )
    with tempfile.TemporaryDirectory(prefix="salerno-bench-") as cache:
        engine = IbisEngine(EngineLimits(memory_mb=MEMORY_MB, cache_folder=Path(cache)))
        columns = ("id", "age", "lab", "days", "died", "sex", "region")
        frame = timed(
            "open",
            lambda: engine.open(
                holding,
                StudyFrame(),
                DataScope(dataset="urn:d", holder="h", country="FR", tables={Path(path).stem: columns}),
                left_out=OptOutList(salt="0" * 32, tokens=b"", as_of=datetime.now(UTC)),
                min_cell=10,
                holder_name="H",
            ),
        )
        for name, question in QUESTIONS.items():
            timed(name, lambda question=question: answer(question, frame))
        frame.close()
    return found


def answer(question: dict[str, Any], frame: Any) -> Any:
    """All rounds of a question at one holder."""
    from salerno.analysis.methods import method_of
    from salerno.analysis.model import Result, Scope
    from salerno.permits.model import DisclosurePolicy

    scope = Scope(dictionary=frame.dictionary, policy=DisclosurePolicy(), holders=("h",), names={"h": "H"})
    method = method_of(question)
    state = method.start(question, scope)
    while not isinstance(state, Result):
        aggregate = method.local(frame.table, state)
        sums = aggregate.finish(frame.compute(aggregate.expression, aggregate.numbers))
        state = method.step(method.guard(sums, state, scope), state)
    return state


if __name__ == "__main__":
    main()
