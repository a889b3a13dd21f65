"""Where data lie: a folder or file (Parquet, CSV, DuckDB) or a PostgreSQL schema, as Ibis tables."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import duckdb
import ibis

from salerno.holdings.engine.csv_files import (
    cache_path,
    convert,
    csv_error,
    quote_path,
    quote_text,
    read_csv_sql,
)
from salerno.kernel.errors import Invalid, SalernoError, Unavailable, near

CSV_SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
DUCKDB_SUFFIXES = (".duckdb", ".ddb", ".db")
SMALL_CSV_BYTES = 1 << 20
"""CSV files up to this size are read into memory at each opening, larger ones copied once to Parquet."""


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

    def fetch(self, expression: ibis.Table) -> Any:
        """The expression's rows as Arrow table."""
        return self.compute(lambda: self.backend.to_pyarrow(expression))

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
        source: Folder with Parquet or CSV files, one such file, a DuckDB file, or a PostgreSQL URL; a
            parameter ``schema`` of the URL names the schema, ``public`` by default.
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
        return _open_postgres(source, limits, lower=lower)
    if "://" in source:
        raise Invalid(
            "source-kind",
            f"{source.split('://')[0]!r} is no kind of source",
            remedy="Give a folder, a file (Parquet, CSV, DuckDB) or a postgresql:// address.",
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
    spill = Path(tempfile.mkdtemp(prefix="spill-", dir=parent))
    config: dict[str, Any] = {
        "memory_limit": f"{limits.memory_mb}MB",
        "temp_directory": str(spill),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "preserve_insertion_order": False,
    }
    if limits.threads:
        config["threads"] = limits.threads
    return duckdb.connect(":memory:", config=config), spill


def _seal(connection: duckdb.DuckDBPyConnection, readable: list[Path]) -> None:
    """From here on the engine reads the named files and nothing else of the machine or the network."""
    if readable:
        listed = ", ".join(quote_text(str(path)) for path in readable)
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

    return Source(
        backend, {name: opener(name) for name in files}, lambda: shutil.rmtree(spill, ignore_errors=True)
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
    opened = Source(backend, names, lambda: shutil.rmtree(spill, ignore_errors=True))
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


def _open_postgres(url: str, limits: EngineLimits, *, lower: bool) -> Source:
    import psycopg

    parts = urlsplit(url)
    parameters = parse_qsl(parts.query)
    schema = next((value for key, value in parameters if key == "schema"), "public")
    rest = urlencode([(key, value) for key, value in parameters if key != "schema"])
    address = urlunsplit(("postgresql", parts.netloc, parts.path, rest, ""))
    host = parts.hostname or "the local socket"
    where = f"{host}:{parts.port}" if parts.port else host
    database = parts.path.lstrip("/") or "the default database"
    try:
        connection = psycopg.connect(
            address,
            autocommit=True,
            connect_timeout=limits.connect_seconds,
            application_name="salerno",
        )
    except psycopg.Error as error:
        raise _postgres_error(error, where, database) from None
    try:
        rows = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = %s "
            "AND table_type IN ('BASE TABLE', 'VIEW', 'FOREIGN') ORDER BY table_name",
            (schema,),
        ).fetchall()
        if not rows:
            schemas = connection.execute(
                "SELECT DISTINCT table_schema FROM information_schema.tables "
                "WHERE table_schema NOT IN ('pg_catalog', 'information_schema')"
            ).fetchall()
            raise Invalid(
                "no-tables",
                f"Schema {schema!r} of {database} at {where} holds no table that this account may see",
                remedy=f"Add ?schema=… to the address. {near(schema, [row[0] for row in schemas])}",
            )
        backend = ibis.postgres.from_connection(connection)
    except BaseException:
        connection.close()
        raise

    def opener(name: str) -> Callable[[], ibis.Table]:
        return lambda: backend.table(name, database=schema)

    return Source(backend, {(name.lower() if lower else name): opener(name) for (name,) in rows})


def _postgres_error(error: Exception, where: str, database: str) -> SalernoError:
    text = str(error).lower()
    if "password" in text or "authentication" in text or "role" in text:
        return Unavailable(
            "database-log-in",
            f"The PostgreSQL server at {where} does not accept the account or password",
            remedy="Look at user and password in the address.",
        )
    if "does not exist" in text:
        return Unavailable(
            "no-such-database",
            f"The PostgreSQL server at {where} has no database {database!r}",
            remedy="Look at the last part of the address.",
        )
    return Unavailable(
        "database-down",
        f"No PostgreSQL server answers at {where}",
        remedy="Look at host and port, and whether the server runs.",
    )
