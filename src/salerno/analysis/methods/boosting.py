"""Gradient-boosted trees for a yes-or-no outcome or a measured value, equal to those trained on pooled bins.

Question: ``{"method": "boosting", "outcome": "status", "variables": ["age", "sex"]}``, with optional
``family`` (``binomial`` or ``gaussian``), ``categorical`` (numeric columns to be read as categories),
``trees``, ``depth``, ``learning_rate``, ``l2``, ``min_leaf``, ``bins``, ``reference`` (of a two-level
outcome), ``conf_level`` and ``test``: the name of a holder, or ``{"column": "year", "levels": ["2024"]}``,
whose rows the model is tested on and not trained with.
Result: ``{"outcome", "family", "baseline", "n_trees", "evaluation": [{"rows", "n", …}], "calibration",
"importance": [{"variable", "gain", "splits"}], "trees": [{"tree", "node", "variable", "threshold", "levels",
"missing", "left", "right", "gain", "value", "n"}]}``. A row goes to ``left`` where its value is below
``threshold`` or one of ``levels``, and where it is missing and ``missing`` is ``left``; a ``threshold`` of
null parts missing values from all others. A score is the baseline plus the ``value`` of a leaf in each tree;
of a binomial model it is the log odds. ``evaluation`` has the AUC with DeLong's interval, Brier score and log
loss; or root mean square error, mean absolute error and R².

Numbers are cut into quantile bins that all holders agree on, each with enough persons; missing values have a
side of their own. Each level of a tree is one round of sums of gradients by node, column and bin. No leaf
rests on fewer than the threshold of persons, and ``n`` is rounded to multiples of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from math import log
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from salerno.analysis.disclosure.cells import merged
from salerno.analysis.disclosure.persons import check_level, check_persons, check_some
from salerno.analysis.model import Aggregate, Parameter, Question, Released, Result, Scope, Sums
from salerno.analysis.questions import (
    CONF_LEVEL,
    HOLDER,
    REFERENCE,
    Factor,
    check_keys,
    choice,
    conf_level,
    factor,
    names,
    number,
    variable,
    whole,
)
from salerno.analysis.sums.bins import guard_bins, places
from salerno.analysis.sums.columns import doubles, integers, is_listed, real, scatter
from salerno.analysis.sums.features import Binning, Feature
from salerno.analysis.sums.outcomes import Outcome, outcome_of
from salerno.analysis.sums.scores import calibration, discrimination, guard_classes
from salerno.analysis.sums.trees import Growth, Tree
from salerno.kernel.errors import Invalid, Refused

NAME = "boosting"
LABEL = "Gradient-boosted trees"
TRAINS = True
PARAMETERS = (
    Parameter(name="outcome", label="Outcome"),
    Parameter(
        name="variables", label="Columns", kind="columns", hint="Several columns with commas between them"
    ),
    Parameter(
        name="family",
        label="Kind of outcome",
        kind="choice",
        options=(("binomial", "Yes or no"), ("gaussian", "A measured value")),
        optional=True,
    ),
    Parameter(
        name="test",
        label="Test on",
        kind="object",
        hint='A holder as "Name", or as JSON, e.g. {"column": "year", "levels": ["2024"]}',
        optional=True,
    ),
    Parameter(
        name="categorical",
        label="Numeric columns that are categories",
        kind="columns",
        optional=True,
        advanced=True,
    ),
    Parameter(name="trees", label="Trees", kind="number", default="40", optional=True),
    Parameter(name="depth", label="Splits from root to leaf", kind="number", default="3", optional=True),
    Parameter(name="learning_rate", label="Learning rate", kind="number", optional=True, advanced=True),
    Parameter(name="l2", label="Penalty on leaves", kind="number", optional=True, advanced=True),
    Parameter(name="min_leaf", label="Fewest persons in a leaf", kind="number", optional=True, advanced=True),
    Parameter(name="bins", label="Most bins of a column", kind="number", optional=True, advanced=True),
    REFERENCE,
    CONF_LEVEL,
)
_MOST_TREES, _MOST_DEPTH, _MOST_BINS, _MOST_COLUMNS = 500, 6, 128, 100
_OTHER_ROUNDS = 6
"""Rounds for agreeing bins and for the evaluation."""
_SETS = ("training", "test")
_ROOT = Tree()


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
class Agreeing:
    """First rounds: the bins.

    Args:
        totals: ``rows``, and by set ``n``, ``events``, ``y``; None before the first round.
    """

    model: Model
    binning: Binning
    totals: Sums | None = None


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
    tree: Tree | None = _ROOT

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

    def scored(self, view: ir.Table, *, only: int | None = None) -> ir.Table:
        """Rows with an outcome: ``part`` of `_SETS`, ``y``, ``score``, ``mean``, ``node``, codes ``c0``, …

        Args:
            view: What may be read.
            only: The part to keep; all by default.
        """
        model = self.model
        part = model.set_of(view)
        kept = view.filter(part.notnull() if only is None else part == only)
        codes = {f"c{i}": feature.code(kept) for i, feature in enumerate(model.features)}
        rows = kept.select(part=model.set_of(kept), y=model.outcome.value(kept), **codes)
        columns = [rows[name] for name in codes]
        score = _sum([real(self.baseline), *(tree.score(columns, model.growth) for tree in self.done)])
        node = ibis.literal(0) if self.tree is None else self.tree.place(columns)
        mean = _probability(score) if model.outcome.binary else score
        return rows.select(
            "part", "y", score=score, mean=mean, node=node, **{name: rows[name] for name in codes}
        )


def start(question: Question, scope: Scope) -> Agreeing:
    """Check the question."""
    check_keys(question, PARAMETERS)
    family = choice(question, "family", ("binomial", "gaussian"), "binomial")
    n_trees = whole(question.get("trees", 40), key="trees", least=1, most=_MOST_TREES)
    depth = whole(question.get("depth", 3), key="depth", least=1, most=_MOST_DEPTH)
    needed, allowed = n_trees * depth + _OTHER_ROUNDS, scope.policy.max_training_rounds
    if needed > allowed:
        raise Refused(
            "too-many-rounds",
            f"{n_trees} trees of depth {depth} take up to {needed} rounds, more than the {allowed} that a "
            "question which trains a model may have",
            rule="the holders' disclosure policy",
            remedy="Ask for fewer trees or less depth, with a larger learning_rate.",
        )
    min_leaf = whole(question.get("min_leaf", 20), key="min_leaf", least=1, most=10**9)
    growth = Growth(
        depth=depth,
        min_leaf=max(min_leaf, scope.policy.min_cell),
        l2=number(question.get("l2", 1.0), key="l2", above=0.0, below=1e12, closed=True),
        learning_rate=number(question.get("learning_rate", 0.2), key="learning_rate", above=0.0, below=10.0),
    )
    model = Model(
        scope=scope,
        outcome=outcome_of(question, scope, binary=family == "binomial"),
        features=_features(question, scope),
        test=_test(question.get("test"), scope),
        n_trees=n_trees,
        growth=growth,
        conf_level=conf_level(question),
    )
    most = whole(question.get("bins", 32), key="bins", least=2, most=_MOST_BINS)
    numbers = tuple(f.variable for f in model.features if f.factor is None)
    return Agreeing(model, Binning(scope, numbers, most))


def _features(question: Question, scope: Scope) -> tuple[Feature, ...]:
    listed = names(question, "variables")
    if question.get("outcome") in listed:
        raise Invalid("repeated-column", "The outcome cannot be one of the 'variables' as well")
    if len(listed) > _MOST_COLUMNS:
        raise Invalid("too-many-variables", f"A boosting question has at most {_MOST_COLUMNS} 'variables'")
    categorical = names(question, "categorical", required=False)
    for name in categorical:
        if name not in listed:
            raise Invalid("unknown-column", f"The categorical column {name!r} is none of the 'variables'")
    features = []
    for name in listed:
        found = variable(scope, name, role="variables")
        levels = None
        if name in categorical or not found.is_numeric:
            levels = factor(scope, name, role="variables")
        features.append(Feature(found, levels))
    return tuple(features)


def _test(given: Any, scope: Scope) -> Factor | None:
    """The rows to test on, as a column that keeps their levels alone."""
    if given is None:
        return None
    if isinstance(given, str):
        given = {"column": HOLDER, "levels": [given]}
    if not isinstance(given, Mapping) or set(given) != {"column", "levels"}:
        raise Invalid("wrong-type", '\'test\' must be a holder\'s name, or {"column": …, "levels": […]}')
    levels = given["levels"]
    listed = levels if isinstance(levels, (list, tuple)) else [levels]
    if not listed:
        raise Invalid("wrong-type", "'test' must name a level")
    for level in listed:
        found = factor(scope, given["column"], role="test", reference=str(level))
    return found.keeping(str(level) for level in listed)


def local(view: ir.Table, state: Agreeing | Growing) -> Aggregate:
    """Counts by bin; then sums of gradients by node, column and bin; at last how well the scores fit."""
    if isinstance(state, Agreeing):
        return _local_bins(view, state)
    return _local_evaluation(view, state) if state.tree is None else _local_gradients(view, state)


def _local_bins(view: ir.Table, state: Agreeing) -> Aggregate:
    """Rows by bin of each column, and in the first round by set as well: each row counts once for each."""
    model, binning = state.model, state.binning
    size = sum(binning.spans())
    part = model.set_of(view)
    codes = [ibis.cases((part == 0, code)).fill_null(-1) for code in binning.codes(view)]
    y, wrong = model.outcome.value(view), model.outcome.is_wrong(view)
    if state.totals is None:
        codes.append(part.fill_null(2) + size)
    rows = view.select(y=y, wrong=wrong, bin=ibis.array(codes).unnest())
    counted = rows.group_by("bin").aggregate(
        n=rows.count(), y=rows.y.sum(), events=(rows.y == real(1)).sum(), wrong=rows.wrong.sum()
    )

    def finish(table: pa.Table) -> Sums:
        cells = places(table)
        counts = scatter(cells, integers(table, "n"), size + 3)
        sums: Sums = {"bins": counts[:size], "inner": np.zeros(size, dtype=np.int64)}
        if state.totals is None:
            ends = slice(size, size + model.n_sets)
            sums |= {
                "rows": np.array(counts[size:].sum(), dtype=np.int64),
                "n": counts[ends],
                "y": scatter(cells, doubles(table, "y"), size + 3)[ends],
                "events": scatter(cells, integers(table, "events"), size + 3)[ends],
                "wrong": scatter(cells, integers(table, "wrong"), size + 3)[ends],
            }
        return sums

    released: tuple[Released, ...] = ()
    if state.totals is None:
        released = (Released(part.notnull(), (part,)),)
        if model.outcome.binary:
            released += (Released(part.notnull(), (part, y)),)
    return Aggregate(counted, finish, released)


def _local_gradients(view: ir.Table, state: Growing) -> Aggregate:
    tree, offsets = state.tree, state.offsets
    assert tree is not None
    features = range(len(state.model.features))
    rows = state.scored(view, only=0)
    spread = rows.mean * (1.0 - rows.mean) if state.model.outcome.binary else real(1)
    shifted = ibis.array([rows[f"c{i}"] + offsets[i] for i in features])
    rows = rows.select("node", g=rows.mean - rows.y, h=spread, bin=shifted.unnest())
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


def _local_evaluation(view: ir.Table, state: Growing) -> Aggregate:
    rows = state.scored(view)
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


def guard(sums: Sums, state: Agreeing | Growing, scope: Scope) -> Sums:
    """Refuse to take part with too few persons; with few holders join bins with too few."""
    if isinstance(state, Agreeing):
        if state.totals is None:
            for n, events in zip(sums["n"].tolist(), sums["events"].tolist(), strict=True):
                check_persons(n, scope.policy, who="This holder's part")
                if scope.few and state.model.outcome.binary:
                    for count, level in ((events, "1"), (n - events, "0")):
                        check_level(count, scope.policy, column=state.model.outcome.name, level=level)
        return guard_bins(sums, state.binning.spans(), scope)
    if not scope.few:
        return sums
    return _guard_evaluation(sums, scope) if state.tree is None else _guard_gradients(sums, state, scope)


def _guard_gradients(sums: Sums, state: Growing, scope: Scope) -> Sums:
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


def _guard_evaluation(sums: Sums, scope: Scope) -> Sums:
    if "classes" not in sums:
        return sums
    names_of = ("classes", "predicted", "inner")
    parts = [
        guard_classes({name: sums[name][i] for name in names_of}, scope) for i in range(len(sums["inner"]))
    ]
    return {**sums, **{name: np.stack([part[name] for part in parts]) for name in names_of}}


def step(sums: Sums, state: Agreeing | Growing) -> Agreeing | Growing | Result:
    """Refine the bins, grow the tree, or answer."""
    if isinstance(state, Agreeing):
        return _agree(sums, state)
    if state.tree is None:
        return _answer(sums, state)
    model = state.model
    tree = state.tree.grown(sums, model.features, model.growth)
    if tree.active:
        return replace(state, tree=tree)
    done = (*state.done, tree)
    # A root without a split leaves the scores as they are, and so would all trees after it.
    is_last = len(done) == model.n_trees or len(tree.nodes) == 1
    return replace(state, done=done, tree=None if is_last else _ROOT)


def _agree(sums: Sums, state: Agreeing) -> Agreeing | Growing:
    model = state.model
    totals = state.totals or {name: sums[name] for name in ("rows", "n", "y", "events", "wrong")}
    if state.totals is None:
        for i, n in enumerate(totals["n"].tolist()):
            check_some(n, model.scope.policy)
            if model.outcome.binary:
                events = int(totals["events"][i])
                who = "among the test cases" if i else ""
                model.outcome.check(
                    int(totals["wrong"].sum()), (n - events, events), model.scope.policy, who=who
                )
    binning = state.binning.step(sums) if state.binning.variables else state.binning
    if binning.variables and not binning.is_done:
        return Agreeing(model, binning, totals)
    agreed = iter(binning.features())
    features = tuple(f if f.factor else next(agreed) for f in model.features)
    mean = float(totals["y"][0]) / int(totals["n"][0])
    baseline = log(mean / (1 - mean)) if model.outcome.binary else mean
    return Growing(replace(model, features=features), totals, baseline)


def _sum(values: Sequence[ir.FloatingValue]) -> ir.FloatingValue:
    """A sum by halves, since engines bound how deep an expression may be."""
    if len(values) == 1:
        return values[0]
    middle = len(values) // 2
    return _sum(values[:middle]) + _sum(values[middle:])


def _probability(score: ir.FloatingValue) -> ir.FloatingValue:
    bounded = ibis.greatest(ibis.least(score, real(30)), real(-30))
    return 1.0 / ((-bounded).exp() + 1.0)


def _answer(sums: Sums, state: Growing) -> Result:
    model, policy = state.model, state.model.scope.policy
    parts = [_evaluation(sums, state, i) for i in range(model.n_sets)]
    result: dict[str, Any] = {
        "outcome": model.outcome.name,
        "family": "binomial" if model.outcome.binary else "gaussian",
        "baseline": state.baseline,
        "n_trees": len(state.done),
        "evaluation": parts,
        "importance": _importance(state),
    }
    if model.outcome.binary:
        last = model.n_sets - 1
        result["calibration"] = calibration(
            sums["classes"][last], sums["predicted"][last], sums["inner"][last], max(policy.min_cell, 1)
        )
    result["trees"] = [row for i, tree in enumerate(state.done) for row in _node_rows(tree, i + 1, model)]
    n = int(state.totals["n"].sum())
    notes = [f"No leaf rests on fewer than {model.growth.min_leaf} persons."]
    if policy.min_cell > 1:
        notes.append(f"Persons in a node are rounded to multiples of {policy.min_cell}.")
    return Result(result, n, int(state.totals["rows"]) - n, tuple(notes))


def _evaluation(sums: Sums, state: Growing, part: int) -> dict[str, Any]:
    n = int(state.totals["n"][part])
    figures: dict[str, Any] = {"rows": _SETS[part], "n": n}
    if state.model.outcome.binary:
        found = discrimination(sums["classes"][part], sums["inner"][part])
        figures |= {"events": int(state.totals["events"][part]), **found.members(state.model.conf_level)}
        return figures | {"brier": float(sums["b"][part]) / n, "log_loss": float(sums["a"][part]) / n}
    shift = float(sums["y"][part]) / n - state.baseline
    spread = float(sums["p"][part]) / n - shift**2
    error = float(sums["b"][part]) / n
    return figures | {
        "rmse": error**0.5,
        "mae": float(sums["a"][part]) / n,
        "r_squared": 1 - error / spread if spread > 0 else None,
    }


def _importance(state: Growing) -> list[dict[str, Any]]:
    """Share of each column in all that the splits gained, the largest first."""
    splits = [node.split for tree in state.done for node in tree.nodes if node.split]
    whole_gain = sum(split.gain for split in splits)
    rows = []
    for position, feature in enumerate(state.model.features):
        own = [split.gain for split in splits if split.feature == position]
        share = sum(own) / whole_gain if whole_gain else 0.0
        rows.append({"variable": feature.variable.name, "gain": share, "splits": len(own)})
    return sorted(rows, key=lambda row: -float(row["gain"]))


def _node_rows(tree: Tree, number_of: int, model: Model) -> list[dict[str, Any]]:
    base = max(model.scope.policy.min_cell, 1)
    rows = []
    for position, node in enumerate(tree.nodes):
        assert node.total is not None
        row: dict[str, Any] = {"tree": number_of, "node": position, "n": round(node.total.n / base) * base}
        if node.split is None:
            rows.append(row | {"value": node.total.value(model.growth)})
            continue
        feature, left = model.features[node.split.feature], node.split.left
        row |= {"variable": feature.variable.name, "missing": "left" if left[0] else "right"}
        if feature.factor is not None:
            chosen = zip(feature.factor.levels, left[1:], strict=True)
            row["levels"] = [level for level, goes_left in chosen if goes_left]
        else:
            last = max((code for code, goes_left in enumerate(left) if goes_left and code), default=0)
            # Without an edge the split tells missing values from all others.
            row["threshold"] = feature.edges[last - 1] if 0 < last <= len(feature.edges) else None
        rows.append(row | {"gain": node.split.gain, "left": node.left, "right": node.right})
    return rows
