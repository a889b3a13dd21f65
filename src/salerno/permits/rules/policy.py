"""Disclosure policies as files, and those of well-known programs by name."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from salerno.kernel.errors import Invalid, near
from salerno.kernel.values import from_plain
from salerno.permits.model import DisclosurePolicy

_NO_MORE = DisclosurePolicy(
    min_cell=1,
    min_degrees_of_freedom=0,
    max_parameter_ratio=1.0,
    dominance_persons=0,
    p_percent=0.0,
    differencing=False,
    max_questions_per_variable=0,
    max_membership_advantage=1.0,
)
"""Only what is said; a preset adds the rules of its source, which may be fewer than ours."""

PRESETS: Mapping[str, DisclosurePolicy] = {
    "acro": replace(
        _NO_MORE,
        min_cell=10,
        min_degrees_of_freedom=10,
        dominance_persons=2,
        dominance_share=0.9,
        p_percent=10.0,
    ),
    "datashield": replace(_NO_MORE, min_cell=3, max_parameter_ratio=0.33),
    "darwin": replace(_NO_MORE, min_cell=5),
    "ehrql": replace(_NO_MORE, min_cell=8, rounding=5),
    "salerno": DisclosurePolicy(),
    "strict": DisclosurePolicy(
        min_cell=20,
        min_holders=3,
        max_parameter_ratio=0.1,
        min_degrees_of_freedom=20,
        shared_risk_sets=False,
        dominance_share=0.8,
        p_percent=20.0,
        rounding=5,
        max_questions_per_variable=50,
        max_membership_advantage=0.05,
    ),
}
"""Policies by the name of their source; ``salerno`` is the default."""

SOURCES: Mapping[str, str] = {
    "acro": "Green and others, ACRO 1.0.2, default.yaml: threshold, degrees of freedom, NK and p % rules",
    "datashield": "DataSHIELD, dsBase 6.3.3: nfilter.tab 3, nfilter.glm 0.33",
    "darwin": "DARWIN EU, omopgenerics: suppress(minCellCount = 5)",
    "ehrql": "OpenSAFELY, ehrQL measures: 7 and fewer are not told, then multiples of 5",
    "salerno": "Salerno's default",
    "strict": "Salerno's strictest",
}
"""Whose published rules each preset has."""

MEANINGS: Mapping[str, str] = {
    "min_cell": "Smallest number of persons behind a published figure",
    "min_holders": "Fewest holders in an answer",
    "max_parameter_ratio": "Most model parameters per observation",
    "min_degrees_of_freedom": "Fewest residual degrees of freedom of a model",
    "max_rounds": "Most rounds of one question",
    "max_training_rounds": "Most rounds of a question that trains a model step by step",
    "shared_risk_sets": "The hub may see pooled counts and risk sets per event time",
    "holder_estimates": "Estimates of one holder alone may be told",
    "masks": "Sums must be masked",
    "dominance_persons": "How many persons may not make up most of a sum together; 0 for no limit",
    "dominance_share": "The share of a sum that these may make up at most",
    "p_percent": "Percentage to which nobody may work out the largest contribution to a sum; 0 for no limit",
    "rounding": "Counts of tables are multiples of this; 0 leaves them",
    "differencing": "Each question is held against the earlier ones of its user and permit",
    "max_questions_per_variable": "Most different questions of one user that name a column; 0 for no limit",
    "max_membership_advantage": "How well an attack may tell whose records a released model was trained on",
    "max_update_norm": "Largest change to a model by one holder's training in a round; 0 for no limit",
    "epsilon": "A permit's budget of differential privacy; 0 for no noise",
    "epsilon_per_question": "What one question spends of the budget",
    "delta": "With one, noise is Gaussian and private up to this probability; 0 for Laplace noise",
}
"""What each member of a policy means, for people."""

_MOST_DELTA = 1e-3
"""Above the share of one person among a thousand, a guarantee could be met by telling one person's row."""

_NOT_BELOW_ZERO = (
    "min_degrees_of_freedom",
    "dominance_persons",
    "p_percent",
    "rounding",
    "max_questions_per_variable",
    "max_membership_advantage",
    "max_update_norm",
    "epsilon",
    "epsilon_per_question",
)


def parse_policy(text: str) -> DisclosurePolicy:
    """A policy from TOML: an optional ``preset`` and the members that differ from it.

    Args:
        text: The file's text. Without a preset, what is not said is as in the default policy.

    Raises:
        Invalid: It is no TOML, a member is unknown (the nearest is named), or a value makes no sense.
    """
    try:
        said: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Invalid(
            "not-toml", f"The policy is not TOML: {error}", remedy="Write name = value lines."
        ) from error
    base = preset(str(said.pop("preset", "salerno")))
    known = [member.name for member in fields(DisclosurePolicy)]
    for name in said:
        if name not in known:
            raise Invalid(
                "unknown-policy-member", f"A policy has no {name!r}", remedy=near(name, [*known, "preset"])
            )
    values = {name: getattr(base, name) for name in known} | said
    policy = from_plain(values, DisclosurePolicy, what="the policy")
    _check(policy)
    return policy


def preset(name: str) -> DisclosurePolicy:
    """A policy by its name.

    Raises:
        Invalid: There is none of this name; the nearest is named.
    """
    if name not in PRESETS:
        raise Invalid("unknown-preset", f"There is no policy {name!r}", remedy=near(name, PRESETS))
    return PRESETS[name]


def preset_of(policy: DisclosurePolicy) -> str:
    """The name of the preset that a policy equals; empty when there is none."""
    return next((name for name, each in PRESETS.items() if each == policy), "")


def _check(policy: DisclosurePolicy) -> None:
    for name in ("min_cell", "min_holders", "max_rounds"):
        if getattr(policy, name) < 1:
            raise _wrong(name, "at least 1")
    for name in _NOT_BELOW_ZERO:
        if getattr(policy, name) < 0:
            raise _wrong(name, "0 or more")
    for name in ("max_parameter_ratio", "dominance_share"):
        if not 0 < getattr(policy, name) <= 1:
            raise _wrong(name, "above 0 and at most 1")
    if policy.epsilon and not 0 < policy.epsilon_per_question <= policy.epsilon:
        raise _wrong("epsilon_per_question", "above 0 and at most 'epsilon'")
    if not 0 <= policy.delta <= _MOST_DELTA or (policy.delta and not policy.epsilon):
        raise _wrong("delta", f"0, or at most {_MOST_DELTA:g} beside an 'epsilon'")


def _wrong(name: str, what: str) -> Invalid:
    return Invalid("policy-value", f"{name!r} of a policy must be {what}")
