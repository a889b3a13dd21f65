"""Linear mixed models with random intercept and slopes, lossless over holders.

Question: ``{"method": "lmm", "formula": "los ~ age + sex + (1 | holder)"}``; groups are holders, or values
of a column within them: ``(1 + age | ward)``. Optional ``estimator`` (``REML``, ``ML``), ``reference``,
``conf_level``. The same value at two holders is two groups.
Result: ``{"terms": […], "group", "n_groups", "random": [{"term", "variance", "sd"}], "correlations",
"residual_variance", "residual_sd", "icc", "estimator", "criterion", "log_likelihood", "aic", "bic",
"likelihood_ratio", "is_singular", "n", "iterations"}``, equal to R's lme4 on the pooled rows (tests of terms
are those of the normal distribution); by holder also ``effects``.
What crosses is each holder's part of the likelihood and its derivatives at variances that all agree on, never
a group's own cross products. A holder takes part with groups of enough persons each, or with enough groups.
By holder there are as few terms as holders, so its policy must allow figures of single holders.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log, sqrt
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import chdtrc

from salerno.analysis.disclosure.persons import RULE, check_model_size, check_persons, check_some
from salerno.analysis.formula import Formula, Random, parse_formula
from salerno.analysis.methods._knots import Knotting, bases_told
from salerno.analysis.model import Aggregate, Parameter, Question, Result, Scope, Sums
from salerno.analysis.questions import (
    CONF_LEVEL,
    HOLDER,
    REFERENCE,
    check_keys,
    choice,
    conf_level,
    references,
)
from salerno.analysis.sums.design import design_of
from salerno.analysis.sums.groups import Found, Model, local_blocks, local_survey
from salerno.analysis.sums.mixed import Blocks, Fitted, Root, effects_at, profile, sums_at
from salerno.analysis.sums.newton import SINGULAR
from salerno.analysis.sums.regression import Survey, term_rows
from salerno.analysis.terms import Numeric
from salerno.kernel.errors import Invalid, Refused

NAME = "lmm"
LABEL = "Mixed model"
PARAMETERS = (
    Parameter(
        name="formula",
        label="Formula",
        kind="formula",
        hint="As for a regression, with random effects as (1 | holder) or (1 + age | ward)",
        default="value ~ age + sex + (1 | holder)",
    ),
    Parameter(
        name="estimator",
        label="Likelihood",
        kind="choice",
        optional=True,
        advanced=True,
        options=(("", "Restricted (REML)"), ("ML", "Full (ML)")),
    ),
    REFERENCE,
    CONF_LEVEL,
)
Array = NDArray[np.float64]

_FIRST = (0.0, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Ratios of standard deviations between and within groups at which the search looks first."""
_SHARES = (1.0, 0.5, 0.125)
_CLOSE = 1e-7
_NOTHING = 1e-9
_MOST_SLOPES = 3


@dataclass(frozen=True)
class Surveying:
    """First round: what there is."""

    model: Model
    survey: Survey


@dataclass(frozen=True)
class Searching:
    """Further rounds: the likelihood at several variances each.

    Args:
        points: Where this round evaluates.
        best, fitted: Where the likelihood was largest so far.
        alone: Criterion without random effects.
        direction: From the best to the points.
        is_last: Whether the search ends with this round.
    """

    model: Model
    found: Found
    points: tuple[Root, ...]
    best: Root | None = None
    fitted: Fitted | None = None
    alone: float = 0.0
    direction: Array | None = None
    is_last: bool = False
    iterations: int = 0


@dataclass(frozen=True)
class Telling:
    """Last round by holder: each tells its own effects."""

    model: Model
    found: Found
    best: Root
    fitted: Fitted
    alone: float
    iterations: int


State = Knotting[Model] | Surveying | Searching | Telling


