"""What is told of boosted trees: how well they predict, which columns they use, and the trees themselves."""

from __future__ import annotations

from typing import Any

from salerno.analysis.model import Result, Sums
from salerno.analysis.sums.boosted import Growing, Model
from salerno.analysis.sums.scores import calibration, discrimination
from salerno.analysis.sums.trees import Tree

_SETS = ("training", "test")


def answer(sums: Sums, state: Growing) -> Result:
    """The answer, from the sums of the evaluation."""
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
