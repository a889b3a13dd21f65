"""Treatment patterns: which treatments follow each other, as paths with their numbers of persons.

Question: ``{"method": "treatment_patterns"}`` on a frame with ``treatments``.
Result: ``{"groups": [{"group", "n"}], "paths": [{"group", "path", "n", "percentage"}]}``; a path reads ``A
> A+B > B``: a first line, a combination, then the other alone. Rare paths are told together as ``other``.

A path that few persons have is counted with the others, together with as many frequent ones as it takes
for that number to be of enough persons.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from salerno.analysis.disclosure.cells import hidden_cells
from salerno.analysis.disclosure.persons import check_persons, check_some
from salerno.analysis.model import Aggregate, Parameter, Question, Released, Result, Scope, Sums
from salerno.analysis.questions import Factor, check_keys, factor
from salerno.analysis.sums.columns import integers
from salerno.kernel.errors import Invalid

NAME = "treatment_patterns"
LABEL = "Treatment patterns"
PARAMETERS: tuple[Parameter, ...] = ()

OTHER = "other"


@dataclass(frozen=True)
class State:
    """The groups and the paths that are told by name."""

    scope: Scope
    groups: Factor
    paths: tuple[str, ...]


def start(question: Question, scope: Scope) -> State:
    """Check the question."""
    check_keys(question, PARAMETERS)
    if "path" not in scope.dictionary.variables:
        raise Invalid("no-paths", "The study's frame has no paths", remedy="Give the frame 'treatments'.")
    paths = scope.dictionary.variables["path"].levels
    return State(scope, factor(scope, "group", role="group"), paths)


def local(view: ir.Table, state: State) -> Aggregate:
    """Count persons by group and path; paths without a name of their own are one."""
    listed = view.path.isin(list(state.paths)) if state.paths else view.path.isnull()
    rows = view.select("group", path=listed.ifelse(view.path, OTHER))
    expression = rows.group_by(["group", "path"]).aggregate(n=rows.count())

    def finish(table: pa.Table) -> Sums:
        groups = {name: place for place, name in enumerate(state.groups.levels)}
        places = {name: place for place, name in enumerate(state.paths)}
        cells = np.zeros((len(groups), len(places) + 1), dtype=np.int64)
        counts = integers(table, "n").tolist()
        for group, path, n in zip(table["group"].to_pylist(), table["path"].to_pylist(), counts, strict=True):
            if group in groups:
                cells[groups[group], places.get(path, -1)] += n
        return {"cells": cells, "hidden": np.zeros_like(cells)}

    return Aggregate(expression, finish, (Released(view.path.notnull(), (view.group, view.path)),))


def guard(sums: Sums, state: State, scope: Scope) -> Sums:
    """With few holders, count this holder's rare paths with the others."""
    check_persons(int(sums["cells"].sum()), scope.policy, who="This holder's part")
    if not scope.few:
        return sums
    hidden = hidden_cells(sums["cells"], scope.policy.min_cell)
    cells = np.where(hidden, 0, sums["cells"])
    return {"cells": cells, "hidden": hidden.astype(np.int64)}


def step(sums: Sums, state: State) -> Result:
    """The paths of each group, the most frequent first."""
    cells, policy = sums["cells"], state.scope.policy
    check_some(int(cells.sum()), policy)
    withheld = sums["hidden"] > 0
    hidden = hidden_cells(cells, policy.min_cell, withheld)
    groups: list[dict[str, Any]] = []
    every: list[dict[str, Any]] = []
    suppressed = 0
    for place, group in enumerate(state.groups.levels):
        row, blank, lost = cells[place], hidden[place], bool(withheld[place].any())
        n = int(row.sum())
        # What a holder withheld is not in the sums, and a group of few is not told at all.
        known = not lost and (n == 0 or n >= policy.min_cell)
        named = [(path, int(row[i])) for i, path in enumerate(state.paths) if row[i] and not blank[i]]
        rest = int(row[:-1][blank[:-1]].sum() + row[-1])
        told = named if known else [(path, count) for path, count in named if count >= policy.min_cell]
        paths = sorted(told, key=lambda pair: (-pair[1], pair[0]))
        entries = [{"path": p, "n": c, "percentage": 100 * c / n if known else None} for p, c in paths]
        if rest or lost:
            open_rest = known and rest >= policy.min_cell
            share = 100 * rest / n if open_rest else None
            entries.append({"path": OTHER, "n": rest if open_rest else None, "percentage": share})
        suppressed += int(blank.sum())
        groups.append({"group": group, "n": n if known else None})
        every += [{"group": group, **entry} for entry in entries]
    return Result({"groups": groups, "paths": every}, int(cells.sum()), suppressed=suppressed)
