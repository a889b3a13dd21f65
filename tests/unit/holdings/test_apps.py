"""Bundles of apps, and the rows that are kept from training."""

import numpy as np
import pyarrow as pa

from salerno.holdings.rules import split_rows


def test_equal_rows_fall_on_both_sides_as_often_as_others() -> None:
    # Where all rows of a value stayed together, a model's losses would differ between the sides by the values
    # alone, and look as if the model told who was in its training data.
    ages = np.repeat(np.arange(8), 500)
    train, held = split_rows(pa.table({"age": ages, "sex": ages % 2}), 0.2)
    assert (train.num_rows, held.num_rows) == (3200, 800)
    counts = np.bincount(held["age"].to_numpy(), minlength=8)
    assert counts.min() > 65, counts
    first = np.bincount(train["age"].to_numpy()[:400], minlength=8)
    assert first.min() > 25, "the rows that are looked at first are of all values"


def test_the_sides_do_not_depend_on_the_order_of_rows() -> None:
    rows = pa.table({"age": np.arange(300) % 40, "lab": np.arange(300) % 7 / 2})
    shuffled = rows.take(np.random.default_rng(1).permutation(300))
    for one, other in zip(split_rows(rows, 0.3), split_rows(shuffled, 0.3), strict=True):
        assert one.to_pydict() == other.to_pydict()
