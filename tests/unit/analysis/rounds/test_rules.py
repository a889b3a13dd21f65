"""What nodes agree on before and in a run, table by table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from salerno.analysis.model import RoundCall, Scope, Share, ShareHeader, StudyOptions
from salerno.analysis.rules import (
    can_go_on,
    check_columns,
    check_header,
    check_method_permitted,
    check_next_round,
    check_scope,
    datasets_of,
    mentions,
    merge_dictionaries,
    merge_policies,
    round_context,
    share_digest,
)
from salerno.analysis.wire import words_digest
from salerno.catalogue.model import Datatype, Variable
from salerno.holdings.model import Dictionary
from salerno.kernel.errors import Invalid, Refused
from salerno.permits.model import DataPermit, DataScope, DisclosurePolicy

NAMES = {"did:a": "Aachen", "did:b": "Bordeaux", "did:c": "Como"}


def dictionary(**columns: Datatype | tuple[Datatype, tuple[str, ...]]) -> Dictionary:
    variables = {}
    for name, kind in columns.items():
        datatype, levels = kind if isinstance(kind, tuple) else (kind, ())
        variables[name] = Variable(name=name, datatype=datatype, levels=levels, n=10)
    return Dictionary(variables=variables)


INT, N, S = Datatype.INTEGER, Datatype.NUMBER, Datatype.STRING


def test_levels_are_the_sorted_union_and_whole_numbers_become_numbers() -> None:
    merged = merge_dictionaries(
        {
            "did:b": dictionary(sex=(S, ("F", "X")), age=INT, code=(INT, ("10", "2"))),
            "did:a": dictionary(sex=(S, ("M",)), age=N, code=(INT, ("1",))),
        },
        NAMES,
    )
    variables = merged.dictionary.variables
    assert variables["sex"].levels == ("F", "M", "X")
    assert variables["age"].datatype is N
    assert variables["code"].levels == ("1", "2", "10")
    assert variables["age"].n == 20
    assert not merged.absent
    assert not merged.conflicts


def test_what_is_not_everywhere_or_not_of_one_type_is_left_out_and_named_when_asked_for() -> None:
    merged = merge_dictionaries(
        {"did:a": dictionary(age=INT, site=S), "did:b": dictionary(age=S), "did:c": dictionary(age=INT)},
        NAMES,
    )
    assert not merged.dictionary.variables
    assert merged.absent == {"site": ("Bordeaux", "Como")}
    assert merged.conflicts == {"age": {"Aachen": "integer", "Bordeaux": "string", "Como": "integer"}}
    check_columns({"method": "site", "variable": "sex"}, merged)
    with pytest.raises(Invalid, match="Bordeaux and Como have no column 'site'"):
        check_columns({"method": "glm", "formula": "y ~ C(site)"}, merged)
    with pytest.raises(Invalid, match="'age' has types that do not agree: integer at Aachen, string at"):
        check_columns({"method": "describe", "variables": ["sex", "age"]}, merged)
    alone = merge_dictionaries({"did:a": dictionary(age=INT), "did:b": dictionary()}, NAMES)
    with pytest.raises(Invalid, match="Bordeaux has no column 'age'"):
        check_columns({"method": "describe", "variable": "age"}, alone)


def test_a_count_that_one_holder_withholds_is_withheld() -> None:
    one = Dictionary(variables={"age": Variable(name="age", datatype=INT)})
    assert merge_dictionaries({"a": one, "b": dictionary(age=INT)}, {}).dictionary.variables["age"].n is None


@pytest.mark.parametrize(
    ("question", "name", "found"),
    [
        ({"formula": "y ~ age + sex"}, "age", True),
        ({"formula": "y ~ stage + sex"}, "age", False),
        ({"formula": "y ~ age2"}, "age", False),
        ({"method": "age"}, "age", False),
        ({"where": [{"column": "age"}]}, "age", True),
        ({"n": 3, "flag": True, "none": None}, "n", False),
        ({"variable": "LAB.TSC (mmol)"}, "LAB.TSC (mmol)", True),
    ],
)
def test_mentions(question, name, found) -> None:
    assert mentions(question, name) is found


def scope(**changes) -> Scope:
    values = {
        "dictionary": dictionary(age=N, sex=(S, ("F", "M"))),
        "policy": DisclosurePolicy(min_cell=10, min_holders=2),
        "holders": ("did:a", "did:b"),
    }
    return Scope(**{**values, **changes})


OWN = {
    "own": "did:a",
    "dictionary": dictionary(age=INT, sex=(S, ("F",)), other=S),
    "policy": DisclosurePolicy(),
}


def test_a_scope_that_holds_what_the_holder_needs_is_accepted() -> None:
    check_scope(scope(), **OWN)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"holders": ("did:b", "did:c")}, "scope-holders"),
        ({"holders": ("did:b", "did:a")}, "scope-holders"),
        ({"holders": ("did:a", "did:a")}, "scope-holders"),
        ({"holders": ("did:a",)}, "too-few-holders"),
        ({"dictionary": dictionary(years=N)}, "scope-dictionary"),
        ({"dictionary": dictionary(age=S)}, "scope-dictionary"),
        ({"dictionary": dictionary(sex=(S, ("M",)))}, "scope-dictionary"),
        ({"dictionary": dictionary(other=INT)}, "scope-dictionary"),
    ],
)
def test_a_scope_that_does_not_is_refused(changes, code) -> None:
    with pytest.raises(Refused) as caught:
        check_scope(scope(**changes), **OWN)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "weaker",
    [
        {"min_cell": 9},
        {"max_parameter_ratio": 0.5},
        {"min_degrees_of_freedom": 5},
        {"max_rounds": 26},
        {"max_training_rounds": 301},
        {"masks": False},
        {"min_holders": 0},
    ],
)
def test_a_weaker_policy_in_any_member_is_refused(weaker) -> None:
    with pytest.raises(Refused, match="scope-policy"):
        check_scope(scope(policy=replace(DisclosurePolicy(), **weaker)), **OWN)
    strict = replace(DisclosurePolicy(), shared_risk_sets=False)
    with pytest.raises(Refused, match="scope-policy"):
        check_scope(scope(policy=DisclosurePolicy()), **{**OWN, "policy": strict})


def test_policies_merge_to_the_strictest() -> None:
    merged = merge_policies(
        [DisclosurePolicy(min_cell=5, masks=False), DisclosurePolicy(min_cell=8, masks=False)]
    )
    assert (merged.min_cell, merged.masks) == (8, False)
    assert merge_policies([merged, DisclosurePolicy()]).masks


def test_rounds_follow_each_other_up_to_the_limit() -> None:
    call = RoundCall(question_id="q", run=1, round=3, scope="s")
    check_next_round(call, last=2, most=25)
    with pytest.raises(Refused, match="round-order"):
        check_next_round(call, last=3, most=25)
    with pytest.raises(Refused, match="too-many-rounds"):
        check_next_round(call, last=2, most=2)


def header(words: bytes = b"12345678", **changes) -> ShareHeader:
    values = {
        "question_id": "q",
        "run": 1,
        "round": 2,
        "scope": "s",
        "holders": ("a", "b"),
        "arrays": (),
        "words_sha256": words_digest(words),
    }
    return ShareHeader(**{**values, **changes})


@pytest.mark.parametrize(
    "change", [{"question_id": "p"}, {"run": 2}, {"round": 1}, {"scope": "t"}, {"holders": ()}]
)
def test_a_share_for_another_place_is_refused(change) -> None:
    check_header(header(), header(), b"12345678")
    with pytest.raises(Refused, match="share-misplaced"):
        check_header(header(**change), header(), b"12345678")


def test_other_words_than_the_signed_ones_are_refused() -> None:
    with pytest.raises(Refused, match="share-altered"):
        check_header(header(), header(), b"12345679")
    with pytest.raises(Refused, match="share-altered"):
        check_header(header(refusal={"title": "no"}), header(), b"12345678")


def test_every_part_of_the_context_makes_another_pad() -> None:
    parts = {
        "coordinator": "hub",
        "study": "s",
        "question_id": "q",
        "run": 1,
        "round": 1,
        "scope": "d",
        "holders": ("a", "b"),
    }
    plain = round_context(**parts)
    assert round_context(**{**parts, "holders": ("b", "a")}) == plain
    others = [
        {"coordinator": "x"},
        {"study": "x"},
        {"question_id": "x"},
        {"run": 2},
        {"round": 2},
        {"scope": "x"},
        {"holders": ("a", "c")},
    ]
    assert len({plain, *(round_context(**{**parts, **other}) for other in others)}) == len(others) + 1
    assert share_digest(Share(header="a", words=b"1")) == share_digest(Share(header="a"))


def permit(*scopes: tuple[str, str], methods: tuple[str, ...] = ()) -> DataPermit:
    data = tuple(DataScope(dataset=iri, holder=did, country="FR", tables={}) for did, iri in scopes)
    blank = dict.fromkeys(
        ("application_id", "issuer", "country", "applicant", "purpose_detail", "environment", "purpose"), ""
    )
    return DataPermit(
        id="permit-1", data=data, methods=methods, pseudonymised=True, persons=(), approved_at=None,
        valid_from=None, valid_until=None, **blank,
    )  # fmt: skip


def test_one_data_set_per_holder_is_chosen() -> None:
    both = [permit(("did:b", "x"), ("did:a", "y")), permit(("did:b", "x"))]
    assert datasets_of(both, StudyOptions()) == {"did:a": "y", "did:b": "x"}
    several = [permit(("did:a", "x"), ("did:a", "y"))]
    with pytest.raises(Invalid, match="several-data-sets"):
        datasets_of(several, StudyOptions())
    assert datasets_of(several, StudyOptions(datasets={"did:a": "y"})) == {"did:a": "y"}
    for wrong in ({"did:a": "z"}, {"did:a": "x", "did:b": "y"}):
        with pytest.raises(Refused, match="data-set-not-permitted"):
            datasets_of(several, StudyOptions(datasets=wrong))


def test_methods_of_a_permit() -> None:
    check_method_permitted("cox", [permit(), permit(methods=("cox", "glm"))])
    with pytest.raises(Refused, match="It covers glm"):
        check_method_permitted("cox", [permit(methods=("glm",))])


def test_going_on_needs_leave_of_study_and_policy() -> None:
    assert not can_go_on(2, StudyOptions())
    assert can_go_on(2, StudyOptions(min_holders=2))
    assert not can_go_on(1, StudyOptions(min_holders=2))
    assert not can_go_on(2, StudyOptions(min_holders=1), DisclosurePolicy(min_holders=3))
    assert not can_go_on(0, StudyOptions(min_holders=0))
