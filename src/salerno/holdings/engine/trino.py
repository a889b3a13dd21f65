"""A schema that a Trino cluster reads as source.

Trino has no temporary tables: the node makes its own, where it may, or else queries carry what they need.
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
import pyarrow as pa
import sqlglot as sg
import sqlglot.expressions as sge

from salerno.holdings.engine.scratch import Scratch
from salerno.holdings.engine.source import EngineLimits, Source, as_schema, quoted
from salerno.kernel.errors import Invalid, SalernoError, Unavailable, near

_REMEDY = "Give trino://user@host:8080/catalog/schema; with a password or ?ssl=true it is reached by HTTPS."
_PARAMETERS = ("ssl", "ca", "token", "keep")
_KEEP = "Have the holder name a schema where this node may make tables: ?keep=catalog.schema in the address."
_TOO_LONG = {
    "QUERY_TEXT_TOO_LARGE",
    "QUERY_HAS_TOO_MANY_STAGES",
    "COMPILER_ERROR",
    "GENERATED_BYTECODE_TOO_LARGE",
    "STACK_OVERFLOW",
    "EXCEEDED_TIME_LIMIT",
}
_ROWS_AT_ONCE = 10_000


class TrinoSource(Source):
    """A schema behind a Trino cluster.

    What other engines keep as temporary tables is a table of the node's own where the address names a schema
    for them. Where it does not, nothing is ever written to the cluster: each query then carries what it needs
    as its WITH clause, and the rows of a frame are computed anew in each round. Views are always carried.

    Args:
        backend: Ibis backend with a connection of its own.
        names: What to call to get each table.
        scratch: Where tables may be made.
    """

    repeats_queries = True

    def __init__(
        self, backend: Any, names: dict[str, Callable[[], ibis.Table]], scratch: Scratch | None
    ) -> None:
        super().__init__(backend, names, backend.con.close)
        self._named: dict[str, str] = {}
        self._schemas: dict[str, ibis.Schema] = {}
        self._kept: dict[str, str] = {}
        self._scratch = scratch

    def keep(self, name: str, expression: ibis.Table) -> ibis.Table:
        """The expression's rows under a name, or the expression itself where no table can be made."""
        if self._scratch is None:
            return self.show(name, expression)
        # Iceberg has no smaller whole numbers than 32 bits.
        schema = expression.schema()
        small = {column: "int32" for column, kind in schema.items() if kind.is_integer() and kind.nbytes < 4}
        self._make(name, self.render(expression.cast(small) if small else expression))
        return self._table(name, expression.cast(small).schema() if small else schema).cast(
            {column: schema[column] for column in small}
        )

    def sha256(self, text: ir.StringValue) -> None:
        """None: rows get into Trino as text of queries, too slowly for a long list."""

    def show(self, name: str, expression: ibis.Table) -> ibis.Table:
        """The expression under a name: its columns and no others can be named through it."""
        sql = self._compiled(expression)  # adds what it reads itself to the names
        self._name(name, sql)
        return self._table(name, expression.schema())

    def make(self, name: str, query: str) -> ibis.Table:
        """As `keep`, for a query in Trino's own words."""
        self._make(name, self._carrying(query))
        schema = self.compute(lambda: self.backend._get_schema_using_query(self._named[name]))
        return self._table(name, schema)

    def _make(self, name: str, query: str) -> None:
        scratch = self._scratch
        if scratch is None:
            raise Unavailable(
                "trino-keep",
                "This question needs tables of its own, and the Trino address names no schema for them",
                remedy=_KEEP,
            )
        self._kept[name] = self.compute(lambda: scratch.make(query))
        self._name(name, f"SELECT * FROM {self._kept[name]}")  # noqa: S608 (quoted)

    def _name(self, name: str, query: str) -> None:
        self._named.pop(name, None)  # to the end: it may read what has been named since
        self._named[name] = query

    def drop(self, name: str) -> None:
        """Free a name and its table; without one the expression stays, as others may name it."""
        if self._scratch is not None and name in self._kept:
            del self._named[name]
            self._scratch.drop(self._kept.pop(name))

    def _table(self, name: str, schema: ibis.Schema) -> ibis.Table:
        self._schemas[name] = schema
        return self.temporary(name)

    def temporary(self, name: str) -> ibis.Table:
        """A table or view that has been made."""
        return ops.DatabaseTable(name, schema=self._schemas[name], source=self.backend).to_expr()

    def render(self, expression: ibis.Table) -> str:
        """A query as SQL, with the named expressions that it reads."""
        return self._carrying(self._compiled(expression))

    def text_of(self, expression: ibis.Table) -> str:
        """The expression in the engine's own words: the same text, the same rows."""
        return self.render(expression)

    def _compiled(self, expression: ibis.Table) -> str:
        for table in expression.op().find(ops.InMemoryTable):
            if table.name not in self._named:
                self._write(table)
        query = _unnested(self.backend.compiler.to_sqlglot(expression))
        return str(query.sql(dialect="trino"))

    def _write(self, table: ops.InMemoryTable) -> None:
        """Name a table in memory: by its rows, or as a table where there can be one."""
        parts = _values(table, self.backend.compiler)
        if self._scratch is None or len(parts) == 1:
            self._named[table.name] = " UNION ALL ".join(parts)
            return
        self._make(table.name, parts[0])
        for part in parts[1:]:
            self.compute(functools.partial(self._scratch.add, self._kept[table.name], part))

    def _carrying(self, query: str) -> str:
        """A query with the names that it reads as its WITH clause."""
        text, carried = query.lower(), []
        for name, part in reversed(self._named.items()):
            # What a name is part of may be another one's: to carry too much does no harm.
            if name.lower() in text:
                carried.append(f"{quoted(name)} AS ({part})")
                text += part.lower()
        if not carried:
            return query
        return f"WITH {', '.join(reversed(carried))} SELECT * FROM ({query}) AS answer"  # noqa: S608

    def compute(self, act: Callable[[], Any]) -> Any:
        """Do something on the cluster; see `Source.compute`.

        Raises:
            Unavailable: In addition, that the query is too long, and how it can be made shorter.
        """

        def told() -> Any:
            try:
                return act()
            except Exception as error:
                if self._scratch is None and getattr(error, "error_name", "") in _TOO_LONG:
                    raise Unavailable(
                        "query-too-long",
                        "Trino refuses the query, which carries each step of its frame with it",
                        remedy=_KEEP,
                    ) from None
                raise

        return super().compute(told)

    def close(self) -> None:
        """Drop the tables that were made, and end the connection."""
        if self._scratch is not None:
            self._scratch.close()
        super().close()

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
            ``ca`` for a file with the authority's certificate, ``token`` for a JSON web token, ``keep`` for a
            ``catalog.schema`` where tables may be made.
        limits: How long to wait; memory and threads are the cluster's.
        lower: Whether names of tables become lower-case; Trino's are.

    Raises:
        Invalid: The address cannot be read, or the schema holds no table, or there is none to keep tables in.
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
    keep = parameters.get("keep", "").split(".") if "keep" in parameters else []
    if keep and (len(keep) != 2 or not all(keep) or keep == [catalog, schema]):
        raise Invalid(
            "source-parameter",
            "The schema to keep tables in is named as catalog.schema, and is not that of the data",
            remedy=_REMEDY,
        )
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
        scratch = _scratch(connection, keep[0], keep[1], where) if keep else None
    except BaseException as error:
        connection.close()
        if isinstance(error, SalernoError) or not isinstance(error, Exception):
            raise
        raise _trino_error(error, where) from None

    def opener(name: str) -> Callable[[], ibis.Table]:
        return lambda: backend.table(name, database=(catalog, schema))

    return TrinoSource(backend, {(name.lower() if lower else name): opener(name) for name in names}, scratch)


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
    _check_schema(connection, catalog, schema, where)
    tables = [
        str(row[0]) for row in _rows(connection, f"SHOW TABLES FROM {quoted(catalog)}.{quoted(schema)}")
    ]
    if not tables:
        raise Invalid(
            "no-tables",
            f"Schema {schema!r} of {catalog!r} at {where} holds no table that this account may see",
            remedy=_REMEDY,
        )
    return tables


