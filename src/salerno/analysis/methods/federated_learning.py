"""Training of a model of one's own: a Flower app that each holder runs on its rows, in a sandbox.

Question: ``{"method": "federated_learning", "app": "5f1c…", "variables": ["age", "sex", "status"],
"arrays": [{"name": "coef", "shape": [1, 2], "dtype": "float64"}], "rounds": 10}``, with optional
``strategy`` (``fedavg`` unless told; ``fedprox``, ``fedavgm``, ``fedadagrad``, ``fedadam``, ``fedyogi``)
and ``strategy_options``, ``config`` (over the app's own run configuration), ``settings`` (sent with each
round), ``train_metrics``, ``evaluate_metrics``, ``loss`` (the metric that is a row's loss), ``holdout``
(share of the rows kept from training, 0.2) and ``clip_norm``. ``salerno app bundle`` writes a question to
begin with.
Result: ``{"history": [{"round", "train_…", "evaluate_…"}], "membership": [{"advantage", "margin", "limit",
…}], "arrays": [{"name", "shape", "dtype", "data"}], "parameters", "strategy", "n_train", "n_heldout"}``;
``data`` are the values, little-endian, as base64. ``answer.arrays()`` gives them as NumPy arrays.

An app is an ordinary Flower app whose ``ClientApp`` has functions for ``train`` and ``evaluate``; it reads
its rows as Parquet from ``context.node_config["data-path"]``. It runs where the holder's steward has
allowed it by its digest, in a sandbox without network. What leaves a holder is its model times its rows, a
sum that is masked as all others; so strategies that need the single models, such as Krum, are refused. In
round r the model of the round before is evaluated on the rows that are kept from training. Before the model
is released, an attack by losses is carried out on it; a model that tells whose records it was trained on is
withheld.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from salerno.analysis.disclosure.membership import check_membership, count_losses, measure_membership
from salerno.analysis.disclosure.persons import check_model_size, check_persons, check_some
from salerno.analysis.methods._learning_question import (
    MOST_PARAMETERS,
    check_rounds,
    clip_of,
    learning_of,
    scalars,
)
from salerno.analysis.methods._learning_question import PARAMETERS as PARAMETERS
from salerno.analysis.model import Aggregate, Question, Released, Result, Scope, Sums, Training
from salerno.analysis.questions import HOLDER, check_keys, names, number, variable, whole
from salerno.analysis.sums.columns import every, integers, is_present
from salerno.analysis.sums.strategies import Arrays, Strategy, strategy_of
from salerno.catalogue.model import Variable
from salerno.holdings.model import Learning, Task, Trained
from salerno.kernel.errors import Invalid, Refused

NAME = "federated_learning"
LABEL = "Federated learning of one's own model"
TRAINS = True


@dataclass(frozen=True)
class State:
    """The question and how far training has come.

    Args:
        scope: What the nodes agree on.
        variables: Columns that the app sees.
        learning: Which app trains what.
        strategy: How the holders' mean becomes the next model.
        rounds: Rounds of training.
        settings: Sent with each round.
        train, evaluate: Names of metrics.
        clip: Largest change by one holder in a round, 0 for no limit.
        counts: Rows, complete rows, rows for training and rows kept from it; as far as they are known.
        model: The arrays; empty before the app was loaded.
        done: Rounds of training behind it.
        history: Metrics by round.
    """

    scope: Scope
    variables: tuple[Variable, ...]
    learning: Learning
    strategy: Strategy
    rounds: int
    settings: Mapping[str, Any]
    train: tuple[str, ...]
    evaluate: tuple[str, ...]
    clip: float
    counts: tuple[int, ...] = ()
    model: Arrays = ()
    done: int = 0
    history: tuple[Mapping[str, Any], ...] = ()

    @property
    def parameters(self) -> int:
        """Numbers in the model."""
        return sum(math.prod(shape) for _, shape, _ in self.learning.arrays)

    @property
    def audits(self) -> bool:
        """Whether the attack by losses is carried out."""
        return self.scope.policy.max_membership_advantage < 1


def start(question: Question, scope: Scope) -> State:
    """Check the question."""
    check_keys(question, PARAMETERS)
    listed = names(question, "variables")
    if HOLDER in listed:
        raise Invalid(
            "wrong-column", "An app is not told at which holder it runs, so 'holder' is no column of it"
        )
    strategy = strategy_of(question.get("strategy", "fedavg"), question.get("strategy_options", {}))
    rounds = whole(question.get("rounds", 10), key="rounds", least=1, most=10_000)
    check_rounds(rounds, scope)
    holdout = number(question.get("holdout", 0.2), key="holdout", above=0.0, below=0.9, closed=True)
    loss = question.get("loss", "loss")
    if not isinstance(loss, str) or not loss:
        raise Invalid("wrong-type", f"'loss' must be the name of a metric, not {loss!r}")
    evaluate = names(question, "evaluate_metrics", required=False)
    settings = scalars(question, "settings")
    if strategy.name == "fedprox":
        settings = {**settings, "proximal-mu": strategy.options["proximal-mu"]}
    learning = learning_of(question, holdout)
    state = State(
        scope=scope,
        variables=tuple(variable(scope, name, role="variables") for name in listed),
        learning=learning,
        strategy=strategy,
        rounds=rounds,
        settings=settings,
        train=names(question, "train_metrics", required=False),
        evaluate=tuple(dict.fromkeys((loss, *evaluate))) if holdout else (),
        clip=clip_of(question, scope),
    )
    if state.audits and not holdout:
        raise Refused(
            "no-holdout",
            "Without rows that are kept from training nobody can tell whether the model gives persons away",
            rule="the holders' disclosure policy (max_membership_advantage)",
            remedy="Leave 'holdout' at 0.2.",
        )
    if state.parameters > MOST_PARAMETERS:
        raise Invalid("model-too-large", f"A model may have {MOST_PARAMETERS:,} numbers at most")
    return state


def local(view: ir.Table, state: State) -> Aggregate:
    """In the first round: rows, and complete rows, on which the model will rest."""
    complete = every(is_present(view, variable) for variable in state.variables)
    expression = view.aggregate(rows=view.count(), n=complete.sum())

    def finish(table: pa.Table) -> Sums:
        counts = [integers(table, name)[0] if len(table) else 0 for name in ("rows", "n")]
        return {"counts": np.array(counts, dtype=np.int64)}

    return Aggregate(expression, finish, (Released(complete),))


def train(state: State) -> Training | None:
    """In later rounds: load the app, train, and look at losses at the end."""
    if not state.counts:
        return None
    ending = state.done == state.rounds
    task = Task()
    if state.model:
        task = Task(
            arrays=state.model,
            settings={**state.settings, "server-round": min(state.done + 1, state.rounds)},
            train=None if ending else state.train,
            evaluate=state.evaluate or None,
            audit=state.evaluate[0] if ending and state.audits else "",
        )
    return Training(lambda view: _rows(view, state), state.learning, task, lambda found: _sums(found, state))


def _rows(view: ir.Table, state: State) -> ir.Table:
    kept = view.filter(every(is_present(view, variable) for variable in state.variables))
    return kept.select(*(variable.name for variable in state.variables))


def _sums(found: Trained, state: State) -> Sums:
    if not state.model:
        return {"counts": np.array(found.rows, dtype=np.int64), **_named(found.arrays)}
    sums: Sums = {"counts": np.array(found.n, dtype=np.int64)}
    sums["evaluated"] = np.array(found.metrics[1] or (0.0,) * len(state.evaluate)) * found.n[1]
    if state.done == state.rounds:
        inside, outside = map(count_losses, found.losses)
        return {**sums, "inside": inside, "outside": outside}
    sums["trained"] = np.array(found.metrics[0]) * found.n[0]
    return {**sums, **_named(tuple(found.n[0] * array for array in _clipped(found.arrays, state)))}


def _named(arrays: Arrays) -> Sums:
    return {f"array{number}": np.asarray(array, np.float64) for number, array in enumerate(arrays)}


def _clipped(arrays: Arrays, state: State) -> Arrays:
    """A holder's model, no further from the one before than is allowed."""
    if not state.clip:
        return arrays
    changes = [new - old for new, old in zip(arrays, state.model, strict=True)]
    length = math.sqrt(sum(float((change**2).sum()) for change in changes))
    if length <= state.clip:
        return arrays
    return tuple(
        old + change * (state.clip / length) for old, change in zip(state.model, changes, strict=True)
    )


