"""Legal deadlines as a table; only those that run between receipt and decision."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from salerno.kernel.time import add_months
from salerno.permits.model import DataAccessApplication


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """One legal deadline.

    Args:
        name: Identifier.
        starts: Event that starts it.
        months, days: Its length.
        owes: Whose turn it is.
        paused_by: State in which it does not run; it starts anew when the state ends.
        rule: Source.
    """

    name: str
    starts: str
    owes: str
    rule: str
    months: int = 0
    days: int = 0
    paused_by: str = ""

    def due(self, start: datetime) -> date:
        """Last day of the deadline that began at `start` (UTC calendar)."""
        return add_months(start.date(), self.months) + timedelta(days=self.days)


CLOCKS: dict[str, Deadline] = {
    clock.name: clock
    for clock in (
        Deadline(
            name="decision",
            starts="receipt of the complete application",
            months=3,
            owes="access body",
            paused_by="awaiting-information",
            rule="EHDS Art. 68(4)",
        ),
        Deadline(
            name="decision-public-body",
            starts="receipt of the complete application of a public body for Art. 53(1)(a)-(c)",
            months=2,
            owes="access body",
            paused_by="awaiting-information",
            rule="EHDS Art. 68, accelerated procedure for public bodies",
        ),
        Deadline(
            name="completion",
            starts="question asked back",
            days=28,
            owes="data applicant",
            rule="EHDS Art. 68(4)",
        ),
    )
}


def decision_due(application: DataAccessApplication, received_at: datetime) -> date:
    """Last day on which the access body decides, counted from the receipt of the complete application."""
    fast = application.is_public_body and application.purpose.public_bodies_only
    return CLOCKS["decision-public-body" if fast else "decision"].due(received_at)


def completion_due(asked_at: datetime) -> date:
    """Last day on which the applicant can complete the application after a question."""
    return CLOCKS["completion"].due(asked_at)
