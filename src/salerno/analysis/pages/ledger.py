"""A holder's ledger for its steward: who asked what, what was refused and why, and what is left to ask."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from litestar import get
from litestar.connection import Request
from litestar.params import FromPath
from litestar.response import Response
from litestar.types import ControllerRouterHandler

from salerno.adapters.database import Opens
from salerno.analysis.service.account import (
    Account,
    budget_words,
    column_words,
    read_account,
    refusal_words,
    short,
)
from salerno.analysis.service.entries import Entry, StoredSet
from salerno.analysis.service.ports import HolderDesk
from salerno.holdings.service import Holdings
from salerno.kernel.errors import NotFound
from salerno.web.callers import needs
from salerno.web.components import count_words, instant_words, short_did
from salerno.web.layout import Pages

READERS = ("steward", "operator")
PAGE = 50
_MOST_SETS = 200

Req = Request[Any, Any, Any]


def routes(
    pages: Pages, open_desk: Opens[HolderDesk], open_holdings: Opens[Holdings]
) -> list[ControllerRouterHandler]:
    """Handlers of ``/ledger`` and below.

    Args:
        pages: The frame.
        open_desk: Opens what the holder keeps of its runs, to read.
        open_holdings: Opens the holdings, for their policies.
    """
    readers = [needs(*READERS)]

    @get("/ledger", guards=readers, sync_to_thread=True, include_in_schema=False)
    def listing(request: Req) -> Response[Any]:
        query = request.query_params
        asked = {name: query.get(name, "").strip() for name in ("user", "permit", "refused")}
        page = int(text) if (text := query.get("page", "")).isdecimal() and len(text) < 9 else 0
        with open_holdings() as holdings:
            policies = {holding.dataset: holding.policy for holding in holdings.holdings()}
        with open_desk() as desk:
            account = read_account(
                desk.ledger,
                policies,
                refused=bool(asked["refused"]),
                user=asked["user"],
                permit=asked["permit"],
            )
        # The newest questions come first into view: people look for what was just refused.
        newest = account.entries[::-1]
        return pages.render(
            request,
            "analysis/ledger.html",
            title="Ledger",
            asked=asked,
            size=len(newest),
            rows=[_row(entry, account) for entry in newest[page * PAGE : (page + 1) * PAGE]],
            columns=[column_words(one) for one in account.columns if one.left is not None],
            budgets=[budget_words(one) for one in account.budgets],
            earlier=_page(asked, page + 1) if len(newest) > (page + 1) * PAGE else "",
            later=_page(asked, page - 1) if page else "",
        )

    @get("/ledger/{number:int}", guards=readers, sync_to_thread=True, include_in_schema=False)
    def single(request: Req, number: FromPath[int]) -> Response[Any]:
        with open_desk() as desk:
            found = next((entry for entry in desk.ledger.entries() if entry.id == number), None)
            sets = desk.ledger.sets([number])
        if found is None:
            raise NotFound(
                "unknown-entry",
                f"The ledger has no question {number}",
                remedy="Questions go a year after the permit's end.",
            )
        return pages.render(
            request,
            "analysis/ledger_entry.html",
            title=f"Question {number}",
            crumbs=[("/ledger", "Ledger")],
            entry=found,
            facts=_facts(found),
            reason=refusal_words(found),
            beside=found.refusal.entries if found.refusal else (),
            sets=[_set(one) for one in sets[:_MOST_SETS]],
            more=max(0, len(sets) - _MOST_SETS),
        )

    return [listing, single]


def _row(entry: Entry, account: Account) -> dict[str, Any]:
    return {
        "number": entry.id,
        "at": instant_words(entry.asked_at),
        "user": short(entry.user),
        "permit": short(entry.permit),
        "method": entry.question.get("method", ""),
        "columns": ", ".join(entry.columns),
        "persons": count_words(account.persons.get(entry.id)),
        "reason": refusal_words(entry),
        "beside": entry.refusal.entries if entry.refusal else (),
    }


def _facts(entry: Entry) -> list[tuple[str, str]]:
    return [
        ("Asked", instant_words(entry.asked_at)),
        ("By", entry.user),
        ("Under the permit", entry.permit),
        ("Of", entry.dataset),
        ("Question", json.dumps(entry.question, ensure_ascii=False)),
        ("Columns", ", ".join(entry.columns)),
        ("Led by", short_did(entry.coordinator)),
        ("Holders", ", ".join(map(short_did, entry.holders))),
        ("Differential privacy spent", f"{entry.epsilon:g}" if entry.epsilon else ""),
        ("Kept until", instant_words(entry.until)),
    ]


def _set(one: StoredSet) -> dict[str, str]:
    levels = " × ".join("missing" if level is None else level for level in one.cell or ())
    return {"name": levels or "The whole set", "persons": count_words(one.size)}


def _page(asked: dict[str, str], page: int) -> str:
    return "/ledger?" + urlencode({**{name: text for name, text in asked.items() if text}, "page": page})
