"""Who has an account at this node: passwords, sessions, roles."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from salerno.identity.model import Account, AccountRecord, PersonRole
from salerno.identity.rules import (
    SESSION_HOURS,
    check_account,
    check_contact,
    check_password,
    check_roles,
    new_session_token,
    secret_digest,
    wait_seconds,
)
from salerno.identity.service.ports import Journal
from salerno.kernel.errors import Conflict, NotFound, Refused
from salerno.kernel.time import Clock


class Passwords(Protocol):
    """Hashes passwords, slowly and with salt."""

    def hash(self, password: str) -> str:
        """The hash with its parameters."""

    def verify(self, hash: str, password: str) -> bool:
        """Whether it is the hash of the password."""


class Argon2Passwords:
    """argon2id with the parameters of RFC 9106, at most two at a time, since each takes 64 MiB."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._slots = threading.BoundedSemaphore(2)
        self._nobody: str | None = None

    def hash(self, password: str) -> str:
        """The hash with its parameters."""
        with self._slots:
            return self._hasher.hash(password)

    def verify(self, hash: str, password: str) -> bool:
        """Whether it is the hash of the password; an empty hash takes as long as others and never fits."""
        if not hash and self._nobody is None:
            self._nobody = self.hash(new_session_token())
        with self._slots:
            try:
                self._hasher.verify(hash or str(self._nobody), password)
            except (VerificationError, InvalidHashError):
                return False
        return bool(hash)


ARGON2 = Argon2Passwords()


@dataclass(frozen=True, slots=True)
class Session:
    """A person who is logged in, as the store keeps it.

    Args:
        digest: SHA-256 of the session token.
        account_id: Whose it is.
        expires_at: Last instant.
    """

    digest: str
    account_id: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Failures:
    """Failed log-ins in a row under one name, and when the last one was."""

    count: int
    last_at: datetime


class AccountStore(Protocol):
    """What `Accounts` needs of its store, within one transaction."""

    def account(self, login: str) -> AccountRecord | None:
        """The account of that log-in name."""

    def accounts(self) -> list[Account]:
        """All accounts by log-in name."""

    def put_account(self, record: AccountRecord) -> None:
        """Keep an account, new or changed."""

    def add_session(self, session: Session, now: datetime) -> None:
        """Keep a session, and forget those that have ended."""

    def session_account(self, digest: str, now: datetime) -> Account | None:
        """The account of a session that has not ended."""

    def remove_session(self, digest: str) -> None:
        """End a session."""

    def failures(self, login_digest: str) -> Failures | None:
        """Failed log-ins under a name."""

    def put_failures(self, login_digest: str, failures: Failures) -> None:
        """Keep them, and forget those of a day ago."""

    def clear_failures(self, login_digest: str) -> None:
        """Start to count anew."""

    def after_rollback(self, work: Callable[[AccountStore], None]) -> None:
        """Do `work` on a store of its own transaction when this one is rolled back."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A log-in that is under way: what must be compared, outside any transaction.

    Args:
        login: The name that was given.
        account: Whose it is; None when nobody's.
        password_hash: To compare with; empty when nobody's.
    """

    login: str
    account: Account | None
    password_hash: str = field(repr=False)


