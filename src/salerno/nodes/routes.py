"""The web application of a node: which routes and pages its role has."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from litestar import Litestar, get
from litestar.types import ControllerRouterHandler

import salerno
from salerno.audit import api as audit_api
from salerno.audit import pages as audit_pages
from salerno.catalogue import api as catalogue_api
from salerno.catalogue import pages as catalogue_pages
from salerno.catalogue.model import DatasetDescription
from salerno.catalogue.remote import HttpCatalogueSource
from salerno.identity import api as identity_api
from salerno.identity import pages as identity_pages
from salerno.identity.model import ParticipantRole
from salerno.nodes.assemble import Node
from salerno.nodes.duties import Duties, harvest_sources
from salerno.permits.model import IssuedPermit
from salerno.web.callers import MAX_BODY_BYTES
from salerno.web.components import NavigationItem
from salerno.web.edge import Edge
from salerno.web.layout import Pages

HUB, BODY, HOLDER = ParticipantRole.HUB, ParticipantRole.ACCESS_BODY, ParticipantRole.HOLDER
_ROLES = {role: frozenset({role}) for role in ("researcher", "officer", "steward", "operator", "citizen")}

NAVIGATION: tuple[tuple[frozenset[ParticipantRole], NavigationItem], ...] = (
    (
        frozenset({HUB, BODY, HOLDER}),
        NavigationItem(
            "/datasets", "Find data", "Search the data sets of all countries and see what is in them."
        ),
    ),
    (
        frozenset({HUB}),
        NavigationItem(
            "/applications",
            "Applications",
            "Apply for data in several countries at once and follow the decisions.",
            _ROLES["researcher"],
        ),
    ),
    (
        frozenset({HUB}),
        NavigationItem(
            "/studies",
            "Studies",
            "Ask questions under your permits and see the answers.",
            _ROLES["researcher"],
        ),
    ),
    (
        frozenset({BODY}),
        NavigationItem("/cases", "Cases", "Assess applications and decide on them.", _ROLES["officer"]),
    ),
    (
        frozenset({HOLDER}),
        NavigationItem("/holdings", "Holdings", "Connect data and publish descriptions.", _ROLES["steward"]),
    ),
    (
        frozenset({HOLDER}),
        NavigationItem(
            "/ledger",
            "Ledger",
            "Who asked what of the data, what was refused and why, and what is left to ask.",
            _ROLES["steward"] | _ROLES["operator"],
        ),
    ),
    (
        frozenset({BODY}),
        NavigationItem(
            "/opt-out", "My choice", "Say whether your data may be used for secondary use.", _ROLES["citizen"]
        ),
    ),
    (
        frozenset({HUB, BODY}),
        NavigationItem("/register", "Public register", "Who applied for which data, and what was decided."),
    ),
    (
        frozenset({HUB, BODY, HOLDER}),
        NavigationItem(
            "/audit",
            "Audit log",
            "Every act at this node, with receipts that can be checked elsewhere.",
            _ROLES["officer"] | _ROLES["steward"] | _ROLES["operator"],
        ),
    ),
)
"""Entries of the main navigation by the roles of nodes that have them."""


def application(node: Node, when_loaded: Callable[[], object] = lambda: None) -> Litestar:
    """The node as an ASGI application; its duties run between start-up and shut-down.

    Args:
        node: What is served.
        when_loaded: What to do as soon as all is imported that a question needs.
    """
    role = node.settings.role

    def unread(account_id: str) -> int:
        with node.reading_notices() as notices:
            return notices.unread(account_id)

    secure = node.settings.url.startswith("https:")
    pages = Pages(
        {
            name: Path(salerno.__file__).parent / name / "templates"
            for name in ("analysis", "audit", "catalogue", "holdings", "identity", "permits")
        },
        node_name=node.settings.name,
        role=role.value,
        navigation=[item for roles, item in NAVIGATION if role in roles],
        secure=secure,
        unread=unread,
    )
    duties = Duties(node, when_loaded)

    @asynccontextmanager
    async def running(_: Litestar) -> AsyncIterator[None]:
        duties.start()
        try:
            yield
        finally:
            duties.stop()

    return Litestar(
        route_handlers=[*_everywhere(node, pages), *_of_role(node, pages)],
        plugins=[
            Edge(
                identity_api.authenticator(node.trust, node.reading_accounts, node.reading_trust),
                pages,
                secure=secure,
            )
        ],
        lifespan=[running],
        request_max_body_size=MAX_BODY_BYTES,
        openapi_config=None,
        debug=False,
    )


def _everywhere(node: Node, pages: Pages) -> list[ControllerRouterHandler]:
    @get("/health", sync_to_thread=False)
    def health() -> dict[str, str]:
        """Whether the node serves and reaches its database."""
        with node.database.reading():
            return {"status": "ok", "role": node.settings.role.value, "version": salerno.__version__}

    inbox = (node.accounts, node.notices, node.reading_accounts, node.reading_notices)
    return [
        health,
        *identity_api.routes(node.accounts, node.document),
        *identity_api.notice_routes(*inbox),
        *identity_pages.routes(pages, node.accounts),
        *identity_pages.inbox_routes(pages, *inbox, mails=node.mailer is not None),
        *catalogue_api.routes(
            node.catalogue,
            node.participant,
            HttpCatalogueSource(node.http),
            sources=lambda: harvest_sources(node),
            read_catalogue=node.reading_catalogue,
        ),
        *catalogue_pages.routes(pages, node.reading_catalogue),
        *audit_api.routes(node.audit),
        *audit_pages.routes(pages, node.audit, read_audit=node.reading_audit),
    ]


def _of_role(node: Node, pages: Pages) -> list[ControllerRouterHandler]:
    role = node.settings.role

    def find_person(account_id: str) -> str:
        with node.accounts() as accounts:
            return next((account.person for account in accounts.accounts() if account.id == account_id), "")

    def permits_of(user: str) -> list[IssuedPermit]:
        with node.permits() as desk:
            return desk.permits_of(user)

    def described(iris: Sequence[str]) -> list[DatasetDescription]:
        with node.reading_catalogue() as catalogue:
            return [catalogue.dataset(iri) for iri in dict.fromkeys(iris)]

    def publish(description: DatasetDescription, by: str) -> None:
        with node.catalogue() as catalogue:
            catalogue.publish(description, by)

    # Each role imports its own capabilities alone: an access body starts without an analysis engine.
    if role is HUB:
        from salerno.analysis import api as analysis_api
        from salerno.analysis import pages as analysis_pages
        from salerno.nodes.documents import ClientDocuments
        from salerno.nodes.rehearse import Rehearsals
        from salerno.permits import api as permits_api
        from salerno.permits import pages as permits_pages

        rehearse = Rehearsals()
        return [
            *permits_api.routes(node.permits, role),
            *permits_pages.routes(
                pages, node.permits, node.catalogue, node.clock, role, methods=analysis_pages.method_labels()
            ),
            *analysis_api.routes(node.coordinator, permits_of, rehearse, described),
            *analysis_pages.routes(
                pages, node.coordinator, permits_of, node.catalogue, rehearse, ClientDocuments()
            ),
        ]
    if role is BODY:
        from salerno.permits import api as permits_api
        from salerno.permits import pages as permits_pages

        return [
            *permits_api.routes(node.permits, role, find_person),
            *permits_api.status_lists(node.permits, node.render_status_list),
            *permits_pages.routes(
                pages, node.permits, node.catalogue, node.clock, role, find_person=find_person
            ),
        ]
    if role is HOLDER:
        from salerno.analysis.pages import ledger as ledger_pages
        from salerno.holdings import api as holdings_api
        from salerno.holdings import pages as holdings_pages

        return [
            *holdings_api.routes(node.holdings, node.holding_desk, publish),
            *holdings_pages.routes(pages, node.holdings, node.holding_desk, publish, node.catalogue),
            *ledger_pages.routes(pages, node.reading_holder_desk, node.holdings),
        ]
    return []
