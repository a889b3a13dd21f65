"""Whom figures rest on: sets of persons as roaring bitmaps, for the holder's own ledger.

A person is a whole number below 2^32: the source's own key where that is one, otherwise 32 bits of a keyed
hash of it. Two persons may then share a number, one pair in 2^32: a difference of one goes unseen where
somebody else of the set has that person's number. Of a set of 100,000 that is one person in 43,000; nobody
can choose whom, as the hash is keyed. Sets of 64 bits would take three to ten times the room.
Where nothing tells whose row is whose, each row counts as a person, and its number is made from its content;
rows of the same content are told apart by counting them, since no condition can tell them apart either.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyroaring import BitMap

from salerno.holdings.engine.events import KEY
from salerno.holdings.engine.source import Source
from salerno.holdings.model import Contributions, PersonSets, Told

_BATCH = 1_000_000
_MOST_CELLS = 5_000
_FEW = 100_000
_BLOCK = 65_536
_COOKIE, _MOST_LISTED = 12346, 4096  # of the roaring format: no runs, and members of a container as a list
_NOBODY = 2**64 - 1  # the same bits as -1
_SIZE, _COUNT = "_size", "_count"
_APART = np.int64(0x2545F4914F6CDD1D)
"""A step between rows of the same content that is odd and large, so that their numbers fall anywhere."""


@ibis.udf.scalar.builtin(name="hash")  # type: ignore[untyped-decorator]
def _hashed(value) -> dt.uint64:  # type: ignore[no-untyped-def]
    """DuckDB's hash of any value; Ibis's own makes it signed by way of a text of bits, which takes longer."""


class Keyed:
    """A frame's rows with the key of their persons, which no method computes with.

    Args:
        source: Where the rows are.
        table: The columns of the view and `KEY`, a person's key or else a hash of the row's content.
        by_row: Rows are counted instead of persons.
        one_row_each: Each person has one row.
        n_rows: How many there are.
    """

    def __init__(
        self, source: Source, table: ir.Table, *, by_row: bool, one_row_each: bool, n_rows: int
    ) -> None:
        self._source = source
        self._by_row = by_row
        self._n_rows = n_rows
        self._counts_rows = n_rows > _BATCH or not source.is_duckdb
        self._one_row_each = one_row_each or by_row
        self.table = table

    @property
    def numbering(self) -> str:
        """How persons are numbered; sets that were numbered otherwise cannot be compared."""
        if isinstance(self.table[KEY].type(), dt.Integer) and not self._by_row:
            return "key"
        return f"duckdb-{self._source.backend.version}" if self._source.is_duckdb else "text"

    @property
    def is_large(self) -> bool:
        """Whether it takes long to find out which rows are meant."""
        return self._n_rows > _FEW

    def sets(self, table: ir.Table, wanted: Told, secret: bytes, *, every: bool = False) -> PersonSets:
        """The set of persons of all rows of `wanted`, and that of each cell.

        Args:
            table: A table with the rows of this one and the key.
            wanted: Whom figures rest on, in terms of `table`.
            secret: Key of the persons' numbers.
            every: Whether that is known to be all rows.
        """
        names = [f"c{number}" for number in range(len(wanted.keys))]
        rows = table if every else table.filter(wanted.rows)
        rows = rows.select(**{KEY: self._element(rows[KEY])}, **dict(zip(names, wanted.keys, strict=True)))
        if self._by_row and self._counts_rows:
            rows = rows.group_by(KEY, *names).aggregate(**{_COUNT: rows.count()})
        persons, n_rows = BitMap(), 0
        cells: dict[tuple[Any, ...], BitMap] = {}
        for batch in self._batches(rows):
            numbers, repeats = self._numbers(batch, secret)
            persons |= _bitmap(numbers)
            n_rows += len(numbers)
            if names:
                for cell, found in _by_cell(batch, names, numbers, repeats):
                    cells[cell] = cells[cell] | _bitmap(found) if cell in cells else _bitmap(found)
        persons.run_optimize()
        for bitmap in cells.values():
            bitmap.run_optimize()
        return PersonSets(
            persons=persons,
            rows=n_rows,
            cells=cells if len(cells) <= _MOST_CELLS else {},
            numbering=self.numbering,
        )

    def _batches(self, rows: ir.Table) -> Iterator[pa.RecordBatch]:
        """The rows; all at once where those of the same content are told apart here, not by the engine."""
        batches = self._source.batches(rows, rows=_BATCH)
        if not self._by_row or self._counts_rows:
            yield from batches
        elif found := list(batches):
            yield from pa.Table.from_batches(found).combine_chunks().to_batches()

    def contributions(self, table: ir.Table, wanted: Told, most: int) -> list[Contributions]:
        """What the largest contributors add to each sum of `wanted`, cell by cell; see `Contributions`."""
        names = [f"c{number}" for number in range(len(wanted.keys))]
        keys = dict(zip(names, wanted.keys, strict=True))
        found = []
        for amount in wanted.sums:
            rows = table.filter(wanted.rows).select(**keys, **{KEY: table[KEY], _SIZE: amount.abs()})
            rows = rows.filter(rows[_SIZE] > 0)
            if self._one_row_each and self._is_spread(rows, names, most):
                continue
            if not self._one_row_each:
                rows = rows.group_by(KEY, *names).aggregate(**{_SIZE: rows[_SIZE].sum()})
            rank = ibis.row_number().over(
                ibis.window(group_by=[rows[name] for name in names], order_by=rows[_SIZE].desc())
            )
            ranked = rows.mutate(rank=rank)
            figures = {
                "total": ranked[_SIZE].sum(),
                "top": ranked[_SIZE].sum(where=ranked["rank"] < most),
                "first": ranked[_SIZE].sum(where=ranked["rank"] < 1),
                "second": ranked[_SIZE].sum(where=(ranked["rank"] >= 1) & (ranked["rank"] < 2)),
            }
            cells = ranked.group_by(*names).aggregate(**figures) if names else ranked.aggregate(**figures)
            told = self._source.fetch(cells)
            found.append(Contributions(**{name: _floats(told, name) for name in figures}))
        return found

    def _is_spread(self, rows: ir.Table, names: Sequence[str], most: int) -> bool:
        """Whether the largest contribution to each sum is so small that no few come near it, as is usual."""
        figures = {"total": rows[_SIZE].sum(), "first": rows[_SIZE].max()}
        table = self._source.fetch(
            rows.group_by(*names).aggregate(**figures) if names else rows.aggregate(**figures)
        )
        total, first = _floats(table, "total"), _floats(table, "first")
        return bool((10 * max(most, 2) * first <= total).all())

    def _element(self, key: ir.Value) -> ir.Value:
        if isinstance(key.type(), dt.Integer):
            return key if key.type().is_uint64() else key.cast("int64")
        return _hashed(key) if self._source.is_duckdb else key.cast("string")

    def _numbers(
        self, batch: pa.RecordBatch, secret: bytes
    ) -> tuple[NDArray[np.uint32], NDArray[np.int64] | None]:
        """Number of each person of a batch; with the rows' counts, where rows stand for persons."""
        column = batch[KEY]
        if pa.types.is_integer(column.type):
            if column.null_count:
                column = column.fill_null(_NOBODY if pa.types.is_unsigned_integer(column.type) else -1)
            values = column.to_numpy(zero_copy_only=False).view(np.int64)
        else:
            values = np.array([_hash(text, secret) for text in column.to_pylist()], dtype=np.int64)
        if not self._by_row:
            if self.numbering == "key":
                fits = (values >= 0) & (values < 2**32)
                return np.where(fits, values, _mixed(values, secret)).astype(np.uint32), None
            return _mixed(values, secret), None
        if _COUNT not in batch.schema.names:
            occurrence = _occurrence(values)
            return _mixed(values if occurrence is None else values + occurrence * _APART, secret), None
        counts = np.asarray(batch[_COUNT].to_numpy(zero_copy_only=False), dtype=np.int64)
        first = np.repeat(np.cumsum(counts) - counts, counts)
        occurrence = np.arange(int(counts.sum()), dtype=np.int64) - first
        return _mixed(np.repeat(values, counts) + occurrence * _APART, secret), counts


