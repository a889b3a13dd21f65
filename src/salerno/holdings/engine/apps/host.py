"""The holder's side of an app in its sandbox: rows go in, and only checked numbers come out."""

from __future__ import annotations

import io
import json
import math
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from salerno.adapters.sandbox import Sandbox, SandboxLimits, open_sandbox
from salerno.holdings.engine.apps import runner
from salerno.holdings.model import App, Learning, Task, Trained
from salerno.holdings.rules import read_bundle, split_rows
from salerno.kernel.errors import Invalid, Refused, SalernoError

_AUDITED = 100
"""Rows of each kind that can be looked at one by one."""

_HEADER = 64 * 1024

_WRONG = {
    "no-flower": "its Python environment has no Flower",
    "load": "it cannot be loaded",
    "run": "it ended with an error",
    "train": "its training ended with an error",
    "evaluate": "its evaluation ended with an error",
    "arrays": "it returned other arrays than those of its model, or values that are not finite",
    "metrics": "it did not report 'num-examples' and the metrics that the question names",
}
"""What can be said of an app's failure: never in its own words, which could carry values."""


class SandboxedApps:
    """Opens apps in sandboxes; see `salerno.holdings.service.Apps`.

    Args:
        limits: What each app may use.
        show: Let the app's own output through, for somebody who tries an app on rows of their own.
    """

    def __init__(self, limits: SandboxLimits | None = None, *, show: bool = False) -> None:
        self._limits = limits or SandboxLimits()
        self._show = show

    def open(self, app: App, learning: Learning, rows: pa.Table) -> AppSession:
        """An app, loaded beside its rows.

        Args:
            app: Which.
            learning: What it is to train.
            rows: Complete rows.

        Raises:
            Refused: There is no sandbox on this machine, or its interpreter cannot be run.
        """
        bundle = read_bundle(app.bundle)
        train, held = split_rows(rows, learning.holdout)
        size = sum(math.prod(shape) for _, shape, _ in learning.arrays) * 8
        given = {
            "client": bundle.client,
            "config": {**bundle.config, **learning.config},
            "memory_mb": self._limits.memory_mb,
            "most_bytes": size,
        }
        script = Path(runner.__file__).read_bytes()
        files = {"/app/runner.py": script, runner.BUNDLE: app.bundle, **_data(train, held)}
        sandbox = open_sandbox(
            [app.python, "-I", "-B", "/app/runner.py", json.dumps(given)],
            readable=_folders(app.python),
            files=files,
            environment={"FLWR_TELEMETRY_ENABLED": "0"},
            limits=self._limits,
            show=self._show,
        )
        return AppSession(sandbox, learning, bundle.initial, (train.num_rows, held.num_rows))


