"""What officers do with a case between its receipt and what comes after the decision."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from salerno.identity.rules import key_id
from salerno.kernel.errors import Conflict, Invalid, NotFound, Refused
from salerno.kernel.time import add_months
from salerno.kernel.values import from_json
from salerno.permits.model import (
    ApplicationState,
    BoardView,
    CaseKind,
    Outcome,
    PermitState,
    Procedure,
    Proposal,
    Terms,
    Verdict,
)
from salerno.permits.model.clock import Clock
from salerno.permits.wire import DECISION_TYP
from salerno.standards.jose import verify_compact
from tests.unit.permits.world import COLLEAGUE, MARIE, OFFICER, World, assessment, person

THIRD = "did:web:fr.example#third"


def acts(world: World, case_id: str, country: str = "FR") -> list[str]:
    return [event.act for event in world.events(country, case_id)]


# two persons


def test_a_decision_takes_two_officers_without_conflict(world: World) -> None:
    case = world.submitted("FR")
    world.process("FR", case.id)
    body = world.bodies["FR"]
    with body.desk() as desk:
        with pytest.raises(Conflict, match="nothing-proposed"):
            desk.confirm(case.id, COLLEAGUE, no_conflict=True)
        with pytest.raises(Invalid, match="conflict-undeclared"):
            desk.propose(
                case.id, OFFICER, Proposal(verdict=Verdict.GRANT, assessment=assessment()), no_conflict=False
            )
    proposed = world.propose("FR", case.id)
    assert proposed.state is ApplicationState.PROCESSING
    assert proposed.handling.proposal is not None
    assert proposed.handling.proposal.assessment.assessor == OFFICER
    with body.desk() as desk:
        assert desk.board_counts(COLLEAGUE)[BoardView.PROPOSED] == 1
        with pytest.raises(Refused, match="own-proposal"):
            desk.confirm(case.id, OFFICER, no_conflict=True)
        with pytest.raises(Invalid, match="conflict-undeclared"):
            desk.confirm(case.id, COLLEAGUE, no_conflict=False)
    decided = world.confirm("FR", case.id)
    assert decided.handling.proposal is None
    with body.desk() as desk:
        (decision,) = desk.decisions(case.id)
    assert (decision.officer, decision.confirmed_by) == (OFFICER, COLLEAGUE)
    world.deliver()
    token = world.hub_case(case.id).countries["FR"].decision
    kid = key_id(body.own.did, body.keys.signing_jwk())
    said = from_json(verify_compact(token, {kid: body.keys.signing_jwk()}, typ=DECISION_TYP), dict, what="it")
    assert (said["iss"], said["outcome"]) == (body.own.did, "full")
    assert OFFICER not in str(said)


def test_what_is_sent_back_or_asked_about_is_not_proposed_any_more(world: World) -> None:
    case = world.submitted("FR")
    world.process("FR", case.id)
    world.propose("FR", case.id)
    with world.bodies["FR"].desk() as desk:
        with pytest.raises(Invalid, match="remark-missing"):
            desk.send_back(case.id, COLLEAGUE, " ")
        assert desk.send_back(case.id, COLLEAGUE, "Which columns?").handling.proposal is None
    world.propose("FR", case.id)
    with world.bodies["FR"].desk() as desk:
        assert desk.ask_back(case.id, COLLEAGUE, "", {"data": "Why sex?"}).handling.proposal is None
        with pytest.raises(Conflict):
            desk.confirm(case.id, COLLEAGUE, no_conflict=True)


def test_one_officer_decides_where_there_is_one(world: World) -> None:
    world.procedure = Procedure(persons_per_decision=1)
    case = world.submitted("FR")
    world.process("FR", case.id)
    assert world.propose("FR", case.id).state is ApplicationState.DECIDED


def test_terms_go_with_a_permit_alone(world: World) -> None:
    case = world.submitted("FR")
    world.process("FR", case.id)
    given = Proposal(
        verdict=Verdict.REFUSE, assessment=assessment("b"), reason="Too much", terms=Terms(months=3)
    )
    with world.bodies["FR"].desk() as desk, pytest.raises(Invalid, match="terms-without-permit"):
        desk.propose(case.id, OFFICER, given, no_conflict=True)


def test_statistics_can_be_offered_instead(world: World) -> None:
    case = world.submitted("FR")
    world.process("FR", case.id)
    given = Proposal(verdict=Verdict.REQUEST_INSTEAD, assessment=assessment("c"), reason="Counts would do")
    with world.bodies["FR"].desk() as desk:
        desk.propose(case.id, OFFICER, given, no_conflict=True)
    assert world.confirm("FR", case.id).countries["FR"].outcome is Outcome.REQUEST_INSTEAD


# who handles it


def test_a_conflict_of_interest_keeps_an_officer_out(world: World) -> None:
    case = world.submitted("FR")
    world.process("FR", case.id)
    world.propose("FR", case.id)
    world.deliver()
    with world.bodies["FR"].desk() as desk:
        with pytest.raises(Invalid, match="conflict-words"):
            desk.declare_conflict(case.id, OFFICER, "")
        here = desk.declare_conflict(case.id, OFFICER, "My sister applies")
        assert (here.handling.assignee, here.handling.proposal) == ("", None)
        assert desk.declare_conflict(case.id, OFFICER, "Again").handling == here.handling
        for act in (
            lambda: desk.ask_back(case.id, OFFICER, "Which drugs?"),
            lambda: desk.assign(case.id, COLLEAGUE, OFFICER),
            lambda: desk.extend(case.id, OFFICER, "Hard"),
        ):
            with pytest.raises(Refused, match="conflict-of-interest"):
                act()
        desk.ask_back(case.id, COLLEAGUE, "Which drugs?")
    world.deliver()
    with world.hub.desk() as desk:
        told = [event.act for event in desk.history(case.id, person(MARIE))]
    assert told == ["drafted", "submitted", "received", "found-complete", "information-requested"]
    for private in ("sister", OFFICER, COLLEAGUE, "proposed", "conflict"):
        assert private not in str(world.traffic)


def test_a_case_is_handed_to_an_officer_of_this_node(world: World) -> None:
    case = world.submitted("FR")
    with world.bodies["FR"].desk() as desk:
        assert desk.take_up(case.id, OFFICER).handling.assignee == OFFICER
        with pytest.raises(Invalid, match=r"no-such-officer.*Did you mean 'did:web:fr.example#colleague'"):
            desk.assign(case.id, OFFICER, "did:web:fr.example#coleague")
        assert desk.assign(case.id, OFFICER, COLLEAGUE).handling.assignee == COLLEAGUE
        assert [line.id for line in desk.board(BoardView.MINE, COLLEAGUE).lines] == [case.id]
        assert desk.assign(case.id, OFFICER, "").handling.assignee == ""
        assert desk.officers() == {OFFICER: "Odile Officer", COLLEAGUE: "Oscar Officer"}


def test_comments_are_on_fields_that_an_application_has(world: World) -> None:
    case = world.submitted("FR")
    with world.bodies["FR"].desk() as desk:
        desk.take_up(case.id, OFFICER)
        with pytest.raises(Invalid, match="Did you mean 'safeguards'"):
            desk.ask_back(case.id, OFFICER, "", {"safegards": "Who has the keys?"})


# periods


def test_the_period_is_extended_once_and_the_applicant_reads_why(world: World) -> None:
    case = world.submitted("FR")
    world.process("FR", case.id)
    body = world.bodies["FR"]
    with body.desk() as desk:
        with pytest.raises(Invalid, match="reason-missing"):
            desk.extend(case.id, OFFICER, "")
        assert desk.extend(case.id, OFFICER, "Many holders").countries["FR"].due == date(2031, 7, 30)
        with pytest.raises(Conflict, match="no-extension"):
            desk.extend(case.id, OFFICER, "Still")
    world.deliver()
    assert world.hub_case(case.id).countries["FR"].due == date(2031, 7, 30)
    assert {c.deadline.name for c in clocks(world, case.id)} >= {"pre-screening", "decision"}


def clocks(world: World, case_id: str) -> tuple[Clock, ...]:
    with world.bodies["FR"].desk() as desk:
        return desk.clocks(case_id)


# appeals


def test_an_appeal_is_answered_by_somebody_else(world: World) -> None:
    case = world.submitted("FR")
    world.refuse("FR", case.id)
    world.deliver()
    with world.hub.desk() as desk:
        with pytest.raises(Invalid, match="grounds-missing"):
            desk.appeal(case.id, "FR", " ", MARIE)
        with pytest.raises(NotFound):
            desk.appeal(case.id, "ES", "Wrong", MARIE)
        desk.appeal(case.id, "FR", "All columns are needed", MARIE)
        with pytest.raises(Conflict):
            desk.appeal(case.id, "FR", "Again", MARIE)
    world.deliver()
    here = world.body_case("FR", case.id)
    assert here.state is ApplicationState.APPEALED
    appealed = next(e for e in world.events("FR", case.id) if e.act == "appealed")
    assert appealed.detail["grounds"] == "All columns are needed"
    with world.bodies["FR"].desk() as desk:
        for decider in (OFFICER, COLLEAGUE):
            with pytest.raises(Refused, match="own-decision"):
                desk.uphold_appeal(case.id, decider, "It is right")
        with pytest.raises(Invalid, match="reason-missing"):
            desk.uphold_appeal(case.id, THIRD, "")
        again = desk.uphold_appeal(case.id, THIRD, "The columns are needed")
    assert (again.state, again.countries["FR"].due) == (ApplicationState.PROCESSING, date(2031, 4, 30))
    world.propose("FR", case.id)
    world.confirm("FR", case.id)
    world.deliver()
    seen = world.hub_case(case.id).countries["FR"]
    assert (seen.outcome, seen.permit_state) == (Outcome.FULL, PermitState.GRANTED)
    with world.bodies["FR"].desk() as desk:
        assert [d.outcome for d in desk.decisions(case.id)] == [Outcome.REFUSAL, Outcome.FULL]


def test_an_appeal_that_comes_late_is_told_so(world: World) -> None:
    case = world.submitted("FR")
    world.refuse("FR", case.id)
    world.deliver()
    world.clock.advance(days=31)
    with world.hub.desk() as desk, pytest.raises(Conflict, match="appeal-late"):
        desk.appeal(case.id, "FR", "Wrong", MARIE)


def test_a_better_decision_after_an_appeal_takes_the_place_of_the_permit(world: World) -> None:
    case = world.submitted("FR")
    first = world.grant("FR", case.id, methods=("count",))
    world.deliver()
    with world.hub.desk() as desk:
        desk.appeal(case.id, "FR", "Cox is needed", MARIE)
    world.deliver()
    with world.bodies["FR"].desk() as desk:
        desk.uphold_appeal(case.id, THIRD, "It is")
    world.propose("FR", case.id)
    world.confirm("FR", case.id)
    world.deliver()
    with world.bodies["FR"].desk() as desk:
        assert desk.status(first.permit.id).state is PermitState.AMENDED
    with world.hub.desk() as desk:
        held = {p.permit.id: p for p in desk.permits_of(MARIE)}
    new = held[world.hub_case(case.id).countries["FR"].permit_id]
    assert (new.permit.replaces, new.permit.version, new.state) == (first.permit.id, 2, PermitState.GRANTED)
    assert held[first.permit.id].state is PermitState.AMENDED


# amendments and renewals


def changed(world: World, permit_id: str, kind: CaseKind, **changes: object) -> str:
    """An amendment or renewal that has reached the access body."""
    with world.hub.desk() as desk:
        draft = desk.draft_change([permit_id], kind, MARIE)
        desk.save(draft.id, replace(draft.application, **changes), MARIE)  # type: ignore[arg-type]
        desk.submit(draft.id, MARIE)
    world.deliver()
    return draft.id


def test_an_amended_permit_has_a_number_of_its_own_and_ends_like_the_first(world: World) -> None:
    case = world.submitted("FR", "DE")
    first = world.grant("FR", case.id)
    world.deliver()
    amendment = changed(world, first.permit.id, CaseKind.AMENDMENT, methods=("count", "cox", "glm"))
    with world.bodies["FR"].desk() as desk:
        assert desk.case(amendment, person(OFFICER, "officer")).kind is CaseKind.AMENDMENT
    world.clock.advance(days=40)
    second = world.grant("FR", amendment)
    assert second.permit.id != first.permit.id
    assert (second.permit.replaces, second.permit.version) == (first.permit.id, 2)
    assert second.permit.valid_until == first.permit.valid_until
    assert second.permit.methods == ("count", "cox", "glm")
    world.deliver()
    with world.hub.desk() as desk:
        held = {p.permit.id: p.state for p in desk.permits_of(MARIE)}
    assert held == {first.permit.id: PermitState.AMENDED, second.permit.id: PermitState.GRANTED}
    assert world.hub_case(case.id).countries["FR"].permit_state is PermitState.AMENDED
    with world.bodies["FR"].desk() as desk, pytest.raises(Conflict, match="amended"):
        desk.revoke(first.permit.id, OFFICER, "Misuse")
    with world.hub.desk() as desk, pytest.raises(Conflict, match="permit-ended"):
        desk.draft_change([first.permit.id], CaseKind.AMENDMENT, MARIE)


def test_a_permit_is_extended_once_and_in_time(world: World) -> None:
    case = world.submitted("FR")
    first = world.grant("FR", case.id, months=6)
    world.deliver()
    renewal = changed(world, first.permit.id, CaseKind.RENEWAL, period_months=12)
    second = world.grant("FR", renewal)
    world.deliver()
    assert second.permit.valid_until.date() == add_months(first.permit.valid_until.date(), 12)
    assert second.permit.renewals == 1
    with world.hub.desk() as desk, pytest.raises(Conflict, match="second-extension"):
        desk.draft_change([second.permit.id], CaseKind.RENEWAL, MARIE)


def test_an_extension_is_asked_for_a_month_before_the_end(world: World) -> None:
    case = world.submitted("FR")
    first = world.grant("FR", case.id, months=2)
    world.deliver()
    with world.hub.desk() as desk:
        draft = desk.draft_change([first.permit.id], CaseKind.RENEWAL, MARIE)
    world.clock.advance(days=40)
    with world.hub.desk() as desk:
        with pytest.raises(Conflict, match="extension-late"):
            desk.submit(draft.id, MARIE)
        with pytest.raises(Conflict, match="extension-late"):
            desk.draft_change([first.permit.id], CaseKind.RENEWAL, MARIE)


def test_a_change_is_for_permits_of_one_application_of_ones_own(world: World) -> None:
    one, two = world.submitted("FR"), world.submitted("FR")
    first, second = world.grant("FR", one.id), world.grant("FR", two.id)
    world.deliver()
    with world.hub.desk() as desk:
        with pytest.raises(Invalid, match="permits-of-one"):
            desk.draft_change([first.permit.id, second.permit.id], CaseKind.AMENDMENT, MARIE)
        with pytest.raises(Invalid, match="permits-of-one"):
            desk.draft_change([], CaseKind.AMENDMENT, MARIE)
        with pytest.raises(NotFound):
            desk.draft_change([first.permit.id], CaseKind.AMENDMENT, "did:web:hub.example#pierre")
        draft = desk.draft_change([first.permit.id], CaseKind.AMENDMENT, MARIE)
        with pytest.raises(Conflict, match="countries-fixed"):
            desk.save(draft.id, replace(draft.application, data=()), MARIE)
