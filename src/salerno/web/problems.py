"""Errors as answers: problem JSON (RFC 9457) for programs, the same sentence as a page for people."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from litestar.connection import Request
from litestar.exceptions import HTTPException, ValidationException
from litestar.response import Redirect, Response
from litestar.types import ExceptionHandlersMap

from salerno.kernel.errors import SalernoError
from salerno.kernel.ids import new_id

log = logging.getLogger("salerno.web")

PROBLEM_JSON = "application/problem+json"

RenderProblem = Callable[[Request[Any, Any, Any], dict[str, Any]], str]
"""Renders a problem as the HTML of a whole page; for 401 a log-in that keeps the form that was sent."""

WORDS: dict[int, tuple[str, str, str]] = {
    400: ("wrong-request", "The request cannot be read", ""),
    404: (
        "no-such-page",
        "There is nothing at this address",
        "Check the address, or begin at the start.",
    ),
    405: ("wrong-method", "This address does not take this kind of request", ""),
    413: ("body-too-large", "The request is larger than this node reads", ""),
    415: ("wrong-media-type", "This address does not take this media type", ""),
    429: ("too-many-requests", "Too many requests came from here", "Wait a minute, then try again."),
}
"""Code, sentence and remedy for errors that the web framework itself raises, by HTTP status."""


def problem_handlers(render: RenderProblem | None = None) -> ExceptionHandlersMap:
    """Exception handlers for a Litestar application.

    Args:
        render: Renders pages; None for a node without a portal.
    """

    def answer(request: Request[Any, Any, Any], problem: dict[str, Any]) -> Response[Any]:
        status = int(problem["status"])
        headers = {"Cache-Control": "no-store"}
        if render is None or not wants_page(request):
            if status == 401:
                headers["WWW-Authenticate"] = "Bearer"
            return Response(problem, status_code=status, media_type=PROBLEM_JSON, headers=headers)
        if status == 401 and request.method in ("GET", "HEAD"):
            return Redirect(f"/log-in?next={quote(wanted_address(request), safe='')}", status_code=303)
        return Response(render(request, problem), status_code=status, media_type="text/html", headers=headers)

    def own(request: Request[Any, Any, Any], error: SalernoError) -> Response[Any]:
        return answer(request, error.to_problem())

    def framework(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
        if error.status_code >= 500:
            return unexpected(request, error)
        return answer(request, to_problem(error))

    def unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
        error_id = new_id("error")
        # The error's text may carry a value out of somebody's record: only its kind and place are logged.
        places = "".join(traceback.format_tb(error.__traceback__)[-12:])
        log.error("%s %s at %s\n%s", error_id, type(error).__qualname__, request.url.path, places)
        return answer(
            request,
            {
                "type": "urn:salerno:error:unexpected",
                "title": "unexpected",
                "status": 500,
                "detail": "Something went wrong in this node; nothing was stored",
                "rule": "",
                "remedy": f"Tell the node's operator the number {error_id}.",
                "error_id": error_id,
            },
        )

    return {SalernoError: own, HTTPException: framework, Exception: unexpected}


def to_problem(error: HTTPException) -> dict[str, Any]:
    """A framework's error as problem JSON, without the values that were sent."""
    status = error.status_code
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Error"
    code, what, remedy = WORDS.get(status, (phrase.lower().replace(" ", "-"), phrase, ""))
    if isinstance(error, ValidationException):
        code, what, remedy = "wrong-shape", f"The request does not have the right shape{_places(error)}", ""
    return {
        "type": f"urn:salerno:error:{code}",
        "title": code,
        "status": status,
        "detail": what,
        "rule": "",
        "remedy": remedy,
    }


def _places(error: ValidationException) -> str:
    extra = error.extra if isinstance(error.extra, list) else []
    found = [f"{e.get('key', '')}: {e.get('message', '')}".strip(": ") for e in extra if isinstance(e, dict)]
    return f": {'; '.join(found)}" if found else ""


def wants_page(request: Request[Any, Any, Any]) -> bool:
    """Whether a person with a browser asks: not below /api, and text/html is acceptable."""
    path = request.url.path
    return not path.startswith(("/api/", "/.well-known/")) and "text/html" in request.headers.get(
        "accept", ""
    )


def wanted_address(request: Request[Any, Any, Any]) -> str:
    """Where to go on after the log-in: the page that was asked for."""
    query = request.url.query
    return request.url.path + (f"?{query}" if query else "")
