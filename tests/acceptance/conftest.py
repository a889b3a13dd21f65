"""A data space of separate processes on loopback, with a synthetic population."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

import salerno
from salerno.client.applications import Application
from salerno.client.session import Session
from salerno.holdings.rules import columns_needed
from salerno.kernel.errors import SalernoError
from salerno.nodes.demo.processes import NodeProcesses
from salerno.nodes.demo.space import Space, make_space
from salerno.nodes.demo_data import GIBLEED_FRAME, person_identifiers, split_omop, synthetic_omop
from salerno.permits.rules import CRITERIA

T = TypeVar("T")

PERSONS = 6000
ASSESSMENT = {"assessor": "", "criteria": [{"letter": letter, "met": True} for letter in CRITERIA]}


@dataclass
class Running:
    """The space, its processes and the sessions of its people."""

    space: Space
    processes: NodeProcesses
    sources: list[str]
    sessions: dict[str, Session] = field(default_factory=dict)

    def session(self, kind: str) -> Session:
        if kind not in self.sessions:
            log_in = self.space.log_ins[kind]
            self.sessions[kind] = salerno.connect(log_in.url, log_in.login, log_in.password)
        return self.sessions[kind]

    def restart(self, name: str) -> None:
        self.processes.kill(name)
        self.processes.start([name])

    def harvested(self) -> list[Any]:
        for country in self.space.countries:
            self.session(f"officer {country}").harvest()
        self.session("operator").harvest()
        return list(self.session("researcher").search("celecoxib"))

    def file(self, **changes: Any) -> Application:
        tables = {table: sorted(columns) for table, columns in columns_needed(GIBLEED_FRAME).items()}
        fields: dict[str, Any] = {
            "title": "Haemorrhage after two pain killers",
            "contact_email": "marie@university.example",
            "data": [dataset.scope(tables) for dataset in self.harvested()],
            "intended_use": "Compare the time to haemorrhage.",
            "expected_benefit": "Safer choice.",
            "safeguards": "Disclosure control.",
            "pseudonymised": True,
            "why_not_anonymised": "Survival times are needed.",
            "gdpr_basis": "GDPR Art. 6(1)(e)",
            "lay_summary": "Two pain killers are compared.",
            **changes,
        }
        return self.session("researcher").apply(**fields, confirm=True)

    def grant(self, application: Application, country: str, **terms: Any) -> None:
        officer = self.session(f"officer {country}")
        case = soon(lambda: officer.case(application.id))
        case.take_up().find_complete().propose("grant", ASSESSMENT, no_conflict=True, **terms)
        self.session(f"second officer {country}").case(case.id).confirm(no_conflict=True)


def soon(look: Callable[[], T], seconds: float = 60) -> T:
    """What `look` gives once it is there."""
    end = time.monotonic() + seconds
    while True:
        try:
            return look()
        except SalernoError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder: Path = tmp_path_factory.mktemp("space")
    synthetic_omop(folder / "whole", PERSONS, 7)
    parts = split_omop(folder / "whole", [folder / f"part-{number}" for number in range(3)])
    sources = [str(part) for part in parts]
    space = make_space(
        folder / "nodes", sources, title="Synthetic", objectors=[person_identifiers(s, 1) for s in sources]
    )
    with NodeProcesses(space.folders) as processes:
        processes.start()
        yield Running(space, processes, sources)