def _scratch(connection: Any, catalog: str, schema: str, where: str) -> Scratch:
    """Where tables may be made, without those that nobody needs any more."""
    _check_schema(connection, catalog, schema, where)
    scratch = Scratch(lambda statement: _rows(connection, statement), catalog, schema)
    scratch.sweep()
    return scratch


def _check_schema(connection: Any, catalog: str, schema: str, where: str) -> None:
    catalogs = [str(row[0]) for row in _rows(connection, "SHOW CATALOGS")]
    if catalog not in catalogs:
        raise Invalid("no-tables", f"{where} has no catalog {catalog!r}", remedy=near(catalog, catalogs))
    schemas = [str(row[0]) for row in _rows(connection, f"SHOW SCHEMAS FROM {quoted(catalog)}")]
    if schema not in schemas:
        raise Invalid(
            "no-tables",
            f"Catalog {catalog!r} at {where} has no schema {schema!r}",
            remedy=near(schema, [name for name in schemas if name != "information_schema"]),
        )


def _rows(connection: Any, statement: str) -> Sequence[Sequence[object]]:
    with closing(connection.cursor()) as cursor:
        rows: Sequence[Sequence[object]] = cursor.execute(statement).fetchall()
    return rows


def _unnested(query: sge.Expression) -> sge.Expression:
    """Arrays that become rows as a join with UNNEST; SQLGlot itself would write out each array five times."""
    for select in list(query.find_all(sge.Select)):
        found = [part for part in select.expressions if isinstance(part.unalias(), sge.Explode)]
        if len(found) == 1:
            name, rows = found[0].alias, sg.to_identifier("unnested", quoted=True)
            array = found[0].unalias().this
            found[0].replace(sg.column(name, table=rows, quoted=True).as_(name, quoted=True))
            columns = [sg.to_identifier(name, quoted=True)]
            unnest = sge.Unnest(expressions=[array], alias=sge.TableAlias(this=rows, columns=columns))
            select.join(unnest, join_type="cross", copy=False)
    return query


