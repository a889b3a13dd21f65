"""Finding the persons who are left out by their tokens, which only this holder can compute.

The tokens are computed and compared where the data are, by the engine itself. No identifier is written down.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from salerno.holdings.engine.source import Source
from salerno.permits.model import OptOutList
from salerno.permits.model.opt_out import TOKEN_BYTES
from salerno.permits.rules import opt_out_token

_LISTED, _TOKEN = "opt_out_list", "token"


def left_out_keys(
    source: Source, table: ir.Table, key: str, identifier: str, listed: OptOutList
) -> ir.Table | None:
    """Keys of the persons whose token is listed, with or without repetition; None when nobody's is.

    The identifier that a token was made from is the source's own (a national or hospital number); where
    that is empty or missing, the key as text.

    Args:
        source: Where the table is.
        table: All its persons.
        key: Column that links persons inside the engine.
        identifier: Column with the person's identifier; may be absent.
        listed: Who is left out.
    """
    as_text = table[key].cast("string")
    if identifier in table.columns and identifier != key:
        own = table[identifier].cast("string")
        named = ibis.ifelse(own.isnull() | (own.strip() == ""), as_text, own)
    else:
        named = as_text
    persons = table.select(key=table[key], named=named).filter(table[key].notnull())
    hashed = source.sha256(ibis.literal(listed.salt) + persons.named)
    if hashed is None:
        return _streamed(source, persons.distinct(), key, listed)
    tokens = source.load(_LISTED, pa.table({_TOKEN: _texts(listed)}))
    matching = persons.semi_join(tokens, hashed.left(2 * TOKEN_BYTES) == tokens[_TOKEN])
    return matching.select(**{key: matching.key})


def _texts(listed: OptOutList) -> pa.Array:
    """The tokens as hexadecimal text, without making each one by itself."""
    length = 2 * TOKEN_BYTES
    offsets = np.arange(len(listed) + 1, dtype=np.int32) * length
    return pa.StringArray.from_buffers(
        len(listed), pa.py_buffer(offsets), pa.py_buffer(listed.tokens.hex().encode())
    )


def _streamed(source: Source, persons: ir.Table, key: str, listed: OptOutList) -> ir.Table | None:
    """As `left_out_keys`, on an engine that takes no long lists: this process computes the tokens."""
    tokens = {listed.tokens[at : at + TOKEN_BYTES] for at in range(0, len(listed.tokens), TOKEN_BYTES)}

    def matching() -> Iterator[list[object]]:
        for batch in source.batches(persons, rows=100_000):
            named = zip(batch["key"].to_pylist(), batch["named"].to_pylist(), strict=True)
            yield [key for key, name in named if opt_out_token(listed.salt, name) in tokens]

    found = pa.array(
        list(chain.from_iterable(matching())), type=persons.schema().to_pyarrow().field("key").type
    )
    return ibis.memtable(pa.table({key: found})) if len(found) else None