class Accounts:
    """Persons with an account at this node.

    Args:
        store: Where accounts and sessions are kept.
        audit: The log of the same transaction.
        clock: Gives the present instant.
        own_did: This node; account identifiers begin with it.
        passwords: How passwords are hashed.
    """

    def __init__(
        self,
        store: AccountStore,
        audit: Journal,
        clock: Clock,
        own_did: str,
        passwords: Passwords = ARGON2,
    ) -> None:
        self._store = store
        self._audit = audit
        self._clock = clock
        self._own_did = own_did
        self.passwords = passwords

    def create(
        self,
        login: str,
        name: str,
        password: str,
        roles: Iterable[PersonRole],
        person: str = "",
        *,
        by: str = "",
        email: str = "",
        language: str = "en",
    ) -> Account:
        """Make an account.

        Args:
            login: Log-in name, unique at this node; a pseudonym, since other nodes see it in the identifier.
            name: Name for people.
            password: 12 characters at least.
            roles: What the person may do.
            person: The natural person's identifier at the holders, for citizens only.
            by: Who makes it; empty for the node itself.
            email: Where notices go as well as into the portal; empty for nowhere.
            language: Language of notices.

        Raises:
            Conflict: The log-in name is taken.
            Invalid: Something is not in order; the values are not repeated.
        """
        account = Account(
            id=f"{self._own_did}#{login}",
            login=login,
            name=name,
            roles=tuple(PersonRole(r) for r in roles),
            created_at=self._clock.now(),
            person=person,
            email=email.strip(),
            language=language,
        )
        check_account(account)
        check_password(password, login)
        if self._store.account(login) is not None:
            raise Conflict("account-exists", "The log-in name is taken", remedy="Choose another.")
        self._store.put_account(AccountRecord(account=account, password_hash=self.passwords.hash(password)))
        self._audit.append(
            actor=by or self._own_did,
            act="account-created",
            subject=account.id,
            detail={"roles": [r.value for r in account.roles]},
        )
        return account

    def set_roles(self, login: str, roles: Iterable[PersonRole], *, by: str) -> Account:
        """Give an account other roles; they count from its next request on.

        Raises:
            NotFound: There is no such account.
            Invalid: No role is left.
        """
        record = self._store.account(login)
        if record is None:
            raise NotFound("account-unknown", "There is no such account")
        changed = replace(record.account, roles=tuple(PersonRole(r) for r in roles))
        check_roles(changed.roles)
        self._store.put_account(replace(record, account=changed))
        self._audit.append(
            actor=by,
            act="roles-changed",
            subject=changed.id,
            detail={"roles": [r.value for r in changed.roles]},
        )
        return changed

    def account(self, account_id: str) -> Account:
        """One account of this node.

        Raises:
            NotFound: There is no such account here.
        """
        record = self._store.account(account_id.rpartition("#")[2])
        if record is None or record.account.id != account_id:
            raise NotFound("account-unknown", "There is no such account")
        return record.account

    def set_contact(
        self, account_id: str, *, email: str | None = None, language: str | None = None
    ) -> Account:
        """Say where and in which language a person is told of things; None leaves it as it is.

        Args:
            account_id: Whose; the person's own choice.
            email: Empty for the portal alone.
            language: One of `web.languages.LANGUAGES`.

        Raises:
            NotFound: There is no such account here.
            Invalid: The address or the language is not in order; the address is not repeated.
        """
        before = self.account(account_id)
        changed = replace(
            before,
            email=before.email if email is None else email.strip(),
            language=before.language if language is None else language,
        )
        check_contact(changed)
        record = self._store.account(changed.login)
        assert record is not None
        self._store.put_account(replace(record, account=changed))
        told = [name for name in ("email", "language") if getattr(before, name) != getattr(changed, name)]
        self._audit.append(
            actor=account_id, act="contact-changed", subject=account_id, detail={"changed": told}
        )
        return changed

    def log_in(self, login: str, password: str) -> str:
        """Log a person in, within this one transaction.

        Surfaces use the function `log_in` instead: it does not hold the database while it hashes.

        Returns:
            A session token for 12 hours; the store keeps its hash alone.

        Raises:
            Refused: ``log-in-failed`` (name or password), or ``log-in-throttled`` after too many failures.
        """
        attempt = self.begin_log_in(login)
        return self.end_log_in(attempt, self.passwords.verify(attempt.password_hash, password))

    def begin_log_in(self, login: str) -> Attempt:
        """First half of a log-in.

        Raises:
            Refused: ``log-in-throttled``.
        """
        record = self._store.account(login)
        account = None if record is None else record.account
        self._check_throttle(login, account)
        return Attempt(login, account, "" if record is None else record.password_hash)

    def end_log_in(self, attempt: Attempt, correct: bool) -> str:
        """Second half of a log-in; a failure is counted and logged although it is raised.

        Args:
            attempt: What `begin_log_in` gave.
            correct: Whether the password fits.

        Raises:
            Refused: ``log-in-failed`` or ``log-in-throttled``.
        """
        # Again: other attempts may have failed in the meantime.
        self._check_throttle(attempt.login, attempt.account)
        account, digest, now = attempt.account, secret_digest(attempt.login), self._clock.now()
        if account is None or not correct:
            self._count_failure(digest)
            self._record_refusal(account, "wrong")
            raise Refused("log-in-failed", "Log-in name or password is wrong")
        self._store.clear_failures(digest)
        token = new_session_token()
        expires_at = now + timedelta(hours=SESSION_HOURS)
        self._store.add_session(Session(secret_digest(token), account.id, expires_at), now)
        self._audit.append(actor=account.id, act="session-opened", subject=account.id)
        return token

    def account_of(self, token: str) -> Account | None:
        """Whose session it is, with the roles of this moment; None when it has ended or never was."""
        return self._store.session_account(secret_digest(token), self._clock.now()) if token else None

    def log_out(self, token: str) -> None:
        """End a session; one that has ended already stays so."""
        account = self.account_of(token)
        if account is not None:
            self._store.remove_session(secret_digest(token))
            self._audit.append(actor=account.id, act="session-closed", subject=account.id)

    def accounts(self) -> list[Account]:
        """All accounts by log-in name."""
        return self._store.accounts()

    def _check_throttle(self, login: str, account: Account | None) -> None:
        failures = self._store.failures(secret_digest(login))
        if failures is None:
            return
        passed = (self._clock.now() - failures.last_at).total_seconds()
        left = wait_seconds(failures.count) - passed
        if left > 0:
            self._record_refusal(account, "throttled")
            raise Refused(
                "log-in-throttled",
                "Too many log-ins under this name failed",
                remedy=f"Try again in {int(left) + 1} s.",
            )

    def _count_failure(self, digest: str) -> None:
        now = self._clock.now()

        def count(store: AccountStore) -> None:
            before = store.failures(digest)
            store.put_failures(digest, Failures(1 if before is None else before.count + 1, now))

        count(self._store)
        self._store.after_rollback(count)

    def _record_refusal(self, account: Account | None, reason: str) -> None:
        # The name that was tried is not logged: people type passwords into the wrong field.
        self._audit.append_refusal(
            actor="unknown",
            act="log-in-refused",
            subject="" if account is None else account.id,
            detail={"reason": reason},
        )


def log_in(open_accounts: Callable[[], AbstractContextManager[Accounts]], login: str, password: str) -> str:
    """Log a person in, comparing the password between two short transactions.

    Returns:
        A session token for 12 hours.

    Raises:
        Refused: ``log-in-failed`` or ``log-in-throttled``.
    """
    with open_accounts() as accounts:
        attempt = accounts.begin_log_in(login)
        passwords = accounts.passwords
    correct = passwords.verify(attempt.password_hash, password)
    with open_accounts() as accounts:
        return accounts.end_log_in(attempt, correct)