def start(question: Question, scope: Scope) -> Knotting[Model] | Surveying:
    """Check the question and lay out the model."""
    check_keys(question, PARAMETERS)
    formula = parse_formula(question.get("formula"), scope, references(question, scope), special=("|",))
    if not isinstance(formula.response, Numeric) or formula.time:
        raise Invalid("wrong-formula", "An lmm formula needs a numeric response before '~'")
    model = Model(
        scope=scope,
        formula=formula,
        random=_checked(formula),
        reml=choice(question, "estimator", ("REML", "ML"), "REML") == "REML",
        conf_level=conf_level(question),
    )
    if model.random.group == HOLDER and not scope.policy.holder_estimates:
        raise Refused(
            "holder-estimates",
            "A holder's policy does not allow figures of single holders, which few groups would tell",
            remedy="Take a group within the holders, or ask a glm question with 'holder' as a term.",
        )
    return Knotting.of(model) or _surveying(model)


def local(view: ir.Table, state: State) -> Aggregate:
    """Place knots, survey the rows, or sum the likelihood's parts."""
    if isinstance(state, Knotting):
        return state.local(view)
    if isinstance(state, Surveying):
        return local_survey(view, state.model, state.survey)
    if isinstance(state, Telling):
        return local_blocks(
            view, state.model, state.found, lambda rows, blocks: _own_effects(rows, blocks, state)
        )
    points = tuple(root.d for root in state.points)
    return local_blocks(view, state.model, state.found, lambda _, blocks: sums_at(blocks, points))


def guard(sums: Sums, state: State, scope: Scope) -> Sums:
    """Refuse to take part with too few persons, or few groups of few persons."""
    if isinstance(state, Knotting):
        return state.guard(sums, scope)
    if isinstance(state, Surveying):
        check_persons(int(sums["n"]), scope.policy, who="This holder's part")
        if int(sums["small_groups"]) and int(sums["groups"]) < scope.policy.min_cell:
            raise Refused(
                "small-groups",
                f"Fewer than {scope.policy.min_cell} groups of a holder, and not all of as many persons",
                rule=RULE,
                remedy="Take larger groups.",
            )
    return sums


def step(sums: Sums, state: State) -> State | Result:
    """Move on to likelier variances, or answer."""
    if isinstance(state, Knotting):
        after = state.step(sums)
        return after if isinstance(after, Knotting) else _surveying(after)
    if isinstance(state, Surveying):
        return _begin(sums, state)
    if isinstance(state, Telling):
        return _answer(state, sums)
    return _search(sums, state)


def _surveying(model: Model) -> Surveying:
    return Surveying(model, Survey(model.formula, design_of(model.formula), model.scope))


def _checked(formula: Formula) -> Random:
    """The random effects, each of which has a fixed one beside it."""
    random = formula.random
    if random is None:
        raise Invalid(
            "wrong-formula",
            "An lmm formula needs random effects, as in + (1 | holder)",
            remedy="Ask a glm question where there are none.",
        )
    fixed = {term[0].text for term in formula.terms if len(term) == 1 and isinstance(term[0], Numeric)}
    lacking = [slope.text for slope in random.slopes if slope.text not in fixed]
    if random.intercept and not formula.intercept:
        lacking.append("1")
    if lacking:
        raise Invalid(
            "wrong-formula",
            f"The random effect of {lacking[0]!r} has no fixed one beside it",
            remedy="Add it to the formula: random effects vary about a mean.",
        )
    if not random.intercept and not random.slopes:
        raise Invalid("wrong-formula", "No effect varies between the groups")
    if len(random.slopes) > _MOST_SLOPES:
        raise Invalid("wrong-formula", f"At most {_MOST_SLOPES} slopes may vary between groups")
    return random


