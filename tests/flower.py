"""Where the tests find an interpreter with Flower; without one, or without a sandbox, they are skipped."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from salerno.adapters.sandbox import why_not
from salerno.holdings.rules import pack_folder, render_arrays

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "docs" / "examples" / "flower-logistic"


@cache
def flower_python() -> str:
    """The interpreter of ``make flower``, of SALERNO_FLOWER_PYTHON, or this one."""
    if why_not():
        pytest.skip(f"no sandbox: {why_not()}")
    for python in (
        os.environ.get("SALERNO_FLOWER_PYTHON", ""),
        str(ROOT / ".venv" / "flower" / "bin" / "python"),
        sys.executable,
    ):
        code = "import importlib.util as u; raise SystemExit(u.find_spec('flwr') is None)"
        if python and Path(python).exists() and not subprocess.run([python, "-c", code]).returncode:
            return python
    pytest.skip("Flower is not installed: make flower")


def app_of(tmp_path: Path, client: str, arrays: dict[str, np.ndarray]) -> bytes:
    """The bundle of an app whose ``ClientApp`` is in this text."""
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "attack"\nversion = "1"\n[tool.flwr.app.components]\nclientapp = "client:app"\n'
    )
    (tmp_path / "client.py").write_text(client)
    return pack_folder(tmp_path, render_arrays(arrays))
