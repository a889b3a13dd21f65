"""Another node's catalogue over HTTP."""

from __future__ import annotations

from salerno.adapters.http import HttpClient
from salerno.catalogue.service import Fetched
from salerno.identity.model import Participant

ACCEPT = "text/turtle, application/ld+json;q=0.9, application/rdf+xml;q=0.8"
TIMEOUT_SECONDS = 60.0


class HttpCatalogueSource:
    """Fetches ``/catalogue`` of a participant's node, unless it is still the known version."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http

    def fetch(self, source: Participant, *, etag: str = "") -> Fetched | None:
        """The catalogue as the source publishes it; None when `etag` still names it.

        Raises:
            SalernoError: The source cannot be reached, or answers with an error.
        """
        headers = {"accept": ACCEPT}
        if etag:
            headers["if-none-match"] = etag
        answer = self._http.request(
            "GET", f"{source.url}/catalogue", headers=headers, timeout_seconds=TIMEOUT_SECONDS
        )
        if answer.status == 304:
            return None
        return Fetched(
            content=answer.content,
            media_type=answer.headers.get("content-type", "text/turtle"),
            etag=answer.headers.get("etag", ""),
        )
