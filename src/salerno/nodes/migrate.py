"""Bring a node's database to the tables that this version knows (Alembic)."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from salerno.adapters.database import Database
from salerno.kernel.errors import Conflict

if TYPE_CHECKING:
    from alembic.config import Config

SCRIPTS = Path(__file__).parent / "migrations"

_one_at_a_time = threading.Lock()  # Alembic keeps its context in module globals


def revisions() -> tuple[str, ...]:
    """The migrations that this version has, in order: a script's name begins with its revision."""
    return tuple(sorted(path.name.partition("_")[0] for path in (SCRIPTS / "versions").glob("[0-9]*.py")))


def migrate(database: Database) -> None:
    """Create or upgrade the tables, in one transaction.

    Raises:
        Conflict: The database was written by a newer version of Salerno.
    """
    known = revisions()
    with database.reading() as connection:
        present = _revision(connection)
    if present == known[-1]:
        return
    if present and present not in known:
        raise Conflict(
            "database-newer",
            f"The node's database has the revision {present}, which this version does not know",
            remedy="Start it with the version of Salerno that last wrote it, or a newer one.",
        )
    # Alembic takes longer to import than a node that is up to date takes to open.
    from alembic import command

    with _one_at_a_time, database.transaction() as connection:
        if _revision(connection) != known[-1]:
            command.upgrade(migration_config(connection), "head")


def migration_config(connection: Connection) -> Config:
    """Alembic's configuration for one open connection."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _revision(connection: Connection) -> str:
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none() or "")