def _values(table: ops.InMemoryTable, compiler: Any) -> list[str]:
    """A table in memory as queries of some rows each; Ibis itself would write it to the cluster.

    The rows are one text, as Trino takes its time to read thousands of values each by itself.
    """
    cells = ", ".join(
        f"CAST(cell[{number}] AS {compiler.type_mapper.to_string(kind)}) AS {quoted(name)}"
        for number, (name, kind) in enumerate(table.schema.items(), 1)
    )
    rows = list(zip(*table.data.to_pyarrow(table.schema).to_pydict().values(), strict=True))
    queries = []
    for start in range(0, max(len(rows), 1), _ROWS_AT_ONCE):
        listed = json.dumps([[_text(value) for value in row] for row in rows[start : start + _ROWS_AT_ONCE]])
        array = f"CAST(json_parse('{listed.replace(chr(39), 2 * chr(39))}') AS array(array(varchar)))"
        queries.append(f"SELECT {cells} FROM UNNEST({array}) AS listed(cell)")  # noqa: S608 (quoted)
    return queries


def _text(value: object) -> str | None:
    """A value as Trino reads it from a text."""
    if isinstance(value, float) and not math.isfinite(value):
        return {"inf": "Infinity", "-inf": "-Infinity"}.get(repr(value), "NaN")
    return None if value is None else str(value)


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
