"""The node's database: one engine, short transactions, and errors that say what to do.

SQLite serves a node on one machine, PostgreSQL the larger ones; the SQL above is the same for both.
"""

from __future__ import annotations

import errno
import logging
import os
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, TimeoutError
from sqlalchemy.pool import QueuePool

from salerno.kernel.errors import Invalid, SalernoError, Unavailable

T = TypeVar("T")

Opens = Callable[[], AbstractContextManager[T]]
"""Opens a transaction and yields a service bound to it: commit at exit, rollback on exception."""

_BUSY_TIMEOUT_MS = 10_000
_READING = "salerno_reading"
_ENDING = "salerno_ending"

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Ending:
    """What is to be done once the transaction has ended, by the way it ended."""

    committed: list[Callable[[], None]] = field(default_factory=list)
    rolled_back: list[Callable[[Connection], None]] = field(default_factory=list)


class Database:
    """A node's database.

    Args:
        url: ``sqlite:///path`` (relative) or ``sqlite:////path`` (absolute), ``sqlite://`` for one that lives
            in memory until it is closed, or ``postgresql://user:password@host/name``.
        statement_timeout_seconds: Longest time of one statement on PostgreSQL; None leaves the server's.

    Raises:
        Invalid: The address is of another kind.
        Unavailable: The database file cannot be made.
    """

    def __init__(self, url: str, *, statement_timeout_seconds: float | None = None) -> None:
        parsed = _parse_url(url)
        self.dialect = "sqlite" if parsed.drivername.startswith("sqlite") else "postgresql"
        self.url = parsed.render_as_string(hide_password=True)
        self._anchor: sqlite3.Connection | None = None
        self._writing = threading.Lock()
        self.engine = (
            self._open_sqlite(parsed)
            if self.dialect == "sqlite"
            else _open_postgresql(parsed, statement_timeout_seconds)
        )

    def __repr__(self) -> str:
        return f"Database({self.url!r})"

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A transaction that may write: commit at exit, rollback on exception.

        On SQLite it takes the write lock at once, so that two writers never meet half-way; keep it short
        and open no second one inside.

        Raises:
            Unavailable: The disk is full, the database is locked, gone or not reachable.
        """
        ending = _Ending()
        try:
            with (
                self._one_writer(),
                self._connect(reading=False, ending=ending) as connection,
                connection.begin(),
            ):
                yield connection
        except Exception as error:
            for trace in ending.rolled_back:
                self._leave(trace)
            translated = _translate(error)
            if translated is not None:
                raise translated from error
            raise
        for work in ending.committed:
            work()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that only reads; on SQLite it neither waits for writers nor holds them up.

        Raises:
            Unavailable: As `transaction`.
        """
        try:
            with self._connect(reading=True, ending=_Ending()) as connection, connection.begin():
                yield connection
        except Exception as error:
            translated = _translate(error)
            if translated is not None:
                raise translated from error
            raise

    def opens(self, build: Callable[[Connection], T], *, reading: bool = False) -> Opens[T]:
        """An `Opens` that builds a service on a fresh transaction; with `reading` on one that only reads."""

        @contextmanager
        def opening() -> Iterator[T]:
            with self.reading() if reading else self.transaction() as connection:
                yield build(connection)

        return opening

    def close(self) -> None:
        """Close all connections; a database in memory is gone then."""
        self.engine.dispose()
        if self._anchor is not None:
            self._anchor.close()
            self._anchor = None

    @contextmanager
    def _one_writer(self) -> Iterator[None]:
        """Line up the writers of this process: SQLite's own waiting sleeps between its tries."""
        if self.dialect != "sqlite":
            yield
            return
        if not self._writing.acquire(timeout=_BUSY_TIMEOUT_MS / 1000):
            raise _locked()
        try:
            yield
        finally:
            self._writing.release()

    def _connect(self, *, reading: bool, ending: _Ending) -> Connection:
        return self.engine.connect().execution_options(**{_READING: reading, _ENDING: ending})

    def _leave(self, trace: Callable[[Connection], None]) -> None:
        try:
            with self.transaction() as connection:
                trace(connection)
        except SalernoError:
            # The first error is the one that the caller must see.
            _log.exception("the trace of a refused act could not be stored")

    def _open_sqlite(self, url: URL) -> Engine:
        if not url.database or url.database == ":memory:":
            # SQLite's in-memory file system locks like a file, so threads meet the same rules as on disk.
            address = f"file:/salerno-{secrets.token_hex(8)}?vfs=memdb"
            self._anchor = sqlite3.connect(address, uri=True, check_same_thread=False)
            engine = create_engine(
                "sqlite+pysqlite:///:memory:",
                creator=lambda: sqlite3.connect(address, uri=True, check_same_thread=False),
                poolclass=QueuePool,
                pool_size=8,
                max_overflow=56,
                hide_parameters=True,
            )
        else:
            _make_file(Path(url.database))
            engine = create_engine(
                url.set(drivername="sqlite+pysqlite"), pool_size=8, max_overflow=56, hide_parameters=True
            )
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine


