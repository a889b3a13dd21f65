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
    DisclosurePolicy,
    NamedPerson,
    PermitState,
    StatusReport,
)
from tests.unit.permits.world import MARIE, OFFICER, World, application, assessment, person, scope


def test_one_application_reaches_every_country_and_the_applicant_sees_each_decision(world: World) -> None:
    case = world.submitted("FR", "DE")
    assert case.state is ApplicationState.SUBMITTED
    assert world.body_case("DE", case.id).application.data == (scope("DE"),)
    for country in ("FR", "DE"):
        with world.bodies[country].desk() as desk:
            desk.take_up(case.id, OFFICER)
    with world.bodies["FR"].desk() as desk:
        issued = desk.grant(case.id, OFFICER, assessment(), conditions="Cite the source")
    with world.bodies["DE"].desk() as desk:
        desk.refuse(case.id, OFFICER, assessment("b"), "Too many columns")
    world.deliver()

    seen = world.hub_case(case.id)
    assert seen.countries == {"FR": ApplicationState.GRANTED, "DE": ApplicationState.REFUSED}
    assert seen.state is ApplicationState.GRANTED
    assert seen.reasons == {"DE": "Too many columns"}
    assert seen.permit_ids == {"FR": issued.permit.id}
    assert seen.due == {}
    with world.hub.desk() as desk:
        assert desk.permits_of(MARIE) == [issued]
        assert desk.permits_of("did:web:hub.example#pierre") == []
        entry = desk.register()[0]
    assert entry.decision == {"FR": "granted", "DE": "refused"}
    assert issued.permit.persons[0].principal_investigator


def test_a_question_and_its_answer_stop_and_restart_the_clock(world: World) -> None:
    case = world.submitted("FR", "DE")
    assert case.due == {"FR": date(2031, 4, 30), "DE": date(2031, 4, 30)}
    with world.bodies["FR"].desk() as desk:
        desk.take_up(case.id, OFFICER)
        desk.ask_back(case.id, OFFICER, "  Which drugs?  ")
    world.deliver()
    seen = world.hub_case(case.id)
    assert seen.countries["FR"] is ApplicationState.AWAITING_INFORMATION
    assert seen.reasons == {"FR": "Which drugs?"}
    assert seen.due["FR"] == date(2031, 2, 28)

    world.clock.advance(days=10)
    better = replace(case.application, intended_use="Compare celecoxib and diclofenac")
    with world.hub.desk() as desk:
        desk.save(case.id, replace(better, safeguards=""), MARIE)
        with pytest.raises(Invalid, match=r"\(g\) safeguards"):
            desk.submit(case.id, MARIE)
        desk.answer(case.id, better, MARIE)
    world.deliver()
    here = world.body_case("FR", case.id)
    assert here.state is ApplicationState.PROCESSING
    assert here.application.intended_use == "Compare celecoxib and diclofenac"
    assert here.due == {"FR": date(2031, 5, 10)}
    assert world.body_case("DE", case.id).application.intended_use == case.application.intended_use
    assert world.hub_case(case.id).reasons == {}


def test_an_answer_cannot_add_a_country(world: World) -> None:
    case = world.submitted("FR")
    with world.bodies["FR"].desk() as desk:
        desk.take_up(case.id, OFFICER)
        desk.ask_back(case.id, OFFICER, "Which drugs?")
    world.deliver()
    with world.hub.desk() as desk, pytest.raises(Conflict, match="countries-fixed"):
        desk.save(case.id, application("FR", "DE"), MARIE)


def test_an_application_that_is_not_completed_in_four_weeks_can_be_closed(world: World) -> None:
    case = world.submitted("FR")
    with world.bodies["FR"].desk() as desk:
        desk.take_up(case.id, OFFICER)
        desk.ask_back(case.id, OFFICER, "Which drugs?")
    world.clock.advance(days=28)
    with world.bodies["FR"].desk() as desk, pytest.raises(Conflict, match="cannot refuse"):
        desk.refuse(case.id, OFFICER, assessment("h"), "Late")
    world.clock.advance(days=1)
    with world.bodies["FR"].desk() as desk:
        desk.refuse(case.id, OFFICER, assessment())
    world.deliver()
    seen = world.hub_case(case.id)
    assert seen.state is ApplicationState.REFUSED
    assert "four weeks" in seen.reasons["FR"]


