"""Who is told what on an application's way: the applicant at the hub, officers at each access body."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from salerno.permits.model import ApplicationState, CountryStatus, Outcome, PermitState
from salerno.permits.pages import agenda
from salerno.permits.rules.notices import applicant_tellings
from tests.unit.permits.world import COLLEAGUE, MARIE, OFFICER, World, person

A = ApplicationState


@pytest.fixture
def told(world: World) -> World:
    """A world whose people have accounts where they work."""
    world.hub.add_account(MARIE)
    for body in world.bodies.values():
        body.add_account(OFFICER)
        body.add_account(COLLEAGUE)
    return world


def test_an_applicant_hears_of_each_turn_once(told: World) -> None:
    case = told.submitted("FR", "DE")
    assert told.hub.told(MARIE) == ["application-received"] * 2
    told.ask_back("FR", case.id)
    told.process("DE", case.id)
    told.deliver()
    assert sorted(told.hub.told(MARIE)[2:]) == ["application-complete", "question-asked"]
    with told.hub.desk() as desk:
        desk.answer(case.id, replace(case.application, intended_use="Compare two drugs"), MARIE)
    told.deliver()
    told.propose("FR", case.id)
    told.confirm("FR", case.id)
    with told.bodies["DE"].desk() as desk:
        desk.extend(case.id, OFFICER, "Many data sets")
    told.deliver()
    assert sorted(told.hub.told(MARIE)[4:]) == ["decided-full", "decision-extended"]
    permit = told.hub_case(case.id).countries["FR"].permit_id
    with told.bodies["FR"].desk() as desk:
        desk.revoke(permit, OFFICER, "The purpose has changed")
    told.deliver()
    told.deliver()
    assert told.hub.told(MARIE)[6:] == ["permit-revoked"]


def test_officers_hear_what_others_did(told: World) -> None:
    case = told.submitted("FR")
    body = told.bodies["FR"]
    assert body.told(OFFICER) == body.told(COLLEAGUE) == ["case-arrived"]
    told.process("FR", case.id)
    with body.desk() as desk:
        desk.assign(case.id, OFFICER, COLLEAGUE)
        desk.assign(case.id, OFFICER, OFFICER)
    assert body.told(COLLEAGUE)[1:] == ["case-assigned"]
    told.propose("FR", case.id)
    assert body.told(OFFICER)[1:] == []
    assert body.told(COLLEAGUE)[2:] == ["second-person-needed"]
    told.confirm("FR", case.id)
    told.deliver()
    with told.hub.desk() as desk:
        desk.appeal(case.id, "FR", "The columns are needed", MARIE)
    told.deliver()
    assert body.told(OFFICER)[1:] == ["appealed"]
    assert told.hub.told(OFFICER) == []


def test_who_has_a_conflict_of_interest_hears_nothing(told: World) -> None:
    case = told.submitted("FR")
    body = told.bodies["FR"]
    with body.desk() as desk:
        desk.declare_conflict(case.id, OFFICER, "My sister applies")
    with told.hub.desk() as desk:
        desk.withdraw(case.id, MARIE)
    told.deliver()
    assert body.told(OFFICER) == ["case-arrived"]
    assert body.told(COLLEAGUE) == ["case-arrived", "application-withdrawn"]


def test_deadlines_remind_whoever_owes_and_once(told: World) -> None:
    case = told.submitted("FR", "DE")

    def remind() -> None:
        for node in told.nodes.values():
            for _ in range(2):
                with node.desk() as desk:
                    desk.remind()

    body = told.bodies["FR"]
    told.clock.advance(days=10)
    remind()
    assert body.told(OFFICER)[1:] == []
    told.clock.advance(days=2)  # two days before the end of the pre-screening
    remind()
    assert body.told(OFFICER)[1:] == body.told(COLLEAGUE)[1:] == ["deadline-near"]
    told.ask_back("FR", case.id)
    told.deliver()
    before = len(told.hub.told(MARIE))
    told.clock.advance(days=14)
    remind()
    # The officers in Germany have not looked yet, which is theirs, not the applicant's.
    assert told.hub.told(MARIE)[before:] == ["deadline-near"]
    assert told.bodies["DE"].told(OFFICER)[-1] == "deadline-missed"
    assert body.told(OFFICER)[2:] == []
    told.clock.advance(days=15)
    remind()
    assert told.hub.told(MARIE)[before + 1 :] == ["deadline-missed"]


def test_officers_take_the_deadlines_of_their_cases_into_a_calendar(told: World) -> None:
    case, other = told.submitted("FR"), told.submitted("FR")
    told.process("FR", case.id)
    body = told.bodies["FR"]
    with body.desk() as desk:
        mine, hers = desk.agenda(OFFICER), desk.agenda(COLLEAGUE)
    assert [entry.case_id for entry in mine] == [case.id]
    assert hers == ()
    (running,) = [c for c in mine[0].clocks if c.deadline.name == "decision"]
    assert running.due == told.body_case("FR", case.id).countries["FR"].due
    app = Litestar(agenda.routes(body.desk, body.clock, "Body"), middleware=[body._middleware])
    body.caller = person(OFFICER, "officer")
    with TestClient(app) as client:
        answer = client.get("/deadlines.ics")
    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    assert case.id.encode() in answer.content.replace(b"\r\n ", b"")
    assert other.id.encode() not in answer.content.replace(b"\r\n ", b"")


NOW = datetime(2031, 3, 1, tzinfo=UTC)
BEFORE = CountryStatus(state=A.PROCESSING, version=3, due=date(2031, 5, 1))


def kinds(before: CountryStatus, **changes: object) -> list[str]:
    after = replace(before, version=before.version + 1, **changes)  # type: ignore[arg-type]
    return [telling.kind for telling in applicant_tellings("c", "FR", before, after)]


def test_what_a_report_changes_is_what_is_told() -> None:
    assert kinds(BEFORE) == []
    assert kinds(BEFORE, extended=True) == ["decision-extended"]
    for outcome in Outcome:
        decided = {"state": A.DECIDED, "decided_at": NOW, "due": None, "outcome": outcome}
        assert kinds(BEFORE, **decided) == [f"decided-{outcome.value}"]
    appealed = replace(BEFORE, state=A.APPEALED, decided_at=NOW, outcome=Outcome.REFUSAL)
    assert kinds(appealed, state=A.DECIDED) == ["appeal-decided"]
    assert kinds(appealed, state=A.DECIDED, decided_at=NOW + timedelta(days=1), outcome=Outcome.FULL) == [
        "appeal-decided",
        "decided-full",
    ]
    granted = replace(BEFORE, state=A.DECIDED, permit_id="p", permit_state=PermitState.GRANTED)
    assert kinds(granted, permit_state=PermitState.REVOKED) == ["permit-revoked"]
    # Reports can be overtaken: what shows only in the newest one is told all the same.
    first = CountryStatus(state=A.SUBMITTED)
    assert kinds(first, state=A.PROCESSING, due=date(2031, 5, 1)) == [
        "application-received",
        "application-complete",
    ]
    assert kinds(first, state=A.PROCESSING) == ["application-received"]
