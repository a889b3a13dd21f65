"""Spans of persons' time, counted by calendar interval without a row per person and interval.

Spans are grouped by the first and the last interval that they touch, in one pass over the view. From how many
there are of each kind, and how many days of these two intervals they leave out, follow the persons and the
days of every interval between.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from salerno.analysis.disclosure.cells import extended, hidden_table, inner
from salerno.analysis.model import Parameter, Question, Scope
from salerno.analysis.questions import names
from salerno.analysis.sums.calendar import Calendar
from salerno.analysis.sums.columns import integers
from salerno.kernel.errors import Invalid, near

INTERVAL = Parameter(
    name="interval",
    label="By",
    kind="choice",
    optional=True,
    options=(("", "Year"), ("quarters", "Quarter"), ("months", "Month"), ("overall", "The whole study")),
)
OUTCOMES = Parameter(
    name="outcomes",
    label="Outcomes",
    kind="columns",
    hint="All of the population's when empty",
    optional=True,
)
BY_SEX = Parameter(
    name="by",
    label="Also by",
    kind="choice",
    optional=True,
    options=(("", "Age group alone"), ("sex", "Sex")),
)
COMPLETE = Parameter(
    name="complete_intervals",
    label="Intervals that are only partly in the study",
    kind="choice",
    optional=True,
    advanced=True,
    options=(("", "Leave out"), ("false", "Tell as well")),
)

Counts = NDArray[np.int64]

MOST_CELLS = 100_000
"""Cells of a question's answer: age groups, sexes, outcomes and intervals together."""

SEXES = ("F", "M", "U")


