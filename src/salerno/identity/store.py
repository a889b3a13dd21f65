"""Participants, accounts and sessions in SQL."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    bindparam,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from salerno.adapters.database import after_rollback
from salerno.identity.model import (
    Account,
    AccountRecord,
    MailState,
    MessageClaims,
    Notice,
    Participant,
    ParticipantRole,
    PersonRole,
)
from salerno.identity.service import AccountStore, Failures, Session
from salerno.kernel.time import from_text, to_text
from salerno.kernel.values import from_json, to_json

metadata = MetaData()

_participants = Table(
    "identity_participant",
    metadata,
    Column("did", Text, primary_key=True),
    Column("role", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("country", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("access_body", Text, nullable=False),
    Column("admitted_at", Text, nullable=False),
)

_messages = Table(
    "identity_message",
    metadata,
    Column("sender", Text, primary_key=True),
    Column("jti", Text, primary_key=True),
    Column("expires_at", Text, nullable=False),
)
Index("identity_message_end", _messages.c.expires_at)

_accounts = Table(
    "identity_account",
    metadata,
    Column("id", Text, primary_key=True),
    Column("login", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("roles", Text, nullable=False),
    Column("person", Text, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("email", Text, nullable=False, server_default=""),
    Column("language", Text, nullable=False, server_default="en"),
)

_sessions = Table(
    "identity_session",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("account_id", Text, ForeignKey(_accounts.c.id), nullable=False),
    Column("expires_at", Text, nullable=False),
)
Index("identity_session_end", _sessions.c.expires_at)

_failures = Table(
    "identity_failure",
    metadata,
    Column("login_digest", Text, primary_key=True),
    Column("count", Integer, nullable=False),
    Column("last_at", Text, nullable=False),
)

# Asked at every message, so built once: building a statement takes several times as long as running it.
_PARTICIPANT = select(_participants).where(_participants.c.did == bindparam("of_did"))
_BURN: dict[str, Any] = {
    name: dialect.insert(_messages).on_conflict_do_nothing().returning(_messages.c.jti)
    for name, dialect in {"sqlite": sqlite, "postgresql": postgresql}.items()
}
_FORGET_MESSAGES = delete(_messages).where(_messages.c.expires_at < bindparam("before"))

_notices = Table(
    "identity_notice",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey(_accounts.c.id), nullable=False),
    Column("kind", Text, nullable=False),
    Column("details", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("told_at", Text, nullable=False),
    Column("read_at", Text, nullable=False),  # empty while it is unread
    Column("mail", Text, nullable=False),
)
Index("identity_notice_inbox", _notices.c.account_id, _notices.c.told_at)
# Small, so that every page can say how many are unread, and a node whose mails wait.
_UNREAD, _WAITING = _notices.c.read_at == "", _notices.c.mail == "due"
Index("identity_notice_unread", _notices.c.account_id, sqlite_where=_UNREAD, postgresql_where=_UNREAD)
Index("identity_notice_mail", _notices.c.told_at, sqlite_where=_WAITING, postgresql_where=_WAITING)

_FORGET_FAILURES_AFTER = timedelta(days=1)


class SqlTrustStore:
    """Participants and burnt messages on one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def participant(self, did: str) -> Participant | None:
        """The admitted participant of that DID."""
        row = self._connection.execute(_PARTICIPANT, {"of_did": did}).one_or_none()
        return None if row is None else _participant(row)

    def participants(self, role: ParticipantRole | None) -> list[Participant]:
        """Admitted participants, by country and name."""
        query = select(_participants).order_by(
            _participants.c.country, _participants.c.name, _participants.c.did
        )
        if role is not None:
            query = query.where(_participants.c.role == role.value)
        return [_participant(row) for row in self._connection.execute(query)]

    def put_participant(self, participant: Participant, admitted_at: datetime) -> None:
        """Keep a participant, new or changed."""
        values = {
            "role": participant.role.value,
            "name": participant.name,
            "country": participant.country,
            "url": participant.url,
            "access_body": participant.access_body,
            "admitted_at": to_text(admitted_at),
        }
        _upsert(self._connection, _participants, {"did": participant.did}, values)

    def remove_participant(self, did: str) -> None:
        """Forget a participant."""
        self._connection.execute(delete(_participants).where(_participants.c.did == did))

    def burn(self, message: MessageClaims) -> bool:
        """Note that a message came; answers whether it is the first time."""
        values = {
            "sender": message.sender,
            "jti": message.jti,
            "expires_at": to_text(message.expires_at),
        }
        return self._connection.execute(_BURN[self._connection.dialect.name], values).first() is not None

    def forget_messages(self, now: datetime) -> None:
        """Forget the burnt messages that have expired."""
        self._connection.execute(_FORGET_MESSAGES, {"before": to_text(now)})


