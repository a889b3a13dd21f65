"""Study-level meta-analysis: each holder fits the model by itself, and the estimates are pooled.

Question: ``{"method": "meta", "question": {"method": "glm", …}}`` with a ``glm`` or ``cox`` question, and
optional ``estimator`` (``REML``, ``DL``), ``test`` (``z``, ``knapp-hartung``) and ``conf_level``.
Result: ``{"terms": [{"term", "estimate", …, "fixed": {…}, "tau2", "i2", "h2", "q", "q_df", "q_p_value",
"prediction_low", "prediction_high", "n_holders"}], "holders": [{"holder", "n", "terms": […]}], "left_out",
"estimator", "test"}``, equal to R's metafor: ``estimate`` is the random-effects mean.
Here each holder's own figures leave it, in a slot of its own: masks hide nothing of them. So a holder applies
disclosure control to its own fit before anything of it leaves, and its policy can forbid such questions
(``holder_estimates``). A holder whose own fit is refused is left out, and the answer says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import ibis.expr.types as ir
import numpy as np

from salerno.analysis.methods import method_of
from salerno.analysis.model import Aggregate, Method, Parameter, Question, Result, Scope, Sums
from salerno.analysis.questions import CONF_LEVEL, check_keys, choice, conf_level
from salerno.analysis.sums.columns import holder_of
from salerno.analysis.sums.pooling import ESTIMATORS, TESTS, pooled, row_of
from salerno.kernel.errors import Invalid, Refused, SalernoError

NAME = "meta"
LABEL = "Meta-analysis of the holders' own models"
PARAMETERS = (
    Parameter(
        name="question",
        label="Question to each holder",
        kind="object",
        hint="As JSON: a regression question",
        default='{"method": "glm", "formula": "status ~ age + sex", "family": "binomial"}',
    ),
    Parameter(
        name="estimator",
        label="Variance between holders",
        kind="choice",
        optional=True,
        advanced=True,
        options=(("", "Restricted maximum likelihood"), ("DL", "DerSimonian and Laird")),
    ),
    Parameter(
        name="test",
        label="Test",
        kind="choice",
        optional=True,
        advanced=True,
        options=(("", "Normal distribution"), ("knapp-hartung", "Knapp and Hartung, for few holders")),
    ),
    CONF_LEVEL,
)
_POOLABLE = ("glm", "cox")
_REASONS = {
    "no-persons": "no row has a value in all columns",
    "too-few-persons": "too few persons",
    "small-level": "a group of too few persons",
    "small-term": "a term that sets too few persons apart",
    "model-too-large": "too many terms for its persons",
    "degrees-of-freedom": "too few degrees of freedom",
    "design-singular": "a term that does not vary there, or depends on others",
    "separated": "a term that separates the outcomes there",
    "not-converged": "no convergence",
    "response-values": "an outcome that does not vary there",
    "no-events": "no events",
    "too-few-clusters": "too few clusters",
    "reference-missing": "nobody with a reference level",
    "other": "its own fit was refused",
}
"""Why a holder is left out, by error code."""
_CODES = tuple(_REASONS)
_SLOT = "slot"


@dataclass(frozen=True)
class Part:
    """How far one holder's own fit has come.

    Args:
        name: The holder's, for people.
        scope: The agreement with that holder alone in it.
        state: Of the inner method; None when it has ended.
        result: Its answer, if it has one.
        reason: Code of why it was left out.
    """

    name: str
    scope: Scope
    state: Any = None
    result: Result | None = None
    reason: str = ""


@dataclass(frozen=True)
class State:
    """All holders' fits, side by side."""

    method: Method
    conf_level: float
    estimator: str
    test: str
    parts: tuple[Part, ...]

    def sums_of(self, number: int, sums: Sums) -> Sums:
        """The inner sums of one holder's slot."""
        start = f"{number}:"
        return {name.removeprefix(start): array for name, array in sums.items() if name.startswith(start)}


def start(question: Question, scope: Scope) -> State:
    """Check both questions and begin each holder's fit."""
    check_keys(question, PARAMETERS)
    if not scope.policy.holder_estimates:
        raise Refused(
            "holder-estimates",
            "A holder's policy does not allow figures of single holders",
            remedy="Ask the inner question itself, which pools the rows' sums.",
        )
    inner = question.get("question")
    if not isinstance(inner, Mapping) or inner.get("method") not in _POOLABLE:
        raise Invalid("wrong-question", f"'question' must be a question of {' or '.join(_POOLABLE)}")
    if inner.get("strata", "holder") is None:
        raise Invalid("wrong-question", "Risk sets cannot be shared when each holder fits by itself")
    method = method_of(inner)
    parts = []
    for holder in scope.holders:
        alone = replace(scope, holders=(holder,))
        name = scope.names.get(holder, holder)
        parts.append(Part(name, alone, method.start(inner, alone)))
    if hasattr(parts[0].state, "placing"):
        raise Invalid(
            "wrong-knots",
            "Knots must be the same at each holder, so they are not placed by its own quantiles",
            remedy="Give knots = c(…) and Boundary.knots = c(…), for instance those of a pooled answer.",
        )
    return State(
        method=method,
        conf_level=conf_level(question),
        estimator=str(choice(question, "estimator", ESTIMATORS, "REML")),
        test=str(choice(question, "test", TESTS, "z")),
        parts=tuple(parts),
    )


