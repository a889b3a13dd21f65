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

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import log
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

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
from salerno.analysis.sums.boosted import (
    ROOT,
    Coding,
    Growing,
    Model,
    Scoring,
    guard_evaluation,
    guard_gradients,
    local_evaluation,
    local_gradients,
)
from salerno.analysis.sums.boosted_answer import answer
from salerno.analysis.sums.columns import doubles, integers, real, scatter
from salerno.analysis.sums.features import Binning, Feature
from salerno.analysis.sums.outcomes import outcome_of
from salerno.analysis.sums.trees import Growth
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


@dataclass(frozen=True)
class Agreeing:
    """First rounds: the bins.

    Args:
        totals: ``rows``, and by set ``n``, ``events``, ``y``; None before the first round.
    """

    model: Model
    binning: Binning
    totals: Sums | None = None


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


def stages(state: Agreeing | Growing) -> tuple[Coding | Scoring, ...]:
    """Codes and scores of rows, which stay at the holder while the trees grow."""
    return () if isinstance(state, Agreeing) else state.stages()


def local(view: ir.Table, state: Agreeing | Growing) -> Aggregate:
    """Counts by bin; then sums of gradients by node, column and bin; at last how well the scores fit."""
    if isinstance(state, Agreeing):
        return _local_bins(view, state)
    return local_evaluation(view, state) if state.tree is None else local_gradients(view, state)


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
    return guard_evaluation(sums, scope) if state.tree is None else guard_gradients(sums, state, scope)


def step(sums: Sums, state: Agreeing | Growing) -> Agreeing | Growing | Result:
    """Refine the bins, grow the tree, or answer."""
    if isinstance(state, Agreeing):
        return _agree(sums, state)
    if state.tree is None:
        return answer(sums, state)
    model = state.model
    tree = state.tree.grown(sums, model.features, model.growth)
    if tree.active:
        return replace(state, tree=tree)
    done = (*state.done, tree)
    # A root without a split leaves the scores as they are, and so would all trees after it.
    is_last = len(done) == model.n_trees or len(tree.nodes) == 1
    return replace(state, done=done, tree=None if is_last else ROOT)


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
