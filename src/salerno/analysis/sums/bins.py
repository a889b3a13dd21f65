"""Counts of a column's values in bins that holders agree on."""

from __future__ import annotations

from collections.abc import Sequence
from math import ldexp, log

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from salerno.analysis.disclosure.cells import merged
from salerno.analysis.grids import HIGHEST, LARGEST, LOWEST, N_EXPONENTS, N_MAGNITUDES, Bracket
from salerno.analysis.model import Aggregate, Released, Scope, Sums
from salerno.analysis.sums.columns import as_number, integers, is_present, real, scatter
from salerno.catalogue.model import Variable

Counts = NDArray[np.int64]


def is_binnable(view: ir.Table, variable: Variable) -> ir.BooleanValue:
    """Whether a row has a value that bins can hold."""
    present = is_present(view, variable)
    return present & (as_number(view, variable).abs() < real(LARGEST))


def magnitude(x: ir.NumericValue, ok: ir.BooleanValue) -> ir.IntegerValue:
    """A value's bin by sign and power of two, from 0 to `N_MAGNITUDES` - 1; null where it is not to count."""
    size = ibis.cases((ok & (x != 0), x.abs()))
    power = (size.ln() * real(1 / log(2))).floor()
    # The logarithm may be off by a hair at a power of two itself; the power says on which side.
    power = power + ibis.cases(
        (size >= real(2) ** (power + 1), real(1)), (size < real(2) ** power, real(-1)), else_=real(0)
    )
    # Bins are closed below, so a negative power of two belongs to the bin nearer to zero.
    power = power - ibis.cases(((x < 0) & (size == real(2) ** power), real(1)), else_=real(0))
    exponent = ibis.greatest(ibis.least(power.cast("int64"), HIGHEST), LOWEST - 1)
    step = exponent - (LOWEST - 1)
    place = ibis.cases((x > 0, step), (x < 0, -step), else_=0)
    return ok.ifelse(place + N_EXPONENTS, ibis.null())


def unit(x: ir.NumericValue, brackets: Sequence[Bracket], offset: int = 0) -> ir.IntegerValue:
    """A value's place among the unit bins of disjoint brackets, one after the other; null outside of them."""
    branches = []
    for bracket in brackets:
        inside = (x >= real(bracket.start)) & (x < real(bracket.end))
        place = (x * real(ldexp(1.0, -bracket.exponent))).floor().cast("int64")
        branches.append((inside, place + (offset - bracket.low)))
        offset += bracket.n_units
    return ibis.cases(*branches)


def local_magnitudes(view: ir.Table, variable: Variable) -> Aggregate:
    """Rows, and values by sign and power of two: ``rows``, ``bins``, ``inner``."""
    rows = view.select(x=as_number(view, variable), ok=is_binnable(view, variable).fill_null(False))
    expression = rows.group_by(bin=magnitude(rows.x, rows.ok)).aggregate(n=rows.count())

    def finish(table: pa.Table) -> Sums:
        counts = integers(table, "n")
        return {
            "rows": np.array(counts.sum(), dtype=np.int64),
            "bins": scatter(places(table), counts, N_MAGNITUDES),
            "inner": np.zeros(N_MAGNITUDES, dtype=np.int64),
        }

    return Aggregate(expression, finish, (Released(is_binnable(view, variable)),))


def local_brackets(view: ir.Table, variable: Variable, brackets: Sequence[Bracket]) -> Aggregate:
    """Values in the unit bins of disjoint brackets, one after the other: ``bins``, ``inner``."""
    rows = view.filter(is_binnable(view, variable)).select(x=as_number(view, variable))
    expression = rows.group_by(bin=unit(rows.x, brackets)).aggregate(n=rows.count())
    size = sum(bracket.n_units for bracket in brackets)

    def finish(table: pa.Table) -> Sums:
        return {
            "bins": scatter(places(table), integers(table, "n"), size),
            "inner": np.zeros(size, dtype=np.int64),
        }

    return Aggregate(expression, finish)


def local_edges(view: ir.Table, variable: Variable, edges: Sequence[float]) -> Aggregate:
    """Values below the first edge, between the edges (the upper one excluded), and from the last on."""
    ok = is_binnable(view, variable).fill_null(False)
    place = _place(as_number(view, variable), edges)
    expression = view.group_by(bin=ok.ifelse(place, ibis.null("int64"))).aggregate(n=view.count())

    def finish(table: pa.Table) -> Sums:
        counts = integers(table, "n")
        bins = scatter(places(table), counts, len(edges) + 1)
        return {
            "rows": np.array(counts.sum(), dtype=np.int64),
            "n": np.array(bins.sum(), dtype=np.int64),
            "bins": bins,
            "hidden": np.zeros_like(bins),
        }

    return Aggregate(expression, finish, (Released(ok, (place,)),))


def _place(x: ir.NumericValue, edges: Sequence[float]) -> ir.Value:
    branches = ((x < real(edge), ibis.literal(i, type="int64")) for i, edge in enumerate(edges))
    return ibis.cases(*branches, else_=ibis.literal(len(edges), type="int64"))


def guard_bins(sums: Sums, spans: Sequence[int], scope: Scope) -> Sums:
    """With few holders, join bins until each run has nobody or enough; the runs alone are told.

    Args:
        sums: The holder's ``bins`` and ``inner``.
        spans: Number of bins of each bracket; a run stays within one.
        scope: What the nodes agree on.
    """
    if not scope.few:
        return sums
    bins = np.zeros_like(sums["bins"])
    inner = np.ones_like(sums["inner"])
    offset = 0
    for span in spans:
        part = sums["bins"][offset : offset + span]
        starts = merged(part, scope.policy.min_cell)
        bins[offset + starts] = np.add.reduceat(part, starts)
        inner[offset + starts] = 0
        offset += span
    return {**sums, "bins": bins, "inner": inner}


def runs(sums: Sums, brackets: Sequence[Bracket], min_cell: int) -> list[list[Bracket]]:
    """The pooled runs of each bracket, each with nobody or at least the threshold."""
    result = []
    offset = 0
    for bracket in brackets:
        span = bracket.n_units
        counts = sums["bins"][offset : offset + span]
        starts = merged(counts, min_cell, sums["inner"][offset : offset + span] > 0)
        result.append(bracket.split(counts, starts))
        offset += span
    return result


def places(table: pa.Table) -> Counts:
    """The bin of each aggregated row; -1 for those in none."""
    return np.array(
        [-1 if value is None else int(value) for value in table["bin"].to_pylist()], dtype=np.int64
    )
