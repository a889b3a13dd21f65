"""Policies as TOML and by the names of their sources."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from salerno.kernel.errors import Invalid
from salerno.permits.model import DisclosurePolicy
from salerno.permits.rules import MEANINGS, PRESETS, SOURCES, parse_policy, preset, preset_of


def test_nothing_said_is_the_default() -> None:
    assert parse_policy("") == DisclosurePolicy() == preset("salerno")


def test_a_preset_with_changes() -> None:
    policy = parse_policy('preset = "ehrql"\nmin_cell = 12\n')
    assert (policy.min_cell, policy.rounding, policy.differencing) == (12, 5, False)


def test_the_published_rules_of_the_sources() -> None:
    acro = PRESETS["acro"]
    assert (acro.min_cell, acro.min_degrees_of_freedom) == (10, 10)
    assert (acro.dominance_persons, acro.dominance_share, acro.p_percent) == (2, 0.9, 10.0)
    assert (PRESETS["datashield"].min_cell, PRESETS["datashield"].max_parameter_ratio) == (3, 0.33)
    assert PRESETS["darwin"].min_cell == 5


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_preset_beside_the_strict_one_is_no_weaker(name: str) -> None:
    both = PRESETS[name].stricter(PRESETS["strict"])
    assert both == PRESETS["strict"].stricter(PRESETS[name])
    assert both.stricter(PRESETS[name]) == both
    assert both.stricter(PRESETS["strict"]) == both


@pytest.mark.parametrize(
    ("text", "code", "hint"),
    [
        ("min_cel = 5", "unknown-policy-member", "min_cell"),
        ('preset = "acroo"', "unknown-preset", "acro"),
        ("min_cell = 0", "policy-value", "min_cell"),
        ("dominance_share = 1.5", "policy-value", "dominance_share"),
        ("p_percent = -1.0", "policy-value", "p_percent"),
        ('min_cell = "ten"', "wrong-shape", "min_cell"),
        ("min_cell", "not-toml", "name = value"),
        ("epsilon = 1.0\nepsilon_per_question = 2.0", "policy-value", "epsilon"),
        ("delta = 1e-6", "policy-value", "delta"),
        ("epsilon = 1.0\ndelta = 0.1", "policy-value", "delta"),
    ],
)
def test_a_wrong_policy_is_named(text: str, code: str, hint: str) -> None:
    with pytest.raises(Invalid, match=code) as caught:
        parse_policy(text)
    assert hint in str(caught.value)


def test_a_limit_of_zero_is_none() -> None:
    open_policy = DisclosurePolicy(max_questions_per_variable=0, epsilon=0.0)
    limited = DisclosurePolicy(max_questions_per_variable=7, epsilon=2.0)
    assert open_policy.stricter(limited).max_questions_per_variable == 7
    assert limited.stricter(open_policy).epsilon == 2.0
    gaussian = DisclosurePolicy(epsilon=1.0, delta=1e-6)
    assert open_policy.stricter(gaussian).delta == gaussian.stricter(open_policy).delta == 1e-6
    assert limited.stricter(gaussian).delta == 0.0


def test_each_member_has_a_meaning() -> None:
    assert list(MEANINGS) == [member.name for member in fields(DisclosurePolicy)]


def test_a_policy_is_known_by_its_preset() -> None:
    assert SOURCES.keys() == PRESETS.keys()
    assert {name: preset_of(policy) for name, policy in PRESETS.items()} == {name: name for name in PRESETS}
    assert preset_of(replace(PRESETS["acro"], min_cell=11)) == ""
