"""Counts, sums and squares of values between declared bounds, which noise can hide any one person in.

Values beyond the bounds count as the bounds. Each becomes a whole number from `-HALF` to `HALF`, row by row
and before it is summed: so sums are exact, and what one person changes in them is known exactly.

Source:
    Mironov, On significance of the least significant bits for differential privacy, CCS 2012: why floats
    are not summed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from salerno.analysis.model import Aggregate, Sensitivity, Sums
from salerno.analysis.questions import numbers
from salerno.analysis.sums.columns import (
    as_number,
    cells_of,
    every,
    integers,
    is_listed,
    is_present,
    keys_of,
    real,
    scatter,
)
from salerno.analysis.sums.moments import Moments, hidden_groups, released_moments
from salerno.kernel.errors import Invalid, near

HALF = 2**15
Bounds = tuple[tuple[float, float], ...]
_NAMES = ("counts", "values", "squares")


def bounds_of(given: Any, names: tuple[str, ...]) -> Bounds:
    """Lowest and highest value of each column, as the question declares them.

    Raises:
        Invalid: A column has none, or they are no rising pair.
    """
    if isinstance(given, list | tuple) and len(names) == 1:
        given = {names[0]: given}
    if not isinstance(given, Mapping) or set(given) - set(names):
        wrong = sorted(set(given) - set(names))[0] if isinstance(given, Mapping) else ""
        raise Invalid(
            "wrong-bounds",
            f"'bounds' names no column that is asked for: {wrong!r}" if wrong else "'bounds' are missing",
            remedy=near(wrong, names)
            if wrong
            else "With noise each column needs them: "
            f'"bounds": {{"{names[0]}": [0, 100]}}, from knowledge other than these data.',
        )
    found = []
    for name in names:
        pair = numbers(given.get(name, ()), key=f"bounds of {name}")
        if len(pair) != 2 or pair[0] >= pair[1]:
            raise Invalid("wrong-bounds", f"The bounds of {name!r} are not a lower and a higher number")
        found.append((float(pair[0]), float(pair[1])))
    return tuple(found)


def local_bounded(view: ir.Table, moments: Moments, bounds: Bounds) -> Aggregate:
    """A holder's sums of the only round."""
    listed = every(is_listed(view, f) for f in moments.factors)
    complete = every([listed, *(is_present(view, variable) for variable in moments.variables)])
    metrics: dict[str, ir.Value] = {}
    for i, (variable, (low, high)) in enumerate(zip(moments.variables, bounds, strict=True)):
        used = complete if moments.together else listed & is_present(view, variable)
        within = ibis.least(ibis.greatest(as_number(view, variable), real(low)), real(high))
        scaled = (within - real((low + high) / 2)) * real(2 * HALF / (high - low))
        place = used.ifelse(scaled.round().cast("int64"), ibis.null("int64"))
        metrics |= {f"c{i}": used.sum(), f"v{i}": place.sum(), f"q{i}": (place * place).sum()}
    keys = keys_of(view, moments.factors, listed)
    expression = view.group_by(**keys).aggregate(**metrics) if keys else view.aggregate(**metrics)

    def finish(table: pa.Table) -> Sums:
        cells, width = cells_of(table, moments.factors), range(len(moments.variables))
        sums = {
            name: scatter(
                cells, np.column_stack([integers(table, f"{short}{i}") for i in width]), moments.n_groups
            )
            for name, short in zip(_NAMES, "cvq", strict=True)
        }
        return {**sums, "hidden": np.zeros_like(sums["counts"])}

    return Aggregate(expression, finish, released_moments(view, moments))


def sensitivity(moments: Moments) -> Sensitivity:
    """One person is in one group, and changes its count, sum and sum of squares of each column."""
    width = len(moments.variables)
    most = np.repeat([1, HALF, HALF**2], moments.n_groups * width)
    return Sensitivity(3 * width, np.asarray(most, dtype=np.int64))


def noisy_bounded(sums: Sums, noise: NDArray[np.int64]) -> Sums:
    """The same sums with noise on each; counts are not below zero."""
    parts = np.split(noise, len(_NAMES))
    found = {n: sums[n] + part.reshape(sums[n].shape) for n, part in zip(_NAMES, parts, strict=True)}
    return {**sums, **found, "counts": np.maximum(found["counts"], 0)}


def means_of(sums: Sums, moments: Moments, bounds: Bounds) -> Moments:
    """Means and variances from the sums, within what the bounds allow."""
    counts = sums["counts"]
    n = np.maximum(counts, 1).astype(np.float64)
    low, high = np.array(bounds, dtype=np.float64).T
    unit = (high - low) / (2 * HALF)
    centre = np.clip(sums["values"] / n, -HALF, HALF)
    spread = np.clip(sums["squares"] / n - centre**2, 0.0, float(HALF) ** 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = spread * unit**2 * n / (counts - 1.0)
    variance[counts < 2] = np.nan
    total = int(counts.sum(axis=0).max())
    hidden = hidden_groups(counts, moments, sums["hidden"] > 0)
    return replace(
        moments,
        rows=total,
        n=total,
        counts=counts,
        hidden=hidden,
        mean=(low + high) / 2 + centre * unit,
        variance=variance,
    )
