"""Whether sets of persons, each safe by itself, tell about a few persons when they are put together.

A *family* is what one part of an answer rests on: a set of persons, parted into cells by the levels of
factors. A figure is told about the family's whole set and about cells of it. What an intruder can work out
from figures that add over persons is any linear combination of them, and it is about the persons whom the
combination does not cancel out. The rules here refuse a new family when some combination of its sets and of
those told before is about at least one but fewer than ``k`` persons.

1. **Pairs**, exactly: the sets A and B differ by 0 < |A xor B| < k persons. Sets that are equal tell
   nothing new, unless they are made of other rows of the same persons. Where one of the two is a union of
   cells of the other's family, they belong to one table with its margins, whose cells `cells` protects; a
   cell below ``k`` is blank there, so it only counts against the cell of the same name. Sets of one frame
   and one name, of which no common column is summed up, differ by missing values, whose number answers tell
   anyway.
2. **Combinations**: persons fall into *atoms*, who are in the same sets. Elimination modulo a prime finds
   all combinations that cancel out on every atom of at least ``k`` persons; what is left of them lies on
   small atoms. If one such is about fewer than ``k`` persons, some column order of the reduced echelon form
   may show it: whatever single atom can be told shows in every order, and of larger ones several orders are
   searched (an information-set search). This is done twice: for what is certainly told (whole sets, cells
   that the table's own protection leaves, margins), and for all cells of at least ``k`` as if each were
   told, but for what is within one table.

Sets beyond `MOST_SETS` are not looked at: the question is refused then, as nobody could say that it is
safe.

Source:
    EHDS Art. 73(2). Elimination modulo p may only lose rank against the rationals, with odds of about 1 in p.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from salerno.analysis.disclosure.cells import extended, hidden_table

PRIME = 2**31 - 1
MOST_SETS = 600
_MOST_WORK = 4_000_000_000
_ORDERS = 6
Matrix = NDArray[np.int64]
Cell = tuple[Any, ...]


@dataclass(frozen=True)
class Family:
    """A set of persons and its cells.

    Args:
        source: What told it, e.g. the number of a ledger's entry.
        frame: What is read of the data.
        measures: Columns whose values the figures sum up, other than to tell cells apart.
        persons: The whole set.
        rows: Number of rows of these persons.
        cells: Persons by level of each factor.
    """

    source: int
    frame: str
    measures: frozenset[str]
    persons: BitMap
    rows: int
    cells: dict[Cell, BitMap] = field(default_factory=dict)

    def is_union(self, persons: BitMap) -> bool:
        """Whether a set is made of whole cells of this family."""
        if persons == self.persons:
            return True
        if not self.cells or not persons.issubset(self.persons):
            return False
        return all(
            common in (0, len(cell))
            for cell in self.cells.values()
            for common in (persons.intersection_cardinality(cell),)
        )

    @cached_property
    def content(self) -> tuple[bytes, ...]:
        """The same for families of the same sets."""
        cells = sorted(bytes(cell.serialize()) for cell in self.cells.values())
        return (bytes(self.persons.serialize()), str(self.rows).encode(), *cells)


@dataclass(frozen=True)
class Conflict:
    """Why a family must not be told.

    Args:
        sources: What was told before that it could be put together with.
        what: In words, for the holder's own eyes: it may name levels and numbers.
    """

    sources: tuple[int, ...]
    what: str


def find_conflict(new: Sequence[Family], earlier: Sequence[Family], min_cell: int) -> Conflict | None:
    """The first reason not to tell new families beside what was told before; None when there is none.

    The parts of one answer are not held against each other: what they tell together is the method's to judge.

    Args:
        new: Families of one question.
        earlier: Those told before, to the same user or under the same permit.
        min_cell: Fewest persons that a combination may be about.
    """
    if min_cell <= 1:
        return None
    known = {family.content for family in earlier}
    fresh = [family for family in new if family.content not in known]
    for family in fresh:
        for other in earlier:
            if what := _pair(family, other, min_cell):
                return Conflict((other.source,), what)
        others = [other for other in earlier if _differ_by_choice(family, other)]
        if others and (conflict := _combination(family, _distinct(others), min_cell)):
            return conflict
    return None


def _differ_by_choice(one: Family, other: Family) -> bool:
    """Whether a difference is more than the number of those who lack a value, which answers tell anyway.

    In one frame, sets of the same name differ by missing values alone. Sums of different columns over them
    cannot be held against each other, so what they tell together is how many lack a value.
    """
    return one.frame != other.frame or bool(one.measures & other.measures)


def _distinct(families: Iterable[Family]) -> list[Family]:
    """One of each content, the first."""
    return list({family.content: family for family in reversed(list(families))}.values())[::-1]


# Pairs


def _pair(one: Family, other: Family, min_cell: int) -> str:
    """How two families differ by too few persons; empty when they do not."""
    by_choice = _differ_by_choice(one, other)
    if by_choice and one.persons == other.persons and one.rows != other.rows:
        return "the same persons with other rows"
    ours, theirs = list(_sets(one)), list(_sets(other))
    named = {name: number for number, (name, _) in enumerate(theirs)}
    sizes = np.array([len(persons) for _, persons in theirs], dtype=np.int64)
    for name, persons in ours:
        near = np.abs(sizes - len(persons)) < min_cell
        large = near & (sizes >= min_cell) if len(persons) >= min_cell else near & False
        candidates = set(np.flatnonzero(large).tolist())
        if name in named:
            candidates.discard(named[name])
            if by_choice and near[named[name]]:
                candidates.add(named[name])
        for number in sorted(candidates):
            other_name, others = theirs[number]
            differing = persons.symmetric_difference_cardinality(others)
            if 0 < differing < min_cell and not (one.is_union(others) or other.is_union(persons)):
                return f"{_called(name)} differs from {_called(other_name)} by {differing} of its persons"
    return ""


def _sets(family: Family) -> Iterator[tuple[Cell, BitMap]]:
    yield (), family.persons
    yield from family.cells.items()


def _called(name: Cell) -> str:
    return " × ".join(map(str, name)) if name else "the whole set"


# Combinations


def _combination(new: Family, earlier: list[Family], min_cell: int) -> Conflict | None:
    families = [new, *earlier]
    sources = tuple(sorted({family.source for family in earlier}))
    if sum(1 + len(family.cells) for family in families) > 4 * MOST_SETS:
        return Conflict(sources, "so many sets have been told that their combinations cannot be checked")
    atoms, sizes = _atoms(families)
    small = sizes < min_cell
    if not small.any():
        return None
    for told, excused in (
        (_shown(families, atoms, sizes, min_cell), False),
        (_large(atoms, sizes, min_cell), True),
    ):
        matrix, owners = told
        if len(matrix) > MOST_SETS:
            return Conflict(sources, "so many sets have been told that their combinations cannot be checked")
        found = _few(matrix, sizes, small, atoms if excused else [], min_cell)
        if found is None:
            return Conflict(sources, "the sets told are so many that their combinations cannot be checked")
        weights, persons = found
        if persons:
            used = {owners[i] for i in np.flatnonzero(weights)} - {0}
            involved = sorted({families[i].source for i in used})
            return Conflict(
                tuple(involved),
                f"a combination of {len(np.flatnonzero(weights))} sets is about {persons} persons",
            )
    return None


def _atoms(families: Sequence[Family]) -> tuple[list[Matrix], Matrix]:
    """For each family the cell of each atom (-1 outside of it), and the atoms' numbers of persons."""
    everybody = BitMap.union(*(family.persons for family in families))
    persons = np.array(everybody.to_array(), dtype=np.uint32)
    label = np.zeros(len(persons), dtype=np.int64)
    cells: list[Matrix] = []
    for family in families:
        cell = np.full(len(persons), -1, dtype=np.int64)
        cell[np.searchsorted(persons, np.array(family.persons.to_array(), dtype=np.uint32))] = len(
            family.cells
        )
        for number, members in enumerate(family.cells.values()):
            cell[np.searchsorted(persons, np.array(members.to_array(), dtype=np.uint32))] = number
        cells.append(cell)
        label = _codes(label * (len(family.cells) + 2) + cell + 1)
    first = np.unique(label, return_index=True)[1]
    return [cell[first] for cell in cells], np.bincount(label).astype(np.int64)


