"""A holder with real keys, credentials, database and log; the access body's answers are set by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from salerno.adapters.clock import FixedClock
from salerno.adapters.database import Database
from salerno.adapters.keys import KeyRing
from salerno.audit import store as audit_store
from salerno.audit.service import AuditLog
from salerno.holdings import store as holdings_store
from salerno.holdings.engine.apps.host import SandboxedApps
from salerno.holdings.engine.opening import IbisEngine
from salerno.holdings.engine.source import EngineLimits
from salerno.holdings.model import AccessRequest, Holding, StudyFrame
from salerno.holdings.service import HoldingDesk, Holdings, ViewDoor
from salerno.identity.model import Credential, Participant, ParticipantRole
from salerno.kernel.codes import Purpose
from salerno.kernel.errors import Unavailable
from salerno.permits.model import (
    DataPermit,
    DataScope,
    DisclosurePolicy,
    NamedPerson,
    OptOut,
    OptOutList,
    PermitState,
)
from salerno.permits.rules import binds, opt_out_list
from salerno.permits.wire import render_permit
from salerno.standards.vc import parse_credential

NOW = datetime(2031, 3, 1, 12, tzinfo=UTC)
BODY = "did:web:body.example"
OTHER_BODY = "did:web:other-body.example"
HUB = "did:web:hub.example"
HOSPITAL = Participant(
    did="did:web:hospital.example",
    role=ParticipantRole.HOLDER,
    name="Hospital",
    country="FR",
    url="https://hospital.example",
    access_body=BODY,
)
MARIE = f"{HUB}#marie"
SALT = "5" * 32


class AccessBody:
    """What the access body says: genuine credentials, states of permits, opt-outs."""

    def __init__(self) -> None:
        self.keys = {BODY: KeyRing.generate(), OTHER_BODY: KeyRing.generate()}
        self.answer: PermitState = PermitState.GRANTED
        self.reachable = True
        self.asked = 0
        self.opt_outs: list[OptOut] = []
        self.as_of = NOW

    def sign(self, permit: DataPermit, *, by: str = "") -> str:
        issuer = by or permit.issuer
        return render_permit(permit, key=self.keys[issuer].private_jwk(), kid=self.kid(issuer))

    def kid(self, issuer: str) -> str:
        return f"{issuer}#{self.keys[issuer].signing_jwk()['kid']}"

    def verify(self, token: str) -> Credential:
        public = {self.kid(body): ring.signing_jwk() for body, ring in self.keys.items()}
        read = parse_credential(token, public)
        return Credential(
            id=read.id,
            issuer=read.issuer,
            subject=read.subject,
            types=read.types,
            claims=dict(read.claims),
            issued_at=read.issued_at,
            valid_from=read.valid_from,
            valid_until=read.valid_until,
            token=token,
        )

    def state(self, permit: DataPermit) -> PermitState:
        self.asked += 1
        if not self.reachable:
            raise Unavailable("peer-down", "No answer")
        return self.answer

    def of(self, permit: DataPermit, dataset: str) -> OptOutList:
        if not self.reachable:
            raise Unavailable("peer-down", "No answer")
        bound = () if permit.opt_out_exception else self.opt_outs
        persons = [o.person for o in bound if binds(o, permit.approved_at)]
        return opt_out_list(persons, SALT, self.as_of)

    def opt_out(self, person: str, since: datetime, until: datetime | None = None) -> None:
        self.opt_outs.append(OptOut(person=person, since=since, until=until))


class Hospital:
    """The holder's side, on one database."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = FixedClock(NOW)
        self.body = AccessBody()
        self.database = Database("sqlite://")
        audit_store.metadata.create_all(self.database.engine)
        holdings_store.metadata.create_all(self.database.engine)
        self.keys = KeyRing.generate()
        self.engine = IbisEngine(EngineLimits(memory_mb=512, threads=2, cache_folder=folder / "cache"))
        self.trace = self.database.opens(self._audit)
        self.holdings = self.database.opens(
            lambda c: Holdings(
                holdings_store.SqlHoldingStore(c),
                self._audit(c),
                self.clock,
                HOSPITAL,
                self.engine,
                replace(HOSPITAL, did=BODY, name="Body", role=ParticipantRole.ACCESS_BODY),
            )
        )
        self.desk = HoldingDesk(self.holdings, self.engine)
        self.door = ViewDoor(
            holdings=self.holdings,
            trace=self.trace,
            engine=self.engine,
            verifier=self.body,
            status=self.body,
            opt_outs=self.body,
            clock=self.clock,
            own=HOSPITAL,
            apps=SandboxedApps(),
        )

    def _audit(self, connection: Any) -> AuditLog:
        return AuditLog(
            audit_store.SqlAuditStore(connection), self.clock, self.keys, "hospital.example/audit"
        )

    def connect(self, name: str, source: Path | str, **options: Any) -> Holding:
        return self.desk.connect(name, str(source), "stella", **options)

    def acts(self) -> list[str]:
        with self.trace() as log:
            return [entry.act for entry in log.entries(limit=1000)]

    def details(self, act: str) -> list[dict[str, Any]]:
        with self.trace() as log:
            return [dict(entry.detail) for entry in log.entries(limit=1000) if entry.act == act]

    def close(self) -> None:
        self.database.close()


@pytest.fixture
def hospital(tmp_path: Path) -> Iterator[Hospital]:
    opened = Hospital(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def cohort(hospital: Hospital) -> Holding:
    """A plain table of 100 persons, connected."""
    file = hospital.folder / "cohort.csv"
    with duckdb.connect() as connection:
        connection.execute(
            "COPY (SELECT printf('%03d', i) AS id, 40 + i % 30 AS age, CASE WHEN i % 2 = 0 THEN 'F' ELSE 'M' "
            "END AS sex, i % 3 = 0 AS smoker, DATE '2020-01-01' + i::INTEGER AS seen, 'town ' || i AS place "
            f"FROM range(100) t(i)) TO '{file}' (HEADER)"
        )
    return hospital.connect("cohort", file, person_column="id", date_column="seen", title="Cohort")


@pytest.fixture
def permit(cohort: Holding) -> DataPermit:
    """A permit for all but the place."""
    scope = DataScope(
        dataset=cohort.dataset,
        holder=HOSPITAL.did,
        country="FR",
        tables={"cohort": ("id", "age", "sex", "smoker", "seen")},
    )
    return DataPermit(
        id="urn:salerno:permit:1",
        application_id="case-1",
        issuer=BODY,
        country="FR",
        applicant="University",
        approved_at=NOW - timedelta(days=10),
        valid_from=NOW - timedelta(days=9),
        valid_until=NOW + timedelta(days=300),
        data=(scope,),
        pseudonymised=True,
        purpose=Purpose.RESEARCH,
        purpose_detail="Smoking",
        persons=(NamedPerson(id=MARIE, name="Marie"),),
        environment=HUB,
        methods=("count", "describe"),
        policy=DisclosurePolicy(min_cell=10),
    )


@pytest.fixture
def ask(hospital: Hospital, permit: DataPermit) -> Callable[..., AccessRequest]:
    """A request that the permit covers, with changes."""

    def asking(changed: DataPermit | None = None, **changes: Any) -> AccessRequest:
        request = AccessRequest(
            permit_token=hospital.body.sign(changed or permit),
            user=MARIE,
            purpose="research",
            environment=HUB,
            frame=StudyFrame(),
            method="count",
        )
        return replace(request, **changes)

    return asking
