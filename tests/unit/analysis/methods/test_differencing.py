"""What sets of persons tell when they are put together, on small cases that can be worked out by hand."""

from __future__ import annotations

import time

import numpy as np
import pytest
from pyroaring import BitMap

from salerno.analysis.disclosure.differencing import Family, find_conflict

K = 10


def family(source: int, persons, frame: str = "", measures=(), rows: int = 0, by=None) -> Family:
    """A set; `by` gives each person's cell."""
    persons = BitMap(persons)
    cells: dict[tuple, BitMap] = {}
    for person in persons if by else ():
        cells.setdefault((by(person),), BitMap()).add(person)
    return Family(source, frame or str(source), frozenset(measures), persons, rows or len(persons), cells)


def sources(new, *earlier) -> tuple[int, ...] | None:
    conflict = find_conflict([new], earlier, K)
    return conflict.sources if conflict else None


def test_the_same_set_again_tells_nothing_new() -> None:
    assert sources(family(2, range(100)), family(1, range(100))) is None
    assert sources(family(2, range(100)), family(1, range(100), by=lambda p: p % 2)) is None


@pytest.mark.parametrize("fewer", [1, 9])
def test_sets_that_differ_by_a_few_persons(fewer: int) -> None:
    assert sources(family(2, range(100 - fewer)), family(1, range(100))) == (1,)
    assert sources(family(2, range(100)), family(1, range(100 - fewer))) == (1,)


def test_sets_that_differ_by_enough_persons() -> None:
    assert sources(family(2, range(90)), family(1, range(100))) is None
    assert sources(family(2, range(100, 200)), family(1, range(100))) is None


def test_the_same_persons_with_one_row_less() -> None:
    assert sources(family(2, range(50), rows=99), family(1, range(50), rows=100)) == (1,)


def test_a_cell_and_the_whole_belong_to_one_table() -> None:
    # Three are in the second cell: the table's own protection hides it and another.
    rare = family(2, range(100), by=lambda p: p < 3)
    assert sources(rare, family(1, range(100))) is None
    assert sources(family(3, range(100)), rare) is None


def test_cells_of_the_same_name_in_two_frames() -> None:
    one = family(1, range(100), by=lambda p: p % 2)
    other = family(2, range(99), by=lambda p: p % 2)
    assert sources(other, one) == (1,)
    # Twenty persons less, but only one of them in the cell of the odd.
    odd = family(3, [p for p in range(100) if p % 2 or p > 40], by=lambda p: p % 2)
    assert sources(odd, one) is None
    fewer = family(4, [p for p in range(100) if p != 7 and (p % 2 or p > 40)], by=lambda p: p % 2)
    assert sources(fewer, one) == (1,)


def test_a_frame_that_holds_all_but_one_cell() -> None:
    # The table hides 3 persons and the 47 beside them; the frame without these 47 would give both away.
    table = family(1, range(100), by=lambda p: "a" if p < 3 else "b" if p < 50 else "c")
    assert sources(family(2, [*range(3), *range(50, 100)]), table) == (1,)


def test_three_sets_that_are_safe_two_by_two() -> None:
    # A + B - C is about person 0 alone: A and B part C, but for person 0.
    a, b, c = range(50), range(50, 100), range(1, 100)
    assert sources(family(3, c), family(1, a)) is None
    assert sources(family(3, c), family(1, a), family(2, b)) == (1, 2)


def test_missing_values_of_other_columns_are_no_difference() -> None:
    age = family(1, range(100), frame="f", measures=["age"])
    bmi = family(2, range(97), frame="f", measures=["bmi"])
    both = family(3, range(97), frame="f", measures=["age", "bmi"])
    assert sources(bmi, age) is None
    assert sources(both, age) == (1,)
    assert sources(family(4, range(97), frame="g", measures=["bmi"]), age) == (1,)


def test_levels_of_two_columns_that_nearly_coincide() -> None:
    treated = family(1, range(100), frame="f", by=lambda p: f"treated {p < 40}")
    assert sources(family(2, range(100), frame="f", by=lambda p: f"ill {p < 43}"), treated) == (1,)
    assert sources(family(2, range(100), frame="f", by=lambda p: f"ill {p < 60}"), treated) is None


def test_a_threshold_of_one_holds_nothing_back() -> None:
    assert find_conflict([family(2, range(99))], [family(1, range(100))], 1) is None


@pytest.mark.parametrize("seed", range(30))
def test_whatever_single_persons_can_be_solved_for_is_refused(seed: int) -> None:
    """A least-squares solver over the told sets finds a single person only where the check refuses."""
    random = np.random.default_rng(seed)
    told: list[Family] = []
    for source in range(8):
        size = int(random.integers(12, 40))
        new = family(source, random.choice(40, size, replace=False).tolist())
        if find_conflict([new], told, 3) is None:
            told.append(new)
    rows = np.array([[p in f.persons for p in range(40)] for f in told], dtype=float)
    for person in range(40):
        aim = np.eye(40)[person]
        weights = np.linalg.lstsq(rows.T, aim, rcond=None)[0]
        assert np.abs(rows.T @ weights - aim).max() > 1e-6
    assert len(told) > 1


def test_a_million_persons_take_a_moment() -> None:
    random = np.random.default_rng(1)
    part = random.integers(0, 20, 1_000_000)
    cells = {(c,): BitMap(np.flatnonzero(part == c).astype(np.uint32)) for c in range(20)}
    everybody = BitMap(range(1_000_000))
    earlier = [
        Family(i, str(i), frozenset(), everybody - BitMap(range(i * 1000)), 1_000_000 - i * 1000, {})
        for i in range(20)
    ]
    began = time.perf_counter()
    assert find_conflict([Family(99, "", frozenset(), everybody, 1_000_000, cells)], earlier, K) is None
    assert time.perf_counter() - began < 20
