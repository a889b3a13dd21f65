"""A PostgreSQL schema as source."""

from __future__ import annotations

import io
from collections.abc import Callable
from inspect import Parameter, Signature
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import ibis
import ibis.expr.types as ir
import pyarrow as pa
from pyarrow import csv

from salerno.holdings.engine.source import EngineLimits, Source, as_schema, quoted
from salerno.kernel.errors import Invalid, SalernoError, Unavailable, near


def _function(name: str, takes: tuple[str, ...], gives: str) -> Callable[..., Any]:
    """A function of PostgreSQL's own that Ibis has no word for."""

    def called(*arguments: Any) -> Any: ...

    called.__signature__ = Signature(  # type: ignore[attr-defined]
        [Parameter(f"x{number}", Parameter.POSITIONAL_ONLY) for number in range(len(takes))]
    )
    made: Callable[..., Any] = ibis.udf.scalar.builtin(called, name=name, signature=(takes, gives))
    return made


_CONVERT_TO = _function("convert_to", ("string", "string"), "binary")
_SHA256 = _function("sha256", ("binary",), "binary")
_HEXADECIMAL = _function("encode", ("binary", "string"), "string")


class PostgresSource(Source):
    """A schema on a PostgreSQL server."""

    estimates_distinct = False
    can_try_cast = False

    def make(self, name: str, query: str) -> ibis.Table:
        """As `keep`, for a query in the engine's own words; the planner learns how many rows it gave."""
        made = super().make(name, query)
        self.run(f"ANALYZE {quoted(name)}")
        return made

    def load(self, name: str, rows: pa.Table) -> ibis.Table:
        """As `Source.load`, by COPY: to insert row by row takes a hundred times as long."""
        sink = io.BytesIO()
        csv.write_csv(rows, sink, csv.WriteOptions(include_header=False))
        kinds = zip(rows.column_names, ibis.Schema.from_pyarrow(rows.schema).types, strict=True)
        columns = ", ".join(f"{quoted(n)} {self.backend.compiler.type_mapper.to_string(k)}" for n, k in kinds)

        def copy() -> None:
            with self.backend.con.cursor() as cursor:
                cursor.execute(f"CREATE TEMPORARY TABLE {quoted(name)} ({columns})")
                with cursor.copy(f"COPY {quoted(name)} FROM STDIN (FORMAT csv)") as into:
                    into.write(sink.getbuffer())
                cursor.execute(f"ANALYZE {quoted(name)}")

        self.compute(copy)
        return self.temporary(name)

    def sha256(self, text: ir.StringValue) -> ir.StringValue:
        """SHA-256 of a text in UTF-8, hexadecimal."""
        hashed: ir.StringValue = _HEXADECIMAL(_SHA256(_CONVERT_TO(text, "UTF8")), "hex")
        return hashed

    def _fetch(self, expression: ibis.Table) -> pa.Table:
        """PostgreSQL answers means and sums as decimals; Ibis' own way to Arrow stumbles over them."""
        self.backend._run_pre_execute_hooks(expression)
        with self.backend.con.cursor() as cursor:
            rows = cursor.execute(self.backend.compile(expression)).fetchall()
        return as_schema(rows, expression.schema().to_pyarrow())


def open_postgres(url: str, limits: EngineLimits, *, lower: bool) -> Source:
    """Open a schema of a PostgreSQL database.

    Args:
        url: Any address that PostgreSQL's own clients take, with a parameter ``schema`` of ours.
        limits: How long to wait.
        lower: Whether names of tables become lower-case.

    Raises:
        Invalid: The schema holds no table.
        Unavailable: No server, account or database; the password is never told.
    """
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
        # All joins of a frame are on equal keys. The planner knows no sizes of what it computes on the way,
        # and its guess of a nested loop can turn seconds into hours.
        connection.execute("SET enable_nestloop = off")
        connection.execute("SET jit = off")
        connection.execute(f"SET work_mem = '{max(limits.memory_mb // 8, 4)}MB'")
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

    return PostgresSource(backend, {(name.lower() if lower else name): opener(name) for (name,) in rows})


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
