"""Calendar intervals of a study: their names and days, and a date's interval as an expression."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

import ibis
import ibis.expr.types as ir
import numpy as np
from numpy.typing import NDArray

from salerno.analysis.model import Scope
from salerno.analysis.questions import variable
from salerno.kernel.errors import Invalid

PERIOD = "study_period"
"""Column of a population's frame that has the study's first and last day as its one level."""

UNITS = ("years", "quarters", "months", "overall")


@dataclass(frozen=True)
class Interval:
    """One interval.

    Args:
        name: ``2012``, ``2012-Q3``, ``2012-07`` or ``overall``.
        first, last: Its first and last day.
        complete: Whether all of it is in the study.
    """

    name: str
    first: date
    last: date
    complete: bool


@dataclass(frozen=True)
class Calendar:
    """The intervals that a study is divided into.

    Args:
        unit: One of `UNITS`.
        start, end: First and last day of the study.
    """

    unit: str
    start: date
    end: date

    @cached_property
    def intervals(self) -> tuple[Interval, ...]:
        """All intervals that the study touches, in order."""
        if self.unit == "overall":
            return (Interval("overall", self.start, self.end, True),)
        months = {"years": 12, "quarters": 3, "months": 1}[self.unit]
        found = []
        for number in range(self._number(self.start), self._number(self.end) + 1):
            first = _month(number * months)
            last = _month((number + 1) * months) - timedelta(days=1)
            complete = self.start <= first and last <= self.end
            found.append(Interval(self._name(first), first, last, complete))
        return tuple(found)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Days of each interval, by the calendar."""
        return np.array([(i.last - i.first).days + 1 for i in self.intervals], dtype=np.int64)

    def index(self, day: ir.DateValue) -> ir.IntegerValue:
        """Number of the interval that a day of the study is in, from 0."""
        match self.unit:
            case "years":
                number = day.year()
            case "quarters":
                number = day.year() * 4 + day.quarter() - 1
            case "months":
                number = day.year() * 12 + day.month() - 1
            case _:
                return ibis.literal(0, type="int64")
        return (number - self._number(self.start)).cast("int64")

    def offset(self, day: ir.DateValue) -> ir.IntegerValue:
        """Days of the interval before a day of the study."""
        match self.unit:
            case "years":
                return (day.day_of_year() - 1).cast("int64")
            case "quarters":
                return day.delta(day.truncate("Q").cast("date"), unit="day").cast("int64")
            case "months":
                return (day.day() - 1).cast("int64")
        return day.delta(ibis.literal(self.start), unit="day").cast("int64")

    def is_last_day(self, day: ir.DateValue) -> ir.BooleanValue:
        """Whether a day is the last of its interval."""
        if self.unit == "overall":
            return day == ibis.literal(self.end)
        return self.offset((day + ibis.interval(days=1)).cast("date")) == 0

    def _number(self, day: date) -> int:
        match self.unit:
            case "years":
                return day.year
            case "quarters":
                return day.year * 4 + (day.month - 1) // 3
        return day.year * 12 + day.month - 1

    def _name(self, first: date) -> str:
        match self.unit:
            case "years":
                return str(first.year)
            case "quarters":
                return f"{first.year}-Q{(first.month + 2) // 3}"
        return f"{first.year}-{first.month:02}"


def calendar_of(scope: Scope, unit: str) -> Calendar:
    """The calendar of a population's frame.

    Raises:
        Invalid: The study reads no population.
    """
    if PERIOD not in scope.dictionary.variables:
        raise Invalid(
            "no-population",
            "The study's frame is no population, so nobody knows who was observed when",
            remedy="Give the frame a 'population' with study dates, age groups and outcomes.",
        )
    (period,) = variable(scope, PERIOD, role="study period").levels
    start, _, end = period.partition("/")
    return Calendar(unit, date.fromisoformat(start), date.fromisoformat(end))


def _month(number: int) -> date:
    return date(number // 12, number % 12 + 1, 1)
