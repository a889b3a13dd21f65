"""OHDSI Circe cohort definitions: from their JSON to checked SQL statements, and the columns that these read.

The SQL is duckcdm's, which equals that of OHDSI's Java library. A definition comes from outside, so it is not
trusted: its texts may hold letters, digits and a few marks only, and what the SQL does is read back from the
SQL itself, where every statement, table and function must be one of a few.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import sqlglot
from duckcdm.circe import CirceError, build_cohort_query
from duckcdm.sqlrender import JavaError, render, split_sql, translate
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.pushdown_projections import pushdown_projections
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import traverse_scope

from salerno.kernel.errors import Invalid, near
from salerno.standards.omop import FIELDS, VOCABULARY, is_identifier

PREFIX: Final = "cdm_"
"""What the names of the tables begin with that the statements read."""

CODE_SETS: Final = "codesets"
"""The table of the concept sets, which queries name: ``codeset_id``, ``concept_id``."""

ROWS: Final = "circe_rows"
"""The last table that is made: ``subject_id``, ``cohort_start_date``, ``cohort_end_date``."""

_SESSION: Final = "salerno0"
"""What SqlRender puts before the names of tables where an engine has no temporary ones."""

DIALECTS: Final = {
    "duckdb": ("duckdb", "duckdb"),
    "postgresql": ("postgresql", "postgres"),
    "spark": ("spark", "spark"),
    "trino": ("spark", "spark"),  # duckcdm has none for Trino: SQLGlot makes it of Spark's
}
"""SqlRender's and SQLGlot's names of the SQL that a dialect's tables are read from."""

SPECIFICATION: Final = "https://github.com/OHDSI/circe-be"

MAX_BYTES: Final = 2_000_000
MAX_DEPTH: Final = 60
MAX_RULES: Final = 60
"""Circe counts the rules that an event meets in the bits of a 64-bit number."""

_COMMENTS = frozenset(
    """name description Title title tags cdmVersionRange createdBy modifiedBy createdDate modifiedDate
    CONCEPT_NAME CONCEPT_CODE CONCEPT_CLASS_ID CONCEPT_CLASS_ID_CAPTION DOMAIN_ID VOCABULARY_ID
    INVALID_REASON INVALID_REASON_CAPTION STANDARD_CONCEPT STANDARD_CONCEPT_CAPTION VALID_START_DATE
    VALID_END_DATE""".split()  # noqa: SIM905
)
"""Members that are for people and reach no SQL."""

_TEXT = re.compile(r"[\w .,+/%-]{0,200}")
"""Texts that reach the SQL: neither quotes nor anything that an SQL template or a dialect could take for
more."""

_FUNCTIONS: Final = frozenset(
    """And Or Not Xor Case If Exists Cast Coalesce Nullif Greatest Least Count Distinct Max Min Sum Avg Pow
    Floor Ceil Round Abs Length Concat DPipe RowNumber Rank DenseRank Lag Lead TsOrDsAdd DateAdd DateSub
    TimestampAdd TryCast TsOrDsToDate
    DateDiff DateFromParts MakeInterval Interval Extract Year Month Day CurrentDate StrToDate StrToTime
    TimeToStr ToDays TO_DAYS MAKE_DATE GETDATE""".split()  # noqa: SIM905
)
"""Functions that cohort definitions are made of, as SQLGlot calls them or, for the last, the engine."""


@dataclass(frozen=True, slots=True)
class CirceScript:
    """A cohort definition as queries of one dialect, each to be kept as a table, in this order.

    Args:
        code_sets: Query of `CODE_SETS`, in DuckDB's words whatever the dialect; the only one that reads the
            vocabulary, and of it nothing but the concepts that it names, those below them, and what is mapped
            to either.
        concepts: The concepts that it names.
        tables: Name, in lower case, and query of each other table; queries name tables of the CDM by `PREFIX`
            and their name, `CODE_SETS`, and tables before them. The last one is `ROWS`.
        columns: Columns by CDM table that are read, identifiers that link rows among them.
        rules: Names of the inclusion rules.
    """

    code_sets: str
    concepts: frozenset[int]
    tables: tuple[tuple[str, str], ...]
    columns: Mapping[str, frozenset[str]]
    rules: tuple[str, ...]

    @property
    def permitted(self) -> dict[str, set[str]]:
        """Columns by table that a permit must name; those that only link rows are left out."""
        told = {t: {c for c in columns if not is_identifier(c)} for t, columns in self.columns.items()}
        return {table: columns for table, columns in told.items() if table not in VOCABULARY}


