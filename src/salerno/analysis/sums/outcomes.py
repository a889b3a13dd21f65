"""The column that a model predicts: a yes or no, or a measured value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from salerno.analysis.disclosure.persons import check_level
from salerno.analysis.model import Question, Scope
from salerno.analysis.questions import Factor, factor, numeric, references, required, variable
from salerno.analysis.sums.columns import as_number, is_listed, is_present, real
from salerno.catalogue.model import Variable
from salerno.kernel.errors import Invalid
from salerno.permits.model import DisclosurePolicy


@dataclass(frozen=True)
class Outcome:
    """The outcome column as a number: of a yes-or-no column 1 is the event.

    Args:
        name: The column.
        column: It, where it is numeric; else its two levels, the second of which is the event.
        binary: Whether only 0 and 1 may occur.
    """

    name: str
    column: Variable | Factor
    binary: bool

    def is_known(self, view: ir.Table) -> ir.BooleanValue:
        """Whether a row has the outcome."""
        if isinstance(self.column, Factor):
            return is_listed(view, self.column)
        return is_present(view, self.column)

    def value(self, view: ir.Table) -> ir.FloatingValue:
        """The outcome as a number."""
        if isinstance(self.column, Factor):
            return ibis.cases((view[self.name] == self.column.values[1], real(1)), else_=real(0))
        return as_number(view, self.column)

    def is_wrong(self, view: ir.Table) -> ir.BooleanValue:
        """Whether a row's outcome is neither 0 nor 1 though it should."""
        value = self.value(view)
        return (value != real(0)) & (value != real(1)) if self.binary else ibis.literal(False)

    def check(self, wrong: int, classes: Sequence[int], policy: DisclosurePolicy, *, who: str = "") -> None:
        """Refuse wrong values, and a class of nobody or of too few persons.

        Args:
            wrong: Rows with another value than 0 and 1.
            classes: Persons without and with the event.
            policy: Whose threshold applies.
            who: Of whom the classes are, for the error, e.g. ``among the test cases``.
        """
        if wrong:
            raise Invalid("response-values", f"The outcome {self.name!r} must have the values 0 and 1")
        for count, level in zip(classes, ("0", "1"), strict=True):
            check_level(count, policy, column=self.name, level=level)
            if not count:
                where = f" {who}" if who else ""
                raise Invalid(
                    "response-values", f"The outcome {self.name!r} is the same for everybody{where}"
                )


def outcome_of(question: Question, scope: Scope, *, binary: bool) -> Outcome:
    """The ``outcome`` of a question.

    Raises:
        Invalid: It is not numeric, or has not two levels where it is to be a yes or no.
    """
    name = required(question, "outcome")
    found = variable(scope, name, role="outcome")
    if found.is_numeric:
        return Outcome(found.name, found, binary)
    if not binary:
        return Outcome(found.name, numeric(scope, name, role="outcome"), binary)
    levels = factor(scope, name, role="outcome", reference=references(question, scope).get(found.name))
    if len(levels.levels) != 2:
        raise Invalid(
            "response-values",
            f"A yes-or-no outcome has two levels, and {found.name!r} has {len(levels.levels)}",
        )
    return Outcome(found.name, levels, binary)
