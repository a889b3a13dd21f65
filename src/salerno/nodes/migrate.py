"""Bring a node's database to the tables that this version knows (Alembic)."""

from __future__ import annotations

import threading
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData

from salerno.adapters import jobs
from salerno.adapters.database import Database
from salerno.analysis import store as analysis_store
from salerno.audit import store as audit_store
from salerno.catalogue import store as catalogue_store
from salerno.holdings import store as holdings_store
from salerno.identity import store as identity_store
from salerno.kernel.errors import Conflict
from salerno.permits import store as permits_store

METADATA: tuple[MetaData, ...] = (
    jobs.metadata,
    audit_store.metadata,
    identity_store.metadata,
    catalogue_store.metadata,
    permits_store.metadata,
    holdings_store.metadata,
    analysis_store.metadata,
)
"""Tables of every capability; a node has them all, whatever its role, so that a role can be added later."""

_one_at_a_time = threading.Lock()  # Alembic keeps its context in module globals


def migrate(database: Database) -> None:
    """Create or upgrade the tables, in one transaction.

    Raises:
        Conflict: The database was written by a newer version of Salerno.
    """
    with _one_at_a_time, database.transaction() as connection:
        scripts = ScriptDirectory.from_config(migration_config(connection))
        present = MigrationContext.configure(connection).get_current_revision()
        if present == scripts.get_current_head():
            return
        if present is not None and present not in {script.revision for script in scripts.walk_revisions()}:
            raise Conflict(
                "database-newer",
                f"The node's database has the revision {present}, which this version does not know",
                remedy="Start it with the version of Salerno that last wrote it, or a newer one.",
            )
        command.upgrade(migration_config(connection), "head")


def migration_config(connection: Connection) -> Config:
    """Alembic's configuration for one open connection."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
