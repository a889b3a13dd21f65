"""A throwaway space for tests: hub, access body and holders, each with its own database, keys and log."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from salerno.adapters import jobs
from salerno.adapters.clock import SystemClock
from salerno.adapters.database import Database
from salerno.adapters.http import HttpClient
from salerno.adapters.keys import KeyRing
from salerno.analysis import store as analysis_store
from salerno.analysis.model import AskedQuestion, QuestionState, Share, Study, StudyOptions, Work
from salerno.analysis.remote import HttpHub, LoopbackHub
from salerno.analysis.service.agent import Agent
from salerno.analysis.service.coordinator import Coordinator
from salerno.analysis.service.ports import AgentParts, Deadlines, HolderDesk, HubDesk, HubParts
from salerno.analysis.service.waiting import Pulses
from salerno.audit import store as audit_store
from salerno.audit.model import Entry
from salerno.audit.service import AuditLog
from salerno.holdings import store as holdings_store
from salerno.holdings.engine.apps.host import SandboxedApps
from salerno.holdings.engine.opening import IbisEngine
from salerno.holdings.service import Holdings, ViewDoor
from salerno.identity import store as identity_store
from salerno.identity.model import Credential, Participant, ParticipantRole
from salerno.identity.remote import PeerClient
from salerno.identity.rules import StaticKeyResolver, key_id, make_document
from salerno.identity.service.trust import Trust
from salerno.kernel.codes import Purpose
from salerno.kernel.errors import SalernoError, Unavailable
from salerno.kernel.ids import new_id
from salerno.permits.model import (
    DataPermit,
    DataScope,
    DisclosurePolicy,
    IssuedPermit,
    NamedPerson,
    OptOutList,
    PermitState,
)
from salerno.permits.wire import CREDENTIAL_TYPE, parse_permit, render_permit
from salerno.standards.did import did_web

USER = "did:web:127.0.0.1%3A9100#ada"
COUNTRIES = ("FR", "DE", "FI", "IT", "ES")


def participant(port: int, role: ParticipantRole, name: str, country: str, body: str = "") -> Participant:
    url = f"http://127.0.0.1:{port}"
    return Participant(did=did_web(url), role=role, name=name, country=country, url=url, access_body=body)


class Node:
    """Database, keys and log of one participant."""

    def __init__(self, space: Space, who: Participant, url: str = "sqlite://") -> None:
        self.space, self.who = space, who
        self.keys = KeyRing.generate()
        self.database = Database(url)
        for module in (identity_store, audit_store, holdings_store, analysis_store, jobs):
            module.metadata.create_all(self.database.engine)
        space.resolver.add(make_document(who.did, self.keys))

    def audit(self, connection: Any) -> AuditLog:
        return AuditLog(audit_store.SqlAuditStore(connection), self.space.clock, self.keys, self.who.did)

    def trust(self, connection: Any) -> Trust:
        store = identity_store.SqlTrustStore(connection)
        return Trust(store, self.audit(connection), self.space.clock, self.space.resolver, self.who.did)

    def entries(self, act: str = "") -> list[Entry]:
        with self.database.reading() as connection:
            return self.audit(connection).entries(act=act, limit=1000)

    def codes(self, act: str = "round-refused") -> list[str]:
        return [str(entry.detail.get("code")) for entry in self.entries(act)]

    def verify(self, token: str) -> Credential:
        with self.database.transaction() as connection:
            return self.trust(connection).verify_credential(token, type=CREDENTIAL_TYPE)


class Patience(Pulses):
    """Waits as long as it takes, but not for those whom a test has declared gone."""

    def __init__(self) -> None:
        super().__init__()
        self.gone: set[tuple[str, int, int, str]] = set()

    def last(self, question_id: str, run: int, round: int, holder: str, began: float) -> float:
        if (question_id, run, round, holder) in self.gone:
            return float("-inf")
        return super().last(question_id, run, round, holder, began)


class Hub(Node):
    """The coordinator's node."""

    def __init__(self, space: Space, who: Participant, deadlines: Deadlines, url: str = "sqlite://") -> None:
        super().__init__(space, who, url)
        self.deadlines = deadlines
        self.coordinator = self.make_coordinator()

    def make_coordinator(self) -> Coordinator:
        def desk(connection: Any) -> HubDesk:
            return HubDesk(
                store=analysis_store.SqlHubStore(connection),
                audit=self.audit(connection),
                jobs=Queue(connection, self.space.clock),
                trust=self.trust(connection),
            )

        @contextmanager
        def reads() -> Iterator[HubDesk]:
            with self.database.reading() as connection:
                yield desk(connection)

        parts = HubParts(
            opens=self.database.opens(desk),
            reads=reads,
            keys=self.keys,
            resolver=self.space.resolver,
            own=self.who,
            now=self.space.clock.now,
            deadlines=self.deadlines,
            version="test",
        )
        self.patience = Patience()
        return Coordinator(parts, pulses=self.patience)


