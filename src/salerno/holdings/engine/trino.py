"""A schema that a Trino cluster reads as source. Trino has no temporary tables: queries carry their views."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import ibis
import ibis.expr.operations as ops
import pyarrow as pa
import sqlglot as sg
import sqlglot.expressions as sge

from salerno.holdings.engine.source import EngineLimits, Source, as_schema
from salerno.kernel.errors import Invalid, SalernoError, Unavailable, near

_REMEDY = "Give trino://user@host:8080/catalog/schema; with a password or ?ssl=true it is reached by HTTPS."
_PARAMETERS = ("ssl", "ca", "token")


class TrinoSource(Source):
    """A schema behind a Trino cluster.

    What other engines keep as temporary tables and views is here part of each query, as its WITH clause: the
    rows of a frame are computed anew in each round, and nothing is ever written to the cluster.
    """

    def __init__(self, backend: Any, names: dict[str, Callable[[], ibis.Table]]) -> None:
        super().__init__(backend, names, backend.con.close)
        self._named: dict[str, str] = {}

    def keep(self, name: str, expression: ibis.Table) -> ibis.Table:
        """The expression under a name."""
        sql = self.render(expression, carried=False)  # adds what it reads itself to the names
        self._named[name] = sql
        return ops.DatabaseTable(name, schema=expression.schema(), source=self.backend).to_expr()

    def drop(self, name: str) -> None:
        """Nothing is kept but the expression, which others may name."""

    def show(self, name: str, expression: ibis.Table) -> ibis.Table:
        """The expression under a name: its columns and no others can be named through it."""
        return self.keep(name, expression)

    def render(self, expression: ibis.Table, *, carried: bool = True) -> str:
        """A query as SQL.

        Args:
            expression: What is asked for.
            carried: Whether the named expressions go with it.
        """
        for table in expression.op().find(ops.InMemoryTable):
            self._named.setdefault(table.name, _values(table, self.backend.compiler))
        sql: str = self.backend.compile(expression)
        if not self._named or not carried:
            return sql
        used, text = dict[str, str](), sql
        for name, part in reversed(self._named.items()):  # each names none but those before it
            if _quoted(name) in text:
                used[name], text = part, text + part
        if not used:
            return sql
        named = ", ".join(f"{_quoted(name)} AS ({part})" for name, part in reversed(used.items()))
        return f"WITH {named} SELECT * FROM ({sql}) AS answer"  # noqa: S608 (rendered from expressions)

    def _fetch(self, expression: ibis.Table) -> pa.Table:
        with closing(self.backend.con.cursor()) as cursor:
            rows = cursor.execute(self.render(expression)).fetchall()
        return as_schema(rows, expression.schema().to_pyarrow())

    def batches(self, expression: ibis.Table, *, rows: int) -> Iterator[pa.RecordBatch]:
        """The expression's rows, so many at a time."""
        schema = expression.schema().to_pyarrow()
        with closing(self.backend.con.cursor()) as cursor:
            self.compute(lambda: cursor.execute(self.render(expression)))
            while found := self.compute(lambda: cursor.fetchmany(rows)):
                yield from as_schema(found, schema).to_batches()


