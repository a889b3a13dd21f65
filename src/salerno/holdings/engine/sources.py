"""Where data lie: a folder or file (Parquet, CSV, DuckDB), a database or a cluster, as Ibis tables."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.expr.operations as ops
import pyarrow as pa

from salerno.holdings.engine import blocks, vectors
from salerno.holdings.engine.csv_files import (
    cache_path,
    convert,
    csv_error,
    quote_path,
    quote_text,
    read_csv_sql,
)
from salerno.holdings.engine.held import HeldRows
from salerno.holdings.engine.operations import NotVectors, Unmet
from salerno.holdings.engine.postgres import open_postgres
from salerno.holdings.engine.source import EngineLimits, Source
from salerno.holdings.engine.spark import is_spark, open_spark
from salerno.holdings.engine.trino import open_trino
from salerno.holdings.model import NO_NUMBERS, Numbers
from salerno.kernel.errors import Invalid, SalernoError, Unavailable

CSV_SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
DUCKDB_SUFFIXES = (".duckdb", ".ddb", ".db")
SMALL_CSV_BYTES = 1 << 20
"""CSV files up to this size are read into memory at each opening, larger ones copied once to Parquet."""


class DuckdbSource(Source):
    """Files or a DuckDB database, read by the embedded engine.

    Args:
        backend, names, on_close: See `Source`.
        memory_mb: What the engine may use; rows that need less than an eighth of it are held between rounds.
    """

    def __init__(
        self,
        backend: Any,
        names: Mapping[str, Callable[[], ibis.Table]],
        on_close: Callable[[], None],
        memory_mb: int,
    ) -> None:
        super().__init__(backend, names, on_close)
        self._held = HeldRows(memory_mb * 2**20 // 8)
        self._unmet: set[Hashable] = set()

    def sums(self, expression: ibis.Table, numbers: Numbers = NO_NUMBERS) -> pa.Table:
        """As `fetch`, for an aggregate with its numbers: in the way that costs the engine least."""
        for plan in self._plans(expression.op()):
            query = self.text_of(plan.rows)
            told = (query, plan.filter)
            if told in self._unmet:
                continue
            read = map(blocks.columns_of, self.batches(plan.rows, rows=vectors.BATCH))
            try:
                known = self._held.meet(*told)
                found = blocks.compute(plan, self._held.rows(query, read), numbers, check=not known)
            except Unmet:
                self._unmet.add(told)  # and neither will the rows of the next round
            except NotVectors:
                continue
            else:
                self._held.note(*told)
                return found
        return super().sums(expression, numbers)

    def is_met(self, table: ibis.Table, condition: ibis.Value) -> bool:
        """Whether all rows are known to meet a condition, without reading them again."""
        plan = vectors.met(table, condition)
        if plan is None or not self._held.has(query := self.text_of(plan.rows)):
            return False
        if not self._held.meet(query, plan.filter):
            with suppress(NotVectors):
                blocks.compute(plan, self._held.rows(query, ()), {})
                self._held.note(query, plan.filter)
        return self._held.meet(query, plan.filter)

    @cached_property
    def _plans(self) -> Callable[[ops.Node], tuple[vectors.Plan, ...]]:
        if self._threads > vectors.FEW_THREADS:
            return lambda node: ()
        return lru_cache(maxsize=16)(lambda node: vectors.plans(node.to_expr()))

    def close(self) -> None:
        """End the connection, and hold no rows."""
        self._held.drop()
        super().close()

    @cached_property
    def _threads(self) -> int:
        return int(self.backend.con.execute("SELECT current_setting('threads')").fetchone()[0])

    def temporary(self, name: str) -> ibis.Table:
        """A temporary table or view that has been made."""
        table: ibis.Table = self.backend.table(name, database=("temp", "main"))
        return table


def open_source(
    source: str,
    limits: EngineLimits | None = None,
    *,
    types: Callable[[str], Mapping[str, str]] = lambda table: {},
    verbatim: frozenset[str] = frozenset(),
    lower: bool = False,
) -> Source:
    """Open a source.

    Args:
        source: Folder with Parquet or CSV files, one such file, a DuckDB file, or the address of a database
            or cluster: see `open_postgres`, `open_spark` and `open_trino`.
        limits: What the engine may use.
        types: DuckDB types by lower-case column name that CSV files of a table must have.
        verbatim: Tables whose tab-separated files know no quotes (OHDSI vocabularies).
        lower: Whether names of tables become lower-case.

    Raises:
        Invalid: The source does not exist, is of no known kind, or is broken.
        Unavailable: The source cannot be read at the moment.
    """
    limits = limits or EngineLimits()
    if re.match(r"postgres(ql)?(\+\w+)?://", source):
        return open_postgres(source, limits, lower=lower)
    if is_spark(source):
        return open_spark(source, limits, lower=lower)
    if source.startswith("trino://"):
        return open_trino(source, limits, lower=lower)
    if "://" in source:
        raise Invalid(
            "source-kind",
            f"{source.split('://')[0]!r} is no kind of source",
            remedy="Give a folder, a file (Parquet, CSV, DuckDB), or an address that starts with "
            "postgresql://, sc://, spark:// or trino://.",
        )
    path = Path(source).expanduser()
    if not path.exists():
        raise Invalid(
            "no-such-source", f"There is no file or folder {path.name!r}", remedy="Look at the path."
        )
    if path.is_file() and path.suffix.lower() in DUCKDB_SUFFIXES:
        return _open_duckdb(path, limits, lower=lower)
    return _open_files(_files(path, lower=lower), limits, types, verbatim)


def _files(path: Path, *, lower: bool) -> dict[str, list[Path]]:
    """Files by table name: each file is a table, and so is a folder of Parquet parts."""
    found: dict[str, list[Path]] = {}

    def add(name: str, parts: list[Path]) -> None:
        key = name.lower() if lower else name
        if key in found:
            raise Invalid(
                "table-twice",
                f"Two files give the table {key!r}: {found[key][0].name} and {parts[0].name}",
                remedy="Keep one of them.",
            )
        found[key] = parts

    entries = [path] if path.is_file() else sorted(path.iterdir())
    for entry in entries:
        if entry.name.startswith((".", "_")):
            continue
        if entry.is_dir():
            if parts := sorted(entry.glob("*.parquet")):
                add(entry.name, parts)
            continue
        suffix = next((s for s in (*CSV_SUFFIXES, ".parquet") if entry.name.lower().endswith(s)), "")
        if suffix:
            add(entry.name[: -len(suffix)], [entry])
    if not found:
        what = "is no Parquet, CSV or DuckDB file" if path.is_file() else "holds no Parquet or CSV file"
        raise Invalid("no-tables", f"{path.name!r} {what}", remedy="Look at the path.")
    return found


def _connect_duckdb(limits: EngineLimits) -> tuple[duckdb.DuckDBPyConnection, Path]:
    """An in-memory database that may spill to a folder of its own, and that folder."""
    parent = limits.cache_folder
    if parent is not None:
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _remove_left_spills(parent)
    spill = Path(tempfile.mkdtemp(prefix=f"spill-{os.getpid()}-", dir=parent))
    config: dict[str, Any] = {
        "memory_limit": f"{limits.memory_mb}MB",
        "temp_directory": str(spill),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "preserve_insertion_order": False,
        # Otherwise the allocator keeps what a large question took, which the limit does not count.
        "allocator_background_threads": True,
    }
    if limits.threads:
        config["threads"] = limits.threads
    return duckdb.connect(":memory:", config=config), spill


def _remove_left_spills(folder: Path) -> None:
    """Remove what a killed process spilled to disk, since it can hold rows."""
    for left in folder.glob("spill-*"):
        pid = left.name.split("-")[1]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists() and Path("/proc/self").exists():
            shutil.rmtree(left, ignore_errors=True)


def _seal(connection: duckdb.DuckDBPyConnection, readable: list[Path]) -> None:
    """From here on the engine reads the named files and nothing else of the machine or the network."""
    if readable:
        # DuckDB asks for leave twice: for the pattern that it is given, and for the file found by it.
        listed = ", ".join(f"{quote_text(str(path))}, {quote_path(path)}" for path in readable)
        connection.execute(f"SET allowed_paths = [{listed}]")
    connection.execute("SET enable_external_access = false")


def _open_files(
    files: Mapping[str, list[Path]],
    limits: EngineLimits,
    types: Callable[[str], Mapping[str, str]],
    verbatim: frozenset[str],
) -> Source:
    connection, spill = _connect_duckdb(limits)
    try:
        readers: dict[str, str] = {}
        for name, parts in files.items():
            if parts[0].name.endswith(".parquet"):
                listed = ", ".join(quote_path(part.resolve()) for part in parts)
                readers[name] = f"SELECT * FROM read_parquet([{listed}])"  # noqa: S608 (quoted)
        readable = [p.resolve() for parts in files.values() for p in parts]
        if limits.cache_folder is not None:
            # Reading CSV is put off until a table is asked for; so its copy must be allowed beforehand.
            connection.execute(
                f"SET allowed_directories = [{quote_text(str(limits.cache_folder.resolve()))}]"
            )
        _seal(connection, readable)
        backend = ibis.duckdb.from_connection(connection)
        connection.execute("CREATE SCHEMA source")
    except BaseException:
        connection.close()
        shutil.rmtree(spill, ignore_errors=True)
        raise

    def opener(name: str) -> Callable[[], ibis.Table]:
        quoted = '"' + name.replace('"', '""') + '"'
        path = files[name][0]

        def open_table() -> ibis.Table:
            sql = readers.get(name)
            try:
                if sql is not None:
                    connection.execute(f"CREATE VIEW source.{quoted} AS {sql}")
                else:
                    _read_csv(connection, path, quoted, name, limits, types, verbatim)
            except duckdb.Error as error:
                if sql is None:
                    raise csv_error(path, error) from None
                raise Invalid(
                    "broken-parquet",
                    f"{path.name} cannot be read as Parquet",
                    remedy="Write the file again and connect it again.",
                ) from None
            table: ibis.Table = backend.table(name, database="source")
            return table

        return open_table

    return DuckdbSource(
        backend,
        {name: opener(name) for name in files},
        lambda: shutil.rmtree(spill, ignore_errors=True),
        limits.memory_mb,
    )


def _read_csv(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    quoted: str,
    name: str,
    limits: EngineLimits,
    types: Callable[[str], Mapping[str, str]],
    verbatim: frozenset[str],
) -> None:
    path = path.resolve()
    fixed = types(name)
    if limits.cache_folder is None or path.stat().st_size <= SMALL_CSV_BYTES:
        sql = read_csv_sql(connection, path, fixed, plain_quotes=name in verbatim and _has_tabs(path))
        connection.execute(f"CREATE TABLE source.{quoted} AS {sql}")
        return
    target = cache_path(path, limits.cache_folder.resolve(), repr(sorted(fixed.items())))
    if not target.exists():
        sql = read_csv_sql(connection, path, fixed, plain_quotes=name in verbatim and _has_tabs(path))
        convert(connection, path, sql, target)
    connection.execute(
        f"CREATE VIEW source.{quoted} AS SELECT * FROM read_parquet({quote_path(target)})"  # noqa: S608
    )


def _has_tabs(path: Path) -> bool:
    if path.suffix == ".gz":
        return False
    with path.open("rb") as file:
        return b"\t" in file.readline(1 << 20)


def _open_duckdb(path: Path, limits: EngineLimits, *, lower: bool) -> Source:
    connection, spill = _connect_duckdb(limits)
    try:
        try:
            connection.execute(f"ATTACH {quote_text(str(path.resolve()))} AS source (READ_ONLY)")
        except duckdb.Error as error:
            raise _duckdb_error(path, error) from None
        _seal(connection, [])
        rows = connection.execute(
            "SELECT table_schema, table_name FROM information_schema.tables "
            "WHERE table_catalog = 'source' ORDER BY table_schema <> 'main', table_schema, table_name"
        ).fetchall()
        backend = ibis.duckdb.from_connection(connection)
    except BaseException:
        connection.close()
        shutil.rmtree(spill, ignore_errors=True)
        raise

    def opener(schema: str, name: str) -> Callable[[], ibis.Table]:
        return lambda: backend.table(name, database=("source", schema))

    names: dict[str, Callable[[], ibis.Table]] = {}
    for schema, name in rows:
        names.setdefault(name.lower() if lower else name, opener(schema, name))
    opened = DuckdbSource(backend, names, lambda: shutil.rmtree(spill, ignore_errors=True), limits.memory_mb)
    if not names:
        opened.close()
        raise Invalid("no-tables", f"{path.name!r} holds no table", remedy="Look at the path.")
    return opened


def _duckdb_error(path: Path, error: duckdb.Error) -> SalernoError:
    text = str(error).lower()
    if "lock" in text:
        return Unavailable(
            "duckdb-locked",
            f"Another program has {path.name} open for writing",
            remedy="Close it there, or connect a copy.",
        )
    if "version" in text:
        return Invalid(
            "duckdb-version",
            f"{path.name} was written by a DuckDB version that version {duckdb.__version__} cannot read",
            remedy="Export its tables to Parquet there, and connect the folder.",
        )
    return Invalid(
        "broken-duckdb", f"{path.name} cannot be read as a DuckDB file", remedy="Look at the path."
    )


def stamp(source: str) -> list[tuple[str, int, int]]:
    """Name, size and time of each file of a source; nothing for a database server."""
    path = Path(source)
    try:
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        return [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    except OSError:
        return []
