"""The frame of a study on OMOP as one table, whatever kind of rows it has, with what is known of its
columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import ibis.expr.types as ir

from salerno.catalogue.model import Datatype, Variable
from salerno.holdings.engine.cohorts import Cohorts
from salerno.holdings.engine.dictionary import Profile, datatype_of, profile
from salerno.holdings.engine.events import KEY, Tables
from salerno.holdings.engine.frame import build, frame_columns
from salerno.holdings.engine.memberships import (
    Attrition,
    attrition_frame,
    attrition_of,
    cohorts_frame,
    concepts_frame,
    window_label,
)
from salerno.holdings.engine.paths import paths_frame
from salerno.holdings.engine.population import age_label, observed_spans, population_frame, study_period
from salerno.holdings.engine.source import Source
from salerno.holdings.model import StudyFrame

PERIOD = "study_period"
"""Column of a population's frame with the study's first and last day, the same in every row."""

MOST_PATHS = 300


@dataclass(frozen=True)
class StudyTable:
    """A frame before it is kept.

    Args:
        rows: Its rows with `KEY`.
        levels: Levels that follow from the frame alone, whatever the data, by column.
        frequent: Columns of which the most frequent values are levels, with their largest number.
        constants: Further columns with one value.
    """

    rows: ir.Table
    levels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    frequent: Mapping[str, int] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)


def study_table(frame: StudyFrame, cohorts: Cohorts) -> StudyTable:
    """The table of a frame; it must be resolved and checked."""
    tables = cohorts.prepare(frame)
    if frame.rows == "attrition":
        rows, steps = attrition_frame(attrition_steps(frame, cohorts, tables))
        return StudyTable(rows, {"step": steps})
    if frame.population is not None:
        asked = frame.population
        period = study_period(asked)
        levels = {
            "age_group": tuple(age_label(group) for group in asked.age_groups),
            "sex": ("F", "M", "U"),
            "span": ("observed", "known", "at_risk", "case"),
            "outcome": tuple(asked.outcomes),
            PERIOD: (period,),
        }
        return StudyTable(population_frame(asked, tables, cohorts.keep), levels, constants={PERIOD: period})
    if frame.rows == "cohorts":
        return StudyTable(cohorts_frame(frame, tables), dict.fromkeys(frame.groups, ("0", "1")))
    steps_made = build(frame, tables)
    if frame.concepts is not None:
        windows = tuple(window_label(window) for window in frame.concepts.windows)
        entries = cohorts.keep("entries", steps_made.entries)
        rows = concepts_frame(frame.concepts, entries, tables)
        levels = {"group": tuple(frame.groups), "window": windows}
        return StudyTable(rows, levels, {"concept": frame.concepts.most})
    if frame.treatments is not None:
        entries = cohorts.keep("entries", steps_made.entries)
        rows = paths_frame(frame.treatments, entries, tables)
        return StudyTable(rows, {"group": tuple(frame.groups)}, {"path": MOST_PATHS})
    entries = steps_made.entries
    if cohorts.repeats_queries and (frame.covariates or frame.drug is not None):
        entries = cohorts.keep("entries", entries)
    return StudyTable(frame_columns(frame, entries, tables))


def attrition_steps(frame: StudyFrame, cohorts: Cohorts, tables: Tables) -> Attrition:
    """Persons left after each step of a frame: the rules of its Circe cohort, then the frame's own.

    The rules come first where the frame has one group and that is a Circe cohort.
    """
    if frame.population is not None:
        found = observed_spans(frame.population, tables, cohorts.keep)
        return Attrition(found.steps, found.met)
    own = dict(build(frame, tables).by_step)
    definitions = list(frame.groups.values())
    if len(definitions) != 1 or definitions[0].circe is None:
        return attrition_of(own)
    cohort = cohorts.cohort(definitions[0])
    persons = tables("person").select(KEY)
    passed = cohort.passed.semi_join(persons, KEY)
    steps = {"qualifying event": passed}
    for number, rule in enumerate(cohort.rules, 1):
        steps[f"inclusion rule: {rule}"] = passed.filter(passed.passed >= number)
    return attrition_of({**steps, **own})


def describe_study(source: Source, kept: ir.Table, study: StudyTable, *, min_cell: int) -> Profile:
    """What a kept frame shows of itself.

    A population's columns follow from the frame alone, so its rows are only counted.
    """
    if PERIOD in study.levels:
        counted = kept.aggregate(persons=kept[KEY].nunique(), rows=kept.count())
        row = source.fetch(counted).to_pylist()[0]
        variables = {
            name: Variable(name=name, datatype=kind, levels=study.levels.get(name, ()))
            for name in kept.columns
            if name != KEY and (kind := datatype_of(kept[name].type())) is not None
        }
        for name, value in study.constants.items():
            variables[name] = Variable(name=name, datatype=Datatype.STRING, levels=(value,))
        return Profile(variables, int(row["rows"]), int(row["persons"]))
    found = profile(
        source,
        kept,
        min_cell=min_cell,
        person=KEY,
        hidden=frozenset({KEY}),
        without_levels=frozenset({*study.levels, *study.frequent}),
    )
    levels = {
        **study.levels,
        **{name: _frequent(source, kept, name, min_cell, most) for name, most in study.frequent.items()},
    }
    variables = {
        name: replace(variable, levels=levels[name]) if name in levels else variable
        for name, variable in found.variables.items()
    }
    return replace(found, variables=variables)


def _frequent(source: Source, table: ir.Table, column: str, min_cell: int, most: int) -> tuple[str, ...]:
    """The values that most persons have, of those that enough have."""
    known = table.filter(table[column].notnull())
    counted = known.group_by(level=known[column]).aggregate(persons=known[KEY].nunique())
    enough = counted.filter(counted.persons >= min_cell)
    first = enough.order_by([enough.persons.desc(), enough.level]).limit(most)
    return tuple(sorted(row["level"] for row in source.fetch(first).to_pylist()))
