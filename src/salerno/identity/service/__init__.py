"""Use cases of identity: whom this node trusts, and who has an account at it."""

from __future__ import annotations

from salerno.identity.service.accounts import (
    ARGON2,
    Accounts,
    AccountStore,
    Argon2Passwords,
    Attempt,
    Failures,
    Passwords,
    Session,
    log_in,
)
from salerno.identity.service.ports import Journal
from salerno.identity.service.trust import KeyResolver, Trust, TrustStore

__all__ = [
    "ARGON2",
    "AccountStore",
    "Accounts",
    "Argon2Passwords",
    "Attempt",
    "Failures",
    "Journal",
    "KeyResolver",
    "Passwords",
    "Session",
    "Trust",
    "TrustStore",
    "log_in",
]
