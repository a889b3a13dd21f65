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
from salerno.identity.service.notices import MAIL_JOB, Notices, NoticeStore, send_mail
from salerno.identity.service.ports import JobQueue, Journal, Mailer
from salerno.identity.service.trust import KeyResolver, Trust, TrustStore

__all__ = [
    "ARGON2",
    "MAIL_JOB",
    "AccountStore",
    "Accounts",
    "Argon2Passwords",
    "Attempt",
    "Failures",
    "JobQueue",
    "Journal",
    "KeyResolver",
    "Mailer",
    "NoticeStore",
    "Notices",
    "Passwords",
    "Session",
    "Trust",
    "TrustStore",
    "log_in",
    "send_mail",
]
