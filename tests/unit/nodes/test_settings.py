"""Settings: what an operator may write, and what is said about what they may not."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from salerno.identity.model import ParticipantRole
from salerno.kernel.errors import Conflict, Invalid, NotFound
from salerno.nodes.settings import SETTINGS_FILE, NodeSettings, init_node, load_settings

HOSPITAL = {
    "role": "holder",
    "name": 'Hôpital "Lyon" \\ 1',
    "country": "FR",
    "url": "http://127.0.0.1:8103/",
    "access_body": "did:web:127.0.0.1%3A8102",
}


def test_a_node_comes_back_as_it_was_made(tmp_path: Path) -> None:
    made = init_node(tmp_path / "node", **HOSPITAL, contact_email="data@lyon.example")  # type: ignore[arg-type]
    assert load_settings(tmp_path / "node") == made
    assert made.did == "did:web:127.0.0.1%3A8103"
    assert (made.host, made.port) == ("127.0.0.1", 8103)
    assert made.role is ParticipantRole.HOLDER


def test_only_the_owner_can_read_a_node(tmp_path: Path) -> None:
    init_node(tmp_path / "node", **HOSPITAL)  # type: ignore[arg-type]
    assert stat.S_IMODE((tmp_path / "node").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "node" / SETTINGS_FILE).stat().st_mode) == 0o600
    for path in (tmp_path / "node" / "keys").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_second_node_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    init_node(tmp_path, **HOSPITAL)  # type: ignore[arg-type]
    before = (tmp_path / SETTINGS_FILE).read_bytes()
    with pytest.raises(Conflict, match="already holds a node"):
        init_node(tmp_path, **HOSPITAL)  # type: ignore[arg-type]
    assert (tmp_path / SETTINGS_FILE).read_bytes() == before


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"url": "hospital"}, "settings-url"),
        ({"url": "http://hospital.example"}, "settings-url"),
        ({"url": "https://hospital.example/node"}, "settings-url"),
        ({"country": "XX"}, "settings-country"),
        ({"name": " "}, "settings-name"),
        ({"access_body": ""}, "settings-access-body"),
        ({"role": "holdr"}, "settings-role"),
    ],
)
def test_wrong_settings_make_nothing(tmp_path: Path, change: dict[str, str], code: str) -> None:
    with pytest.raises(Invalid) as caught:
        init_node(tmp_path / "node", **{**HOSPITAL, **change})  # type: ignore[arg-type]
    assert caught.value.code == code
    assert not (tmp_path / "node").exists()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("role = ", "settings-toml"),
        ('rolle = "hub"', "settings-unknown"),
        ('role = "hub"\nname = 3\ncountry = "EU"\nurl = "https://hub.example"', "settings-type"),
        ('role = "hub"\nname = "Hub"', "settings-missing"),
        ('role = "hob"\nname = "Hub"\ncountry = "EU"\nurl = "https://hub.example"', "settings-role"),
        (
            'role = "hub"\nname = "Hub"\ncountry = "EU"\nurl = "https://hub.example"\nlisten_port = true',
            "settings-type",
        ),
    ],
)
def test_a_wrong_file_is_explained(tmp_path: Path, text: str, code: str) -> None:
    (tmp_path / SETTINGS_FILE).write_text(text)
    with pytest.raises(Invalid) as caught:
        load_settings(tmp_path)
    assert caught.value.code == code


def test_a_misspelt_setting_names_the_near_one(tmp_path: Path) -> None:
    (tmp_path / SETTINGS_FILE).write_text("listn_port = 1")
    with pytest.raises(Invalid, match="Did you mean 'listen_port'"):
        load_settings(tmp_path)


def test_an_empty_folder_holds_no_node(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="holds no node"):
        load_settings(tmp_path)


def test_the_database_lies_in_the_folder_unless_told(tmp_path: Path) -> None:
    settings = NodeSettings(
        folder=tmp_path, role=ParticipantRole.HUB, name="Hub", country="EU", url="https://hub.example"
    )
    assert settings.database_url == f"sqlite:///{tmp_path / 'node.db'}"
    assert (settings.host, settings.port) == ("hub.example", 443)
