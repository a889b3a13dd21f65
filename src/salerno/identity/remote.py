"""Other nodes over HTTP: their keys, and signed messages to them."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass
from typing import Any

from salerno.adapters.http import HttpClient, Response, request_target
from salerno.identity.model import Participant
from salerno.identity.rules import SigningKeys, sign_message
from salerno.kernel.errors import SalernoError, Unavailable
from salerno.kernel.time import Clock
from salerno.kernel.values import to_json
from salerno.standards.did import DidDocument, document_url, parse_document

_MAX_DOCUMENT_BYTES = 256 * 1024
_REFRESH_SECONDS = 10.0
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class _Cached:
    """What is known of a DID: its last document and when it was read, and how the last attempt went."""

    document: DidDocument | None
    read_at: float
    tried_at: float
    error: SalernoError | None


class HttpKeyResolver:
    """Reads DID documents over HTTP and keeps them for a while; threads may share it.

    Args:
        http: Sends the requests.
        ttl_seconds: How long a document counts as fresh; a key that its owner takes out of the document is
            refused after that time at the latest.
        stale_seconds: How long an old document still serves while a fresh one cannot be had.
        own: This node's document, so that it never asks itself.
    """

    def __init__(
        self,
        http: HttpClient,
        ttl_seconds: float = 300,
        *,
        stale_seconds: float = 3600,
        own: DidDocument | None = None,
    ) -> None:
        self._http = http
        self._ttl = ttl_seconds
        self._stale = stale_seconds
        self._own = own
        self._cache: dict[str, _Cached] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def knows(self, did: str, *, kid: str = "") -> bool:
        """Whether `resolve` answers at once, without a request."""
        try:
            return (self._own is not None and did == self._own.did) or self._serve(did, kid) is not None
        except SalernoError:
            return True

    def resolve(self, did: str, *, kid: str = "") -> DidDocument:
        """The DID's document; a fresher one is looked for when it does not list the key `kid`.

        Raises:
            Unavailable: It cannot be had, or what is there is not a document about that DID.
        """
        if self._own is not None and did == self._own.did:
            return self._own
        known = self._serve(did, kid)
        if known is not None:
            return known
        with self._lock:
            one_at_a_time = self._locks.setdefault(did, threading.Lock())
        with one_at_a_time:
            return self._serve(did, kid) or self._read(did)

    def _serve(self, did: str, kid: str) -> DidDocument | None:
        """What the cache has to say: a document, nothing, or the error of a moment ago."""
        cached = self._cache.get(did)
        if cached is None:
            return None
        now = time.monotonic()
        document = cached.document if now - cached.read_at < self._stale else None
        if now - cached.tried_at < _REFRESH_SECONDS:
            # Whoever invents keys, or names a node that is down, must not make us ask at every message.
            if document is None and cached.error is not None:
                raise cached.error
            return document
        fresh = now - cached.read_at < self._ttl
        if document is not None and fresh and (not kid or kid in document.keys):
            return document
        return None

    def _read(self, did: str) -> DidDocument:
        try:
            answer = self._http.request(
                "GET",
                document_url(did),
                headers={"accept": "application/did+json, application/json"},
                timeout_seconds=5,
                retries=1,
                max_bytes=_MAX_DOCUMENT_BYTES,
            )
            document = parse_document(answer.content, did)
        except SalernoError as error:
            what = f"The DID document of {did} cannot be had: {error.what}"
            failure = Unavailable("did-document", what, remedy=error.remedy)
            before, now = self._cache.get(did), time.monotonic()
            if before is None or before.document is None or now - before.read_at >= self._stale:
                self._cache[did] = _Cached(None, now, now, failure)
                raise failure from error
            self._cache[did] = _Cached(before.document, before.read_at, now, failure)
            return before.document
        now = time.monotonic()
        self._cache[did] = _Cached(document, now, now, None)
        return document


class PeerClient:
    """Sends signed messages to other nodes; threads may share it.

    Args:
        http: Sends the requests.
        keys: This node's keys.
        own_did: This node.
        clock: Gives the present instant.
    """

    def __init__(self, http: HttpClient, keys: SigningKeys, own_did: str, clock: Clock) -> None:
        self._http = http
        self._keys = keys
        self._own_did = own_did
        self._clock = clock

    def call(
        self,
        participant: Participant,
        method: str,
        path: str,
        json: Any = None,
        timeout_seconds: float | None = None,
    ) -> Any:
        """Send a message and read the JSON of the answer; None when the answer is empty.

        Args:
            participant: The receiver.
            method: HTTP method.
            path: Path below the receiver's address, with the query, already escaped.
            json: Value to send.
            timeout_seconds: Instead of the client's own.

        Raises:
            SalernoError: What the receiver answered.
            Unavailable: It cannot be reached, or did not answer in time.
        """
        return self.send(participant, method, path, json=json, timeout_seconds=timeout_seconds).json()

    def send(
        self,
        participant: Participant,
        method: str,
        path: str,
        *,
        json: Any = None,
        content: bytes | None = None,
        content_type: str = "application/octet-stream",
        timeout_seconds: float | None = None,
    ) -> Response:
        """Send a message, with JSON or bytes, and read the whole answer.

        Messages between nodes bear repetition, so one that could not be delivered is sent again, each time
        with a token of its own.
        """
        headers = {}
        body = content or b""
        if json is not None:
            body, content_type = to_json(json), "application/json"
        if body:
            headers["content-type"] = content_type
        url = participant.url + path
        for attempt in range(1, _ATTEMPTS + 1):
            token = sign_message(
                self._keys,
                self._own_did,
                participant.did,
                method=method,
                url=request_target(url),
                body=body,
                clock=self._clock,
            )
            try:
                return self._http.request(
                    method,
                    url,
                    content=body or None,
                    headers=headers | {"authorization": f"Bearer {token}"},
                    timeout_seconds=timeout_seconds,
                    retries=0,
                )
            except Unavailable as error:
                if error.code != "peer-unreachable" or attempt == _ATTEMPTS:
                    raise
            time.sleep(0.2 * 2**attempt * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load
        raise AssertionError("the last attempt returns or raises")
