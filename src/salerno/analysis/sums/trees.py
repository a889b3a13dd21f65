"""Regression trees over agreed bins, grown level by level from sums of gradients.

Conventions are those of scikit-learn's and LightGBM's histogram trees, so that the same bins give the same
trees: a split's gain is ``GL²/(HL+l2) + GR²/(HR+l2) - G²/(H+l2)``, a leaf's value ``-G/(H+l2)`` times the
learning rate. Missing values go to the side that gains more; where a node has none, to its larger side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
from numpy.typing import NDArray

from salerno.analysis.sums.columns import real
from salerno.analysis.sums.features import MISSING, Feature

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

LEAST_HESSIAN = 1e-3
_TIE = 1e-9
"""Gains that differ by less, relatively, are equal: engines add in another order each time."""


@dataclass(frozen=True)
class Growth:
    """How trees are grown.

    Args:
        depth: Most splits between the root and a leaf.
        min_leaf: Fewest persons in a leaf.
        l2: Added to the hessian of each leaf.
        learning_rate: Factor on the leaves' values.
    """

    depth: int
    min_leaf: int
    l2: float
    learning_rate: float


@dataclass(frozen=True)
class Total:
    """Sums over the rows of a node."""

    n: int
    gradient: float
    hessian: float

    def value(self, growth: Growth) -> float:
        """What a leaf with these rows adds to a score."""
        return -self.gradient / (self.hessian + growth.l2) * growth.learning_rate

    def strength(self, growth: Growth) -> float:
        """The part of the loss that such a leaf saves."""
        return self.gradient**2 / (self.hessian + growth.l2)


@dataclass(frozen=True)
class Split:
    """Where a node parts.

    Args:
        feature: Position of the column.
        left: By code, whether it goes to the left.
        gain: By how much the loss falls, times two.
        parts: Sums of the left and the right side.
    """

    feature: int
    left: tuple[bool, ...]
    gain: float
    parts: tuple[Total, Total]


@dataclass(frozen=True)
class Node:
    """A node of a tree; a leaf while it has no split.

    Args:
        total: Sums over its rows; None for a root that nothing is known of yet.
        left, right: Positions of its children.
    """

    total: Total | None = None
    split: Split | None = None
    left: int = -1
    right: int = -1


@dataclass(frozen=True)
class Tree:
    """A tree as it grows.

    Args:
        nodes: The root first, children after their parents, the left one first.
        active: Positions of the leaves that may be split in the next round.
        level: How many splits lie between the root and these.
    """

    nodes: tuple[Node, ...] = (Node(),)
    active: tuple[int, ...] = (0,)
    level: int = 0

    def values(self, growth: Growth) -> list[float]:
        """What the leaves add to a score."""
        return [node.total.value(growth) for node in self.nodes if node.split is None and node.total]

    def place(self, codes: Sequence[ir.IntegerValue], at: int = 0) -> ir.IntegerValue:
        """The number of the active leaf that a row is in, -1 for all others."""
        node = self.nodes[at]
        if node.split is None:
            return ibis.literal(self.active.index(at) if at in self.active else -1)
        goes_left = _goes_left(codes[node.split.feature], node.split.left)
        return ibis.ifelse(goes_left, self.place(codes, node.left), self.place(codes, node.right))

    def score(self, codes: Sequence[ir.IntegerValue], growth: Growth, at: int = 0) -> ir.FloatingValue:
        """What the tree adds to a row's score."""
        node = self.nodes[at]
        if node.split is None:
            assert node.total is not None
            return real(node.total.value(growth))
        goes_left = _goes_left(codes[node.split.feature], node.split.left)
        left, right = self.score(codes, growth, node.left), self.score(codes, growth, node.right)
        return ibis.ifelse(goes_left, left, right)

    def grown(self, sums: Mapping[str, NDArray[Any]], features: Sequence[Feature], growth: Growth) -> Tree:
        """The tree one level deeper, where a split gains something.

        Args:
            sums: ``count``, ``gradient``, ``hessian``, ``inner``, each of shape (active leaves, codes of all
                features); a code that is ``inner`` cannot be told from the one before it.
            features: The columns.
            growth: How trees are grown.
        """
        nodes, fresh = list(self.nodes), list[tuple[int, Total]]()
        for row, at in enumerate(self.active):
            own = {name: sums[name][row] for name in ("count", "gradient", "hessian", "inner")}
            first = {name: values[: features[0].n_codes] for name, values in own.items()}
            total = nodes[at].total or Total(
                int(first["count"].sum()), float(first["gradient"].sum()), float(first["hessian"].sum())
            )
            split = best_split(own, total, features, growth)
            nodes[at] = replace(nodes[at], total=total, split=split)
            if split is not None:
                nodes[at] = replace(nodes[at], left=len(nodes), right=len(nodes) + 1)
                fresh += list(enumerate(split.parts, len(nodes)))
                nodes += [Node(part) for part in split.parts]
        deeper = self.level + 1 < growth.depth
        # A side that cannot hold two leaves is not asked about again.
        active = tuple(at for at, part in fresh if deeper and part.n >= 2 * growth.min_leaf)
        return Tree(tuple(nodes), active, self.level + 1)


