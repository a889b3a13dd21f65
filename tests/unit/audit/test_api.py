"""JSON routes of the log."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from litestar import Litestar, Response
from litestar.testing import TestClient

from salerno.adapters.clock import FixedClock
from salerno.adapters.database import Database
from salerno.adapters.keys import KeyRing
from salerno.audit import api, store
from salerno.audit.model import Receipt
from salerno.audit.rules import verify_receipt
from salerno.audit.service import AuditLog
from salerno.kernel.errors import SalernoError
from salerno.kernel.values import from_plain
from salerno.web.callers import Caller, CallerMiddleware

KEYS = KeyRing.generate()


def client(*roles: str) -> TestClient[Litestar]:
    database = Database("sqlite://")
    clock = FixedClock(datetime(2031, 1, 1, tzinfo=UTC))
    open_audit = database.opens(lambda c: AuditLog(store.SqlAuditStore(c), clock, KEYS, "x"))
    with database.transaction() as connection:
        store.metadata.create_all(connection)
    with open_audit() as audit:
        for number in range(5):
            audit.append(actor="a", act="row-read", subject=f"s{number % 2}", detail={"n": number})
    caller = Caller(kind="person", id="x#y", name="Y", roles=frozenset(roles)) if roles else None

    def problem(_: Any, error: SalernoError) -> Any:
        return Response(error.to_problem(), status_code=error.status)

    async def find(*_: Any) -> Caller | None:
        return caller

    app = Litestar(
        api.routes(open_audit),
        middleware=[lambda app: CallerMiddleware(app, find)],
        exception_handlers={SalernoError: problem},
    )
    http = TestClient(app)
    http.headers["authorization"] = "Bearer x"
    return http


def test_entries_receipts_and_checkpoints_are_given() -> None:
    with client("officer") as http:
        entries = http.get("/api/audit/entries?after=1&limit=2").json()
        assert [e["index"] for e in entries] == [2, 3]
        assert [e["index"] for e in http.get("/api/audit/entries?subject=s1").json()] == [1, 3]
        assert http.get("/api/audit/checkpoint").json()["checkpoint"].startswith("x\n5\n")
        receipt = from_plain(http.get("/api/audit/receipts/3").json(), Receipt, what="the receipt")
        assert verify_receipt(receipt, KEYS.signing_jwk()).index == 3
        assert http.get("/api/audit/receipts/99").status_code == 404
        assert len(http.get("/api/audit/consistency?from=3&to=5").json()["proof"]) == 4
        assert http.get("/api/audit/consistency?from=3&to=9").status_code == 422
        assert http.get("/api/audit/entries?limit=0").status_code == 400


@pytest.mark.parametrize(("roles", "status"), [((), 401), (("researcher", "citizen"), 403)])
def test_others_see_nothing(roles: tuple[str, ...], status: int) -> None:
    with client(*roles) as http:
        for path in ("entries", "checkpoint", "receipts/1", "consistency?from=1&to=2"):
            assert http.get(f"/api/audit/{path}").status_code == status
