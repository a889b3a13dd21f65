"""JSON routes of identity, and the finding of a request's caller."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import unquote, urlsplit

from litestar import Request, Response, get, post, put
from litestar.params import RawBody
from litestar.types import ControllerRouterHandler

from salerno.adapters.database import Opens
from salerno.adapters.gathering import Gathering
from salerno.identity.model import Account, MessageClaims, Notice, NoticeWords, Participant
from salerno.identity.rules import claimed_sender
from salerno.identity.service import Accounts, Notices, Trust, log_in
from salerno.kernel.errors import Invalid, NotFound, Refused
from salerno.kernel.values import from_json, to_plain
from salerno.standards.did import DidDocument, document_url, render_document
from salerno.web.callers import Authenticate, Caller, bearer_token, caller_of, is_signed_message, needs
from salerno.web.sessions import session_token

_SHORT_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class LogIn:
    """What a log-in sends."""

    login: str
    password: str


def routes(open_accounts: Opens[Accounts], document: DidDocument) -> list[ControllerRouterHandler]:
    """Log-in, log-out, the caller's own account, and the node's DID document.

    Args:
        open_accounts: Opens a transaction with the accounts.
        document: This node's DID document.
    """
    rendered = render_document(document)

    @get(unquote(urlsplit(document_url(document.did)).path), sync_to_thread=False)
    def did_document() -> Response[bytes]:
        """The node's keys, for everybody."""
        return Response(rendered, media_type="application/did+json", headers={"cache-control": "max-age=60"})

    # Comparing a password takes long on purpose, so it must not hold the loop.
    @post("/api/log-in", status_code=200, sync_to_thread=True)
    def log_in_with_password(body: RawBody) -> dict[str, Any]:
        """Log a person in: name and password for a session token of 12 hours."""
        data = from_json(body, LogIn, what="the log-in")
        token = log_in(open_accounts, data.login, data.password)
        with open_accounts() as accounts:
            account = accounts.account_of(token)
        return {"token": token, "account": None if account is None else _plain_account(account)}

    @get("/api/me", guards=[needs()], sync_to_thread=False)
    def me(request: Request[Any, Any, Any]) -> dict[str, Any]:
        """Who the caller is here."""
        caller = caller_of(request)
        known = {"kind": caller.kind, "id": caller.id, "name": caller.name, "roles": sorted(caller.roles)}
        if caller.kind == "participant":
            return known | {"country": caller.country}
        return known | {"login": caller.id.rpartition("#")[2]}

    @post("/api/log-out", guards=[needs()], status_code=204, sync_to_thread=False)
    def log_out(request: Request[Any, Any, Any]) -> None:
        """End the session whose token came with the request."""
        with open_accounts() as accounts:
            accounts.log_out(bearer_token({"authorization": request.headers.get("authorization", "")}))

    return [did_document, log_in_with_password, me, log_out]


@dataclass(frozen=True, slots=True)
class Contact:
    """Where and in which language a person wants to be told; None leaves it as it is."""

    email: str | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class ReadNotices:
    """Which notices were read; None for all."""

    ids: list[str] | None = None


def notice_routes(
    open_accounts: Opens[Accounts],
    open_notices: Opens[Notices],
    read_accounts: Opens[Accounts],
    read_notices: Opens[Notices],
) -> list[ControllerRouterHandler]:
    """The caller's own notices, and how they reach the person.

    Args:
        open_accounts: Opens a transaction that may write.
        open_notices: The same.
        read_accounts: Opens one that only reads.
        read_notices: The same.
    """

    def person(request: Request[Any, Any, Any]) -> str:
        caller = caller_of(request)
        if caller.kind != "person":
            raise Refused("persons-only", "Only persons have an inbox")
        return caller.id

    @get("/api/notices", guards=[needs()], sync_to_thread=False)
    def notices(request: Request[Any, Any, Any]) -> list[dict[str, Any]]:
        """The caller's notices in the caller's language, the newest first; ``unread=true`` for new ones."""
        with read_notices() as desk:
            found = desk.inbox(person(request), unread=request.query_params.get("unread") == "true")
        return [plain_notice(notice, words) for notice, words in found]

    @post("/api/notices/read", guards=[needs()], status_code=200, sync_to_thread=False)
    def read(request: Request[Any, Any, Any], body: RawBody) -> dict[str, int]:
        """Mark notices as read, all without ``ids``."""
        chosen = from_json(body or b"{}", ReadNotices, what="the notices")
        with open_notices() as desk:
            return {"marked": desk.read(person(request), chosen.ids), "unread": desk.unread(person(request))}

    @get("/api/me/contact", guards=[needs()], sync_to_thread=False)
    def contact(request: Request[Any, Any, Any]) -> dict[str, str]:
        """Where and in which language the caller is told of things."""
        with read_accounts() as accounts:
            return _plain_contact(accounts.account(person(request)))

    @put("/api/me/contact", guards=[needs()], sync_to_thread=False)
    def set_contact(request: Request[Any, Any, Any], body: RawBody) -> dict[str, str]:
        """Change it."""
        wanted = from_json(body, Contact, what="the contact")
        with open_accounts() as accounts:
            changed = accounts.set_contact(person(request), email=wanted.email, language=wanted.language)
        return _plain_contact(changed)

    return [notices, read, contact, set_contact]


