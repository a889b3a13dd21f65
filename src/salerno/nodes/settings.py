"""A node's settings: one TOML file in the node's folder, beside its keys, database and caches."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from urllib.parse import urlsplit

from salerno.adapters.keys import KeyRing
from salerno.adapters.mail import check_sender, parse_smtp_url
from salerno.identity.model import ParticipantRole
from salerno.kernel.codes import COUNTRIES
from salerno.kernel.errors import Conflict, Invalid, NotFound, near
from salerno.standards.did import did_web

SETTINGS_FILE = "salerno.toml"

OPT_OUT_LEVELS_FILE = "opt-out.toml"
"""What one can opt out from at an access body beside all secondary use; see `permits.rules.parse_levels`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """What an operator decides about a node; everything else is in its database.

    Args:
        folder: Where the node keeps its settings, keys, database and caches.
        role: What the node is in the data space.
        name: Name for people.
        country: ISO 3166-1 code of its country, or EU.
        url: Public base address; the DID follows from it.
        contact_email: Where people can write to; stands in descriptions.
        access_body: For holders, the DID of the access body in charge.
        database: SQLAlchemy address; empty means SQLite in the folder.
        listen_host, listen_port: Where the server listens; by default host and port of `url`.
        round_seconds: How long the coordinator waits for a holder in a round.
        sync_seconds: How often a holder and the hub look for news at their peers.
        memory_mb: Memory that the analysis engine may use before it spills to disk.
        engine_threads: Threads of the analysis engine; 0 means all cores.
        persons_per_decision: At an access body: how many officers a decision takes, 2 or 1.
        appeal_days: At an access body: days within which an applicant may appeal against a decision.
        smtp_url: Mail server for notices, ``smtps://user:password@host`` or ``smtp+starttls://…``; empty
            for none: persons are told in the portal alone.
        mail_from: Address that notices come from; by default `contact_email`.
        log_level: ``debug``, ``info``, ``warning`` or ``error``.
    """

    folder: Path
    role: ParticipantRole
    name: str
    country: str
    url: str
    contact_email: str = ""
    access_body: str = ""
    database: str = ""
    listen_host: str = ""
    listen_port: int = 0
    round_seconds: int = 60
    sync_seconds: int = 30
    memory_mb: int = 1024
    engine_threads: int = 0
    persons_per_decision: int = 2
    appeal_days: int = 30
    smtp_url: str = field(default="", repr=False)
    mail_from: str = ""
    log_level: str = "info"

    @property
    def did(self) -> str:
        """The node's did:web identifier."""
        return did_web(self.url)

    @property
    def database_url(self) -> str:
        """Address of the node's database."""
        return self.database or f"sqlite:///{self.folder / 'node.db'}"

    @property
    def keys_folder(self) -> Path:
        """Where the private keys lie."""
        return self.folder / "keys"

    @property
    def cache_folder(self) -> Path:
        """Where the analysis engine may keep what it can make again."""
        return self.folder / "cache"

    @property
    def vault_folder(self) -> Path:
        """What a holder keeps under each permit, sealed."""
        return self.folder / "permits"

    @property
    def permit_keys_folder(self) -> Path:
        """Keys of what is kept under each permit; never part of a backup."""
        return self.folder / "permit-keys"

    @property
    def mail_sender(self) -> str:
        """Address that e-mails come from."""
        return self.mail_from or self.contact_email

    @property
    def host(self) -> str:
        """Host to listen on."""
        return self.listen_host or urlsplit(self.url).hostname or "127.0.0.1"

    @property
    def port(self) -> int:
        """Port to listen on."""
        parts = urlsplit(self.url)
        return self.listen_port or parts.port or (443 if parts.scheme == "https" else 80)


