from __future__ import annotations

import socket
from pathlib import Path

import pytest

from salerno.cli import doctor
from tests.unit.cli.conftest import Salerno


def test_this_machine_is_fit(salerno: Salerno, tmp_path: Path) -> None:
    run = salerno("doctor", "--folder", tmp_path / "new", "--json", "--port", 7399)
    assert run.code == 0, run.out
    states = {found["what"]: found["state"] for found in run.json}
    assert {
        "Python",
        "SQLite",
        "duckdb",
        "ibis-framework",
        "analysis engine",
        "disk",
        "port",
        "clock",
    } <= set(states)
    assert set(states.values()) <= {"ok", "optional"}


def test_a_taken_port_is_a_problem(salerno: Salerno, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        run = salerno("doctor", "--folder", tmp_path, "--port", taken.getsockname()[1])
    assert run.code == 6
    assert "✗ port" in run.out
    assert "machine-not-ready" in run.err


def test_wrong_versions_come_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor._package("duckdb", "1", "Install duckdb<2.")[0] == "problem"
    assert doctor._package("no-such-package", "1", "Install it.") == (
        "problem",
        "no-such-package",
        "not installed. Install it.",
    )


def test_absent_programs_are_optional() -> None:
    state, _, found = doctor._program("Nothing", ("no-such-program",), "never")
    assert (state, found) == ("optional", "not found; needed never")
