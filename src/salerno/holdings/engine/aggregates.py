"""Whether an expression is an aggregate of one view, or some of its rows, and of nothing else."""

from __future__ import annotations

import ibis.expr.operations as ops
import ibis.expr.types as ir

from salerno.kernel.errors import Refused

_ROWS_IN_DISGUISE = (ops.ArrayCollect, ops.GroupConcat)
_RAW_SQL = (ops.SQLStringView, ops.SQLQueryResult)
_RULE = "EHDS Art. 73(2)"


def check_aggregate(expression: ir.Table, view: ir.Table) -> None:
    """Refuse an expression that would hand out rows, or read anything but the view.

    Args:
        expression: What is to be computed.
        view: The permitted view, or rows that are made of it.

    Raises:
        Refused: ``not-an-aggregate`` or ``outside-view``.
    """
    check_reads(expression, view)
    if not _summed(expression.op(), view.op()):
        raise Refused(
            "not-an-aggregate",
            "The expression would hand out rows of the view",
            rule=_RULE,
            remedy="Aggregate them: only sums and counts leave a holder.",
        )


def check_reads(expression: ir.Table, view: ir.Table) -> None:
    """Refuse an expression that reads anything but the view.

    Raises:
        Refused: ``not-an-aggregate`` for no table, or for rows in disguise; ``outside-view``.
    """
    if not isinstance(expression, ir.Table):
        raise Refused("not-an-aggregate", "What is computed on a view must be a table", rule=_RULE)
    allowed = view.op()
    for node in expression.op().find(ops.Node):
        if isinstance(node, _ROWS_IN_DISGUISE):
            raise Refused(
                "not-an-aggregate",
                f"{type(node).__name__} would hand out the values of single rows",
                rule=_RULE,
                remedy="Use counts and sums.",
            )
        foreign = isinstance(node, ops.PhysicalTable) and node != allowed
        if foreign and not isinstance(node, (ops.InMemoryTable, ops.DummyTable)):
            raise Refused(
                "outside-view",
                "The expression reads another table than the permitted view",
                rule="EHDS Art. 66(1), 68(10)(a)",
            )
        if isinstance(node, (*_RAW_SQL, ops.ScalarUDF, ops.AggUDF)):
            raise Refused(
                "outside-view",
                "An expression over a view cannot contain SQL or functions of its own",
                rule=_RULE,
            )


def _summed(node: ops.Node, view: ops.Node) -> bool:
    """Whether each way from the result down to the view passes through an aggregation."""
    pending, seen = [node], set()
    while pending:
        current = pending.pop()
        if current in seen or isinstance(current, ops.Aggregate):
            continue
        seen.add(current)
        if current == view:
            return False
        pending.extend(child for child in current.__children__)
    return True
