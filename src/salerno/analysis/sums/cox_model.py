"""A Cox model: its rows, their persons, and the score of shared risk sets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from salerno.analysis.disclosure.persons import check_level, check_persons
from salerno.analysis.formula import Formula
from salerno.analysis.model import Aggregate, Scope, Sums
from salerno.analysis.questions import Factor
from salerno.analysis.sums.columns import as_number, every, integers, is_event, is_listed, is_present, real
from salerno.analysis.sums.cox_closing import Closing, Path
from salerno.analysis.sums.follow_up import FollowUp
from salerno.analysis.sums.hazards import Hazards
from salerno.analysis.sums.life_table import is_coarse
from salerno.analysis.sums.regression import right_side
from salerno.analysis.sums.risk_sets import Events, RiskSums, Score, full, score_of
from salerno.analysis.sums.told_times import Grid
from salerno.catalogue.model import Variable

Array = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Model:
    """The question, understood.

    Args:
        strata: Columns whose levels have risk sets of their own, beside the holders.
        by_holder: Whether each holder keeps its own risk sets.
        weights: Column of the rows' weights, or None.
        person: Column that names the person where one has several rows, or empty.
        predict: Covariate values of each survival curve.
        grid: Times of these curves.
        closing: What is wanted at the fitted coefficients.
        n_persons: Persons behind the rows, where they are counted.
    """

    scope: Scope
    formula: Formula
    follow: FollowUp
    ties: str
    strata: tuple[Factor, ...]
    by_holder: bool
    weights: Variable | None
    person: str
    predict: tuple[dict[str, Any], ...]
    grid: Grid
    closing: Closing
    conf_level: float
    conf_type: str
    n_persons: int | None = None

    def complete(self, view: ir.Table) -> ir.BooleanValue:
        """Whether a row can be used; its weight must be above zero."""
        conditions = self.follow.conditions(view)
        conditions += [is_listed(view, f) for f in self.strata]
        if self.weights is not None:
            conditions += [is_present(view, self.weights), as_number(view, self.weights) > 0]
        if self.person:
            conditions.append(view[self.person].notnull())
        return every([*conditions, right_side(view, self.formula, self.scope)])

    def with_formula(self, formula: Formula) -> Model:
        """The same with the formula's knots."""
        return replace(self, formula=formula)

    def notes(self, follow: FollowUp) -> list[str]:
        """What the answer says of the times."""
        notes = []
        if self.follow.start is not None and not self.person:
            notes.append("Each row counted as a person: name the person's column as 'id' if that is not so.")
        if self.by_holder:
            return notes
        notes += follow.notes()
        if is_coarse(self.scope):
            least = self.scope.policy.min_cell
            notes.append(
                "Each holder rounded its times up to steps with no events or at least "
                f"{least}, so that no single event is seen; strong effects come out weaker for it. "
                'Exact times are used with "strata": "holder".'
            )
        else:
            notes.append("Risk sets are shared: the coordinator saw sums over all holders by event time.")
        return notes


@dataclass(frozen=True)
class PersonCount:
    """Distinct persons, in all, with an event, by level, and with numbers other than zero."""

    factors: tuple[Factor, ...]
    numbers: tuple[Variable, ...]

    @staticmethod
    def of(model: Model) -> PersonCount:
        """Of a model's columns."""
        formula, known = model.formula, model.scope.dictionary.variables
        columns = dict.fromkeys(c for numeric in formula.numerics for c in numeric.columns)
        factors = {f.column: f for f in (*formula.factors, *model.strata)}
        return PersonCount(tuple(factors.values()), tuple(known[c] for c in columns if c in known))

    def local(self, view: ir.Table, model: Model) -> Aggregate:
        """Count them at one holder."""
        complete = model.complete(view).fill_null(False)

        def persons(condition: ir.BooleanValue) -> ir.Value:
            return (complete & condition).ifelse(view[model.person], ibis.null()).nunique()

        metrics = {
            "persons": persons(ibis.literal(True)),
            "events": persons(is_event(view, model.follow.event)),
        }
        for i, f in enumerate(self.factors):
            column = view[f.column]
            metrics |= {f"level{i}_{j}": persons(column == value) for j, value in enumerate(f.values)}
        for i, variable in enumerate(self.numbers):
            metrics[f"number{i}"] = persons(as_number(view, variable) != real(0))

        def finish(table: pa.Table) -> Sums:
            return {name: np.array(integers(table, name).sum(), dtype=np.int64) for name in metrics}

        return Aggregate(view.aggregate(**metrics), finish)

    def check(self, sums: Sums, model: Model, *, alone: bool) -> None:
        """Refuse groups of too few persons.

        Args:
            sums: Of one holder, or of all.
            model: Whose columns were counted.
            alone: Whether each group counts, or only all persons together.

        Raises:
            Refused: A group has somebody, but too few; it is named.
        """
        policy = model.scope.policy
        check_persons(int(sums["persons"]), policy, who="This part")
        if not alone:
            return
        check_level(int(sums["events"]), policy, column=model.follow.event.column, level="an event")
        for i, f in enumerate(self.factors):
            for j, level in enumerate(f.levels):
                check_level(int(sums[f"level{i}_{j}"]), policy, column=f.column, level=level)
        for i, variable in enumerate(self.numbers):
            check_level(int(sums[f"number{i}"]), policy, column=variable.name, level="other than 0")


def _none() -> Counts:
    return np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class CoxFit:
    """What is known of a model besides its coefficients.

    Args:
        cells, ticks, deaths: Pooled event times by stratum, with their events; empty within holders.
    """

    model: Model
    hazards: Hazards
    n: int
    n_missing: int
    n_events: int
    notes: tuple[str, ...]
    cells: Counts = field(default_factory=_none)
    ticks: Counts = field(default_factory=_none)
    deaths: Counts = field(default_factory=_none)

    @property
    def needs_closing(self) -> bool:
        """Whether there is something to be summed by event time at the fitted coefficients."""
        closing = self.model.closing
        shared_residuals = closing.robust and not self.model.by_holder
        return bool(closing.clock or closing.times or shared_residuals)

    def strata_events(self, sums: Sums) -> list[tuple[int, Counts, Events]]:
        """Pooled risk sets by stratum: its number, event ticks by rising time, and sums."""
        leaving = RiskSums(*(sums[f"leaving{i}"] for i in range(3)))
        dying = RiskSums(*(sums[f"dying{i}"] for i in range(3)))
        found = []
        for stratum in np.unique(self.cells):
            rows = self.cells == stratum
            events = Events(leaving[rows].cumulated(), dying[rows], self.deaths[rows], sums["weights"][rows])
            found.append((int(stratum), self.ticks[rows], events))
        return found

    def paths(self, sums: Sums) -> dict[int, Path]:
        """Pooled hazards by stratum."""
        return {
            stratum: Path.of(ticks.astype(np.float64), [events], self.hazards.ties)
            for stratum, ticks, events in self.strata_events(sums)
        }


def shared_score(sums: Sums, fit: CoxFit) -> tuple[float, Array, Array]:
    """Log partial likelihood, gradient and information from pooled sums by event time."""
    score = Score.empty(fit.hazards.size)
    for _, _, events in fit.strata_events(sums):
        score = score.plus(score_of(events, fit.hazards.ties))
    return (
        float(sums["eta"]) + score.log_likelihood,
        sums["gradient"] + score.gradient,
        full(score.information, fit.hazards.size),
    )
