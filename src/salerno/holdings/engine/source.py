"""An opened source: Ibis tables by name on an engine with a connection of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
import pyarrow as pa

from salerno.holdings.engine.numbers import bind
from salerno.holdings.model import NO_NUMBERS, Numbers
from salerno.kernel.errors import Invalid, SalernoError, Unavailable, near


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLimits:
    """What the analysis engine may use.

    Args:
        memory_mb: Memory of one opened source before it spills to disk.
        threads: Threads; 0 means all cores.
        cache_folder: Private folder for copies of large CSV files and for spilling; None means a
            temporary folder per opening and no copies.
        connect_seconds: How long to wait for a database server.
    """

    memory_mb: int = 1024
    threads: int = 0
    cache_folder: Path | None = None
    connect_seconds: int = 10


class Source:
    """An opened source: its tables by name, and room for temporary ones. For one thread at a time.

    Each engine has a subclass, which says how a table is kept or shown for the time of the opening and how
    rows come back.

    Args:
        backend: Ibis backend with a connection of its own.
        names: What to call to get each table.
        on_close: What to do at the end.
    """

    estimates_distinct = True
    """Whether the engine can estimate how many different values a column has, which is much cheaper."""

    repeats_queries = False
    """Whether the engine computes a query anew at each place of another one that names it."""

    can_try_cast = True
    """Whether the engine has a cast that gives null where a value cannot be read."""

    def __init__(
        self,
        backend: Any,
        names: Mapping[str, Callable[[], ibis.Table]],
        on_close: Callable[[], None] = lambda: None,
    ) -> None:
        self.backend = backend
        self._names = names
        self._on_close = on_close
        self._tables: dict[str, ibis.Table] = {}
        self._views: set[str] = set()

    @property
    def is_duckdb(self) -> bool:
        """Whether the engine is the embedded one."""
        return str(self.backend.name) == "duckdb"

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the tables, sorted."""
        return tuple(sorted(self._names))

    def table(self, name: str) -> ibis.Table:
        """One table.

        Raises:
            Invalid: There is no such table; the nearest name is told.
        """
        if name not in self._names:
            raise Invalid("missing-table", f"There is no table {name!r}", remedy=near(name, self._names))
        if name not in self._tables:
            self._tables[name] = self.compute(self._names[name])
        return self._tables[name]

    def tables(self) -> dict[str, ibis.Table]:
        """All tables by name."""
        return {name: self.table(name) for name in self.names}

    def keep(self, name: str, expression: ibis.Table) -> ibis.Table:
        """The expression's rows as a temporary table, which ends with the source."""
        self.compute(lambda: self.backend.create_table(name, expression, temp=True))
        return self.temporary(name)

    def load(self, name: str, rows: pa.Table) -> ibis.Table:
        """Rows of this process as a temporary table, which ends with the source; they may be a million."""
        return self.keep(name, ibis.memtable(rows))

    def sha256(self, text: ir.StringValue) -> ir.StringValue | None:
        """SHA-256 of a text in UTF-8, hexadecimal; None where the engine does not take long lists to join."""
        return text.hexdigest("sha256")

    def show(self, name: str, expression: ibis.Table) -> ibis.Table:
        """The expression as a temporary view: its columns and no others can be named through it."""
        self.run(f"CREATE TEMPORARY VIEW {quoted(name)} AS {self.backend.compile(expression)}")
        self._views.add(name)
        return self.temporary(name)

    def make(self, name: str, query: str) -> ibis.Table:
        """As `keep`, for a query in the engine's own words; what was kept or shown it can name."""
        self.run(f"CREATE TEMPORARY TABLE {quoted(name)} AS {query}")
        return self.temporary(name)

    def drop(self, name: str) -> None:
        """Free a name that something was kept or shown under; what was computed from it stays."""
        self.run(f"DROP {'VIEW' if name in self._views else 'TABLE'} {quoted(name)}")
        self._views.discard(name)

    def run(self, sql: str) -> None:
        """Have a statement carried out."""
        self.compute(lambda: self.backend.raw_sql(sql))

    def temporary(self, name: str) -> ibis.Table:
        """A temporary table or view that has been made."""
        table: ibis.Table = self.backend.table(name)
        return table

    def fetch(self, expression: ibis.Table) -> pa.Table:
        """The expression's rows as Arrow table of the expression's schema."""
        return self.compute(lambda: self._fetch(expression))

    def _fetch(self, expression: ibis.Table) -> pa.Table:
        return self.backend.to_pyarrow(expression)

    def sums(self, expression: ibis.Table, numbers: Numbers = NO_NUMBERS) -> pa.Table:
        """As `fetch`, for an aggregate with its numbers: in the way that costs the engine least."""
        return self.fetch(bind(expression, numbers))

    def is_met(self, table: ibis.Table, condition: ibis.Value) -> bool:
        """Whether all rows are known to meet a condition, without reading them again."""
        return False

    def text_of(self, expression: ibis.Table) -> str:
        """The expression in the engine's own words: the same text, the same rows."""
        return self._text_of(expression.op())

    @cached_property
    def _text_of(self) -> Callable[[ops.Node], str]:
        # Each round reads the same columns, and to put that into words takes longer than to read them.
        return lru_cache(maxsize=64)(lambda node: str(self.backend.compile(node.to_expr())))

    def batches(self, expression: ibis.Table, *, rows: int) -> Iterator[pa.RecordBatch]:
        """The expression's rows, so many at a time."""
        reader = self.compute(lambda: self.backend.to_pyarrow_batches(expression, chunk_size=rows))
        while (batch := self.compute(lambda: next(reader, None))) is not None:
            yield batch

    def compute(self, act: Callable[[], Any]) -> Any:
        """Do something on the engine; its errors become ours, without any value of the data.

        Raises:
            Unavailable: The engine has no room or is gone.
            Invalid: The data do not have the types that they should have.
        """
        try:
            return act()
        except SalernoError:
            raise
        except Exception as error:
            raise engine_error(error) from None

    def close(self) -> None:
        """End the connection; temporary tables go with it."""
        with suppress(Exception):
            self.backend.disconnect()
        self._on_close()

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def quoted(name: str) -> str:
    """A name as SQL writes it.

    >>> quoted("a b")
    '"a b"'
    """
    return '"' + name.replace('"', '""') + '"'


