"""JSON routes of the catalogue, and the public document of Art. 77."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from litestar import Request, Response, get, post
from litestar.handlers.base import BaseRouteHandler
from litestar.params import FromQuery, JSONBody

from salerno.adapters.database import Opens
from salerno.catalogue.model import DatasetDescription, HarvestReport, SearchHit
from salerno.catalogue.service import Catalogue, CatalogueSource, harvest_outside
from salerno.identity.model import Participant, PersonRole
from salerno.kernel.errors import Invalid
from salerno.standards.dcat import MEDIA_TYPES, Format
from salerno.web.callers import needs

_LIMIT = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class HarvestOrder:
    """Whose catalogue to harvest now: a participant's, or those of all sources when empty."""

    did: str = ""


def routes(
    open_catalogue: Opens[Catalogue],
    participant: Callable[[str], Participant],
    source: CatalogueSource,
    *,
    sources: Callable[[], Iterable[Participant]] = tuple,
    read_catalogue: Opens[Catalogue] | None = None,
) -> list[BaseRouteHandler]:
    """The catalogue's routes.

    Args:
        open_catalogue: Opens a transaction and yields the catalogue.
        participant: Finds an admitted participant by DID; raises `NotFound`.
        source: Fetches catalogues.
        sources: All whose catalogues this node is to harvest.
        read_catalogue: Like `open_catalogue`, for a transaction that only reads and keeps no writer waiting.
    """
    read_catalogue = read_catalogue or open_catalogue

    @get("/api/datasets", sync_to_thread=True, summary="Search the catalogue")
    def find(
        q: FromQuery[str] = "",
        category: FromQuery[str] = "",
        country: FromQuery[str] = "",
        variable: FromQuery[str] = "",
        limit: FromQuery[int] = 50,
    ) -> list[SearchHit]:
        with read_catalogue() as catalogue:
            return catalogue.search(
                q, category=category, country=country, variable=variable, limit=min(limit, _LIMIT)
            )

    @get("/api/datasets/one", sync_to_thread=False, summary="One data set")
    def one(iri: FromQuery[str]) -> DatasetDescription:
        with read_catalogue() as catalogue:
            return catalogue.dataset(iri)

    @get("/api/harvests", sync_to_thread=False, guards=[needs(PersonRole.OPERATOR)], summary="Last harvests")
    def harvests() -> list[HarvestReport]:
        with read_catalogue() as catalogue:
            return catalogue.harvests()

    @post("/api/harvest", sync_to_thread=True, guards=[needs(PersonRole.OPERATOR)], summary="Harvest now")
    def harvest(data: JSONBody[HarvestOrder | None] = None) -> list[HarvestReport]:
        chosen = [participant(data.did)] if data and data.did else list(sources())
        if not chosen:
            raise Invalid(
                "nothing-to-harvest",
                "This node is in charge of no participant whose catalogue it could fetch",
                remedy="Name one by its DID, or admit one first.",
            )
        return [harvest_outside(open_catalogue, one, source) for one in chosen]

    @get("/catalogue", sync_to_thread=True, summary="The catalogue as HealthDCAT-AP (Art. 77)")
    def negotiated(request: Request[Any, Any, Any]) -> Response[bytes]:
        return _document(read_catalogue, request, choose_syntax(request.headers.get("accept", "")))

    @get("/catalogue.ttl", sync_to_thread=True, summary="The catalogue as Turtle")
    def turtle(request: Request[Any, Any, Any]) -> Response[bytes]:
        return _document(read_catalogue, request, "turtle")

    @get("/catalogue.jsonld", sync_to_thread=True, summary="The catalogue as JSON-LD")
    def json_ld(request: Request[Any, Any, Any]) -> Response[bytes]:
        return _document(read_catalogue, request, "json-ld")

    @get("/catalogue.rdf", sync_to_thread=True, summary="The catalogue as RDF/XML")
    def rdf_xml(request: Request[Any, Any, Any]) -> Response[bytes]:
        return _document(read_catalogue, request, "rdf-xml")

    return [find, one, harvests, harvest, negotiated, turtle, json_ld, rdf_xml]


def choose_syntax(accept: str) -> Format:
    """The syntax that an ``Accept`` header likes best; Turtle when it likes none that we have.

    Source:
        RFC 9110, 12.5.1: a server may answer with what it has.
    """
    wanted: dict[str, Format] = {media_type: syntax for syntax, media_type in MEDIA_TYPES.items()}
    wanted |= {"application/json": "json-ld", "application/xml": "rdf-xml", "text/xml": "rdf-xml"}
    best: tuple[float, Format] = (0.0, "turtle")
    for part in accept.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        try:
            weight = float(quality)
        except ValueError:
            continue
        if name in wanted and weight > best[0]:
            best = (weight, wanted[name])
    return best[1]


def _document(
    open_catalogue: Opens[Catalogue], request: Request[Any, Any, Any], syntax: Format
) -> Response[bytes]:
    with open_catalogue() as catalogue:
        etag = f'"{catalogue.etag(syntax)}"'
        headers = {"etag": etag, "vary": "accept", "cache-control": "no-cache"}
        known = {
            tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")
        }
        if etag in known or "*" in known:
            return Response(b"", status_code=304, headers=headers)
        content = catalogue.render(syntax)
    return Response(content, headers=headers, media_type=MEDIA_TYPES[syntax])
