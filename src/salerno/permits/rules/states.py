"""State tables of an application and of a permit."""

from __future__ import annotations

from collections.abc import Iterable

from salerno.kernel.states import StateTable, Step
from salerno.permits.model import ApplicationState, PermitState

_A = ApplicationState
_APPLICANT = "data applicant"
_ACCESS_BODY = "access body"
_D64 = "TEHDAS2 D6.4"

APPLICATION_STATES = StateTable(
    "application",
    (
        Step("", "draft", _A.DRAFT, _APPLICANT, "EHDS Art. 67(1)"),
        Step(_A.DRAFT, "save", _A.DRAFT, _APPLICANT, _D64),
        Step(_A.DRAFT, "submit", _A.SUBMITTED, _APPLICANT, "EHDS Art. 67(1)"),
        Step(_A.DRAFT, "withdraw", _A.WITHDRAWN, _APPLICANT, _D64),
        Step(_A.SUBMITTED, "take up", _A.PROCESSING, _ACCESS_BODY, "EHDS Art. 68(1)"),
        Step(_A.SUBMITTED, "withdraw", _A.WITHDRAWN, _APPLICANT, _D64),
        Step(_A.PROCESSING, "ask back", _A.AWAITING_INFORMATION, _ACCESS_BODY, "EHDS Art. 68(4)"),
        Step(_A.PROCESSING, "grant", _A.GRANTED, _ACCESS_BODY, "EHDS Art. 68(3)"),
        Step(_A.PROCESSING, "refuse", _A.REFUSED, _ACCESS_BODY, "EHDS Art. 68(3)"),
        Step(_A.PROCESSING, "withdraw", _A.WITHDRAWN, _APPLICANT, _D64),
        Step(_A.AWAITING_INFORMATION, "save", _A.AWAITING_INFORMATION, _APPLICANT, "EHDS Art. 68(4)"),
        Step(_A.AWAITING_INFORMATION, "answer", _A.PROCESSING, _APPLICANT, "EHDS Art. 68(4)"),
        Step(_A.AWAITING_INFORMATION, "lapse", _A.REFUSED, _ACCESS_BODY, "EHDS Art. 68(4)"),
        Step(_A.AWAITING_INFORMATION, "withdraw", _A.WITHDRAWN, _APPLICANT, _D64),
    ),
)
"""Statuses of TEHDAS2 D6.4 for one country; pre-screening is part of processing here."""

PERMIT_STATES = StateTable(
    "permit",
    (
        Step("", "grant", PermitState.GRANTED, _ACCESS_BODY, "EHDS Art. 68(3)"),
        Step(PermitState.GRANTED, "revoke", PermitState.REVOKED, _ACCESS_BODY, "EHDS Art. 63"),
        Step(PermitState.GRANTED, "expire", PermitState.EXPIRED, "time", "EHDS Art. 68(12)"),
    ),
)

FINAL_STATES = frozenset(_A(state) for state in APPLICATION_STATES.final)

_ADVANCE = (_A.DRAFT, _A.SUBMITTED, _A.AWAITING_INFORMATION, _A.PROCESSING, _A.GRANTED, _A.REFUSED)


def can_step(state: ApplicationState, verb: str) -> bool:
    """Whether an application in this state can take this step."""
    return any(step.verb == verb for step in APPLICATION_STATES.steps_from(state))


def overall_state(states: Iterable[ApplicationState]) -> ApplicationState:
    """State of the whole application: the least advanced of its countries.

    When all are decided, one grant makes it granted, else one refusal makes it refused.

    Raises:
        ValueError: There is no country.
    """
    present = set(states)
    if not present:
        raise ValueError("an application needs at least one country")
    return next((state for state in _ADVANCE if state in present), _A.WITHDRAWN)