def _codes(values: Matrix) -> Matrix:
    """Numbers from 0 for the distinct values, which are not below 0."""
    most = int(values.max(initial=0)) + 1
    if most > 8 * len(values) + 1024:
        return np.asarray(np.unique(values, return_inverse=True)[1], dtype=np.int64)
    present = np.zeros(most, dtype=bool)
    present[values] = True
    return np.asarray((np.cumsum(present) - 1)[values], dtype=np.int64)


def _large(atoms: list[Matrix], sizes: Matrix, min_cell: int) -> tuple[Matrix, list[int]]:
    """Whole sets and every cell of enough persons, as 0/1 rows over the atoms; and each row's family."""
    rows, owners = [], []
    for number, cell in enumerate(atoms):
        rows.append(cell >= 0)
        owners.append(number)
        for each in np.unique(cell[cell >= 0]).tolist():
            inside = cell == each
            if sizes[inside].sum() >= min_cell:
                rows.append(inside)
                owners.append(number)
    return np.array(rows, dtype=np.int64), owners


def _shown(
    families: Sequence[Family], atoms: list[Matrix], sizes: Matrix, min_cell: int
) -> tuple[Matrix, list[int]]:
    """Whole sets, and the cells and margins that the protection of a family's own table leaves."""
    rows, owners = [], []
    for number, (family, cell) in enumerate(zip(families, atoms, strict=True)):
        rows.append(cell >= 0)
        owners.append(number)
        for members in _told_cells(family, min_cell):
            rows.append(np.isin(cell, members))
            owners.append(number)
    return np.array(rows, dtype=np.int64), owners