def _goes_left(code: ir.IntegerValue, left: tuple[bool, ...]) -> ir.BooleanValue:
    """The shortest condition for a set of codes: one bound where that is enough, else a list."""
    chosen = [i for i, flag in enumerate(left) if flag]
    if chosen == list(range(len(chosen))):
        return code < len(chosen)
    if chosen == list(range(chosen[0], chosen[-1] + 1)):
        return code.between(chosen[0], chosen[-1])
    return code.isin(chosen)


def best_split(
    own: Mapping[str, NDArray[Any]], total: Total, features: Sequence[Feature], growth: Growth
) -> Split | None:
    """The split that gains most; of equal ones the first, by column, then by missing values, then by bin."""
    best: Split | None = None
    start = 0
    for position, feature in enumerate(features):
        part = slice(start, start + feature.n_codes)
        start += feature.n_codes
        line = _Line.of({name: values[part] for name, values in own.items()}, total, feature)
        found = line.best(position, growth)
        if found is not None and (best is None or found.gain > best.gain * (1 + _TIE)):
            best = found
    return best


@dataclass(frozen=True)
class _Line:
    """The codes of one column within a node, in groups that can be told apart.

    Args:
        starts: First code of each group.
        sums: Count, gradient and hessian by group, shape (3, groups).
        missing: Whether the node has missing values.
        is_ordered: Whether groups that lie side by side belong together.
    """

    starts: NDArray[np.int64]
    sums: Array
    n_codes: int
    total: Total
    missing: bool
    is_ordered: bool

    @classmethod
    def of(cls, own: Mapping[str, NDArray[Any]], total: Total, feature: Feature) -> _Line:
        separate = own["inner"] == 0
        separate[0] = True
        starts = np.flatnonzero(separate)
        stacked = np.stack([own[name].astype(np.float64) for name in ("count", "gradient", "hessian")])
        sums = np.add.reduceat(stacked, starts, axis=1)
        return cls(starts, sums, feature.n_codes, total, bool(own["count"][MISSING]), feature.factor is None)

    def best(self, position: int, growth: Growth) -> Split | None:
        n_groups = len(self.starts)
        orders = [np.arange(n_groups)]
        if not self.is_ordered:
            count, gradient, hessian = self.sums
            filled = np.flatnonzero(count > 0)
            # The best subset of categories is a run in the order of their means (Fisher 1958).
            means = gradient[filled] / np.maximum(hessian[filled] + growth.l2, LEAST_HESSIAN)
            orders = [filled[np.argsort(means, kind="stable")]]
        elif self._parts_missing():
            # Missing values to the right, then to the left.
            orders = [np.roll(orders[0], -1), orders[0]] if self.missing else [orders[0][1:]]
        best: Split | None = None
        for order in orders:
            found = self._scan(order, position, growth)
            if found is not None and (best is None or found.gain > best.gain * (1 + _TIE)):
                best = found
        return best

    def _parts_missing(self) -> bool:
        """Whether missing values are a group of their own."""
        return len(self.starts) > 1 and self.starts[1] == 1

    def _scan(self, order: NDArray[np.int64], position: int, growth: Growth) -> Split | None:
        """The best of the splits that part an order of groups in two."""
        if len(order) < 2:
            return None
        n, gradient, hessian = np.cumsum(self.sums[:, order], axis=1)[:, :-1]
        total = self.total
        with np.errstate(divide="ignore", invalid="ignore"):
            gains = (
                gradient**2 / (hessian + growth.l2)
                + (total.gradient - gradient) ** 2 / (total.hessian - hessian + growth.l2)
                - total.strength(growth)
            )
        allowed = (n >= growth.min_leaf) & (total.n - n >= growth.min_leaf)
        allowed &= (hessian >= LEAST_HESSIAN) & (total.hessian - hessian >= LEAST_HESSIAN)
        gains = np.where(allowed, gains, -np.inf)
        largest = float(gains.max())
        if largest <= _TIE * max(total.strength(growth), LEAST_HESSIAN):
            return None
        at = int(np.argmax(gains >= largest * (1 - _TIE)))
        left = Total(round(n[at]), float(gradient[at]), float(hessian[at]))
        right = Total(total.n - left.n, total.gradient - left.gradient, total.hessian - left.hessian)
        return Split(position, self._mask(order, at, left, right), float(gains[at]), (left, right))

    def _mask(self, order: NDArray[np.int64], at: int, left: Total, right: Total) -> tuple[bool, ...]:
        """Which codes go left; those of nobody here go to the larger side."""
        ends = np.append(self.starts[1:], self.n_codes)
        mask = np.full(self.n_codes, left.n > right.n)
        for place, group in enumerate(order.tolist()):
            mask[self.starts[group] : ends[group]] = place <= at
        return tuple(mask.tolist())
