from __future__ import annotations

import stat
from pathlib import Path

import pytest

from salerno.client import tokens
from salerno.kernel.errors import Invalid, Refused


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SALERNO_CONFIG", str(tmp_path / "config"))
    return tmp_path / "config"


def test_a_token_is_kept_for_its_node_alone() -> None:
    tokens.save_token("https://a.example", "ta")
    tokens.save_token("https://b.example", "tb")
    assert tokens.saved_token("https://a.example") == "ta"
    assert tokens.saved_token("https://c.example") == ""
    assert tokens.last_url() == "https://b.example"
    tokens.forget_token("https://a.example")
    tokens.forget_token("https://never.example")
    assert tokens.saved_token("https://a.example") == ""
    assert tokens.saved_token("https://b.example") == "tb"


def test_nobody_else_can_read_the_file(config: Path) -> None:
    path = tokens.save_token("https://a.example", "t")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(config.stat().st_mode) == 0o700


def test_a_file_that_others_can_read_is_not_used() -> None:
    path = tokens.save_token("https://a.example", "t")
    path.chmod(0o644)
    with pytest.raises(Refused, match="token-file-open"):
        tokens.saved_token("https://a.example")


def test_a_broken_file_is_named() -> None:
    path = tokens.save_token("https://a.example", "t")
    path.write_text("{")
    with pytest.raises(Invalid, match="token-file"):
        tokens.saved_token("https://a.example")


def test_the_usual_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SALERNO_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert tokens.config_folder() == tmp_path / "salerno"
