"""The frame around every page: templates, navigation, form tokens, notices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PrefixLoader, StrictUndefined
from litestar.connection import Request
from litestar.datastructures import Cookie
from litestar.response import Redirect, Response

from salerno.kernel.errors import SalernoError
from salerno.web import components, sessions
from salerno.web.callers import Caller, find_caller
from salerno.web.components import NavigationItem
from salerno.web.static_files import STATIC

TEMPLATES = Path(__file__).with_name("templates")

ROLE_WORDS: Mapping[str, str] = {
    "hub": "the European platform, where data users search, apply and ask",
    "access-body": "a health data access body, which decides on applications and issues data permits",
    "holder": "a health data holder, which opens permitted views of its data and nothing else",
    "spe": "a secure processing environment",
}
"""What a node is, by its role."""

Req = Request[Any, Any, Any]


class Pages:
    """Renders the pages of one node.

    Args:
        template_folders: Folder of templates by capability: ``{"catalogue": …}`` makes
            ``catalogue/search.html`` known.
        node_name: Name for people.
        role: The node's ``ParticipantRole`` value.
        navigation: Entries of the main navigation, in order; each person sees those of their roles.
        secure: Whether the node is reached by https, so that cookies are sent over it alone.
        unread: How many notices an account has not read; none where no inbox is.
    """

    def __init__(
        self,
        template_folders: Mapping[str, Path],
        *,
        node_name: str,
        role: str,
        navigation: Sequence[NavigationItem] = (),
        secure: bool = False,
        unread: Callable[[str], int] | None = None,
    ) -> None:
        self.node_name = node_name
        self.role = role
        self.role_words = ROLE_WORDS.get(role, "a node of the European health data space")
        self.navigation = tuple(navigation)
        self.secure = secure
        self._unread = unread
        folders = {name: FileSystemLoader(folder) for name, folder in template_folders.items()}
        self.environment = Environment(
            loader=ChoiceLoader([FileSystemLoader(TEMPLATES), PrefixLoader(folders)]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            cache_size=200,
        )
        self.environment.filters.update(
            instant=components.instant_words,
            day=components.day_words,
            count=components.count_words,
            slug=components.slug,
            node=components.short_did,
            answer_text=components.answer_text,
        )
        self.environment.globals.update(
            static=STATIC.address,
            tone=components.tone,
            node_name=node_name,
            role=role,
            role_words=self.role_words,
        )

    def render(
        self,
        request: Req,
        template: str,
        *,
        title: str,
        crumbs: Sequence[tuple[str, str]] = (),
        errors: Mapping[str, str] | None = None,
        status: int = 200,
        session: str = "",
        **context: Any,
    ) -> Response[str]:
        """A whole page.

        Args:
            request: The request that it answers.
            template: Its name, e.g. ``catalogue/search.html``; it extends ``layout.html``.
            title: The page's one first-level heading, also in the browser's title.
            crumbs: Address and label of the pages above it, without the start page.
            errors: Message by form field, for the error summary; names that begin with ``_`` are not linked.
            status: HTTP status; errors make it 422.
            session: Token of a session that begins with this page.
            **context: What the template shows.
        """
        cookies = request.cookies
        new_cookies: list[Cookie] = []
        token = sessions.token_for(session) if session else sessions.form_token(cookies)
        if session:
            new_cookies.append(sessions.log_in_cookie(session, secure=self.secure))
        if not token:
            value = sessions.new_form_value()
            token = sessions.token_for(value)
            new_cookies.append(sessions.form_cookie(value, secure=self.secure))
        notice = sessions.notice_of(cookies)
        if notice:
            new_cookies.append(sessions.notice_cookie("", secure=self.secure))
        html = self._html(
            request, template, title=title, crumbs=crumbs, errors=dict(errors or {}), notice=notice,
            csrf_token=token, **context,
        )  # fmt: skip
        return Response(
            html,
            status_code=422 if errors and status == 200 else status,
            media_type="text/html",
            headers={"Cache-Control": "no-store"},
            cookies=new_cookies,
        )

    def fragment(self, request: Req, template: str, **context: Any) -> Response[str]:
        """A part of a page, for the script that refreshes it."""
        html = self._html(
            request, template, errors={}, csrf_token=sessions.form_token(request.cookies), **context
        )
        return Response(html, media_type="text/html", headers={"Cache-Control": "no-store"})

    def problem(self, request: Req, problem: dict[str, Any]) -> str:
        """The page of an error, for `salerno.web.problems.problem_handlers`."""
        token = sessions.form_token(request.cookies)
        if problem["status"] == 401:
            return self._html(
                request,
                "session_ended.html",
                title="Your session has ended",
                crumbs=(),
                errors={},
                notice="",
                kept=sessions.form_of(request).pairs(),
                kept_path=request.url.path,
                csrf_token=token,
            )
        title = HEADINGS.get(int(problem["status"]), "This did not work")
        return self._html(
            request, "problem.html", title=title, crumbs=(), errors={}, notice="", problem=problem,
            back=_same_site(request), csrf_token=token,
        )  # fmt: skip

    def go(self, path: str, notice: str = "", cookies: Sequence[Cookie] = ()) -> Redirect:
        """Send the browser on after a form was done, with a sentence for the next page."""
        told = [sessions.notice_cookie(notice, secure=self.secure)] if notice else []
        return Redirect(path, status_code=303, cookies=[*cookies, *told])

    def _html(self, request: Req, template: str, **context: Any) -> str:
        caller = find_caller(request)
        roles = caller.roles if caller else frozenset[str]()
        path = request.url.path
        navigation = [
            {"path": i.path, "label": i.label, "text": i.text, "current": _current(i.path, path)}
            for i in self.navigation
            if i.open_to(roles)
        ]
        return self.environment.get_template(template).render(
            caller=caller, navigation=navigation, path=path, unread=self._count_unread(caller), **context
        )

    def _count_unread(self, caller: Caller | None) -> int | None:
        """How many notices the caller has not read; None where there is no inbox."""
        if self._unread is None or caller is None or caller.kind != "person":
            return None
        try:
            return self._unread(caller.id)
        except SalernoError:
            return 0  # the page of an error must not need the database


HEADINGS = {
    403: "This is not open to you",
    404: "Not found",
    409: "This cannot be done now",
    422: "Something in what you sent is not right",
    500: "This node made a mistake",
    503: "This is not available at the moment",
}
"""Heading of an error's page by HTTP status."""


def sentence(error: SalernoError) -> str:
    """An error as one line for a form's summary: what, rule, remedy."""
    rule = f" ({error.rule})" if error.rule else ""
    return f"{error.what.rstrip('.')}{rule}. {error.remedy}".strip()


def local_path(path: str) -> str:
    """The path if it lies on this node, else the start page; against log-in links that lead elsewhere."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else "/"


def _current(item: str, path: str) -> str:
    if path == item:
        return "page"
    return "true" if item != "/" and path.startswith(item + "/") else ""


def _same_site(request: Req) -> str:
    before = request.headers.get("referer", "")
    root = f"{request.url.scheme}://{request.url.netloc}"
    return local_path(before[len(root) :]) if before.startswith(root + "/") else "/"
