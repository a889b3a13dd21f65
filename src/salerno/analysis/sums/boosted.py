"""A model of boosted trees while it grows: rows with codes and scores, and sums by node and bin.

Codes and scores are made in stages, which a holder keeps from round to round: first the codes, then a stage
for each finished tree. So a round reads whole numbers and one score, however many trees there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from salerno.analysis.disclosure.cells import merged
from salerno.analysis.model import Aggregate, Scope, Sums
from salerno.analysis.questions import Factor
from salerno.analysis.sums.columns import doubles, integers, is_listed, real, scatter
from salerno.analysis.sums.features import Feature
from salerno.analysis.sums.outcomes import Outcome
from salerno.analysis.sums.scores import guard_classes
from salerno.analysis.sums.trees import Growth, Tree

ROOT = Tree()


@dataclass(frozen=True)
class Model:
    """The question, understood.

    Args:
        features: The columns; those of numbers have no edges before the bins are agreed.
        test: The rows to test on, as a column with their levels; None where all are trained with.
    """

    scope: Scope
    outcome: Outcome
    features: tuple[Feature, ...]
    test: Factor | None
    n_trees: int
    growth: Growth
    conf_level: float

    @property
    def n_sets(self) -> int:
        """1, or 2 with test rows."""
        return 1 if self.test is None else 2

    def set_of(self, view: ir.Table) -> ir.IntegerValue:
        """0 for rows to train with, 1 for those to test on, null for those without an outcome."""
        known = self.outcome.is_known(view)
        if self.test is None:
            return ibis.cases((known, 0))
        return ibis.cases((known & is_listed(view, self.test), 1), (known, 0))


@dataclass(frozen=True)
class Coding:
    """First stage: rows with an outcome, ``part`` of training and test, ``y``, ``score``, codes ``c0``, …"""

    model: Model
    baseline: float

    def rows(self, view: ir.Table) -> ir.Table:
        """Of what may be read."""
        model = self.model
        kept = view.filter(model.set_of(view).notnull())
        # A code is below 130, and a table of small numbers is soon read.
        codes = {f"c{i}": feature.code(kept).cast("int16") for i, feature in enumerate(model.features)}
        return kept.select(
            part=model.set_of(kept), y=model.outcome.value(kept), score=real(self.baseline), **codes
        )


@dataclass(frozen=True)
class Scoring:
    """A further stage: the scores with one more tree."""

    tree: Tree
    growth: Growth
    n_features: int

    def rows(self, before: ir.Table) -> ir.Table:
        """Of the rows of the stage before."""
        more = self.tree.score(codes_of(before, self.n_features), self.growth)
        return before.mutate(score=before.score + more)


def codes_of(rows: ir.Table, n_features: int) -> list[ir.IntegerValue]:
    """The codes of the columns."""
    return [rows[f"c{i}"] for i in range(n_features)]


@dataclass(frozen=True)
class Growing:
    """Further rounds: a level of a tree each; at last the evaluation.

    Args:
        totals: As agreed in the first round.
        baseline: Score before the first tree.
        done: Finished trees.
        tree: The one that grows; None when all are finished.
    """

    model: Model
    totals: Sums
    baseline: float
    done: tuple[Tree, ...] = ()
    tree: Tree | None = ROOT

    @property
    def offsets(self) -> list[int]:
        """First code of each feature among the codes of all, and their number."""
        return list(accumulate((feature.n_codes for feature in self.model.features), initial=0))

    @property
    def n_bins(self) -> int:
        """Bins of scores in the evaluation: as many as leave enough persons in one on average."""
        per_bin = int(self.totals["n"].min()) / max(self.model.scope.policy.min_cell, 1)
        return int(2 ** np.clip(np.floor(np.log2(max(per_bin, 1))), 6, 12))

    @property
    def bounds(self) -> tuple[float, float]:
        """A range that holds every score: the trees' least and largest leaves together."""
        low = high = self.baseline
        for tree in self.done:
            values = tree.values(self.model.growth)
            low, high = low + min(values), high + max(values)
        return low, max(high, low + 1e-9)

    def stages(self) -> tuple[Coding | Scoring, ...]:
        """What the rows of a round are made in."""
        growth, n_features = self.model.growth, len(self.model.features)
        scores = (Scoring(tree, growth, n_features) for tree in self.done)
        return Coding(self.model, self.baseline), *scores

    def mean(self, rows: ir.Table) -> ir.FloatingValue:
        """What a row's score says of its outcome."""
        return _probability(rows.score) if self.model.outcome.binary else rows.score


