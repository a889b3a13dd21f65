"""``salerno doctor``: is this machine able to run what one wants to run?"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Literal

import typer

from salerno.cli import output
from salerno.cli.options import Json

State = Literal["ok", "optional", "problem"]
Finding = tuple[State, str, str]
"""State, what was looked at, what was found (with the remedy where it is no good)."""

_SIGNS: dict[State, str] = {"ok": "✓", "optional": "·", "problem": "✗"}
_MB = 1024 * 1024


def doctor(
    folder: Annotated[Path, typer.Option(help="Where nodes would keep their files.")] = Path(),
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port that a node would listen on.")] = 8100,
    as_json: Json = False,
) -> None:
    """Check versions, disk, port, clock and optional programs."""
    findings = list(examine(folder, port))
    if as_json:
        output.print_json([dict(zip(("state", "what", "found"), f, strict=True)) for f in findings])
    else:
        width = max(len(what) for _, what, _ in findings)
        for state, what, found in findings:
            print(f"{_SIGNS[state]} {what:<{width}}  {found}")
    problems = [what for state, what, _ in findings if state == "problem"]
    if problems:
        from salerno.kernel.errors import Unavailable

        raise Unavailable("machine-not-ready", f"This machine has problems: {', '.join(problems)}")


def examine(folder: Path, port: int) -> Iterator[Finding]:
    """Look at everything, one finding each.

    Args:
        folder: Where nodes would keep their files.
        port: Port that a node would listen on.
    """
    checks: tuple[Callable[[], Finding], ...] = (
        _python,
        _sqlite,
        lambda: _package("duckdb", "2", "Ibis calls what DuckDB 2 removed: install duckdb<2."),
        lambda: _package("ibis-framework", "13", "Install ibis-framework>=12,<13."),
        _engine,
        lambda: _disk(folder),
        lambda: _writable(folder),
        lambda: _port(port),
        _clock,
        lambda: _program("PostgreSQL", ("postgres", "pg_ctl"), "only to keep a node's database there"),
        lambda: _program("bubblewrap", ("bwrap",), "only to let researchers' own programs train models"),
        lambda: _program("Chromium", ("chromium", "chromium-browser"), "only for the portal's tests"),
    )
    for check in checks:
        yield check()


def _python() -> Finding:
    return "ok", "Python", ".".join(map(str, sys.version_info[:3]))  # older ones cannot install the package


def _sqlite() -> Finding:
    import sqlite3

    found = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info < (3, 35):
        return "problem", "SQLite", f"{found}; 3.35 or newer is needed"
    return "ok", "SQLite", found


def _package(name: str, below: str, remedy: str) -> Finding:
    from importlib.metadata import PackageNotFoundError, version

    try:
        found = version(name)
    except PackageNotFoundError:
        return "problem", name, f"not installed. {remedy}"
    if int(found.split(".")[0]) >= int(below):
        return "problem", name, f"{found} is too new. {remedy}"
    return "ok", name, found


def _engine() -> Finding:
    import ibis

    began = time.perf_counter()
    try:
        table = ibis.memtable({"x": [1.0, 2.0, 4.0]})
        total = ibis.duckdb.connect().execute(table.x.sum())
    except Exception as error:
        return "problem", "analysis engine", f"fails with {type(error).__name__}"
    if float(total) != 7.0:
        return "problem", "analysis engine", f"adds 1, 2 and 4 to {total}"
    return "ok", "analysis engine", f"answers in {1000 * (time.perf_counter() - began):.0f} ms"


def _disk(folder: Path) -> Finding:
    import shutil

    existing = _existing(folder)
    free = shutil.disk_usage(existing).free // _MB
    if free < 200:
        return "problem", "disk", f"{free} MB free at {existing}; make room"
    return "ok", "disk", f"{free:,} MB free at {existing}"


def _writable(folder: Path) -> Finding:
    import tempfile

    existing = _existing(folder)
    try:
        with tempfile.NamedTemporaryFile(dir=existing):
            return "ok", "folder", f"{existing} can be written to"
    except OSError as error:
        return "problem", "folder", f"{existing} cannot be written to: {error.strerror}"


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    folder = folder.absolute()
    return next(path for path in (folder, *folder.parents) if path.exists())


def _port(port: int) -> Finding:
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError as error:
            return "problem", "port", f"{port} is taken ({error.strerror}); choose another with --port"
    return "ok", "port", f"{port} is free"


def _clock() -> Finding:
    # Messages between nodes live two minutes, so a clock that is a year off refuses everything.
    from email.utils import formatdate

    released = 1735689600  # 2025-01-01
    now = time.time()
    if now < released:
        return "problem", "clock", f"says {formatdate(now)}, before this software was made; set it"
    return "ok", "clock", formatdate(now, usegmt=True)


def _program(title: str, names: tuple[str, ...], use: str) -> Finding:
    import shutil

    found = next((path for name in names if (path := shutil.which(name))), None)
    if found:
        return "ok", title, found
    return "optional", title, f"not found; needed {use}"
