"""Events and leavers by group and tick: the two rounds that curves, tests and means of survival share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from salerno.analysis.disclosure.cells import hidden_cells, is_small
from salerno.analysis.disclosure.persons import check_level, check_persons, check_some
from salerno.analysis.model import Aggregate, Released, Scope, Sums
from salerno.analysis.questions import Factor
from salerno.analysis.sums.columns import (
    cells_of,
    every,
    integers,
    is_listed,
    is_unlisted,
    keys_of,
    real,
    scatter,
    some,
)
from salerno.analysis.sums.follow_up import FollowUp
from salerno.analysis.sums.told_times import joined_steps

Counts = NDArray[np.int64]

PIECES = 200
"""Pieces of the time axis that a holder joins to steps when it may not tell single events."""
_MOST_SETS = 12


@dataclass(frozen=True)
class LifeTable:
    """What is counted, and what has been agreed of it.

    With fewer than three holders, or where a policy forbids sums by event time, each holder tells of steps of
    time alone: in each there is nobody or at least the threshold, of leavers and of every kind of event. It
    spreads what happened in a step over its ticks, which estimates a curve within a step.

    Args:
        factors: Groups; none means one group of all.
        causes: Codes of each kind of event; those of the event column alone when there is one kind.
        times: Times at which the question itself asks for figures, for the ledger.
        rows, n: Pooled rows, and those that can be used; 0 until they are known.
    """

    scope: Scope
    follow: FollowUp
    factors: tuple[Factor, ...] = ()
    causes: tuple[tuple[Any, ...], ...] = ()
    times: tuple[float, ...] = ()
    rows: int = 0
    n: int = 0
    notes: tuple[str, ...] = ()

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return int(np.prod([len(f.levels) for f in self.factors], dtype=np.int64))

    @property
    def codes(self) -> tuple[tuple[Any, ...], ...]:
        """Codes of each kind of event."""
        return self.causes or (self.follow.event.codes,)

    @property
    def is_coarse(self) -> bool:
        """Whether holders tell of steps alone."""
        return is_coarse(self.scope)

    def complete(self, view: ir.Table) -> ir.BooleanValue:
        """Whether a row can be used."""
        return every([*self.follow.conditions(view), *(is_listed(view, f) for f in self.factors)])

    def local(self, view: ir.Table) -> Aggregate:
        """First survey the times, then count by group and tick."""
        if self.follow.is_agreed:
            return Aggregate(self.counts(view), self.count_sums)
        rows = view.mutate(ok=self.complete(view).fill_null(False))
        unlisted = [is_unlisted(rows, f) for f in self.factors]
        expression = rows.aggregate(
            rows=rows.count(),
            n=rows.ok.sum(),
            unlisted=some(unlisted).sum() if unlisted else ibis.literal(0),
            **self.follow.metrics(rows, rows.ok),
        )
        return Aggregate(expression, self._survey_sums, self.released(view))

    def released(self, view: ir.Table) -> tuple[Released, ...]:
        """Whom the figures rest on: each group, and those with an event up to each time that is asked for."""
        complete = self.complete(view).fill_null(False)
        keys = tuple(view[f.column] for f in self.factors)
        # A figure at one time and one at the next would together tell what happened between them.
        time = view[self.follow.time.name].cast("float64")
        events = complete & view[self.follow.event.column].isin([c for codes in self.codes for c in codes])
        at_times = (Released(events & (time <= real(t)), keys) for t in self.times[:_MOST_SETS])
        return (Released(complete, keys), *at_times)

    def counts(self, view: ir.Table) -> ir.Table:
        """Rows by group, tick and kind of event, 0 for none."""
        kept = view.filter(self.complete(view))
        column = kept[self.follow.event.column]
        kinds = [(column.isin(list(codes)), kind) for kind, codes in enumerate(self.codes, start=1)]
        return kept.group_by(
            **keys_of(kept, self.factors),
            tick=self.follow.tick(kept),
            kind=ibis.cases(*kinds, else_=0),
        ).aggregate(n=kept.count())

    def count_sums(self, table: pa.Table) -> Sums:
        """The aggregated rows as dense arrays.

        Returns:
            ``died``, shape (kinds, groups, ticks); ``left``, without an event, shape (groups, ticks); by
            group ``hidden``, and the number of ``steps``, which `guard` fills.
        """
        width, n_groups = self.follow.n_ticks + 1, self.n_groups
        tick = np.clip(integers(table, "tick"), 0, self.follow.n_ticks)
        place = (integers(table, "kind") * n_groups + cells_of(table, self.factors)) * width + tick
        n_kinds = len(self.codes) + 1
        gone = scatter(place, integers(table, "n"), n_kinds * n_groups * width)
        gone = gone.reshape(n_kinds, n_groups, width)
        hidden = np.zeros(n_groups, dtype=np.int64)
        return {"died": gone[1:], "left": gone[0], "hidden": hidden, "steps": np.array(0)}

    def guard(self, sums: Sums) -> Sums:
        """Refuse to take part with too few persons; tell of steps alone where single events would show."""
        if not self.follow.is_agreed:
            check_persons(int(sums["n"]), self.scope.policy, who="This holder's part")
            return sums
        return self._coarsened(sums) if self.is_coarse else sums

    def agreed(self, sums: Sums) -> LifeTable:
        """The same with the grid that suits the pooled survey."""
        n = int(sums["n"])
        check_some(n, self.scope.policy)
        self.follow.check_codes(sums)
        follow = self.follow.agreed(sums["exponents"])
        notes = follow.notes()
        if int(sums["unlisted"]):
            notes.append("Rows with a value that is no agreed level count as missing.")
        return replace(self, follow=follow, rows=int(sums["rows"]), n=n, notes=tuple(notes))

    def hidden(self, sums: Sums) -> NDArray[np.bool_]:
        """Groups with too few persons, those that a holder withheld, and those that would give them away."""
        n = sums["died"].sum(axis=(0, 2)) + sums["left"].sum(axis=1)
        return hidden_cells(n, self.scope.policy.min_cell, sums["hidden"] > 0)

    def count_notes(self, sums: Sums) -> list[str]:
        """What the answer says of the second round."""
        if not self.is_coarse:
            return list(self.notes)
        few = "with fewer than three holders" if self.scope.few else "by a holder's policy"
        least, steps = self.scope.policy.min_cell, int(sums["steps"])
        return [
            *self.notes,
            f"Holders told of {steps} steps of time with at least {least} events each, {few}, and not of "
            "single times: figures within a step are estimates.",
        ]

    def _survey_sums(self, table: pa.Table) -> Sums:
        totals = {name: np.array(integers(table, name).sum()) for name in ("rows", "n", "unlisted")}
        return {**totals, **self.follow.sums(table)}

    def _coarsened(self, sums: Sums) -> Sums:
        """The holder's counts by steps of time, spread over the ticks of each step.

        Two sorts of steps: fine ones, in which all groups together have nobody or enough, and coarse ones,
        joined of them, in which each group has. A group's events of a coarse step are spread as all events
        of it are over the fine ones, so that groups are compared alike.
        """
        least = self.scope.policy.min_cell
        kinds = np.concatenate([sums["died"], sums["left"][None]])
        by_group = kinds.sum(axis=2)
        hidden = hidden_cells(by_group.sum(axis=0), least) | is_small(by_group[:-1], least).any(axis=0)
        kinds[:, hidden] = 0
        events, leavers = kinds[:-1].sum(axis=(0, 1)), kinds.sum(axis=(0, 1))
        fine = event_steps(np.stack([events, leavers]), least)
        watched = np.concatenate([*kinds[:-1], kinds.sum(axis=0)])
        coarse = fine[joined_steps(np.add.reduceat(watched, fine, axis=1), least)]
        return {
            "died": spread(kinds[:-1], coarse, spread(events, fine)),
            "left": spread(kinds[-1], coarse, spread(leavers - events, fine)),
            "hidden": hidden.astype(np.int64),
            "steps": np.array((np.add.reduceat(events, coarse) > 0).sum()),
        }


def is_coarse(scope: Scope) -> bool:
    """Whether holders round times to steps with enough events before they tell of them.

    With fewer than three holders a total tells one what the other has; a policy may ask for it always.
    """
    return scope.policy.min_cell > 1 and (scope.few or not scope.policy.shared_risk_sets)


def check_withheld(table: LifeTable, sums: Sums) -> None:
    """Refuse a comparison of groups of which a holder withheld its part.

    Raises:
        Refused: ``small-level``; the group is named, its number is not.
    """
    columns = ", ".join(f.column for f in table.factors) or "the event"
    for label, withheld in zip(group_names(table.factors), sums["hidden"].tolist(), strict=True):
        if withheld:
            check_level(1, table.scope.policy, column=columns, level=label)


def event_steps(watched: Counts, min_cell: int) -> Counts:
    """First ticks of steps in which each of the watched counts is none or at least the threshold.

    Steps begin at multiples of a fixed piece of the axis, so that no end of a step is a person's own time.

    Args:
        watched: One holder's counts by tick, shape (kinds, ticks).
        min_cell: Smallest count that may be told, persons.
    """
    edges = np.arange(0, watched.shape[1], -(-watched.shape[1] // PIECES))
    starts: Counts = edges[joined_steps(np.add.reduceat(watched, edges, axis=1), min_cell)]
    return starts


def spread(counts: Counts, starts: Counts, profile: Counts | None = None) -> Counts:
    """The total of each step spread over its ticks in whole numbers; a function of totals and profile alone.

    Args:
        counts: Shape (…, ticks).
        starts: First ticks of the steps.
        profile: How much of a step's total goes to each tick, shape (ticks,); the same to each by default.
    """
    lengths = np.diff(np.append(starts, counts.shape[-1]))
    step = np.repeat(np.arange(len(starts)), lengths)
    weights = np.ones(counts.shape[-1], dtype=np.int64) if profile is None else profile
    through = np.cumsum(weights)
    before = (through - weights)[starts][step]
    whole = np.maximum(np.add.reduceat(weights, starts)[step], 1)
    totals = np.add.reduceat(counts, starts, axis=-1)[..., step]
    result: Counts = totals * (through - before) // whole - totals * (through - weights - before) // whole
    return result


def group_names(factors: Sequence[Factor]) -> list[str]:
    """Name of each group, in the order of its cells."""
    names: list[tuple[str, ...]] = [()]
    for f in factors:
        names = [(*name, level) for name in names for level in f.levels]
    return [", ".join(name) or "all" for name in names]
