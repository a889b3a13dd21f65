"""What persons are told: kept in the transaction of the act, shown in the portal, sent by e-mail as well."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from urllib.parse import urlsplit

from salerno.identity.model import Account, MailState, Notice, NoticeKind, NoticeWords, PersonRole
from salerno.identity.service.ports import JobQueue, Mailer
from salerno.identity.wire import mail_text, notice_words, placeholders
from salerno.kernel.errors import Refused, near
from salerno.kernel.ids import derived_id, new_id
from salerno.kernel.time import Clock

MAIL_JOB = "identity-mail"
"""Kind of the jobs that send a notice by e-mail."""

_SEND_AGAIN_AFTER = timedelta(hours=1)
_GIVE_UP_AFTER = timedelta(days=3)
_MOST = 500


class NoticeStore(Protocol):
    """What `Notices` needs of its store, within one transaction."""

    def add(self, notice: Notice) -> bool:
        """Keep a notice; answers whether it is new."""

    def notice(self, id: str) -> Notice | None:
        """The notice of that identifier."""

    def notices(self, account_id: str, *, unread: bool, limit: int) -> list[Notice]:
        """A person's notices, the newest first."""

    def unread(self, account_id: str) -> int:
        """How many a person has not read."""

    def mark_read(self, account_id: str, ids: list[str] | None, at: datetime) -> int:
        """Mark a person's notices as read, all of them for None; answers how many were not."""

    def put_mail(self, id: str, mail: MailState) -> None:
        """Keep whether a notice went by e-mail."""

    def mail_due(self, since: datetime, until: datetime) -> list[str]:
        """Identifiers of notices between two instants whose e-mail was not sent."""

    def account(self, account_id: str) -> Account | None:
        """The account of that identifier."""

    def accounts(self) -> list[Account]:
        """All accounts."""


@dataclass(frozen=True, slots=True)
class Mail:
    """A notice that is to go by e-mail."""

    notice_id: str
    to: str
    words: NoticeWords
    text: str