class Queue:
    """The job queue on one transaction."""

    def __init__(self, connection: Any, clock: SystemClock) -> None:
        self.connection, self.clock = connection, clock

    def enqueue(self, kind: str, payload: dict[str, Any], *, key: str) -> None:
        jobs.enqueue(self.connection, kind, payload, key=key, clock=self.clock)


class Granted:
    """An access body that answers at once."""

    def __init__(self) -> None:
        self.answer = PermitState.GRANTED

    def state(self, permit: DataPermit) -> PermitState:
        return self.answer


class NobodyOptedOut:
    """An opt-out list without entries."""

    def of(self, permit: DataPermit, dataset: str) -> OptOutList:
        return OptOutList(salt="0" * 32, tokens=b"", as_of=datetime.now(UTC))


class Holder(Node):
    """A hospital: one holding, one agent."""

    def __init__(self, space: Space, who: Participant, source: Path, policy: DisclosurePolicy) -> None:
        super().__init__(space, who)
        self.status = Granted()
        engine = IbisEngine()

        def holdings(connection: Any) -> Holdings:
            store = holdings_store.SqlHoldingStore(connection)
            return Holdings(store, self.audit(connection), space.clock, who, engine)

        self.door = ViewDoor(
            holdings=self.database.opens(holdings),
            trace=self.database.opens(self.audit),
            engine=engine,
            verifier=self,
            status=self.status,
            opt_outs=NobodyOptedOut(),
            clock=space.clock,
            own=who,
            apps=SandboxedApps(),
        )
        with self.database.opens(holdings)() as desk:
            self.holding = desk.connect("cohort", str(source), "steward", policy=policy)
        self.agent = self.make_agent()

    def make_agent(self, hub: Any = None, **options: Any) -> Agent:
        def desk(connection: Any) -> HolderDesk:
            return HolderDesk(
                store=analysis_store.SqlAgentStore(connection),
                ledger=analysis_store.SqlLedgerStore(connection),
                audit=self.audit(connection),
                trust=self.trust(connection),
            )

        opens = self.database.opens(desk)
        parts = AgentParts(
            door=self.door,
            opens=opens,
            reads=opens,
            keys=self.keys,
            resolver=self.space.resolver,
            own=self.who,
            hub=self.space.hub.who.did,
            read_permit=lambda token: parse_permit(self.verify(token)),
            now=self.space.clock.now,
        )
        return Agent(hub or self.wire(), parts, **options)

    def http_hub(self) -> HttpHub:
        """The hub over signed calls, where it serves."""
        peers = PeerClient(HttpClient(timeout_seconds=10), self.keys, self.who.did, self.space.clock)
        return HttpHub(peers, self.space.hub.who)

    def wire(self) -> Wire:
        return Wire(self.space, LoopbackHub(self.space.hub.coordinator, self.who.did), self.who.did)