def test_a_withdrawal_reaches_every_access_body_and_a_decision_that_was_faster_stands(world: World) -> None:
    case = world.submitted("FR", "DE")
    with world.bodies["FR"].desk() as desk:
        desk.take_up(case.id, OFFICER)
        desk.grant(case.id, OFFICER, assessment())
    with world.hub.desk() as desk:  # the grant is still on its way
        assert desk.withdraw(case.id, MARIE).state is ApplicationState.WITHDRAWN
    world.deliver()
    assert world.body_case("DE", case.id).state is ApplicationState.WITHDRAWN
    assert world.hub_case(case.id).countries == {
        "FR": ApplicationState.GRANTED,
        "DE": ApplicationState.WITHDRAWN,
    }
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
        assert "contact_email" in caught.value.what
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
    assert seen.countries == {"FR": ApplicationState.AWAITING_INFORMATION}
    assert seen.reasons == {"FR": "Which drugs?"}

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
    assert "peer-unreachable" in seen.reasons["FR"]
    world.down.clear()
    world.clock.advance(seconds=60)
    world.deliver()
    assert world.hub_case(case.id).reasons == {}
    assert world.body_case("FR", case.id).state is ApplicationState.SUBMITTED


def test_jobs_hold_no_personal_data(world: World) -> None:
    case = world.submitted("FR")
    with world.hub.database.transaction() as connection:
        job = jobs.find(connection, f"forward-application/{case.id}/FR/{case.version}")
    assert job is not None
    assert job.payload == {"case_id": case.id, "country": "FR", "version": 2, "withdrawn": False}


def test_only_the_access_body_of_a_country_reports_for_it(world: World) -> None:
    case = world.submitted("FR", "DE")
    forged = StatusReport(case_id=case.id, country="FR", version=99, state=ApplicationState.REFUSED)
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
    with world.bodies["FR"].desk() as desk:
        desk.take_up(first.id, OFFICER)
        token = desk.grant(first.id, OFFICER, assessment()).token
    report = StatusReport(
        case_id=second.id, country="FR", version=9, state=ApplicationState.GRANTED, token=token
    )
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
        assert desk.cases(pierre) == []
        for step in (desk.submit, desk.withdraw):
            with pytest.raises(NotFound):
                step(case.id, pierre.id)
        # An officer's role counts at an access body alone.
        with pytest.raises(NotFound):
            desk.case(case.id, person(OFFICER, "officer"))


def test_a_grant_may_be_narrower(world: World) -> None:
    case = world.submitted("FR")
    narrow = replace(scope("FR"), tables={"person": ("person_id",)}, rows={})
    with world.bodies["FR"].desk() as desk:
        desk.take_up(case.id, OFFICER)
        issued = desk.grant(
            case.id,
            OFFICER,
            assessment(),
            data=[narrow],
            methods=["count"],
            months=1,
            policy=DisclosurePolicy(min_cell=20),
            fee_cents=120_000,
        )
    permit = issued.permit
    assert permit.data == (narrow,)
    assert permit.methods == ("count",)
    assert permit.valid_until.date() == date(2031, 2, 28)
    assert permit.policy.min_cell == 20
    assert permit.fee_cents == 120_000


def test_a_grant_is_refused_when_it_is_wider_or_a_criterion_is_not_met(world: World) -> None:
    case = world.submitted("FR")
    body = world.bodies["FR"]
    with body.desk() as desk:
        with pytest.raises(Conflict, match="cannot grant"):
            desk.grant(case.id, OFFICER, assessment())
        desk.take_up(case.id, OFFICER)
    with body.desk() as desk, pytest.raises(Refused, match="criteria-not-met"):
        desk.grant(case.id, OFFICER, assessment("e"))
    with body.desk() as desk, pytest.raises(Refused, match="1 person"):
        desk.grant(case.id, OFFICER, assessment(), persons=[NamedPerson(id="x", name="Somebody")])
    for months in (0, 121):
        with body.desk() as desk, pytest.raises(Invalid, match="permit-period"):
            desk.grant(case.id, OFFICER, assessment(), months=months)
    with body.desk() as desk, pytest.raises(Invalid, match="question-missing"):
        desk.ask_back(case.id, OFFICER, " ")
    assert world.body_case("FR", case.id).state is ApplicationState.PROCESSING


