"""The migrations make just the tables that the stores use."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from salerno.adapters.database import Database
from salerno.kernel.errors import Conflict
from salerno.nodes.migrate import migrate
from salerno.nodes.tables import METADATA


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(f"sqlite:///{tmp_path / 'node.db'}")


def test_migrated_tables_are_those_of_the_stores(database: Database) -> None:
    migrate(database)
    with database.transaction() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), list(METADATA))
    assert differences == []


def test_a_second_migration_changes_nothing(database: Database) -> None:
    migrate(database)
    with database.transaction() as connection:
        connection.execute(text("INSERT INTO audit_checkpoint (number, size, note) VALUES (1, 0, 'x')"))
    migrate(database)
    with database.transaction() as connection:
        assert connection.execute(text("SELECT count(*) FROM audit_checkpoint")).scalar_one() == 1


def test_a_database_of_a_newer_version_is_left_alone(database: Database) -> None:
    migrate(database)
    with database.transaction() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Conflict, match="newer"):
        migrate(database)
