"""Clusters of persons by Lloyd's k-means over complete cases, from a start that the data's spread fixes.

Question: ``{"method": "kmeans", "variables": ["age", "bmi"], "clusters": 3}``, with optional ``standardise``
(true unless told) and ``iterations``.
Result: ``{"clusters": [{"cluster", "n", "within_ss", "centre": {column: mean}}], "start": [{column: value}],
"total_ss", "within_ss", "between_ss", "iterations", "converged", "standardised", "n"}``; sums of squares are
of the standardised columns where these are used. From the same start scikit-learn, and R's ``kmeans`` with
``algorithm = "Lloyd"``, come to the same clusters.

The start has no random part, so the same question has the same answer. A cluster with fewer persons than the
threshold is given up. Sums are asked for again only where enough persons have changed their cluster, so a few
persons may be nearer to another centre than to their own at the end; the answer says so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import ndtri

from salerno.analysis.disclosure.persons import check_model_size
from salerno.analysis.model import Aggregate, Parameter, Question, Result, Scope, Sums
from salerno.analysis.questions import check_keys, choice, whole
from salerno.analysis.sums import covariance
from salerno.analysis.sums.columns import as_number, every, integers, is_present, matrix, real, scatter
from salerno.analysis.sums.covariance import Covariance
from salerno.kernel.errors import Refused

NAME = "kmeans"
LABEL = "Clusters"
TRAINS = True
PARAMETERS = (
    *covariance.PARAMETERS,
    Parameter(name="clusters", label="Number of clusters", kind="number", default="3"),
    Parameter(
        name="standardise",
        label="Give every column the same spread",
        kind="object",
        hint="false to keep the columns' units",
        optional=True,
        advanced=True,
    ),
    Parameter(name="iterations", label="Most iterations", kind="number", optional=True, advanced=True),
)
Array = NDArray[np.float64]
_MOST_CLUSTERS = 50
_COMPONENTS = 3


@dataclass(frozen=True)
class Partition:
    """Every person to the nearest centre.

    Args:
        centres: In the units of `State.scale`, shape (clusters, variables).
        alive: Clusters that take part.
    """

    centres: Array
    alive: tuple[bool, ...]

    def place(self, rows: ir.Table, width: int) -> dict[str, ir.Value]:
        """By living cluster the projection that is largest at the nearest centre."""
        found: dict[str, ir.Value] = {}
        for j in np.flatnonzero(self.alive).tolist():
            centre = self.centres[j]
            value: ir.Value = real(-float(centre @ centre) / 2)
            for i in range(width):
                value = value + rows[f"x{i}"] * real(centre[i])
            found[str(j)] = value
        return found


@dataclass(frozen=True)
class State:
    """The question and how far the clusters have come.

    Args:
        moments: Means and covariance; complete after two rounds.
        size: Clusters asked for.
        standardise: Whether columns are divided by their standard deviations.
        most: Most iterations.
        now: The partition by the newest centres; None in the first two rounds.
        last: The one that sums were last asked over; None before the first sums.
        due: The clusters whose sums are asked for in this round; none where moves are counted.
        n, within: By cluster: persons now, and the sum of squares when last asked.
    """

    moments: Covariance
    size: int
    standardise: bool
    most: int
    now: Partition | None = None
    last: Partition | None = None
    due: tuple[bool, ...] = ()
    n: tuple[int, ...] = ()
    within: tuple[float, ...] = ()
    iterations: int = 0

    @property
    def scale(self) -> Array:
        """What columns are divided by."""
        assert self.moments.matrix is not None
        spread = np.sqrt(np.diag(self.moments.matrix))
        return spread if self.standardise else np.ones_like(spread)

    @property
    def least(self) -> int:
        """Fewest persons in a cluster, or of those that change theirs."""
        return max(self.moments.scope.policy.min_cell, 1)

    def start(self) -> Array:
        """Centres spread over the first principal components as normal data would be.

        Source:
            Roberts, The unreasonable effectiveness of quasirandom sequences, 2018, for even points in a cube.
        """
        assert self.moments.matrix is not None
        values, vectors = covariance.components(self.moments.matrix / np.outer(self.scale, self.scale))
        depth = min(_COMPONENTS, len(values))
        values, vectors = values[:depth], vectors[:, :depth]
        ratio = 2.0
        for _ in range(60):
            ratio = (1 + ratio) ** (1 / (depth + 1))
        steps = ratio ** -np.arange(1.0, depth + 1)
        points = ndtri((0.5 + np.outer(np.arange(self.size), steps)) % 1.0)
        centres: Array = (points * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
        return centres


def start(question: Question, scope: Scope) -> State:
    """Check the question."""
    check_keys(question, PARAMETERS)
    size = whole(question.get("clusters", 3), key="clusters", least=2, most=_MOST_CLUSTERS)
    most = whole(question.get("iterations", 100), key="iterations", least=1, most=1000)
    needed, allowed = 2 * most + size + 3, scope.policy.max_training_rounds
    if needed > allowed:
        raise Refused(
            "too-many-rounds",
            f"{most} iterations take up to {needed} rounds, more than the {allowed} that a question which "
            "trains a model may have",
            rule="the holders' disclosure policy",
            remedy="Ask for fewer 'iterations'.",
        )
    standardise = choice(question, "standardise", (True, False), True)
    return State(covariance.covariance_of(question, scope), size, standardise, most)


def local(view: ir.Table, state: State) -> Aggregate:
    """Means and covariance; then by turns who changes the cluster, and sums of the changed clusters."""
    if state.now is None:
        return covariance.local(view, state.moments)
    variables, means = state.moments.variables, state.moments.means
    assert means is not None
    kept = view.filter(every(is_present(view, variable) for variable in variables))
    width = len(variables)
    columns: dict[str, ir.Value] = {
        f"x{i}": (as_number(kept, variable) - real(means[i])) / real(state.scale[i])
        for i, variable in enumerate(variables)
    }
    rows = kept.select(**columns)
    partitions = (
        {"new": state.now} if state.last is None or any(state.due) else {"new": state.now, "old": state.last}
    )
    near = {
        f"{name}{j}": value
        for name, partition in partitions.items()
        for j, value in partition.place(rows, width).items()
    }
    rows = rows.select(*(f"x{i}" for i in range(width)), **near)
    found = {name: _largest(rows, name, partition) for name, partition in partitions.items()}
    return _local_sums(rows, found["new"], state) if any(state.due) else _local_moves(rows, found, state)


def _largest(rows: ir.Table, name: str, partition: Partition) -> ir.IntegerValue:
    """The cluster with the largest projection, the first of equal ones."""
    living = np.flatnonzero(partition.alive).tolist()
    values = [rows[f"{name}{j}"] for j in living]
    largest = ibis.greatest(*values)
    return ibis.cases(*((value == largest, j) for j, value in zip(living, values, strict=True)))


def _local_moves(rows: ir.Table, found: dict[str, ir.IntegerValue], state: State) -> Aggregate:
    new = found["new"]
    expression = rows.group_by(new=new, old=found.get("old", new)).aggregate(n=rows.count())
    size = state.size

    def finish(table: pa.Table) -> Sums:
        cells = integers(table, "old") * size + integers(table, "new")
        return {
            "moves": scatter(cells, integers(table, "n"), size * size).reshape(size, size),
            "small": np.zeros(size, dtype=np.int64),
            "withheld": np.array(0, dtype=np.int64),
        }

    return Aggregate(expression, finish)


def _local_sums(rows: ir.Table, cluster: ir.IntegerValue, state: State) -> Aggregate:
    width = len(state.moments.variables)
    metrics = {f"s{i}": rows[f"x{i}"].sum() for i in range(width)}
    metrics |= {f"q{i}": (rows[f"x{i}"] * rows[f"x{i}"]).sum() for i in range(width)}
    expression = rows.group_by(cluster=cluster).aggregate(**metrics)

    def finish(table: pa.Table) -> Sums:
        cells = integers(table, "cluster")
        cells = np.where(np.array(state.due)[cells], cells, -1)
        return {
            "sums": scatter(cells, matrix(table, [f"s{i}" for i in range(width)]), state.size),
            "squares": scatter(cells, matrix(table, [f"q{i}" for i in range(width)]), state.size),
        }

    return Aggregate(expression, finish)


def guard(sums: Sums, state: State, scope: Scope) -> Sums:
    """Refuse to take part with too few persons; with few holders tell which clusters have too few here."""
    if state.now is None:
        return covariance.guard(sums, state.moments, scope)
    if any(state.due) or not scope.few:
        return sums
    n = sums["moves"].sum(axis=0)
    small = (n > 0) & (n < scope.policy.min_cell)
    changed = _changed(sums["moves"])
    withheld = bool(((changed > 0) & (changed < scope.policy.min_cell)).any())
    moves = np.diag(n) if withheld else sums["moves"]
    return {
        "moves": np.where(small, 0, moves),
        "small": small.astype(np.int64),
        "withheld": np.array(withheld, dtype=np.int64),
    }


def _changed(moves: NDArray[np.int64]) -> NDArray[np.int64]:
    """Persons who joined or left each cluster."""
    staying = np.diag(moves)
    changed: NDArray[np.int64] = moves.sum(axis=0) + moves.sum(axis=1) - 2 * staying
    return changed


def step(sums: Sums, state: State) -> State | Result:
    """Place the start, give small clusters up, ask for the sums of changed clusters, or answer."""
    if state.now is None:
        moments = covariance.pool(sums, state.moments)
        state = replace(state, moments=moments)
        if moments.matrix is None:
            return state
        moments.correlation()  # refuses a column that does not vary
        check_model_size(moments.n, state.size * len(moments.variables), moments.scope.policy)
        return replace(state, now=Partition(state.start(), (True,) * state.size))
    return _moved(sums, state) if any(state.due) else _counted(sums, state)


def _counted(sums: Sums, state: State) -> State | Result:
    """After the moves are counted."""
    now, least = state.now, state.least
    assert now is not None
    n = sums["moves"].sum(axis=0)
    alive = np.array(now.alive)
    small = alive & ((n < least) | (sums["small"] > 0))
    if small.any():
        smallest = int(np.argmin(np.where(small, n, np.iinfo(np.int64).max)))
        alive[smallest] = False
        if alive.sum() < 2:
            raise Refused(
                "too-few-persons",
                f"The persons do not part into two clusters with at least {least} each",
                remedy="Ask for fewer clusters, or other columns.",
            )
        return replace(state, now=Partition(now.centres, tuple(alive.tolist())))
    state = replace(state, n=tuple(n.tolist()))
    changed = _changed(sums["moves"])
    due = alive & (changed >= least) if state.last is not None else alive
    # Sums over all persons are known. So what the clusters that are not due have gained or lost together
    # could be had by subtraction, and must be nobody or enough as well.
    across = int(sums["moves"][np.ix_(due, ~due)].sum() + sums["moves"][np.ix_(~due, due)].sum())
    told = not int(sums["withheld"]) and not 0 < across < least
    if state.last is not None and (not due.any() or not told or state.iterations >= state.most):
        return _answer(state, int(changed.sum()) // 2 if told else -1)
    return replace(state, due=tuple(due.tolist()))


def _moved(sums: Sums, state: State) -> State:
    """After the sums: the centres of the clusters that were due move to their means."""
    now = state.now
    assert now is not None
    centres, within = now.centres.copy(), list(state.within or (0.0,) * state.size)
    for j in np.flatnonzero(state.due).tolist():
        centres[j] = sums["sums"][j] / state.n[j]
        within[j] = float((sums["squares"][j] - sums["sums"][j] * centres[j]).sum())
    return replace(
        state,
        now=Partition(centres, now.alive),
        last=now,
        due=(),
        within=tuple(within),
        iterations=state.iterations + 1,
    )


def _answer(state: State, moving: int) -> Result:
    now, moments = state.now, state.moments
    assert now is not None
    assert moments.means is not None
    assert moments.matrix is not None
    living = np.flatnonzero(now.alive).tolist()

    means = moments.means

    def named(centre: Array) -> dict[str, Any]:
        return dict(zip(moments.names, (means + centre * state.scale).tolist(), strict=True))

    total = float((np.diag(moments.matrix) / state.scale**2).sum() * (moments.n - 1))
    within = sum(state.within[j] for j in living)
    result = {
        "clusters": [
            {"cluster": i, "n": state.n[j], "within_ss": state.within[j], "centre": named(now.centres[j])}
            for i, j in enumerate(living, start=1)
        ],
        "start": [named(state.start()[j]) for j in living],
        "total_ss": total,
        "within_ss": within,
        "between_ss": total - within,
        "iterations": state.iterations,
        "converged": moving == 0,
        "standardised": state.standardise,
        "n": moments.n,
    }
    notes = []
    if len(living) < state.size:
        notes.append(
            f"{state.size - len(living)} clusters were given up, since too few persons were in them."
        )
    if moving and state.iterations >= state.most:
        notes.append(f"The clusters still changed after {state.iterations} iterations.")
    elif moving:
        notes.append("Too few persons would still change their cluster for another iteration to be safe.")
    return Result(result, moments.n, moments.rows - moments.n, tuple(notes))
