"""A data space of real node processes on loopback for the benchmarks: hub, access body, holders.

Run as a script it serves one node: ``python benchmarks/network.py serve FOLDER [empty]``.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx

from salerno.audit.model import Entry
from salerno.identity.model import Participant, ParticipantRole, PersonRole
from salerno.kernel.codes import Purpose
from salerno.kernel.errors import Unavailable
from salerno.nodes.assemble import Node, open_node
from salerno.nodes.demo.processes import NodeProcesses, free_ports
from salerno.nodes.settings import init_node
from salerno.permits.model import (
    Assessment,
    CasePart,
    Criterion,
    DataAccessApplication,
    DataScope,
    DisclosurePolicy,
    IssuedPermit,
    NamedPerson,
    Proposal,
    Terms,
    Verdict,
)
from salerno.permits.rules import CRITERIA


@dataclass
class Network:
    """A running space with an open study.

    Args:
        folders: Node folder by name; ``hub``, ``body``, ``holder-0``, …
        processes: Operating system's process numbers by name.
        http: Logged in as the researcher at the hub.
        study: Identifier of the study over all holders.
    """

    folders: dict[str, Path]
    processes: dict[str, int]
    http: httpx.Client
    study: str

    def ask(self, question: Mapping[str, Any], seconds: float = 600) -> dict[str, Any]:
        """Ask and wait; the answer as JSON."""
        asked = (
            self.http.post(f"/api/studies/{self.study}/questions", json=question).raise_for_status().json()
        )
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            now = self.http.get(f"/api/questions/{asked['id']}?wait=25").raise_for_status().json()
            if now["state"] == "answered":
                return dict(now["answer"])
            if now["state"] == "failed":
                raise RuntimeError(now["error"])
        raise TimeoutError(asked["id"])

    def cpu_seconds(self) -> dict[str, float]:
        """Processor time that each process has used, all its threads."""
        used = {}
        for name, process_id in self.processes.items():
            fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
            used[name] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return used

    def settle(self) -> None:
        """Wait until all nodes have loaded what they need and are idle."""
        used = -1.0
        while (now := sum(self.cpu_seconds().values())) - used > 0.05:
            used = now
            time.sleep(1.0)

    def entries(self, name: str, act: str) -> list[Entry]:
        """Audit entries of one act at one node."""
        with open_node(self.folders[name]) as node, node.audit() as log:
            return log.entries(act=act, limit=100_000)


class _Served(NodeProcesses):
    """As the demo's processes, with a method of the benchmark's own when asked for."""

    def __init__(self, folders: Mapping[str, Path], extra: Sequence[str]) -> None:
        super().__init__(folders)
        self.command = [sys.executable, str(Path(__file__).resolve()), "serve"]
        self.extra = list(extra)

    def start(self, names: Any = None) -> None:
        # Compiling every library anew in each process would take minutes and is nobody's real set-up.
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
        environment.setdefault(
            "OPENBLAS_NUM_THREADS", "1"
        )  # as `salerno serve` sets it, before numpy is loaded
        for name in list(self._folders if names is None else names):
            folder = self._folders[name]
            with (folder / "node.log").open("ab") as log:
                self._running[name] = subprocess.Popen(
                    [*self.command, str(folder), *self.extra],
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
        for name in self._folders:
            try:
                self.wait_ready(name)
            except Unavailable:
                print((self._folders[name] / "node.log").read_text()[-2000:], file=sys.stderr)
                raise


@contextmanager
def network(folder: Path, sources: Sequence[Path], *, extra: Sequence[str] = ()) -> Iterator[Network]:
    """Make nodes, permit and study, then serve every node in a process of its own."""
    names = ["hub", "body", *(f"holder-{i}" for i in range(len(sources)))]
    folders = {name: folder / name for name in names}
    participants = _init(folders)
    user, password = f"{participants['hub'].did}#bench", secrets.token_urlsafe(12)
    policy = DisclosurePolicy(masks=True)
    scopes = []
    for name in names:
        with open_node(folders[name]) as node:
            for other, participant in participants.items():
                if other != name:
                    with node.trust() as trust:
                        trust.admit(participant, by=node.operator)
            if name.startswith("holder"):
                scopes.append(_connect(node, sources[int(name.removeprefix("holder-"))], policy))
    with open_node(folders["hub"]) as hub, open_node(folders["body"]) as body:
        with hub.accounts() as accounts:
            accounts.create("bench", "Bench", password, (PersonRole.RESEARCHER,))
        issued = _grant(hub, body, scopes, user, policy)
        study = hub.coordinator.open_study("Benchmark", user, Purpose.RESEARCH, [issued])
    processes = _Served(folders, extra)
    try:
        processes.start()
        with httpx.Client(base_url=participants["hub"].url, timeout=60) as http:
            token = http.post("/api/log-in", json={"login": "bench", "password": password}).raise_for_status()
            http.headers["Authorization"] = f"Bearer {token.json()['token']}"
            yield Network(folders, {n: processes.process_id(n) for n in names}, http, study.id)
    finally:
        processes.stop()


def _init(folders: Mapping[str, Path]) -> dict[str, Participant]:
    ports = free_ports(len(folders))
    participants: dict[str, Participant] = {}
    for (name, folder), port in zip(folders.items(), ports, strict=True):
        role = {"hub": ParticipantRole.HUB, "body": ParticipantRole.ACCESS_BODY}.get(
            name, ParticipantRole.HOLDER
        )
        body = participants["body"].did if role is ParticipantRole.HOLDER else ""
        settings = init_node(
            folder,
            role=role,
            name=name,
            country="EU" if name == "hub" else "FR",
            url=f"http://127.0.0.1:{port}",
            access_body=body,
            sync_seconds=300,
        )
        participants[name] = Participant(
            did=settings.did,
            role=role,
            name=name,
            country=settings.country,
            url=settings.url,
            access_body=body,
        )
    return participants


def _connect(node: Node, source: Path, policy: DisclosurePolicy) -> DataScope:
    holding = node.holding_desk.connect("data", str(source), node.operator, title="Data", policy=policy)
    described = node.holding_desk.describe(holding.id, node.operator)
    tables = {table.name: tuple(v.name for v in table.variables) for table in described.tables}
    return DataScope(dataset=holding.dataset, holder=node.own.did, country="FR", tables=tables)


def _grant(
    hub: Node, body: Node, scopes: Sequence[DataScope], user: str, policy: DisclosurePolicy
) -> IssuedPermit:
    application = DataAccessApplication(
        title="Benchmark",
        applicant="Bench",
        contact_email="bench@example.org",
        persons=(NamedPerson(id=user, name="Bench", principal_investigator=True),),
        purpose=Purpose.RESEARCH,
        intended_use="Measure the time that a question takes.",
        expected_benefit="Faster answers.",
        data=tuple(scopes),
        pseudonymised=True,
        why_not_anonymised="Sums are computed from rows.",
        gdpr_basis="GDPR Art. 6(1)(e), 9(2)(j)",
        safeguards="Synthetic data.",
        lay_summary="A measurement.",
    )
    with hub.permits() as desk:
        case = desk.draft(application, user)
    part = CasePart(
        case_id=case.id,
        version=case.version,
        country="FR",
        application=application,
        applicant_id=user,
        submitted_at=datetime.now(UTC),
    )
    officer = f"{body.own.did}#officer"
    criteria = tuple(Criterion(letter=letter, met=True) for letter in CRITERIA)
    with body.permits() as desk:
        desk.receive(part, hub.own.did)
        desk.take_up(case.id, officer)
        desk.find_complete(case.id, officer)
        proposal = Proposal(
            verdict=Verdict.GRANT,
            assessment=Assessment(assessor=officer, criteria=criteria),
            terms=Terms(policy=policy),
        )
        desk.propose(case.id, officer, proposal, no_conflict=True)
        decided = desk.confirm(case.id, f"{officer}-2", no_conflict=True)
        return desk.status(decided.countries["FR"].permit_id)


EMPTY_ROUNDS = 25


def add_empty_method() -> None:
    """A method that does next to nothing, as often as the policy lets it."""
    import numpy as np

    import salerno.analysis.methods as methods
    from salerno.analysis.model import Aggregate, Result

    def local(view: Any, state: Any) -> Aggregate:
        return Aggregate(
            expression=view.aggregate(n=view.count()),
            finish=lambda rows: {"n": np.array([rows.column("n")[0].as_py()])},
        )

    def step(sums: Any, state: int) -> Any:
        n = int(sums["n"][0])
        return Result(result={"n": n}, n=n) if state == EMPTY_ROUNDS else state + 1

    module = ModuleType(f"{methods.__name__}.empty")
    module.NAME = module.LABEL = "empty"  # type: ignore[attr-defined]
    module.start = lambda question, scope: 1  # type: ignore[attr-defined]
    module.local = local  # type: ignore[attr-defined]
    module.guard = lambda sums, state, scope: sums  # type: ignore[attr-defined]
    module.step = step  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module
    methods.METHODS._names += ("empty",)  # type: ignore[attr-defined]


if __name__ == "__main__":
    from salerno.nodes.serve import serve

    if "empty" in sys.argv[3:]:
        add_empty_method()
    serve(sys.argv[2])