def content_key(source: Source, table: ir.Table) -> ir.Value:
    """A key made from all that a row holds, where none names its person."""
    columns = [table[name] for name in table.columns]
    if source.is_duckdb:
        return _hashed(ibis.struct({column.get_name(): column for column in columns}))
    texts = [ibis.coalesce(column.cast("string"), ibis.literal("\x1e")) for column in columns]
    joined = texts[0]
    for text in texts[1:]:
        joined = joined + ibis.literal("\x1f") + text
    return joined


def _by_cell(
    batch: pa.RecordBatch, names: Sequence[str], numbers: NDArray[np.uint32], counts: NDArray[np.int64] | None
) -> Iterator[tuple[tuple[Any, ...], NDArray[np.uint32]]]:
    """The numbers of a batch by what its key columns hold."""
    code = np.zeros(batch.num_rows, dtype=np.int64)
    levels: list[list[Any]] = []
    for name in names:
        encoded = batch[name].dictionary_encode("encode")
        levels.append(encoded.dictionary.to_pylist())
        code = code * len(levels[-1]) + encoded.indices.to_numpy(zero_copy_only=False)
    if counts is not None:
        code = np.repeat(code, counts)
    order = np.argsort(code, kind="stable")
    found, starts = np.unique(code[order], return_index=True)
    for each, part in zip(found.tolist(), np.split(numbers[order], starts[1:]), strict=True):
        cell: list[Any] = []
        for values in reversed(levels):
            each, at = divmod(each, len(values))
            cell.append(values[at])
        yield tuple(reversed(cell)), part


