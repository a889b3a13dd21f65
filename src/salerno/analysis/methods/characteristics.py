"""Characteristics of groups (Table 1): counts of categories, and mean, deviation and quantiles of numbers.

Question: ``{"method": "characteristics", "by": "group", "columns": ["sex", "age", "prior_observation"]}``;
all columns of the frame unless named, and no groups without ``by``.
Result: ``{"groups": [{"group", "n"}], "levels": [{"group", "variable", "level", "count", "percentage"}],
"numbers": [{"group", "variable", "n", "mean", "sd", "q05", "q25", "q50", "q75", "q95"}]}``.

Columns with agreed levels are told by level, other numbers as numbers; a column can be asked for as a
number by ``numbers``. Quantiles are read off between fixed edges, a year of age or a day at the finest,
after bins of few persons were joined; within a bin persons are taken to be spread evenly.
"""

from __future__ import annotations

import ibis.expr.types as ir

from salerno.analysis.model import Aggregate, Parameter, Question, Result, Scope, Sums
from salerno.analysis.questions import check_keys, factor, names, numeric, variable
from salerno.analysis.sums.table_one import TableOne
from salerno.catalogue.model import Datatype
from salerno.kernel.errors import Invalid

NAME = "characteristics"
LABEL = "Characteristics (Table 1)"
PARAMETERS = (
    Parameter(name="by", label="Column with the groups", optional=True, default="group"),
    Parameter(name="columns", label="Columns", kind="columns", hint="All when empty", optional=True),
    Parameter(
        name="numbers",
        label="Columns told as numbers",
        kind="columns",
        hint="Numbers with few different values are told by level otherwise",
        optional=True,
        advanced=True,
    ),
)


def start(question: Question, scope: Scope) -> TableOne:
    """Check the question."""
    check_keys(question, PARAMETERS)
    by = names(question, "by", required=False)
    if len(by) > 1:
        raise Invalid("wrong-type", "Groups are the levels of one column")
    asked = names(question, "columns", required=False)
    as_numbers = names(question, "numbers", required=False)
    listed = asked or tuple(name for name in scope.dictionary.variables if name not in by)
    factors, numbers = [], [numeric(scope, name, role="numbers") for name in as_numbers]
    for name in listed:
        if name in as_numbers:
            continue
        found = variable(scope, name, role="columns")
        if found.levels or found.datatype is Datatype.BOOLEAN:
            factors.append(factor(scope, name, role="columns"))
        elif found.is_numeric:
            numbers.append(found)
        elif asked:
            factor(scope, name, role="columns")
    group = factor(scope, by[0], role="by") if by else None
    return TableOne(scope, group, tuple(factors), tuple(numbers))


def local(view: ir.Table, state: TableOne) -> Aggregate:
    """Count the holder's rows by group, level and bin."""
    return state.local(view)


def guard(sums: Sums, state: TableOne, scope: Scope) -> Sums:
    """Withhold what rests on too few persons."""
    return state.guard(sums, scope)


def step(sums: Sums, state: TableOne) -> Result:
    """The table."""
    return state.result(sums)
