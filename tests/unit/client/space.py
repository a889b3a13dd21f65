"""A small data space inside the test's process: real nodes and routes, no socket between them."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
from litestar.testing import TestClient

from salerno.adapters.http import HttpClient
from salerno.identity.model import PersonRole
from salerno.nodes.assemble import Node, open_node
from salerno.nodes.routes import application
from salerno.nodes.settings import init_node

PASSWORD = "correct horse battery"
HUB, BODY, HOLDER = "http://127.0.0.1:7101", "http://127.0.0.1:7102", "http://127.0.0.1:7103"


class Wire:
    """Stands in for httpx's client: hands a request to the application that its address belongs to."""

    def __init__(self) -> None:
        self.applications: dict[str, httpx.Client] = {}
        self._plain = httpx.Client()

    def build_request(self, *args: Any, **kwargs: Any) -> httpx.Request:
        return self._plain.build_request(*args, **kwargs)

    def send(self, request: httpx.Request, *, stream: bool = False) -> httpx.Response:
        origin = f"{request.url.scheme}://{request.url.host}:{request.url.port}"
        if origin not in self.applications:
            raise httpx.ConnectError("nobody listens there", request=request)
        return self.applications[origin].send(request, stream=stream)

    def close(self) -> None:
        """Nothing is open."""


class Space:
    """The hub, one access body and one holder with 400 patients, all admitted to each other."""

    def __init__(self, folder: Path) -> None:
        self.wire = Wire()
        self.hub = self._node(folder / "hub", "hub", "European hub", "EU", HUB)
        self.body = self._node(folder / "body", "access-body", "French access body", "FR", BODY)
        self.holder = self._node(
            folder / "holder", "holder", "Hospital Lyon", "FR", HOLDER, access_body=self.body.own.did
        )
        for node in self.nodes:
            with node.trust() as trust:
                for other in self.nodes:
                    if other is not node:
                        trust.admit(other.own, by=node.operator)
        write_patients(folder / "patients.csv")
        self.holder.holding_desk.connect(
            "gi", str(folder / "patients.csv"), self.holder.operator, title="Bleeding register of Lyon"
        )
        self.dataset = self.holder.publish("gi", self.holder.operator)
        self._account(self.hub, "marie", "Marie Curie", PersonRole.RESEARCHER)
        self._account(self.hub, "paul", "Paul Other", PersonRole.RESEARCHER)
        self._account(self.hub, "olga", "Olga Operator", PersonRole.OPERATOR)
        self._account(self.body, "odile", "Odile Officer", PersonRole.OFFICER)
        self._account(self.body, "oscar", "Oscar Officer", PersonRole.OFFICER)
        self._account(self.body, "claire", "Claire Citizen", PersonRole.CITIZEN, person="17")

    @property
    def nodes(self) -> tuple[Node, ...]:
        return self.hub, self.body, self.holder

    def http(self) -> HttpClient:
        client = HttpClient(timeout_seconds=30)
        client._client.close()
        client._client = self.wire  # type: ignore[assignment]
        return client

    @contextmanager
    def running(self) -> Iterator[Space]:
        with ExitStack() as stack:
            for node in reversed(self.nodes):  # the hub stops first, and lets go of those who wait
                client = stack.enter_context(TestClient(application(node), base_url=node.settings.url))
                self.wire.applications[node.settings.url] = client
            yield self

    def _node(self, folder: Path, role: str, name: str, country: str, url: str, **more: str) -> Node:
        init_node(folder, role=role, name=name, country=country, url=url, sync_seconds=1, **more)  # type: ignore[arg-type]
        node = open_node(folder)
        node.http._client.close()
        node.http._client = self.wire  # type: ignore[assignment]
        return node

    def _account(self, node: Node, login: str, name: str, role: PersonRole, person: str = "") -> None:
        with node.accounts() as accounts:
            accounts.create(login, name, PASSWORD, (role,), person)


def write_patients(path: Path) -> None:
    dice = random.Random(7)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["age", "sex", "time", "status"])
        for _ in range(400):
            writer.writerow(
                [dice.randint(30, 85), dice.choice("FM"), dice.randint(1, 900), int(dice.random() < 0.4)]
            )