def check_settings(settings: NodeSettings) -> None:
    """Raise what is wrong with settings, one error for the first thing found.

    Raises:
        Invalid: A setting has a value that the node could not run with.
    """
    parts = urlsplit(settings.url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Invalid("settings-url", f"The node's address {settings.url!r} is not a web address",
                      remedy="Give it as https://host or, on loopback, http://127.0.0.1:8101.")  # fmt: skip
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise Invalid("settings-url", f"The node's address {settings.url!r} is not encrypted",
                      remedy="Use https; plain http is for loopback only.")  # fmt: skip
    if parts.path.strip("/"):
        raise Invalid("settings-url", f"The node's address {settings.url!r} has a path",
                      remedy="Give each node its own host or port.")  # fmt: skip
    if settings.country not in COUNTRIES:
        raise Invalid(
            "settings-country",
            f"{settings.country!r} is no Member State",
            remedy=f"Use an ISO 3166-1 code such as FR, or EU. {near(settings.country, COUNTRIES)}",
        )
    if not settings.name.strip():
        raise Invalid("settings-name", "The node has no name", remedy="Give it a name for people.")
    if settings.persons_per_decision not in (1, 2):
        raise Invalid(
            "settings-persons",
            f"A decision is taken by 1 or 2 officers, not by {settings.persons_per_decision}",
            remedy="Set persons_per_decision to 2, or to 1 where the access body has one officer.",
        )
    if settings.role is ParticipantRole.HOLDER and not settings.access_body.startswith("did:"):
        raise Invalid("settings-access-body", "A holder needs the access body in charge of it",
                      rule="EHDS Art. 57", remedy="Give its DID, e.g. did:web:hdab.example.")  # fmt: skip
    if settings.smtp_url:
        parse_smtp_url(settings.smtp_url)
        check_sender(settings.mail_sender)


def is_loopback(host: str) -> bool:
    """Whether a host name means this machine."""
    return host in ("localhost", "::1") or bool(re.fullmatch(r"127(\.\d{1,3}){3}", host))


def init_node(
    folder: Path | str,
    *,
    role: ParticipantRole | str,
    name: str,
    country: str,
    url: str,
    access_body: str = "",
    database: str = "",
    contact_email: str = "",
    sync_seconds: int = 30,
) -> NodeSettings:
    """Make a node: its folder, settings and keys; the database follows when it is first opened.

    Raises:
        Invalid: A setting is wrong; nothing was made.
        Conflict: The folder already holds a node.
    """
    try:
        known_role = ParticipantRole(role)
    except ValueError:
        raise Invalid(
            "settings-role", f"{role!r} is no role of a node", remedy=near(str(role), ParticipantRole)
        ) from None
    settings = NodeSettings(
        folder=Path(folder).absolute(),
        role=known_role,
        name=name,
        country=country,
        url=url.rstrip("/"),
        access_body=access_body,
        database=database,
        contact_email=contact_email,
        sync_seconds=sync_seconds,
    )
    write_settings(settings)
    KeyRing.create(settings.keys_folder)
    return settings


def load_settings(folder: Path | str) -> NodeSettings:
    """Read a node's settings from its folder.

    Raises:
        NotFound: The folder holds no node.
        Invalid: The file is no TOML, or a setting is unknown, missing or wrong.
    """
    folder = Path(folder).absolute()
    path = folder / SETTINGS_FILE
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFound("no-node", f"{folder} holds no node: it has no {SETTINGS_FILE}",
                       remedy="Make one with: salerno node init.") from None  # fmt: skip
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid("settings-toml", f"{path} is not TOML: {error}") from None
    known = {f.name: f for f in fields(NodeSettings) if f.name != "folder"}
    for name in values:
        if name not in known:
            raise Invalid(
                "settings-unknown", f"{path} has an unknown setting {name!r}", remedy=near(name, known)
            )
    for name, setting in known.items():
        if name in values and type(values[name]) is not (int if setting.type == "int" else str):
            raise Invalid(
                "settings-type",
                f"{path}: {name} should be a{'n integer' if setting.type == 'int' else ' text'}",
            )
    missing = {"role", "name", "country", "url"} - set(values)
    if missing:
        raise Invalid("settings-missing", f"{path} lacks {', '.join(sorted(missing))}")
    try:
        role = ParticipantRole(values.pop("role"))
    except ValueError as error:
        raise Invalid(
            "settings-role", f"{path}: {error}", remedy=f"Roles are {', '.join(ParticipantRole)}."
        ) from None
    settings = NodeSettings(folder=folder, role=role, **values)
    check_settings(settings)
    return settings


def write_settings(settings: NodeSettings) -> None:
    """Write the settings file of a node that has none yet.

    Raises:
        Conflict: The folder already holds a node.
    """
    check_settings(settings)
    settings.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    defaults = {f.name: f.default for f in fields(NodeSettings)}
    lines = [f"# Settings of the node {settings.name}; `salerno node show` explains them.\n"]
    for name, default in defaults.items():
        value = getattr(settings, name)
        if name != "folder" and value != default:
            lines.append(f"{name} = {value if isinstance(value, int) else _toml_text(str(value))}\n")
    try:
        handle = os.open(settings.folder / SETTINGS_FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Conflict("node-exists", f"{settings.folder} already holds a node",
                       remedy="Choose another folder.") from None  # fmt: skip
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.writelines(lines)


def _toml_text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
