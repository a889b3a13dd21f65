"""HTTP to other nodes: one pooled client, bounded answers, errors of our own tree."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from salerno.kernel.errors import Invalid, SalernoError, Unavailable, parse_problem
from salerno.kernel.values import from_json, to_json

MAX_ANSWER_BYTES = 256 * 1024 * 1024
"""Largest answer that is read; a peer that sends more is cut off."""

_SAFE_TO_REPEAT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
_WORTH_REPEATING = frozenset({429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Response:
    """An answer below 400.

    Args:
        status: HTTP status.
        headers: Names in lower case.
        content: The whole body.
    """

    status: int
    headers: dict[str, str] = field(repr=False)
    content: bytes = field(repr=False)

    def json(self) -> Any:
        """The body read as JSON; None when it is empty.

        Raises:
            Unavailable: It is not JSON, so whatever answered is not the peer that we meant.
        """
        if not self.content:
            return None
        try:
            return from_json(self.content, object, what="the answer")
        except Invalid as error:
            raise Unavailable("peer-answer", "The peer did not answer with JSON") from error


class HttpClient:
    """Sends requests with a pool of kept connections; threads may share it.

    Args:
        timeout_seconds: Longest wait for a connection, and between two pieces of an answer.
        retries: How often a request is sent again. One that certainly did not arrive is always sent again;
            one that may have arrived only when its method is safe to repeat.
    """

    def __init__(self, *, timeout_seconds: float = 30, retries: int = 3) -> None:
        self._retries = retries
        self._timeout_seconds = timeout_seconds
        self._client = httpx.Client(
            follow_redirects=False,
            limits=httpx.Limits(max_connections=100, max_keepalive_connections=50, keepalive_expiry=60),
        )

    def request(
        self,
        method: str,
        url: str,
        *,
        json: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float | None = None,
        retries: int | None = None,
        max_bytes: int = MAX_ANSWER_BYTES,
    ) -> Response:
        """Send a request and read the whole answer.

        Args:
            method: HTTP method.
            url: Absolute address.
            json: Value to send as JSON; not together with `content`.
            content: Bytes to send as they are.
            headers: Further headers.
            timeout_seconds: Instead of the client's own.
            retries: Instead of the client's own.
            max_bytes: Largest answer to read.

        Raises:
            SalernoError: The peer answered 400 or more; the error is the one that it stated.
            Unavailable: It cannot be reached, broke off, or sent more than `max_bytes`.
        """
        sent = dict(headers or {})
        if json is not None:
            content = to_json(json)
            sent.setdefault("content-type", "application/json")
        sent.setdefault("accept", "application/json")
        target = _parse(url)
        timeout = self._timeout_seconds if timeout_seconds is None else timeout_seconds
        request = self._client.build_request(
            method,
            target,
            content=content,
            headers=sent,
            timeout=httpx.Timeout(timeout, connect=min(10.0, timeout)),
        )
        left = self._retries if retries is None else retries
        for attempt in range(left + 1):
            repeatable = attempt < left
            try:
                response = self._send(request, max_bytes)
            except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
                if not repeatable:
                    raise _unreachable(target, error) from error
            except httpx.TransportError as error:
                if not (repeatable and method.upper() in _SAFE_TO_REPEAT):
                    raise _unreachable(target, error) from error
            else:
                if response.status < 400:
                    return response
                if not (
                    repeatable and response.status in _WORTH_REPEATING and method.upper() in _SAFE_TO_REPEAT
                ):
                    raise _peer_error(response, target)
            time.sleep(min(5.0, 0.2 * 2**attempt) * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
        raise AssertionError("the last attempt returns or raises")

    def close(self) -> None:
        """Close all kept connections."""
        self._client.close()

    def _send(self, request: httpx.Request, max_bytes: int) -> Response:
        answer = self._client.send(request, stream=True)
        try:
            parts: list[bytes] = []
            length = 0
            for part in answer.iter_bytes():
                parts.append(part)
                length += len(part)
                if length > max_bytes:
                    raise Unavailable(
                        "answer-too-large", f"{_origin(request.url)} sent more than {max_bytes} bytes"
                    )
            headers = {name.lower(): value for name, value in answer.headers.items()}
            return Response(answer.status_code, headers, b"".join(parts))
        finally:
            answer.close()


def request_target(url: str) -> str:
    """Path with query exactly as a request to `url` puts them on the wire."""
    return httpx.URL(url).raw_path.decode("ascii")


def _parse(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
        if parsed.scheme in ("http", "https") and parsed.host and (parsed.port or 1) < 65536:
            return parsed
    except (httpx.InvalidURL, ValueError):
        pass
    raise Invalid("url", "The address to send to is no http address with a host")


def _origin(url: httpx.URL) -> str:
    port = url.port or {"http": 80, "https": 443}.get(url.scheme, 0)
    return f"{url.scheme}://{url.host}:{port}"


def _unreachable(url: httpx.URL, error: httpx.TransportError) -> Unavailable:
    if isinstance(error, httpx.ReadTimeout | httpx.WriteTimeout):
        return Unavailable("peer-slow", f"{_origin(url)} did not answer in time", remedy="Try again later.")
    return Unavailable(
        "peer-unreachable",
        f"{_origin(url)} cannot be reached",
        remedy="Check that the node there runs and that the network lets us through, then try again.",
    )


def _peer_error(response: Response, url: httpx.URL) -> SalernoError:
    try:
        problem = from_json(response.content, dict[str, Any], what="the problem")
    except Invalid:
        problem = {}
    if "title" in problem:
        return parse_problem(problem, response.status)
    what = f"{_origin(url)} answered with HTTP status {response.status}"
    if response.status >= 500:
        return Unavailable(f"http-{response.status}", what)
    return parse_problem({"detail": what}, response.status)
