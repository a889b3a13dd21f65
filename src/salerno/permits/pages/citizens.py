"""Pages for everybody: the opt-out of natural persons (Art. 71) and the public register (Art. 57(1)(j))."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from litestar import get, post
from litestar.connection import Request
from litestar.response import Response
from litestar.types import ControllerRouterHandler

from salerno.adapters.database import Opens
from salerno.permits.model import OptOut
from salerno.permits.pages.words import country_name
from salerno.permits.service import PermitDesk
from salerno.web.callers import caller_of, needs
from salerno.web.components import Moment, day_words, instant_words
from salerno.web.layout import Pages
from salerno.web.sessions import form_of

Req = Request[Any, Any, Any]

FindPerson = Callable[[str], str]
"""The natural person's identifier behind an account, empty when there is none."""


def opt_out_routes(
    pages: Pages, open_desk: Opens[PermitDesk], find_person: FindPerson
) -> list[ControllerRouterHandler]:
    """Handlers of ``/opt-out``."""
    citizen = [needs("citizen")]

    @get("/opt-out", guards=citizen, sync_to_thread=False, include_in_schema=False)
    def choice(request: Req) -> Response[Any]:
        person = find_person(caller_of(request).id)
        with open_desk() as desk:
            history = desk.opt_out_history(person)
        return pages.render(
            request,
            "permits/opt_out.html",
            title="Use of my health data",
            opted_out=any(o.until is None for o in history),
            moments=[m for o in reversed(history) for m in reversed(_moments(o))],
        )

    @post("/opt-out", guards=citizen, sync_to_thread=False, include_in_schema=False)
    def choose(request: Req) -> Response[Any]:
        caller = caller_of(request)
        person = find_person(caller.id)
        with open_desk() as desk:
            if form_of(request).text("choice") == "out":
                desk.opt_out(person, caller.id)
                told = "You have opted out. Your data are left out of every permit approved from now on."
            else:
                desk.opt_in(person, caller.id)
                told = "You have taken your opt-out back. Permits approved from now on may include your data."
        return pages.go("/opt-out", told)

    return [choice, choose]


def _moments(period: OptOut) -> list[Moment]:
    proof = "" if period.receipt is None else f"Proved by entry {period.receipt} of the audit log"
    moments = [Moment(what="You opted out", when=instant_words(period.since), detail=proof)]
    if period.until is not None:
        entry = period.reversal_receipt
        back = "" if entry is None else f"Proved by entry {entry} of the audit log"
        moments.append(
            Moment(what="You took the opt-out back", when=instant_words(period.until), detail=back)
        )
    return moments


def register_routes(pages: Pages, open_desk: Opens[PermitDesk]) -> list[ControllerRouterHandler]:
    """Handler of ``/register``, open to everybody."""

    @get("/register", sync_to_thread=False, include_in_schema=False)
    def register(request: Req) -> Response[Any]:
        with open_desk() as desk:
            entries = desk.register()
        rows = [
            {
                "entry": entry,
                "countries": [
                    {
                        "country": country_name(code),
                        "decision": decision,
                        "reason": entry.reason.get(code, ""),
                        "until": day_words(entry.valid_until.get(code)),
                        "decided": day_words(entry.decided_at.get(code)),
                    }
                    for code, decision in sorted(entry.decision.items())
                ],
            }
            for entry in entries
        ]
        return pages.render(request, "permits/register.html", title="Public register", rows=rows)

    return [register]