def guard(sums: Sums, state: State, scope: Scope) -> Sums:
    """Refuse to train on too few rows; with few holders, whose parts can be told apart, a model too large."""
    if not state.counts:
        n = int(sums["counts"][1])
        if scope.few:
            check_persons(n, scope.policy, who="This holder's part")
    elif not state.model and scope.few:
        train, held = sums["counts"].tolist()
        if not scope.policy.holder_estimates:
            raise Refused(
                "holder-estimates",
                "With fewer than three holders each one's model can be told, which a policy does not allow",
                remedy="Ask three holders or more.",
            )
        check_persons(train, scope.policy, who="This holder's training part")
        check_persons(held, scope.policy, who="This holder's held-out part")
        check_model_size(train, state.parameters, scope.policy)
    return sums


def step(sums: Sums, state: State) -> State | Result:
    """Count, load, train round by round, and release the model if it gives nobody away."""
    counts = tuple(sums["counts"].tolist())
    if not state.counts:
        check_some(counts[1], state.scope.policy)
        return replace(state, counts=counts)
    arrays = tuple(sums[f"array{i}"] for i in range(len(state.learning.arrays)) if f"array{i}" in sums)
    if not state.model:
        train, held = counts
        check_some(train, state.scope.policy)
        check_persons(held, state.scope.policy, who="The part that is kept from training")
        check_model_size(train, state.parameters, state.scope.policy)
        first = tuple(array / len(state.scope.holders) for array in arrays)  # all have the same ones
        return replace(state, counts=(*state.counts, *counts), model=first)
    history = _history(sums, state)
    if state.done == state.rounds:
        return _answer(sums, replace(state, history=history))
    mean = tuple(array / counts[0] for array in arrays)
    model, strategy = state.strategy.advance(state.model, mean, state.done + 1)
    return replace(state, model=model, strategy=strategy, done=state.done + 1, history=history)


