"""JSON routes for everybody: register, forms and status list; and for citizens, the opt-out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from litestar import Request, Response, get, post
from litestar.params import FromPath, FromQuery, RawBody
from litestar.types import ControllerRouterHandler

from salerno.adapters.database import Opens
from salerno.audit.model import Receipt
from salerno.identity.model import PersonRole
from salerno.kernel.values import from_json
from salerno.permits.model import (
    OptOut,
    OptOutLevel,
    RegisterPage,
)
from salerno.permits.model.form import FormSheet
from salerno.permits.rules import (
    forms,
    sheet_of,
)
from salerno.permits.service import PAGE, PermitDesk
from salerno.permits.service.acts import page_limit
from salerno.permits.service.cases import STATUS_LIST_PATH
from salerno.web.callers import caller_of, needs

FindPerson = Callable[[str], str]
"""The natural person's identifier behind an account, empty when there is none."""

RenderStatusList = Callable[[Sequence[int]], str]
"""Signs a list with a 1 at these places."""

Anyone = Request[Any, Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class OptOutBody:
    """What a citizen sends; without level, all secondary use is meant."""

    opted_out: bool
    level: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptOutAnswer:
    """What a citizen sees: the periods with their receipts, without the identifier.

    Args:
        opted_out: Whether an opt-out stands, of whatever level.
        history: All periods.
        levels: What one can opt out from in this country; the first is all secondary use.
    """

    opted_out: bool
    history: list[OptOut]
    levels: tuple[OptOutLevel, ...]


def public_routes(open_desk: Opens[PermitDesk]) -> list[ControllerRouterHandler]:
    """The register and the forms, open to everybody."""

    @get("/api/register", sync_to_thread=False)
    def register(after: FromQuery[str] = "", limit: FromQuery[int] = PAGE) -> RegisterPage:
        """The public register of applications and decisions, newest first, in pages."""
        with open_desk() as desk:
            return desk.register(after=after, limit=page_limit(limit))

    @get("/api/forms", sync_to_thread=False)
    def all_forms() -> list[str]:
        """Name and version of every form."""
        return sorted(forms())

    @get("/api/forms/{name:str}/{version:int}", sync_to_thread=False)
    def one_form(name: FromPath[str], version: FromPath[int]) -> FormSheet:
        """A form: its sections and fields."""
        return sheet_of(f"{name}/{version}")

    return [register, all_forms, one_form]


def status_lists(open_desk: Opens[PermitDesk], render: RenderStatusList) -> list[ControllerRouterHandler]:
    """The route of an access body's status list, open to everybody.

    Args:
        open_desk: Opens the permit desk in a transaction.
        render: Signs the list.
    """

    @get(STATUS_LIST_PATH, sync_to_thread=False)
    def permits() -> Response[str]:
        """Which permits have been revoked, as a Bitstring Status List credential."""
        with open_desk() as desk:
            revoked = desk.revoked_places()
        headers = {"Cache-Control": "public, max-age=10"}
        return Response(render(revoked), media_type="application/vc+jwt", headers=headers)

    return [permits]


def citizen_routes(open_desk: Opens[PermitDesk], find_person: FindPerson) -> list[ControllerRouterHandler]:
    """A natural person's own opt-out."""
    citizen = [needs(PersonRole.CITIZEN)]

    @get("/api/opt-out", guards=citizen, sync_to_thread=False)
    def opt_out_state(request: Anyone) -> OptOutAnswer:
        """Whether the caller has opted out, and since when."""
        person = find_person(caller_of(request).id)
        with open_desk() as desk:
            return _answer(desk, person)

    @post("/api/opt-out", guards=citizen, status_code=200, sync_to_thread=False)
    def opt_out(request: Anyone, body: RawBody) -> OptOutAnswer:
        """Opt out, or take the opt-out back."""
        wanted = from_json(body, OptOutBody, what="the opt-out")
        caller = caller_of(request)
        person = find_person(caller.id)
        with open_desk() as desk:
            if wanted.opted_out:
                desk.opt_out(person, caller.id, level=wanted.level)
            else:
                desk.opt_in(person, caller.id, level=wanted.level)
            return _answer(desk, person)

    @get("/api/opt-out/receipts/{index:int}", guards=citizen, sync_to_thread=False)
    def opt_out_receipt(request: Anyone, index: FromPath[int]) -> Receipt:
        """Proof of a choice of the caller's, to be checked without this node."""
        person = find_person(caller_of(request).id)
        with open_desk() as desk:
            return desk.opt_out_receipt(person, index)

    return [opt_out_state, opt_out, opt_out_receipt]


def _answer(desk: PermitDesk, person: str) -> OptOutAnswer:
    history = desk.opt_out_history(person)
    return OptOutAnswer(
        opted_out=any(o.until is None for o in history),
        history=[replace(o, person="") for o in history],
        levels=desk.opt_out_levels,
    )
