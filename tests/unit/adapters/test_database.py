"""Transactions: what stays, what goes, and what an unusable database says."""

from __future__ import annotations

import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.exc import IntegrityError, ResourceClosedError
from sqlalchemy.pool import QueuePool

from salerno.adapters.database import Database, after_commit, after_rollback
from salerno.kernel.errors import Conflict, Invalid, Unavailable


@pytest.fixture(params=["memory", "file"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    opened = Database("sqlite://" if request.param == "memory" else f"sqlite:///{tmp_path / 'a.db'}")
    with opened.transaction() as connection:
        connection.execute(text("CREATE TABLE t (x INTEGER PRIMARY KEY)"))
    yield opened
    opened.close()


def add(connection: Connection, x: int) -> None:
    connection.execute(text("INSERT INTO t VALUES (:x)"), {"x": x})


def rows(database: Database) -> list[int]:
    with database.reading() as connection:
        return list(connection.execute(text("SELECT x FROM t ORDER BY x")).scalars())


def test_what_is_done_stays_and_what_fails_goes(database: Database) -> None:
    with database.transaction() as connection:
        add(connection, 1)

    def fail() -> None:
        with database.transaction() as connection:
            add(connection, 2)
            raise Conflict("x", "no")

    with pytest.raises(Conflict):
        fail()
    assert rows(database) == [1]


def test_an_error_of_the_program_stays_what_it_is(database: Database) -> None:
    def twice() -> None:
        with database.transaction() as connection:
            add(connection, 1)
            add(connection, 1)

    with pytest.raises(IntegrityError) as caught:
        twice()
    assert "[parameters" not in str(caught.value)  # values may be personal
    assert rows(database) == []


def test_opens_gives_a_fresh_service_each_time(database: Database) -> None:
    opens = database.opens(lambda connection: connection)
    with opens() as first:
        add(first, 1)
    with opens() as second, pytest.raises(ResourceClosedError):
        first.execute(text("SELECT 1"))
    assert first is not second
    with database.opens(lambda c: c, reading=True)() as reader:
        assert reader.execute(text("SELECT count(*) FROM t")).scalar_one() == 1


def test_work_after_commit_is_done_after_commit_alone(database: Database) -> None:
    seen: list[list[int]] = []

    def act(fails: bool) -> None:
        with database.transaction() as connection:
            add(connection, 2 if fails else 1)
            after_commit(connection, lambda: seen.append(rows(database)))
            if fails:
                raise Conflict("x", "no")

    act(False)
    with pytest.raises(Conflict):
        act(True)
    assert seen == [[1]]


def test_a_trace_after_rollback_has_its_own_transaction(database: Database) -> None:
    def act(fails: bool) -> None:
        with database.transaction() as connection:
            add(connection, 1)
            after_rollback(connection, lambda other: add(other, 9))
            if fails:
                raise Conflict("x", "no")

    with pytest.raises(Conflict):
        act(True)
    assert rows(database) == [9]
    act(False)
    assert rows(database) == [1, 9]


def test_a_trace_that_fails_does_not_hide_the_first_error(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    def act() -> None:
        def trace(_: Connection) -> None:
            raise Unavailable("disk-full", "full")

        with database.transaction() as connection:
            after_rollback(connection, trace)
            raise Conflict("first", "no")

    with pytest.raises(Conflict, match="first"):
        act()
    assert "could not be stored" in caplog.text


def test_hooks_do_nothing_on_other_connections(database: Database) -> None:
    with database.engine.begin() as connection:
        after_commit(connection, lambda: pytest.fail("never"))
        after_rollback(connection, lambda _: pytest.fail("never"))


def test_two_writers_never_meet_half_way(database: Database) -> None:
    with database.transaction() as connection:
        add(connection, 0)

    def count_up() -> None:
        for _ in range(25):
            with database.transaction() as connection:
                highest = connection.execute(text("SELECT max(x) FROM t")).scalar_one()
                add(connection, highest + 1)

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rows(database) == list(range(101))


def test_a_reader_on_disk_does_not_wait_for_a_writer(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'a.db'}")
    with database.transaction() as connection:
        connection.execute(text("CREATE TABLE t (x INTEGER)"))
    with database.transaction() as writer:
        add(writer, 1)
        start = time.monotonic()
        assert rows(database) == []
        assert time.monotonic() - start < 1
    assert rows(database) == [1]
    database.close()


def test_a_file_is_durable_strict_and_private(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    database = Database(f"sqlite:///{path}")
    with database.transaction() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 10_000}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    database.close()


def test_a_database_in_memory_is_one_of_its_own() -> None:
    one, two = Database("sqlite://"), Database("sqlite:///:memory:")
    with one.transaction() as connection:
        connection.execute(text("CREATE TABLE t (x INTEGER)"))
    with two.transaction() as connection:
        connection.execute(text("CREATE TABLE t (x INTEGER)"))
    one.close()
    assert rows(two) == []
    two.close()


def unavailable(database: Database, do: Any) -> Unavailable:
    def act() -> None:
        with database.transaction() as connection:
            do(connection)

    with pytest.raises(Unavailable) as caught:
        act()
    return caught.value


def test_a_full_disk_says_so_and_loses_nothing(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'a.db'}")
    with database.transaction() as connection:
        connection.execute(text("CREATE TABLE t (x TEXT)"))
        connection.execute(text("INSERT INTO t VALUES ('kept')"))
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()

    def fill(connection: Connection) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 2}")
        for _ in range(100):
            connection.execute(text("INSERT INTO t VALUES (:x)"), {"x": "x" * 4000})

    error = unavailable(database, fill)
    assert error.code == "disk-full"
    assert error.remedy
    assert rows(database) == ["kept"]
    database.close()


def test_a_locked_file_says_so(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    holder, other = Database(url), Database(url)
    event.listen(other.engine, "connect", lambda c, _: c.execute("PRAGMA busy_timeout=50"))
    with holder.transaction():
        assert unavailable(other, lambda _: None).code == "database-locked"
    holder.close()
    other.close()


def test_a_damaged_file_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(b"this is no database at all, not even nearly" * 100)
    database = Database(f"sqlite:///{path}")
    assert unavailable(database, lambda c: c.execute(text("SELECT 1"))).code == "database-corrupt"
    database.close()


def test_a_file_that_went_away_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    database = Database(f"sqlite:///{folder / 'a.db'}")
    (folder / "a.db").unlink()
    folder.rmdir()
    assert unavailable(database, lambda _: None).code == "database-file"
    with pytest.raises(Unavailable, match="database-file"), database.reading():
        pass


def test_a_folder_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="database-file"):
        Database(f"sqlite:///{tmp_path / 'missing' / 'a.db'}")


def test_a_server_that_is_not_there_says_so() -> None:
    database = Database("postgresql://salerno:secret@127.0.0.1:1/x", statement_timeout_seconds=5)
    assert database.dialect == "postgresql"
    assert "secret" not in repr(database)
    assert unavailable(database, lambda _: None).code == "database-unreachable"


@pytest.mark.parametrize("url", ["mysql://x/y", "nonsense", ""])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(Invalid, match="database-url"):
        Database(url)


def test_no_connection_left_says_so(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'a.db'}")
    path = str(tmp_path / "a.db")
    database.engine.dispose()
    database.engine = create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(path),
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        pool_timeout=0.05,
    )
    with database.reading():
        assert unavailable(database, lambda _: None).code == "database-busy"
    database.close()