class SqlAccountStore:
    """Accounts, sessions and failed log-ins on one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def account(self, login: str) -> AccountRecord | None:
        """The account of that log-in name."""
        row = self._connection.execute(select(_accounts).where(_accounts.c.login == login)).one_or_none()
        return None if row is None else AccountRecord(account=_account(row), password_hash=row.password_hash)

    def accounts(self) -> list[Account]:
        """All accounts by log-in name."""
        return [
            _account(row) for row in self._connection.execute(select(_accounts).order_by(_accounts.c.login))
        ]

    def put_account(self, record: AccountRecord) -> None:
        """Keep an account, new or changed."""
        account = record.account
        values = {
            "login": account.login,
            "name": account.name,
            "roles": to_json(account.roles).decode(),
            "person": account.person,
            "created_at": to_text(account.created_at),
            "password_hash": record.password_hash,
            "email": account.email,
            "language": account.language,
        }
        _upsert(self._connection, _accounts, {"id": account.id}, values)

    def add_session(self, session: Session, now: datetime) -> None:
        """Keep a session, and forget those that have ended."""
        self._connection.execute(delete(_sessions).where(_sessions.c.expires_at <= to_text(now)))
        self._connection.execute(
            _sessions.insert().values(
                digest=session.digest,
                account_id=session.account_id,
                expires_at=to_text(session.expires_at),
            )
        )

    def session_account(self, digest: str, now: datetime) -> Account | None:
        """The account of a session that has not ended."""
        row = self._connection.execute(
            select(_accounts)
            .join(_sessions, _sessions.c.account_id == _accounts.c.id)
            .where(_sessions.c.digest == digest, _sessions.c.expires_at > to_text(now))
        ).one_or_none()
        return None if row is None else _account(row)

    def remove_session(self, digest: str) -> None:
        """End a session."""
        self._connection.execute(delete(_sessions).where(_sessions.c.digest == digest))

    def failures(self, login_digest: str) -> Failures | None:
        """Failed log-ins under a name."""
        row = self._connection.execute(
            select(_failures).where(_failures.c.login_digest == login_digest)
        ).one_or_none()
        return None if row is None else Failures(row._mapping["count"], from_text(row.last_at))

    def put_failures(self, login_digest: str, failures: Failures) -> None:
        """Keep them, and forget those of a day ago."""
        old = to_text(failures.last_at - _FORGET_FAILURES_AFTER)
        self._connection.execute(delete(_failures).where(_failures.c.last_at < old))
        values = {"count": failures.count, "last_at": to_text(failures.last_at)}
        _upsert(self._connection, _failures, {"login_digest": login_digest}, values)

    def clear_failures(self, login_digest: str) -> None:
        """Start to count anew."""
        self._connection.execute(delete(_failures).where(_failures.c.login_digest == login_digest))

    def after_rollback(self, work: Callable[[AccountStore], None]) -> None:
        """Do `work` on a store of its own transaction when this one is rolled back."""
        after_rollback(self._connection, lambda connection: work(SqlAccountStore(connection)))


class SqlNoticeStore:
    """Notices on one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, notice: Notice) -> bool:
        """Keep a notice; answers whether it is new."""
        added = self._connection.execute(
            _insert(self._connection, _notices)
            .values(
                id=notice.id,
                account_id=notice.account_id,
                kind=notice.kind,
                details=to_json(notice.values).decode(),
                path=notice.path,
                told_at=to_text(notice.told_at),
                read_at="",
                mail=notice.mail.value,
            )
            .on_conflict_do_nothing(index_elements=["id"])
            .returning(_notices.c.id)
        )
        return added.first() is not None

    def notice(self, id: str) -> Notice | None:
        """The notice of that identifier."""
        row = self._connection.execute(select(_notices).where(_notices.c.id == id)).one_or_none()
        return None if row is None else _notice(row)

    def notices(self, account_id: str, *, unread: bool, limit: int) -> list[Notice]:
        """A person's notices, the newest first."""
        query = select(_notices).where(_notices.c.account_id == account_id)
        if unread:
            query = query.where(_UNREAD)
        query = query.order_by(_notices.c.told_at.desc(), _notices.c.id.desc()).limit(limit)
        return [_notice(row) for row in self._connection.execute(query)]

    def unread(self, account_id: str) -> int:
        """How many a person has not read."""
        query = select(func.count()).where(_notices.c.account_id == account_id, _UNREAD)
        return int(self._connection.execute(query).scalar_one())

    def mark_read(self, account_id: str, ids: list[str] | None, at: datetime) -> int:
        """Mark a person's notices as read, all of them for None; answers how many were not."""
        query = update(_notices).where(_notices.c.account_id == account_id, _UNREAD)
        if ids is not None:
            query = query.where(_notices.c.id.in_(ids))
        marked = self._connection.execute(query.values(read_at=to_text(at)).returning(_notices.c.id))
        return len(marked.all())

    def put_mail(self, id: str, mail: MailState) -> None:
        """Keep whether a notice went by e-mail."""
        self._connection.execute(update(_notices).where(_notices.c.id == id).values(mail=mail.value))

    def mail_due(self, since: datetime, until: datetime) -> list[str]:
        """Identifiers of notices between two instants whose e-mail was not sent."""
        query = select(_notices.c.id).where(
            _WAITING, _notices.c.told_at >= to_text(since), _notices.c.told_at <= to_text(until)
        )
        return list(self._connection.execute(query).scalars())

    def account(self, account_id: str) -> Account | None:
        """The account of that identifier."""
        row = self._connection.execute(select(_accounts).where(_accounts.c.id == account_id)).one_or_none()
        return None if row is None else _account(row)

    def accounts(self) -> list[Account]:
        """All accounts."""
        return SqlAccountStore(self._connection).accounts()


def _insert(connection: Connection, table: Table) -> Any:
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


def _upsert(connection: Connection, table: Table, key: dict[str, Any], values: dict[str, Any]) -> None:
    statement = _insert(connection, table).values(**key, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=values))


def _participant(row: Any) -> Participant:
    return Participant(
        did=row.did,
        role=ParticipantRole(row.role),
        name=row.name,
        country=row.country,
        url=row.url,
        access_body=row.access_body,
    )


def _account(row: Any) -> Account:
    return Account(
        id=row.id,
        login=row.login,
        name=row.name,
        roles=from_json(row.roles, tuple[PersonRole, ...], what="the account's roles"),
        created_at=from_text(row.created_at),
        person=row.person,
        email=row.email,
        language=row.language,
    )


def _notice(row: Any) -> Notice:
    return Notice(
        id=row.id,
        account_id=row.account_id,
        kind=row.kind,
        values=from_json(row.details, dict[str, str | int], what="the notice's values"),
        path=row.path,
        told_at=from_text(row.told_at),
        read_at=from_text(row.read_at) if row.read_at else None,
        mail=MailState(row.mail),
    )