def _history(sums: Sums, state: State) -> tuple[Mapping[str, Any], ...]:
    """The evaluation belongs to the round before, the training to this one."""
    trained, evaluated = sums["counts"].tolist()
    history = list(state.history)
    told: dict[str, Any] = {}
    if evaluated:
        means = (sums["evaluated"] / evaluated).tolist()
        told = {f"evaluate_{name}": mean for name, mean in zip(state.evaluate, means, strict=True)}
    if history:
        history[-1] = {**history[-1], **told}
    else:
        history.append({"round": 0, **told})
    if state.done < state.rounds:
        means = (sums["trained"] / trained).tolist()
        told = {f"train_{name}": mean for name, mean in zip(state.train, means, strict=True)}
        history.append({"round": state.done + 1, **told})
    return tuple(history)


def _answer(sums: Sums, state: State) -> Result:
    policy = state.scope.policy
    rows, n, n_train, n_held = state.counts
    result: dict[str, Any] = {
        "history": [dict(entry) for entry in state.history],
        "strategy": state.strategy.name,
        "parameters": state.parameters,
        "n_train": n_train,
        "n_heldout": n_held,
        "arrays": [
            {"name": name, "shape": list(shape), "dtype": kind, "data": _text(array, kind)}
            for (name, shape, kind), array in zip(state.learning.arrays, state.model, strict=True)
        ],
    }
    if state.audits:
        found = measure_membership(sums["inside"], sums["outside"])
        check_membership(found, policy)
        result["membership"] = [
            {
                "advantage": found.advantage,
                "margin": found.margin,
                "limit": policy.max_membership_advantage,
                "rows_trained_on": found.rows[0],
                "rows_held_out": found.rows[1],
            }
        ]
    notes = ["The model was trained by a program of the user's, which the holders have allowed."]
    return Result(result, n, rows - n, tuple(notes))


def _text(array: Any, kind: str) -> str:
    wanted = np.dtype(kind).newbyteorder("<")
    typed = np.rint(array).astype(wanted) if wanted.kind in "iu" else array.astype(wanted)
    return base64.b64encode(typed.tobytes()).decode()
