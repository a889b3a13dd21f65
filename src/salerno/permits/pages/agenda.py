"""The deadlines of an officer's cases as a calendar file."""

from __future__ import annotations

from typing import Any

from litestar import get
from litestar.connection import Request
from litestar.response import Response
from litestar.types import ControllerRouterHandler

from salerno.adapters.database import Opens
from salerno.kernel.time import Clock
from salerno.permits.service import PermitDesk
from salerno.permits.wire.agenda import render_agenda
from salerno.standards.ics import MEDIA_TYPE
from salerno.web.callers import caller_of, needs

Req = Request[Any, Any, Any]


def routes(open_desk: Opens[PermitDesk], clock: Clock, node_name: str) -> list[ControllerRouterHandler]:
    """Handler of ``/deadlines.ics``.

    Args:
        open_desk: Opens the permit desk in a transaction.
        clock: Dates the file.
        node_name: Name of the calendar.
    """

    @get("/deadlines.ics", guards=[needs("officer")], sync_to_thread=False, include_in_schema=False)
    def deadlines(request: Req) -> Response[bytes]:
        with open_desk() as desk:
            cases = desk.agenda(caller_of(request).id)
        url = f"{request.url.scheme}://{request.url.netloc}"
        return Response(
            render_agenda(cases, name=node_name, url=url, now=clock.now()),
            media_type=MEDIA_TYPE,
            headers={
                "Cache-Control": "no-store",
                "Content-Disposition": 'attachment; filename="deadlines.ics"',
            },
        )

    return [deadlines]
