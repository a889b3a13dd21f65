"""JSON routes of permits: applicants at the hub, officers, holders and citizens at an access body."""

from __future__ import annotations

from litestar.types import ControllerRouterHandler

from salerno.adapters.database import Opens
from salerno.identity.model import ParticipantRole
from salerno.permits.api.applicants import applicant_routes
from salerno.permits.api.exchange import delivery_routes, report_routes
from salerno.permits.api.officers import officer_routes, reidentifying_routes
from salerno.permits.api.public import FindPerson, citizen_routes, public_routes, status_lists
from salerno.permits.service import PermitDesk

__all__ = ["routes", "status_lists"]


def routes(
    open_desk: Opens[PermitDesk], role: ParticipantRole, find_person: FindPerson = lambda _: ""
) -> list[ControllerRouterHandler]:
    """The routes of a node of a role.

    Args:
        open_desk: Opens the permit desk in a transaction.
        role: What the node is; holders and environments have none of these routes.
        find_person: For an access body: whose record a citizen's account belongs to.
    """
    if role is ParticipantRole.HUB:
        return [*public_routes(open_desk), *applicant_routes(open_desk), *report_routes(open_desk)]
    if role is ParticipantRole.ACCESS_BODY:
        return [
            *public_routes(open_desk),
            *officer_routes(open_desk),
            *citizen_routes(open_desk, find_person),
            *delivery_routes(open_desk),
            *reidentifying_routes(open_desk),
        ]
    return []
