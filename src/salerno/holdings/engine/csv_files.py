"""CSV files as DuckDB reads them: one fixed dialect per file, all rows looked at, errors without data."""

from __future__ import annotations

import csv
import gzip
import hashlib
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb

from salerno.kernel.errors import Invalid, SalernoError, Unavailable

NULLS = ("", "NA")
"""Texts that stand for a missing value: the empty field and R's NA."""

_DELIMITERS = (",", ";", "\t", "|")
_LINE_LIMIT = 1 << 20
_LINE = re.compile(r"CSV Error on Line: (\d+)")
_COUNTS = re.compile(r"Expected Number of Columns: (\d+) Found: (\d+)")
_COLUMN = re.compile(r'converting column "([^"]+)"')
_TYPE = re.compile(r"to (?:type )?'?([A-Z]+)'?")
_PLAIN_TYPES = {
    "BIGINT": "a whole number",
    "DOUBLE": "a number",
    "DATE": "a date",
    "TIMESTAMP": "a date and time",
}


def quote_text(text: str) -> str:
    """A text as SQL literal.

    >>> quote_text("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"


def quote_path(path: Path) -> str:
    """A path as SQL literal that DuckDB takes as it is, not as a pattern."""
    return quote_text(re.sub(r"([\[*?])", r"[\1]", str(path)))


def read_csv_sql(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    types: Mapping[str, str] | None = None,
    *,
    plain_quotes: bool = False,
) -> str:
    """The SELECT that reads one CSV file.

    Delimiter and columns come from the header, so that DuckDB never guesses a dialect in which a broken
    file happens to make sense; the types come from all rows. In a file with semicolons, the decimal mark
    is the one that makes more columns numbers.

    Args:
        connection: Where it is tried.
        path: The file; plain or gzip.
        types: DuckDB type by column name, lower-case, for columns that must have one.
        plain_quotes: Quotes are text like any other, as in the files of the OHDSI vocabulary.

    Raises:
        Invalid: The file is broken; file and line are named.
        Unavailable: The file cannot be read.
    """
    delimiter, names = _header(path, plain_quotes=plain_quotes)
    quote = "" if plain_quotes else '"'
    options = [
        quote_path(path),
        f"delim = {quote_text(delimiter)}",
        f"quote = {quote_text(quote)}",
        f"escape = {quote_text(quote)}",
        "comment = ''",
        "header = true",
        "skip = 0",
        "strict_mode = true",
        "null_padding = false",
        f"nullstr = [{', '.join(map(quote_text, NULLS))}]",
    ]
    guess = [*options, "auto_detect = true", "sample_size = -1"]
    fixed = {name: types[name.lower()] for name in names if types and name.lower() in types}
    if fixed:
        guess.append(f"types = {_struct(fixed)}")
    choices = [_select(guess)]
    if delimiter == ";":
        choices.append(_select([*guess, "decimal_separator = ','"]))
    try:
        described = [connection.execute(f"DESCRIBE {sql}").fetchall() for sql in choices]
    except duckdb.Error as error:
        raise _located(connection, path, names, options, error) from None
    texts = [sum(row[1] == "VARCHAR" for row in rows) for rows in described]
    return choices[texts.index(min(texts))]


def _select(options: Sequence[str]) -> str:
    return f"SELECT * FROM read_csv({', '.join(options)})"  # noqa: S608 (all parts are quoted literals)


def _struct(members: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{quote_text(n)}: {quote_text(kind)}" for n, kind in members.items()) + "}"


def _located(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    names: Sequence[str],
    options: Sequence[str],
    error: duckdb.Error,
) -> SalernoError:
    """The complaint with its line: DuckDB tells none while it guesses types, so all is read as text once."""
    if _LINE.search(str(error)) or isinstance(error, duckdb.IOException):
        return csv_error(path, error)
    columns = {name or f"column{index}": "VARCHAR" for index, name in enumerate(names)}
    strict = [*options, f"columns = {_struct(columns)}", "auto_detect = false"]
    try:
        connection.execute(f"SELECT count(*) FROM ({_select(strict)})").fetchall()  # noqa: S608
    except duckdb.Error as precise:
        return csv_error(path, precise)
    return csv_error(path, error)


def csv_error(path: Path, error: duckdb.Error) -> SalernoError:
    """DuckDB's complaint about a CSV file, with file and line and without any of its values."""
    if isinstance(error, duckdb.IOException):
        return Unavailable("file-unreadable", f"{path.name} cannot be read at the moment")
    text = str(error)
    line = _LINE.search(text)
    place = f"{path.name}, line {line[1]}" if line else path.name
    counts, column, kind = _COUNTS.search(text), _COLUMN.search(text), _TYPE.search(text)
    if counts:
        what = f"the header has {counts[1]} columns, this line has {counts[2]}"
    elif column:
        wanted = _PLAIN_TYPES.get(kind[1], kind[1].lower()) if kind else "the type that the column needs"
        what = f"a value of column {column[1]!r} is not {wanted}"
    elif "Invalid unicode" in text:
        what = "the text is not UTF-8"
    elif "unterminated quote" in text or "quote should be followed" in text:
        what = "a quoted field is not closed"
    elif "Maximum line size" in text:
        what = "the line is longer than 2 MB"
    else:
        what = "the file does not fit its header"
    return Invalid("broken-csv", f"{place}: {what}", remedy="Mend the file and connect it again.")


