"""Data on a Spark cluster as source: reached by Spark Connect, or with a driver of this node at a master."""

from __future__ import annotations

import atexit
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import ibis
import ibis.expr.operations as ops
import pyarrow as pa

from salerno.holdings.engine.source import EngineLimits, Source
from salerno.kernel.errors import Invalid, SalernoError, Unavailable, near

_ADDRESS = re.compile(r"(sc|spark)://|spark\+")
_REMEDY = (
    "Give sc://host:15002/?schema=… for Spark Connect, spark://host:7077?schema=… or spark+yarn?schema=… for "
    "a master; path=… instead of schema=… reads a folder of Parquet files."
)


def is_spark(source: str) -> bool:
    """Whether an address is one of Spark.

    >>> [is_spark(s) for s in ("sc://h:15002/?schema=cdm", "spark+local[2]?path=/data", "/data/spark")]
    [True, True, False]
    """
    return _ADDRESS.match(source) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class SparkAddress:
    """What an address says.

    Args:
        server: Address of a Spark Connect server, or a master as ``spark-submit`` takes it.
        is_remote: Whether it is the address of a server.
        schema: Schema whose tables are read, ``catalog.schema`` or ``schema``; empty when `path` is given.
        path: Folder of Parquet files, on the cluster's own file system.
        settings: Spark's own settings of the connection.
    """

    server: str
    is_remote: bool
    schema: str
    path: str
    settings: dict[str, str]

    @property
    def where(self) -> str:
        """The server for people, without token or account."""
        if not self.is_remote:
            return self.server
        parts = urlsplit(self.server)
        return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


def parse_address(source: str) -> SparkAddress:
    """Read an address.

    >>> parse_address("spark://hub:7077?path=/data/omop&spark.executor.memory=4g").path
    '/data/omop'

    Raises:
        Invalid: It names neither schema nor path, or both, or anything else that is not known.
    """
    server, _, query = source.partition("?")
    parameters = dict(parse_qsl(query))
    schema, path = parameters.pop("schema", ""), parameters.pop("path", "")
    unknown = sorted(name for name in parameters if not name.startswith("spark."))
    if unknown:
        raise Invalid(
            "source-parameter",
            f"{unknown[0]!r} is no part of a Spark address",
            remedy=f"{near(unknown[0], ('schema', 'path'))} Settings of Spark begin with spark. {_REMEDY}",
        )
    if bool(schema) == bool(path):
        what = "both schema and path" if schema else "neither schema nor path"
        raise Invalid("source-parameter", f"The Spark address names {what}", remedy=_REMEDY)
    return SparkAddress(
        server=server.removeprefix("spark+"),
        is_remote=server.startswith("sc://"),
        schema=schema,
        path=path.rstrip("/") or path,
        settings=parameters,
    )