def test_a_revoked_permit_is_known_at_the_hub_and_cannot_be_revoked_again(world: World) -> None:
    case = world.submitted("FR")
    body = world.bodies["FR"]
    with body.desk() as desk:
        desk.take_up(case.id, OFFICER)
        issued = desk.grant(case.id, OFFICER, assessment())
        assert desk.decision(case.id) is not None
        assert desk.decision(case.id).officer == OFFICER  # type: ignore[union-attr]
    permit_id = issued.permit.id
    with body.desk() as desk:
        with pytest.raises(Invalid, match="reason-missing"):
            desk.revoke(permit_id, OFFICER, "")
        with pytest.raises(NotFound):
            desk.revoke("urn:salerno:permit:none", OFFICER, "Misuse")
        desk.revoke(permit_id, OFFICER, "Misuse")
    world.deliver()
    with world.hub.desk() as desk:
        seen = desk.permits_of(MARIE)[0]
        entry = desk.register()[0]
    assert (seen.state, seen.revocation_reason) == (PermitState.REVOKED, "Misuse")
    assert seen.revoked_at == world.clock.now()
    assert (entry.decision, entry.reason) == ({"FR": "revoked"}, {"FR": "Misuse"})
    with body.desk() as desk, pytest.raises(Conflict):
        desk.revoke(permit_id, OFFICER, "Misuse")


def test_a_permit_expires_by_itself(world: World) -> None:
    case = world.submitted("FR")
    with world.bodies["FR"].desk() as desk:
        desk.take_up(case.id, OFFICER)
        permit_id = desk.grant(case.id, OFFICER, assessment(), months=1).permit.id
    world.clock.advance(days=28)
    with world.bodies["FR"].desk() as desk:
        assert desk.status(permit_id).state is PermitState.EXPIRED
        with pytest.raises(Conflict, match="expired"):
            desk.revoke(permit_id, OFFICER, "Misuse")


def test_a_permit_may_end_to_the_second_but_not_before_it_begins_nor_later_than_asked(world: World) -> None:
    case = world.submitted("FR")
    begin = world.clock.now()
    with world.bodies["FR"].desk() as desk:
        desk.take_up(case.id, OFFICER)
    for until, error in (
        (begin, Invalid),
        (begin.replace(tzinfo=None) + timedelta(days=1), Invalid),
        (begin + timedelta(days=4000), Refused),
    ):
        with pytest.raises(error), world.bodies["FR"].desk() as desk:
            desk.grant(case.id, OFFICER, assessment(), until=until)
    with world.bodies["FR"].desk() as desk:
        issued = desk.grant(case.id, OFFICER, assessment(), until=begin + timedelta(seconds=3))
    assert issued.permit.valid_until == (begin + timedelta(seconds=3)).replace(microsecond=0)


def test_the_register_names_no_person(world: World) -> None:
    case = world.submitted("FR", lay_summary="Which pain killer is safer?")
    with world.hub.desk() as desk:
        desk.draft(application("FR"), MARIE)
        entries = desk.register()
    assert [entry.case_id for entry in entries] == [case.id]
    assert entries[0].decision == {"FR": "pending"}
    text = json.dumps(to_plain(entries))
    assert "Curie" not in text
    assert MARIE not in text
    assert "office@" not in text


def test_a_status_after_the_permits_end_is_still_taken_in(world: World) -> None:
    case = world.submitted("FR")
    body = world.bodies["FR"]
    with body.desk() as desk:
        desk.take_up(case.id, OFFICER)
        permit_id = desk.grant(case.id, OFFICER, assessment(), months=1).permit.id
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
