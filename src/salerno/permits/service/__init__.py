"""Use cases of permits: filing at the hub, deciding and opt-outs at an access body."""

from __future__ import annotations

from salerno.permits.service.cases import PAGE, CaseFile
from salerno.permits.service.deciding import Deciding
from salerno.permits.service.ending import Ending
from salerno.permits.service.filing import FORWARD, Filing
from salerno.permits.service.handling import REPORT
from salerno.permits.service.objecting import Objecting
from salerno.permits.service.ports import (
    JobQueue,
    Journal,
    Notices,
    Objections,
    Officers,
    Peers,
    PermitStore,
    Reader,
    Signer,
)
from salerno.permits.service.pseudonyms import Pseudonymising
from salerno.permits.service.registering import Registering
from salerno.permits.service.reminding import Reminding

__all__ = [
    "FORWARD",
    "PAGE",
    "REPORT",
    "CaseFile",
    "Deciding",
    "Ending",
    "Filing",
    "JobQueue",
    "Journal",
    "Notices",
    "Objecting",
    "Objections",
    "Officers",
    "Peers",
    "PermitDesk",
    "PermitStore",
    "Reader",
    "Registering",
    "Reminding",
    "Signer",
]


class PermitDesk(Filing, Deciding, Objecting, Registering, Ending, Reminding, Pseudonymising):
    """A node's permit desk, made per transaction; which use cases it has depends on the node's role."""
