"""Large-scale characteristics: every concept that persons have in windows around the index date.

Question: ``{"method": "large_scale_characteristics", "minimum_percentage": 0.5}`` on a frame with
``concepts``.
Result: ``{"groups": [{"group", "n"}], "concepts": [{"group", "window", "table", "concept_id", "n",
"percentage"}]}``, the most frequent first. Concepts that fewer than the asked percentage have are left
out, and so are those that few persons have, or that few do not have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from salerno.analysis.disclosure.cells import hidden_cells, is_small
from salerno.analysis.disclosure.persons import check_some
from salerno.analysis.model import Aggregate, Parameter, Question, Released, Result, Scope, Sums
from salerno.analysis.questions import check_keys, factor, number
from salerno.analysis.sums.columns import integers
from salerno.kernel.errors import Invalid

NAME = "large_scale_characteristics"
LABEL = "Large-scale characteristics"
PARAMETERS = (
    Parameter(
        name="minimum_percentage",
        label="Smallest percentage that is told",
        kind="number",
        default="0.5",
        optional=True,
    ),
)


@dataclass(frozen=True)
class State:
    """What is counted by what."""

    scope: Scope
    groups: tuple[str, ...]
    windows: tuple[str, ...]
    concepts: tuple[str, ...]
    least: float


def start(question: Question, scope: Scope) -> State:
    """Check the question."""
    check_keys(question, PARAMETERS)
    columns = scope.dictionary.variables
    if not {"window", "concept"} <= columns.keys():
        raise Invalid(
            "no-concepts",
            "The study's frame tells no concepts in windows",
            remedy="Give the frame 'concepts'.",
        )
    least = number(
        question.get("minimum_percentage", 0.5), key="minimum_percentage", above=0, below=100, closed=True
    )
    return State(
        scope,
        factor(scope, "group", role="group").levels,
        columns["window"].levels,
        columns["concept"].levels,
        least,
    )


def local(view: ir.Table, state: State) -> Aggregate:
    """Entries by group, and by group, window and concept."""
    listed = view.concept.isnull() | view.concept.isin(list(state.concepts))
    rows = view.filter(listed)
    expression = rows.group_by(["group", "window", "concept"]).aggregate(n=rows.count())
    released = (Released(view.concept.isnull(), (view.group,)),)
    return Aggregate(expression, lambda table: _sums(table, state), released)


def _sums(table: pa.Table, state: State) -> Sums:
    groups, windows, concepts = (
        {name: place for place, name in enumerate(names)}
        for names in (state.groups, state.windows, state.concepts)
    )
    entries = np.zeros(len(groups), dtype=np.int64)
    cells = np.zeros((len(groups), len(windows), len(concepts)), dtype=np.int64)
    columns = (table[name].to_pylist() for name in ("group", "window", "concept"))
    for group, window, concept, n in zip(*columns, integers(table, "n").tolist(), strict=True):
        if group not in groups:
            continue
        if concept is None:
            entries[groups[group]] += n
        elif window in windows:
            cells[groups[group], windows[window], concepts[concept]] += n
    return {
        "entries": entries,
        "cells": cells,
        "hidden_entries": np.zeros_like(entries),
        "hidden": np.zeros_like(cells),
    }


def guard(sums: Sums, state: State, scope: Scope) -> Sums:
    """With few holders, withhold each small number of this one."""
    if not scope.few:
        return sums
    min_cell = scope.policy.min_cell
    few = hidden_cells(sums["entries"], min_cell) | is_small(sums["entries"], min_cell)
    hidden = _hidden(sums, min_cell) | few[:, None, None]
    return {
        "entries": np.where(few, 0, sums["entries"]),
        "cells": np.where(hidden, 0, sums["cells"]),
        "hidden_entries": few.astype(np.int64),
        "hidden": hidden.astype(np.int64),
    }


def _hidden(sums: Sums, min_cell: int) -> Any:
    """Concepts that few persons have, or that few do not have."""
    without = np.maximum(sums["entries"][:, None, None] - sums["cells"], 0)
    return is_small(sums["cells"], min_cell) | is_small(without, min_cell)


def step(sums: Sums, state: State) -> Result:
    """The concepts that may be told."""
    policy = state.scope.policy
    entries, cells = sums["entries"], sums["cells"]
    check_some(int(entries.sum()), policy)
    few = hidden_cells(entries, policy.min_cell, sums["hidden_entries"] > 0)
    hidden = _hidden(sums, policy.min_cell) | (sums["hidden"] > 0) | few[:, None, None]
    share = 100 * cells / np.maximum(entries, 1)[:, None, None]
    wanted = (cells > 0) & ~hidden & (share >= state.least)
    order = sorted(
        map(tuple, np.argwhere(wanted).tolist()), key=lambda at: (at[0], at[1], -int(cells[at]), at[2])
    )
    told: list[dict[str, Any]] = []
    for at in order:
        table, _, concept = state.concepts[at[2]].partition(":")
        told.append(
            {
                "group": state.groups[at[0]],
                "window": state.windows[at[1]],
                "table": table,
                "concept_id": int(concept),
                "n": int(cells[at]),
                "percentage": float(share[at]),
            }
        )
    groups = [
        {"group": name, "n": None if few[place] else int(entries[place])}
        for place, name in enumerate(state.groups)
    ]
    result = {"groups": groups, "concepts": told, "minimum_percentage": state.least}
    return Result(result, int(entries.sum()), suppressed=int(hidden.sum()))
