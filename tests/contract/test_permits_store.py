"""The permit desk's store on SQLite and PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from salerno.adapters import jobs
from salerno.adapters.clock import FixedClock
from salerno.adapters.database import Database
from salerno.kernel.errors import SalernoError
from salerno.permits.model import (
    ApplicationState,
    BoardView,
    Case,
    CaseEvent,
    CountryStatus,
    Decision,
    Handling,
    IssuedPermit,
    NamedPerson,
    OptOut,
    Outcome,
    PermitState,
    Proposal,
    Verdict,
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
    countries={
        "FR": CountryStatus(state=ApplicationState.SUBMITTED, due=START.date()),
        "DE": CountryStatus(
            state=ApplicationState.DECIDED,
            outcome=Outcome.REFUSAL,
            version=4,
            decided_at=START,
            reason="Wofür? «–» \N{SNOWMAN}",
        ),
    },
    created_at=START,
    submitted_at=START,
)


def test_a_case_is_stored_changed_and_found(database: Database) -> None:
    with database.transaction() as connection:
        store = SqlPermitStore(connection)
        assert store.case("case-1") is None
        store.put_case(CASE, START)
        store.put_case(replace(CASE, id="case-2", created_at=START + timedelta(seconds=1)), START)
        store.put_case(replace(CASE, id="case-3", applicant_id="other"), START)
    changed = replace(CASE, state=ApplicationState.WITHDRAWN, version=7)
    with database.transaction() as connection:
        SqlPermitStore(connection).put_case(changed, START)
    with database.transaction() as connection:
        store = SqlPermitStore(connection)
        assert store.case("case-1") == changed
        mine = store.lines(None, applicant_id=MARIE, limit=1)
        assert [line.id for line in mine.lines] == ["case-2"]
        rest = store.lines(None, applicant_id=MARIE, after=mine.next, limit=1)
        assert ([line.id for line in rest.lines], rest.next) == (["case-1"], "")
        assert rest.lines[0].countries == changed.countries
        assert len(store.lines(None, limit=9).lines) == 3
        with pytest.raises(SalernoError, match="wrong-page"):
            store.lines(None, after="nowhere", limit=9)


def test_the_lists_of_a_board(database: Database) -> None:
    def case(n: int, state: ApplicationState, days: int | None, **changes: Any) -> Case:
        due = None if days is None else START.date() + timedelta(days=days)
        title = f"Bleeding 100% Ähnlich {n}"
        return replace(
            CASE,
            id=f"case-{n}",
            application=replace(CASE.application, title=title),
            state=state,
            countries={"FR": CountryStatus(state=state, due=due)},
            **changes,
        )

    mine = Handling(assignee="odile")
    proposed = Handling(proposal=Proposal(verdict=Verdict.REFUSE, assessment=assessment("b"), reason="No"))
    cases = [
        case(1, ApplicationState.PROCESSING, 5),
        case(2, ApplicationState.PROCESSING, -1, handling=mine),
        case(3, ApplicationState.PROCESSING, 5, handling=proposed),
        case(4, ApplicationState.AWAITING_INFORMATION, 2),
        case(5, ApplicationState.DECIDED, None),
        case(6, ApplicationState.WITHDRAWN, None),
        case(7, ApplicationState.APPEALED, None),
    ]
    wanted = {
        BoardView.OPEN: "2 4 1 3 7",
        BoardView.MINE: "2",
        BoardView.UNASSIGNED: "4 1 3 7",
        BoardView.OVERDUE: "2",
        BoardView.PROPOSED: "3",
        BoardView.AWAITING: "4",
        BoardView.CLOSED: "6 5",
    }
    with database.transaction() as connection:
        store = SqlPermitStore(connection)
        for n, each in enumerate(cases):
            store.put_case(each, START + timedelta(seconds=n))
        for view, ids in wanted.items():
            seen: list[str] = []
            after = ""
            while True:
                page = store.lines(view, officer="odile", today=START.date(), after=after, limit=2)
                seen += [line.id.removeprefix("case-") for line in page.lines]
                after = page.next
                if not after:
                    break
            assert " ".join(seen) == ids, view
        counts = store.counts(officer="odile", today=START.date())
        assert counts == {view: len(ids.split()) for view, ids in wanted.items()}
        found = store.lines(BoardView.OPEN, text=" 100% ähnlich 1", limit=9)
        assert [line.id for line in found.lines] == ["case-1"]
        assert store.lines(BoardView.OPEN, text="100_", limit=9).lines == ()


def test_what_happened_is_kept_in_order(database: Database) -> None:
    event = CaseEvent(number=0, at=START, act="saved", actor="o", state=ApplicationState.DRAFT)
    with database.transaction() as connection:
        store = SqlPermitStore(connection)
        store.put_case(CASE, START)
        store.add_event("case-1", event)
        store.add_event("case-1", replace(event, act="submitted", detail={"question": "Wofür?"}))
        first, second = store.events("case-1")
        assert (first.number, first.act, second.number) == (1, "saved", 2)


def test_versions_are_never_changed(database: Database) -> None:
    with database.transaction() as connection:
        store = SqlPermitStore(connection)
        store.put_case(CASE, START)
        store.add_version("case-1", 1, CASE.application, START)
        store.add_version("case-1", 1, replace(CASE.application, title="Another"), START)
        assert store.application("case-1", 1) == CASE.application
        assert store.application("case-1", 2) is None


def test_decisions_are_kept_by_number(database: Database) -> None:
    decision = Decision(
        case_id="case-1",
        number=1,
        outcome=Outcome.REFUSAL,
        officer="o",
        confirmed_by="p",
        assessment=assessment("a"),
        decided_at=START,
        application_version=1,
        reason="No",
    )
    with database.transaction() as connection:
        store = SqlPermitStore(connection)
        store.put_case(CASE, START)
        assert store.decisions("case-1") == []
        store.add_decision(decision)
        store.add_decision(replace(decision, number=2, outcome=Outcome.FULL))
        assert store.decisions("case-1")[0] == decision
        assert len(store.decisions("case-1")) == 2
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
        assert store.permits(ids=[one.permit.id, "none"]) == [one]
        assert store.permits(ids=[]) == []


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
        first = SqlPermitStore(connection).secret("opt-out")
    with database.transaction() as connection:
        assert SqlPermitStore(connection).secret("opt-out") == first
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