def local_gradients(rows: ir.Table, state: Growing) -> Aggregate:
    """Sums of gradients over the rows to train with, by node, column and bin."""
    tree, offsets = state.tree, state.offsets
    assert tree is not None
    rows = rows.filter(rows.part == 0)
    codes = codes_of(rows, len(state.model.features))
    rows = rows.select("y", *codes, mean=state.mean(rows), node=tree.place(codes))
    spread = rows.mean * (1.0 - rows.mean) if state.model.outcome.binary else real(1)
    # The bin of a column lies behind those of the columns before.
    bins = ibis.array([rows[f"c{i}"].cast("int64") + first for i, first in enumerate(offsets[:-1])])
    rows = rows.select("node", g=rows.mean - rows.y, h=spread, bin=bins.unnest())
    metrics = {"n": rows.count(), "g": rows.g.sum(), "h": rows.h.sum()}
    expression = rows.group_by("node", "bin").aggregate(**metrics)
    shape = (len(tree.active), offsets[-1])

    def finish(table: pa.Table) -> Sums:
        node = integers(table, "node")
        cells = np.where(node < 0, -1, node * shape[1] + integers(table, "bin"))
        return {
            "count": scatter(cells, integers(table, "n"), shape[0] * shape[1]).reshape(shape),
            "gradient": scatter(cells, doubles(table, "g"), shape[0] * shape[1]).reshape(shape),
            "hessian": scatter(cells, doubles(table, "h"), shape[0] * shape[1]).reshape(shape),
            "inner": np.zeros(shape, dtype=np.int64),
        }

    return Aggregate(expression, finish)


def local_evaluation(rows: ir.Table, state: Growing) -> Aggregate:
    """How well the scores fit, by part and bin of the score."""
    rows = rows.mutate(mean=state.mean(rows))
    size = state.n_bins
    if state.model.outcome.binary:
        low, high = state.bounds
        place = ((rows.score - real(low)) * real(size / (high - low))).floor().cast("int64")
        likelihood = ((1.0 - rows.y) - rows.mean).abs().ln()
        rows = rows.mutate(
            bin=ibis.greatest(ibis.least(place, size - 1), 0),
            p=rows.mean,
            a=-likelihood,
            b=(rows.y - rows.mean) * (rows.y - rows.mean),
        )
    else:
        error = rows.y - rows.score
        centred = rows.y - real(state.baseline)
        rows = rows.mutate(bin=ibis.literal(0), p=centred * centred, a=error.abs(), b=error * error)
    metrics = {"n": rows.count(), "events": (rows.y == real(1)).sum()}
    metrics |= {name: rows[name].sum() for name in ("y", "p", "a", "b")}
    expression = rows.group_by("part", "bin").aggregate(**metrics)
    shape = (state.model.n_sets, size if state.model.outcome.binary else 1)

    def finish(table: pa.Table) -> Sums:
        part = integers(table, "part")
        cells = part * shape[1] + integers(table, "bin")
        n, events = integers(table, "n"), integers(table, "events")
        sums: Sums = {name: scatter(part, doubles(table, name), shape[0]) for name in ("y", "p", "a", "b")}
        if not state.model.outcome.binary:
            return sums
        by_bin = {
            "others": scatter(cells, n - events, shape[0] * shape[1]).reshape(shape),
            "events": scatter(cells, events, shape[0] * shape[1]).reshape(shape),
            "predicted": scatter(cells, doubles(table, "p"), shape[0] * shape[1]).reshape(shape),
        }
        sums["classes"] = np.stack([by_bin["others"], by_bin["events"]], axis=1)
        return sums | {"predicted": by_bin["predicted"], "inner": np.zeros(shape, dtype=np.int64)}

    return Aggregate(expression, finish)


def guard_gradients(sums: Sums, state: Growing, scope: Scope) -> Sums:
    """By node and column: each run of bins has nobody or enough, and none but whole runs can be parted.

    So each side of a split has nobody or enough of this holder's persons too.
    """
    joined = {name: np.zeros_like(values) for name, values in sums.items()}
    joined["inner"] += 1
    offsets = state.offsets
    for row, counts in enumerate(sums["count"]):
        for begin, end in pairwise(offsets):
            starts = merged(counts[begin:end], scope.policy.min_cell)
            for name in ("count", "gradient", "hessian"):
                joined[name][row, begin + starts] = np.add.reduceat(sums[name][row, begin:end], starts)
            joined["inner"][row, begin + starts] = 0
    return joined


def guard_evaluation(sums: Sums, scope: Scope) -> Sums:
    """With few holders: bins of scores with enough of this holder's persons."""
    if "classes" not in sums:
        return sums
    names_of = ("classes", "predicted", "inner")
    parts = [
        guard_classes({name: sums[name][i] for name in names_of}, scope) for i in range(len(sums["inner"]))
    ]
    return {**sums, **{name: np.stack([part[name] for part in parts]) for name in names_of}}


def _probability(score: ir.FloatingValue) -> ir.FloatingValue:
    bounded = ibis.greatest(ibis.least(score, real(30)), real(-30))
    return 1.0 / ((-bounded).exp() + 1.0)
