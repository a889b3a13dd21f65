"""An access body's desk: officers take up cases, look whether they are complete, and ask back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from salerno.identity.model import Participant, ParticipantRole
from salerno.kernel.errors import Conflict as Clash
from salerno.kernel.errors import Invalid, Refused, near
from salerno.permits.model import (
    ApplicationState,
    Case,
    CasePart,
    Conflict,
    CountryStatus,
    Handling,
    InformationRequest,
    StatusReport,
)
from salerno.permits.model.clock import Clock, ClockState
from salerno.permits.model.form import FormSheet
from salerno.permits.rules import (
    APPLICATION_STATES,
    can_step,
    case_due,
    field_of,
    open_clocks,
    route_of,
    running,
    sheet_of,
)
from salerno.permits.service.cases import CaseFile, no_such_case

REPORT = "report-status"


class CaseHandling(CaseFile):
    """Use cases of an access body's officers before the decision, and the hub's deliveries."""

    def receive(self, part: CasePart, sender: str) -> Case:
        """Take in an application's part, an answer, an appeal, or a withdrawal from the hub.

        A part that is not newer than what is known, or a withdrawal after the decision, changes nothing.

        Args:
            part: What the hub sent.
            sender: DID of the participant that sent it.

        Raises:
            Refused: The sender is no hub, or not the one that the case came from.
            Invalid: The part is for another country.
            Conflict: A new version came although nobody asked back.
        """
        self._at(ParticipantRole.ACCESS_BODY)
        if self._peers.participant(sender).role is not ParticipantRole.HUB:
            refusal = Refused("not-a-hub", f"{sender} is no hub, so it cannot forward applications")
            raise self._refuse_message(sender, part.case_id, refusal)
        self._check_country(part)
        case = self._store.case(part.case_id)
        if case is None:
            return self._open(part, sender)
        if case.forwarded_by != sender:
            raise no_such_case()
        if part.version <= case.version:
            return case
        if part.appeal:
            return self._appeal(replace(case, version=part.version), part)
        if case.state in (ApplicationState.DECIDED, ApplicationState.APPEALED, ApplicationState.WITHDRAWN):
            return case
        verb = "withdraw" if part.withdrawn else "answer"
        state = self._after(case, verb)
        self._store.add_version(case.id, part.version, part.application, self._clock.now())
        return self._change(
            replace(case, application=part.application, version=part.version),
            "withdrawn" if part.withdrawn else "information-given",
            part.applicant_id,
            state=state,
            asked=None,
        )

    def take_up(self, case_id: str, officer: str) -> Case:
        """Begin to look whether an application is complete; the officer handles the case from now on."""
        case = self._for(case_id, officer)
        state = self._after(case, "take up")
        case = replace(case, handling=replace(case.handling, assignee=officer))
        return self._change(case, "taken-up", officer, state=state)

    def find_complete(self, case_id: str, officer: str) -> Case:
        """End the pre-screening: the application is complete and can be assessed."""
        case = self._for(case_id, officer)
        return self._change(case, "found-complete", officer, state=self._after(case, "find complete"))

    def assign(self, case_id: str, officer: str, to: str) -> Case:
        """Hand a case to an officer, oneself included; empty to put it back.

        Raises:
            Invalid: Nobody of that account handles cases here.
            Refused: They declared a conflict of interest in this case.
            Conflict: The case is closed.
        """
        case = self._here(case_id)
        known = self._officers()
        if to and to not in known:
            raise Invalid(
                "no-such-officer", f"No officer has the account {to!r} here", remedy=near(to, known)
            )
        _check_no_conflict(case, to)
        if case.state in (ApplicationState.DECIDED, ApplicationState.WITHDRAWN):
            raise Clash("case-closed", "The case is closed, so nobody has to handle it")
        case = replace(case, handling=replace(case.handling, assignee=to))
        return self._keep(case, "assigned", officer, country=self._own.country, detail={"to": to})

    def declare_conflict(self, case_id: str, officer: str, words: str) -> Case:
        """Declare a conflict of interest: from now on the officer takes no part in the case.

        A decision that the officer has proposed falls, and the case is handed back.

        Raises:
            Invalid: It is not said what the conflict is.
        """
        case = self._here(case_id)
        if not words.strip():
            raise Invalid("conflict-words", "Say what the conflict of interest is", rule=_CONFLICT)
        if any(conflict.officer == officer for conflict in case.handling.conflicts):
            return case
        declared = Conflict(officer=officer, words=words.strip(), declared_at=self._clock.now())
        handling = case.handling
        proposal = handling.proposal
        handling = Handling(
            assignee="" if handling.assignee == officer else handling.assignee,
            conflicts=(*handling.conflicts, declared),
            proposal=None if proposal and proposal.officer == officer else proposal,
        )
        case = replace(case, handling=handling)
        detail = {"words": declared.words}
        country = self._own.country
        return self._keep(case, "conflict-declared", officer, country=country, detail=detail, rule=_CONFLICT)

    def ask_back(
        self, case_id: str, officer: str, question: str, comments: Mapping[str, str] | None = None
    ) -> Case:
        """Ask the applicant to complete the application; the decision's deadline is void meanwhile.

        Args:
            case_id: The case.
            officer: Account identifier of the officer.
            question: What is missing or unclear, in words.
            comments: The same by field of the form, e.g. ``{"safeguards": "Who has the keys?"}``.

        Raises:
            Invalid: Nothing is asked, or a comment is on a field that no application has.
        """
        asked = {name: words.strip() for name, words in (comments or {}).items() if words.strip()}
        check_comments(sheet_of(self._here(case_id).application.form), asked)
        if not question.strip() and not asked:
            raise Invalid(
                "question-missing", "A question to the applicant needs words", rule="EHDS Art. 68(4)"
            )
        now = self._clock.now()
        case = self._for(case_id, officer)
        request = InformationRequest(question=question.strip(), comments=asked, asked_at=now)
        return self._change(
            replace(case, handling=replace(case.handling, proposal=None)),
            "information-requested",
            officer,
            detail={"question": request.question, "comments": asked},
            state=self._after(case, "ask back"),
            asked=request,
        )

    def extend(self, case_id: str, officer: str, reason: str) -> Case:
        """Extend the period for the decision, once; the applicant reads why.

        Raises:
            Invalid: There is no reason.
            Conflict: It was extended before, or nothing runs.
        """
        case = self._for(case_id, officer)
        state = self._after(case, "extend")
        if not reason.strip():
            raise Invalid("reason-missing", "An extension needs a reason", rule="EHDS Art. 68(4)")
        clock = next((c for c in open_clocks(self._clocks(case)) if c.deadline.extension), None)
        if clock is None or clock.extended or clock.state is not ClockState.RUNNING:
            raise Clash(
                "no-extension",
                "The period for the decision was extended before, or is over",
                rule="EHDS Art. 68(4)",
            )
        return self._change(
            case, "extended", officer, detail={"reason": reason.strip()}, state=state, extended=True
        )

    def clocks(self, case_id: str) -> tuple[Clock, ...]:
        """The legal clocks of a case, the next last day first."""
        return self._clocks(self._here(case_id))

    def outgoing_report(self, case_id: str) -> tuple[Participant, StatusReport]:
        """What a reporting job sends, always the newest status, and to whom."""
        case = self._found(case_id)
        status = self._status(case)
        issued = self._store.permit(status.permit_id)
        report = StatusReport(
            case_id=case_id,
            country=self._own.country,
            status=status,
            token=issued.token if issued else "",
        )
        return self._peers.participant(case.forwarded_by), report

    def _appeal(self, case: Case, part: CasePart) -> Case:
        """The applicant appeals (D6.4): the decision stands until the access body has looked at it again."""
        if not can_step(case.state, "appeal"):
            return case
        state = self._after(case, "appeal")
        return self._change(case, "appealed", part.applicant_id, detail={"grounds": part.appeal}, state=state)

    def _here(self, case_id: str) -> Case:
        self._at(ParticipantRole.ACCESS_BODY)
        return self._found(case_id)

    def _for(self, case_id: str, officer: str) -> Case:
        """A case that an officer may act on.

        Raises:
            Refused: They declared a conflict of interest.
        """
        case = self._here(case_id)
        _check_no_conflict(case, officer)
        return case

    def _status(self, case: Case) -> CountryStatus:
        return case.countries[self._own.country]

    def _after(self, case: Case, verb: str) -> ApplicationState:
        return ApplicationState(APPLICATION_STATES.after(case.state, verb))

    def _check_country(self, part: CasePart) -> None:
        countries = {part.country, *(scope.country for scope in part.application.data)}
        if countries != {self._own.country}:
            raise Invalid(
                "wrong-country",
                f"This is the access body of {self._own.country}, but the part is for "
                f"{', '.join(sorted(countries))}",
                rule="EHDS Art. 67(3)",
            )

    def _open(self, part: CasePart, sender: str) -> Case:
        now = self._clock.now()
        state = ApplicationState.WITHDRAWN if part.withdrawn else ApplicationState.SUBMITTED
        case = Case(
            id=part.case_id,
            application=part.application,
            applicant_id=part.applicant_id,
            state=state,
            countries={self._own.country: CountryStatus(state=state)},
            created_at=now,
            submitted_at=part.submitted_at,
            kind=part.kind,
            earlier={self._own.country: part.earlier} if part.earlier else {},
            version=part.version,
            forwarded_by=sender,
        )
        self._store.put_case(case, now)
        self._store.add_version(case.id, part.version, part.application, now)
        case = self._change(case, "received", sender, state=state)
        # The register shows it from now on.
        self._happened(case, "application-published", self._own.did, state, self._own.country)
        return case

    def _clocks(self, case: Case) -> tuple[Clock, ...]:
        events = self._store.events(case.id)
        route = route_of(case.application)
        return running(events, self._own.country, self._clock.now(), route=route)

    def _timed(self, case: Case) -> Case:
        if self._own.role is not ParticipantRole.ACCESS_BODY:
            return case
        status = replace(self._status(case), due=case_due(self._clocks(case)))
        return replace(case, countries={self._own.country: status})

    def _change(
        self,
        case: Case,
        act: str,
        actor: str,
        *,
        about: str = "",
        detail: Mapping[str, Any] | None = None,
        rule: str = "EHDS Art. 67, 68",
        **status: Any,
    ) -> Case:
        """Keep a changed status, and have it reported to the hub."""
        country = self._own.country
        before = self._status(case)
        after = replace(before, version=before.version + 1, act=act, **status)
        case = replace(case, state=after.state, countries={country: after})
        case = self._keep(case, act, actor, country=country, detail=detail, about=about, rule=rule)
        self._jobs.enqueue(
            REPORT,
            {"case_id": case.id, "version": after.version},
            key=f"{REPORT}/{case.id}/{after.version}",
        )
        return case


_CONFLICT = "EHDS Art. 55, 57; impartiality of the officer"


def check_comments(form: FormSheet, comments: Mapping[str, str]) -> None:
    """Check that comments are on fields that the form has.

    Raises:
        Invalid: One is not; the nearest field is named.
    """
    for name in comments:
        field_of(form, name)


def _check_no_conflict(case: Case, officer: str) -> None:
    if officer and any(conflict.officer == officer for conflict in case.handling.conflicts):
        raise Refused(
            "conflict-of-interest",
            "This officer has declared a conflict of interest in the case",
            rule=_CONFLICT,
            remedy="Have another officer handle it.",
        )
