"""Rounds before a regression's first: pooled quantiles at which a spline's knots are placed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Generic, Protocol, Self, TypeVar

import ibis.expr.types as ir

from salerno.analysis.formula import Formula
from salerno.analysis.methods import quantiles
from salerno.analysis.model import Aggregate, Result, Scope, Sums
from salerno.analysis.sums.design import evaluate
from salerno.analysis.sums.regression import released_by
from salerno.analysis.terms import Basis
from salerno.catalogue.model import Datatype, Variable
from salerno.holdings.model import Dictionary

_COLUMN = "spline argument"


@dataclass(frozen=True)
class Placing:
    """The search for one basis's knots; further ones follow."""

    formula: Formula
    scope: Scope
    basis: Basis
    search: quantiles.State

    def local(self, view: ir.Table) -> Aggregate:
        """Count the values of the spline's argument in bins."""
        value = evaluate(view, self.basis.argument.node, self.scope)
        return quantiles.local(view.mutate(**{_COLUMN: value}), self.search)

    def guard(self, sums: Sums, scope: Scope) -> Sums:
        """What the holder tells of its counts."""
        return quantiles.guard(sums, self.search, scope)

    def step(self, sums: Sums) -> Placing | Formula:
        """Narrow the search, go on with the next basis, or give the formula with all knots.

        Raises:
            Invalid: Knots fall together.
        """
        after = quantiles.step(sums, self.search)
        if not isinstance(after, Result):
            return replace(self, search=after)
        formula = self.formula.with_basis(self.basis.placed(tuple(after.result["values"])))
        return placing(formula, self.scope) or formula


class Regression(Protocol):
    """A question with a formula, understood."""

    @property
    def formula(self) -> Formula:
        """The formula, with knots as soon as they are placed."""
        ...

    @property
    def scope(self) -> Scope:
        """What the nodes agree on."""
        ...

    def complete(self, view: ir.Table) -> ir.BooleanValue:
        """Whether a row can be used."""
        ...

    def with_formula(self, formula: Formula) -> Self:
        """The same with the formula's knots."""
        ...


R = TypeVar("R", bound=Regression)


@dataclass(frozen=True)
class Knotting(Generic[R]):
    """Rounds before a regression's first, where a spline's knots are to be placed."""

    model: R
    placing: Placing

    @classmethod
    def of(cls, model: R) -> Self | None:
        """The state to begin with; None when all knots are known."""
        search = placing(model.formula, model.scope)
        return None if search is None else cls(model, search)

    def local(self, view: ir.Table) -> Aggregate:
        """Count the values of the spline's argument; the answer's figures rest on the complete rows."""
        complete = self.model.complete(view).fill_null(False)
        released = released_by(view, self.model.formula, complete)
        return replace(self.placing.local(view), released=released)

    def guard(self, sums: Sums, scope: Scope) -> Sums:
        """What the holder tells of its counts."""
        return self.placing.guard(sums, scope)

    def step(self, sums: Sums) -> Knotting[R] | R:
        """Go on, or give the model with all knots."""
        after = self.placing.step(sums)
        if isinstance(after, Placing):
            return replace(self, placing=after)
        return self.model.with_formula(after)


def placing(formula: Formula, scope: Scope) -> Placing | None:
    """The search for the first basis whose knots are not known; None when there is none."""
    for basis in formula.bases:
        if not basis.is_placed:
            variable = Variable(name=_COLUMN, datatype=Datatype.NUMBER)
            inner = replace(scope, dictionary=Dictionary(variables={_COLUMN: variable}))
            question = {
                "method": quantiles.NAME,
                "variable": _COLUMN,
                "probabilities": list(basis.probabilities),
            }
            return Placing(formula, scope, basis, quantiles.start(question, inner))
    return None


def bases_told(formula: Formula) -> list[dict[str, object]]:
    """The bases of a fitted formula, for the answer: where the knots lie, and the same in R."""
    return [
        {
            "term": basis.text,
            "knots": list(basis.knots or ()),
            "boundary_knots": list(basis.boundary or ()),
            "degree": basis.degree,
            "in_r": basis.as_r(),
        }
        for basis in formula.bases
        if basis.kind != "poly"
    ]
