"""Use of a drug: exposures, eras, days exposed, durations and quantities, by group.

Question: ``{"method": "drug_utilisation", "by": "group"}`` on a frame with ``drug``; ``columns`` names
some of its columns.
Result: as of ``characteristics``: ``{"groups", "levels", "numbers": [{"group", "variable", "n", "mean",
"sd", "q05", "q25", "q50", "q75", "q95"}]}`` with a variable for each column of
`salerno.holdings.model.DrugUse`.
"""

from __future__ import annotations

import ibis.expr.types as ir

from salerno.analysis.model import Aggregate, Parameter, Question, Result, Scope, Sums
from salerno.analysis.questions import check_keys, factor, names, numeric
from salerno.analysis.sums.table_one import TableOne
from salerno.holdings.rules.frame import DRUG_COLUMNS
from salerno.kernel.errors import Invalid

NAME = "drug_utilisation"
LABEL = "Drug utilisation"
PARAMETERS = (
    Parameter(name="by", label="Column with the groups", optional=True, default="group"),
    Parameter(name="columns", label="Columns", kind="columns", hint="All of them when empty", optional=True),
)


def start(question: Question, scope: Scope) -> TableOne:
    """Check the question."""
    check_keys(question, PARAMETERS)
    if not set(DRUG_COLUMNS) <= scope.dictionary.variables.keys():
        raise Invalid(
            "no-drug", "The study's frame does not tell the use of a drug", remedy="Give the frame a 'drug'."
        )
    by = names(question, "by", required=False)
    if len(by) > 1:
        raise Invalid("wrong-type", "Groups are the levels of one column")
    columns = names(question, "columns", required=False) or DRUG_COLUMNS
    numbers = tuple(numeric(scope, name, role="columns") for name in columns)
    return TableOne(scope, factor(scope, by[0], role="by") if by else None, (), numbers)


def local(view: ir.Table, state: TableOne) -> Aggregate:
    """Count the holder's rows by group and bin."""
    return state.local(view)


def guard(sums: Sums, state: TableOne, scope: Scope) -> Sums:
    """Withhold what rests on too few persons."""
    return state.guard(sums, scope)


def step(sums: Sums, state: TableOne) -> Result:
    """The table."""
    return state.result(sums)
