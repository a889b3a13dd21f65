"""A hub and access bodies in one process: real databases, audit logs, jobs and routes; no socket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Any

from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import Connection

from salerno.adapters import jobs
from salerno.adapters.clock import FixedClock
from salerno.adapters.database import Database
from salerno.adapters.keys import KeyRing
from salerno.audit.service import AuditLog
from salerno.audit.store import SqlAuditStore
from salerno.audit.store import metadata as audit_metadata
from salerno.identity.model import Account, AccountRecord, Participant, ParticipantRole, PersonRole
from salerno.identity.rules import key_id, make_document
from salerno.identity.service import Notices, Trust
from salerno.identity.store import SqlAccountStore, SqlNoticeStore, SqlTrustStore
from salerno.identity.store import metadata as identity_metadata
from salerno.kernel.codes import Purpose
from salerno.kernel.errors import Unavailable, parse_problem
from salerno.permits.api import routes
from salerno.permits.model import (
    Assessment,
    Case,
    CaseEvent,
    Condition,
    Criterion,
    DataAccessApplication,
    DataPermit,
    DataScope,
    IssuedPermit,
    NamedPerson,
    Procedure,
    Proposal,
    Terms,
    Verdict,
)
from salerno.permits.remote import access_body_jobs, hub_jobs
from salerno.permits.rules import CRITERIA, CURRENT, confirmations, sheet_of
from salerno.permits.rules.notices import NOTICES
from salerno.permits.service import Objections, PermitDesk
from salerno.permits.store import SqlPermitStore, TransactionJobs
from salerno.permits.store import metadata as permits_metadata
from salerno.permits.wire import DeskSigner
from salerno.standards.did import DidDocument
from salerno.web.callers import Caller
from salerno.web.problems import problem_handlers

START = datetime(2031, 1, 31, 9, 30, 15, 250_000, tzinfo=UTC)
MARIE = "did:web:hub.example#marie"
OFFICER = "did:web:fr.example#officer"
COLLEAGUE = "did:web:fr.example#colleague"
OFFICERS = {OFFICER: "Odile Officer", COLLEAGUE: "Oscar Officer"}
CONFIRMED = dict.fromkeys(confirmations(sheet_of(CURRENT)), True)
COLUMNS = {"person": ("person_id", "gender_concept_id"), "drug_era": ("person_id", "drug_concept_id")}


def scope(country: str, **changes: Any) -> DataScope:
    """What is asked for of one country's hospital."""
    code = country.lower()
    asked = DataScope(
        dataset=f"https://hospital.{code}.example/datasets/gi",
        holder=f"did:web:hospital.{code}.example",
        country=country,
        tables=COLUMNS,
        rows={"drug_era": (Condition(column="drug_concept_id", operator="in", value=[1118084, 1124300]),)},
        covers_from=date(2020, 1, 1),
        covers_to=date(2029, 12, 31),
    )
    return replace(asked, **changes)


def application(*countries: str, **changes: Any) -> DataAccessApplication:
    """A complete application for one or more countries."""
    complete = DataAccessApplication(
        title="Bleeding under pain killers",
        applicant="University of Salerno",
        contact_email="office@uni.example",
        persons=(NamedPerson(id=MARIE, name="Marie Curie", function="epidemiologist"),),
        purpose=Purpose.RESEARCH,
        intended_use="Compare bleeding between two pain killers",
        expected_benefit="Safer prescriptions",
        data=tuple(scope(country) for country in countries or ("FR",)),
        pseudonymised=True,
        why_not_anonymised="Time to event is needed per person",
        safeguards="Masked sums only",
        gdpr_basis="Art. 6(1)(e)",
        period_months=24,
        methods=("count", "cox"),
        answers=dict(CONFIRMED),
    )
    return replace(complete, **changes)


def assessment(*unmet: str, risks: str = "") -> Assessment:
    """An assessment of all criteria; those named are not met."""
    criteria = tuple(Criterion(letter=letter, met=letter not in unmet) for letter in CRITERIA)
    return Assessment(assessor="", criteria=criteria, risks=risks)


def permit(**changes: Any) -> DataPermit:
    """A permit that fits `application`."""
    asked = application("FR")
    whole = DataPermit(
        id="urn:salerno:permit:fr-1",
        application_id="case-1",
        issuer="did:web:fr.example",
        country="FR",
        applicant=asked.applicant,
        approved_at=START,
        valid_from=START.replace(microsecond=0),
        valid_until=START.replace(year=2032, microsecond=0),
        data=asked.data,
        pseudonymised=True,
        purpose=asked.purpose,
        purpose_detail=asked.intended_use,
        persons=asked.persons,
        environment="did:web:hub.example",
        methods=asked.methods,
    )
    return replace(whole, **changes)


