"""An opened source: Ibis tables by name on an engine with a connection of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa

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

    Args:
        backend: Ibis backend with a connection of its own.
        names: What to call to get each table.
        on_close: What to do at the end.
    """

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

    @property
    def is_duckdb(self) -> bool:
        """Whether the engine is DuckDB; otherwise it is PostgreSQL."""
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
            self._tables[name] = self._names[name]()
        return self._tables[name]

    def tables(self) -> dict[str, ibis.Table]:
        """All tables by name."""
        return {name: self.table(name) for name in self.names}

    def keep(self, name: str, expression: ibis.Table) -> ibis.Table:
        """The expression's rows as a temporary table, which ends with the source."""
        self.compute(lambda: self.backend.create_table(name, expression, temp=True))
        return self._temporary(name)

    def show(self, name: str, expression: ibis.Table) -> ibis.Table:
        """The expression as a temporary view: its columns and no others can be named through it."""
        sql = self.backend.compile(expression)
        quoted = '"' + name.replace('"', '""') + '"'
        self.compute(lambda: self.backend.raw_sql(f"CREATE TEMPORARY VIEW {quoted} AS {sql}"))
        return self._temporary(name)

    def _temporary(self, name: str) -> ibis.Table:
        table: ibis.Table = (
            self.backend.table(name, database=("temp", "main"))
            if self.is_duckdb
            else self.backend.table(name)
        )
        return table

    def fetch(self, expression: ibis.Table) -> pa.Table:
        """The expression's rows as Arrow table of the expression's schema."""
        if self.is_duckdb:
            return self.compute(lambda: self.backend.to_pyarrow(expression))
        return self.compute(lambda: self._fetch_postgres(expression))

    def _fetch_postgres(self, expression: ibis.Table) -> pa.Table:
        """PostgreSQL answers means and sums as decimals; Ibis' own way to Arrow stumbles over them."""
        self.backend._run_pre_execute_hooks(expression)
        with self.backend.con.cursor() as cursor:
            rows = cursor.execute(self.backend.compile(expression)).fetchall()
        schema: pa.Schema = expression.schema().to_pyarrow()
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
        arrays = []
        for field, column in zip(schema, columns, strict=True):
            number = float if pa.types.is_floating(field.type) else int
            if pa.types.is_floating(field.type) or pa.types.is_integer(field.type):
                column = tuple(None if value is None else number(value) for value in column)
            arrays.append(pa.array(column, type=field.type))
        return pa.Table.from_arrays(arrays, schema=schema)

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


def engine_error(error: Exception) -> SalernoError:
    """An engine's error without its text, which may quote data."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if "OutOfMemoryException" in names or "DiskFull" in names or "OutOfMemory" in names:
        return Unavailable(
            "engine-full",
            "The analysis engine has no memory or disk space left",
            remedy="Give it more memory, or free space in the node's cache folder.",
        )
    if names & {"ConversionException", "DataError", "OutOfRangeException"}:
        return Invalid(
            "wrong-type",
            "A value of the data cannot be read as the type of its column",
            remedy="Connect the data again: the check names table and column.",
        )
    if "InsufficientPrivilege" in names:
        return Unavailable(
            "database-rights",
            "The database account may not read a table or make temporary ones",
            remedy="Grant it SELECT on the tables and TEMPORARY on the database.",
        )
    if names & {"IOException", "OperationalError", "InterfaceError", "ConnectionException"}:
        return Unavailable("data-unreachable", "The data cannot be read at the moment", remedy="Try again.")
    return Unavailable(
        "engine-failed",
        f"The analysis engine could not compute ({type(error).__name__})",
        remedy="Tell the node's operator.",
    )
