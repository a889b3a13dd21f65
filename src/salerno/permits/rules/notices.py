"""What persons are told of applications, permits and deadlines: kinds of notices, and which act tells whom.

A notice goes by e-mail, so it says what happened to which reference, and nothing of persons, data or reasons.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from salerno.identity.model import NoticeKind
from salerno.permits.model import ApplicationState, CountryStatus, PermitState
from salerno.permits.model.clock import Reminder

_NOT_COMPLETE = (ApplicationState.SUBMITTED, ApplicationState.PRE_SCREENING)

NOTICES: Mapping[str, NoticeKind] = {
    kind.name: kind
    for kind in (
        # to applicants
        NoticeKind(
            name="application-received",
            subject="Application {reference} was received",
            text="The health data access body of {country} has received application {reference}.",
        ),
        NoticeKind(
            name="application-complete",
            subject="Application {reference} is complete",
            text="Application {reference} is complete for {country}. The decision is due by {day}.",
        ),
        NoticeKind(
            name="question-asked",
            subject="A question about application {reference}",
            text="The health data access body of {country} needs more information about application "
            "{reference}. Answer by {day}; it does not decide before.",
        ),
        NoticeKind(
            name="decision-extended",
            subject="The decision on application {reference} takes longer",
            text="The health data access body of {country} has prolonged its time to decide on application "
            "{reference}. The decision is now due by {day}.",
        ),
        NoticeKind(
            name="fee-estimated",
            subject="The fee for application {reference}",
            text="The health data access body of {country} has estimated the fee for application "
            "{reference}. You can accept it, or withdraw and pay only for what was done so far.",
        ),
        NoticeKind(
            name="invoiced",
            subject="An invoice for application {reference}",
            text="There is an invoice for application {reference}, to be paid by {day}.",
        ),
        NoticeKind(
            name="decided-full",
            subject="Application {reference} was granted",
            text="The health data access body of {country} has granted application {reference}.",
        ),
        NoticeKind(
            name="decided-partial",
            subject="Application {reference} was granted in part",
            text="The health data access body of {country} has granted application {reference} in part.",
        ),
        NoticeKind(
            name="decided-refusal",
            subject="Application {reference} was refused",
            text="The health data access body of {country} has refused application {reference}. The reasons "
            "and how to appeal are in the decision.",
        ),
        NoticeKind(
            name="decided-request-instead",
            subject="Statistics instead of access: application {reference}",
            text="The health data access body of {country} offers an answer in an anonymised statistical "
            "format instead of access for application {reference}.",
        ),
        NoticeKind(
            name="decided-lapsed",
            subject="Application {reference} has lapsed",
            text="Application {reference} was not completed in time, so the health data access body of "
            "{country} cannot grant it. You can apply again.",
        ),
        NoticeKind(
            name="appeal-decided",
            subject="The appeal about application {reference} was decided",
            text="The appeal about application {reference} was decided.",
        ),
        NoticeKind(
            name="permit-changed",
            subject="Permit {reference} has a new version",
            text="Permit {reference} has a new version, which is valid until {day}.",
        ),
        NoticeKind(
            name="permit-revoked",
            subject="Permit {reference} was revoked",
            text="Permit {reference} was revoked. Nothing more can be computed under it.",
        ),
        NoticeKind(
            name="permit-expired",
            subject="Permit {reference} has ended",
            text="Permit {reference} has ended. Nothing more can be computed under it; results are due by "
            "{day}.",
        ),
        NoticeKind(
            name="data-delivered",
            subject="The data of permit {reference} are ready",
            text="The data of permit {reference} are ready to be used.",
        ),
        NoticeKind(
            name="data-deleted",
            subject="The data of permit {reference} were deleted",
            text="The data of permit {reference} were deleted. There is a receipt.",
        ),
        # to officers
        NoticeKind(
            name="case-arrived",
            subject="A new application: {reference}",
            text="Application {reference} has arrived and waits to be taken up.",
        ),
        NoticeKind(
            name="case-assigned",
            subject="Application {reference} is yours",
            text="Application {reference} was assigned to you.",
        ),
        NoticeKind(
            name="question-answered",
            subject="An answer about application {reference}",
            text="The applicant has answered the question about application {reference}. The time to decide "
            "runs again.",
        ),
        NoticeKind(
            name="second-person-needed",
            subject="A decision waits for a second person: {reference}",
            text="A decision on application {reference} was proposed and waits for a second person.",
        ),
        NoticeKind(
            name="application-withdrawn",
            subject="Application {reference} was withdrawn",
            text="The applicant has withdrawn application {reference}.",
        ),
        NoticeKind(
            name="appealed",
            subject="An appeal about application {reference}",
            text="The applicant has appealed against the decision on application {reference}.",
        ),
        NoticeKind(
            name="extension-asked",
            subject="An extension of permit {reference} is asked for",
            text="The data user asks for an extension of permit {reference}.",
        ),
        NoticeKind(
            name="results-published",
            subject="Results of permit {reference} were published",
            text="The data user has published results of permit {reference}.",
        ),
        # to holders
        NoticeKind(
            name="data-requested",
            subject="Data are asked for under permit {reference}",
            text="The health data access body of {country} asks for data under permit {reference}. They are "
            "due by {day}.",
        ),
        # to whoever owes
        NoticeKind(
            name="deadline-near",
            subject="{deadline}: {reference}",
            text="{count} day is left. {deadline}: {reference}, due by {day}.",
            plural="{count} days are left. {deadline}: {reference}, due by {day}.",
        ),
        NoticeKind(
            name="deadline-missed",
            subject="Overdue: {deadline}: {reference}",
            text="This was due by {day} and is {count} day late. {deadline}: {reference}.",
            plural="This was due by {day} and is {count} days late. {deadline}: {reference}.",
        ),
    )
}
"""Every kind by name."""

OFFICERS_TOLD: Mapping[str, str] = {
    "received": "case-arrived",
    "assigned": "case-assigned",
    "information-given": "question-answered",
    "proposed": "second-person-needed",
    "appealed": "appealed",
    "withdrawn": "application-withdrawn",
}
"""What officers are told when an act happens to a case."""

TOLD_TO_ALL = frozenset({"received", "proposed"})
"""Acts that all officers are told of; of the others the one who handles the case, or all when nobody does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """Something to be told: a kind with its values; what has a key is told once for ever."""

    kind: str
    values: Mapping[str, str | int]
    key: str = ""


