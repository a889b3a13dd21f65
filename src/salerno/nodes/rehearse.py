"""Rehearsals: a question on synthetic rows with the published dictionary, by the real path in this process.

A throwaway space (see `salerno.nodes.local`) has one holder per data set, with rows that were made up out of
its description. No holder hears of the question, and no permit is needed.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from salerno.analysis.rehearsal import synthetic_tables
from salerno.catalogue.model import DatasetDescription
from salerno.kernel.errors import Invalid, Unavailable
from salerno.kernel.values import to_plain
from salerno.nodes.local import LocalSpace

MOST_DATASETS = 8
_PATIENCE_SECONDS = 30.0


class Rehearsals:
    """Rehearses questions, a few at the same time.

    Args:
        at_once: Most rehearsals at the same time; others wait for their turn.
    """

    def __init__(self, at_once: int = 2) -> None:
        self._turns = threading.BoundedSemaphore(at_once)

    def __call__(
        self,
        question: Mapping[str, Any],
        descriptions: Sequence[DatasetDescription],
        frame: Mapping[str, Any] | None = None,
        threshold: int | None = None,
    ) -> dict[str, Any]:
        """The answer to a question on synthetic rows; it is marked ``synthetic``.

        Args:
            question: The question as JSON.
            descriptions: One per holder, as the catalogue has them.
            frame: Study frame as JSON.
            threshold: Smallest number of persons behind a figure; the default policy's when None.

        Raises:
            Invalid: The question or the frame is wrong, or a description has no variables.
            Refused: Disclosure control refuses the question, as it would with that many rows.
            Unavailable: Too many rehearsals go on.
        """
        check_datasets(descriptions)
        if not self._turns.acquire(timeout=_PATIENCE_SECONDS):
            raise Unavailable(
                "rehearsals-busy", "Too many rehearsals go on at the moment", remedy="Try again in a minute."
            )
        try:
            with tempfile.TemporaryDirectory(prefix="salerno-rehearsal-") as folder:
                sites = [
                    _write(Path(folder) / str(number), description, frame)
                    for number, description in enumerate(descriptions)
                ]
                names = [description.holder.name for description in descriptions]
                with LocalSpace(sites, threshold=threshold, frame=frame, names=names) as space:
                    answer = space.ask(question)
        finally:
            self._turns.release()
        return _marked(answer, descriptions)


def check_datasets(descriptions: Sequence[DatasetDescription]) -> None:
    """Refuse what cannot be rehearsed on.

    Raises:
        Invalid: There is no data set, there are too many, or one describes no variables.
    """
    if not 0 < len(descriptions) <= MOST_DATASETS:
        raise Invalid(
            "datasets", f"A rehearsal takes one to {MOST_DATASETS} data sets, not {len(descriptions)}"
        )
    for description in descriptions:
        if not description.tables:
            what = f"The description of {description.title!r} has no variables to make rows of"
            raise Invalid("no-dictionary", what, remedy="Ask its holder to publish a variable dictionary.")


def _write(folder: Path, description: DatasetDescription, frame: Mapping[str, Any] | None) -> Path:
    """The rows as Parquet files in a folder."""
    folder.mkdir()
    for table, rows in synthetic_tables(description, frame).items():
        pq.write_table(rows, folder / f"{table}.parquet")
    return folder


def _marked(answer: dict[str, Any], descriptions: Sequence[DatasetDescription]) -> dict[str, Any]:
    """The answer with what it is: made of nothing but descriptions."""
    kept = {name: answer["provenance"][name] for name in ("question", "salerno")}
    return {
        **answer,
        "synthetic": True,
        "holders": [f"{name} (synthetic)" for name in answer["holders"]],
        "provenance": {**kept, "synthetic": True, "descriptions": [to_plain(d.iri) for d in descriptions]},
    }
