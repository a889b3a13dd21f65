"""The one place where the client speaks HTTP: a node's JSON routes with a person's session token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from salerno.kernel.errors import Invalid, Refused, SalernoError

if TYPE_CHECKING:
    from salerno.adapters.http import HttpClient


class Link:
    """A node's address with the caller's token.

    Args:
        url: Base address of the node, e.g. ``https://hub.example``.
        token: Session token of the person; empty for what is public.
        http: The client to send with; a new one by default.
    """

    def __init__(self, url: str, token: str = "", http: HttpClient | None = None) -> None:
        self.url = check_url(url)
        self.token = token
        if http is None:
            from salerno.adapters.http import HttpClient

            http = HttpClient(timeout_seconds=60)
        self._http = http

    def get(self, path: str, *, timeout_seconds: float | None = None, **query: Any) -> Any:
        """The decoded JSON of a GET; query values that are None or empty are left out."""
        shown = {name: str(value) for name, value in query.items() if value not in (None, "")}
        return self._send("GET", f"{path}?{urlencode(shown)}" if shown else path, None, timeout_seconds)

    def post(self, path: str, body: Any = None, *, timeout_seconds: float | None = None) -> Any:
        """The decoded JSON of a POST, sent again only when it certainly did not arrive."""
        return self._send("POST", path, {} if body is None else body, timeout_seconds)

    def put(self, path: str, body: Any) -> Any:
        """The decoded JSON of a PUT."""
        return self._send("PUT", path, body, None)

    def _send(self, method: str, path: str, body: Any, timeout_seconds: float | None) -> Any:
        headers: Mapping[str, str] = {"Accept": "application/json"}
        if self.token:
            headers = {**headers, "Authorization": f"Bearer {self.token}"}
        try:
            response = self._http.request(
                method,
                self.url + path,
                json=body,
                headers=dict(headers),
                timeout_seconds=timeout_seconds,
            )
        except SalernoError as error:
            raise _explained(error, self) from error
        return response.json()


def check_url(url: str) -> str:
    """The address without its last slash.

    Raises:
        Invalid: It is no http or https address.
    """
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise Invalid(
            "not-an-address",
            f"{url!r} is not the address of a node" if url else "No address of a node was given",
            remedy="Write it as https://hub.example, or set SALERNO_URL.",
        )
    return url.strip().rstrip("/")


def _explained(error: SalernoError, link: Link) -> SalernoError:
    """Say how to log in when nobody is: the node cannot know how the caller reached it."""
    if error.code not in ("http-401", "not-logged-in"):
        return error
    remedy = f"Log in: salerno log-in --at {link.url}, or salerno.connect({link.url!r}, login=...)."
    return Refused("not-logged-in", error.what, rule=error.rule, remedy=remedy)
