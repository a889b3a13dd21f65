"""Pages for everybody: the opt-out of natural persons (Art. 71) and the public register (Art. 57(1)(j))."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from litestar import get, post
from litestar.connection import Request
from litestar.params import FromPath
from litestar.response import Response
from litestar.types import ControllerRouterHandler

from salerno.adapters.database import Opens
from salerno.kernel.values import to_json
from salerno.permits.model import OptOut, OptOutLevel
from salerno.permits.pages.words import country_name, further
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
            history, levels = desk.opt_out_history(person), desk.opt_out_levels
        standing = {o.level for o in history if o.until is None}
        return pages.render(
            request,
            "permits/opt_out.html",
            title="Use of my health data",
            opted_out="" in standing,
            choices=[_choice(level, level.name in standing) for level in levels],
            moments=[m for o in reversed(history) for m in reversed(_moments(o, levels))],
        )

    @post("/opt-out", guards=citizen, sync_to_thread=False, include_in_schema=False)
    def choose(request: Req) -> Response[Any]:
        caller = caller_of(request)
        person = find_person(caller.id)
        choice, _, level = form_of(request).text("choice").partition(" ")
        with open_desk() as desk:
            if choice == "out":
                desk.opt_out(person, caller.id, level=level)
                told = "You have opted out. Your data are left out of every permit approved from now on."
                if level:
                    told = "You have opted out. It holds for every permit approved from now on."
            else:
                desk.opt_in(person, caller.id, level=level)
                told = "You have taken your opt-out back. Permits approved from now on may include your data."
        return pages.go("/opt-out", told)

    @get("/opt-out/receipts/{index:int}", guards=citizen, sync_to_thread=False, include_in_schema=False)
    def receipt(request: Req, index: FromPath[int]) -> Response[bytes]:
        person = find_person(caller_of(request).id)
        with open_desk() as desk:
            found = to_json(desk.opt_out_receipt(person, index))
        name = f'attachment; filename="opt-out-{index}.json"'
        headers = {"Content-Disposition": name, "Cache-Control": "no-store"}
        return Response(found, media_type="application/json", headers=headers)

    return [choice, choose, receipt]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Choice:
    """A level with what it covers in words, and whether the person has opted out from it."""

    name: str
    title: str
    covers: str
    out: bool


def _choice(level: OptOutLevel, out: bool) -> _Choice:
    words = [purpose.label for purpose in level.purposes] + [code.label for code in level.categories]
    return _Choice(name=level.name, title=level.title, covers="; ".join(words), out=out)


def _moments(period: OptOut, levels: tuple[OptOutLevel, ...]) -> list[Moment]:
    titles = {level.name: level.title for level in levels}
    what = titles.get(period.level, period.level)
    moments = [_moment("You opted out", what, period.since, period.receipt)]
    if period.until is not None:
        moments.append(_moment("You took the opt-out back", what, period.until, period.reversal_receipt))
    return moments


def _moment(did: str, what: str, when: datetime, receipt: int | None) -> Moment:
    told, proof = what, ""
    if receipt is not None:
        told, proof = f"{what}. Proved by entry {receipt} of the audit log.", f"/opt-out/receipts/{receipt}"
    return Moment(what=did, when=instant_words(when), detail=told, proof=proof)


def register_routes(pages: Pages, open_desk: Opens[PermitDesk]) -> list[ControllerRouterHandler]:
    """Handler of ``/register``, open to everybody."""

    @get("/register", sync_to_thread=False, include_in_schema=False)
    def register(request: Req) -> Response[Any]:
        with open_desk() as desk:
            page = desk.register(after=request.query_params.get("after", ""))
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
            for entry in page.entries
        ]
        return pages.render(
            request,
            "permits/register.html",
            title="Public register",
            rows=rows,
            later=further("/register", page.next),
        )

    return [register]