class SparkSource(Source):
    """Tables of a session of its own on a Spark cluster."""

    repeats_queries = True

    def __init__(
        self,
        backend: Any,
        session: Any,
        names: dict[str, Callable[[], ibis.Table]],
        is_remote: bool,
    ) -> None:
        super().__init__(backend, names, session.stop if is_remote else lambda: None)
        self._session = session
        self._is_remote = is_remote
        self._kept: dict[str, Any] = {}

    def keep(self, name: str, expression: ibis.Table) -> ibis.Table:
        """The expression's rows in the cluster's memory, and on its disks where that is short."""
        return self._keep(name, lambda: self._frame(expression))

    def make(self, name: str, query: str) -> ibis.Table:
        """As `keep`, for a query in Spark's own words."""
        return self._keep(name, lambda: self._session.sql(query))

    def _keep(self, name: str, made: Callable[[], Any]) -> ibis.Table:
        # Not by cache(): each later query would then carry the plan of all that led to the frame, which Spark
        # goes through time and again. A plan of a study on OMOP has thousands of parts.
        with self._active():
            frame = self.compute(lambda: made().localCheckpoint())
        self._kept[name] = frame
        return self.compute(lambda: self.name(name, frame))

    @contextmanager
    def _active(self) -> Iterator[None]:
        """Make this the thread's session, as Connect's checkpoints ask for one."""
        if not self._is_remote:
            yield
            return
        from pyspark.sql.connect.session import SparkSession

        place = SparkSession._active_session
        before = getattr(place, "session", None)
        place.session = self._session
        try:
            yield
        finally:
            place.session = before

    def drop(self, name: str) -> None:
        """Free a name; Spark frees its memory when nothing is computed from it any more."""
        self.compute(lambda: self._session.catalog.dropTempView(name))
        self._kept.pop(name, None)

    def show(self, name: str, expression: ibis.Table) -> ibis.Table:
        """The expression as a view of this session."""
        return self.compute(lambda: self.name(name, self._frame(expression)))

    def name(self, name: str, frame: Any) -> ibis.Table:
        """A Spark data frame as table of this session.

        Args:
            name: Its name in the session.
            frame: The data frame.
        """
        frame.createOrReplaceTempView(f"`{name}`")
        # Asked of the frame: Ibis would first change the session's catalog and back, four calls each time.
        schema = self.backend._get_schema_using_query(f"SELECT * FROM `{name}`")  # noqa: S608 (quoted)
        return ops.DatabaseTable(name, schema=schema, source=self.backend).to_expr()

    def _frame(self, expression: ibis.Table) -> Any:
        self.backend._run_pre_execute_hooks(expression)
        return self._session.sql(self.backend.compile(expression))

    def _fetch(self, expression: ibis.Table) -> pa.Table:
        rows: pa.Table = self._frame(expression).toArrow()
        schema: pa.Schema = expression.schema().to_pyarrow()
        return rows.rename_columns(schema.names).cast(schema)

    def batches(self, expression: ibis.Table, *, rows: int) -> Any:
        """The expression's rows, so many at a time."""
        yield from self.fetch(expression).to_batches(max_chunksize=rows)

    def close(self) -> None:
        """End the session, and with it views and kept frames; other sources go on."""
        self._kept.clear()
        self._on_close()


def open_spark(source: str, limits: EngineLimits, *, lower: bool) -> Source:
    """Open a schema or a folder of Parquet files on a Spark cluster.

    Args:
        source: See `parse_address`.
        limits: How long to wait; memory and threads are the cluster's.
        lower: Whether names of tables become lower-case.

    Raises:
        Invalid: The address cannot be read, or there is no table at it.
        Unavailable: No cluster answers.
    """
    address = parse_address(source)
    try:
        import pyspark  # noqa: F401
    except ImportError:
        raise Unavailable(
            "no-spark-client",
            "This node has no client for Spark",
            remedy="Install it with: pip install 'salerno[spark]'",
        ) from None
    try:
        _knock(address, limits.connect_seconds)
        session = _connect(address, limits.connect_seconds) if address.is_remote else _drive(address)
        backend = ibis.pyspark.connect(session)
        # No SELECT of this session may name a file: what is read is named here.
        session.conf.set("spark.sql.runSQLOnFiles", "false")
        # What is known of columns costs more to derive than it saves in plans as large as ours, and Spark
        # fails at it (NoSuchElementException) where a union names a checkpointed table twice.
        session.conf.set("spark.sql.constraintPropagation.enabled", "false")
    except SalernoError:
        raise
    except Exception as error:
        raise _unreachable(error, address) from None
    names: dict[str, Callable[[], ibis.Table]] = {}
    opened = SparkSource(backend, session, names, address.is_remote)
    try:
        found = opened.compute(
            lambda: _files(session, address) if address.path else _tables(session, address)
        )
        if not found:
            what = f"Schema {address.schema!r}" if address.schema else f"Folder {address.path!r}"
            raise Invalid("no-tables", f"{what} at {address.where} holds no table", remedy=_REMEDY)
        for name, frame in found.items():
            names[name.lower() if lower else name] = _opener(opened, name, frame)
    except BaseException:
        opened.close()
        raise
    return opened


def _opener(opened: SparkSource, name: str, frame: Callable[[], Any]) -> Callable[[], ibis.Table]:
    return lambda: opened.name(f"source {name}", frame())


def _knock(address: SparkAddress, seconds: int) -> None:
    """Whether anybody listens: Spark's own clients try again for many minutes."""
    parts = urlsplit(address.server)
    if parts.scheme not in ("sc", "spark") or not parts.hostname:
        return
    for host in parts.netloc.split(","):  # masters that stand in for each other
        name, _, port = host.rpartition("@")[2].partition(":")
        with suppress(OSError, ValueError):
            socket.create_connection((name, int(port or 15002)), timeout=seconds).close()
            return
    raise ConnectionRefusedError


