"""State tables of an application and of a permit, and what happens to them by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from salerno.kernel.states import StateTable, Step
from salerno.permits.model import ApplicationState, PermitState, Turn

_A = ApplicationState
_APPLICANT = "data applicant"
_ACCESS_BODY = "access body"
_D64 = "TEHDAS2 D6.4"
_DECIDE = "EHDS Art. 68(3)"
_COMPLETE = "EHDS Art. 68(4)"
_APPEAL = "TEHDAS2 D6.4; national law on appeals"

APPLICATION_STATES = StateTable(
    "application",
    (
        Step("", "draft", _A.DRAFT, _APPLICANT, "EHDS Art. 67(1)"),
        Step(_A.DRAFT, "save", _A.DRAFT, _APPLICANT, _D64),
        Step(_A.DRAFT, "submit", _A.SUBMITTED, _APPLICANT, "EHDS Art. 67(1)"),
        Step(_A.DRAFT, "withdraw", _A.WITHDRAWN, _APPLICANT, _D64),
        Step(_A.SUBMITTED, "take up", _A.PRE_SCREENING, _ACCESS_BODY, _D64),
        Step(_A.SUBMITTED, "withdraw", _A.WITHDRAWN, _APPLICANT, _D64),
        Step(_A.PRE_SCREENING, "find complete", _A.PROCESSING, _ACCESS_BODY, _COMPLETE),
        Step(_A.PRE_SCREENING, "ask back", _A.AWAITING_INFORMATION, _ACCESS_BODY, _COMPLETE),
        Step(_A.PRE_SCREENING, "withdraw", _A.WITHDRAWN, _APPLICANT, _D64),
        Step(_A.PROCESSING, "ask back", _A.AWAITING_INFORMATION, _ACCESS_BODY, _COMPLETE),
        Step(_A.PROCESSING, "extend", _A.PROCESSING, _ACCESS_BODY, _COMPLETE),
        Step(_A.PROCESSING, "propose", _A.PROCESSING, _ACCESS_BODY, "EHDS Art. 68(1)"),
        Step(_A.PROCESSING, "send back", _A.PROCESSING, _ACCESS_BODY, "EHDS Art. 68(1)"),
        Step(_A.PROCESSING, "decide", _A.DECIDED, _ACCESS_BODY, _DECIDE),
        Step(_A.PROCESSING, "withdraw", _A.WITHDRAWN, _APPLICANT, _D64),
        Step(_A.AWAITING_INFORMATION, "save", _A.AWAITING_INFORMATION, _APPLICANT, _COMPLETE),
        Step(_A.AWAITING_INFORMATION, "answer", _A.PROCESSING, _APPLICANT, _COMPLETE),
        Step(_A.AWAITING_INFORMATION, "lapse", _A.DECIDED, _ACCESS_BODY, _COMPLETE),
        Step(_A.AWAITING_INFORMATION, "withdraw", _A.WITHDRAWN, _APPLICANT, _D64),
        Step(_A.DECIDED, "appeal", _A.APPEALED, _APPLICANT, _APPEAL),
        Step(_A.APPEALED, "dismiss", _A.DECIDED, _ACCESS_BODY, _APPEAL),
        Step(_A.APPEALED, "uphold", _A.PROCESSING, _ACCESS_BODY, _APPEAL),
    ),
)
"""Statuses of TEHDAS2 D6.4 for one country; what was decided stands beside the state."""

PERMIT_STATES = StateTable(
    "permit",
    (
        Step("", "grant", PermitState.GRANTED, _ACCESS_BODY, _DECIDE),
        Step(PermitState.GRANTED, "amend", PermitState.AMENDED, _ACCESS_BODY, "EHDS Art. 68(12)"),
        Step(PermitState.GRANTED, "renew", PermitState.RENEWED, _ACCESS_BODY, "EHDS Art. 68(12)"),
        Step(PermitState.GRANTED, "revoke", PermitState.REVOKED, _ACCESS_BODY, "EHDS Art. 63"),
        Step(PermitState.GRANTED, "expire", PermitState.EXPIRED, "time", "EHDS Art. 68(12)"),
    ),
)
"""A permit that was amended or renewed has ended: another one, with an identifier of its own, goes on."""

CLOSED_STATES = frozenset({_A.DECIDED, _A.WITHDRAWN})
"""States in which nothing is to be done by anybody, unless the applicant appeals."""

TURNS: Mapping[ApplicationState, Turn] = {
    _A.DRAFT: Turn.APPLICANT,
    _A.SUBMITTED: Turn.ACCESS_BODY,
    _A.PRE_SCREENING: Turn.ACCESS_BODY,
    _A.PROCESSING: Turn.ACCESS_BODY,
    _A.AWAITING_INFORMATION: Turn.APPLICANT,
    _A.DECIDED: Turn.NOBODY,
    _A.APPEALED: Turn.ACCESS_BODY,
    _A.WITHDRAWN: Turn.NOBODY,
}
"""Whose turn it is in a state."""

ACTS: Mapping[str, str] = {
    "drafted": "Begun",
    "saved": "Saved",
    "submitted": "Submitted",
    "received": "Received by the access body",
    "application-published": "Published in the register",
    "decision-published": "The decision was published in the register",
    "taken-up": "Taken up: the access body looks whether it is complete",
    "found-complete": "Found complete",
    "assigned": "Assigned",
    "conflict-declared": "An officer declared a conflict of interest",
    "information-requested": "The access body asked for information",
    "information-given": "The applicant gave the information",
    "extended": "The period for the decision was extended",
    "proposed": "A decision was proposed",
    "sent-back": "The proposed decision was sent back",
    "decided": "Decided",
    "appealed": "The applicant appealed",
    "appeal-dismissed": "The appeal was dismissed",
    "appeal-upheld": "The appeal was upheld: the case is processed again",
    "withdrawn": "Withdrawn by the applicant",
    "undelivered": "Could not be delivered yet",
    "issued": "A data permit was issued",
    "amended": "The permit was amended: another one takes its place",
    "renewed": "The permit was renewed: another one takes its place",
    "revoked": "The permit was revoked",
    "deletion-proved": "A data holder proved that it deleted what it kept under the permit",
}
"""Everything that can happen to a case, in words for people."""

_ADVANCE = (
    _A.DRAFT,
    _A.SUBMITTED,
    _A.AWAITING_INFORMATION,
    _A.PRE_SCREENING,
    _A.PROCESSING,
    _A.APPEALED,
    _A.DECIDED,
)


def can_step(state: ApplicationState, verb: str) -> bool:
    """Whether an application in this state can take this step."""
    return any(step.verb == verb for step in APPLICATION_STATES.steps_from(state))


def overall_state(states: Iterable[ApplicationState]) -> ApplicationState:
    """State of the whole application: the least advanced of its countries; withdrawn where all are.

    Raises:
        ValueError: There is no country.
    """
    present = set(states)
    if not present:
        raise ValueError("an application needs at least one country")
    return next((state for state in _ADVANCE if state in present), _A.WITHDRAWN)
