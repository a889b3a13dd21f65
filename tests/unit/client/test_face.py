"""The public face of the package: every name there, nothing heavy loaded."""

from __future__ import annotations

import subprocess
import sys

import pytest

import salerno


def test_every_public_name_can_be_had_and_has_a_docstring() -> None:
    for name in salerno.__all__:
        value = getattr(salerno, name)
        assert name == "__version__" or value.__doc__
    assert set(salerno.__all__) - {"__version__"} == set(salerno._HOMES)
    assert set(salerno.__all__) <= set(dir(salerno))


def test_a_wrong_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="conect"):
        salerno.conect  # noqa: B018


@pytest.mark.parametrize("module", ["salerno", "salerno.cli.app"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    heavy = ["httpx", "pandas", "ibis", "numpy", "litestar", "sqlalchemy", "rich", "duckdb", "cryptography"]
    code = f"import sys, {module}; print([m for m in {heavy!r} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_the_version_is_the_packages() -> None:
    from importlib.metadata import version

    assert salerno.__version__ == version("salerno")
