"""What a question of federated learning says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from salerno.analysis.model import Parameter, Question, Scope
from salerno.analysis.questions import number, required
from salerno.analysis.sums.strategies import OPTIONS
from salerno.holdings.model import Learning
from salerno.kernel.errors import Invalid, Refused
from salerno.kernel.values import digest

PARAMETERS = (
    Parameter(name="app", label="Digest of the app", kind="text", hint="As salerno app bundle tells it"),
    Parameter(name="variables", label="Columns", kind="columns", hint="All columns that the app reads"),
    Parameter(
        name="arrays",
        label="Arrays of the model",
        kind="object",
        hint='As JSON: [{"name": "coef", "shape": [1, 3], "dtype": "float64"}]',
    ),
    Parameter(name="rounds", label="Rounds", kind="number", default="10"),
    Parameter(
        name="strategy",
        label="Strategy",
        kind="choice",
        options=tuple((name, name) for name in OPTIONS),
        default="fedavg",
        optional=True,
    ),
    Parameter(
        name="strategy_options",
        label="Options of the strategy",
        kind="object",
        hint='As JSON, e.g. {"eta": 0.05}',
        optional=True,
        advanced=True,
    ),
    Parameter(
        name="config", label="Run configuration of the app", kind="object", optional=True, advanced=True
    ),
    Parameter(
        name="settings", label="Settings sent with each round", kind="object", optional=True, advanced=True
    ),
    Parameter(
        name="train_metrics",
        label="Metrics of training",
        kind="object",
        hint='As JSON, e.g. ["train_loss"]',
        optional=True,
        advanced=True,
    ),
    Parameter(
        name="evaluate_metrics",
        label="Further metrics of evaluation",
        kind="object",
        hint='As JSON, e.g. ["accuracy"]',
        optional=True,
        advanced=True,
    ),
    Parameter(name="loss", label="Metric that is the loss", kind="text", default="loss", optional=True),
    Parameter(
        name="holdout", label="Share of rows kept from training", kind="number", optional=True, advanced=True
    ),
    Parameter(
        name="clip_norm",
        label="Largest change by one holder in a round",
        kind="number",
        hint="Longer ones are shortened",
        optional=True,
        advanced=True,
    ),
)
_OTHER_ROUNDS = 3
MOST_PARAMETERS = 1_000_000
_KINDS = ("float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8")


def learning_of(question: Question, holdout: float) -> Learning:
    """Which app trains which arrays, with what configuration."""
    return Learning(
        app=_digest(question),
        session=digest(question),
        arrays=_arrays(question),
        config=scalars(question, "config"),
        holdout=holdout,
    )


def check_rounds(rounds: int, scope: Scope) -> None:
    """Refuse more rounds than the policy allows.

    Raises:
        Refused: ``too-many-rounds``.
    """
    allowed = scope.policy.max_training_rounds
    if rounds + _OTHER_ROUNDS > allowed:
        raise Refused(
            "too-many-rounds",
            f"{rounds} rounds of training take {rounds + _OTHER_ROUNDS} in all, more than the {allowed} that "
            "a question which trains a model may have",
            rule="the holders' disclosure policy",
            remedy="Ask for fewer 'rounds', with more passes over the rows in each.",
        )


def _digest(question: Question) -> str:
    given = required(question, "app")
    if not isinstance(given, str) or len(given) != 64 or set(given) - set("0123456789abcdef"):
        raise Invalid(
            "app-digest",
            "'app' must be the digest of a bundle, 64 hexadecimal digits",
            remedy="Make the bundle with: salerno app bundle FOLDER --initial ARRAYS.npz",
        )
    return given


def _arrays(question: Question) -> tuple[tuple[str, tuple[int, ...], str], ...]:
    given = required(question, "arrays")
    found = []
    for entry in given if isinstance(given, (list, tuple)) else (None,):
        if not isinstance(entry, Mapping) or set(entry) - {"name", "shape", "dtype"} or "name" not in entry:
            raise Invalid(
                "wrong-type", '\'arrays\' must be a list of {"name": …, "shape": […], "dtype": "float64"}'
            )
        shape, kind = entry.get("shape", ()), entry.get("dtype", "float64")
        if not isinstance(shape, (list, tuple)) or not all(isinstance(s, int) and s > 0 for s in shape):
            raise Invalid(
                "wrong-type", f"The shape of the array {entry['name']!r} must be a list of whole numbers"
            )
        if kind not in _KINDS:
            raise Invalid(
                "unknown-choice", f"An array's dtype must be one of {', '.join(_KINDS)}, not {kind!r}"
            )
        found.append((str(entry["name"]), tuple(shape), str(kind)))
    if not found or len({name for name, _, _ in found}) < len(found):
        raise Invalid("wrong-type", "'arrays' must name each array of the model once")
    return tuple(found)


def scalars(question: Question, key: str) -> dict[str, Any]:
    """A member that maps names to single values."""
    given = question.get(key, {})
    if not isinstance(given, Mapping) or not all(
        isinstance(v, (str, int, float, bool)) for v in given.values()
    ):
        raise Invalid("wrong-type", f"{key!r} must map names to numbers, texts or truth values")
    return dict(given)


def clip_of(question: Question, scope: Scope) -> float:
    """The shorter of the question's and the policy's limits."""
    limit = scope.policy.max_update_norm
    if question.get("clip_norm") is None:
        return limit
    asked = number(question["clip_norm"], key="clip_norm", above=0.0)
    return min(asked, limit) if limit else asked
