from __future__ import annotations

import copy
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salerno.adapters.keys import KeyRing
from salerno.identity.model import Credential
from salerno.kernel.codes import Purpose
from salerno.kernel.errors import Invalid, Refused
from salerno.permits.model import Condition, DataPermit, DataScope, DisclosurePolicy, NamedPerson
from salerno.permits.wire import CREDENTIAL_TYPE, parse_permit, permit_claims, policy_of, render_permit
from salerno.standards.odrl import parse_agreement, render_agreement
from salerno.standards.vc import parse_credential
from tests.unit.permits.world import permit

KEYS = KeyRing.generate()
KID = "did:web:fr.example#key"

names = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)
values = st.one_of(
    names,
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.lists(names, min_size=1, max_size=3),
    st.lists(st.integers(-(2**53), 2**53), min_size=1, max_size=3),
)
conditions = st.builds(
    lambda column, operator, value: Condition(
        column=column, operator="in" if isinstance(value, list) else operator, value=value
    ),
    names,
    st.sampled_from(["==", "!=", "<", "<=", ">", ">="]),
    values,
)
columns = st.lists(names, min_size=1, max_size=3, unique=True).map(tuple)
days = st.none() | st.dates(date(1900, 1, 1), date(2100, 1, 1))
scopes = st.builds(
    DataScope,
    dataset=names.map(lambda name: f"https://h.example/{name}"),
    holder=st.just("did:web:h.example"),
    country=st.sampled_from(["FR", "DE"]),
    tables=st.dictionaries(names, columns, min_size=1, max_size=3),
    rows=st.dictionaries(names, st.lists(conditions, max_size=2).map(tuple), max_size=2),
    covers_from=days,
    covers_to=days,
)
instants = st.datetimes(datetime(2027, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))
permits = st.builds(
    lambda begin, length, **rest: DataPermit(
        valid_from=begin, valid_until=begin + timedelta(seconds=length), approved_at=begin, **rest
    ),
    begin=instants,
    length=st.integers(1, 10**8),
    id=names.map(lambda name: f"urn:salerno:permit:{name}"),
    application_id=names,
    issuer=st.just("did:web:fr.example"),
    country=st.just("FR"),
    applicant=names,
    data=st.lists(scopes, min_size=1, max_size=2).map(tuple),
    pseudonymised=st.booleans(),
    purpose=st.sampled_from(list(Purpose)),
    purpose_detail=names,
    persons=st.lists(st.builds(NamedPerson, id=names, name=names), min_size=1, max_size=2).map(tuple),
    environment=st.just("did:web:hub.example"),
    methods=st.lists(names, max_size=2).map(tuple),
    opt_out_exception=st.just("") | names,
    fee_cents=st.integers(0, 10**9),
    conditions=names,
    policy=st.builds(DisclosurePolicy, min_cell=st.integers(1, 100), masks=st.booleans()),
)


def credential_of(token: str, **changes: Any) -> Credential:
    read = parse_credential(token, {KID: KEYS.signing_jwk()})
    whole = Credential(
        id=read.id,
        issuer=read.issuer,
        subject=read.subject,
        types=read.types,
        claims=read.claims,
        issued_at=read.issued_at,
        valid_from=read.valid_from,
        valid_until=read.valid_until,
        token=token,
    )
    return replace(whole, **changes)


def issued() -> str:
    return render_permit(permit(), key=KEYS.private_jwk(), kid=KID)


@settings(max_examples=150, deadline=None)
@given(permits)
def test_a_permit_survives_its_credential(given: DataPermit) -> None:
    token = render_permit(given, key=KEYS.private_jwk(), kid=KID)
    assert parse_permit(credential_of(token)) == given


@settings(max_examples=100, deadline=None)
@given(permits)
def test_the_policy_survives_json_and_names_every_permitted_column(given: DataPermit) -> None:
    policy = policy_of(given)
    assert parse_agreement(render_agreement(policy)) == policy
    targets = [(rule.target, rule.refinements[0].right) for rule in policy.permissions]
    assert sorted(targets) == sorted((s.dataset, table) for s in given.data for table in s.tables)


def _changed(claims: dict[str, Any], *path: str | int, to: Any) -> dict[str, Any]:
    changed = copy.deepcopy(claims)
    place: Any = changed
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = to
    return changed


CHANGES: list[tuple[tuple[str | int, ...], Any]] = [
    (("policy", "permission"), []),
    (("policy", "permission", 0, "constraint", 0, "rightOperand"), "policy"),
    (("policy", "permission", 0, "target", "refinement", 1, "rightOperand"), ["person_id", "birth_date"]),
    (("policy", "prohibition"), []),
    (("policy", "obligation", 0, "constraint", 0, "rightOperand", "@value"), "P99M"),
    (("policy", "assignee"), "did:web:other.example"),
    (("policy",), None),
    (("permit", "data", 0, "tables", "person"), ["person_id", "birth_date"]),
    (("permit", "policy", "min_cell"), 1),
    (("permit", "persons", 0, "id"), "did:web:hub.example#eve"),
    (("permit", "opt_out_exception"), "none needed"),
    (("permit", "methods"), []),
]


@pytest.mark.parametrize(("path", "to"), CHANGES, ids=[".".join(map(str, c[0])) for c in CHANGES])
def test_permit_and_policy_must_say_the_same(path: tuple[str | int, ...], to: Any) -> None:
    claims = _changed(permit_claims(permit()), *path, to=to)
    with pytest.raises(Refused, match="permit-policy-differs"):
        parse_permit(credential_of(issued(), claims=claims))


@pytest.mark.parametrize(
    ("named", "changes"),
    [
        ("identifier", {"id": "urn:salerno:permit:other"}),
        ("issuer", {"issuer": "did:web:de.example"}),
        ("subject", {"subject": "did:web:other.example"}),
        ("begin", {"valid_from": permit().valid_from - timedelta(seconds=1)}),
        ("end", {"valid_until": permit().valid_until + timedelta(days=1)}),
        ("not of type", {"types": ("Membership",)}),
    ],
)
def test_the_envelope_must_say_what_the_permit_says(named: str, changes: dict[str, Any]) -> None:
    with pytest.raises(Refused, match=named) as caught:
        parse_permit(credential_of(issued(), **changes))
    assert caught.value.code == "permit-credential"


@pytest.mark.parametrize("claims", [{}, {"permit": None}, {"permit": {"id": "x"}}, {"permit": []}])
def test_a_credential_without_a_readable_permit_is_invalid(claims: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match="the permit"):
        parse_permit(credential_of(issued(), claims=claims))


def test_the_credential_is_typed_and_about_the_environment() -> None:
    read = credential_of(issued())
    assert read.types == (CREDENTIAL_TYPE,)
    assert read.subject == permit().environment


def test_the_policy_forbids_and_obliges_what_the_law_does() -> None:
    policy = render_agreement(policy_of(permit()))
    assert [p["action"] for p in policy["prohibition"]] == [
        "urn:salerno:odrl:permit:1#reidentify",
        "distribute",
    ]
    months = policy["obligation"][0]["constraint"][0]["rightOperand"]
    assert months == {"@value": "P18M", "@type": "xsd:duration"}
    assert policy["@type"] == "Agreement"
    limits = {c["leftOperand"]: c["rightOperand"] for c in policy["permission"][0]["constraint"]}
    assert limits["purpose"] == "research"
    assert limits["recipient"] == ["did:web:hub.example#marie"]
    assert limits["urn:salerno:odrl:permit:1#disclosure/min_cell"] == 10
    assert limits["urn:salerno:odrl:permit:1#optedOutPersons"] == "left-out"
