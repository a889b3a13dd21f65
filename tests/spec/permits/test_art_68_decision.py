"""EHDS Art. 68: criteria (1), deadlines (4), fields of the permit (10), duration (12)."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from salerno.kernel.codes import Purpose
from salerno.kernel.errors import Invalid, Refused
from salerno.permits.model import (
    ApplicationState,
    Assessment,
    Condition,
    Criterion,
    DataPermit,
    IssuedPermit,
    NamedPerson,
    PermitState,
)
from salerno.permits.model.clock import Route
from salerno.permits.rules import (
    APPLICATION_STATES,
    CLOSED_STATES,
    CRITERIA,
    PERMIT_FIELDS,
    PERMIT_STATES,
    can_step,
    check_assessment,
    check_narrower,
    overall_state,
    permit_state,
    route_of,
)
from tests.unit.permits.world import START, application, assessment, permit, scope

A = ApplicationState


@pytest.mark.parametrize("letter", "abcdefgh")
def test_no_grant_while_one_criterion_is_not_met(letter: str) -> None:
    assert letter in CRITERIA
    unmet = assessment(letter)
    with pytest.raises(Refused, match=rf"\({letter}\)"):
        check_assessment(unmet, granting=True)
    check_assessment(unmet, granting=False, reason="Because")


@pytest.mark.parametrize("letter", "abcdefgh")
def test_no_grant_while_one_criterion_is_not_answered(letter: str) -> None:
    whole = assessment()
    partial = replace(whole, criteria=tuple(c for c in whole.criteria if c.letter != letter))
    with pytest.raises(Invalid, match=rf"\({letter}\) is not answered"):
        check_assessment(partial, granting=True)


def test_a_full_assessment_carries_a_grant() -> None:
    check_assessment(assessment(), granting=True)


def test_letters_are_known_and_answered_once() -> None:
    odd = Assessment(assessor="", criteria=(*assessment().criteria, Criterion(letter="z", met=True)))
    with pytest.raises(Invalid, match=r"\(z\) is unknown"):
        check_assessment(odd, granting=True)
    twice = Assessment(assessor="", criteria=(*assessment().criteria, Criterion(letter="a", met=True)))
    with pytest.raises(Invalid, match=r"\(a\) is answered twice"):
        check_assessment(twice, granting=False, reason="Because")


def test_a_refusal_needs_a_reason_and_something_against_the_application() -> None:
    with pytest.raises(Invalid, match="reason-missing"):
        check_assessment(assessment("a"), granting=False, reason="  ")
    with pytest.raises(Invalid, match="refusal-unfounded"):
        check_assessment(assessment(), granting=False, reason="We would rather not")
    check_assessment(assessment(risks="Public security"), granting=False, reason="Public security")


@pytest.mark.parametrize(
    ("purpose", "is_public_body", "route"),
    [
        (Purpose.RESEARCH, False, Route.ORDINARY),
        (Purpose.RESEARCH, True, Route.ORDINARY),
        (Purpose.CARE_DELIVERY, True, Route.ORDINARY),
        (Purpose.PUBLIC_HEALTH, True, Route.PUBLIC_BODY),
        (Purpose.POLICY, True, Route.PUBLIC_BODY),
        (Purpose.STATISTICS, True, Route.PUBLIC_BODY),
    ],
)
def test_public_bodies_are_answered_sooner(purpose: Purpose, is_public_body: bool, route: Route) -> None:
    assert route_of(application("FR", purpose=purpose, is_public_body=is_public_body)) is route


def test_the_permit_has_every_field_of_the_paragraph() -> None:
    assert list(PERMIT_FIELDS) == list("abcdefgh")
    named = {name for names in PERMIT_FIELDS.values() for name in names}
    assert named <= {field.name for field in fields(DataPermit)}


TOO_WIDE: list[tuple[str, dict[str, Any]]] = [
    # what the refusal names, the permit's difference
    ("data set https://hospital.de.example", {"data": (scope("FR"), scope("DE"))}),
    ("another holder", {"data": (scope("FR", holder="did:web:other.example"),)}),
    ("without any column", {"data": (scope("FR", tables={"person": ()}),)}),
    ("table death", {"data": (scope("FR", tables={"death": ("person_id",)}),)}),
    ("column(s) birth_date of table person", {"data": (scope("FR", tables={"person": ("birth_date",)}),)}),
    ("rows of table drug_era", {"data": (scope("FR", rows={}),)}),
    ("records before 2020-01-01", {"data": (scope("FR", covers_from=None),)}),
    ("records before 2020-01-01", {"data": (scope("FR", covers_from=date(2019, 12, 31)),)}),
    ("records after 2029-12-31", {"data": (scope("FR", covers_to=None),)}),
    ("1 person(s)", {"persons": (NamedPerson(id="x", name="X"),)}),
    ("all methods", {"methods": ()}),
    ("method(s) glm", {"methods": ("cox", "glm")}),
    ("purpose education", {"purpose": Purpose.EDUCATION}),
    ("opted-out persons", {"opt_out_exception": "Rare disease"}),
    ("more than 24 months", {"valid_until": datetime(2033, 2, 1, tzinfo=UTC)}),
]  # fmt: skip


@pytest.mark.parametrize(("named", "changes"), TOO_WIDE, ids=[t[0] for t in TOO_WIDE])
def test_a_permit_never_gives_more_than_was_asked(named: str, changes: dict[str, Any]) -> None:
    with pytest.raises(Refused) as caught:
        check_narrower(permit(**changes), application("FR"))
    assert caught.value.code == "permit-too-wide"
    assert named in caught.value.what


def test_pseudonymised_data_are_not_given_where_anonymised_ones_were_asked() -> None:
    with pytest.raises(Refused, match="pseudonymised data"):
        check_narrower(permit(), application("FR", pseudonymised=False))


def test_everything_that_is_too_wide_is_named_at_once() -> None:
    with pytest.raises(Refused) as caught:
        check_narrower(permit(methods=("glm",), purpose=Purpose.EDUCATION), application("FR"))
    assert "method(s) glm; purpose education" in caught.value.what


MORE = Condition(column="gender_concept_id", operator="==", value=8532)
NARROWER: list[dict[str, Any]] = [
    {},
    {"data": (scope("FR", tables={"person": ("person_id",)}, rows={}),)},
    {"data": (scope("FR", rows={**scope("FR").rows, "person": (MORE,)}),)},
    {"data": (scope("FR", covers_from=date(2021, 1, 1), covers_to=date(2021, 12, 31)),)},
    {"methods": ("cox",)},
    {"valid_until": datetime(2033, 1, 31, 9, 30, 15, tzinfo=UTC)},
]


@pytest.mark.parametrize("changes", NARROWER, ids=str)
def test_a_permit_may_give_less(changes: dict[str, Any]) -> None:
    check_narrower(permit(**changes), application("FR"))


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("permit-empty", {"data": ()}),
        ("permit-empty", {"persons": ()}),
        ("permit-period", {"valid_until": START.replace(microsecond=0)}),
        ("permit-fee", {"fee_cents": -1}),
    ],
)
def test_a_permit_makes_sense(code: str, changes: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match=code):
        check_narrower(permit(**changes), application("FR"))


def test_an_exception_from_the_opt_out_can_be_given_where_it_was_asked() -> None:
    asked = application("FR", opt_out_exception="Rare disease")
    check_narrower(permit(opt_out_exception="Rare disease"), asked)


def test_a_permit_ends_by_itself_but_a_revocation_stays() -> None:
    issued = IssuedPermit(permit=permit(), token="", state=PermitState.GRANTED)
    end = issued.permit.valid_until
    assert permit_state(issued, START) is PermitState.GRANTED
    assert permit_state(issued, end) is PermitState.EXPIRED
    assert permit_state(replace(issued, state=PermitState.REVOKED), end) is PermitState.REVOKED


@pytest.mark.parametrize(
    ("states", "whole"),
    [
        ([A.DRAFT], A.DRAFT),
        ([A.DECIDED, A.SUBMITTED], A.SUBMITTED),
        ([A.PROCESSING, A.AWAITING_INFORMATION], A.AWAITING_INFORMATION),
        ([A.DECIDED, A.PROCESSING], A.PROCESSING),
        ([A.DECIDED, A.WITHDRAWN], A.DECIDED),
        ([A.WITHDRAWN, A.WITHDRAWN], A.WITHDRAWN),
    ],
)
def test_the_whole_is_as_far_as_its_least_advanced_country(states: list[A], whole: A) -> None:
    assert overall_state(states) is whole


def test_an_application_without_country_has_no_overall_state() -> None:
    with pytest.raises(ValueError, match="at least one"):
        overall_state([])


def test_the_state_tables_reach_every_state() -> None:
    assert {A(state) for state in APPLICATION_STATES.states} == set(A)
    assert {A.DECIDED, A.WITHDRAWN} == CLOSED_STATES
    assert {PermitState(state) for state in PERMIT_STATES.states} == set(PermitState)
    assert can_step(A.PROCESSING, "decide")
    assert not can_step(A.SUBMITTED, "decide")
    assert all(
        step.actor and step.rule for table in (APPLICATION_STATES, PERMIT_STATES) for step in table.steps
    )
