"""A small data space on loopback, and people with a browser who visit it."""

from __future__ import annotations

import csv
import os
import random
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import uvicorn
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, ConsoleMessage, Page

from salerno.identity.model import PersonRole
from salerno.nodes.assemble import Node
from salerno.nodes.routes import application

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PASSWORD = "correct horse battery"
SHOTS = os.environ.get("SALERNO_SHOTS", "")

PEOPLE = {
    "hub": [("rosa", "Rosa Weber", PersonRole.RESEARCHER), ("olaf", "Olaf Berg", PersonRole.OPERATOR)],
    "body-fr": [
        ("odile", "Odile Martin", PersonRole.OFFICER),
        ("oscar", "Oscar Blanc", PersonRole.OFFICER),
        ("claire", "Claire Petit", PersonRole.CITIZEN),
    ],
    "body-de": [
        ("otto", "Otto Braun", PersonRole.OFFICER),
        ("olga", "Olga Klein", PersonRole.OFFICER),
    ],
    "lyon": [("stephane", "Stéphane Roux", PersonRole.STEWARD)],
    "jena": [("sabine", "Sabine Vogel", PersonRole.STEWARD)],
}


@dataclass
class Space:
    """Nodes by short name, all serving."""

    nodes: dict[str, Node]
    folder: Path

    def url(self, node: str) -> str:
        return self.nodes[node].settings.url


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_patients(path: Path, seed: int, rows: int = 240) -> None:
    """A registry of patients after a treatment, one row each."""
    dice = random.Random(seed)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["age", "sex", "treatment", "time", "status", "bmi"])
        for _ in range(rows):
            age, sex = dice.randint(30, 85), dice.choice(["F", "M"])
            treatment = dice.choice(["celecoxib", "diclofenac"])
            rate = 0.0008 * (1.7 if treatment == "diclofenac" else 1.0) * (1 + (age - 50) / 100)
            event, censored = dice.expovariate(rate), dice.uniform(200, 1500)
            bmi = round(dice.gauss(26, 4), 1)
            row = [age, sex, treatment, max(1, round(min(event, censored))), int(event < censored), bmi]
            writer.writerow(row)


def serve(node: Node) -> tuple[uvicorn.Server, threading.Thread]:
    config = uvicorn.Config(
        application(node), host="127.0.0.1", port=node.settings.port, log_config=None, access_log=False,
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < deadline, "the node did not start"
        time.sleep(0.02)
    return server, thread


class Visitor:
    """A person with a browser: visits pages, and notes what the browser complains about."""

    def __init__(self, context: BrowserContext, space: Space, node: str) -> None:
        self.page: Page = context.new_page()
        self.page.set_default_timeout(15_000)
        self.space = space
        self.root = space.url(node)
        self.complaints: list[str] = []
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _note(self, message: ConsoleMessage) -> None:
        # A page that answers with an error status is reported too; tests look at those pages themselves.
        if message.type in ("error", "warning") and "status of 4" not in message.text:
            self.complaints.append(message.text)

    def goto(self, path: str) -> Page:
        self.page.goto(self.root + path)
        return self.page

    def log_in(self, login: str, path: str = "/") -> Page:
        self.goto(f"/log-in?next={quote(path, safe='')}")
        self.page.get_by_label("Log-in name").fill(login)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Log in").click()
        self.page.wait_for_url(f"{self.root}{path}")
        return self.page

    def check(self, name: str) -> None:
        """The page in front is accessible, fits a narrow window, and the browser has no complaint."""
        violations = Axe().run(self.page).response["violations"]
        told = [(v["id"], v["help"], [n["html"][:160] for n in v["nodes"][:3]]) for v in violations]
        assert not told, f"{name}: {told}"
        assert self.page.locator("h1").count() == 1, name
        assert self.page.locator("html").get_attribute("lang") == "en"
        assert self.page.title().endswith(self.page.locator(".brand strong").inner_text())
        unlabelled = self.page.evaluate(UNLABELLED)
        assert not unlabelled, f"{name}: fields without a visible label: {unlabelled}"
        small = self.page.evaluate(SMALL_TARGETS)
        assert not small, f"{name}: targets smaller than 24 px: {small}"
        self.shot(name)
        before = self.page.viewport_size
        self.page.set_viewport_size({"width": 320, "height": 640})
        too_wide = self.page.evaluate(TOO_WIDE)
        self.shot(f"{name}-narrow")
        self.page.set_viewport_size(before or {"width": 1280, "height": 900})
        assert not too_wide, f"{name}: wider than 320 px: {too_wide}"
        assert not self.complaints, f"{name}: {self.complaints}"

    def shot(self, name: str) -> None:
        if SHOTS:
            self.page.screenshot(path=f"{SHOTS}/{name}.png", full_page=True)


UNLABELLED = """() => [...document.querySelectorAll('input:not([type=hidden]), select, textarea')]
  .filter(e => !e.closest('details:not([open]), [hidden]'))
  .filter(e => !e.labels || ![...e.labels].some(l => l.innerText.trim() && l.offsetWidth > 1))
  .map(e => e.name)"""
SMALL_TARGETS = """() => [...document.querySelectorAll('button, input, select, .button')]
  .filter(e => e.offsetWidth && !['checkbox', 'radio'].includes(e.type) && !e.classList.contains('unseen'))
  .filter(e => e.offsetHeight < 24 || e.offsetWidth < 24)
  .map(e => e.outerHTML.slice(0, 80))"""
TOO_WIDE = """() => document.documentElement.scrollWidth <= 320 ? '' :
  [...document.querySelectorAll('body *')]
  .filter(e => !e.closest('.scroll') && e.getBoundingClientRect().right > 321)
  .map(e => e.outerHTML.slice(0, 100)).slice(0, 5).join('\\n') || 'something'"""