def open_trino(url: str, limits: EngineLimits, *, lower: bool) -> Source:
    """Open a schema that a Trino cluster reads.

    Args:
        url: ``trino://user:password@host:port/catalog/schema``, with ``ssl=true`` for HTTPS without password,
            ``ca`` for a file with the authority's certificate, ``token`` for a JSON web token.
        limits: How long to wait; memory and threads are the cluster's.
        lower: Whether names of tables become lower-case; Trino's are.

    Raises:
        Invalid: The address cannot be read, or the schema holds no table.
        Unavailable: No server answers, or it does not accept the account; the password is never told.
    """
    try:
        import trino
    except ImportError:
        raise Unavailable(
            "no-trino-client",
            "This node has no client for Trino",
            remedy="Install it with: pip install 'salerno[trino]'",
        ) from None
    parts = urlsplit(url)
    parameters = dict(parse_qsl(parts.query))
    for name in parameters:
        if name not in _PARAMETERS:
            raise Invalid(
                "source-parameter", f"{name!r} is no part of a Trino address", remedy=near(name, _PARAMETERS)
            )
    catalog, _, schema = unquote(parts.path).strip("/").partition("/")
    if not (parts.hostname and catalog and schema) or "/" in schema:
        raise Invalid("source-parameter", "The Trino address names no catalog and schema", remedy=_REMEDY)
    secured = bool(parts.password or "token" in parameters or parameters.get("ssl") == "true")
    port = parts.port or (443 if secured else 8080)
    connection = trino.dbapi.connect(  # type: ignore[no-untyped-call]
        host=parts.hostname,
        port=port,
        user=unquote(parts.username or "salerno"),
        auth=_authentication(parts, parameters),
        http_scheme="https" if secured else "http",
        verify=parameters.get("ca", True),
        catalog=catalog,
        schema=schema,
        source="salerno",
        timezone="UTC",
        request_timeout=limits.connect_seconds,
        max_attempts=2,
    )
    backend = ibis.trino.from_connection(connection)
    where = f"{parts.hostname}:{port}"
    try:
        names = _tables(connection, catalog, schema, where)
    except BaseException as error:
        connection.close()
        if isinstance(error, SalernoError) or not isinstance(error, Exception):
            raise
        raise _trino_error(error, where) from None

    def opener(name: str) -> Callable[[], ibis.Table]:
        return lambda: backend.table(name, database=(catalog, schema))

    return TrinoSource(backend, {(name.lower() if lower else name): opener(name) for name in names})


def _authentication(parts: SplitResult, parameters: dict[str, str]) -> Any:
    from trino.auth import BasicAuthentication, JWTAuthentication

    if "token" in parameters:
        return JWTAuthentication(parameters["token"])
    if parts.password:
        return BasicAuthentication(unquote(parts.username or ""), unquote(parts.password))
    return None


def _tables(connection: Any, catalog: str, schema: str, where: str) -> list[str]:
    """Names of the schema's tables.

    Raises:
        Invalid: There are none, or no such catalog or schema; the nearest name is told.
    """

    def first_column(statement: str) -> list[str]:
        with closing(connection.cursor()) as cursor:
            return [row[0] for row in cursor.execute(statement).fetchall()]

    catalogs = first_column("SHOW CATALOGS")
    if catalog not in catalogs:
        raise Invalid("no-tables", f"{where} has no catalog {catalog!r}", remedy=near(catalog, catalogs))
    schemas = first_column(f"SHOW SCHEMAS FROM {_quoted(catalog)}")
    if schema not in schemas:
        raise Invalid(
            "no-tables",
            f"Catalog {catalog!r} at {where} has no schema {schema!r}",
            remedy=near(schema, [name for name in schemas if name != "information_schema"]),
        )
    tables = first_column(f"SHOW TABLES FROM {_quoted(catalog)}.{_quoted(schema)}")
    if not tables:
        raise Invalid(
            "no-tables",
            f"Schema {schema!r} of {catalog!r} at {where} holds no table that this account may see",
            remedy=_REMEDY,
        )
    return tables


def _values(table: ops.InMemoryTable, compiler: Any) -> str:
    """A table in memory as VALUES; Ibis itself would write it to the cluster."""
    schema = table.schema
    columns = [sg.to_identifier(name, quoted=True) for name in schema.names]
    rows = zip(*table.data.to_pyarrow(schema).to_pydict().values(), strict=True)
    listed = sge.Values(
        expressions=[sge.Tuple(expressions=[sge.convert(value) for value in row]) for row in rows],
        alias=sge.TableAlias(this=sg.to_identifier("listed"), columns=columns),
    )
    typed = [
        compiler.cast(sg.column(name, quoted=True), kind).as_(name, quoted=True)
        for name, kind in schema.items()
    ]
    return str(sg.select(*typed).from_(listed).sql(dialect="trino"))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _trino_error(error: Exception, where: str) -> SalernoError:
    if re.search(r"\b40[13]\b", str(error)) or getattr(error, "error_name", "") == "PERMISSION_DENIED":
        return Unavailable(
            "database-log-in",
            f"The Trino server at {where} does not accept the account, password or token",
            remedy="Look at user and password in the address.",
        )
    return Unavailable(
        "database-down",
        f"No Trino server answers at {where}",
        remedy="Look at host and port, whether the server runs, and whether it speaks HTTPS (?ssl=true).",
    )