class Notices:
    """Tells persons with an account at this node what happened.

    Args:
        store: Where notices are kept.
        jobs: The queue of the same transaction; None where no mail server is set, so that nothing is sent.
        clock: Gives the present instant.
        kinds: What can be told, by name.
        url: Base address of the node.
        node: Its name for people.
    """

    def __init__(
        self,
        store: NoticeStore,
        jobs: JobQueue | None,
        clock: Clock,
        kinds: Mapping[str, NoticeKind],
        *,
        url: str,
        node: str,
    ) -> None:
        self._store = store
        self._jobs = jobs
        self._clock = clock
        self._kinds = kinds
        self._url = url.rstrip("/")
        self._node = node

    def tell(
        self, account_id: str, kind: str, values: Mapping[str, str | int], *, path: str, key: str = ""
    ) -> bool:
        """Tell one person something.

        Args:
            account_id: Whom. Who has no account here is told by their own node, so nothing happens.
            kind: Name of a kind.
            values: What its text names, and nothing else; no personal and no health details.
            path: Page at this node where the reader can see and act.
            key: Name of what happened: the same key tells the same person once for ever. Empty for none.

        Returns:
            Whether the person was told now.

        Raises:
            ValueError: There is no such kind, or it names other values.
        """
        self._check(kind, values)
        account = self._store.account(account_id)
        return account is not None and self._tell(account, kind, values, path, key)

    def tell_role(
        self, role: PersonRole, kind: str, values: Mapping[str, str | int], *, path: str, key: str = ""
    ) -> int:
        """Tell everybody of a role at this node, e.g. all officers; answers how many were told now."""
        self._check(kind, values)
        having = [account for account in self._store.accounts() if role in account.roles]
        return sum(self._tell(account, kind, values, path, key) for account in having)

    def inbox(
        self, account_id: str, *, unread: bool = False, limit: int = 100
    ) -> list[tuple[Notice, NoticeWords]]:
        """A person's notices in the person's language, the newest first."""
        account = self._store.account(account_id)
        if account is None:
            return []
        found = self._store.notices(account_id, unread=unread, limit=max(1, min(limit, _MOST)))
        return [(notice, self._words(notice, account)) for notice in found]

    def unread(self, account_id: str) -> int:
        """How many notices a person has not read."""
        return self._store.unread(account_id)

    def read(self, account_id: str, ids: Iterable[str] | None = None) -> int:
        """Mark a person's notices as read, all for None, nobody else's; answers how many were not."""
        chosen = None if ids is None else list(ids)
        return self._store.mark_read(account_id, chosen, self._clock.now())

    def mail(self, notice_id: str) -> Mail | None:
        """The e-mail of a notice; None when it was sent, or its reader wants none any more."""
        notice = self._store.notice(notice_id)
        account = None if notice is None else self._store.account(notice.account_id)
        if notice is None or account is None or notice.mail is not MailState.DUE:
            return None
        if not account.email:
            self._store.put_mail(notice.id, MailState.NONE)
            return None
        words = self._words(notice, account)
        text = mail_text(words, link=self._url + notice.path, node=self._node)
        return Mail(notice.id, account.email, words, text)

    def mailed(self, notice_id: str, state: MailState) -> None:
        """Keep what became of an e-mail."""
        self._store.put_mail(notice_id, state)

    def mail_again(self) -> int:
        """Ask anew for e-mails that a mail server did not take for an hour, for three days.

        The job queue tries for some minutes; a mail server can be away for longer.
        """
        if self._jobs is None:
            return 0
        now = self._clock.now()
        due = self._store.mail_due(now - _GIVE_UP_AFTER, now - _SEND_AGAIN_AFTER)
        for notice_id in due:
            self._enqueue(notice_id, f"{now:%Y%m%d%H}")  # at most one more job an hour
        return len(due)

    def host(self) -> str:
        """The node's host, which names of e-mails end with."""
        return urlsplit(self._url).hostname or "localhost"

    def _tell(
        self, account: Account, kind: str, values: Mapping[str, str | int], path: str, key: str
    ) -> bool:
        by_mail = bool(account.email) and self._jobs is not None
        notice = Notice(
            id=derived_id("notice", account.id, kind, key) if key else new_id("notice"),
            account_id=account.id,
            kind=kind,
            values=dict(values),
            path=path,
            told_at=self._clock.now(),
            mail=MailState.DUE if by_mail else MailState.NONE,
        )
        is_new = self._store.add(notice)
        if is_new and by_mail:
            self._enqueue(notice.id, "first")
        return is_new

    def _enqueue(self, notice_id: str, attempt: str) -> None:
        assert self._jobs is not None
        self._jobs.enqueue(MAIL_JOB, {"notice": notice_id}, key=f"{MAIL_JOB}/{notice_id}/{attempt}")

    def _words(self, notice: Notice, account: Account) -> NoticeWords:
        # A kind that an older version knew has no words any more; its name says more than an error.
        kind = self._kinds.get(notice.kind) or NoticeKind(name=notice.kind, subject=notice.kind, text="")
        return notice_words(notice, kind, account.language)

    def _check(self, kind: str, values: Mapping[str, str | int]) -> None:
        if kind not in self._kinds:
            raise ValueError(f"there is no kind of notice {kind!r}. {near(kind, self._kinds)}")
        known = self._kinds[kind]
        wanted = placeholders(known.subject) | placeholders(known.text) | placeholders(known.plural)
        if known.plural:
            wanted.add("count")
        if wanted != set(values):
            raise ValueError(f"{kind} wants the values {sorted(wanted)}, not {sorted(values)}")


def send_mail(
    open_notices: Callable[[], AbstractContextManager[Notices]], mailer: Mailer, payload: Mapping[str, Any]
) -> None:
    """Send the e-mail of a notice: the handler of `MAIL_JOB`, with no transaction open meanwhile.

    Run twice it may send twice, under the same name, which mail programs show once.

    Raises:
        Unavailable: The mail server does not take it now; the queue tries again.
    """
    with open_notices() as notices:
        mail = notices.mail(str(payload["notice"]))
        host = notices.host()
    if mail is None:
        return
    state = MailState.SENT
    try:
        mailer.send(
            to=mail.to,
            subject=mail.words.subject,
            text=mail.text,
            language=mail.words.language,
            id=f"{mail.notice_id}@{host}",
        )
    except Refused:
        state = MailState.REFUSED
    with open_notices() as notices:
        notices.mailed(mail.notice_id, state)
