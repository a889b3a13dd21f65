"""Finding the persons who opted out by their tokens, which only this holder can compute."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from salerno.holdings.engine.source import Source
from salerno.permits.rules import opt_out_token


def opted_out_keys(
    source: Source, table: ir.Table, key: str, identifier: str, tokens: frozenset[str], salt: bytes
) -> ir.Table | None:
    """Keys of the persons whose token is listed, or None when nobody's is.

    The identifier that a token was made from is the source's own (a national or hospital number); where
    that is empty or missing, the key as text.

    Args:
        source: Where the table is.
        table: All its persons.
        key: Column that links persons inside the engine.
        identifier: Column with the person's identifier; may be absent.
        tokens: Tokens of the list.
        salt: Their key.
    """
    as_text = table[key].cast("string")
    if identifier in table.columns and identifier != key:
        own = table[identifier].cast("string")
        named = ibis.ifelse(own.isnull() | (own.strip() == ""), as_text, own)
    else:
        named = as_text
    persons = table.select(key=table[key], named=named).filter(table[key].notnull()).distinct()
    keys = chain.from_iterable(_matching(source, persons, tokens, salt))
    found = pa.array(list(keys), type=persons.schema().to_pyarrow().field("key").type)
    return ibis.memtable(pa.table({key: found})) if len(found) else None


def _matching(
    source: Source, persons: ir.Table, tokens: frozenset[str], salt: bytes
) -> Iterator[list[object]]:
    for batch in source.batches(persons, rows=100_000):
        named = zip(batch["key"].to_pylist(), batch["named"].to_pylist(), strict=True)
        yield [key for key, name in named if opt_out_token(salt, name) in tokens]
