"""What persons are told of applications, permits and deadlines: kinds of notices, and which act tells whom.

A notice goes by e-mail, so it says what happened to which reference, and nothing of persons, data or reasons.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from salerno.identity.model import NoticeKind
from salerno.permits.model.clock import Reminder


class Audience(StrEnum):
    """Whom an act concerns."""

    APPLICANT = "applicant"
    OFFICERS = "officers"
    ASSIGNEE = "assignee"
    HOLDER = "holder"


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
            "runs again; it ends on {day}.",
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

_A, _O, _H = Audience.APPLICANT, Audience.OFFICERS, Audience.HOLDER

TOLD: Mapping[str, tuple[tuple[Audience, str], ...]] = {
    "received": ((_A, "application-received"), (_O, "case-arrived")),
    "found-complete": ((_A, "application-complete"),),
    "assigned": ((Audience.ASSIGNEE, "case-assigned"),),
    "information-requested": ((_A, "question-asked"),),
    "information-given": ((Audience.ASSIGNEE, "question-answered"),),
    "extended": ((_A, "decision-extended"),),
    "proposed": ((_O, "second-person-needed"),),
    "fee-estimated": ((_A, "fee-estimated"),),
    "invoiced": ((_A, "invoiced"),),
    "appealed": ((_O, "appealed"),),
    "appeal-decided": ((_A, "appeal-decided"),),
    "withdrawn": ((_O, "application-withdrawn"),),
    "amended": ((_A, "permit-changed"), (_H, "permit-changed")),
    "renewed": ((_A, "permit-changed"), (_H, "permit-changed")),
    "extension-asked": ((_O, "extension-asked"),),
    "revoked": ((_A, "permit-revoked"), (_H, "permit-revoked")),
    "expired": ((_A, "permit-expired"),),
    "data-requested": ((_H, "data-requested"),),
    "data-delivered": ((_A, "data-delivered"),),
    "results-published": ((_O, "results-published"),),
    "deleted": ((_A, "data-deleted"),),
}
"""Who is told what when an act happens; `decision_notice` for ``decided``, which depends on the outcome."""


def decision_notice(outcome: str) -> str:
    """The kind by which an applicant hears of a decision.

    Args:
        outcome: ``full``, ``partial``, ``refusal``, ``request-instead`` or ``lapsed``.

    Raises:
        KeyError: There is no such outcome.
    """
    return NOTICES[f"decided-{outcome}"].name


def reminder_notice(reminder: Reminder, reference: str) -> tuple[str, dict[str, str | int], str]:
    """A clock's reminder as kind, values and key of a notice; the same reminder has the same key for ever.

    Args:
        reminder: From `rules.clocks.reminders_between`.
        reference: What people call the case.
    """
    clock = reminder.clock
    assert clock.due is not None
    values: dict[str, str | int] = {
        "deadline": clock.deadline.label,
        "reference": reference,
        "day": clock.due.isoformat(),
        "count": abs((clock.due - reminder.day).days),
    }
    return "deadline-missed" if reminder.missed else "deadline-near", values, reminder.key
