"""Trained models of answers, to predict with on the user's own rows."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping, Sequence
from math import inf
from typing import TYPE_CHECKING, Any

from salerno.kernel.errors import Invalid, near

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


def read_arrays(told: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[Any]]:
    """The arrays of a trained model as an answer tells them: bytes in base64, little-endian."""
    import numpy as np

    return {
        entry["name"]: np.frombuffer(b64decode(entry["data"]), np.dtype(entry["dtype"]).newbyteorder("<"))
        .reshape(entry["shape"])
        .copy()
        for entry in told
    }


class TreeModel:
    """The trees of a boosting answer.

    Args:
        result: The answer's ``result``.
    """

    def __init__(self, result: Mapping[str, Any]) -> None:
        self.family = str(result["family"])
        self.outcome = str(result["outcome"])
        self.baseline = float(result["baseline"])
        self._trees: dict[int, dict[int, Mapping[str, Any]]] = {}
        for node in result["trees"]:
            self._trees.setdefault(node["tree"], {})[node["node"]] = node

    @property
    def variables(self) -> list[str]:
        """Columns that some split looks at."""
        nodes = (node for tree in self._trees.values() for node in tree.values())
        return sorted({node["variable"] for node in nodes if "variable" in node})

    def score(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """The score of each row: log odds of a binomial model, else the predicted value.

        Raises:
            Invalid: The frame lacks a column of the model.
        """
        import numpy as np

        for name in self.variables:
            if name not in frame.columns:
                raise Invalid(
                    "unknown-column",
                    f"The model needs the column {name!r}",
                    remedy=near(name, list(map(str, frame.columns))),
                )
        scores = np.full(len(frame), self.baseline)
        for tree in self._trees.values():
            self._add(frame, tree, 0, np.arange(len(frame)), scores)
        return scores

    def predict(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """The probability of the event, or the predicted value, of each row.

        Args:
            frame: Rows with the model's columns; missing values are allowed.
        """
        import numpy as np

        scores = self.score(frame)
        return 1 / (1 + np.exp(-scores)) if self.family == "binomial" else scores

    def _add(
        self,
        frame: pd.DataFrame,
        tree: Mapping[int, Mapping[str, Any]],
        at: int,
        rows: NDArray[np.int64],
        scores: NDArray[np.float64],
    ) -> None:
        node = tree[at]
        if "value" in node:
            scores[rows] += node["value"]
            return
        column = frame[node["variable"]].iloc[rows]
        if "levels" in node:
            # Levels are texts: of a whole number 1 that pandas keeps as 1.0, because others are missing, too.
            left = column.map(_level).isin(node["levels"]).to_numpy()
            missing = column.isna().to_numpy()
        else:
            numbers = column.astype("float64")
            missing = numbers.isna().to_numpy()
            bound = node["threshold"] if node["threshold"] is not None else inf
            left = (numbers < bound).to_numpy()
            if node["threshold"] is None and node["missing"] == "left":
                left = missing.copy()
        left[missing] = node["missing"] == "left"
        self._add(frame, tree, node["left"], rows[left], scores)
        self._add(frame, tree, node["right"], rows[~left], scores)

    def __repr__(self) -> str:
        return f"<TreeModel of {self.outcome}, {len(self._trees)} trees; predict(frame) gives predictions>"


def _level(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value == int(value if value == value and abs(value) < 1e15 else 0):
        return str(int(value))
    return str(value)
