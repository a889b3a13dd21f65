"""Session cookie, form tokens against forged requests, and the forms that browsers send."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from salerno.kernel.errors import Invalid, Refused
from salerno.web.callers import bearer_token, parse_cookies, read_and_replay

SESSION = "salerno_session"
FORM = "salerno_form"
NOTICE = "salerno_notice"
HOST = "__Host-"
"""Prefix by which browsers refuse a cookie that another host or an unencrypted page has set."""

MAX_FORM_BYTES = 2 * 1024 * 1024
MAX_FORM_FIELDS = 20_000
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Form(Mapping[str, str]):
    """A sent form: the last value of each field, without white space around it; all values by `many`."""

    fields: dict[str, list[str]] = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        """The last value of a field."""
        return self.fields[name][-1].strip()

    def __iter__(self) -> Iterator[str]:
        """The fields' names."""
        return iter(self.fields)

    def __len__(self) -> int:
        """How many fields have a name of their own."""
        return len(self.fields)

    def text(self, name: str, default: str = "") -> str:
        """The field's value, `default` when it was not sent."""
        return self.get(name, default)

    def many(self, name: str) -> tuple[str, ...]:
        """All values of a field that can be sent several times, such as a group of boxes."""
        return tuple(self.fields.get(name, ()))

    def flag(self, name: str) -> bool:
        """Whether a box was ticked."""
        return bool(self.get(name))

    def pairs(self) -> list[tuple[str, str]]:
        """Every field and value, without the form token and passwords."""
        return [(k, v) for k, values in self.fields.items() if k not in ("csrf", "password") for v in values]

    def lines(self, name: str) -> tuple[str, ...]:
        """The lines of a text area that are not empty."""
        return tuple(line.strip() for line in self.text(name).splitlines() if line.strip())


def form_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Form:
    """The form that came with a request, empty when none did; `FormMiddleware` read it."""
    return connection.scope.get("form") or Form()  # type: ignore[return-value]


def session_token(headers: Mapping[str, str], cookies: Mapping[str, str]) -> str:
    """The session token of a request: the bearer token, or the cookie's; empty when there is none."""
    return bearer_token(headers) or _cookie(cookies, SESSION)


def log_in_cookie(token: str, *, secure: bool) -> Cookie:
    """The cookie that keeps a person logged in until the browser is closed or the session ends at the node.

    It has no age of its own: with the cookie of an ended session, a form can be told from a forged one, so
    that what was typed survives the log-in that follows.
    """
    return _make(SESSION, token, secure=secure, max_age=None)


def log_out_cookie(*, secure: bool) -> Cookie:
    """The cookie that ends `log_in_cookie`'s."""
    return _make(SESSION, "", secure=secure, max_age=0)


def form_cookie(value: str, *, secure: bool) -> Cookie:
    """The cookie that forms of people without a session are held against."""
    return _make(FORM, value, secure=secure, max_age=None)


def notice_cookie(text: str, *, secure: bool) -> Cookie:
    """A cookie that carries a sentence, hexadecimal, to the next page; empty text removes it."""
    return _make(NOTICE, text.encode().hex(), secure=secure, max_age=60 if text else 0)


def notice_of(cookies: Mapping[str, str]) -> str:
    """The sentence that the page before left for this one."""
    try:
        return bytes.fromhex(_cookie(cookies, NOTICE)).decode()
    except ValueError:
        return ""


def form_token(cookies: Mapping[str, str]) -> str:
    """The token that a form must carry: bound to the session, or to the form cookie before log-in.

    Empty when the request has neither cookie; then a form cookie is to be set first (`new_form_value`).
    """
    secret = _cookie(cookies, SESSION) or _cookie(cookies, FORM)
    return token_for(secret) if secret else ""


def token_for(secret: str) -> str:
    """The form token that belongs to a cookie's value; says nothing about the value."""
    return hmac.new(secret.encode(), b"salerno form", hashlib.sha256).hexdigest()


def new_form_value() -> str:
    """A fresh value for the form cookie."""
    return secrets.token_urlsafe(24)


def _cookie(cookies: Mapping[str, str], name: str) -> str:
    return cookies.get(HOST + name, "") or cookies.get(name, "")


def _make(name: str, value: str, *, secure: bool, max_age: int | None) -> Cookie:
    key = HOST + name if secure else name
    return Cookie(
        key=key, value=value, path="/", max_age=max_age, secure=secure, httponly=True, samesite="lax"
    )


class FormMiddleware:
    """Reads forms and refuses those that this node's own pages did not send.

    It looks at every request that changes something, is not below ``/api`` (where cookies count for
    nothing) and carries no ``Authorization`` header (which no other site can make a browser send).
    The form's field ``csrf`` must hold `form_token`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the form if there is one, then hand on."""
        if scope["type"] == ScopeType.HTTP and scope["method"] not in SAFE_METHODS:
            headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
            if not scope["path"].startswith("/api/") and "authorization" not in headers:
                body, receive = await read_and_replay(receive, MAX_FORM_BYTES)
                form = read_form(headers.get("content-type", ""), body)
                check_form(form, parse_cookies(headers.get("cookie", "")))
                scope["form"] = form  # type: ignore[typeddict-unknown-key]
        await self.app(scope, receive, send)


def read_form(content_type: str, body: bytes) -> Form:
    """The fields of a URL-encoded form; another media type has none.

    Raises:
        Invalid: It is not URL-encoded UTF-8, or has too many fields.
    """
    fields: dict[str, list[str]] = {}
    if content_type.partition(";")[0].strip().lower() == "application/x-www-form-urlencoded":
        try:
            pairs = parse_qsl(
                body.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_FORM_FIELDS
            )
        except ValueError as error:
            raise Invalid("form-unreadable", "The form cannot be read") from error
        for name, value in pairs:
            fields.setdefault(name, []).append(value)
    return Form(fields)


def check_form(form: Form, cookies: Mapping[str, str]) -> None:
    """Check that a form came from a page of this node.

    Raises:
        Refused: The form token is missing, or belongs to another session.
    """
    wanted = form_token(cookies)
    if not wanted or not hmac.compare_digest(wanted.encode(), form.text("csrf").encode()):
        raise Refused(
            "form-not-ours",
            "The form was not sent from a page of your present session, so nothing was done",
            remedy="Open the page again (cookies must be allowed), fill the form in again, and send it.",
        )
