"""Applications (Art. 67), assessments, data permits (Art. 68) and opt-outs (Art. 71) as values."""

from __future__ import annotations

from salerno.permits.model.application import (
    Condition,
    DataAccessApplication,
    DataScope,
    NamedPerson,
    Operator,
)
from salerno.permits.model.case import (
    ApplicationState,
    BoardView,
    Case,
    CaseEvent,
    CaseKind,
    CaseLine,
    CasePage,
    CasePart,
    CountryStatus,
    Handling,
    InformationRequest,
    RegisterEntry,
    RegisterPage,
    StatusReport,
    Turn,
)
from salerno.permits.model.decision import (
    Assessment,
    Conflict,
    Criterion,
    Decision,
    Outcome,
    Procedure,
    Proposal,
    Terms,
    Verdict,
)
from salerno.permits.model.ending import DeletionProof
from salerno.permits.model.opt_out import EVERYTHING, OptOut, OptOutLevel, OptOutList
from salerno.permits.model.permit import DataPermit, IssuedPermit, PermitState
from salerno.permits.model.policy import DisclosurePolicy
from salerno.permits.model.pseudonym import PseudonymKey, Reidentification

__all__ = [
    "EVERYTHING",
    "ApplicationState",
    "Assessment",
    "BoardView",
    "Case",
    "CaseEvent",
    "CaseKind",
    "CaseLine",
    "CasePage",
    "CasePart",
    "Condition",
    "Conflict",
    "CountryStatus",
    "Criterion",
    "DataAccessApplication",
    "DataPermit",
    "DataScope",
    "Decision",
    "DeletionProof",
    "DisclosurePolicy",
    "Handling",
    "InformationRequest",
    "IssuedPermit",
    "NamedPerson",
    "Operator",
    "OptOut",
    "OptOutLevel",
    "OptOutList",
    "Outcome",
    "PermitState",
    "Procedure",
    "Proposal",
    "PseudonymKey",
    "RegisterEntry",
    "RegisterPage",
    "Reidentification",
    "StatusReport",
    "Terms",
    "Turn",
    "Verdict",
]