def _begin(sums: Sums, state: Surveying) -> Searching:
    model, survey = state.model, state.survey
    policy, n = model.scope.policy, int(sums["n"])
    check_some(n, policy)
    kept, notes = survey.check(sums)
    design, empty = survey.without_empty(design_of(model.formula, levels=kept), sums)
    design = design.with_scales(sums["part_sums"], sums["part_squares"], n)
    names = [*(["(Intercept)"] if model.random.intercept else []), *(s.text for s in model.random.slopes)]
    lost = [name for name in names if name not in design.names]
    if lost:
        raise Refused("design-singular", f"The term {lost[0]!r} does not vary", remedy="Leave it out.")
    varying = tuple(design.names.index(name) for name in names)
    if not model.random.intercept:  # without it, a centred slope would be another model
        parts = {design.columns[column].part for column in varying}
        centres = tuple(0.0 if i in parts else centre for i, centre in enumerate(design.centres))
        design = replace(design, centres=centres)
    q = len(varying)
    check_model_size(n, len(design.columns) + q * (q + 1) // 2 + 1, policy)
    n_groups = int(sums["groups"])
    if n_groups <= q or n <= len(design.columns) + 1:
        raise Refused(
            "too-few-groups",
            f"{n_groups} groups are too few for random effects",
            remedy="Ask a glm question with the group as a term.",
        )
    if model.random.group == HOLDER:
        notes.append("By holder, the sums that the hub saw can be taken apart into those of single holders.")
    found = Found(
        design=design,
        varying=varying,
        shift=float(sums["y"]) / n if model.formula.intercept else 0.0,
        n=n,
        n_missing=int(sums["rows"]) - n,
        n_groups=n_groups,
        notes=(*notes, *empty),
    )
    return Searching(model, found, tuple(Root.diagonal(value, q) for value in _FIRST))


def _search(sums: Sums, state: Searching) -> Searching | Telling | Result:
    """Keep the likeliest point, and look further along Newton's direction from it."""
    design = state.found.design
    stretch = float(np.linalg.slogdet(design.restore())[1])
    fits = [
        profile(sums, i, state.found.n, design.names, reml=state.model.reml, stretch=stretch)
        for i in range(len(state.points))
    ]
    first = state.fitted is None
    # Without random effects the search could not leave, so it begins at one of the others.
    found = min(range(int(first), len(fits)), key=lambda i: fits[i].criterion)
    best, fitted = state.points[found], fits[found]
    iterations = state.iterations + 1
    if state.fitted is not None and state.best is not None and state.direction is not None:
        worse = fitted.criterion > state.fitted.criterion + 1e-9 * (abs(state.fitted.criterion) + 1)
        if worse:
            direction = state.direction / 32
            points = tuple(state.best.moved(direction, share) for share in _SHARES)
            return replace(state, points=points, direction=direction, iterations=iterations)
    state = replace(
        state,
        best=best,
        fitted=fitted,
        alone=fits[0].criterion if first else state.alone,
        iterations=iterations,
    )
    if state.is_last:
        return _finish(state)
    direction, promise = best.step(fitted)
    is_last = promise < _CLOSE
    points = tuple(best.moved(direction, share) for share in ((1.0,) if is_last else _SHARES))
    return replace(state, points=points, direction=direction, is_last=is_last)


def _finish(state: Searching) -> Telling | Result:
    assert state.best is not None
    assert state.fitted is not None
    # A variance that the search has driven to nothing is none.
    entries = np.where(np.abs(state.best.entries) < _NOTHING, 0.0, state.best.entries)
    telling = Telling(
        state.model,
        state.found,
        replace(state.best, entries=entries),
        state.fitted,
        state.alone,
        state.iterations,
    )
    return telling if state.model.random.group == HOLDER else _answer(telling, {})


def _own_effects(table: pa.Table, blocks: Blocks, state: Telling) -> Sums:
    """The holder's own effects, in its slot."""
    names = [state.model.scope.names.get(did, did) for did in state.model.scope.holders]
    q = len(state.found.varying)
    sums: Sums = {"effects": np.zeros((len(names), q)), "spread": np.zeros((len(names), q, q))}
    if table.num_rows:
        own = names.index(table["grp"][0].as_py())
        effects, spread = effects_at(blocks, state.best.d, state.fitted.coefficients)
        sums["effects"][own], sums["spread"][own] = effects[0], spread[0]
    return sums


def _answer(state: Telling, sums: Sums) -> Result:
    model, found, fitted = state.model, state.found, state.fitted
    design, varying = found.design, list(found.varying)
    back = design.restore()
    estimates = back @ fitted.coefficients
    estimates[[j for j, name in enumerate(design.names) if name == "(Intercept)"]] += found.shift
    errors = np.sqrt(np.diag(back @ fitted.covariance @ back.T))
    inner = back[np.ix_(varying, varying)]
    variances = inner @ state.best.d @ inner.T * fitted.residual
    names = [design.names[column] for column in varying]
    size = len(estimates) + len(state.best.entries) + 1
    result: dict[str, Any] = {
        "terms": term_rows(design.names, estimates, errors, conf_level=model.conf_level),
        "group": model.random.group,
        "n_groups": found.n_groups,
        "random": [
            {"term": name, "variance": float(v), "sd": sqrt(max(float(v), 0.0))}
            for name, v in zip(names, np.diag(variances), strict=True)
        ],
        "correlations": _correlations(names, variances),
        "residual_variance": fitted.residual,
        "residual_sd": sqrt(fitted.residual),
        "icc": float(variances[0, 0] / (variances[0, 0] + fitted.residual))
        if names == ["(Intercept)"]
        else None,
        "estimator": "REML" if model.reml else "ML",
        "criterion": fitted.criterion,
        "log_likelihood": -fitted.criterion / 2,
        "aic": fitted.criterion + 2 * size,
        "bic": fitted.criterion + log(found.n) * size,
        "likelihood_ratio": _ratio_test(state.alone - fitted.criterion, len(varying)),
        "is_singular": bool(np.linalg.eigvalsh(state.best.d)[0] < 1e-8),
        "n": found.n,
        "iterations": state.iterations,
    }
    bases = bases_told(model.formula)
    if bases:
        result["bases"] = bases
    notes = list(found.notes)
    if result["is_singular"]:
        notes.append(
            "A variance between groups is zero, or a correlation is one: fewer random effects would do."
        )
    if sums:
        result["effects"] = _told_effects(sums, state, inner, names)
    return Result(result, found.n, found.n_missing, tuple(notes))


def _correlations(names: list[str], variances: Array) -> list[dict[str, Any]]:
    found = []
    for i, name in enumerate(names):
        for j in range(i):
            scale = sqrt(max(float(variances[i, i] * variances[j, j]), 0.0))
            value = float(variances[i, j]) / scale if scale > SINGULAR else None
            found.append({"terms": [names[j], name], "correlation": value})
    return found


def _ratio_test(statistic: float, q: int) -> dict[str, Any]:
    """Likelihood ratio against no random effects; the null value lies on the edge, so two chi-squares mix.

    Source:
        Stram and Lee, Biometrics 50 (1994) 1171, for one effect; for more the plain test, which is cautious.
    """
    statistic, df = max(statistic, 0.0), q * (q + 1) // 2
    p_value = float(chdtrc(df, statistic))
    return {"statistic": statistic, "df": df, "p_value": p_value / 2 if q == 1 and statistic > 0 else p_value}


def _told_effects(sums: Sums, state: Telling, inner: Array, names: list[str]) -> list[dict[str, Any]]:
    """Each holder's own deviations from the fixed effects, with their conditional standard deviations."""
    told = []
    for number, did in enumerate(state.model.scope.holders):
        effects = inner @ sums["effects"][number]
        spread = inner @ sums["spread"][number] @ inner.T * state.fitted.residual
        told.append(
            {
                "holder": state.model.scope.names.get(did, did),
                "effects": [
                    {"term": name, "estimate": float(effects[i]), "sd": sqrt(max(float(spread[i, i]), 0.0))}
                    for i, name in enumerate(names)
                ],
            }
        )
    return told
