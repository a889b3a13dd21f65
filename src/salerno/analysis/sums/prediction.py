"""Predictions at covariate values that the researcher gives: functions of released figures alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from salerno.analysis.grammar import Node
from salerno.analysis.questions import Factor, number
from salerno.analysis.splines import height
from salerno.analysis.sums.design import Design
from salerno.analysis.terms import Numeric
from salerno.catalogue.model import Datatype
from salerno.kernel.errors import Invalid, near

Array = NDArray[np.float64]
_MOST = 1000


def profiles(given: Any, columns: Sequence[str]) -> tuple[dict[str, Any], ...]:
    """Covariate values by column, one mapping for each prediction.

    Args:
        given: The question's ``predict``.
        columns: Columns that the model reads, each of which needs a value.

    Raises:
        Invalid: A column is missing or unknown.
    """
    if given is None:
        return ()
    listed = [given] if isinstance(given, Mapping) else given
    if not isinstance(listed, (list, tuple)) or not all(isinstance(row, Mapping) for row in listed):
        raise Invalid("wrong-type", "'predict' must be a list of values by column, as in [{\"age\": 50}]")
    if len(listed) > _MOST:
        raise Invalid("out-of-range", f"'predict' has more than {_MOST} entries")
    for row in listed:
        for name in row:
            if name not in columns:
                raise Invalid(
                    "unknown-column", f"The model does not read {name!r}", remedy=near(str(name), columns)
                )
        for name in columns:
            if row.get(name) is None:
                raise Invalid("missing-key", f"A prediction needs a value of {name!r}")
    return tuple(dict(row) for row in listed)


def design_row(design: Design, row: Mapping[str, Any]) -> Array:
    """One row of the plain design matrix.

    Raises:
        Invalid: A value is no number or no level of its column, or has no logarithm, and so on.
    """
    levels = [_level(f, row[f.column]) for f in design.factors]
    parts = [math.prod(value_of(numeric, row) for numeric in part) if part else 1.0 for part in design.parts]
    return np.array(
        [
            parts[column.part] * all(levels[factor] == level for factor, level in column.levels)
            for column in design.columns
        ],
        dtype=np.float64,
    )


def value_of(numeric: Numeric, row: Mapping[str, Any]) -> float:
    """A numeric factor at covariate values."""
    try:
        value = _evaluate(numeric.node, row)
    except (ValueError, ZeroDivisionError, OverflowError):
        value = math.nan
    if not math.isfinite(value):
        raise Invalid("out-of-range", f"{numeric.text!r} has no value at the covariates of a prediction")
    return value


def _level(f: Factor, value: Any) -> int:
    text = str(value).lower() if f.datatype is Datatype.BOOLEAN else str(value)
    if isinstance(value, float) and value == int(value) and text not in f.levels:
        text = str(int(value))
    if text not in f.levels:
        raise Invalid(
            "unknown-level", f"The model has no level {text!r} of {f.column!r}", remedy=near(text, f.levels)
        )
    return f.levels.index(text)


def _evaluate(node: Node, row: Mapping[str, Any]) -> float:
    if node.kind == "name":
        value = row[node.value]
        return float(value) if isinstance(value, bool) else number(value, key=node.value)
    if node.kind == "number":
        return float(node.value)
    values = [_evaluate(part, row) for part in node.parts]
    first = values[0]
    if node.kind == "curve":
        return height(node.value, first)
    if node.kind == "call":
        function = {"log": math.log, "sqrt": math.sqrt, "exp": math.exp}.get(node.value)
        return function(first) if function else first
    if len(values) == 1:
        return -first if node.kind == "-" else first
    second = values[1]
    match node.kind:
        case "+":
            return first + second
        case "-":
            return first - second
        case "*":
            return first * second
        case "/":
            return first / second
    return math.pow(first, second)