class AppSession:
    """An app that stays loaded between the rounds of a question."""

    def __init__(
        self, sandbox: Sandbox, learning: Learning, initial: Mapping[str, Any], rows: tuple[int, int]
    ) -> None:
        self._sandbox = sandbox
        self._learning = learning
        self._initial = initial
        self._rows = rows
        self._lock = Lock()

    def run(self, task: Task) -> Trained:
        """Carry out one round's task.

        Raises:
            Invalid: ``app-failed`` or ``app-arrays``: the app did not do what was asked, in no words of its
            own.
            Refused: It took too long, or more memory than it may have.
        """
        if not task.arrays:
            self._ask({}, {})
            return Trained(rows=self._rows, arrays=self._first())
        audited = tuple(min(rows, task.audit_rows, _AUDITED) for rows in self._rows) if task.audit else (0, 0)
        asked = {
            "settings": dict(task.settings),
            "train": None if task.train is None else list(task.train),
            "evaluate": None if task.evaluate is None or not self._rows[1] else list(task.evaluate),
            "audit": dict(zip(("inside", "outside"), audited, strict=True)) if task.audit else {},
            "loss": task.audit,
        }
        names = [name for name, _, _ in self._learning.arrays]
        told, arrays = self._ask(asked, dict(zip(names, self._typed(task.arrays), strict=True)))
        try:
            return self._checked(task, asked, told, arrays, audited)
        except (KeyError, TypeError, ValueError) as error:
            raise _failed("arrays") from error

    def close(self) -> None:
        """End the app."""
        self._sandbox.close()

    def _first(self) -> tuple[Any, ...]:
        wanted = [(name, tuple(shape)) for name, shape, _ in self._learning.arrays]
        found = [(name, array.shape) for name, array in self._initial.items()]
        if wanted != found:
            listed = ", ".join(f"{name} {list(shape)}" for name, shape in found)
            raise Invalid(
                "app-arrays",
                "The question names other arrays than the app has",
                remedy=f"The app has: {listed}.",
            )
        return tuple(np.asarray(array, np.float64) for array in self._initial.values())

    def _typed(self, arrays: Sequence[Any]) -> list[Any]:
        kinds = [np.dtype(kind) for _, _, kind in self._learning.arrays]
        return [
            np.rint(a).astype(kind) if kind.kind in "iu" else a.astype(kind)
            for a, kind in zip(arrays, kinds, strict=True)
        ]

    def _ask(self, asked: dict[str, Any], arrays: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        size = sum(math.prod(shape) for _, shape, _ in self._learning.arrays) * 8
        with self._lock, self._sandbox.exchange() as (requests, replies):
            try:
                runner.write_message(requests, asked, arrays)
                told, found = runner.read_message(replies, size)
            except Exception as error:  # whatever it sends instead of a message is its end
                self._sandbox.close()  # what else it has written is no answer to the next request
                raise self._gone() from error
        if "wrong" in told:
            raise _failed(str(told["wrong"]))
        return told, found

    def _gone(self) -> SalernoError:
        late = self._sandbox.timed_out
        return Refused(
            "app-too-slow" if late else "app-ended",
            "The app took longer than the holder lets it" if late else "The app ended, or spoke out of turn",
            rule="the holder's limits for apps",
            remedy="Train on fewer rows or passes in each round." if late else "It may need more memory.",
        )

    def _checked(
        self,
        task: Task,
        asked: Mapping[str, Any],
        told: Mapping[str, Any],
        arrays: Mapping[str, Any],
        audited: tuple[int, ...],
    ) -> Trained:
        trained: tuple[Any, ...] = ()
        counts, metrics = [0, 0], [(), ()]
        if task.train is not None:
            trained = tuple(_finite(arrays[name], tuple(shape)) for name, shape, _ in self._learning.arrays)
            counts[0], metrics[0] = _means(told["trained"], len(task.train), self._rows[0])
        if asked["evaluate"] is not None:
            counts[1], metrics[1] = _means(told["evaluated"], len(asked["evaluate"]), self._rows[1])
        losses = [_numbers(told[side], count) for side, count in asked["audit"].items()] or [(), ()]
        return Trained(
            rows=self._rows,
            n=(counts[0], counts[1]),
            arrays=trained,
            metrics=(metrics[0], metrics[1]),
            losses=(losses[0], losses[1]),
        )


def _finite(array: Any, shape: tuple[int, ...]) -> Any:
    if array.shape != shape or not np.isfinite(array).all():
        raise ValueError
    return array.astype(np.float64)


def _numbers(values: Any, count: int) -> tuple[float, ...]:
    """So many finite numbers."""
    found = tuple(float(value) for value in values)
    if len(found) != count or not all(map(math.isfinite, found)):
        raise _failed("metrics")
    return found


def _means(told: Any, count: int, most: int) -> tuple[int, Any]:
    """Number of rows, which cannot be more than there are, and means over them."""
    n, values = told
    if not isinstance(n, int) or not 0 < n <= most:
        raise _failed("metrics")
    return n, _numbers(values, count)


def _failed(wrong: str) -> Invalid:
    return Invalid(
        "app-failed",
        f"The app did not do its part: {_WRONG.get(wrong, _WRONG['run'])}",
        remedy="Try it on rows of your own, where its words can be seen: salerno app check",
    )


def _data(train: pa.Table, held: pa.Table) -> dict[str, bytes]:
    """The files with rows that the app reads, and those of single rows."""
    found = {
        f"{runner.DATA}/train.parquet": _parquet(train),
        f"{runner.DATA}/heldout.parquet": _parquet(held),
    }
    for side, rows in (("inside", train), ("outside", held)):
        for number in range(min(rows.num_rows, _AUDITED)):
            found[f"{runner.DATA}/{side}/{number}.parquet"] = _parquet(rows.slice(number, 1))
    return found


def _parquet(rows: pa.Table) -> bytes:
    written = io.BytesIO()
    pq.write_table(rows, written, compression="none" if rows.num_rows < 2 else "snappy")
    return written.getvalue()


@cache
def _folders(python: str) -> tuple[Path, ...]:
    """What an interpreter needs to read beside the system's folders."""
    code = "import json, sys; print(json.dumps([sys.prefix, sys.base_prefix]))"
    try:
        done = subprocess.run(  # noqa: S603 - the steward named it
            [python, "-I", "-c", code], capture_output=True, check=True, timeout=60
        )
        prefixes = [Path(prefix) for prefix in json.loads(done.stdout)]
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise Refused(
            "app-python",
            f"The interpreter {python} of the app cannot be run",
            remedy="Allow the app again with --python of an environment that has Flower.",
        ) from error
    system = Path("/usr")
    return tuple(dict.fromkeys(p for p in prefixes if p != system and system not in p.parents))
