"""Wrong questions: each gets an error that names what is wrong and what is near; nothing runs."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pandas as pd
import pytest

from salerno.analysis.methods import METHODS, method_of
from salerno.kernel.errors import Invalid
from tests.unit.analysis.methods.harness import scope_of

FRAME = pd.DataFrame(
    {
        "age": [50.5, 60.0, 70.0],
        "time": [1, 2, 3],
        "status": [0, 1, 1],
        "sex": ["F", "M", "F"],
        "arm": ["a", "b", "c"],
        "note": ["x", "y", "z"],
    }
)
SCOPE = scope_of([FRAME])
KM: dict[str, Any] = {"method": "kaplan_meier", "time": "time", "event": "status"}


@pytest.mark.parametrize(
    ("question", "says"),
    [
        ({}, "no-method"),
        ({"method": "coxx"}, "Did you mean 'cox'"),
        ({"method": "count", "bye": "sex"}, "Did you mean 'by'"),
        ({"method": "count", "by": "sexx"}, "Did you mean 'sex'"),
        ({"method": "count", "by": ["sex", "sex"]}, "repeated-column"),
        ({"method": "count", "by": 3}, "wrong-type"),
        ({"method": "count", "missing": "impute"}, "missing-rule"),
        ({"method": "describe"}, "missing-key"),
        ({"method": "describe", "variable": "sex"}, "not-numeric"),
        ({"method": "describe", "variable": "agee"}, "Did you mean 'age'"),
        ({"method": "describe", "variable": "age", "by": "age"}, "not-categorical"),
        ({"method": "crosstab", "rows": "sex"}, "needs 'columns'"),
        ({"method": "crosstab", "rows": "sex", "columns": "sex"}, "repeated-column"),
        ({"method": "histogram", "variable": "age", "bins": 0}, "out-of-range"),
        ({"method": "histogram", "variable": "age", "bins": 2.5}, "whole number"),
        ({"method": "histogram", "variable": "age", "bins": [3, 1]}, "wrong-edges"),
        ({"method": "quantiles", "variable": "age", "probabilities": [1.5]}, "out-of-range"),
        ({"method": "quantiles", "variable": "age", "probabilities": []}, "wrong-type"),
        ({"method": "correlation", "variables": ["age"]}, "too-few-variables"),
        ({"method": "pca", "variables": ["age", "sex"]}, "not-numeric"),
        ({"method": "t_test", "variable": "age", "by": "arm"}, "not-two-levels"),
        ({"method": "t_test", "variable": "age", "by": "arm", "levels": ["a", "q"]}, "unknown-level"),
        ({"method": "t_test", "variable": "age", "by": "arm", "levels": ["a"]}, "wrong-type"),
        ({"method": "t_test", "variable": "age", "by": "sex", "equal_variance": "yes"}, "unknown-choice"),
        ({"method": "t_test", "variable": "age", "by": "sex", "conf_level": 95}, "out-of-range"),
        (KM | {"time": "sex"}, "not-numeric"),
        (KM | {"event": "sex"}, "neither 0/1 nor boolean"),
        (KM | {"event": {"column": "sex"}}, "event-codes"),
        (KM | {"grid": -1}, "out-of-range"),
        (KM | {"grid": 1, "resolution": 7}, "finer"),
        (KM | {"conf_type": "logit"}, "unknown-choice"),
        (KM | {"by": "age"}, "not-categorical"),
        ({"method": "log_rank", "time": "time", "event": "status"}, "needs 'by'"),
        ({"method": "cox", "formula": "status ~ age"}, "Surv"),
        ({"method": "cox", "formula": "Surv(time, status) ~ 1"}, "needs a term"),
        ({"method": "cox", "formula": "Surv(time, status) ~ age", "ties": "exact"}, "unknown-choice"),
        ({"method": "cox", "formula": "Surv(time, status) ~ age", "strata": "arn"}, "Did you mean 'arm'"),
        (
            {
                "method": "cox",
                "formula": "Surv(time, status) ~ age",
                "event": {"column": "arm", "codes": ["a"]},
            },
            "must name the formula's event column",
        ),
        ({"method": "glm"}, "wrong-formula"),
        ({"method": "glm", "formula": "~ age"}, "needs a response"),
        ({"method": "glm", "formula": "status ~ age", "family": "binomal"}, "Did you mean 'binomial'"),
        ({"method": "glm", "formula": "sex ~ age"}, "must be numeric"),
        ({"method": "glm", "formula": "arm ~ age", "family": "binomial"}, "two levels"),
        ({"method": "glm", "formula": "status ~ age", "offset": "sex"}, "wrong-offset"),
        ({"method": "glm", "formula": "status ~ age", "weights": "sex"}, "not-numeric"),
        ({"method": "glm", "formula": "status ~ age + strata(sex)"}, "no strata"),
        ({"method": "glm", "formula": "status ~ sex", "reference": {"sex": "X"}}, "no level 'X'"),
        ({"method": "glm", "formula": "status ~ sex", "reference": "F"}, "wrong-type"),
    ],
)
def test_wrong_questions(question: dict[str, Any], says: str) -> None:
    with pytest.raises(Invalid, match=says):
        method_of(question).start(question, SCOPE)


def test_every_method_says_its_name_and_is_documented() -> None:
    wanted = {
        *("count", "describe", "crosstab", "histogram", "quantiles", "correlation", "pca"),
        *("t_test", "kaplan_meier", "log_rank", "cox", "glm"),
    }
    assert wanted <= set(METHODS)
    for name, method in METHODS.items():
        assert name == method.NAME
        assert "Question:" in (method.__doc__ or "")
        assert "Result:" in (method.__doc__ or "")


def test_methods_are_loaded_when_they_are_asked_for() -> None:
    code = (
        "import sys, salerno.analysis.methods as m; list(m.METHODS); "
        "sys.exit(len([n for n in sys.modules if n.startswith('salerno.analysis.methods.')]))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
