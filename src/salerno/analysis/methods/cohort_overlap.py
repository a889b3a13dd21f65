"""Overlap of cohorts: how many persons are in both of two, or in one of them only.

Question: ``{"method": "cohort_overlap", "cohorts": ["asthma", "copd"]}`` on a frame with ``"rows":
"cohorts"``; all cohorts of the frame unless named.
Result: ``{"pairs": [{"first", "second", "n_both", "n_first_only", "n_second_only", "percentage_both"}]}``;
the percentage is of those in either.

Where any of the three numbers of a pair is about few persons, none of them is told, so that no other pair
gives it away.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from salerno.analysis.disclosure.cells import is_small
from salerno.analysis.disclosure.persons import check_persons
from salerno.analysis.model import Aggregate, Parameter, Question, Released, Result, Scope, Sums
from salerno.analysis.questions import check_keys, names
from salerno.analysis.sums.columns import integers
from salerno.analysis.sums.memberships import cohorts_of

NAME = "cohort_overlap"
LABEL = "Overlap of cohorts"
PARAMETERS = (
    Parameter(name="cohorts", label="Cohorts", kind="columns", hint="All when empty", optional=True),
)


@dataclass(frozen=True)
class State:
    """The cohorts and their pairs."""

    scope: Scope
    cohorts: tuple[str, ...]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Every two cohorts, in the order asked for."""
        return list(combinations(self.cohorts, 2))


def start(question: Question, scope: Scope) -> State:
    """Check the question."""
    check_keys(question, PARAMETERS)
    return State(scope, cohorts_of(scope, names(question, "cohorts", required=False)))


def local(view: ir.Table, state: State) -> Aggregate:
    """Persons by pair: in both, in the first only, in the second only."""
    metrics: dict[str, ir.Value] = {"persons": view.count()}
    for number, (first, second) in enumerate(state.pairs):
        a, b = view[first] == 1, view[second] == 1
        metrics |= {
            f"both{number}": (a & b).sum(),
            f"first{number}": (a & ~b).sum(),
            f"second{number}": (b & ~a).sum(),
        }

    def finish(table: pa.Table) -> Sums:
        counts = [
            [int(integers(table, f"{part}{n}")[0]) for part in ("both", "first", "second")]
            for n in range(len(state.pairs))
        ]
        cells = np.array(counts, dtype=np.int64)
        return {
            "persons": np.array(int(integers(table, "persons")[0]), dtype=np.int64),
            "cells": cells,
            "hidden": np.zeros(len(cells), dtype=np.int64),
        }

    released = [Released(ibis.literal(True))]  # the answer says how many persons the frame has
    released += [Released((view[cohort] == 1).fill_null(False)) for cohort in state.cohorts]
    released += [Released(((view[a] == 1) & (view[b] == 1)).fill_null(False)) for a, b in state.pairs]
    return Aggregate(view.aggregate(**metrics), finish, tuple(released))


def guard(sums: Sums, state: State, scope: Scope) -> Sums:
    """With few holders, withhold this holder's part of a pair with a small number."""
    check_persons(int(sums["persons"]), scope.policy, who="This holder's part")
    if not scope.few:
        return sums
    hidden = np.asarray(is_small(sums["cells"], scope.policy.min_cell).any(axis=1))
    cells = np.where(hidden[:, None], 0, sums["cells"])
    return {**sums, "cells": cells, "hidden": hidden.astype(np.int64)}


def step(sums: Sums, state: State) -> Result:
    """The pairs that may be told."""
    hidden = is_small(sums["cells"], state.scope.policy.min_cell).any(axis=1) | (sums["hidden"] > 0)
    pairs: list[dict[str, Any]] = []
    for (first, second), cells, blank in zip(
        state.pairs, sums["cells"].tolist(), hidden.tolist(), strict=True
    ):
        both, one, other = [None] * 3 if blank else cells
        share = None if blank or not sum(cells) else 100 * cells[0] / sum(cells)
        pairs.append(
            {
                "first": first,
                "second": second,
                "n_both": both,
                "n_first_only": one,
                "n_second_only": other,
                "percentage_both": share,
            }
        )
    return Result({"pairs": pairs}, int(sums["persons"]), suppressed=3 * int(hidden.sum()))
