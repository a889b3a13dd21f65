"""Cases, permits and opt-outs in SQL, the same on SQLite and PostgreSQL."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from salerno.adapters.jobs import enqueue
from salerno.kernel.time import Clock
from salerno.permits.store.cases import SqlCases
from salerno.permits.store.opt_outs import SqlOptOuts
from salerno.permits.store.permits import SqlPermits
from salerno.permits.store.tables import metadata

__all__ = ["SqlPermitStore", "TransactionJobs", "metadata"]


class SqlPermitStore(SqlCases, SqlPermits, SqlOptOuts):
    """Implements `service.PermitStore` on one transaction."""


class TransactionJobs:
    """Implements `service.JobQueue`: a job is stored in the transaction of the act that asks for it."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    def enqueue(self, kind: str, payload: dict[str, Any], *, key: str) -> None:
        """See `service.ports.JobQueue`."""
        enqueue(self._connection, kind, payload, key=key, clock=self._clock)
