"""Start page, log-in and log-out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from litestar import get, post
from litestar.connection import Request
from litestar.response import Response
from litestar.types import ControllerRouterHandler

from salerno.adapters.database import Opens
from salerno.identity.model import PersonRole
from salerno.identity.service import Accounts, Notices
from salerno.identity.service import log_in as check_log_in
from salerno.kernel.errors import Invalid, SalernoError
from salerno.web import sessions
from salerno.web.callers import Caller, caller_of, find_caller, needs
from salerno.web.languages import LANGUAGES
from salerno.web.layout import Pages, local_path, sentence
from salerno.web.sessions import form_of

TEMPLATES = Path(__file__).with_name("templates")

KEPT = "kept."
"""Prefix of the fields of a form that came after its session had ended, kept through the log-in."""

Req = Request[Any, Any, Any]

WELCOME = {
    "hub": (
        "Find health data of several countries, apply once for all of them, and ask one question that is "
        "answered where the data are."
    ),
    "access-body": (
        "Applications for the data of this country are assessed and decided here, and people say here "
        "whether their data may be used for research and other secondary uses."
    ),
    "holder": "Data are connected and described here. They never leave: only sums over a permitted view do.",
}
"""What a node is for, by role, on its start page."""


def routes(pages: Pages, open_accounts: Opens[Accounts]) -> list[ControllerRouterHandler]:
    """Handlers of ``/``, ``/log-in`` and ``/log-out``."""

    @get("/", sync_to_thread=False, include_in_schema=False)
    def start(request: Req) -> Response[Any]:
        return pages.render(
            request, "identity/start.html", title=pages.node_name, welcome=WELCOME.get(pages.role, "")
        )

    @get("/log-in", sync_to_thread=False, include_in_schema=False)
    def log_in_form(request: Req) -> Response[Any]:
        wanted = local_path(request.query_params.get("next", "/"))
        if find_caller(request):
            return pages.go(wanted)
        return pages.render(
            request, "identity/log_in.html", title="Log in", login="", wanted=wanted, kept=(), kept_path=""
        )

    # Checking a password takes a good part of a second on purpose, so it must not hold the loop.
    @post("/log-in", sync_to_thread=True, include_in_schema=False)
    def log_in(request: Req) -> Response[Any]:
        form = form_of(request)
        wanted = local_path(form.text("next", "/"))
        errors = {
            name: words
            for name, words in (("login", "Enter your log-in name"), ("password", "Enter your password"))
            if not form.text(name)
        }
        kept = [(k.removeprefix(KEPT), v) for k, v in form.pairs() if k.startswith(KEPT)]
        kept_path = local_path(form.text("kept-path")) if kept else ""
        if not errors:
            try:
                token = check_log_in(open_accounts, form.text("login"), form.fields["password"][-1])
            except SalernoError as error:
                errors["login"] = sentence(error)
            else:
                if kept:
                    request.scope["caller"] = caller_behind(token)  # type: ignore[typeddict-unknown-key]
                    return pages.render(
                        request, "identity/go_on.html", title="Welcome back", kept=kept, kept_path=kept_path,
                        session=token,
                    )  # fmt: skip
                return pages.go(wanted, cookies=[sessions.log_in_cookie(token, secure=pages.secure)])
        return pages.render(
            request, "identity/log_in.html", title="Log in", errors=errors, login=form.text("login"),
            wanted=wanted, kept=kept, kept_path=kept_path,
        )  # fmt: skip

    def caller_behind(token: str) -> Caller | None:
        with open_accounts() as accounts:
            account = accounts.account_of(token)
        if account is None:
            return None
        roles = frozenset(role.value for role in account.roles)
        return Caller(kind="person", id=account.id, name=account.name, roles=roles)

    @post("/log-out", sync_to_thread=False, include_in_schema=False)
    def log_out(request: Req) -> Response[Any]:
        token = sessions.session_token({}, request.cookies)
        if token:
            with open_accounts() as accounts:
                accounts.log_out(token)
        return pages.go("/", "You are logged out.", [sessions.log_out_cookie(secure=pages.secure)])

    return [start, log_in_form, log_in, log_out]


def inbox_routes(
    pages: Pages,
    open_accounts: Opens[Accounts],
    open_notices: Opens[Notices],
    read_accounts: Opens[Accounts],
    read_notices: Opens[Notices],
    *,
    mails: bool,
) -> list[ControllerRouterHandler]:
    """Handlers of ``/inbox``.

    Args:
        pages: The frame.
        open_accounts: Opens a transaction that may write.
        open_notices: The same.
        read_accounts: Opens one that only reads.
        read_notices: The same.
        mails: Whether this node sends e-mails.
    """

    def show(request: Req, errors: dict[str, str], contact: dict[str, str]) -> Response[Any]:
        with read_notices() as notices:
            found = notices.inbox(caller_of(request).id)
        return pages.render(
            request,
            "identity/inbox.html",
            title="Inbox",
            errors=errors,
            found=found,
            contact=contact,
            languages=list(LANGUAGES.items()),
            mails=mails,
        )

    @get("/inbox", guards=[needs(*PersonRole)], sync_to_thread=False, include_in_schema=False)
    def inbox(request: Req) -> Response[Any]:
        with read_accounts() as accounts:
            account = accounts.account(caller_of(request).id)
        return show(request, {}, {"email": account.email, "language": account.language})

    @post("/inbox/read", guards=[needs(*PersonRole)], sync_to_thread=False, include_in_schema=False)
    def read(request: Req) -> Response[Any]:
        chosen = form_of(request).text("id")
        with open_notices() as notices:
            notices.read(caller_of(request).id, [chosen] if chosen else None)
        return pages.go("/inbox")

    @post("/inbox/contact", guards=[needs(*PersonRole)], sync_to_thread=False, include_in_schema=False)
    def set_contact(request: Req) -> Response[Any]:
        form = form_of(request)
        contact = {"email": form.text("email"), "language": form.text("language")}
        try:
            with open_accounts() as accounts:
                accounts.set_contact(caller_of(request).id, **contact)
        except Invalid as error:
            field = "language" if error.code == "account-language" else "email"
            return show(request, {field: sentence(error)}, contact)
        return pages.go("/inbox", "Your choice is kept.")

    return [inbox, read, set_contact]
