from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from salerno.adapters import vault as vault_module
from salerno.adapters.vault import Vault
from salerno.kernel.errors import Unavailable

END = datetime(2031, 6, 1, tzinfo=UTC)


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path / "permits", tmp_path / "keys")


@pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 250])
def test_what_is_written_is_read_again(vault: Vault, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vault_module, "_CHUNK", 100)
    data = bytes(n % 251 for n in range(size))
    vault.write("p", "a", b"before", until=END)
    vault.write("p", "a", data, until=END)
    assert vault.read("p", "a") == data
    assert vault.read("p", "b") is None
    assert vault.read("q", "a") is None
    assert vault.permits() == {"p": END}


def test_a_changed_cut_or_moved_file_is_none(
    vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vault_module, "_CHUNK", 100)
    vault.write("p", "a", bytes(250), until=END)
    (path,) = (tmp_path / "permits").rglob("*.sealed")
    whole = path.read_bytes()
    # A bit, the last chunk, an end, all of it; the same chunk twice.
    chunk = 116
    for damaged in (
        whole[:-1] + bytes([whole[-1] ^ 1]),
        whole[: 8 + 2 * chunk],
        whole[:-1],
        b"",
        whole[:8] + whole[8 : 8 + chunk] * 2 + whole[8 + 2 * chunk :],
    ):
        path.write_bytes(damaged)
        assert vault.read("p", "a") is None
    path.write_bytes(whole)
    vault.write("p", "b", b"other", until=END)
    other = next(file for file in path.parent.glob("*.sealed") if file != path)
    other.write_bytes(whole)
    assert vault.read("p", "b") is None
    assert vault.read("p", "a") == bytes(250)


def test_a_restored_backup_cannot_be_read_once_the_key_is_gone(vault: Vault, tmp_path: Path) -> None:
    secret = b"rows of a cohort " * 100
    vault.write("p", "a", secret, until=END)
    vault.write("q", "a", b"another permit's", until=END)
    shutil.copytree(tmp_path / "permits", tmp_path / "backup")
    gone = vault.destroy_key("p")
    assert (gone.files, gone.size_bytes > len(secret)) == (1, True)
    assert vault.read("p", "a") is None
    assert "p" in vault.permits()  # a process that is killed now finds it again
    vault.clear("p")
    assert vault.permits() == {"q": END}
    shutil.copytree(tmp_path / "backup", tmp_path / "permits", dirs_exist_ok=True)
    assert vault.permits() == {"p": END, "q": END}
    assert vault.read("p", "a") is None
    assert vault.read("q", "a") == b"another permit's"
    assert all(secret[:17] not in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    # The same files again, without a key: the receipt's digest tells that they are those.
    assert vault.destroy_key("p") == gone
    vault.clear("p")
    assert vault.destroy_key("p").files == 0
    # A new key does not open what was sealed under the old one.
    shutil.copytree(tmp_path / "backup", tmp_path / "permits", dirs_exist_ok=True)
    vault.write("p", "b", b"new", until=END)
    assert vault.read("p", "a") is None


def test_a_disk_that_takes_nothing(tmp_path: Path) -> None:
    (tmp_path / "permits").write_text("a file")
    with pytest.raises(Unavailable, match="vault-unwritable"):
        Vault(tmp_path / "permits", tmp_path / "keys").write("p", "a", b"", until=END)
