"""JSON routes of a holder's holdings, for its stewards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler

from salerno.adapters.database import Opens
from salerno.catalogue.model import ContactPoint, DatasetDescription
from salerno.holdings.model import Holding, SourceKind
from salerno.holdings.service import HoldingDesk, Holdings
from salerno.kernel.codes import DataCategory
from salerno.kernel.values import from_json, to_plain
from salerno.permits.model import DisclosurePolicy
from salerno.web.callers import caller_of, needs


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Body of POST /api/holdings; see `Holdings.connect`."""

    id: str
    source: str
    kind: SourceKind = "tables"
    title: str = ""
    description: str = ""
    person_column: str = ""
    date_column: str = ""
    personal: bool = True
    policy: DisclosurePolicy = field(default_factory=DisclosurePolicy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """Body of POST /api/holdings/{id}/describe; see `Holdings.describe`."""

    categories: tuple[DataCategory, ...] = (DataCategory.EHRS,)
    keywords: tuple[str, ...] = ()
    provenance: str = ""
    contact: ContactPoint | None = None
    access_body_contact: ContactPoint | None = None
    population_coverage: str = ""
    language: str = "en"


def routes(
    open_holdings: Opens[Holdings],
    desk: HoldingDesk,
    publish: Callable[[DatasetDescription, str], None],
) -> list[HTTPRouteHandler]:
    """The routes.

    Args:
        open_holdings: Opens a transaction with the holdings.
        desk: Connects and describes outside of transactions.
        publish: Publishes a description in the node's catalogue, on behalf of an account.
    """

    @get("/api/holdings", guards=[needs("steward")], sync_to_thread=False)
    def list_holdings() -> list[dict[str, Any]]:
        with open_holdings() as holdings:
            return [_shown(holding) for holding in holdings.holdings()]

    @post("/api/holdings", guards=[needs("steward")], sync_to_thread=True)
    def connect(request: Request[Any, Any, Any], body: bytes) -> dict[str, Any]:
        asked = from_json(body, Connection, what="The connection")
        holding = desk.connect(
            asked.id,
            asked.source,
            caller_of(request).id,
            kind=asked.kind,
            title=asked.title,
            description=asked.description,
            person_column=asked.person_column,
            date_column=asked.date_column,
            personal=asked.personal,
            policy=asked.policy,
        )
        return _shown(holding)

    @post("/api/holdings/{holding_id:str}/describe", guards=[needs("steward")], sync_to_thread=True)
    def describe(request: Request[Any, Any, Any], holding_id: str, body: bytes) -> dict[str, Any]:
        details = from_json(body or b"{}", Details, what="The description")
        by = caller_of(request).id
        description = desk.describe(
            holding_id,
            by,
            categories=details.categories,
            keywords=details.keywords,
            provenance=details.provenance,
            contact=details.contact,
            access_body_contact=details.access_body_contact,
            population_coverage=details.population_coverage,
            language=details.language,
        )
        publish(description, by)
        shown: dict[str, Any] = to_plain(description)
        return shown

    return [list_holdings, connect, describe]


def _shown(holding: Holding) -> dict[str, Any]:
    """A holding without its source, which can hold a password."""
    return {name: value for name, value in to_plain(holding).items() if name != "source"}
