"""Who calls: the caller of a request, the guard that asks for roles, the middleware that finds out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.handlers import BaseRouteHandler
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from salerno.kernel.errors import Invalid, Refused

MAX_BODY_BYTES = 64 * 1024 * 1024
"""Largest body that is read to check a signature; shares of wide analyses are the largest messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who sent a request.

    Args:
        kind: ``person`` (an account of this node) or ``participant`` (another node).
        id: Account identifier, or the participant's DID.
        name: Name for people.
        roles: Values of ``PersonRole`` or ``ParticipantRole``.
        country: The participant's country; empty for persons.
    """

    kind: Literal["person", "participant"]
    id: str
    name: str
    roles: frozenset[str]
    country: str = ""


class NotLoggedIn(Refused):
    """Nobody is known behind the request."""

    status = 401


class TooLarge(Invalid):
    """The body is larger than the node reads."""

    status = 413


Authenticate = Callable[[str, str, Mapping[str, str], Mapping[str, str], bytes], Awaitable[Caller | None]]
"""Finds the caller from method, path with query, headers (lower-case names), cookies and body.

The body is empty unless the request carries a signed message. Raises a `SalernoError` for a message that
is forged, late or repeated; answers None when nobody logged in.
"""

Guard = Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], Awaitable[None]]


def find_caller(connection: ASGIConnection[Any, Any, Any, Any]) -> Caller | None:
    """The caller of a request, None when nobody logged in."""
    return connection.scope.get("caller")  # type: ignore[return-value]


def caller_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Caller:
    """The caller of a request.

    Raises:
        NotLoggedIn: Nobody logged in.
    """
    caller = find_caller(connection)
    if caller is None:
        raise NotLoggedIn(
            "not-logged-in",
            "This needs a log-in",
            remedy="Log in first: in the portal, or with a session token as 'Authorization: Bearer'.",
        )
    return caller


def needs(*roles: str) -> Guard:
    """A Litestar guard that lets only callers with one of the roles pass.

    Args:
        roles: Values of ``PersonRole`` or ``ParticipantRole``; none means anybody who is logged in.
    """
    wanted = frozenset(str(role) for role in roles)

    # A coroutine, since Litestar runs plain functions in threads, which costs more than looking at roles.
    async def guard(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        caller = caller_of(connection)
        if wanted and not caller.roles & wanted:
            raise Refused(
                "role-missing",
                f"This is open to {' and '.join(sorted(wanted))} only",
                remedy="Log in with an account that has the role, or ask this node's operator for it.",
            )

    return guard


class CallerMiddleware:
    """Puts the caller of each request into ``scope["caller"]`` (None when nobody logged in).

    The session cookie counts for pages only: under ``/api`` a person is known by the bearer token alone,
    so that no other site can make a browser call the interface. For signed messages the body is read,
    given to `authenticate`, and replayed to the application.
    """

    def __init__(self, app: ASGIApp, authenticate: Authenticate) -> None:
        self.app = app
        self.authenticate = authenticate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Find the caller, then hand on."""
        if scope["type"] == ScopeType.HTTP:
            receive = await self._find(scope, receive)
        await self.app(scope, receive, send)

    async def _find(self, scope: HTTPScope, receive: Receive) -> Receive:
        caller = None
        headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
        cookies = {} if scope["path"].startswith("/api/") else parse_cookies(headers.get("cookie", ""))
        if "authorization" in headers or cookies:
            method, target = str(scope["method"]), request_target(scope)
            if is_signed_message(headers):
                body, receive = await read_and_replay(receive, MAX_BODY_BYTES)
            else:
                body = b""
            caller = await self.authenticate(method, target, headers, cookies, body)
        scope["caller"] = caller  # type: ignore[typeddict-unknown-key]
        return receive


def is_signed_message(headers: Mapping[str, str]) -> bool:
    """Whether the bearer token is a compact JWS (three parts) rather than an opaque session token."""
    return bearer_token(headers).count(".") == 2


def bearer_token(headers: Mapping[str, str]) -> str:
    """The token of ``Authorization: Bearer``, empty when there is none."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def parse_cookies(header: str) -> dict[str, str]:
    """Names and values of a ``Cookie`` header; parts that are no pair are left out."""
    pairs = (part.strip().partition("=") for part in header.split(";"))
    return {name: value.strip('"') for name, found, value in pairs if found}


def request_target(scope: HTTPScope) -> str:
    """Path with query as the client sent them."""
    path = scope["raw_path"].split(b"?")[0].decode("latin-1")
    query = scope["query_string"].decode("latin-1")
    return f"{path}?{query}" if query else path


async def read_and_replay(receive: Receive, limit_bytes: int) -> tuple[bytes, Receive]:
    """Read a request's whole body, and a `receive` that gives it again.

    Raises:
        TooLarge: It is longer than `limit_bytes`.
    """
    parts: list[bytes] = []
    length = 0
    more = True
    while more:
        message: Any = await receive()
        if message["type"] != "http.request":
            break
        parts.append(message.get("body", b""))
        length += len(parts[-1])
        more = message.get("more_body", False)
        if length > limit_bytes:
            raise TooLarge("body-too-large", f"The body is larger than {limit_bytes} bytes")
    body = b"".join(parts)
    given = False

    async def replay() -> Any:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return body, replay
