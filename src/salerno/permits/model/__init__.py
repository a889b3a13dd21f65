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
    Assessment,
    Case,
    CasePart,
    Criterion,
    Decision,
    RegisterEntry,
    StatusReport,
)
from salerno.permits.model.opt_out import EVERYTHING, OptOut, OptOutLevel, OptOutList
from salerno.permits.model.permit import DataPermit, IssuedPermit, PermitState
from salerno.permits.model.policy import DisclosurePolicy

__all__ = [
    "EVERYTHING",
    "ApplicationState",
    "Assessment",
    "Case",
    "CasePart",
    "Condition",
    "Criterion",
    "DataAccessApplication",
    "DataPermit",
    "DataScope",
    "Decision",
    "DisclosurePolicy",
    "IssuedPermit",
    "NamedPerson",
    "Operator",
    "OptOut",
    "OptOutLevel",
    "OptOutList",
    "PermitState",
    "RegisterEntry",
    "StatusReport",
]