def cache_path(path: Path, folder: Path, types: str) -> Path:
    """Where the Parquet copy of a CSV file in its present state lies."""
    state = path.stat()
    version = _short(f"{state.st_size}\n{state.st_mtime_ns}\n{types}")
    return folder / f"csv-{_short(str(path.resolve()))}-{version}.parquet"


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def convert(connection: duckdb.DuckDBPyConnection, path: Path, sql: str, target: Path) -> None:
    """Write a CSV file as Parquet, readable by this node alone; a half-written copy is never found.

    Copies of earlier states of the file are removed: what the holder took out of it must not stay.

    Raises:
        Invalid: The file is broken.
        Unavailable: The copy cannot be written.
    """
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.{os.getpid()}.{os.urandom(4).hex()}.part")
    try:
        os.close(os.open(partial, os.O_CREAT | os.O_WRONLY, 0o600))
        # Without a file of DuckDB's own in between, which would not have our rights.
        options = "FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false"
        connection.execute(f"COPY ({sql}) TO {quote_text(str(partial))} ({options})")
        os.replace(partial, target)
        for old in target.parent.glob(f"{target.stem.rpartition('-')[0]}-*.parquet"):
            if old != target:
                old.unlink(missing_ok=True)
    except duckdb.IOException as error:
        raise Unavailable(
            "cache-not-written",
            f"The copy of {path.name} for the analysis engine cannot be written",
            remedy="Look at the free space and the rights of the node's cache folder.",
        ) from error
    except duckdb.Error as error:
        raise csv_error(path, error) from None
    finally:
        partial.unlink(missing_ok=True)


def _header(path: Path, *, plain_quotes: bool) -> tuple[str, list[str]]:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            first, second = file.readline(_LINE_LIMIT), file.readline(_LINE_LIMIT)
    except (OSError, EOFError) as error:
        raise Unavailable("file-unreadable", f"{path.name} cannot be read") from error
    try:
        text = first.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise Invalid(
            "broken-csv", f"{path.name}, line 1: the text is not UTF-8", remedy="Save the file as UTF-8."
        ) from error
    if not text.strip():
        raise Invalid("broken-csv", f"{path.name} has no header line", remedy="Give each column a name.")
    delimiter = _delimiter(text, second.decode("utf-8", "replace"), plain_quotes=plain_quotes)
    names = text.split(delimiter) if plain_quotes else next(csv.reader([text], delimiter=delimiter))
    twice = [n for n, times in Counter(name.lower() for name in names).items() if times > 1]
    if twice:
        raise Invalid(
            "broken-csv",
            f"{path.name}, line 1: the header names a column twice: {twice[0]!r}",
            remedy="Give each column a name of its own; upper and lower case count as the same.",
        )
    return delimiter, names


def _delimiter(header: str, row: str, *, plain_quotes: bool) -> str:
    """The mark that parts the header into most columns; first of all one that parts the next line alike."""
    counts = [
        Counter(line if plain_quotes else re.sub(r'"[^"]*"', "", line)) for line in (header, row or header)
    ]
    return max(_DELIMITERS, key=lambda mark: (counts[0][mark] == counts[1][mark] > 0, counts[0][mark]))