def _told_cells(family: Family, min_cell: int) -> list[list[int]]:
    """The numbers of the cells that each told cell or margin is made of."""
    names = list(family.cells)
    if not names:
        return []
    levels = [sorted({name[axis] for name in names}, key=repr) for axis in range(len(names[0]))]
    shape = tuple(map(len, levels))
    if np.prod([size + 1.0 for size in shape]) > 20_000:
        return [[number] for number, cell in enumerate(family.cells.values()) if len(cell) >= min_cell]
    places = [tuple(levels[axis].index(level) for axis, level in enumerate(name)) for name in names]
    counts = np.zeros(shape, dtype=np.int64)
    numbers = np.full(shape, -1, dtype=np.int64)
    for number, (place, cell) in enumerate(zip(places, family.cells.values(), strict=True)):
        counts[place] = len(cell)
        numbers[place] = number
    table = extended(counts)
    told = ~hidden_table(table, min_cell) & (table > 0)
    found = []
    for place in map(tuple, np.argwhere(told).tolist()):
        part = numbers[
            tuple(slice(None) if at == size else at for at, size in zip(place, shape, strict=True))
        ]
        found.append([int(number) for number in np.ravel(part) if number >= 0])
    return found


def _few(
    matrix: Matrix, sizes: Matrix, small: NDArray[np.bool_], tables: list[Matrix], min_cell: int
) -> tuple[Matrix, int] | None:
    """A combination of rows that is about fewer than `min_cell` persons, and how many; 0 if none is found.

    Args:
        matrix: 0/1 rows over the atoms.
        sizes: Persons per atom.
        small: Atoms of fewer than `min_cell` persons.
        tables: Cell of each atom by family, for combinations within one of these, which are excused.
        min_cell: The threshold.

    Returns:
        Weights of the rows and the number of persons; None when the search would take too long.
    """
    none = np.zeros(len(matrix), dtype=np.int64), 0
    weights = _null_space(matrix[:, ~small])
    if not len(weights):
        return none
    places = np.flatnonzero(small)
    if len(weights) ** 2 * len(places) * _ORDERS > _MOST_WORK:
        return None
    values = _product(weights, matrix[:, places])
    keep = values.any(axis=1)
    values, weights = values[keep], weights[keep]
    for order in _orders(sizes[places]):
        reduced = _echelon(np.concatenate([values[:, order], weights], axis=1), len(order))
        for row in reduced:
            value = np.zeros(len(sizes), dtype=np.int64)
            value[places[order]] = row[: len(order)]
            persons = int(sizes[value != 0].sum())
            if 0 < persons < min_cell and not any(_within(value, cell) for cell in tables):
                return row[len(order) :], persons
    return none


def _within(value: Matrix, cell: Matrix) -> bool:
    """Whether a combination is one of a single family's cells: constant on each, and nothing outside."""
    inside = cell >= 0
    if value[~inside].any():
        return False
    order = np.argsort(cell, kind="stable")
    same = cell[order][1:] == cell[order][:-1]
    return bool((value[order][1:][same] == value[order][:-1][same]).all())


def _orders(sizes: Matrix) -> Iterator[NDArray[np.intp]]:
    """Orders of the columns: by size both ways, and a few at random that are the same each time."""
    order = np.argsort(-sizes, kind="stable")
    yield order
    yield order[::-1]
    random = np.random.default_rng(len(sizes))
    for _ in range(_ORDERS - 2):
        yield random.permutation(len(sizes))


# Arithmetic modulo the prime


def _product(left: Matrix, right: Matrix) -> Matrix:
    """A product with a 0/1 matrix on the right; sums of less than 2^22 numbers below 2^31 fit a double."""
    return np.asarray(left.astype(np.float64) @ right.astype(np.float64) % PRIME, dtype=np.int64)


def _null_space(matrix: Matrix) -> Matrix:
    """All weights of the rows that make every column zero, as rows of a matrix."""
    n_rows, n_columns = matrix.shape
    if n_columns > n_rows + 8:
        # As many random mixes of the columns do: they miss a combination with odds of 1 in PRIME.
        mix = np.random.default_rng(n_columns).integers(0, PRIME, (n_columns, n_rows + 8))
        matrix = np.asarray(_product(mix.T, matrix.T).T)
    reduced = _echelon(np.concatenate([matrix, np.eye(n_rows, dtype=np.int64)], axis=1), matrix.shape[1])
    zero = ~reduced[:, : matrix.shape[1]].any(axis=1)
    return reduced[zero][:, matrix.shape[1] :]


def _echelon(matrix: Matrix, n_columns: int) -> Matrix:
    """The reduced row echelon form, with pivots among the first columns."""
    matrix = matrix % PRIME
    at = 0
    for column in range(n_columns):
        if at == len(matrix):
            break
        found = np.flatnonzero(matrix[at:, column])
        if not len(found):
            continue
        pivot = at + int(found[0])
        matrix[[at, pivot]] = matrix[[pivot, at]]
        matrix[at] = matrix[at] * pow(int(matrix[at, column]), -1, PRIME) % PRIME
        others = np.flatnonzero(matrix[:, column])
        others = others[others != at]
        if len(others):
            matrix[others] = (matrix[others] - matrix[others, column][:, None] * matrix[at]) % PRIME
        at += 1
    return matrix