def _hash(text: str | None, secret: bytes) -> int:
    digest = blake2b((text or "").encode(), digest_size=8, key=secret).digest()
    return int.from_bytes(digest, "little", signed=True)


def _occurrence(values: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """How often each value has come before; None where each comes once."""
    ordered = np.sort(values)
    if not (ordered[1:] == ordered[:-1]).any():
        return None
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    first = np.repeat(starts, np.diff(np.r_[starts, len(values)]))
    occurrence = np.empty_like(values)
    occurrence[order] = np.arange(len(values), dtype=np.int64) - first
    return occurrence


def _mixed(values: NDArray[np.int64], secret: bytes) -> NDArray[np.uint32]:
    """32 bits that depend on all 64 and on the secret."""
    factors = [np.uint64(int.from_bytes(secret[at : at + 8], "little") | 1) for at in (0, 8)]
    mixed = np.empty(len(values), dtype=np.uint32)
    for start in range(0, len(values), _BLOCK):
        bits = values[start : start + _BLOCK].astype(np.uint64)
        for factor in factors:
            bits *= factor
            bits ^= bits >> np.uint64(32)
        mixed[start : start + _BLOCK] = bits
    return mixed


def _bitmap(numbers: NDArray[np.uint32]) -> BitMap:
    """A set of numbers.

    Most sets of many persons are thin, and their serialised form is made by numpy in an eighth of the time.

    Source:
        Roaring format specification, https://github.com/RoaringBitmap/RoaringFormatSpec, without runs.
    """
    ordered = np.sort(numbers)
    ordered = ordered[np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)]]
    high = (ordered >> np.uint32(16)).astype("<u2")
    starts = np.flatnonzero(np.append(True, high[1:] != high[:-1])[: len(high)])
    counts = np.diff(starts, append=len(ordered))
    if len(numbers) < _BLOCK or counts.max() > _MOST_LISTED:
        return BitMap(ordered)
    begin = np.array([_COOKIE, len(starts)], dtype="<u4")
    keys = np.stack([high[starts], (counts - 1).astype("<u2")], axis=1)
    offsets = (8 + 8 * len(starts) + 2 * starts).astype("<u4")
    return BitMap.deserialize(
        b"".join(part.tobytes() for part in (begin, keys, offsets, ordered.astype("<u2")))
    )


def _floats(table: pa.Table, name: str) -> NDArray[np.float64]:
    return np.array([float(value or 0) for value in table[name].to_pylist()], dtype=np.float64)
