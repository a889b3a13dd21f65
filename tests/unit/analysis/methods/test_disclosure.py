"""Small cells and those that must go with them; runs of neighbours; sizes of models."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.optimize import linprog

from salerno.analysis.disclosure.cells import (
    extended,
    feasible,
    hidden_cells,
    hidden_table,
    is_small,
    merged,
    rounded,
    told,
)
from salerno.analysis.disclosure.persons import check_level, check_model_size, check_persons, check_some
from salerno.kernel.errors import Refused
from salerno.permits.model import DisclosurePolicy

POLICY = DisclosurePolicy()


def hide(rows: list[list[int]] | list[int], least: int = 10) -> list[list[int | None]]:
    counts = np.array(rows)
    hidden = hidden_cells(counts, least)
    return np.where(hidden, -1, counts).tolist()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([12, 30, 40], [12, 30, 40]),
        ([0, 30, 40], [0, 30, 40]),
        ([3, 30, 40], [-1, -1, 40]),
        ([3, 4, 40], [-1, -1, -1]),
        ([3, 8, 40], [-1, -1, 40]),
        ([3], [-1]),
        ([[20, 30], [40, 50]], [[20, 30], [40, 50]]),
        ([[3, 30, 70], [40, 50, 60], [11, 80, 90]], [[-1, -1, 70], [-1, -1, 60], [11, 80, 90]]),
        ([[3, 30], [40, 50]], [[-1, -1], [-1, -1]]),
    ],
)
def test_small_cells_take_others_with_them(given: list[int], told: list[int]) -> None:
    assert hide(given) == told


def test_withheld_cells_stay_blank() -> None:
    withheld = np.array([False, True, True])
    assert hidden_cells(np.array([20, 0, 30]), 10, withheld).tolist() == [False, True, True]


def test_a_threshold_of_one_hides_nothing() -> None:
    assert hide([[1, 0], [2, 9]], least=1) == [[1, 0], [2, 9]]


TABLES = arrays(
    np.int64, array_shapes(max_dims=3, max_side=5), elements=st.integers(0, 40) | st.integers(0, 4)
)


def bounds_by_hand(table: np.ndarray, hidden: np.ndarray, place: tuple[int, ...]) -> tuple[float, float]:
    """An intruder's bounds, from equations that are written down cell by cell."""
    columns = {tuple(p): i for i, p in enumerate(np.argwhere(hidden).tolist())}
    rows, right = [], []
    for axis, size in enumerate(table.shape):
        for other in np.ndindex(*(s for a, s in enumerate(table.shape) if a != axis)):
            row, known = np.zeros(len(columns)), 0.0
            for at in range(size):
                cell = (*other[:axis], at, *other[axis:])
                sign = -1.0 if at == size - 1 else 1.0
                if cell in columns:
                    row[columns[cell]] = sign
                else:
                    known += sign * table[cell]
            rows.append(row)
            right.append(-known)
    aim = np.zeros(len(columns))
    aim[columns[place]] = 1
    low, high = (linprog(sign * aim, A_eq=np.array(rows), b_eq=right, bounds=(0, None)) for sign in (1, -1))
    assert low.status == 0
    return low.fun, -high.fun if high.status == 0 else np.inf


@settings(max_examples=60, deadline=None)
@given(counts=TABLES, least=st.sampled_from([2, 3, 5, 10]))
def test_no_small_cell_or_margin_can_be_worked_out(counts: np.ndarray, least: int) -> None:
    table = extended(counts)
    if 0 < counts.sum() < least:
        return  # refused as a whole
    hidden = hidden_table(table, least)
    assert not hidden[(-1,) * table.ndim]
    small = is_small(table, least)
    assert hidden[small].all()
    for place in map(tuple, np.argwhere(small).tolist()):
        low, high = bounds_by_hand(table, hidden, place)
        assert high - low >= least - 1e-6
        assert feasible(table, hidden, place) == pytest.approx((low, high), abs=1e-6)


def test_without_others_a_small_cell_can_be_worked_out() -> None:
    table = extended(np.array([[3, 30], [40, 50]]))
    assert bounds_by_hand(table, is_small(table, 10), (0, 0)) == pytest.approx((3, 3))


def test_a_small_margin_is_hidden_with_its_cells() -> None:
    hidden = hidden_table(extended(np.array([[3, 4, 0], [40, 50, 60], [70, 80, 90]])), 10)
    assert hidden[0, -1]  # a row of seven persons
    assert not hidden[:, 2].any()


@settings(max_examples=30, deadline=None)
@given(
    parts=st.lists(arrays(np.int64, (3, 4), elements=st.integers(0, 40)), min_size=2, max_size=2),
    least=st.sampled_from([3, 10]),
)
def test_a_holder_cannot_work_out_the_other(parts: list[np.ndarray], least: int) -> None:
    """Who knows one of two parts and the total knows the other part, so each protects its own."""
    tables = [extended(part) for part in parts]
    if any(0 < table[-1, -1] < least for table in tables):
        return
    withheld = [hidden_table(table, least) for table in tables]
    totals = sum(np.where(h, 0, t) for h, t in zip(withheld, tables, strict=True))
    pooled = hidden_table(totals, least, withheld[0] | withheld[1])
    assert (pooled == (withheld[0] | withheld[1])).all()
    true = tables[0] + tables[1]
    for place in map(tuple, np.argwhere(is_small(true, least)).tolist()):
        low, high = bounds_by_hand(true, pooled, place)
        assert high - low >= least - 1e-6


def test_rounding_comes_after_hiding() -> None:
    counts = np.array([6, 14, 31, 93])
    hidden = hidden_cells(counts, 7)
    assert told(counts, hidden, 5) == [None, None, 30, 95]
    assert told(counts, hidden) == [None, None, 31, 93]
    assert rounded(1234, 100) == 1200


@pytest.mark.parametrize(
    ("counts", "starts"),
    [
        ([20, 30], [0, 1]),
        ([3, 4, 5, 20], [0, 3]),
        ([0, 0, 3, 9], [0, 1, 2]),
        ([20, 0, 3], [0]),
        ([12, 0, 0, 4, 4, 4], [0, 1, 2, 3]),
        ([1, 1], [0]),
        ([0, 0], [0, 1]),
    ],
)
def test_runs_have_nobody_or_enough(counts: list[int], starts: list[int]) -> None:
    assert merged(np.array(counts), 10).tolist() == starts


def test_runs_keep_what_belongs_together() -> None:
    inner = np.array([False, True, False])
    assert merged(np.array([20, 20, 20]), 10, inner).tolist() == [0, 2]


def test_persons() -> None:
    check_persons(0, POLICY)
    check_persons(10, POLICY)
    with pytest.raises(Refused, match="too-few-persons"):
        check_persons(9, POLICY)
    with pytest.raises(Refused, match="no-persons"):
        check_some(0, POLICY)


def test_levels_are_named_without_their_count() -> None:
    check_level(0, POLICY, column="sex", level="M")
    with pytest.raises(Refused, match="small-level: Fewer than 10 persons have sex = M") as caught:
        check_level(8, POLICY, column="sex", level="M")
    assert "8" not in str(caught.value)


def test_model_size() -> None:
    check_model_size(100, 10, POLICY)
    with pytest.raises(Refused, match="model-too-large"):
        check_model_size(20, 10, POLICY)
    with pytest.raises(Refused, match="degrees-of-freedom"):
        check_model_size(12, 3, POLICY)