class Wire:
    """The way to the hub; writes down what reaches it, and lets a test tamper with it."""

    def __init__(self, space: Space, hub: LoopbackHub, did: str) -> None:
        self.space, self.hub, self.did = space, hub, did

    def next(self, wait: float, lane: int, lanes: int) -> list[Work]:
        return self._in(self.hub.next(wait, lane, lanes))

    def opened(self, reply: str, wait: float, lane: int, lanes: int) -> list[Work]:
        self.space.seen.append((self.did, reply))
        return self._in(self.hub.opened(reply, wait, lane, lanes))

    def share(self, share: Share, wait: float, lane: int, lanes: int) -> list[Work]:
        share = self.space.tamper_out(self.did, share)
        self.space.seen.append((self.did, share))
        return self._in(self.hub.share(share, wait, lane, lanes))

    def working(self, question_id: str, run: int, round: int) -> None:
        self.hub.working(question_id, run, round)

    def _in(self, works: list[Work]) -> list[Work]:
        return [self.space.tamper_in(self.did, work) for work in works]


class Space:
    """A hub, an access body, and one holder per CSV text."""

    def __init__(
        self,
        folder: Path,
        tables: list[str],
        *,
        policy: DisclosurePolicy,
        policies: dict[int, DisclosurePolicy],
        deadlines: Deadlines,
        hub_url: str,
        hub_port: int,
    ) -> None:
        self.clock = SystemClock()
        self.resolver = StaticKeyResolver()
        self.seen: list[tuple[str, Any]] = []
        self.errors: list[tuple[str, str]] = []
        self.tamper_in: Callable[[str, Work], Work] = lambda _, work: work
        self.tamper_out: Callable[[str, Share], Share] = lambda _, share: share
        self.hub = Hub(
            self, participant(hub_port, ParticipantRole.HUB, "European hub", "EU"), deadlines, hub_url
        )
        self.body = Node(self, participant(9101, ParticipantRole.ACCESS_BODY, "Access body", "FR"))
        self.holders: list[Holder] = []
        for i, text in enumerate(tables):
            source = folder / f"site{i}.csv"
            source.write_text(text)
            who = participant(
                9110 + i, ParticipantRole.HOLDER, f"Hospital {'ABCDE'[i]}", COUNTRIES[i], self.body.who.did
            )
            self.holders.append(Holder(self, who, source, policies.get(i, policy)))
        everybody = [n.who for n in (self.hub, self.body, *self.holders)]
        for node in (self.hub, *self.holders):
            with node.database.transaction() as connection:
                for other in everybody:
                    if other.did != node.who.did:
                        node.trust(connection).admit(other, by="operator")

    @property
    def coordinator(self) -> Coordinator:
        return self.hub.coordinator

    def permit(self, columns: tuple[str, ...], policy: DisclosurePolicy, **changes: Any) -> IssuedPermit:
        now = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
        scopes = tuple(
            DataScope(
                dataset=h.holding.dataset,
                holder=h.who.did,
                country=h.who.country,
                tables={f"site{i}": columns},
            )
            for i, h in enumerate(self.holders)
        )
        values: dict[str, Any] = {
            "id": f"urn:salerno:permit:{new_id('permit')}",
            "application_id": "case-1",
            "issuer": self.body.who.did,
            "country": "FR",
            "applicant": "University",
            "approved_at": now,
            "valid_from": now,
            "valid_until": now + timedelta(days=30),
            "data": scopes,
            "pseudonymised": True,
            "purpose": Purpose.RESEARCH,
            "purpose_detail": "A test",
            "persons": (NamedPerson(id=USER, name="Ada"),),
            "environment": self.hub.who.did,
            "policy": policy,
        }
        permit = DataPermit(**{**values, **changes})
        keys = self.body.keys
        token = render_permit(
            permit, key=keys.private_jwk(), kid=key_id(self.body.who.did, keys.signing_jwk())
        )
        return IssuedPermit(permit=permit, token=token, state=PermitState.GRANTED)

    def study(
        self,
        columns: tuple[str, ...] = ("age", "sex"),
        options: StudyOptions | None = None,
        policy: DisclosurePolicy | None = None,
        **changes: Any,
    ) -> Study:
        permit = self.permit(columns, policy or DisclosurePolicy(masks=False, min_cell=1), **changes)
        return self.coordinator.open_study("A study", USER, "research", [permit], options=options)

    def ask(self, study: Study, question: dict[str, Any]) -> str:
        return self.coordinator.ask(study.id, question, USER).id

    def lead(self, question_id: str) -> threading.Thread:
        """Run the question in a thread, and again after what passes, as the job queue does."""

        def run(coordinator: Coordinator) -> None:
            while True:
                try:
                    return coordinator.run(question_id)
                except Unavailable as error:
                    if error.code == "node-stopping":  # stopped by the test
                        return None
                    time.sleep(0.05)

        thread = threading.Thread(target=run, args=(self.coordinator,), daemon=True)
        thread.start()
        return thread

    def stop(self, thread: threading.Thread) -> None:
        """End the coordinator in the middle, as a stop of the node does."""
        self.coordinator.stop()
        thread.join(5)
        assert not thread.is_alive()

    def work(
        self, question_id: str, *holders: Holder, dead: tuple[Holder, ...] = (), seconds: float = 120
    ) -> AskedQuestion:
        """Let agents work by turns until the question has ended; the dead are declared gone in time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            asked = self.coordinator.question(question_id, USER)
            if asked.state in (QuestionState.ANSWERED, QuestionState.FAILED):
                return asked
            if not any([self.step(holder) for holder in holders]):
                self._bury(question_id, {holder.who.did for holder in dead})
                time.sleep(0.005)
        raise AssertionError(f"the question did not end: {self.coordinator.question(question_id, USER)}")

    def work_until(self, reached: Callable[[], object], seconds: float = 60) -> None:
        """Let all agents work by turns until something has happened, or it has taken too long."""
        end = time.monotonic() + seconds
        while not reached() and time.monotonic() < end:
            if not any([self.step(holder) for holder in self.holders]):
                time.sleep(0.005)

    def _bury(self, question_id: str, dead: set[str]) -> None:
        """Nobody but the dead is waited for: let the hub lose its patience with them in this round."""
        waiting = set(self.coordinator._board.waiting_for(question_id) or ())
        if not waiting or not waiting <= dead:
            return
        with self.coordinator._parts.reads() as desk:
            run = desk.store.run(question_id)
            last = desk.store.last_round(question_id, run.run)
        self.hub.patience.gone |= {(question_id, run.run, last.round if last else 0, did) for did in waiting}

    def step(self, holder: Holder) -> bool:
        """One turn of a holder's agent; what the hub refuses is kept for the test to look at."""
        try:
            return holder.agent.work_once()
        except SalernoError as error:
            self.errors.append((holder.who.did, error.code))
            time.sleep(0.02)
            return False

    def answer(
        self, question: dict[str, Any], study: Study | None = None, dead: tuple[Holder, ...] = ()
    ) -> AskedQuestion:
        question_id = self.ask(study or self.study(), question)
        thread = self.lead(question_id)
        asked = self.work(question_id, *self.holders, dead=dead)
        thread.join(5)
        return asked

    def close(self) -> None:
        self.coordinator.stop()
        for holder in self.holders:
            holder.agent.stop(0)
        for node in (self.hub, self.body, *self.holders):
            node.database.close()


@pytest.fixture
def make_space(tmp_path: Path) -> Iterator[Callable[..., Space]]:
    spaces = []

    def make(
        tables: list[str],
        *,
        policy: DisclosurePolicy | None = None,
        policies: dict[int, DisclosurePolicy] | None = None,
        deadlines: Deadlines | None = None,
        hub_url: str = "sqlite://",
        hub_port: int = 9100,
    ) -> Space:
        space = Space(
            tmp_path,
            tables,
            policy=policy or DisclosurePolicy(min_cell=3),
            policies=policies or {},
            deadlines=deadlines or Deadlines(silence_seconds=300.0, poll_seconds=0.05),
            hub_url=hub_url,
            hub_port=hub_port,
        )
        spaces.append(space)
        return space

    yield make
    for space in spaces:
        space.close()


@pytest.fixture
def three_tables() -> list[str]:
    """Three hospitals' patients: age and sex, 40 rows each."""
    tables = []
    for site in range(3):
        rows = [f"{20 + (7 * i + 11 * site) % 60},{'F' if (i + site) % 3 else 'M'}" for i in range(40)]
        tables.append("age,sex\n" + "\n".join(rows) + "\n")
    return tables
