"""Fixtures of the portal's tests: a small data space of real nodes, and a real browser to visit it with."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from salerno.identity.model import ParticipantRole, PersonRole
from salerno.nodes.assemble import Node, open_node
from salerno.nodes.settings import init_node
from tests.portal.space import (
    ARGUMENTS,
    CHROMIUM,
    PASSWORD,
    PEOPLE,
    Space,
    Visitor,
    free_port,
    serve,
    write_patients,
)


@pytest.fixture(scope="session")
def space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Space]:
    folder = tmp_path_factory.mktemp("space")
    plan = [
        ("hub", ParticipantRole.HUB, "HealthData@EU hub", "EU", ""),
        ("body-fr", ParticipantRole.ACCESS_BODY, "Health data access body of France", "FR", ""),
        ("body-de", ParticipantRole.ACCESS_BODY, "Health data access body of Germany", "DE", ""),
        ("lyon", ParticipantRole.HOLDER, "Hospital of Lyon", "FR", "body-fr"),
        ("jena", ParticipantRole.HOLDER, "Hospital of Jena", "DE", "body-de"),
    ]
    nodes: dict[str, Node] = {}
    for short, role, name, country, body in plan:
        init_node(
            folder / short,
            role=role,
            name=name,
            country=country,
            url=f"http://127.0.0.1:{free_port()}",
            access_body=nodes[body].settings.did if body else "",
            contact_email="contact@example.eu",
            sync_seconds=1,
        )
        nodes[short] = open_node(folder / short)
    for node in nodes.values():
        for other in nodes.values():
            if other is not node:
                with node.trust() as trust:
                    trust.admit(other.own, node.operator)
    for short, people in PEOPLE.items():
        for login, full_name, may in people:
            with nodes[short].accounts() as accounts:
                person = "patient-7" if may is PersonRole.CITIZEN else ""
                accounts.create(login, full_name, PASSWORD, [may], person)
    servers = [serve(node) for node in nodes.values()]
    try:
        yield Space(nodes, folder)
    finally:
        for server, thread in servers:
            server.should_exit = True
            thread.join(timeout=10)
        for node in nodes.values():
            node.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.skip(f"there is no Chromium at {CHROMIUM}")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def heart(space: Space) -> str:
    """A data set that Lyon has published and the hub has harvested; its IRI."""
    source = space.folder / "lyon" / "heart.csv"
    write_patients(source, 7)
    lyon = space.nodes["lyon"]
    lyon.holding_desk.connect("heart", str(source), lyon.operator, title="Heart cohort", kind="tables")
    iri = lyon.publish("heart", lyon.operator).iri
    deadline = time.monotonic() + 60
    while True:
        with space.nodes["hub"].catalogue() as catalogue:
            if any(d.iri == iri for d in catalogue.datasets()):
                return iri
        assert time.monotonic() < deadline, "the description did not reach the hub"
        time.sleep(0.2)


@pytest.fixture
def visit(browser: Browser, space: Space) -> Iterator[Any]:
    """Opens a fresh browser session at a node: ``visit("hub")``, or ``visit("hub", scripts=False)``."""
    contexts: list[BrowserContext] = []

    def begin(node: str, *, scripts: bool = True) -> Visitor:
        context = browser.new_context(java_script_enabled=scripts, viewport={"width": 1280, "height": 900})
        contexts.append(context)
        return Visitor(context, space, node)

    yield begin
    for context in contexts:
        context.close()
