"""Difference of the means of two groups: Welch's test, or Student's with equal variances.

Question: ``{"method": "t_test", "variable": "LAB_TSC", "by": "GENDER"}``, with optional ``levels`` (two of
the factor's), ``equal_variance``, ``conf_level``.
Result: ``{"estimate", "groups": [{"level", "n", "mean", "sd"}], "std_error", "statistic", "df", "p_value",
"conf_low", "conf_high", "equal_variance"}``; the estimate is the first group's mean minus the second's.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import ibis.expr.types as ir
from scipy.special import stdtr, stdtrit

from salerno.analysis.disclosure.persons import check_level
from salerno.analysis.model import Aggregate, Parameter, Question, Result, Scope, Sums
from salerno.analysis.questions import (
    CONF_LEVEL,
    Factor,
    check_keys,
    choice,
    conf_level,
    factor,
    numeric,
    required,
)
from salerno.analysis.sums.moments import Moments, guard_moments, local_moments, step_moments
from salerno.kernel.errors import Invalid, Refused, near

NAME = "t_test"
LABEL = "Compare means"
PARAMETERS = (
    Parameter(name="variable", label="Column"),
    Parameter(name="by", label="Column with the two groups"),
    Parameter(
        name="levels",
        label="The two levels to compare",
        kind="object",
        hint='As JSON, e.g. ["F", "M"]',
        optional=True,
        advanced=True,
    ),
    Parameter(
        name="equal_variance",
        label="Assume equal variances",
        kind="object",
        hint="true for Student's test",
        optional=True,
        advanced=True,
    ),
    CONF_LEVEL,
)


@dataclass(frozen=True)
class State:
    """The question and the moments of both groups."""

    moments: Moments
    conf_level: float
    equal_variance: bool


def start(question: Question, scope: Scope) -> State:
    """Check the question."""
    check_keys(question, PARAMETERS)
    by = factor(scope, required(question, "by"), role="by")
    return State(
        moments=Moments(
            scope=scope,
            variables=(numeric(scope, required(question, "variable"), role="variable"),),
            factors=(_two_levels(by, question.get("levels")),),
        ),
        conf_level=conf_level(question),
        equal_variance=choice(question, "equal_variance", (True, False), False),
    )


def _two_levels(by: Factor, asked: Any) -> Factor:
    if asked is None:
        if len(by.levels) != 2:
            raise Invalid(
                "not-two-levels",
                f"Column {by.column!r} has {len(by.levels)} levels, and a t-test compares two",
                remedy='Name two of them: "levels": ["…", "…"].',
            )
        return by
    if not isinstance(asked, (list, tuple)) or len(asked) != 2 or str(asked[0]) == str(asked[1]):
        raise Invalid("wrong-type", "'levels' must list two different levels")
    for level in asked:
        if str(level) not in by.levels:
            raise Invalid(
                "unknown-level",
                f"Column {by.column!r} has no level {level!r}",
                remedy=near(str(level), by.levels),
            )
    return Factor(by.column, by.datatype, (str(asked[0]), str(asked[1])))


def local(view: ir.Table, state: State) -> Aggregate:
    """Means in the first round, squares around them in the second."""
    return local_moments(view, state.moments)


def guard(sums: Sums, state: State, scope: Scope) -> Sums:
    """Withhold what rests on too few persons."""
    return guard_moments(sums, state.moments, scope)


def step(sums: Sums, state: State) -> State | Result:
    """Pool the round, and test."""
    moments = step_moments(sums, state.moments)
    by = moments.factors[0]
    assert moments.counts is not None
    assert moments.hidden is not None
    policy = moments.scope.policy
    for i, level in enumerate(by.levels):
        count = int(moments.counts[i, 0])
        # A group that a holder withheld is known to be small there.
        check_level(1 if moments.hidden[i, 0] else count, policy, column=by.column, level=level)
        if count < 2:
            raise Refused("no-persons", f"Fewer than two persons have {by.column} = {level}")
    if moments.mean is None or moments.variance is None:
        return State(moments, state.conf_level, state.equal_variance)
    result = _test(moments, state)
    return Result(result, moments.n, moments.rows - moments.n)


def _test(moments: Moments, state: State) -> dict[str, Any]:
    assert moments.counts is not None
    assert moments.mean is not None
    assert moments.variance is not None
    n1, n2 = (int(n) for n in moments.counts[:, 0])
    mean1, mean2 = (float(m) for m in moments.mean[:, 0])
    var1, var2 = (float(v) for v in moments.variance[:, 0])
    share1, share2 = var1 / n1, var2 / n2
    if state.equal_variance:
        df = float(n1 + n2 - 2)
        error = sqrt(((n1 - 1) * var1 + (n2 - 1) * var2) / df * (1 / n1 + 1 / n2))
    else:
        error = sqrt(share1 + share2)
        df = (share1 + share2) ** 2 / (share1**2 / (n1 - 1) + share2**2 / (n2 - 1)) if error else 0.0
    if error == 0:
        raise Refused("no-variation", f"{moments.variables[0].name} is the same for everybody in both groups")
    estimate = mean1 - mean2
    width = float(stdtrit(df, 0.5 + state.conf_level / 2)) * error
    return {
        "estimate": estimate,
        "groups": [
            {"level": level, "n": n, "mean": mean, "sd": sqrt(variance)}
            for level, n, mean, variance in zip(
                moments.factors[0].levels, (n1, n2), (mean1, mean2), (var1, var2), strict=True
            )
        ],
        "std_error": error,
        "statistic": estimate / error,
        "df": df,
        "p_value": float(2 * stdtr(df, -abs(estimate / error))),
        "conf_low": estimate - width,
        "conf_high": estimate + width,
        "equal_variance": state.equal_variance,
    }
