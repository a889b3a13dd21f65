"""Small cells of tables, and the others that must go with them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Flags = NDArray[np.bool_]

_FAR = np.int64(2**50)  # more than any count


def is_small(counts: Counts, min_cell: int) -> Flags:
    """Cells with somebody in them, but fewer than the threshold. Empty cells are not small."""
    return (counts > 0) & (counts < min_cell)


def hidden_cells(counts: Counts, min_cell: int, given: Flags | None = None) -> Flags:
    """Which cells must be blanked out so that none can be had by subtraction.

    A small cell is blanked; then in each line that has a blank one (the whole of a list; each row and each
    column of a table, and the whole table) the smallest others are blanked as well, until the line has two
    blanks that together have at least the threshold. So neither the total nor a margin gives a cell away.

    Args:
        counts: Persons per cell, one or two dimensions, >= 0.
        min_cell: Smallest publishable count, persons.
        given: Cells that are blank already, for instance since a holder withheld its part.

    Returns:
        Flags of the same shape; all of a line is blank when nothing less protects it.

    Source:
        EHDS Art. 73(2); Hundepool et al., Statistical Disclosure Control, 2012, ch. 4 (hypercube heuristic).
    """
    hidden = is_small(counts, min_cell)
    if given is not None:
        hidden = hidden | given
    if not hidden.any():
        return hidden
    changed = True
    while changed:
        changed = False
        for line in _lines(counts.shape):
            changed |= _protect(counts, hidden, line, min_cell)
    return hidden


def _lines(shape: tuple[int, ...]) -> list[tuple[slice | int, ...]]:
    """Rows, columns and the whole, as indices."""
    if len(shape) == 1:
        return [(slice(None),)]
    rows: list[tuple[slice | int, ...]] = [(row, slice(None)) for row in range(shape[0])]
    columns: list[tuple[slice | int, ...]] = [(slice(None), column) for column in range(shape[1])]
    return [*rows, *columns, (slice(None), slice(None))]


def _protect(counts: Counts, hidden: Flags, line: tuple[slice | int, ...], min_cell: int) -> bool:
    """Blank further cells of one line where its blanks do not protect each other."""
    blank = hidden[line]
    if not blank.any():
        return False
    values = counts[line]
    changed = False
    crossed = _crossed(hidden, line)
    while (blank.sum() < 2 or values[blank].sum() < min_cell) and not blank.all():
        # A full cell protects better than an empty one; best is one whose crossing line has a blank
        # already, since it needs no further one there; and the smallest costs least.
        cost = values + np.where(values > 0, 0, 2 * _FAR) + np.where(crossed, 0, _FAR)
        cost = np.where(blank, 4 * _FAR, cost)
        blank[np.unravel_index(int(np.argmin(cost)), blank.shape)] = True
        changed = True
    hidden[line] = blank
    return changed


def _crossed(hidden: Flags, line: tuple[slice | int, ...]) -> Flags | bool:
    """Cells of a row or column whose column or row has a blank."""
    if len(line) < 2 or all(isinstance(index, slice) for index in line):
        return True
    crossed: Flags = np.asarray(hidden.any(axis=0 if isinstance(line[0], int) else 1))
    return crossed


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