def applicant_tellings(
    case_id: str, country: str, before: CountryStatus, after: CountryStatus
) -> tuple[Telling, ...]:
    """What an applicant is told when an access body reports where the application stands.

    Reports tell the newest status alone, so it is compared with the one before; what happened in between and
    does not show any more is not told.

    Args:
        case_id: The case.
        country: Whose access body reports.
        before: What the hub knew.
        after: What it knows now.
    """
    place = {"reference": case_id, "country": country}
    due = {"day": after.due.isoformat()} if after.due else {}
    permit = {"reference": after.permit_id or before.permit_id}
    asked = after.asked is not None and after.asked != before.asked
    decided = after.decided_at is not None and after.decided_at != before.decided_at
    complete = after.state is ApplicationState.PROCESSING and before.state in _NOT_COMPLETE
    revoked = after.permit_state is PermitState.REVOKED is not before.permit_state
    happened: list[tuple[bool, str, Mapping[str, str]]] = [
        (before.version == 0, "application-received", place),
        # Without a day, as another vendor's node may report it, there is nothing to tell.
        (asked and bool(due), "question-asked", place | due),
        (complete and bool(due), "application-complete", place | due),
        (after.extended and not before.extended and bool(due), "decision-extended", place | due),
        (
            before.state is ApplicationState.APPEALED is not after.state,
            "appeal-decided",
            {"reference": case_id},
        ),
        (decided and after.outcome is not None, f"decided-{after.outcome}", place),
        (revoked, "permit-revoked", permit),
    ]
    return tuple(
        Telling(kind=kind, values=values, key=f"{case_id}/{country}/{after.version}")
        for true, kind, values in happened
        if true
    )


def reminder_telling(reminder: Reminder, case_id: str, today: date) -> Telling:
    """A clock's reminder to whoever owes.

    Args:
        reminder: From `rules.clocks.reminders_between`.
        case_id: The case.
        today: The day on which it is told, which may be later than the reminder's own.
    """
    clock = reminder.clock
    assert clock.due is not None
    values: dict[str, str | int] = {
        "deadline": clock.deadline.label,
        "reference": case_id,
        "day": clock.due.isoformat(),
        "count": abs((clock.due - today).days),
    }
    kind = "deadline-missed" if reminder.missed else "deadline-near"
    return Telling(kind=kind, values=values, key=f"{case_id}/{reminder.key}")