def plain_notice(notice: Notice, words: NoticeWords) -> dict[str, Any]:
    """A notice as JSON."""
    return {
        "id": notice.id,
        "kind": notice.kind,
        "subject": words.subject,
        "text": words.text,
        "language": words.language,
        "path": notice.path,
        "told_at": notice.told_at,
        "read_at": notice.read_at,
    }


def _plain_contact(account: Account) -> dict[str, str]:
    return {"email": account.email, "language": account.language}


def authenticator(
    open_trust: Opens[Trust], open_accounts: Opens[Accounts], read_trust: Opens[Trust] | None = None
) -> Authenticate:
    """Finds who sent a request: a person by session token, a participant by signed message.

    The outside learns no more than that a message is refused; the reason stands in the audit log, in a
    transaction of its own. A message counts once, also when what it asks for then fails.

    Args:
        open_trust: Opens a transaction that may write.
        open_accounts: Opens a transaction; one that only reads is enough.
        read_trust: Opens one that only reads, to look up the sender without waiting for a writer.

    Returns:
        What `web.callers.CallerMiddleware` asks. It raises `Refused` (``message-refused``) for a bad message
        and `Unavailable` where the sender's keys cannot be had; it answers None for a session that has ended.
    """
    messages = _Messages(open_trust, read_trust or open_trust)

    async def authenticate(
        method: str, url: str, headers: Mapping[str, str], cookies: Mapping[str, str], body: bytes
    ) -> Caller | None:
        if is_signed_message(headers):
            return await messages.sender(bearer_token(headers), method, url, body)
        token = session_token(headers, cookies)
        if not token:
            return None
        with open_accounts() as accounts:
            account = accounts.account_of(token)
        return None if account is None else _person(account)

    return authenticate


class _Messages:
    """Lets signed messages in: genuine, meant for this node, each once, from whom it has admitted.

    Keys and signatures are looked at before the transaction that counts a message, so that senders do not
    wait for each other's; those that come at the same time are counted in one.
    """

    def __init__(self, opens: Opens[Trust], reads: Opens[Trust]) -> None:
        self._opens = opens
        self._reads = reads
        self._counting = Gathering(self._count)
        # Only to choose keys by: whether a sender is still admitted is asked where its message is counted.
        self._known: dict[str, tuple[Trust, Participant]] = {}

    async def sender(self, token: str, method: str, url: str, body: bytes) -> Caller:
        """The participant behind a message; a refusal is logged, and raised without its reason."""
        try:
            trust, sender = await self._find(token)
            check = partial(trust.check_message, token, sender, method=method, url=url, body=body)
            # A thread costs more than checking a short message; reading keys may take a request.
            at_once = len(body) <= _SHORT_BYTES and trust.has_keys(token, sender)
            counted = await self._counting.do(check() if at_once else await asyncio.to_thread(check))
            if isinstance(counted, Refused):
                self._known.pop(sender.did, None)
                raise counted
        except (Refused, Invalid, NotFound) as error:
            await asyncio.to_thread(self._record, token, method, urlsplit(url).path, error.code)
            raise Refused(
                "message-refused",
                "The message is refused",
                remedy="Check keys, clock and admission at both nodes; this node's audit log has the reason.",
            ) from None
        self._known[counted.did] = trust, counted
        return Caller(
            kind="participant",
            id=counted.did,
            name=counted.name,
            roles=frozenset({counted.role.value}),
            country=counted.country,
        )

    async def _find(self, token: str) -> tuple[Trust, Participant]:
        known = self._known.get(claimed_sender(token))
        return await asyncio.to_thread(self._look_up, token) if known is None else known

    def _look_up(self, token: str) -> tuple[Trust, Participant]:
        with self._reads() as trust:
            return trust, trust.sender(token)

    def _count(self, messages: Sequence[MessageClaims]) -> list[Participant | Refused]:
        with self._opens() as trust:
            return trust.burn_messages(messages)

    def _record(self, token: str, method: str, path: str, reason: str) -> None:
        with self._opens() as trust:
            trust.record_refusal(token, method=method, path=path, reason=reason)


def _person(account: Account) -> Caller:
    roles = frozenset(role.value for role in account.roles)
    return Caller(kind="person", id=account.id, name=account.name, roles=roles)


def _plain_account(account: Account) -> dict[str, Any]:
    # The natural person's identifier never leaves the node.
    plain: dict[str, Any] = to_plain(account)
    del plain["person"]
    return plain
