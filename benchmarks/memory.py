"""How much memory processes use."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path


class MemoryWatch:
    """Largest memory of some processes, in MB, together and each by itself, sampled while the block runs.

    Proportional set size: a page that several processes share, such as a library's code, counts once.
    """

    def __init__(self, process_ids: Iterable[int]) -> None:
        self._process_ids = list(process_ids)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.peak_mb = 0.0
        self.peaks: list[float] = [0.0] * len(self._process_ids)

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.05):
            try:
                now = [_pss_mb(process_id) for process_id in self._process_ids]
            except OSError:
                return  # a process has ended
            self.peak_mb = max(self.peak_mb, sum(now))
            self.peaks = [max(pair) for pair in zip(self.peaks, now, strict=True)]


def _pss_mb(process_id: int) -> float:
    text = Path(f"/proc/{process_id}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) / 1024
