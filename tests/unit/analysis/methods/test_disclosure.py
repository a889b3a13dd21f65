"""Small cells and those that must go with them; runs of neighbours; sizes of models."""

from __future__ import annotations

import numpy as np
import pytest

from salerno.analysis.disclosure.cells import hidden_cells, merged
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
        ([[3, 30, 70], [40, 50, 60], [11, 80, 90]], [[-1, -1, 70], [40, 50, 60], [-1, -1, 90]]),
        ([[3, 30], [40, 50]], [[-1, -1], [-1, -1]]),
    ],
)
def test_small_cells_take_others_with_them(given: list[int], told: list[int]) -> None:
    assert hide(given) == told


def test_withheld_cells_stay_blank() -> None:
    given = np.array([False, True, False])
    assert hidden_cells(np.array([20, 0, 30]), 10, given).tolist() == [True, True, False]


def test_a_threshold_of_one_hides_nothing() -> None:
    assert hide([[1, 0], [2, 9]], least=1) == [[1, 0], [2, 9]]


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
