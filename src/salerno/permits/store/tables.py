"""What the parts of the permits' store share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    Connection,
    MetaData,
    Row,
    Table,
)
from sqlalchemy.dialects import postgresql, sqlite

metadata = MetaData()


class PermitTables:
    """Statements on one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def _one(self, query: Any) -> Row[Any] | None:
        return self._connection.execute(query).one_or_none()

    def _put(
        self, table: Table, key: Mapping[str, Any], values: Mapping[str, Any], *, overwrite: bool = True
    ) -> None:
        make = sqlite.insert if self._connection.dialect.name == "sqlite" else postgresql.insert
        statement = make(table).values(**key, **values)
        if overwrite:
            statement = statement.on_conflict_do_update(index_elements=list(key), set_=dict(values))
        else:
            statement = statement.on_conflict_do_nothing(index_elements=list(key))
        self._connection.execute(statement)
