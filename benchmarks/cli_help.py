"""How long ``salerno --help`` takes: median wall time over fresh processes, and its ratio to the promise."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time

PROMISE_SECONDS = 0.3
RUNS = 15


def main() -> None:
    def seconds(*words: str) -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - began

    shown = ("-m", "salerno", "--help")
    seconds(*shown)  # compiles byte code
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    helps = [seconds(*shown) for _ in range(RUNS)]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / RUNS
    bare = statistics.median(seconds("-c", "pass") for _ in range(RUNS))
    median = statistics.median(helps)
    print(
        f"salerno --help: median {median:.3f} s, worst {max(helps):.3f} s, processor {cpu:.3f} s, {RUNS} runs"
    )
    print(f"Python alone: {bare:.3f} s")
    print(f"ratio to the promised {PROMISE_SECONDS} s: {median / PROMISE_SECONDS:.2f}")
    sys.exit(median > PROMISE_SECONDS)


if __name__ == "__main__":
    main()
