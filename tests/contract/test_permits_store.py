"""The permit desk's store on SQLite and PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy.exc import IntegrityError

from salerno.adapters import jobs
from salerno.adapters.clock import FixedClock
from salerno.adapters.database import Database
from salerno.kernel.errors import SalernoError
from salerno.permits.model import (
    ApplicationState,
    Case,
    Decision,
    IssuedPermit,
    NamedPerson,
    OptOut,
    PermitState,
)
from salerno.permits.store import SqlPermitStore, TransactionJobs, metadata
from tests.unit.permits.world import MARIE, START, application, assessment, permit


@pytest.fixture(autouse=True)
def tables(database: Database) -> None:
    with database.transaction() as connection:
        metadata.create_all(connection)
        jobs.metadata.create_all(connection)


CASE = Case(
    id="case-1",
    application=application("FR", "DE"),
    applicant_id=MARIE,
    state=ApplicationState.SUBMITTED,
    countries={"FR": ApplicationState.SUBMITTED, "DE": ApplicationState.GRANTED},
    created_at=START,
    submitted_at=START,
    due={"FR": START.date()},
    reasons={"FR": "Wofür? «–» \N{SNOWMAN}"},
    decided_at={"DE": START},
    status_versions={"DE": 4},
)


def test_a_case_is_stored_changed_and_found(database: Database) -> None:
    with database.transaction() as connection:
        store = SqlPermitStore(connection)
        assert store.case("case-1") is None
        store.put_case(CASE)
        store.put_case(replace(CASE, id="case-2", created_at=START + timedelta(seconds=1)))
        store.put_case(replace(CASE, id="case-3", applicant_id="other"))
    changed = replace(CASE, state=ApplicationState.WITHDRAWN, version=7)
    with database.transaction() as connection:
        SqlPermitStore(connection).put_case(changed)
    with database.transaction() as connection:
        store = SqlPermitStore(connection)
        assert store.case("case-1") == changed
        assert [case.id for case in store.cases(applicant_id=MARIE)] == ["case-2", "case-1"]
        assert len(store.cases()) == 3


def test_versions_are_never_changed(database: Database) -> None:
    with database.transaction() as connection:
        store = SqlPermitStore(connection)
        store.put_case(CASE)
        store.add_version("case-1", 1, CASE.application, START)
        store.add_version("case-1", 1, replace(CASE.application, title="Another"), START)
        assert store.application("case-1", 1) == CASE.application
        assert store.application("case-1", 2) is None


def test_there_is_one_decision_per_case(database: Database) -> None:
    decision = Decision(
        case_id="case-1",
        state=ApplicationState.REFUSED,
        officer="o",
        assessment=assessment("a"),
        decided_at=START,
        application_version=1,
        reason="No",
    )
    with database.transaction() as connection:
        store = SqlPermitStore(connection)
        store.put_case(CASE)
        assert store.decision("case-1") is None
        store.add_decision(decision)
        assert store.decision("case-1") == decision
    with pytest.raises((IntegrityError, SalernoError)), database.transaction() as connection:
        SqlPermitStore(connection).add_decision(decision)


def test_permits_are_found_by_the_persons_that_they_name(database: Database) -> None:
    anna, ben = NamedPerson(id="anna", name="Anna"), NamedPerson(id="ben", name="Ben")
    both = IssuedPermit(permit=permit(persons=(anna, ben, anna)), token="t", state=PermitState.GRANTED)
    later = START + timedelta(days=1)
    one = replace(both, permit=permit(id="urn:salerno:permit:fr-2", persons=(anna,), approved_at=later))
    revoked = replace(both, state=PermitState.REVOKED, revoked_at=START, revocation_reason="Misuse")
    with database.transaction() as connection:
        store = SqlPermitStore(connection)
        for issued in (both, one, revoked):
            store.put_permit(issued)
        assert store.permit(both.permit.id) == revoked
        assert store.permit("none") is None
        assert store.permits(person_id="anna") == [one, revoked]
        assert store.permits(person_id="ben") == [revoked]
        assert store.permits() == [one, revoked]


def test_opt_outs(database: Database) -> None:
    later = START + timedelta(days=1)
    with database.transaction() as connection:
        store = SqlPermitStore(connection)
        store.add_opt_out("o-1", OptOut(person="p", since=START, receipt=1))
        assert store.opt_out_id("p", "") == "o-1"
        assert store.opt_out_id("p", "research") == ""
        store.end_opt_out("p", "", later, 2)
        assert store.opt_out_id("p", "") == ""
        store.add_opt_out("o-2", OptOut(person="p", since=later, receipt=3))
        store.add_opt_out("o-3", OptOut(person="q", since=START, level="research", receipt=4))
        before, tick = START - timedelta(microseconds=1), timedelta(microseconds=1)
        assert [sorted(store.opted_out(at)) for at in (before, START, later - tick, later)] == [
            [], ["p", "q"], ["p", "q"], ["p", "q"],
        ]  # fmt: skip
        assert sorted(store.opted_out(START, except_levels=["research"])) == ["p"]
        assert sorted(store.opted_out(START, except_levels=["", "research"])) == []
        assert store.opt_outs("p") == [
            OptOut(person="p", since=START, until=later, receipt=1, reversal_receipt=2),
            OptOut(person="p", since=later, receipt=3),
        ]
        assert len(store.opt_outs()) == 3


def test_nobody_is_opted_out_twice_at_once(database: Database) -> None:
    with database.transaction() as connection:
        SqlPermitStore(connection).add_opt_out("o-1", OptOut(person="p", since=START, receipt=1))
    with pytest.raises((IntegrityError, SalernoError)), database.transaction() as connection:
        SqlPermitStore(connection).add_opt_out("o-2", OptOut(person="p", since=START, receipt=2))


def test_the_secret_is_made_once(database: Database) -> None:
    with database.transaction() as connection:
        first = SqlPermitStore(connection).opt_out_secret()
    with database.transaction() as connection:
        assert SqlPermitStore(connection).opt_out_secret() == first
    assert len(first) == 32


def test_a_job_is_there_if_and_only_if_the_act_is(database: Database) -> None:
    clock = FixedClock(START)
    with database.transaction() as connection:
        queue = TransactionJobs(connection, clock)
        for _ in range(2):
            queue.enqueue("report-status", {"case_id": "case-1"}, key="k")

    def fail_after_asking() -> None:
        with database.transaction() as connection:
            TransactionJobs(connection, clock).enqueue("report-status", {}, key="lost")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_after_asking()
    with database.transaction() as connection:
        assert jobs.find(connection, "k") is not None
        assert jobs.find(connection, "lost") is None