@dataclass(frozen=True)
class Strata:
    """What the figures of a population are told by.

    Args:
        scope: What the nodes agree on.
        calendar: The intervals.
        age_groups: Labels of the age groups.
        outcomes: Names of the outcomes.
        by_sex: Whether each sex is told as well.
        shown: Intervals that are told.
    """

    scope: Scope
    calendar: Calendar
    age_groups: tuple[str, ...]
    outcomes: tuple[str, ...]
    by_sex: bool
    shown: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Age groups, sexes, outcomes and one more for all persons, intervals."""
        return len(self.age_groups), len(SEXES), len(self.outcomes) + 1, len(self.calendar.intervals)

    def places(self, table: pa.Table) -> tuple[Counts, Counts, Counts]:
        """Age group, sex and outcome of each aggregated row; outcome 0 is all persons, -1 is not asked
        for.
        """
        ages = _codes(table, "age_group", self.age_groups)
        sexes = _codes(table, "sex", SEXES)
        listed = {name: number for number, name in enumerate(self.outcomes, 1)}
        outcomes = [0 if v is None else listed.get(v, -1) for v in table["outcome"].to_pylist()]
        return ages, sexes, np.array(outcomes, dtype=np.int64).reshape(-1)


def strata_of(question: Question, scope: Scope, calendar: Calendar) -> Strata:
    """Read ``outcomes``, ``by`` and ``complete_intervals`` of a question.

    Raises:
        Invalid: A name is wrong, or there would be more cells than `MOST_CELLS`.
    """
    known = scope.dictionary.variables["outcome"].levels
    outcomes = names(question, "outcomes", required=False) or known
    for name in outcomes:
        if name not in known:
            raise Invalid(
                "unknown-outcome", f"The population has no outcome {name!r}", remedy=near(name, known)
            )
    if not outcomes:
        raise Invalid(
            "no-outcome", "The population has no outcome", remedy="Name one in the frame's 'population'."
        )
    by = names(question, "by", required=False)
    if set(by) - {"sex"}:
        raise Invalid(
            "unknown-choice",
            f"A population is told by 'sex', and always by age group, not by {min(set(by) - {'sex'})!r}",
        )
    complete = truth(question, "complete_intervals", default=True)
    shown = tuple(n for n, i in enumerate(calendar.intervals) if i.complete or not complete)
    if not shown:
        raise Invalid(
            "no-interval",
            f"No whole interval of the kind {calendar.unit!r} is in the study period",
            remedy="Ask for shorter intervals, or set 'complete_intervals' to false.",
        )
    strata = Strata(
        scope=scope,
        calendar=calendar,
        age_groups=scope.dictionary.variables["age_group"].levels,
        outcomes=outcomes,
        by_sex=bool(by),
        shown=shown,
    )
    if int(np.prod(strata.shape)) > MOST_CELLS:
        raise Invalid(
            "too-many-cells",
            f"The answer would have more than {MOST_CELLS} cells",
            remedy="Ask for longer intervals, or for fewer outcomes or age groups at a time.",
        )
    return strata


def truth(question: Question, key: str, *, default: bool) -> bool:
    """True or false, also as a form sends it."""
    value = question.get(key, default)
    if isinstance(value, str) and value in {"true", "false"}:
        return value == "true"
    if not isinstance(value, bool):
        raise Invalid("wrong-type", f"{key!r} must be true or false, not {value!r}")
    return value


def told_rows(strata: Strata, persons: Counts) -> Iterator[tuple[dict[str, Any], tuple[int, int, int, int]]]:
    """What each row of an answer is about, and its place in the arrays; strata of nobody are left out.

    Args:
        strata: What figures are told by.
        persons: Persons, both sexes last.
    """
    sexes = [*SEXES, "Both"] if strata.by_sex else ["Both"]
    for number, outcome in enumerate(strata.outcomes):
        for age, age_group in enumerate(strata.age_groups):
            for sex in sexes:
                column = len(SEXES) if sex == "Both" else SEXES.index(sex)
                if not persons[age, column, number].any():
                    continue
                for interval in strata.shown:
                    named = strata.calendar.intervals[interval]
                    head = {
                        "outcome": outcome,
                        "age_group": age_group,
                        "sex": sex,
                        "interval": named.name,
                        "start_date": named.first.isoformat(),
                        "end_date": named.last.isoformat(),
                    }
                    yield head, (age, column, number, interval)


def covered(shape: Sequence[int], place: tuple[Counts, ...], low: Counts, high: Counts, n: Counts) -> Counts:
    """How many spans cover each interval.

    Args:
        shape: Shape of the result, intervals last.
        place: Index of each row in the other dimensions.
        low: First interval of each row.
        high: Its last interval; where that is before the first, the row covers none.
        n: Spans of each row.
    """
    steps = np.zeros((*shape[:-1], shape[-1] + 1), dtype=np.int64)
    used = low <= high
    rows = tuple(index[used] for index in place)
    np.add.at(steps, (*rows, low[used]), n[used])
    np.add.at(steps, (*rows, high[used] + 1), -n[used])
    return np.asarray(np.cumsum(steps, axis=-1)[..., :-1])


def is_again(view: ir.Table, calendar: Calendar) -> ir.IntegerValue:
    """1 where the person's span before ends in the interval in which this one begins, so is counted there."""
    seen = view.last_end.notnull() & (calendar.index(view.last_end) == calendar.index(view.start_date))
    return ibis.ifelse(seen.fill_null(False), 1, 0).cast("int64")


def at_intervals(values: Counts, place: tuple[Counts, ...], at: Counts, shape: Sequence[int]) -> Counts:
    """Sums of rows at one interval each."""
    result = np.zeros(tuple(shape), dtype=np.int64)
    np.add.at(result, (*place, at), values)
    return result


def numbers(table: pa.Table, *columns: str) -> tuple[Counts, ...]:
    """Columns of whole numbers."""
    return tuple(integers(table, name) for name in columns)


def hidden_strata(counts: Counts, min_cell: int, given: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
    """Cells of one interval and outcome that must not be told: age group by sex, both sexes last.

    Args:
        counts: Persons, shape (age groups, sexes).
        min_cell: Smallest publishable count.
        given: Cells that are blank already.

    Returns:
        Shape (age groups, sexes + 1); the last column is of both sexes together.
    """
    table = extended(counts)
    if 0 < counts.sum() < min_cell:
        return np.ones((counts.shape[0], counts.shape[1] + 1), dtype=bool)
    blank = np.zeros(table.shape, dtype=bool)
    if given is not None:
        inner(blank)[...] = given
        blank[:-1, -1] |= given.any(axis=1)
    return np.asarray(hidden_table(table, min_cell, blank)[:-1], dtype=bool)


def _codes(table: pa.Table, column: str, levels: Sequence[str]) -> Counts:
    place = {level: number for number, level in enumerate(levels)}
    codes = [place.get(value, -1) for value in table[column].to_pylist()]
    return np.array(codes, dtype=np.int64).reshape(table.num_rows)