def as_schema(rows: Sequence[Sequence[Any]], schema: pa.Schema) -> pa.Table:
    """Rows as a database's client gives them, in the types of a schema: sums may come as decimals."""
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
    arrays = []
    for field, column in zip(schema, columns, strict=True):
        if pa.types.is_floating(field.type) or pa.types.is_integer(field.type):
            number = float if pa.types.is_floating(field.type) else int
            column = [None if value is None else number(value) for value in column]
        arrays.append(pa.array(column, type=field.type))
    return pa.Table.from_arrays(arrays, schema=schema)


# Kinds of errors by the names that DuckDB, PostgreSQL, Spark and Trino give them.
_FULL = {
    "OutOfMemoryException",
    "DiskFull",
    "OutOfMemory",
    "EXCEEDED_LOCAL_MEMORY_LIMIT",
    "EXCEEDED_GLOBAL_MEMORY_LIMIT",
    "CLUSTER_OUT_OF_MEMORY",
}
_WRONG_TYPES = {
    "ConversionException",
    "DataError",
    "OutOfRangeException",
    "CAST_INVALID_INPUT",
    "CAST_OVERFLOW",
    "ARITHMETIC_OVERFLOW",
    "INVALID_CAST_ARGUMENT",
    "NUMERIC_VALUE_OUT_OF_RANGE",
}
_GONE = {
    "IOException",
    "OperationalError",
    "InterfaceError",
    "ConnectionException",
    "RpcError",
    "RetriesExceeded",
    "Py4JNetworkError",
    "CHECKPOINT_RDD_BLOCK_ID_NOT_FOUND",
    "TrinoConnectionError",
    "RequestException",
}


def _conditions(error: Exception) -> set[str]:
    """What Spark and Trino call an error: a word of a fixed list, which no data are part of."""
    found = {str(getattr(error, "error_name", ""))}
    for name in ("getCondition", "getErrorClass"):
        with suppress(Exception):
            found |= set(str(getattr(error, name)()).split("."))
    return found


def engine_error(error: Exception) -> SalernoError:
    """An engine's error without its text, which may quote data."""
    names = {kind.__name__ for kind in type(error).__mro__} | _conditions(error)
    if names & _FULL:
        return Unavailable(
            "engine-full",
            "The analysis engine has no memory or disk space left",
            remedy="Give it more memory, or free space in the node's cache folder.",
        )
    if names & _WRONG_TYPES:
        return Invalid(
            "wrong-type",
            "A value of the data cannot be read as the type of its column",
            remedy="Connect the data again: the check names table and column.",
        )
    if names & {"InsufficientPrivilege", "PERMISSION_DENIED", "INSUFFICIENT_PERMISSIONS"}:
        return Unavailable(
            "database-rights",
            "The database account may not read a table or make temporary ones",
            remedy="Grant it SELECT on the tables and TEMPORARY on the database.",
        )
    if names & _GONE:
        return Unavailable("data-unreachable", "The data cannot be read at the moment", remedy="Try again.")
    return Unavailable(
        "engine-failed",
        f"The analysis engine could not compute ({type(error).__name__})",
        remedy="Tell the node's operator.",
    )
