"""An access body's desk: officers assess their country's part and decide; every change is reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime

from salerno.identity.model import Participant, ParticipantRole
from salerno.kernel.errors import Invalid, Refused
from salerno.kernel.ids import new_id
from salerno.kernel.time import add_months
from salerno.permits.model import (
    ApplicationState,
    Assessment,
    Case,
    CasePart,
    DataPermit,
    DataScope,
    Decision,
    DisclosurePolicy,
    IssuedPermit,
    NamedPerson,
    PermitState,
    StatusReport,
)
from salerno.permits.rules import (
    APPLICATION_STATES,
    FINAL_STATES,
    MAX_PERIOD_MONTHS,
    PERMIT_STATES,
    can_step,
    check_assessment,
    check_narrower,
    completion_due,
    decision_due,
)
from salerno.permits.service.cases import CaseFile, no_such_case, no_such_permit

REPORT = "report-status"
_LAPSED = "The application was not completed within four weeks"


class Deciding(CaseFile):
    """Use cases of an access body's officers, and the hub's deliveries."""

    def receive(self, part: CasePart, sender: str) -> Case:
        """Take in an application's part, an answer to a question, or a withdrawal from the hub.

        A part that is not newer than what is known, or comes after the decision, changes nothing.

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
        if part.version <= case.version or case.state in FINAL_STATES:
            return case
        verb = "withdraw" if part.withdrawn else "answer"
        state = ApplicationState(APPLICATION_STATES.after(case.state, verb))
        self._store.add_version(case.id, part.version, part.application, self._clock.now())
        return self._change(
            replace(case, application=part.application, version=part.version),
            state,
            actor=sender,
            act="application-withdrawn" if part.withdrawn else "application-answered",
            due=None if part.withdrawn else decision_due(part.application, self._clock.now()),
        )

    def take_up(self, case_id: str, officer: str) -> Case:
        """Begin to process a case."""
        case = self._here(case_id)
        return self._step(case, "take up", actor=officer, act="case-taken-up", due=self._due(case))

    def ask_back(self, case_id: str, officer: str, question: str) -> Case:
        """Ask the applicant to complete the application; the decision's deadline is void meanwhile.

        Raises:
            Invalid: The question is empty.
        """
        if not question.strip():
            raise Invalid(
                "question-missing", "A question to the applicant needs words", rule="EHDS Art. 68(4)"
            )
        due = completion_due(self._clock.now())
        case = self._here(case_id)
        return self._step(
            case, "ask back", actor=officer, act="information-requested", due=due, reason=question.strip()
        )

    def grant(
        self,
        case_id: str,
        officer: str,
        assessment: Assessment,
        *,
        data: Sequence[DataScope] | None = None,
        persons: Sequence[NamedPerson] | None = None,
        methods: Sequence[str] | None = None,
        months: int | None = None,
        until: datetime | None = None,
        policy: DisclosurePolicy | None = None,
        conditions: str = "",
        opt_out_exception: str = "",
        fee_cents: int = 0,
    ) -> IssuedPermit:
        """Issue a permit for what was asked, or for less.

        Args:
            case_id: The case.
            officer: Account identifier of the officer.
            assessment: All criteria, all met.
            data: Permitted data sets; None means as asked, here and below.
            persons: Persons who get access.
            methods: Permitted analysis methods; empty means all.
            months: Duration from now, months.
            until: End to the second, where an earlier one than after `months` is wanted.
            policy: Disclosure policy that answers must meet.
            conditions: Further conditions in words.
            opt_out_exception: Reason why data of opted-out persons are included (Art. 71(4)).
            fee_cents: Fee in cents.

        Raises:
            Refused: ``criteria-not-met``, or ``permit-too-wide`` with everything that was not asked for.
            Conflict: The case is not being processed.
        """
        case = self._here(case_id)
        APPLICATION_STATES.after(case.state, "grant")
        assessment = replace(assessment, assessor=officer)
        check_assessment(assessment, granting=True)
        asked, now = case.application, self._clock.now()
        length = min(asked.period_months, MAX_PERIOD_MONTHS) if months is None else months
        begin = now.replace(microsecond=0)  # a credential's envelope counts whole seconds
        permit = DataPermit(
            id=f"urn:salerno:permit:{new_id(self._own.country.lower())}",
            application_id=case.id,
            issuer=self._own.did,
            country=self._own.country,
            applicant=asked.applicant,
            approved_at=now,
            valid_from=begin,
            valid_until=_end(begin, length, until),
            data=tuple(asked.data if data is None else data),
            pseudonymised=asked.pseudonymised,
            purpose=asked.purpose,
            purpose_detail=asked.intended_use,
            persons=_with_lead(asked.persons if persons is None else tuple(persons)),
            environment=case.forwarded_by,
            methods=tuple(asked.methods if methods is None else methods),
            opt_out_exception=opt_out_exception.strip(),
            fee_cents=fee_cents,
            conditions=conditions,
            policy=policy or DisclosurePolicy(),
        )
        check_narrower(permit, asked)
        issued = IssuedPermit(permit=permit, token=self._signer(permit), state=PermitState.GRANTED)
        self._store.put_permit(issued)
        self._decide(case, ApplicationState.GRANTED, officer, assessment, permit_id=permit.id)
        self._step(
            replace(case, permit_ids={self._own.country: permit.id}),
            "grant",
            actor=officer,
            act="permit-issued",
            about=permit.id,
            decided_at=now,
        )
        return issued

    def refuse(self, case_id: str, officer: str, assessment: Assessment, reason: str = "") -> Case:
        """Refuse a case, or close one that the applicant did not complete in time.

        Args:
            case_id: The case.
            officer: Account identifier of the officer.
            assessment: What stands against it: a criterion that is not met, or a risk.
            reason: Justification that the applicant and the public read.

        Raises:
            Invalid: The reason is missing, or the assessment has nothing against the application.
            Conflict: The case is not being processed, or the applicant still has time to answer.
        """
        case = self._here(case_id)
        verb = "lapse" if self._has_lapsed(case) else "refuse"
        APPLICATION_STATES.after(case.state, verb)
        assessment = replace(assessment, assessor=officer)
        if verb == "lapse":
            reason = reason.strip() or _LAPSED
        else:
            check_assessment(assessment, granting=False, reason=reason)
        self._decide(case, ApplicationState.REFUSED, officer, assessment, reason=reason.strip())
        return self._step(
            case,
            verb,
            actor=officer,
            act="application-refused",
            reason=reason.strip(),
            decided_at=self._clock.now(),
        )

    def revoke(self, permit_id: str, officer: str, reason: str) -> IssuedPermit:
        """Revoke a permit at once.

        Raises:
            NotFound: This access body issued no such permit.
            Invalid: There is no reason.
            Conflict: It was revoked before, or has expired.
        """
        self._at(ParticipantRole.ACCESS_BODY)
        if not reason.strip():
            raise Invalid("reason-missing", "A revocation needs a reason", rule="EHDS Art. 63")
        stored = self._store.permit(permit_id)
        if stored is None:
            raise no_such_permit()
        state = PermitState(PERMIT_STATES.after(self._present(stored).state, "revoke"))
        issued = replace(stored, state=state, revoked_at=self._clock.now(), revocation_reason=reason.strip())
        self._store.put_permit(issued)
        case = self._found(issued.permit.application_id)
        self._change(
            case,
            case.state,
            actor=officer,
            act="permit-revoked",
            about=permit_id,
            reason=reason.strip(),
            decided_at=case.decided_at.get(self._own.country),
        )
        return issued

    def status(self, permit_id: str) -> IssuedPermit:
        """A permit of this node with its present state.

        Raises:
            NotFound: There is none.
        """
        stored = self._store.permit(permit_id)
        if stored is None:
            raise no_such_permit()
        return self._present(stored)

    def status_for(self, permit_id: str, asker: str) -> IssuedPermit:
        """Like `status`, for a participant that the permit concerns: its environment, or a holder in it.

        Raises:
            NotFound: There is none, or it does not concern the asker.
        """
        issued = self.status(permit_id)
        if asker not in {issued.permit.environment, *(scope.holder for scope in issued.permit.data)}:
            raise no_such_permit()
        return issued

    def decision(self, case_id: str) -> Decision | None:
        """The decision on a case with its assessment; None while there is none."""
        return self._store.decision(self._here(case_id).id)

    def outgoing_report(self, case_id: str) -> tuple[Participant, StatusReport]:
        """What a reporting job sends, always the newest status, and to whom."""
        case = self._found(case_id)
        country = self._own.country
        issued = self._store.permit(case.permit_ids.get(country, ""))
        report = StatusReport(
            case_id=case_id,
            country=country,
            version=case.status_versions[country],
            state=case.state,
            reason=case.reasons.get(country, ""),
            due=case.due.get(country),
            token=issued.token if issued else "",
            permit_state=issued.state if issued else None,
            revoked_at=issued.revoked_at if issued else None,
            decided_at=case.decided_at.get(country),
        )
        return self._peers.participant(case.forwarded_by), report

    def _here(self, case_id: str) -> Case:
        self._at(ParticipantRole.ACCESS_BODY)
        return self._found(case_id)

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
            countries={},
            created_at=now,
            submitted_at=part.submitted_at,
            version=part.version,
            forwarded_by=sender,
        )
        self._store.put_case(case)
        self._store.add_version(case.id, part.version, part.application, now)
        return self._change(
            case,
            state,
            actor=sender,
            act="application-received",
            due=None if part.withdrawn else decision_due(part.application, now),
        )

    def _due(self, case: Case) -> date | None:
        return case.due.get(self._own.country)

    def _has_lapsed(self, case: Case) -> bool:
        due = self._due(case)
        late = due is not None and self._clock.now().date() > due
        return late and can_step(case.state, "lapse")

    def _decide(
        self,
        case: Case,
        state: ApplicationState,
        officer: str,
        assessment: Assessment,
        *,
        reason: str = "",
        permit_id: str = "",
    ) -> None:
        self._store.add_decision(
            Decision(
                case_id=case.id,
                state=state,
                officer=officer,
                assessment=assessment,
                decided_at=self._clock.now(),
                application_version=case.version,
                reason=reason,
                permit_id=permit_id,
            )
        )

    def _step(
        self,
        case: Case,
        verb: str,
        *,
        actor: str,
        act: str,
        about: str = "",
        due: date | None = None,
        reason: str = "",
        decided_at: datetime | None = None,
    ) -> Case:
        state = ApplicationState(APPLICATION_STATES.after(case.state, verb))
        return self._change(
            case, state, actor=actor, act=act, about=about, due=due, reason=reason, decided_at=decided_at
        )

    def _change(
        self,
        case: Case,
        state: ApplicationState,
        *,
        actor: str,
        act: str,
        about: str = "",
        due: date | None = None,
        reason: str = "",
        decided_at: datetime | None = None,
    ) -> Case:
        country = self._own.country
        version = case.status_versions.get(country, 0) + 1
        case = replace(
            case,
            state=state,
            countries={country: state},
            due={country: due} if due else {},
            reasons={country: reason} if reason else {},
            decided_at={country: decided_at} if decided_at else {},
            status_versions={country: version},
        )
        self._store.put_case(case)
        self._audit.append(
            actor=actor,
            act=act,
            subject=about or case.id,
            detail={"case": case.id, "state": state.value, "version": version},
            rule="EHDS Art. 67, 68",
        )
        self._jobs.enqueue(
            REPORT, {"case_id": case.id, "version": version}, key=f"{REPORT}/{case.id}/{version}"
        )
        return case


def _end(begin: datetime, months: int, until: datetime | None) -> datetime:
    latest = _months_later(begin, months)
    if until is None:
        return latest
    if until.tzinfo is None:
        raise Invalid(
            "permit-period", "The permit's end has no time zone", remedy="Write it with an offset or Z."
        )
    end = until.replace(microsecond=0)
    if not begin < end:
        raise Invalid("permit-period", "The permit would end before it begins", rule="EHDS Art. 68(12)")
    return end


def _months_later(instant: datetime, months: int) -> datetime:
    if not 1 <= months <= MAX_PERIOD_MONTHS:
        raise Invalid(
            "permit-period",
            f"A permit runs for 1 to {MAX_PERIOD_MONTHS} months",
            rule="EHDS Art. 68(12)",
        )
    return datetime.combine(add_months(instant.date(), months), instant.timetz())


def _with_lead(persons: tuple[NamedPerson, ...]) -> tuple[NamedPerson, ...]:
    # Art. 68(10)(d) wants the principal investigator named; one person alone is that.
    return tuple(replace(p, principal_investigator=True) for p in persons) if len(persons) == 1 else persons
