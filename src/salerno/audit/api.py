"""JSON routes of the audit log."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import get
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.types import ControllerRouterHandler

from salerno.adapters.database import Opens
from salerno.audit.service import AuditLog
from salerno.kernel.values import to_plain
from salerno.web.callers import needs

_READERS = ("officer", "steward", "operator")


def routes(open_audit: Opens[AuditLog]) -> list[ControllerRouterHandler]:
    """The log's routes, for officers, stewards and the operator.

    Args:
        open_audit: Opens a transaction with the log.
    """

    @get("/api/audit/entries", guards=[needs(*_READERS)], sync_to_thread=False)
    def entries(
        after: FromQuery[int] = -1,
        limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 100,
        act: FromQuery[str] = "",
        subject: FromQuery[str] = "",
    ) -> list[dict[str, Any]]:
        """Entries in order, after an index."""
        with open_audit() as audit:
            found: list[dict[str, Any]] = to_plain(
                audit.entries(after=after, limit=limit, act=act, subject=subject)
            )
            return found

    @get("/api/audit/checkpoint", guards=[needs(*_READERS)], sync_to_thread=False)
    def checkpoint() -> dict[str, Any]:
        """The log's present state as a signed note."""
        with open_audit() as audit:
            return {"checkpoint": audit.checkpoint()}

    @get("/api/audit/receipts/{index:int}", guards=[needs(*_READERS)], sync_to_thread=False)
    def receipt(index: FromPath[int]) -> dict[str, Any]:
        """Proof that an entry is in the log."""
        with open_audit() as audit:
            found: dict[str, Any] = to_plain(audit.receipt(index))
            return found

    @get("/api/audit/consistency", guards=[needs(*_READERS)], sync_to_thread=False)
    def consistency(
        old: Annotated[int, QueryParameter(name="from", ge=1)],
        new: Annotated[int, QueryParameter(name="to", ge=1)],
    ) -> dict[str, Any]:
        """Proof that an earlier state of the log is the beginning of a later one."""
        with open_audit() as audit:
            return {"from": old, "to": new, "proof": audit.consistency(old, new)}

    return [entries, checkpoint, receipt, consistency]
