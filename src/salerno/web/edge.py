"""What stands between the network and a node's routes: caller, forms, errors, headers, static files."""

from __future__ import annotations

from litestar.config.app import AppConfig
from litestar.datastructures import MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.middleware import DefineMiddleware
from litestar.plugins import InitPluginProtocol
from litestar.types import Message, Scope

from salerno.web.callers import Authenticate, CallerMiddleware
from salerno.web.layout import Pages
from salerno.web.problems import problem_handlers
from salerno.web.sessions import FormMiddleware
from salerno.web.static_files import static_file

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
"""Sent with every answer. ``connect-src`` is for the live refresh of a running question."""


class Edge(InitPluginProtocol):
    """Litestar plugin that gives an application its edge.

    Args:
        authenticate: Finds the caller of a request.
        pages: The portal; None for a node that has only the interface.
        secure: Whether the node is reached by https.
    """

    def __init__(
        self, authenticate: Authenticate, pages: Pages | None = None, *, secure: bool = False
    ) -> None:
        self.authenticate = authenticate
        self.pages = pages
        self.headers = dict(SECURITY_HEADERS)
        if secure:
            self.headers["Strict-Transport-Security"] = "max-age=31536000"

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Put the edge around the application's routes."""
        app_config.middleware[:0] = [
            DefineMiddleware(CallerMiddleware, authenticate=self.authenticate),
            DefineMiddleware(FormMiddleware),
        ]
        # The node sets up its logs itself, with a filter for personal values; Litestar's own set-up would
        # put handlers beside it.
        app_config.logging_config = None
        render = self.pages.problem if self.pages else None
        app_config.exception_handlers = {**problem_handlers(render), **app_config.exception_handlers}
        app_config.before_send.append(self.add_headers)
        if self.pages:
            app_config.route_handlers.append(static_file)
        return app_config

    async def add_headers(self, message: Message, scope: Scope) -> None:
        """Add the security headers to an answer that has not set them itself."""
        if scope["type"] == ScopeType.HTTP and message["type"] == "http.response.start":
            headers = MutableScopeHeaders.from_message(message)
            for name, value in self.headers.items():
                headers.setdefault(name, value)
