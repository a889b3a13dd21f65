"""Which cells of a table must be blanked out, with proof that none of them can be worked out again.

**What is told.** A table of counts over one or more factors, with all its margins and its grand total. In
the arrays of this module a table is *extended*: each axis has one more place at its end, for the total
along it.

**What must hold.** A cell, margins included, is *small* when it counts somebody but fewer than the
threshold ``k``. An intruder knows every figure that is told, that counts are not negative, and that lines
add up to their totals. For each small cell the counts that are possible for the intruder then span at least
``k``: ``highest - lowest >= k``. So nobody can tell that the cell is small, since some possible count is at
least ``k``, nor tell its count to better than the threshold.

It follows that no union of cells has a known count between 1 and ``k - 1`` either. Were the count of a
union known to be T < k, some cell in it would have somebody and at most T, so it would be small, and its
highest possible count would be at most T < k, against what holds.

**Why it holds.** Take a small cell c, any cell o that differs from it in all indices, and the 2^d cells
that mix the indices of the two (a rectangle, where d = 2). Add t to c and go on with alternating signs
along the edges, with the other sign on each total; then every line still adds up. While no cell falls below
zero, this is another table with the same told figures, if all of these cells are blank. It works for t from
minus the smallest of the cells that rise to the smallest of those that fall, and these two together are
what c is known to span at least. So when they come to ``k``, the corners are a certificate, found without
any equations. Blanking out more never undoes one. Where no corners suffice, a linear program finds the
exact bounds and the table loses further cells until they suffice; a table with all cells and margins blank
always does, as its total is at least ``k``.

Source:
    EHDS Art. 73(2); Hundepool et al., Statistical Disclosure Control, 2012, ch. 4 (hypercube method, audit by
    linear programs). The certificate is proved above.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Flags = NDArray[np.bool_]
Place = tuple[int, ...]

_FAR = 2**50  # more than any count


def is_small(counts: Counts, min_cell: int) -> Flags:
    """Cells with somebody in them, but fewer than the threshold. Empty cells are not small."""
    return (counts > 0) & (counts < min_cell)


def extended(counts: Counts) -> Counts:
    """A table with its margins: one more place at the end of each axis, for the total along it."""
    for axis in range(counts.ndim):
        counts = np.concatenate([counts, counts.sum(axis=axis, keepdims=True)], axis=axis)
    return counts


def inner(table: NDArray[Any]) -> NDArray[Any]:
    """A table without its margins."""
    return table[(slice(-1),) * table.ndim]


def hidden_cells(counts: Counts, min_cell: int, given: Flags | None = None) -> Flags:
    """Which cells must be blanked out so that none can be had by subtraction from any margin.

    Args:
        counts: Persons per cell, in as many dimensions as there are factors, >= 0; without margins.
        min_cell: Smallest publishable count, persons.
        given: Cells that are blank already, since a holder withheld its part.

    Returns:
        Flags of the same shape. A margin that is itself small must not be told: who tells margins takes
        `hidden_table`.
    """
    table = extended(counts)
    blank = np.zeros(table.shape, dtype=bool)
    if given is not None:
        inner(blank)[...] = given
    return np.asarray(inner(hidden_table(table, min_cell, blank)), dtype=bool)


def hidden_table(table: Counts, min_cell: int, given: Flags | None = None) -> Flags:
    """Which cells and margins of a table must be blanked out; see the module.

    Args:
        table: Persons per cell with margins, see `extended`; the grand total is 0 or at least `min_cell`.
        min_cell: Smallest publishable count, persons.
        given: Cells that holders withheld. Their counts may be too low in `table`, and they count as
            protected, since each holder's own table protects them: to what is possible for a holder's part,
            add the others' parts.

    Returns:
        Flags of the same shape; the grand total is always told.
    """
    hidden = is_small(table, min_cell)
    hidden[(-1,) * table.ndim] = False
    if given is None:
        small = hidden.copy()
    else:
        small = hidden & ~given
        hidden = hidden | given
    # The largest first: the cells that go with them often do for the smaller ones as well.
    places = sorted(map(tuple, np.argwhere(small).tolist()), key=lambda place: -int(table[place]))
    unsure = [place for place in places if not _certified(table, hidden, place, min_cell)]
    for place in unsure:
        _repair(table, hidden, place, min_cell)
    return hidden


def told(counts: Counts, hidden: Flags, rounding: int = 0) -> Any:
    """Counts as an answer tells them: nested lists, None for blank cells, rounded where that is asked for.

    Each figure, margins included, is rounded by itself to the nearest multiple (halves to the even one),
    after small cells were found by the true counts: so a rounded figure is never one that should be
    blank, and lines need not add up. Rounding that keeps lines additive would round one figure up in one
    table and down in another, and so tell it more closely than either.

    Args:
        counts: Any shape.
        hidden: Blank cells, same shape.
        rounding: Counts become multiples of this; 0 leaves them.
    """
    values = np.asarray(rounded(counts, rounding)).astype(object)
    values[hidden] = None
    return values.tolist()


def rounded(counts: Any, rounding: int) -> Any:
    """A count or an array of counts to the nearest multiple."""
    return np.rint(np.asarray(counts) / rounding).astype(np.int64) * rounding if rounding > 1 else counts


def feasible(table: Counts, hidden: Flags, place: Place) -> tuple[float, float]:
    """The lowest and the highest count that a blank cell can have for all that is told, by linear programs.

    Args:
        table: Persons per cell with margins.
        hidden: Blank cells and margins.
        place: Indices of a blank cell.
    """
    # It takes a while to import, and few tables need it.
    from scipy.optimize import linprog

    equations, column = _equations(hidden)
    objective = np.zeros(equations.shape[1])
    objective[column[place]] = 1.0
    known = table[hidden].astype(np.float64)  # any point that meets the equations gives their right side
    bounds = []
    for sign in (1.0, -1.0):
        solved = linprog(
            sign * objective, A_eq=equations, b_eq=equations @ known, bounds=(0, None), method="highs"
        )
        bounds.append(sign * float(solved.fun) if solved.status == 0 else np.inf)
    return bounds[0], bounds[1]


def _certified(table: Counts, hidden: Flags, place: Place, min_cell: int) -> bool:
    """Blank out the cheapest corners that protect a cell; False where none do."""
    width, cost = _corners(table, hidden, place)
    cost = np.where(width >= min_cell, cost, np.inf)
    best = np.unravel_index(int(np.argmin(cost)), cost.shape)
    if not np.isfinite(cost[best]):
        return False
    _blank(hidden, place, tuple(int(i) for i in best))
    return True


def _repair(table: Counts, hidden: Flags, place: Place, min_cell: int) -> None:
    """Blank out further cells until the linear program finds a cell protected."""
    while True:
        low, high = feasible(table, hidden, place)
        if high - low >= min_cell - 1e-6:
            return
        width, cost = _corners(table, hidden, place)
        new = np.isfinite(cost) & (cost > 0)
        if not new.any():
            hidden[...] = True
            hidden[(-1,) * hidden.ndim] = False
            return
        value = np.where(new, width / (1.0 + cost), -1.0)
        if value.max() <= 0:
            value = np.where(new, 1.0 / (1.0 + cost), -1.0)
        best = np.unravel_index(int(np.argmax(value)), value.shape)
        _blank(hidden, place, tuple(int(i) for i in best))


def _corners(table: Counts, hidden: Flags, place: Place) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For each cell as the opposite of `place`: the width of the corners, and what blanking them costs.

    A cell costs its count, so that little is lost; an empty one costs more, as an intruder may know that
    nobody can be in it. The cost is infinite where a corner cannot be blank or the cells share an index.
    """
    axes = range(table.ndim)
    rise = np.full(table.shape, float(_FAR))
    fall = np.full(table.shape, float(_FAR))
    cost = np.zeros(table.shape)
    fee = np.where(hidden, 0.0, np.where(table > 0, table, _FAR / 2**10).astype(np.float64))
    fee[(-1,) * table.ndim] = np.inf
    for mixed in product((False, True), repeat=table.ndim):
        index = tuple(
            slice(None) if other else slice(at, at + 1) for other, at in zip(mixed, place, strict=True)
        )
        cost = cost + fee[index]
        sign = np.ones((1,) * table.ndim)
        for axis in axes:
            if mixed[axis]:
                sign = sign * _along(_edge(table.shape[axis], place[axis]), axis, table.ndim)
        values = table[index].astype(np.float64)
        rise = np.minimum(rise, np.where(sign > 0, values, _FAR))
        fall = np.minimum(fall, np.where(sign < 0, values, _FAR))
    for axis in axes:
        same = np.arange(table.shape[axis]) == place[axis]
        cost = np.where(_along(same, axis, table.ndim), np.inf, cost)
    return rise + fall, cost


