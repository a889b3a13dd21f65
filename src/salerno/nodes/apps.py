"""Trying an app on rows of one's own, in the sandbox that holders would run it in."""

from __future__ import annotations

import sys
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from salerno.holdings.engine.apps.host import SandboxedApps
from salerno.holdings.model import App, Learning, Task
from salerno.holdings.rules import read_bundle

if TYPE_CHECKING:
    import pandas as pd


def check_app(
    bundle: bytes, frame: pd.DataFrame, *, python: str = "", rounds: int = 2, loss: str = "loss"
) -> list[dict[str, Any]]:
    """Train an app alone for some rounds; what it writes goes to standard error.

    Args:
        bundle: The app.
        frame: Complete rows.
        python: Interpreter that runs it; this one by default.
        rounds: Rounds of training.
        loss: Metric of its evaluation that is the loss.

    Returns:
        By round: rows trained on, rows evaluated, and the loss on these before the round.

    Raises:
        Invalid: It is no bundle, or the app does not do its part.
        Refused: There is no sandbox here.
    """
    about = read_bundle(bundle)
    app = App(
        holding="",
        digest=about.digest,
        name=about.name,
        version=about.version,
        python=python or sys.executable,
        allowed_at=datetime.now(UTC),
        bundle=bundle,
    )
    arrays = tuple((name, array.shape, str(array.dtype)) for name, array in about.initial.items())
    learning = Learning(app=app.digest, session="", arrays=arrays, config={}, holdout=0.2)
    told = []
    rows = pa.Table.from_pandas(frame, preserve_index=False)
    with closing(SandboxedApps(show=True).open(app, learning, rows)) as session:
        model = session.run(Task()).arrays
        for number in range(1, rounds + 1):
            task = Task(arrays=model, settings={"server-round": number}, train=(), evaluate=(loss,))
            done = session.run(task)
            told.append({"round": number, "rows": done.n[0], "held_out": done.n[1], loss: done.metrics[1][0]})
            model = done.arrays
    return told
