"""Formulas: R's algebra and names, and nothing but the allow-list."""

from __future__ import annotations

import pandas as pd
import pytest
from formulaic.parser import DefaultFormulaParser
from hypothesis import given, settings
from hypothesis import strategies as st

from salerno.analysis.formula import parse_formula
from salerno.analysis.sums.design import design_of
from salerno.analysis.terms import Numeric
from salerno.kernel.errors import Invalid
from tests.unit.analysis.methods.harness import scope_of

FRAME = pd.DataFrame(
    {
        "age": [1.5, 2.0, 3.0],
        "bmi.26": [1.0, 2.5, 3.0],
        "time": [1, 2, 3],
        "status": [0, 1, 1],
        "sex": ["F", "M", "F"],
        "site": ["a", "b", "c"],
        "flag": [True, False, True],
        "when": pd.to_datetime(["2020-01-01"] * 3).astype(str),
    }
)
SCOPE = scope_of([FRAME, FRAME])


def names(formula: str, **references: str) -> list[str]:
    return list(design_of(parse_formula(formula, SCOPE, references)).names)


@pytest.mark.parametrize(
    ("formula", "wanted"),
    [
        ("status ~ age + sex", ["(Intercept)", "age", "sexM"]),
        ("status ~ 1", ["(Intercept)"]),
        ("status ~ sex*age", ["(Intercept)", "sexM", "age", "sexM:age"]),
        ("status ~ age:sex + age", ["(Intercept)", "age", "age:sexM"]),
        ("status ~ age:sex", ["(Intercept)", "age:sexF", "age:sexM"]),
        ("status ~ sex - 1", ["sexF", "sexM"]),
        ("status ~ 0 + sex + site", ["sexF", "sexM", "siteb", "sitec"]),
        ("status ~ sex:site", ["(Intercept)", *(f"sex{s}:site{t}" for t in "abc" for s in "FM")]),
        ("status ~ sex/age", ["(Intercept)", "sexM", "sexF:age", "sexM:age"]),
        ("status ~ C(status)", ["(Intercept)", "status1"]),
        ("status ~ factor(site)", ["(Intercept)", "siteb", "sitec"]),
        ('status ~ C(site, reference="b")', ["(Intercept)", "sitea", "sitec"]),
        ('status ~ C(site, Treatment("c"))', ["(Intercept)", "sitea", "siteb"]),
        ("status ~ log(age) + sqrt(age) + exp(age)", ["(Intercept)", "log(age)", "sqrt(age)", "exp(age)"]),
        ("status ~ I(age**2) + I(age * time)", ["(Intercept)", "I(age^2)", "I(age * time)"]),
        ("status ~ `bmi.26` + flag", ["(Intercept)", "bmi.26", "flag"]),
        ("status ~ bmi.26 + holder", ["(Intercept)", "bmi.26", "holderh1"]),
        ("status ~ (age + sex)^2 - age", ["(Intercept)", "sexM", "age:sexF", "age:sexM"]),
        ("log(age) ~ I(2 * (age - 1))", ["(Intercept)", "I(2 * (age - 1))"]),
    ],
)
def test_names_are_those_of_r(formula: str, wanted: list[str]) -> None:
    assert names(formula) == wanted


def test_factor_varies_fastest_first_and_references_move() -> None:
    assert names("status ~ sex + site", site="b") == ["(Intercept)", "sexM", "sitea", "sitec"]


def test_survival_formula() -> None:
    formula = parse_formula("Surv(time, status) ~ age + strata(site)", SCOPE, special=("strata",))
    assert (formula.time, formula.event, formula.strata) == ("time", "status", ("site",))
    assert formula.response is None
    assert design_of(formula, constant=True).names == ("age",)


@pytest.mark.parametrize(
    ("formula", "says"),
    [
        ("status ~ agee", "Did you mean 'age'"),
        ("status ~ aeg + sex", "Did you mean 'age'"),
        ("statu ~ age", "Did you mean 'status'"),
        ("status ~ lgo(age)", "Did you mean 'log'"),
        ('status ~ __import__("os")', "unknown-function"),
        ("status ~ age.__class__", "unknown-column"),
        ("status ~ eval(age)", "unknown-function"),
        ("status ~ I(open)", "unknown-column"),
        ("status ~ I(sex)", "not-numeric"),
        ("status ~ age + ", "ends too early"),
        ("status ~ (age", "'\\)' is missing"),
        ("status ~ age sex", "wrong place"),
        ("status ~ age; sex", "cannot be read at"),
        ("status ~", "no right side"),
        ("status", "one '~'"),
        ("status ~ 2 * age", "is no term"),
        ('status ~ C(site, reference="z")', "no level 'z'"),
        ("status ~ C(age)", "no agreed levels"),
        ("Surv(time) ~ age", "Surv\\(time, event\\)"),
        ("status ~ age^9", "power"),
        ("status ~ I(2)", "reads no column"),
        ("status ~ Surv(time, status)", "cannot stand"),
        (17, "must be a text"),
    ],
)
def test_what_is_not_understood_is_named(formula: str, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        parse_formula(formula, SCOPE)


PIECES = st.sampled_from(["age", "time", "sex", "site", "flag"])


@st.composite
def right_sides(draw: st.DrawFn, depth: int = 2) -> str:
    if depth == 0:
        return draw(PIECES)
    left, right = draw(right_sides(depth - 1)), draw(right_sides(depth - 1))
    joined = f"{left} {draw(st.sampled_from(['+', '*', ':', '-']))} {right}"
    return f"({joined})" if draw(st.booleans()) else joined


@settings(max_examples=300, deadline=None)
@given(right_sides(), st.sampled_from(["", " - 1", " + 0"]))
def test_terms_are_those_of_formulaic(right: str, end: str) -> None:
    wanted = {
        frozenset(factor.expr for factor in term.factors if factor.expr != "1")
        for term in DefaultFormulaParser().get_terms(right + end)
    }
    formula = parse_formula(f"status ~ {right}{end}", SCOPE)
    got = {frozenset(f.text if isinstance(f, Numeric) else f.column for f in term) for term in formula.terms}
    if formula.intercept:
        got.add(frozenset())
    assert got == wanted
