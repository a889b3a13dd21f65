"""A researcher's program that trains a model on a holding's rows, in a sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """A researcher's program that the steward lets run on a holding, in a sandbox: a Flower app.

    Args:
        holding: Id of the holding.
        digest: SHA-256 of the bundle, by which questions name it.
        name, version: As its ``pyproject.toml`` has them.
        python: Interpreter with Flower and all that the app imports; it may be another than the node's.
        bundle: The app itself, a zip file; see `salerno.holdings.rules.read_bundle`.
    """

    holding: str
    digest: str
    name: str
    version: str
    python: str
    allowed_at: datetime
    bundle: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Learning:
    """What stays the same in all rounds of a question that trains an app's model.

    Args:
        app: Digest of the app.
        session: Name under which the app stays loaded between rounds.
        arrays: Name, shape and dtype of each array of the model, in the app's order.
        config: Run configuration, over the app's own.
        holdout: Share of the rows that are kept from training.
    """

    app: str
    session: str
    arrays: tuple[tuple[str, tuple[int, ...], str], ...]
    config: Mapping[str, str | int | float | bool]
    holdout: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What an app is asked for in one round; without arrays it is loaded and tells its first ones.

    Args:
        arrays: The model, in the order of `Learning.arrays`.
        settings: The message's configuration, such as the number of the round.
        train: Metrics to train with and report; None for no training.
        evaluate: Metrics to report on the rows that are kept from training; None for no evaluation.
        audit: Metric that is a row's loss, to look at rows one by one; empty for no look.
        audit_rows: Most rows of each kind to look at.
    """

    arrays: tuple[NDArray[Any], ...] = ()
    settings: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    train: tuple[str, ...] | None = None
    evaluate: tuple[str, ...] | None = None
    audit: str = ""
    audit_rows: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What an app made of a task: checked for names, shapes and finite values, and for nothing else.

    Args:
        rows: Rows for training, and rows kept from it.
        n: Rows that it says to have trained on, and to have evaluated; at most as many as there are.
        arrays: The model after training, as float64.
        metrics: Means over the rows trained on, and over the rows evaluated, in the order of the task.
        losses: Losses of single rows: of some for training, and of some kept from it.
    """

    rows: tuple[int, int]
    n: tuple[int, int] = (0, 0)
    arrays: tuple[NDArray[np.float64], ...] = ()
    metrics: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())
    losses: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())
