"""Counts, means and centred squares by group and variable, in two rounds that add over holders.

The first round agrees the pooled means, the second sums squares around them: so the variance is right
to the last digits even where the values are large beside their spread.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from salerno.analysis.disclosure.cells import hidden_cells
from salerno.analysis.disclosure.persons import check_persons, check_some
from salerno.analysis.model import Aggregate, Released, Scope, Sums
from salerno.analysis.questions import Factor
from salerno.analysis.sums.columns import (
    as_number,
    cells_of,
    every,
    integers,
    is_listed,
    is_present,
    is_yes_no,
    keys_of,
    matrix,
    scatter,
)
from salerno.catalogue.model import Variable

Array = NDArray[np.float64]
_PARTED = ("counts", "sums", "values", "squares")


@dataclass(frozen=True)
class Moments:
    """Moments by group and variable, as far as the rounds have come.

    Args:
        variables, factors: What is summed, within which groups.
        together: Only rows that have all the variables count for any of them.
        rows, n: All rows, and those that have every variable and a listed level of every factor.
        counts: Values, shape (groups, variables).
        hidden: Figures that may not be told, same shape.
        centres: Pooled mean of each variable, around which the second round sums; None in the first round.
        mean, variance: Same shape as `counts`; NaN where there are too few values.
    """

    scope: Scope
    variables: tuple[Variable, ...]
    factors: tuple[Factor, ...] = ()
    together: bool = False
    rows: int = 0
    n: int = 0
    counts: NDArray[np.int64] | None = None
    hidden: NDArray[np.bool_] | None = None
    centres: Array | None = None
    mean: Array | None = None
    variance: Array | None = None

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return prod(len(f.levels) for f in self.factors)

    @property
    def is_complete(self) -> bool:
        """Whether both rounds are done."""
        return self.variance is not None


def local_moments(view: ir.Table, moments: Moments) -> Aggregate:
    """What a holder computes in the first or second round."""
    listed = every(is_listed(view, f) for f in moments.factors)
    if moments.centres is None:
        return _local_means(view, moments, listed)
    kept = view.filter(listed)
    shifted = kept.mutate(
        **{
            f"x{i}": as_number(kept, variable) - float(centre)
            for i, (variable, centre) in enumerate(zip(moments.variables, moments.centres, strict=True))
        }
    )
    complete = every(is_present(shifted, variable) for variable in moments.variables)
    metrics: dict[str, ir.Value] = {}
    for i, variable in enumerate(moments.variables):
        used = complete if moments.together else is_present(shifted, variable)
        metrics[f"d{i}"] = shifted[f"x{i}"].sum(where=used)
        metrics[f"q{i}"] = (shifted[f"x{i}"] * shifted[f"x{i}"]).sum(where=used)
    keys = keys_of(shifted, moments.factors)
    expression = shifted.group_by(**keys).aggregate(**metrics) if keys else shifted.aggregate(**metrics)

    def finish(table: pa.Table) -> Sums:
        cells = cells_of(table, moments.factors)
        width = range(len(moments.variables))
        return {
            "deviation": scatter(cells, matrix(table, [f"d{i}" for i in width]), moments.n_groups),
            "square": scatter(cells, matrix(table, [f"q{i}" for i in width]), moments.n_groups),
        }

    return Aggregate(expression, finish)


def _local_means(view: ir.Table, moments: Moments, listed: ir.BooleanValue) -> Aggregate:
    complete = every([listed, *(is_present(view, variable) for variable in moments.variables)])
    metrics: dict[str, ir.Value] = {"rows": view.count(), "n": complete.sum()}
    for i, variable in enumerate(moments.variables):
        used = complete if moments.together else listed & is_present(view, variable)
        metrics[f"c{i}"] = used.sum()
        metrics[f"s{i}"] = as_number(view, variable).sum(where=used)
    keys = keys_of(view, moments.factors, listed)
    expression = view.group_by(**keys).aggregate(**metrics) if keys else view.aggregate(**metrics)

    def finish(table: pa.Table) -> Sums:
        cells = cells_of(table, moments.factors)
        width = range(len(moments.variables))
        counts = np.column_stack([integers(table, f"c{i}") for i in width])
        return {
            "rows": np.array(integers(table, "rows").sum(), dtype=np.int64),
            "n": np.array(integers(table, "n").sum(), dtype=np.int64),
            "counts": scatter(cells, counts, moments.n_groups),
            "sums": scatter(cells, matrix(table, [f"s{i}" for i in width]), moments.n_groups),
            "hidden": np.zeros((moments.n_groups, len(moments.variables)), dtype=np.int64),
        }

    return Aggregate(expression, finish, released_moments(view, moments))


def released_moments(view: ir.Table, moments: Moments) -> tuple[Released, ...]:
    """Whom moments rest on: each group of each variable, and both values of one whose mean is a share."""
    listed = every(is_listed(view, f) for f in moments.factors)
    complete = every([listed, *(is_present(view, variable) for variable in moments.variables)])
    groups = tuple(view[factor.column] for factor in moments.factors)
    sets = []
    for variable in moments.variables:
        rows = complete if moments.together else listed & is_present(view, variable)
        sets.append(Released(rows, groups, (as_number(view, variable),)))
        if is_yes_no(variable):
            sets.append(Released(rows, (*groups, view[variable.name])))
    return tuple(sets)


def guard_moments(sums: Sums, moments: Moments, scope: Scope) -> Sums:
    """Withhold a holder's part about too few persons; with few holders each small group as well."""
    if moments.centres is None:
        counts = sums["counts"]
        for total in counts.sum(axis=0).tolist():
            check_persons(total, scope.policy, who="This holder's part")
        if not scope.few:
            return sums
        hidden = hidden_groups(counts, moments)
        return {
            **sums,
            **{name: np.where(hidden, 0, sums[name]) for name in _PARTED if name in sums},
            "hidden": hidden.astype(np.int64),
        }
    assert moments.hidden is not None
    return {name: np.where(moments.hidden, 0.0, values) for name, values in sums.items()}


def step_moments(sums: Sums, moments: Moments) -> Moments:
    """The moments after a round.

    Raises:
        Refused: A variable has values of nobody or of too few persons.
    """
    if moments.centres is None:
        counts = sums["counts"]
        withheld: NDArray[np.bool_] = np.asarray(sums["hidden"] > 0)
        totals = counts.sum(axis=0)
        for total, blank in zip(totals.tolist(), np.any(withheld, axis=0).tolist(), strict=True):
            if not blank:
                check_some(total, moments.scope.policy)
        hidden = hidden_groups(counts, moments, withheld)
        centres = sums["sums"].sum(axis=0) / np.maximum(totals, 1)
        return replace(
            moments, rows=int(sums["rows"]), n=int(sums["n"]), counts=counts, hidden=hidden, centres=centres
        )
    assert moments.counts is not None
    n = moments.counts.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        shift = sums["deviation"] / n
        variance = np.maximum(sums["square"] - sums["deviation"] * shift, 0.0) / (n - 1.0)
    variance[n < 2] = np.nan
    return replace(moments, mean=moments.centres + shift, variance=variance)


def hidden_groups(
    counts: NDArray[np.int64], moments: Moments, given: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_]:
    """Small groups and those that go with them, variable by variable."""
    shape = tuple(len(factor.levels) for factor in moments.factors) or (1,)
    columns = [
        hidden_cells(
            counts[:, i].reshape(shape),
            moments.scope.policy.min_cell,
            None if given is None else given[:, i].reshape(shape),
        ).ravel()
        for i in range(counts.shape[1])
    ]
    return np.column_stack(columns)