def _connect(address: SparkAddress, seconds: int) -> Any:
    """A session of its own at a Spark Connect server."""
    from pyspark.sql.connect.client.retries import DefaultPolicy
    from pyspark.sql.connect.session import SparkSession

    # Not by SparkSession.builder, after which this process could not use a master any more.
    session = SparkSession(connection=address.server)
    session.client.set_retry_policies([DefaultPolicy(max_retries=max(seconds, 1), max_backoff=1000)])
    for name, value in address.settings.items():
        session.conf.set(name, value)
    return session


def _drive(address: SparkAddress) -> Any:
    """A session of its own with the one driver that a process can have."""
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    running = SparkContext._active_spark_context
    if running is not None and running.master != address.server:
        raise Invalid(
            "spark-master",
            f"This node already has a driver at {running.master}, and a process can have one",
            remedy="Use the same master for all holdings of a node, or Spark Connect.",
        )
    builder = SparkSession.builder.master(address.server).appName("salerno")
    builder = builder.config("spark.ui.enabled", "false").config("spark.ui.showConsoleProgress", "false")
    for name, value in address.settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    if running is None:
        # The driver's log quotes values that cannot be cast.
        session.sparkContext.setLogLevel("OFF")
        atexit.register(session.stop)
    return session.newSession()


def _tables(session: Any, address: SparkAddress) -> dict[str, Callable[[], Any]]:
    quoted = ".".join(f"`{part.replace('`', '``')}`" for part in address.schema.split("."))
    try:
        rows = session.sql(f"SHOW TABLES IN {quoted}").collect()
    except Exception as error:
        if "SCHEMA_NOT_FOUND" in str(error) or "CATALOG" in str(error):
            raise Invalid(
                "no-tables",
                f"There is no schema {address.schema!r} at {address.where}",
                remedy=near(address.schema, _schemas(session)),
            ) from None
        raise

    def reader(name: str) -> Callable[[], Any]:
        return lambda: session.table(f"{quoted}.`{name.replace('`', '``')}`")

    return {row.tableName: reader(row.tableName) for row in rows if not row.isTemporary}


def _schemas(session: Any) -> list[str]:
    with suppress(Exception):
        return [row[0] for row in session.sql("SHOW SCHEMAS").collect()]
    return []


def _files(session: Any, address: SparkAddress) -> dict[str, Callable[[], Any]]:
    """Each Parquet file is a table, and so is each folder of parts; the cluster lists them."""
    listed = session.read.format("binaryFile").option("recursiveFileLookup", "true")
    try:
        rows = (
            listed.option("pathGlobFilter", "*.parquet").load(_plain(address.path)).select("path").collect()
        )
    except Exception as error:
        if "PATH_NOT_FOUND" in str(error):
            raise Invalid(
                "no-such-source",
                f"There is no folder {address.path!r} at {address.where}",
                remedy="The path is the cluster's: each of its machines must see it.",
            ) from None
        raise
    top = urlsplit(address.path).path.rstrip("/")
    first = {unquote(urlsplit(row.path).path).removeprefix(top).lstrip("/").split("/")[0] for row in rows}

    def reader(entry: str) -> Callable[[], Any]:
        return lambda: session.read.parquet(_plain(f"{address.path}/{entry}"))

    return {entry.removesuffix(".parquet"): reader(entry) for entry in sorted(first) if entry}


def _plain(path: str) -> str:
    """A path in which no sign stands for others."""
    return re.sub(r"([\[\]{}*?\\])", r"\\\1", path)


def _unreachable(error: Exception, address: SparkAddress) -> SalernoError:
    text = str(error)
    if "UNAUTHENTICATED" in text or "PERMISSION_DENIED" in text:
        return Unavailable(
            "database-log-in",
            f"The Spark server at {address.where} does not accept the account or token",
            remedy="Look at the token in the address.",
        )
    if "JAVA_GATEWAY_EXITED" in text or "Java gateway" in text:
        return Unavailable(
            "no-java",
            "A driver for Spark needs Java on this machine",
            remedy="Install Java 17, or use a Spark Connect server (sc://…), which needs none here.",
        )
    return Unavailable(
        "database-down",
        f"No Spark cluster answers at {address.where}",
        remedy="Look at host and port, and whether the server runs.",
    )