def participant(name: str, role: ParticipantRole, country: str, access_body: str = "") -> Participant:
    """A participant whose DID and address come from its name."""
    return Participant(
        did=f"did:web:{name}",
        role=role,
        name=name,
        country=country,
        url=f"https://{name}",
        access_body=access_body,
    )


def person(login: str, *roles: str) -> Caller:
    """Somebody with an account."""
    return Caller(kind="person", id=login, name=login, roles=frozenset(roles))


class Directory:
    """All participants of a world and their public keys, as DID documents would give them."""

    def __init__(self) -> None:
        self.known: dict[str, Participant] = {}
        self.keys: dict[str, KeyRing] = {}

    def resolve(self, did: str, *, kid: str = "") -> DidDocument:
        return make_document(did, self.keys[did])

    def participant(self, did: str) -> Participant:
        return self.known[did]


@dataclass
class Node:
    """One node: its desk in a transaction, its routes, and its jobs."""

    own: Participant
    database: Database
    peers: Directory
    clock: FixedClock
    world: World
    people: dict[str, str]

    objections: Objections = field(default_factory=Objections)
    categories: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        with self.database.transaction() as connection:
            for metadata in (audit_metadata, identity_metadata, permits_metadata, jobs.metadata):
                metadata.create_all(connection)
        self.keys = self.peers.keys[self.own.did] = KeyRing.generate()
        make = hub_jobs if self.own.role is ParticipantRole.HUB else access_body_jobs
        self.worker = jobs.Worker(self.database, make(self.desk, self), self.clock)
        self.caller: Caller | None = None

    @cached_property
    def client(self) -> TestClient[Litestar]:
        app = Litestar(
            routes(self.desk, self.own.role, lambda account: self.people.get(account, "")),
            middleware=[self._middleware],
            exception_handlers=problem_handlers(),
            openapi_config=None,
        )
        return TestClient(app, raise_server_exceptions=False)

    @contextmanager
    def desk(self) -> Iterator[PermitDesk]:
        with self.database.transaction() as connection:
            log = self.log(connection)
            kid = key_id(self.own.did, self.keys.signing_jwk())
            sign = DeskSigner(issuer=self.own.did, key=self.keys.private_jwk(), kid=kid)
            yield PermitDesk(
                SqlPermitStore(connection),
                log,
                self.clock,
                sign,
                self.own,
                TransactionJobs(connection, self.clock),
                self.trust(connection),
                objections=self.objections,
                procedure=self.world.procedure,
                officers=lambda: OFFICERS,
                notices=self.notices(connection),
            )

    def notices(self, connection: Connection) -> Notices:
        return Notices(
            SqlNoticeStore(connection), None, self.clock, NOTICES, url=self.own.url, node=self.own.name
        )

    def add_account(self, id: str) -> None:
        """Give somebody an account here, so that notices reach them."""
        account = Account(
            id=id, login=id.rpartition("#")[2], name=id, roles=(PersonRole.OFFICER,), created_at=START
        )
        with self.database.transaction() as connection:
            SqlAccountStore(connection).put_account(AccountRecord(account=account, password_hash=""))

    def told(self, id: str) -> list[str]:
        """Kinds of what somebody was told here, the first one first; what follows is a second later."""
        self.clock.advance(seconds=1)
        with self.database.transaction() as connection:
            return [notice.kind for notice, _ in reversed(self.notices(connection).inbox(id, limit=500))]

    def log(self, connection: Connection) -> AuditLog:
        return AuditLog(SqlAuditStore(connection), self.clock, self.keys, self.own.did)

    def trust(self, connection: Connection) -> Trust:
        store = SqlTrustStore(connection)
        return Trust(store, self.log(connection), self.clock, self.peers, self.own.did)

    def acts(self) -> list[str]:
        with self.database.transaction() as connection:
            return [entry.act for entry in self.log(connection).entries()]

    def call(
        self,
        participant: Participant,
        method: str,
        path: str,
        json: Any = None,
        timeout_seconds: float | None = None,
    ) -> Any:
        """A signed call to another node, as `identity.remote.PeerClient` does it."""
        target = self.world.nodes.get(participant.did)
        if target is None or participant.did in self.world.down:
            raise Unavailable("peer-unreachable", f"{participant.url} cannot be reached")
        self.world.traffic.append((participant.did, method, path, json))
        return target.ask(method, path, json, caller=as_caller(self.own))

    def ask(self, method: str, path: str, json: Any = None, *, caller: Caller | None = None) -> Any:
        """A request of a caller; raises the error that the node answers with."""
        self.caller = caller
        response = self.client.request(method, path, json=json)
        if response.status_code >= 400:
            raise parse_problem(response.json(), response.status_code)
        return response.json() if response.content else None

    def status(self, method: str, path: str, json: Any = None, *, caller: Caller | None = None) -> int:
        self.caller = caller
        return int(self.client.request(method, path, json=json).status_code)

    def _middleware(self, app: Any) -> Any:
        async def find(scope: Any, receive: Any, send: Any) -> None:
            scope["caller"] = self.caller
            await app(scope, receive, send)

        return find


