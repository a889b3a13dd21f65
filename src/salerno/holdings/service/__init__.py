"""Connecting and describing a holder's data, and the one door through which a study reads them."""

from __future__ import annotations

from salerno.holdings.service.connecting import HoldingDesk, Holdings
from salerno.holdings.service.ports import (
    Apps,
    AppSession,
    CredentialVerifier,
    Engine,
    HoldingStore,
    OpenedFrame,
    OptOutRegister,
    PermitStatus,
    Persons,
    Stage,
    Tell,
    Trace,
)
from salerno.holdings.service.view import STATUS_LIFETIME, PermittedView, ViewDoor

__all__ = [
    "STATUS_LIFETIME",
    "AppSession",
    "Apps",
    "CredentialVerifier",
    "Engine",
    "HoldingDesk",
    "HoldingStore",
    "Holdings",
    "OpenedFrame",
    "OptOutRegister",
    "PermitStatus",
    "PermittedView",
    "Persons",
    "Stage",
    "Tell",
    "Trace",
    "ViewDoor",
]