def circe_script(definition: Mapping[str, Any], dialect: str) -> CirceScript:
    """The queries of a cohort definition.

    Args:
        definition: Circe's JSON.
        dialect: One of `DIALECTS`.

    Raises:
        Invalid: It is no cohort definition, or goes beyond what is safe; what is wrong is told.
    """
    try:
        text = json.dumps(definition, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise _invalid("It is no JSON object") from None
    return _script(text, dialect)


@lru_cache(maxsize=256)
def _script(text: str, dialect: str) -> CirceScript:
    definition = json.loads(text)
    _check_shape(definition, text)
    try:
        sql = build_cohort_query(definition, cohort_id=1, target_table=ROWS, generate_stats=False)
    except (CirceError, AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        # The library's words can quote the definition, which is the asker's own.
        raise _invalid(str(error)[:200] or type(error).__name__) from None
    for schema in ("@cdm_database_schema.", "@vocabulary_database_schema."):
        sql = sql.replace(schema, PREFIX)
    rendered, read_as = DIALECTS[dialect]
    try:
        translated = translate(render(sql), rendered, session_id=_SESSION)
    except JavaError as error:
        raise _invalid(str(error)[:200]) from None
    read = _Reading(read_as)
    for statement in split_sql(translated):
        if _words(statement):
            read.take(statement)
    # What runs is what was read, not the text that it was read from.
    code_sets = read.made.pop(CODE_SETS)
    concepts = frozenset(int(part.name) for part in code_sets.find_all(exp.Literal) if part.is_int)
    tables = tuple(
        (name, query.sql(dialect="postgres" if dialect == "postgresql" else dialect))
        for name, query in read.made.items()
    )
    rules = tuple(str(rule.get("name") or f"rule {n}") for n, rule in enumerate(_rules(definition), 1))
    columns = {table: frozenset(found) for table, found in read.columns.items()}
    return CirceScript(code_sets.sql(dialect="duckdb"), concepts, tables, columns, rules)


def _rules(definition: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return definition.get("InclusionRules") or []


def _check_shape(definition: object, text: str) -> None:
    if not isinstance(definition, dict) or "PrimaryCriteria" not in definition:
        known = near("PrimaryCriteria", definition) if isinstance(definition, dict) else ""
        raise _invalid(f"It has no 'PrimaryCriteria'. {known}".strip())
    if len(text) > MAX_BYTES:
        raise _invalid(f"It is longer than {MAX_BYTES} bytes")
    rules: Any = definition.get("InclusionRules") or []
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise _invalid("'InclusionRules' is no list of rules")
    if len(rules) > MAX_RULES:
        raise _invalid(f"It has more than {MAX_RULES} inclusion rules")
    for path, value in _texts(definition, "", 0):
        if not _TEXT.fullmatch(value) or "--" in value or "/*" in value:
            raise _invalid(
                f"The text at {path} has other characters than letters, digits, blanks and . , + - / %"
            )


def _texts(value: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
    """Every text that could reach the SQL, with its place."""
    if depth > MAX_DEPTH:
        raise _invalid(f"It is nested more than {MAX_DEPTH} deep")
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key not in _COMMENTS or isinstance(inner, dict | list):
                yield from _texts(inner, f"{path}/{key}", depth + 1)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _texts(inner, f"{path}/{number}", depth + 1)


class _Reading:
    """Reads statements back: what they do must be known, and which columns they read is noted.

    What is made of them are tables, each with its query: there is nothing else that a definition does.
    """

    def __init__(self, dialect: str) -> None:
        self._dialect = dialect
        self._schema: dict[str, dict[str, str]] = {
            PREFIX + table: dict.fromkeys(fields, "text") for table, fields in FIELDS.items()
        }
        self._schema[ROWS] = dict.fromkeys(
            ("cohort_definition_id", "subject_id", "cohort_start_date", "cohort_end_date"), "text"
        )
        self._empty: set[str] = set()
        self.made: dict[str, exp.Query] = {}
        self.columns: dict[str, set[str]] = {}

    def take(self, sql: str) -> None:
        """Note what a statement makes; those that only clean up make nothing.

        Raises:
            Invalid: It does what no cohort definition needs.
        """
        try:
            parsed = sqlglot.parse(sql, dialect=self._dialect)
        except SqlglotError:
            raise _invalid("Its SQL cannot be read back") from None
        if len(parsed) != 1 or parsed[0] is None:
            raise _invalid("Its SQL has a statement within a statement")
        statement = parsed[0]
        if isinstance(statement, exp.Delete | exp.Drop | exp.TruncateTable | exp.Analyze):
            return
        for table in statement.find_all(exp.Table):
            if table.name.startswith(_SESSION):
                table.set("this", exp.to_identifier(table.name.removeprefix(_SESSION)))
        if isinstance(statement, exp.Create) and statement.args.get("kind") in ("TABLE", "VIEW"):
            self._create(statement)
        elif isinstance(statement, exp.Insert):
            self._insert(statement)
        else:
            raise _invalid(f"Its SQL has a statement of the kind {type(statement).__name__}")

    def _create(self, statement: exp.Create) -> None:
        self._check(statement)
        name = statement.this.find(exp.Table).name.lower()
        if name.startswith(PREFIX) or name == ROWS or name in self.made:
            raise _invalid(f"Its SQL makes a table {name!r}")
        query = statement.expression
        if isinstance(statement.this, exp.Schema):
            query = _no_rows(statement.this.expressions)
        if not query.args.get("from_") and isinstance(query, exp.Select):
            self._empty.add(name)
        self._schema[name] = dict.fromkeys(self._note(query), "text")
        self.made[name] = query

    def _insert(self, statement: exp.Insert) -> None:
        self._check(statement)
        table = statement.find(exp.Table)
        name = table.name.lower() if table is not None else ""
        if name not in self._empty | ({ROWS} - self.made.keys()):
            raise _invalid(f"Its SQL writes to the table {name!r}")
        self._note(statement.expression)
        self._empty.discard(name)
        # To the end: what it reads may have been made since.
        self.made.pop(name, None)
        self.made[name] = _with_names(statement.expression, list(self._schema[name]))

    def _check(self, statement: exp.Expression) -> None:
        named_within = {part.alias.lower() for part in statement.find_all(exp.CTE)}
        for table in statement.find_all(exp.Table):
            name = table.name.lower()
            inside = isinstance(statement, exp.Create) and table is statement.this.find(exp.Table)
            if table.args.get("db") or not isinstance(table.this, exp.Identifier):
                raise _invalid("Its SQL reads something else than a table")
            if name not in self._schema and name not in named_within and not inside:
                known = [t.removeprefix(PREFIX) for t in self._schema if t.startswith(PREFIX)]
                raise _invalid(
                    f"It reads the table {name.removeprefix(PREFIX)!r}, which is not supported. "
                    f"{near(name.removeprefix(PREFIX), known)}".strip()
                )
        for function in statement.find_all(exp.Func):
            kind = type(function).__name__
            named = function.name.upper() if isinstance(function, exp.Anonymous) else kind
            if named not in _FUNCTIONS:
                raise _invalid(f"Its SQL calls the function {named!r}")

    def _note(self, query: exp.Expression) -> list[str]:
        """Names of the columns that a query gives; those that it reads are noted."""
        try:
            full: Any = qualify(
                query.copy(),
                schema=dict(self._schema),
                dialect=self._dialect,
                quote_identifiers=False,
                validate_qualify_columns=False,
            )
            given = [str(name).lower() for name in full.named_selects]
            used = pushdown_projections(full)
        except SqlglotError as error:
            raise _invalid(f"Its SQL cannot be read back: {str(error)[:100]}") from None
        for scope in traverse_scope(used):
            for column in scope.columns:
                source = scope.sources.get(column.table)
                if isinstance(source, exp.Table) and source.name.lower().startswith(PREFIX):
                    table = source.name.lower().removeprefix(PREFIX)
                    if column.name.lower() in FIELDS[table]:
                        self.columns.setdefault(table, set()).add(column.name.lower())
                elif source is None and column.table not in scope.sources and scope.parent is None:
                    raise _invalid(f"Its SQL reads a column {column.name!r} of no table")
        return given


def _no_rows(columns: list[exp.ColumnDef]) -> exp.Select:
    """A query that gives columns of some types and no row."""
    typed = [exp.Cast(this=exp.null(), to=column.kind).as_(column.name) for column in columns]
    return exp.select(*typed).where("1 = 0")


def _with_names(query: exp.Query, names: list[str]) -> exp.Query:
    """The query with these names for its columns."""
    first: exp.Query = query
    while isinstance(first, exp.SetOperation):
        first = first.left
    columns = [exp.alias_(column.unalias(), name) for column, name in zip(first.selects, names, strict=True)]
    first.set("expressions", columns)
    return query


def _words(sql: str) -> bool:
    """Whether anything is left of a statement without its comments."""
    return bool(re.sub(r"--[^\n]*|/\*.*?\*/|\s|;", "", sql, flags=re.DOTALL))


def _invalid(what: str) -> Invalid:
    return Invalid("circe", f"The Circe cohort definition cannot be used: {what}", rule=SPECIFICATION)
