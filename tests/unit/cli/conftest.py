from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from salerno.cli import main


@dataclass(frozen=True)
class Run:
    """What one command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Salerno = Callable[..., Run]


@pytest.fixture(autouse=True)
def own_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("SALERNO_URL", "SALERNO_TOKEN", "SALERNO_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SALERNO_CONFIG", str(tmp_path / "config"))
    return tmp_path / "config"


@pytest.fixture
def salerno(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Salerno:
    """Runs the command as the shell would, but in this process."""

    def run(*words: object, stdin: str = "") -> Run:
        import io
        import sys

        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        capsys.readouterr()
        code = 0
        try:
            main([str(word) for word in words])
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
        captured = capsys.readouterr()
        return Run(code, captured.out, captured.err)

    return run
