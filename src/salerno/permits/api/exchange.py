"""JSON routes between nodes: parts and reports of cases, and what holders ask their access body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from litestar import Request, get, post
from litestar.params import FromPath, FromQuery, RawBody
from litestar.types import ControllerRouterHandler

from salerno.adapters.database import Opens
from salerno.audit.model import Receipt
from salerno.identity.model import ParticipantRole
from salerno.kernel.errors import Invalid
from salerno.kernel.values import from_json
from salerno.permits.model import (
    CasePart,
    OptOutList,
    PermitState,
    PseudonymKey,
    StatusReport,
)
from salerno.permits.service import PermitDesk
from salerno.web.callers import caller_of, needs

Anyone = Request[Any, Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletionBody:
    """What a holder sends after a permit's end."""

    permit: str
    receipt: Receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class PermitStatusAnswer:
    """What a holder or environment sees of a permit."""

    id: str
    state: PermitState


def report_routes(open_desk: Opens[PermitDesk]) -> list[ControllerRouterHandler]:
    """At the hub: what access bodies report."""

    # Checking a permit's credential may fetch the issuer's keys, so this one leaves the loop.
    @post(
        "/api/exchange/cases/{case_id:str}/status",
        guards=[needs(ParticipantRole.ACCESS_BODY)],
        status_code=204,
        sync_to_thread=True,
    )
    def status(request: Anyone, case_id: FromPath[str], body: RawBody) -> None:
        """An access body's report on a case."""
        report = from_json(body, StatusReport, what="the status report")
        if report.case_id != case_id:
            raise Invalid("case-differs", "The report is about another case than its address says")
        with open_desk() as desk:
            desk.record(report, caller_of(request).id)

    return [status]


def delivery_routes(open_desk: Opens[PermitDesk]) -> list[ControllerRouterHandler]:
    """At an access body: what the hub delivers, and what holders ask and prove."""

    @post("/api/exchange/cases", guards=[needs(ParticipantRole.HUB)], status_code=204, sync_to_thread=False)
    def receive(request: Anyone, body: RawBody) -> None:
        """An application's part from the hub."""
        part = from_json(body, CasePart, what="the application's part")
        with open_desk() as desk:
            desk.receive(part, caller_of(request).id)

    @get(
        "/api/exchange/permit-status",
        guards=[needs(ParticipantRole.HOLDER, ParticipantRole.HUB, ParticipantRole.SPE)],
        sync_to_thread=False,
    )
    def permit_status(request: Anyone, id: FromQuery[str]) -> PermitStatusAnswer:
        """State of a permit, for a participant that it concerns."""
        with open_desk() as desk:
            issued = desk.status_for(id, caller_of(request).id)
        return PermitStatusAnswer(id=issued.permit.id, state=issued.state)

    # A token per opted-out person is computed, so this one leaves the loop.
    @get("/api/exchange/opt-outs", guards=[needs(ParticipantRole.HOLDER)], sync_to_thread=True)
    def opt_outs(request: Anyone, permit: FromQuery[str], dataset: FromQuery[str]) -> OptOutList:
        """Who is left out of a data set of the holder that asks, under a permit."""
        with open_desk() as desk:
            return desk.opt_outs_for(caller_of(request).id, permit, dataset)

    @post(
        "/api/exchange/deletions",
        guards=[needs(ParticipantRole.HOLDER)],
        status_code=204,
        sync_to_thread=False,
    )
    def deletion(request: Anyone, body: RawBody) -> None:
        """A holder's proof that it has deleted what it kept under a permit."""
        proved = from_json(body, DeletionBody, what="the proof of deletion")
        with open_desk() as desk:
            desk.prove_deleted(proved.permit, proved.receipt, caller_of(request).id)

    @get("/api/exchange/pseudonym-key", guards=[needs(ParticipantRole.HOLDER)], sync_to_thread=False)
    def key_of_pseudonyms(request: Anyone, permit: FromQuery[str]) -> PseudonymKey:
        """What the holder that asks makes the pseudonyms of a permit with."""
        with open_desk() as desk:
            return desk.pseudonym_key_for(caller_of(request).id, permit)

    return [receive, permit_status, opt_outs, deletion, key_of_pseudonyms]
