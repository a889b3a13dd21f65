"""Start page, log-in and log-out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from litestar import get, post
from litestar.connection import Request
from litestar.response import Response
from litestar.types import ControllerRouterHandler

from salerno.adapters.database import Opens
from salerno.identity.service import Accounts
from salerno.identity.service import log_in as check_log_in
from salerno.kernel.errors import SalernoError
from salerno.web import sessions
from salerno.web.callers import Caller, find_caller
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