def after_commit(connection: Connection, work: Callable[[], None]) -> None:
    """Do `work` once the transaction is committed; never when it is rolled back.

    Does nothing on a connection that `Database.transaction` did not open.
    """
    ending = connection.get_execution_options().get(_ENDING)
    if ending is not None:
        ending.committed.append(work)


def after_rollback(connection: Connection, trace: Callable[[Connection], None]) -> None:
    """Do `trace` in a transaction of its own when this one is rolled back; never when it commits.

    A refusal is raised, which undoes its transaction; that it was refused must stay on record all the same.
    Does nothing on a connection that `Database.transaction` did not open.
    """
    ending = connection.get_execution_options().get(_ENDING)
    if ending is not None:
        ending.rolled_back.append(trace)


def _parse_url(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise Invalid(
            "database-url", "The address of the database is not a URL", remedy=_URL_REMEDY
        ) from error
    kind = parsed.drivername.partition("+")[0]
    if kind == "sqlite":
        return parsed
    if kind in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    raise Invalid("database-url", f"A node cannot keep its data in {kind!r}", remedy=_URL_REMEDY)


_URL_REMEDY = "Give 'sqlite:///file' or 'postgresql://user:password@host/name'."


def _make_file(path: Path) -> None:
    # The file holds password hashes and session digests: nobody else on the machine may read it.
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise Unavailable(
            "database-file",
            f"The database file {path.name!r} cannot be opened: {os.strerror(error.errno or errno.EIO)}",
            remedy="Check that its folder exists, is writable and has room.",
        ) from error


def _open_postgresql(url: URL, statement_timeout_seconds: float | None) -> Engine:
    options: dict[str, Any] = {"connect_timeout": 10}
    if statement_timeout_seconds is not None:
        options["options"] = f"-c statement_timeout={int(statement_timeout_seconds * 1000)}"
    return create_engine(
        url,
        isolation_level="READ COMMITTED",
        pool_size=8,
        max_overflow=24,
        pool_pre_ping=True,
        connect_args=options,
        hide_parameters=True,
    )


def _prepare_sqlite(connection: sqlite3.Connection, _: Any) -> None:
    connection.isolation_level = None  # transactions are begun by `_begin_sqlite` alone
    for pragma in (
        f"busy_timeout={_BUSY_TIMEOUT_MS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    reading = connection.get_execution_options().get(_READING, False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


_POSTGRESQL_CODES = {
    "53100": ("disk-full", "The database's disk is full", "Make room on it, then try again."),
    "53200": ("database-memory", "The database is out of memory", "Try again in a moment."),
    "53300": ("database-busy", "The database has no connection left", "Try again in a moment."),
    "40P01": ("database-locked", "Two writers waited for each other", "Try again."),
    "40001": ("database-locked", "Another writer came first", "Try again."),
    "55P03": ("database-locked", "Another writer holds the database", "Try again in a moment."),
    "57014": ("database-slow", "The database took too long", "Try again in a moment."),
}


def _translate(error: Exception) -> Unavailable | None:
    """The error in the node's own words where the database cannot be used, None for all others."""
    if isinstance(error, TimeoutError):
        return Unavailable("database-busy", "All connections are in use", remedy="Try again in a moment.")
    if not isinstance(error, DBAPIError):
        return None
    cause = error.orig
    if isinstance(cause, sqlite3.Error):
        return _translate_sqlite(cause)
    code = getattr(cause, "sqlstate", None) or ""
    if code in _POSTGRESQL_CODES:
        name, what, remedy = _POSTGRESQL_CODES[code]
        return Unavailable(name, what, remedy=remedy)
    lost = error.connection_invalidated or isinstance(error, InterfaceError)
    if lost or code.startswith(("08", "57P")) or (not code and type(cause).__name__ == "OperationalError"):
        return Unavailable(
            "database-unreachable",
            "The database server does not answer",
            remedy="Check that it runs and that the address in the settings is right.",
        )
    return None


def _locked() -> Unavailable:
    return Unavailable(
        "database-locked",
        f"Another writer held the database for more than {_BUSY_TIMEOUT_MS // 1000} s",
        remedy="Try again in a moment; if it goes on, look for a second process on the same file.",
    )


def _translate_sqlite(cause: sqlite3.Error) -> Unavailable | None:
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return Unavailable(
            "disk-full",
            "The database or its disk is full, nothing was stored",
            remedy="Make room on the disk, then try again.",
        )
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return _locked()
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY):
        return Unavailable(
            "database-file",
            f"The database file cannot be used: {cause}",
            remedy="Check that its folder exists, is writable and has room.",
        )
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return Unavailable(
            "database-corrupt",
            "The database file is damaged or is no database",
            remedy="Restore it from a back-up.",
        )
    return None
