"""Numbers that a question gives anew in each round, in expressions that stay the same."""

from __future__ import annotations

import ibis

from salerno.holdings.model import Numbers


def bind(expression: ibis.Table, numbers: Numbers) -> ibis.Table:
    """The expression with its numbers in it, each as text, which is exact on every engine."""
    if not numbers:
        return expression
    values = {node: ibis.literal(repr(float(v))).cast("float64").op() for node, v in numbers.items()}
    bound: ibis.Table = expression.op().replace(values).to_expr()
    return bound
