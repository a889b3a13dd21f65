"""Applications on their way between hub and access bodies: every step, and what goes wrong on the way."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta

import pytest

from salerno.adapters import jobs
from salerno.kernel.errors import Conflict, Invalid, NotFound, Refused
from salerno.kernel.values import to_plain
from salerno.permits.model import (
    ApplicationState,
    CountryStatus,
    DisclosurePolicy,
    NamedPerson,
    Outcome,
    PermitState,
    StatusReport,
)
from tests.unit.permits.world import MARIE, OFFICER, World, application, person, scope

A = ApplicationState


def states(case: object) -> dict[str, ApplicationState]:
    return {country: status.state for country, status in case.countries.items()}  # type: ignore[attr-defined]


def test_one_application_reaches_every_country_and_the_applicant_sees_each_decision(world: World) -> None:
    case = world.submitted("FR", "DE")
    assert case.state is ApplicationState.SUBMITTED
    assert world.body_case("DE", case.id).application.data == (scope("DE"),)
    issued = world.grant("FR", case.id, conditions="Cite the source")
    world.refuse("DE", case.id)
    world.deliver()

    seen = world.hub_case(case.id)
    assert states(seen) == {"FR": A.DECIDED, "DE": A.DECIDED}
    assert {c: s.outcome for c, s in seen.countries.items()} == {"FR": Outcome.FULL, "DE": Outcome.REFUSAL}
    assert seen.state is A.DECIDED
    assert seen.countries["DE"].reason == "Too many columns"
    assert seen.countries["FR"].permit_id == issued.permit.id
    assert all(status.due is None for status in seen.countries.values())
    with world.hub.desk() as desk:
        assert desk.permits_of(MARIE) == [issued]
        assert desk.permits_of("did:web:hub.example#pierre") == []
        entry = desk.register().entries[0]
    assert entry.decision == {"FR": "full", "DE": "refusal"}
    assert issued.permit.persons[0].principal_investigator


def test_a_question_and_its_answer_stop_and_restart_the_clock(world: World) -> None:
    case = world.submitted("FR", "DE")
    assert world.hub_case(case.id).countries["FR"].due == date(2031, 2, 14)  # the first look
    world.process("DE", case.id)
    world.ask_back("FR", case.id, "  Which drugs?  ", safeguards="Who has the keys?")
    world.deliver()
    seen = world.hub_case(case.id)
    assert seen.countries["DE"].due == date(2031, 4, 30)
    asked = seen.countries["FR"]
    assert (asked.state, asked.due) == (A.AWAITING_INFORMATION, date(2031, 2, 28))
    assert asked.asked is not None
    assert (asked.asked.question, asked.asked.comments) == (
        "Which drugs?",
        {"safeguards": "Who has the keys?"},
    )

    world.clock.advance(days=10)
    better = replace(case.application, intended_use="Compare celecoxib and diclofenac")
    with world.hub.desk() as desk:
        desk.save(case.id, replace(better, safeguards=""), MARIE)
        with pytest.raises(Invalid, match="safeguards: "):
            desk.submit(case.id, MARIE)
        desk.answer(case.id, better, MARIE)
    world.deliver()
    here = world.body_case("FR", case.id)
    assert here.state is A.PROCESSING
    assert here.application.intended_use == "Compare celecoxib and diclofenac"
    assert here.countries["FR"].due == date(2031, 5, 12)  # the 10th is a Saturday
    assert here.countries["FR"].asked is None
    assert world.body_case("DE", case.id).application.intended_use == case.application.intended_use


def test_an_answer_cannot_add_a_country(world: World) -> None:
    case = world.submitted("FR")
    world.ask_back("FR", case.id)
    world.deliver()
    with world.hub.desk() as desk, pytest.raises(Conflict, match="countries-fixed"):
        desk.save(case.id, application("FR", "DE"), MARIE)


def test_an_application_that_is_not_completed_in_four_weeks_can_be_closed(world: World) -> None:
    case = world.submitted("FR")
    world.ask_back("FR", case.id)
    world.clock.advance(days=28)
    with world.bodies["FR"].desk() as desk, pytest.raises(Conflict, match="still-time"):
        desk.lapse(case.id, OFFICER)
    world.clock.advance(days=1)
    with world.bodies["FR"].desk() as desk:
        desk.lapse(case.id, OFFICER)
    world.deliver()
    seen = world.hub_case(case.id).countries["FR"]
    assert (seen.state, seen.outcome) == (A.DECIDED, Outcome.LAPSED)
    assert "four weeks" in seen.reason


def test_a_withdrawal_reaches_every_access_body_and_a_decision_that_was_faster_stands(world: World) -> None:
    case = world.submitted("FR", "DE")
    world.grant("FR", case.id)
    with world.hub.desk() as desk:  # the grant is still on its way
        assert desk.withdraw(case.id, MARIE).state is ApplicationState.WITHDRAWN
    world.deliver()
    assert world.body_case("DE", case.id).state is ApplicationState.WITHDRAWN
    assert states(world.hub_case(case.id)) == {"FR": A.DECIDED, "DE": A.WITHDRAWN}
    with world.hub.desk() as desk, pytest.raises(Conflict):
        desk.withdraw(case.id, MARIE)


def test_a_withdrawal_that_overtakes_the_application_leaves_it_withdrawn(world: World) -> None:
    with world.hub.desk() as desk:
        case = desk.submit(desk.draft(application("FR"), MARIE).id, MARIE)
        desk.withdraw(case.id, MARIE)
        _, first = desk.outgoing_part(case.id, "FR", case.version)
        _, last = desk.outgoing_part(case.id, "FR", case.version + 1, withdrawn=True)
    hub = world.hub.own.did
    with world.bodies["FR"].desk() as desk:
        desk.receive(last, hub)
        assert desk.receive(first, hub).state is ApplicationState.WITHDRAWN


def test_an_empty_draft_can_be_kept_and_withdrawn(world: World) -> None:
    with world.hub.desk() as desk:
        case = desk.draft(application(data=(), title="", persons=()), MARIE)
        assert desk.save(case.id, application(title="", contact_email="x"), MARIE).version == 2
        with pytest.raises(Invalid) as caught:
            desk.submit(case.id, MARIE)
        assert "title" in caught.value.what
        assert "contact-email" in caught.value.what
        assert desk.withdraw(case.id, MARIE).state is ApplicationState.WITHDRAWN
        empty = desk.draft(application(data=()), MARIE)
        assert desk.withdraw(empty.id, MARIE).state is ApplicationState.WITHDRAWN
    assert world.deliver() == 0


def test_a_country_without_access_body_is_named_at_submission(world: World) -> None:
    with world.hub.desk() as desk:
        case = desk.draft(application("FR", "FI", "ES"), MARIE)
        with pytest.raises(Invalid, match="FI, ES"):
            desk.submit(case.id, MARIE)


def test_repeated_and_late_messages_change_nothing(world: World) -> None:
    case = world.submitted("FR")
    body = world.bodies["FR"]
    with body.desk() as desk:
        first = desk.outgoing_report(case.id)[1]
        desk.take_up(case.id, OFFICER)
        second = desk.outgoing_report(case.id)[1]
        desk.ask_back(case.id, OFFICER, "Which drugs?")
        third = desk.outgoing_report(case.id)[1]
    for report in (third, first, third, second):
        with world.hub.desk() as desk:
            seen = desk.record(report, body.own.did)
    assert states(seen) == {"FR": A.AWAITING_INFORMATION}
    assert seen.countries["FR"].asked is not None

    with world.hub.desk() as desk:
        part = desk.outgoing_part(case.id, "FR", case.version)[1]
    before = world.body_case("FR", case.id)
    for _ in range(2):
        with body.desk() as desk:
            assert desk.receive(part, world.hub.own.did) == before


def test_a_new_version_that_nobody_asked_for_is_a_conflict(world: World) -> None:
    case = world.submitted("FR")
    with world.hub.desk() as desk:
        part = desk.outgoing_part(case.id, "FR", case.version)[1]
    with world.bodies["FR"].desk() as desk, pytest.raises(Conflict):
        desk.receive(replace(part, version=9), world.hub.own.did)


def test_an_access_body_that_is_down_gets_the_application_later(world: World) -> None:
    world.down.add("did:web:fr.example")
    case = world.submitted("FR")
    seen = world.hub_case(case.id)
    assert seen.state is ApplicationState.SUBMITTED
    assert "peer-unreachable" in seen.countries["FR"].undelivered
    world.down.clear()
    world.clock.advance(seconds=60)
    world.deliver()
    assert world.hub_case(case.id).countries["FR"].undelivered == ""
    assert world.body_case("FR", case.id).state is ApplicationState.SUBMITTED


def test_jobs_hold_no_personal_data(world: World) -> None:
    case = world.submitted("FR")
    with world.hub.database.transaction() as connection:
        job = jobs.find(connection, f"forward-application/{case.id}/FR/{case.version}")
    assert job is not None
    assert job.payload == {
        "case_id": case.id, "country": "FR", "version": 2, "withdrawn": False, "appeal": False,
    }  # fmt: skip


def test_only_the_access_body_of_a_country_reports_for_it(world: World) -> None:
    case = world.submitted("FR", "DE")
    status = CountryStatus(state=A.DECIDED, outcome=Outcome.REFUSAL, version=99)
    forged = StatusReport(case_id=case.id, country="FR", status=status)
    for sender in ("did:web:de.example", "did:web:hospital.fr.example", "did:web:hub.example"):
        with pytest.raises(Refused, match="not-your-country"), world.hub.desk() as desk:
            desk.record(forged, sender)
    assert world.hub.acts().count("message-refused") == 3
    with world.hub.desk() as desk:
        with pytest.raises(NotFound):
            desk.record(replace(forged, case_id="case-0"), "did:web:fr.example")
        with pytest.raises(NotFound):
            desk.record(forged, "did:web:stranger.example")


def test_a_permit_of_another_case_is_not_taken(world: World) -> None:
    first, second = world.submitted("FR"), world.submitted("FR")
    token = world.grant("FR", first.id).token
    status = CountryStatus(state=A.DECIDED, outcome=Outcome.FULL, version=9)
    report = StatusReport(case_id=second.id, country="FR", status=status, token=token)
    with pytest.raises(Refused, match="permit-mismatch"), world.hub.desk() as desk:
        desk.record(report, "did:web:fr.example")
    assert world.hub_case(second.id).state is ApplicationState.SUBMITTED


def test_only_the_hub_forwards_and_only_its_own_cases(world: World) -> None:
    case = world.submitted("FR")
    with world.hub.desk() as desk:
        part = desk.outgoing_part(case.id, "FR", case.version)[1]
    body = world.bodies["FR"]
    with pytest.raises(Refused, match="not-a-hub"), body.desk() as desk:
        desk.receive(part, "did:web:de.example")
    second_hub = replace(world.hub.own, did="did:web:hub2.example")
    world.admit(second_hub)
    with body.desk() as desk, pytest.raises(NotFound):
        desk.receive(replace(part, version=9, withdrawn=True), second_hub.did)
    wrong = replace(part, application=application("FR", "DE"))
    with body.desk() as desk, pytest.raises(Invalid, match="wrong-country"):
        desk.receive(wrong, world.hub.own.did)


def test_each_desk_refuses_the_other_desks_work(world: World) -> None:
    case = world.submitted("FR")
    with world.hub.desk() as desk, pytest.raises(Refused, match="wrong-node"):
        desk.take_up(case.id, OFFICER)
    with world.bodies["FR"].desk() as desk, pytest.raises(Refused, match="wrong-node"):
        desk.submit(case.id, MARIE)


def test_somebody_elses_case_looks_like_none(world: World) -> None:
    case = world.submitted("FR")
    pierre = person("did:web:hub.example#pierre", "researcher")
    with world.hub.desk() as desk:
        with pytest.raises(NotFound) as other:
            desk.case(case.id, pierre)
        with pytest.raises(NotFound) as none:
            desk.case("case-0", pierre)
        assert str(other.value) == str(none.value)
        assert desk.cases(pierre).lines == ()
        for step in (desk.submit, desk.withdraw):
            with pytest.raises(NotFound):
                step(case.id, pierre.id)
        # An officer's role counts at an access body alone.
        with pytest.raises(NotFound):
            desk.case(case.id, person(OFFICER, "officer"))


def test_a_grant_may_be_narrower(world: World) -> None:
    case = world.submitted("FR")
    narrow = replace(scope("FR"), tables={"person": ("person_id",)}, rows={})
    issued = world.grant(
        "FR",
        case.id,
        data=(narrow,),
        methods=("count",),
        months=1,
        policy=DisclosurePolicy(min_cell=20),
        fee_cents=120_000,
    )
    assert world.body_case("FR", case.id).countries["FR"].outcome is Outcome.PARTIAL
    permit = issued.permit
    assert permit.data == (narrow,)
    assert permit.methods == ("count",)
    assert permit.valid_until.date() == date(2031, 2, 28)
    assert permit.policy.min_cell == 20
    assert permit.fee_cents == 120_000


def test_a_grant_is_refused_when_it_is_wider_or_a_criterion_is_not_met(world: World) -> None:
    case = world.submitted("FR")
    body = world.bodies["FR"]
    with pytest.raises(Conflict, match="cannot propose"):
        world.propose("FR", case.id)
    world.process("FR", case.id)
    with pytest.raises(Refused, match="criteria-not-met"):
        world.propose("FR", case.id, "e")
    with pytest.raises(Refused, match="1 person"):
        world.propose("FR", case.id, persons=(NamedPerson(id="x", name="Somebody"),))
    for months in (0, 121):
        with pytest.raises(Invalid, match="permit-period"):
            world.propose("FR", case.id, months=months)
    with body.desk() as desk, pytest.raises(Invalid, match="question-missing"):
        desk.ask_back(case.id, OFFICER, " ")
    assert world.body_case("FR", case.id).state is ApplicationState.PROCESSING


def test_a_revoked_permit_is_known_at_the_hub_and_cannot_be_revoked_again(world: World) -> None:
    case = world.submitted("FR")
    body = world.bodies["FR"]
    permit_id = world.grant("FR", case.id).permit.id
    with body.desk() as desk:
        assert [decision.officer for decision in desk.decisions(case.id)] == [OFFICER]
    with body.desk() as desk:
        with pytest.raises(Invalid, match="reason-missing"):
            desk.revoke(permit_id, OFFICER, "")
        with pytest.raises(NotFound):
            desk.revoke("urn:salerno:permit:none", OFFICER, "Misuse")
        desk.revoke(permit_id, OFFICER, "Misuse")
    world.deliver()
    with world.hub.desk() as desk:
        seen = desk.permits_of(MARIE)[0]
        entry = desk.register().entries[0]
    assert (seen.state, seen.revocation_reason) == (PermitState.REVOKED, "Misuse")
    assert seen.revoked_at == world.clock.now()
    assert (entry.decision, entry.reason) == ({"FR": "revoked"}, {"FR": "Misuse"})
    with body.desk() as desk, pytest.raises(Conflict):
        desk.revoke(permit_id, OFFICER, "Misuse")


def test_a_permit_expires_by_itself(world: World) -> None:
    case = world.submitted("FR")
    permit_id = world.grant("FR", case.id, months=1).permit.id
    world.clock.advance(days=28)
    with world.bodies["FR"].desk() as desk:
        assert desk.status(permit_id).state is PermitState.EXPIRED
        with pytest.raises(Conflict, match="expired"):
            desk.revoke(permit_id, OFFICER, "Misuse")


def test_a_permit_may_end_to_the_second_but_not_before_it_begins_nor_later_than_asked(world: World) -> None:
    case = world.submitted("FR")
    begin = world.clock.now()
    world.process("FR", case.id)
    for until, error in (
        (begin, Invalid),
        (begin.replace(tzinfo=None) + timedelta(days=1), Invalid),
        (begin + timedelta(days=4000), Refused),
    ):
        with pytest.raises(error):
            world.propose("FR", case.id, until=until)
    world.propose("FR", case.id, until=begin + timedelta(seconds=3))
    decided = world.confirm("FR", case.id)
    with world.bodies["FR"].desk() as desk:
        issued = desk.status(decided.countries["FR"].permit_id)
    assert issued.permit.valid_until == (begin + timedelta(seconds=3)).replace(microsecond=0)


def test_the_register_names_no_person(world: World) -> None:
    case = world.submitted("FR", lay_summary="Which pain killer is safer?")
    with world.hub.desk() as desk:
        desk.draft(application("FR"), MARIE)
        entries = desk.register().entries
    assert [entry.case_id for entry in entries] == [case.id]
    assert entries[0].decision == {"FR": "pending"}
    text = json.dumps(to_plain(entries))
    assert "Curie" not in text
    assert MARIE not in text
    assert "office@" not in text


def test_a_status_after_the_permits_end_is_still_taken_in(world: World) -> None:
    case = world.submitted("FR")
    body = world.bodies["FR"]
    permit_id = world.grant("FR", case.id, months=1).permit.id
    world.deliver()
    world.down.add(world.hub.own.did)
    with body.desk() as desk:
        desk.revoke(permit_id, OFFICER, "Misuse")
    world.deliver()
    world.clock.advance(days=60)
    world.down.clear()
    world.deliver()
    with world.hub.desk() as desk:
        assert desk.permits_of(MARIE)[0].state is PermitState.REVOKED