def _blank(hidden: Flags, place: Place, opposite: Place) -> None:
    hidden[np.ix_(*zip(place, opposite, strict=True))] = True


def _edge(size: int, at: int) -> NDArray[np.float64]:
    """What happens at the other end of an edge when one end rises: a total rises with its parts."""
    signs = np.full(size, 1.0 if at == size - 1 else -1.0)
    signs[-1] = 1.0
    return signs


def _along(values: NDArray[Any], axis: int, ndim: int) -> NDArray[Any]:
    return values.reshape([-1 if a == axis else 1 for a in range(ndim)])


def _equations(hidden: Flags) -> tuple[Any, NDArray[np.int64]]:
    """Parts minus total of each line, for the blank cells: a sparse matrix, and each blank cell's column."""
    from scipy.sparse import csr_array

    column = np.cumsum(hidden.ravel()).reshape(hidden.shape) - 1
    rows, columns, signs, n_lines = [], [], [], 0
    for axis in range(hidden.ndim):
        others = [size for a, size in enumerate(hidden.shape) if a != axis]
        line = np.expand_dims(np.arange(int(np.prod(others))).reshape(others), axis)
        sign = _along(np.append(np.ones(hidden.shape[axis] - 1), -1.0), axis, hidden.ndim)
        rows.append(np.broadcast_to(line + n_lines, hidden.shape)[hidden])
        signs.append(np.broadcast_to(sign, hidden.shape)[hidden])
        columns.append(column[hidden])
        n_lines += line.size
    place = (np.concatenate(rows), np.concatenate(columns))
    return csr_array((np.concatenate(signs), place), shape=(n_lines, int(hidden.sum()))), column


def merged(counts: Counts, min_cell: int, inner: Flags | None = None) -> NDArray[np.int64]:
    """First positions of runs of neighbours that each have nobody or at least the threshold.

    Args:
        counts: Persons per bin along a line, >= 0.
        min_cell: Smallest publishable count, persons.
        inner: True where a bin must stay with the bin before it.

    Returns:
        Increasing start positions, the first of them 0. The runs cover all bins; a rest that is too small
        joins the run before it. When all together are too few, there is one run.
    """
    starts: list[int] = []
    totals: list[int] = []
    for position, count in enumerate(counts.tolist()):
        stays = bool(inner is not None and inner[position]) or (bool(totals) and 0 < totals[-1] < min_cell)
        if starts and stays:
            totals[-1] += count
        else:
            starts.append(position)
            totals.append(count)
    while len(totals) > 1 and 0 < totals[-1] < min_cell:
        starts.pop()
        rest = totals.pop()
        totals[-1] += rest
    return np.array(starts or [0], dtype=np.int64)