class World:
    """A hub and one access body per country, with one hospital each."""

    def __init__(self, *countries: str, url: str = "sqlite://") -> None:
        self.clock = FixedClock(START)
        self.peers = Directory()
        self.nodes: dict[str, Node] = {}
        self.down: set[str] = set()
        self.traffic: list[tuple[str, str, str, Any]] = []
        self.people: dict[str, str] = {}
        self.procedure = Procedure()
        self.hub = self._add(participant("hub.example", ParticipantRole.HUB, "EU"), url)
        self.bodies: dict[str, Node] = {}
        for country in countries or ("FR", "DE"):
            code = country.lower()
            own = participant(f"{code}.example", ParticipantRole.ACCESS_BODY, country)
            self.bodies[country] = self._add(own, url)
            self.admit(participant(f"hospital.{code}.example", ParticipantRole.HOLDER, country, own.did))
        for node in self.nodes.values():
            self.admit(node.own)

    def admit(self, admitted: Participant) -> None:
        """Every node admits a participant."""
        self.peers.known[admitted.did] = admitted
        for node in self.nodes.values():
            with node.database.transaction() as connection:
                node.trust(connection).admit(admitted, "did:web:x.example#operator")

    def _add(self, own: Participant, url: str) -> Node:
        node = Node(own, Database(url), self.peers, self.clock, self, self.people)
        self.nodes[own.did] = node
        return node

    def deliver(self) -> int:
        """Run all jobs that are due, until none is left; how many were run."""
        total = 0
        while done := sum(node.worker.run_due() for node in self.nodes.values()):
            total += done
        return total

    def submitted(self, *countries: str, **changes: Any) -> Case:
        """An application that has reached its access bodies."""
        with self.hub.desk() as desk:
            case = desk.draft(application(*(countries or tuple(self.bodies)), **changes), MARIE)
            case = desk.submit(case.id, MARIE)
        self.deliver()
        return case

    def process(self, country: str, case_id: str) -> None:
        """An officer takes a case up and finds it complete."""
        with self.bodies[country].desk() as desk:
            desk.take_up(case_id, OFFICER)
            desk.find_complete(case_id, OFFICER)

    def ask_back(self, country: str, case_id: str, question: str = "Which drugs?", **comments: str) -> None:
        """An officer takes a case up and asks for more."""
        with self.bodies[country].desk() as desk:
            desk.take_up(case_id, OFFICER)
            desk.ask_back(case_id, OFFICER, question, comments)

    def propose(self, country: str, case_id: str, *unmet: str, **terms: Any) -> Case:
        """An officer proposes to grant."""
        given = Proposal(verdict=Verdict.GRANT, assessment=assessment(*unmet), terms=Terms(**terms))
        with self.bodies[country].desk() as desk:
            return desk.propose(case_id, OFFICER, given, no_conflict=True)

    def confirm(self, country: str, case_id: str) -> Case:
        """A colleague confirms what is proposed."""
        with self.bodies[country].desk() as desk:
            return desk.confirm(case_id, COLLEAGUE, no_conflict=True)

    def grant(self, country: str, case_id: str, **terms: Any) -> IssuedPermit:
        """A case that was taken up now is granted by two officers."""
        self.process(country, case_id)
        self.propose(country, case_id, **terms)
        decided = self.confirm(country, case_id)
        with self.bodies[country].desk() as desk:
            return desk.status(decided.countries[country].permit_id)

    def refuse(self, country: str, case_id: str, reason: str = "Too many columns") -> Case:
        """A case that was taken up now is refused by two officers."""
        self.process(country, case_id)
        given = Proposal(verdict=Verdict.REFUSE, assessment=assessment("b"), reason=reason)
        with self.bodies[country].desk() as desk:
            desk.propose(case_id, OFFICER, given, no_conflict=True)
        return self.confirm(country, case_id)

    def events(self, country: str, case_id: str) -> list[CaseEvent]:
        with self.bodies[country].desk() as desk:
            return desk.history(case_id, person(OFFICER, "officer"))

    def hub_case(self, case_id: str) -> Case:
        with self.hub.desk() as desk:
            return desk.case(case_id, person(MARIE))

    def body_case(self, country: str, case_id: str) -> Case:
        with self.bodies[country].desk() as desk:
            return desk.case(case_id, person(OFFICER, "officer"))

    def close(self) -> None:
        for node in self.nodes.values():
            node.database.close()


def as_caller(own: Participant) -> Caller:
    """A participant as the routes see it."""
    return Caller(
        kind="participant", id=own.did, name=own.name, roles=frozenset({own.role}), country=own.country
    )
