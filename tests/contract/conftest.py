"""Databases for contract tests: SQLite on disk, and a throwaway PostgreSQL server from Debian's packages."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from salerno.adapters.database import Database
from tests.contract.clusters import clusters, spark_server, trino_server

__all__ = ["clusters", "spark_server", "trino_server"]


def postgres_binaries() -> Path | None:
    """Folder of the newest installed server, None without one."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(found, key=lambda path: float(path.parent.name), default=None)


def as_postgres() -> list[str]:
    """How to become the user of Debian's package: a server refuses to run as root."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv"):
        return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    return ["runuser", "-u", "postgres", "--"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """Address of a PostgreSQL server of this test session; make a database of your own on it."""
    binaries = postgres_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server is installed (Debian package 'postgresql')")
    place = Path(tempfile.mkdtemp(prefix="salerno-pg-"))
    if os.geteuid() == 0:
        shutil.chown(place, "postgres", "postgres")
    data, port = place / "data", free_port()
    become = as_postgres()
    options = ["-U", "postgres", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"]
    subprocess.run(
        [*become, binaries / "initdb", "-D", data, *options], check=True, capture_output=True, cwd=place
    )
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": place,
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        "max_connections": 200,
        "shared_buffers": "32MB",
    }
    arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    with (place / "log").open("wb") as log:
        server = subprocess.Popen(
            [*become, binaries / "postgres", "-D", data, *arguments], stdout=log, stderr=log, cwd=place
        )
    url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
    try:
        wait_for(url, server, place / "log")
        yield url
    finally:
        server.send_signal(signal.SIGINT)  # "fast" shutdown: does not wait for clients
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        shutil.rmtree(place, ignore_errors=True)


def wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(url, connect_timeout=2).close()
            return
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text()}") from None
            time.sleep(0.1)


@pytest.fixture
def postgres_database_url(postgres_url: str) -> Iterator[str]:
    """Address of a fresh, empty PostgreSQL database."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
    try:
        yield postgres_url.rsplit("/", 1)[0] + f"/{name}"
    finally:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address of a fresh, empty database, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'node.db'}"
    url: str = request.getfixturevalue("postgres_database_url")
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A fresh, empty database, once on SQLite and once on PostgreSQL."""
    opened = Database(database_url)
    yield opened
    opened.close()
