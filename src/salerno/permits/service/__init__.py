"""Use cases of permits: filing at the hub, deciding and opt-outs at an access body."""

from __future__ import annotations

from salerno.permits.service.cases import CaseFile
from salerno.permits.service.deciding import REPORT, Deciding
from salerno.permits.service.filing import FORWARD, Filing
from salerno.permits.service.objecting import Objecting
from salerno.permits.service.ports import (
    CredentialSigner,
    JobQueue,
    Journal,
    Objections,
    Peers,
    PermitStore,
    Reader,
)

__all__ = [
    "FORWARD",
    "REPORT",
    "CaseFile",
    "CredentialSigner",
    "Deciding",
    "Filing",
    "JobQueue",
    "Journal",
    "Objecting",
    "Objections",
    "Peers",
    "PermitDesk",
    "PermitStore",
    "Reader",
]


class PermitDesk(Filing, Deciding, Objecting):
    """A node's permit desk, made per transaction; which use cases it has depends on the node's role."""
