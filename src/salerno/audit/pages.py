"""The audit log as people read it: entries, checkpoint, receipts, and whether the whole log holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from litestar import get
from litestar.connection import Request
from litestar.params import FromPath
from litestar.response import Response
from litestar.types import ControllerRouterHandler

from salerno.adapters.database import Opens
from salerno.audit.model import Entry
from salerno.audit.service import AuditLog
from salerno.kernel.values import to_json
from salerno.web.callers import needs
from salerno.web.components import instant_words, short_did
from salerno.web.layout import Pages
from salerno.web.tables import value_text

TEMPLATES = Path(__file__).with_name("templates")
READERS = ("officer", "steward", "operator")
PAGE = 50

Req = Request[Any, Any, Any]


def routes(
    pages: Pages, open_audit: Opens[AuditLog], read_audit: Opens[AuditLog] | None = None
) -> list[ControllerRouterHandler]:
    """Handlers of ``/audit`` and below.

    Args:
        pages: The frame.
        open_audit: Opens the log in a transaction; a checkpoint is kept in it.
        read_audit: Opens the log in a transaction that only reads, for the verification, which takes long.
    """
    readers = [needs(*READERS)]

    @get("/audit", guards=readers, sync_to_thread=False, include_in_schema=False)
    def entries(request: Req) -> Response[Any]:
        query = request.query_params
        act, subject = query.get("act", "").strip(), query.get("subject", "").strip()
        with open_audit() as log:
            size = log.size()
            # The newest entries come first into view: people look for what just happened.
            after = _number(
                query.get("after", ""), default=max(-1, size - PAGE - 1) if not (act or subject) else -1
            )
            found = log.entries(after=after, limit=PAGE, act=act, subject=subject)
        asked = {"act": act, "subject": subject}
        earlier = _page(asked, max(-1, after - PAGE)) if after >= 0 else ""
        later = _page(asked, found[-1].index) if len(found) == PAGE and found[-1].index < size - 1 else ""
        return pages.render(
            request, "audit/entries.html", title="Audit log", entries=[row_of(e) for e in reversed(found)],
            asked=asked, size=size, earlier=earlier, later=later,
        )  # fmt: skip

    # Recomputing the log reads all of it, which may take seconds.
    @get("/audit/verification", guards=readers, sync_to_thread=True, include_in_schema=False)
    def verification(request: Req) -> Response[Any]:
        with (read_audit or open_audit)() as log:
            report = log.verify()
        return pages.render(
            request, "audit/verification.html", title="Verification of the audit log",
            crumbs=[("/audit", "Audit log")], report=report,
        )  # fmt: skip

    @get("/audit/checkpoint", guards=readers, sync_to_thread=False, include_in_schema=False)
    def checkpoint() -> Response[str]:
        with open_audit() as log:
            return Response(log.checkpoint(), media_type="text/plain", headers=_download("checkpoint.txt"))

    @get("/audit/receipts/{index:int}", guards=readers, sync_to_thread=False, include_in_schema=False)
    def receipt(index: FromPath[int]) -> Response[bytes]:
        with open_audit() as log:
            found = to_json(log.receipt(index))
        return Response(found, media_type="application/json", headers=_download(f"receipt-{index}.json"))

    return [entries, verification, checkpoint, receipt]


def row_of(entry: Entry) -> dict[str, Any]:
    """An entry in words."""
    detail = {name: value_text(value) for name, value in entry.detail.items()}
    return {
        "index": entry.index,
        "at": instant_words(entry.at),
        "actor": short_did(entry.actor),
        "act": entry.act,
        "words": entry.act.replace("-", " ").capitalize(),
        "subject": short_did(entry.subject),
        "rule": entry.rule,
        "detail": "; ".join(f"{k.replace('_', ' ')}: {v}" for k, v in detail.items()),
    }


def _page(asked: dict[str, str], after: int) -> str:
    return "/audit?" + urlencode({**{k: v for k, v in asked.items() if v}, "after": after})


def _number(text: str, default: int) -> int:
    return int(text) if text.lstrip("-").isdigit() and len(text) < 16 else default


def _download(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
