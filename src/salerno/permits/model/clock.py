"""Legal deadlines as rows of a table, and the clocks that run by them in a case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from salerno.kernel.time import Period


class Party(StrEnum):
    """Who owes what a deadline asks for."""

    APPLICANT = "data applicant"
    ACCESS_BODY = "access body"
    HOLDER = "data holder"
    TRUSTED_HOLDER = "trusted data holder"
    USER = "data user"
    BOTH_SIDES = "data holder and data user"
    CHARGED = "charged party"


class Route(StrEnum):
    """The procedure that a case goes through; it says how long a decision may take."""

    ORDINARY = "ordinary"
    PUBLIC_BODY = "public-body"
    TRUSTED_HOLDER = "trusted-holder"
    REQUEST = "request"


class Happening(Protocol):
    """What a clock reads of an event of a case.

    `at` is its instant, `act` its name, `detail` JSON values: ``clock`` names the deadline that ``extended``
    concerns, ``outcome`` what was decided, a row's own keys its subject and its day.
    """

    @property
    def at(self) -> datetime: ...  # noqa: D102

    @property
    def act(self) -> str: ...  # noqa: D102

    @property
    def detail(self) -> Mapping[str, Any]: ...  # noqa: D102


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """One legal deadline: a row of the table.

    Args:
        name: Identifier.
        label: What is due, for people.
        rule: Source.
        starts: Acts that start it.
        outcomes: It starts only when the start event has one of these outcomes; empty for any.
        met_by: Acts that meet it.
        owes: Who has to act.
        missed: What it means when it is missed, in words.
        length: How long it is; None where the start event names the day itself.
        anchor: Key of the start event's detail that names a day from which the length is counted back, or on
            which the deadline ends when there is no length.
        anew: Whether a further start event starts it anew while it runs.
        routes: Procedures in which it runs; empty for all.
        subject: Key of the events' detail by which it runs separately, e.g. ``holder``: each one asked has a
            clock. An event that names no subject concerns all.
        extension: Most by which it can be prolonged, once.
        extendable_freely: It can be prolonged once, up to any day that the event names.
        paused_by, resumed_by: Acts between which it does not run.
        voided_by: Acts after which nothing is owed any more.
        remind_days: Days before its last day on which to remind whoever owes.
        decides: Whether it is one of those on the way to a case's decision, which lists of cases show.
        escalates_to: Who hears of a missed one, besides whoever owes.
    """

    name: str
    label: str
    rule: str
    starts: tuple[str, ...]
    met_by: tuple[str, ...]
    owes: Party
    missed: str
    length: Period | None = None
    anchor: str = ""
    anew: bool = False
    outcomes: tuple[str, ...] = ()
    routes: frozenset[Route] = frozenset()
    subject: str = ""
    extension: Period | None = None
    extendable_freely: bool = False
    paused_by: tuple[str, ...] = ()
    resumed_by: tuple[str, ...] = ()
    voided_by: tuple[str, ...] = ()
    remind_days: tuple[int, ...] = (14, 3)
    decides: bool = False
    escalates_to: str = ""


class ClockState(StrEnum):
    """How a clock stands."""

    RUNNING = "running"
    PAUSED = "paused"
    MET = "met"
    MISSED = "missed"
    VOID = "void"


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """A deadline that was started in a case, as it stands at an instant.

    Args:
        deadline: The row.
        subject: For whom or what it runs, e.g. a holder's DID; empty where it concerns the whole case.
        state: How it stands.
        started: Instant of the event that started it.
        due: Its last day; None while it is paused.
        days_left: Days from now to its last day, negative once that is over; None for others than running and
            missed ones.
        days_late: Days by which what was owed came after the last day, or is over it now.
        turn: Whose turn it is; empty when nobody owes anything any more.
        ended: Instant at which it was met or became void.
        extended: Whether it was prolonged.
        paused_days: Days on which it did not run.
    """

    deadline: Deadline
    subject: str
    state: ClockState
    started: datetime
    due: date | None
    days_left: int | None
    days_late: int
    turn: str
    ended: datetime | None = None
    extended: bool = False
    paused_days: int = 0

    @property
    def key(self) -> str:
        """Its name within the case, the same however often it is computed."""
        return "/".join((self.deadline.name, self.subject, self.started.strftime("%Y%m%dT%H%M%SZ")))

    @property
    def reminders(self) -> tuple[date, ...]:
        """Days on which to remind whoever owes; none unless it runs."""
        if self.due is None or self.state is not ClockState.RUNNING:
            return ()
        days = (self.due - timedelta(days=n) for n in sorted(self.deadline.remind_days, reverse=True))
        return tuple(day for day in days if day > self.started.date())


@dataclass(frozen=True, slots=True, kw_only=True)
class Reminder:
    """Something to tell about a clock on a day.

    Args:
        clock: The clock.
        day: The day on which it is to be told.
        missed: The last day is over; otherwise it comes near.
        key: Its name within the case: told once for ever.
    """

    clock: Clock
    day: date
    missed: bool

    @property
    def key(self) -> str:  # noqa: D102
        return f"{self.clock.key}/{self.day.isoformat()}"
