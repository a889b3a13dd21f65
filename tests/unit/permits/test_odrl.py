from __future__ import annotations

from typing import Any

import pytest

from salerno.kernel.errors import Invalid
from salerno.standards.odrl import Agreement, Constraint, Duty, Rule, parse_agreement, render_agreement

AGREEMENT = Agreement(
    uid="urn:x:1",
    assigner="did:web:a.example",
    assignee="did:web:b.example",
    profile="urn:x:profile",
    permissions=(
        Rule(
            action="use",
            target="urn:x:data",
            refinements=(Constraint(left="urn:x:table", operator="eq", right="person"),),
            constraints=(
                Constraint(left="purpose", operator="isAnyOf", right=("research", "education")),
                Constraint(left="dateTime", operator="lt", right="2032-01-01", datatype="xsd:date"),
                Constraint(left="spatial", operator="isAnyOf", right=("FR", "DE"), datatype="xsd:token"),
                Constraint(left="count", operator="lteq", right=5),
            ),
            duties=(Duty(action="attribute"),),
        ),
        Rule(action="read", target="urn:x:other"),
    ),
    prohibitions=(Rule(action="distribute", target="urn:x:data"),),
    obligations=(Duty(action="delete", constraints=(Constraint(left="event", operator="gt", right="x"),)),),
)


def test_an_agreement_survives_json() -> None:
    assert parse_agreement(render_agreement(AGREEMENT)) == AGREEMENT


def test_the_smallest_agreement_leaves_empty_members_out() -> None:
    small = Agreement(uid="u", assigner="a", assignee="b", permissions=(Rule(action="use", target="t"),))
    document = render_agreement(small)
    assert not {"profile", "prohibition", "obligation"} & set(document)
    assert parse_agreement(document) == small


def test_one_object_stands_for_a_list_of_one() -> None:
    document = render_agreement(AGREEMENT)
    document["prohibition"] = document["prohibition"][0]
    assert parse_agreement(document) == AGREEMENT


RULE = {"action": "use", "target": "t"}
LIMIT = {"leftOperand": "purpose", "operator": "eq", "rightOperand": "x"}


def document(**changes: Any) -> dict[str, Any]:
    whole = {"@type": "Agreement", "uid": "u", "assigner": "a", "assignee": "b", "permission": [RULE]}
    return {key: value for key, value in (whole | changes).items() if value is not ...}


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ([], "policy is no object"),
        (document(**{"@type": "Offer"}), "policy.@type"),
        (document(uid=...), "policy.uid"),
        (document(uid=""), "policy.uid"),
        (document(assigner=7), "policy.assigner"),
        (document(permission=...), "policy.permission"),
        (document(permission=["use"]), r"permission\[0\] is no object"),
        (document(permission=[{"target": "t"}]), r"permission\[0\].action"),
        (document(permission=[{"action": "use"}]), r"permission\[0\].target"),
        (document(permission=[{"action": "use", "target": {}}]), r"permission\[0\].target"),
        (document(permission=[RULE | {"constraint": [7]}]), r"constraint\[0\] is no object"),
        (document(permission=[RULE | {"constraint": LIMIT | {"operator": "like"}}]), "operator"),
        (document(permission=[RULE | {"constraint": LIMIT | {"leftOperand": ""}}]), "leftOperand"),
        (document(permission=[RULE | {"constraint": LIMIT | {"rightOperand": None}}]), "has no value"),
        (document(permission=[RULE | {"constraint": LIMIT | {"rightOperand": {}}}]), "has no value"),
        (
            document(permission=[RULE | {"constraint": {"leftOperand": "purpose", "operator": "eq"}}]),
            "rightOperand is missing",
        ),
        (
            document(
                permission=[
                    RULE | {"constraint": LIMIT | {"rightOperand": ["x", {"@value": "y", "@type": "z"}]}}
                ]
            ),
            "mixes data types",
        ),
        (document(obligation=[{}]), r"obligation\[0\].action"),
    ],
)
def test_a_wrong_member_is_named_with_its_place(wrong: Any, place: str) -> None:
    with pytest.raises(Invalid, match=place) as caught:
        parse_agreement(wrong)
    assert caught.value.code == "odrl-shape"
