"""Routes: what is public, what negotiates, what only operators do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from salerno.catalogue.api import choose_syntax, routes
from salerno.catalogue.wire import parse_catalogue
from salerno.identity.model import Participant
from salerno.kernel.errors import NotFound
from salerno.web.callers import Caller
from salerno.web.problems import problem_handlers
from tests.unit.catalogue.world import FRANCE, NodeCatalogue, TellingSource, description

LYON_SET = description()
OPERATOR = Caller(kind="person", id="o", name="Olga", roles=frozenset({"operator"}))
RESEARCHER = Caller(kind="person", id="r", name="Rita", roles=frozenset({"researcher"}))


class Client(TestClient[Any]):
    caller: Caller | None = None


@pytest.fixture
def client(hub: NodeCatalogue) -> Iterator[Client]:
    def participant(did: str) -> Participant:
        if did != FRANCE.did:
            raise NotFound("no-such-participant", f"Nobody is {did}")
        return FRANCE

    def middleware(app: Any) -> Any:
        async def find(scope: Any, receive: Any, send: Any) -> None:
            scope["caller"] = made.caller
            await app(scope, receive, send)

        return find

    app = Litestar(
        routes(hub.open, participant, TellingSource(LYON_SET), sources=lambda: [FRANCE]),
        middleware=[middleware],
        exception_handlers=problem_handlers(),
    )
    made = Client(app, raise_server_exceptions=False)
    with hub.open() as catalogue:
        catalogue.harvest(FRANCE, TellingSource(LYON_SET))
    with made:
        yield made


def test_search_needs_no_log_in(client: Client) -> None:
    [hit] = client.get("/api/datasets", params={"q": "celecoxib", "country": "FR"}).json()
    assert hit["dataset"]["iri"] == LYON_SET.iri
    assert hit["dataset"]["categories"] == ["EHRS", "HRAD"]
    assert hit["matches"] == ["keyword 'celecoxib'"]
    assert client.get("/api/datasets", params={"q": "nothing"}).json() == []
    assert client.get("/api/datasets", params={"limit": 0}).json() == []
    wrong = client.get("/api/datasets", params={"category": "EHR"})
    assert (wrong.status_code, wrong.json()["title"]) == (422, "no-such-category")


def test_one_data_set(client: Client) -> None:
    answer = client.get("/api/datasets/one", params={"iri": LYON_SET.iri}).json()
    assert answer["tables"][0]["variables"][1]["levels"] == ["1118084", "1124300"]
    assert client.get("/api/datasets/one", params={"iri": "urn:x"}).status_code == 404


@pytest.mark.parametrize(
    ("path", "accept", "media_type"),
    [
        ("/catalogue", "", "text/turtle"),
        ("/catalogue", "*/*", "text/turtle"),
        ("/catalogue", "text/html", "text/turtle"),
        ("/catalogue", "application/ld+json", "application/ld+json"),
        ("/catalogue", "text/turtle;q=0.5, application/rdf+xml", "application/rdf+xml"),
        ("/catalogue.ttl", "application/ld+json", "text/turtle"),
        ("/catalogue.jsonld", "", "application/ld+json"),
        ("/catalogue.rdf", "", "application/rdf+xml"),
    ],
)
def test_the_catalogue_is_public_in_three_syntaxes(
    client: Client, path: str, accept: str, media_type: str
) -> None:
    answer = client.get(path, headers={"accept": accept})
    assert answer.status_code == 200
    assert answer.headers["content-type"].partition(";")[0] == media_type
    assert parse_catalogue(answer.content, answer.headers["content-type"]) == [LYON_SET]


def test_a_known_version_is_answered_without_a_body(client: Client) -> None:
    first = client.get("/catalogue")
    again = client.get("/catalogue", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = client.get("/catalogue.jsonld", headers={"if-none-match": first.headers["etag"]})
    assert other.status_code == 200


def test_only_operators_harvest(client: Client) -> None:
    order = {"did": FRANCE.did}
    assert client.post("/api/harvest", json=order).status_code == 401
    client.caller = RESEARCHER
    assert client.post("/api/harvest", json=order).status_code == 403
    assert client.get("/api/harvests").status_code == 403
    client.caller = OPERATOR
    [report] = client.post("/api/harvest", json=order).json()
    assert report["unchanged"] == [LYON_SET.iri]
    assert client.get("/api/harvests").json() == [report]
    assert client.post("/api/harvest", json={"did": "did:web:x"}).status_code == 404


def test_without_a_name_all_sources_are_harvested(client: Client) -> None:
    client.caller = OPERATOR
    for answer in (client.post("/api/harvest"), client.post("/api/harvest", json={})):
        assert [report["source"] for report in answer.json()] == [FRANCE.did]


def test_a_node_in_charge_of_nobody_says_so(hub: NodeCatalogue) -> None:
    def middleware(app: Any) -> Any:
        async def find(scope: Any, receive: Any, send: Any) -> None:
            scope["caller"] = OPERATOR
            await app(scope, receive, send)

        return find

    app = Litestar(
        routes(hub.open, lambda _: FRANCE, TellingSource()),
        middleware=[middleware],
        exception_handlers=problem_handlers(),
    )
    with TestClient(app) as client:
        assert client.post("/api/harvest").json()["title"] == "nothing-to-harvest"


@pytest.mark.parametrize(
    ("accept", "syntax"),
    [
        ("application/json", "json-ld"),
        ("text/turtle;q=x, text/xml", "rdf-xml"),
        ("text/turtle;q=0, application/ld+json;q=0.1", "json-ld"),
        ("TEXT/TURTLE", "turtle"),
        (";;,,", "turtle"),
    ],
)
def test_negotiation(accept: str, syntax: str) -> None:
    assert choose_syntax(accept) == syntax