def local(view: ir.Table, state: State) -> Aggregate:
    """The holder's own round, in its slot; the other slots are empty."""
    names = [part.name for part in state.parts]
    own = names.index(holder_of(view))
    rounds = {
        number: state.method.local(view, part.state)
        for number, part in enumerate(state.parts)
        if part.state is not None
    }
    # A slot's layout follows from its state alone: it is what the inner method makes of no rows.
    others = {number: inner.finish(_nothing(inner)) for number, inner in rounds.items() if number != own}

    def slots(found: Sums) -> Sums:
        present = np.zeros((2, len(names)), dtype=np.int64)
        present[0, own] = 1
        result: Sums = {_SLOT: present}
        for number in rounds:
            mine = found if number == own else {n: np.zeros_like(a) for n, a in others[number].items()}
            result |= {f"{number}:{name}": array for name, array in mine.items()}
        return result

    if own not in rounds:  # it has ended already, and waits for the others
        return Aggregate(view.aggregate(n=view.count()), lambda _: slots({}))
    inner = rounds[own]
    return replace(inner, finish=lambda table: slots(inner.finish(table)))


def guard(sums: Sums, state: State, scope: Scope) -> Sums:
    """Try the own fit's next step first: where that is refused, nothing of it leaves but the reason."""
    own = int(np.argmax(sums[_SLOT][0]))
    part = state.parts[own]
    if part.state is None:
        return sums
    mine = state.sums_of(own, sums)
    try:
        _check_references(mine, part)
        mine = state.method.guard(mine, part.state, part.scope)
        state.method.step(mine, part.state)
        code = 0
    except SalernoError as error:
        code = 1 + _CODES.index(error.code if error.code in _REASONS else "other")
        mine = {name: np.zeros_like(array) for name, array in mine.items()}
    slot = sums[_SLOT].copy()
    slot[1, own] = code
    return {**sums, **{f"{own}:{name}": array for name, array in mine.items()}, _SLOT: slot}


def step(sums: Sums, state: State) -> State | Result:
    """Take each holder's next step, or pool what they have found."""
    parts = []
    for number, part in enumerate(state.parts):
        code = int(sums[_SLOT][1, number])
        if part.state is None:
            parts.append(part)
        elif code:
            parts.append(replace(part, state=None, reason=_CODES[code - 1]))
        else:
            after = state.method.step(state.sums_of(number, sums), part.state)
            done = isinstance(after, Result)
            parts.append(replace(part, state=None if done else after, result=after if done else None))
    state = replace(state, parts=tuple(parts))
    return _answer(state) if all(part.state is None for part in parts) else state


def _nothing(inner: Aggregate) -> Any:
    return inner.expression.schema().to_pyarrow().empty_table()


def _check_references(sums: Sums, part: Part) -> None:
    """Contrasts mean the same at all holders only where each has the reference levels."""
    survey = getattr(part.state, "survey", None)
    if survey is None or not int(sums["n"]):
        return
    place = 0
    for f in survey.design.factors:
        if not int(sums["levels"][place]):
            raise Refused("reference-missing", f"Nobody has {f.column} = {f.levels[0]}")
        place += len(f.levels)


def _answer(state: State) -> Result:
    fits = [(part.name, part.result) for part in state.parts if part.result is not None]
    left_out = [
        {"holder": part.name, "reason": _REASONS[part.reason]} for part in state.parts if part.result is None
    ]
    if not fits:
        reasons = "; ".join(f"{entry['holder']}: {entry['reason']}" for entry in left_out)
        raise Refused("no-holder-fits", f"No holder can fit the model by itself ({reasons})")
    notes = ["Each holder's own estimates were told; masks hide nothing of a holder's own slot."]
    notes += [f"Left out: {entry['holder']} ({entry['reason']})." for entry in left_out]
    notes += [f"{name}: {note}" for name, fit in fits for note in fit.notes]
    terms = dict.fromkeys(row["term"] for _, fit in fits for row in fit.result["terms"])
    result = {
        "terms": [_pooled_term(term, fits, state) for term in terms],
        "holders": [_told(name, fit) for name, fit in fits],
        "left_out": left_out,
        "estimator": state.estimator,
        "test": state.test,
    }
    n, n_missing = (sum(getattr(fit, name) for _, fit in fits) for name in ("n", "n_missing"))
    return Result(result, n, n_missing, tuple(notes))


def _pooled_term(term: str, fits: list[tuple[str, Result]], state: State) -> dict[str, Any]:
    """One term over the holders that have it."""
    rows = [row for _, fit in fits for row in fit.result["terms"] if row["term"] == term]
    found = pooled(
        np.array([row["estimate"] for row in rows]),
        np.array([row["std_error"] for row in rows]),
        estimator=state.estimator,
        test=state.test,
    )
    low, high = found.prediction(state.conf_level)
    return {
        "term": term,
        **row_of(found.estimate, found.std_error, found.df, state.conf_level),
        "fixed": row_of(found.fixed, found.fixed_error, None, state.conf_level),
        "tau2": found.tau2,
        "i2": found.i2,
        "h2": found.h2,
        "q": found.q,
        "q_df": len(rows) - 1,
        "q_p_value": found.q_p_value,
        "prediction_low": low,
        "prediction_high": high,
        "n_holders": len(rows),
        "weights": found.weights.tolist(),
    }


def _told(name: str, fit: Result) -> dict[str, Any]:
    """A holder's own estimates."""
    shown = ("term", "estimate", "std_error", "conf_low", "conf_high")
    terms = [{key: row[key] for key in shown} for row in fit.result["terms"]]
    return {"holder": name, "n": fit.n, "terms": terms}
