"""Sets of persons: the same numbers as ever, and the same sets however they are made."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pytest
from pyroaring import BitMap

from salerno.holdings.engine import sets
from salerno.holdings.engine.sources import open_source

SECRET = bytes(range(32))


@pytest.mark.parametrize("size", [0, 1, 1000, 70_000, 200_000])
@pytest.mark.parametrize("below", [2**16, 2**20, 2**32])
def test_a_set_is_the_same_however_it_is_made(size: int, below: int) -> None:
    numbers = np.random.default_rng(size).integers(0, below, size).astype(np.uint32)
    found = sets._bitmap(numbers)
    assert found == BitMap(numbers)
    assert len(found) == len(np.unique(numbers))
    assert BitMap.deserialize(found.serialize()) == found


def test_rows_keep_the_numbers_that_ledgers_have_of_them(tmp_path: Path) -> None:
    """A hash by way of bits, as it was once asked of the engine, and mixed with whole numbers."""
    path = tmp_path / "rows.parquet"
    with duckdb.connect() as connection:
        listed = "SELECT range AS a, CASE WHEN range % 3 > 0 THEN range / 5 END AS b FROM range(40)"
        connection.execute(f"COPY ({listed}) TO '{path}' (FORMAT parquet)")
        hashed = "SELECT CAST(CAST(hash({'a': a, 'b': b}) AS BIT) AS BIGINT)"
        keys = connection.execute(f"{hashed} FROM read_parquet('{path}')").fetchall()
    first, second = (int.from_bytes(SECRET[at : at + 8], "little") | 1 for at in (0, 8))
    wanted = set()
    for key in (key for (key,) in keys):
        bits = key % 2**64
        for factor in (first, second):
            bits = bits * factor % 2**64
            bits ^= bits >> 32
        wanted.add(bits % 2**32)
    with open_source(str(path)) as source:
        table = source.table("rows")
        table = table.select(a=table.a, b=table.b, **{sets.KEY: sets.content_key(source, table)})
        keyed = sets.Keyed(source, table, by_row=True, one_row_each=True, n_rows=40)
        found = keyed.sets(table, Everybody(table), SECRET)
    assert set(found.persons) == wanted
    assert found.rows == 40


class Everybody:
    """Figures that rest on all rows."""

    def __init__(self, table: object) -> None:
        self.rows = table.a.notnull()  # type: ignore[attr-defined]
        self.keys = self.sums = ()
