"""The question of a Cox regression: its parameters, and the model that it asks for."""

from __future__ import annotations

from dataclasses import replace

from salerno.analysis.formula import Formula, parse_formula
from salerno.analysis.model import Parameter, Question, Scope
from salerno.analysis.questions import (
    CONF_LEVEL,
    EVENT_CODES,
    HOLDER,
    REFERENCE,
    RESOLUTION,
    check_keys,
    choice,
    conf_level,
    factor,
    names,
    numeric,
    references,
    variable,
)
from salerno.analysis.sums.cox_closing import CLOCKS, Closing
from salerno.analysis.sums.cox_model import Model
from salerno.analysis.sums.follow_up import follow_up
from salerno.analysis.sums.prediction import profiles
from salerno.analysis.sums.told_times import CONF_TYPE, CONF_TYPES, GRID, grid_of
from salerno.kernel.errors import Invalid

PARAMETERS = (
    Parameter(
        name="formula",
        label="Formula",
        kind="formula",
        hint="Time and event in Surv(…), then the columns with + between them",
        default="Surv(time, status) ~ age + sex",
    ),
    Parameter(
        name="strata",
        label="Baseline hazard",
        kind="choice",
        optional=True,
        options=(
            ("", "One for each data holder (recommended)"),
            ("null", "One shared by all"),
        ),
    ),
    Parameter(
        name="ties",
        label="Tied times",
        kind="choice",
        optional=True,
        options=(
            ("", "The method's usual way"),
            ("efron", "Efron"),
            ("breslow", "Breslow"),
        ),
    ),
    EVENT_CODES,
    Parameter(
        name="id",
        label="Person",
        hint="The column that names the person, where one has several rows",
        optional=True,
        advanced=True,
    ),
    Parameter(name="weights", label="Weights", optional=True, advanced=True),
    Parameter(
        name="cluster",
        label="Clusters",
        hint="A column whose equal values are not independent",
        optional=True,
        advanced=True,
    ),
    Parameter(
        name="errors",
        label="Standard errors",
        kind="choice",
        optional=True,
        advanced=True,
        options=(("", "As the model says, or robust with clusters"), ("HC0", "Robust")),
    ),
    Parameter(
        name="proportional_hazards",
        label="Test of proportional hazards",
        kind="choice",
        optional=True,
        advanced=True,
        options=(("", "No"), ("identity", "Effects that change with time"), ("log", "With its logarithm")),
    ),
    Parameter(
        name="predict",
        label="Survival at",
        kind="object",
        hint='As JSON, e.g. [{"age": 50, "sex": "F"}]',
        optional=True,
        advanced=True,
    ),
    GRID,
    REFERENCE,
    RESOLUTION,
    CONF_LEVEL,
    CONF_TYPE,
)


def model_of(question: Question, scope: Scope) -> Model:
    """What a question asks for.

    Raises:
        Invalid: It cannot be asked; a misspelt name is met with the nearest known one.
    """
    check_keys(question, PARAMETERS)
    formula = _formula(question, scope)
    asked = question.get("strata", HOLDER)
    listed = names({"strata": asked, "method": "cox"}, "strata", required=False)
    strata = dict.fromkeys([*listed, *formula.strata])
    by_holder = strata.pop(HOLDER, "") is None or len(scope.holders) == 1
    event = question.get("event", formula.event)
    if isinstance(event, dict) and event.get("column") != formula.event:
        raise Invalid("event-codes", "'event' must name the formula's event column")
    follow = follow_up(question, scope, time=formula.time, event_column=event, start=formula.start)
    weights, person = question.get("weights"), question.get("id")
    person = "" if person is None else variable(scope, person, role="id").name
    robust = bool(formula.cluster) or choice(question, "errors", ("model", "HC0"), "model") == "HC0"
    read = [c for n in (*formula.numerics, *formula.offsets) for c in n.columns]
    columns = list(dict.fromkeys([*read, *(f.column for f in formula.factors)]))
    return Model(
        scope=scope,
        formula=formula,
        follow=follow,
        ties=choice(question, "ties", ("efron", "breslow"), "efron"),
        strata=tuple(factor(scope, name, role="strata") for name in strata),
        by_holder=by_holder,
        weights=None if weights is None else numeric(scope, weights, role="weights"),
        person=person,
        predict=profiles(question.get("predict"), columns),
        grid=grid_of(question, follow),
        closing=Closing(
            robust=robust,
            cluster=formula.cluster or (person if robust else ""),
            clock=choice(question, "proportional_hazards", ("", *CLOCKS), ""),
        ),
        conf_level=conf_level(question),
        conf_type=choice(question, "conf_type", CONF_TYPES, "log"),
    )


def _formula(question: Question, scope: Scope) -> Formula:
    formula = parse_formula(
        question.get("formula"),
        scope,
        references(question, scope),
        special=("strata", "offset", "cluster"),
    )
    if not formula.time:
        raise Invalid("wrong-formula", "A cox formula begins with Surv(time, event) ~")
    if not formula.terms:
        raise Invalid("wrong-formula", "A cox formula needs a term")
    cluster = question.get("cluster")
    if cluster is None:
        return formula
    if formula.cluster:
        raise Invalid("wrong-formula", "Clusters are given in the formula and as 'cluster'")
    return replace(formula, cluster=variable(scope, cluster, role="cluster").name)
