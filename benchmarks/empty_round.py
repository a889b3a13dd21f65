"""Overhead of a round: hub and three holders as processes on loopback, and a method that only counts.

A round is everything between two answers of a holder: the hub adds the shares and signs the next round, the
holder verifies all shares, replays, checks the permit, counts, masks, signs, keeps, and hands in.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import tempfile
from pathlib import Path

from network import network

PROMISE_MS = 50.0
QUESTIONS = 6


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="salerno-bench-") as place:
        folder = Path(place)
        sources = []
        for site in range(3):
            sources.append(folder / f"site{site}.csv")
            sources[-1].write_text("age\n" + "\n".join(str(20 + i) for i in range(30)) + "\n")
        with network(folder, sources, extra=["empty"]) as space:
            space.ask({"method": "empty"})  # loads what is loaded once
            before = space.cpu_seconds()
            answers = [space.ask({"method": "empty"}) for _ in range(QUESTIONS)]
            after = space.cpu_seconds()
            assert all(answer["n"] == 90 for answer in answers)
        entries = space.entries("holder-0", "round-answered")
    times = [
        (later.at - earlier.at).total_seconds() * 1000
        for earlier, later in itertools.pairwise(entries)
        if earlier.subject == later.subject
    ]
    rounds = sum(answer["rounds"] for answer in answers)
    for name in ("hub", "holder-0"):
        print(f"processor time per round at {name}: {(after[name] - before[name]) / rounds * 1000:.1f} ms")
    times = times[-rounds:]
    median, p95 = statistics.median(times), statistics.quantiles(times, n=20)[-1]
    print(f"empty round over three processes: median {median:.1f} ms, p95 {p95:.1f} ms, {len(times)} rounds")
    print(f"ratio to the promised {PROMISE_MS:.0f} ms: {median / PROMISE_MS:.2f}")
    sys.exit(median > PROMISE_MS)


if __name__ == "__main__":
    main()
