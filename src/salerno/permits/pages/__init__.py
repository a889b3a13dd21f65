"""Pages of permits: applicants at the hub; officers and citizens at an access body; the register for all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from litestar.types import ControllerRouterHandler

from salerno.adapters.database import Opens
from salerno.catalogue.service import Catalogue
from salerno.identity.model import ParticipantRole
from salerno.kernel.time import Clock
from salerno.permits.pages import agenda, applications, cases
from salerno.permits.pages.citizens import FindPerson, opt_out_routes, register_routes
from salerno.permits.service import PermitDesk
from salerno.web.layout import Pages

TEMPLATES = Path(__file__).parent.with_name("templates")


def routes(
    pages: Pages,
    open_desk: Opens[PermitDesk],
    open_catalogue: Opens[Catalogue],
    clock: Clock,
    role: ParticipantRole,
    *,
    methods: Sequence[tuple[str, str]] = (),
    find_person: FindPerson = lambda _: "",
) -> list[ControllerRouterHandler]:
    """The pages of a node of a role.

    Args:
        pages: The frame.
        open_desk: Opens the permit desk in a transaction.
        open_catalogue: Opens the catalogue.
        clock: For days that are left.
        role: What the node is; holders and environments have none of these pages.
        methods: At the hub: name and label of the analysis methods that can be asked for.
        find_person: At an access body: whose record a citizen's account belongs to.
    """
    if role is ParticipantRole.HUB:
        return [
            *register_routes(pages, open_desk),
            *applications.routes(pages, open_desk, open_catalogue, clock, methods),
        ]
    if role is ParticipantRole.ACCESS_BODY:
        return [
            *register_routes(pages, open_desk),
            *cases.routes(pages, open_desk, open_catalogue, clock),
            *agenda.routes(open_desk, clock, pages.node_name),
            *opt_out_routes(pages, open_desk, find_person),
        ]
    return []
