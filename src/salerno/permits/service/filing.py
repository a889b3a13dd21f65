"""The hub's desk: an applicant files one application for several countries and follows it."""

from __future__ import annotations

from dataclasses import replace

from salerno.identity.model import Participant, ParticipantRole
from salerno.kernel.errors import Conflict, Invalid, NotFound, Refused, SalernoError
from salerno.kernel.ids import new_id
from salerno.permits.model import (
    ApplicationState,
    Case,
    CasePart,
    DataAccessApplication,
    DataPermit,
    IssuedPermit,
    PermitState,
    StatusReport,
)
from salerno.permits.rules import (
    APPLICATION_STATES,
    can_step,
    check_complete,
    decision_due,
    overall_state,
    part_for,
)
from salerno.permits.service.cases import CaseFile, no_such_case
from salerno.permits.wire import CREDENTIAL_TYPE, parse_permit

FORWARD = "forward-application"


class Filing(CaseFile):
    """Use cases of applicants, and the reports of access bodies."""

    def draft(self, application: DataAccessApplication, applicant_id: str) -> Case:
        """Begin an application; it may be incomplete.

        Args:
            application: What is known so far.
            applicant_id: Account identifier of the person who files it.
        """
        self._at(ParticipantRole.HUB)
        now = self._clock.now()
        case = Case(
            id=new_id("case"),
            application=application,
            applicant_id=applicant_id,
            state=ApplicationState.DRAFT,
            countries=_drafts(application),
            created_at=now,
        )
        self._store.put_case(case)
        self._store.add_version(case.id, case.version, application, now)
        self._audit.append(actor=applicant_id, act="application-drafted", subject=case.id)
        return case

    def save(self, case_id: str, application: DataAccessApplication, by: str) -> Case:
        """Keep a changed draft, complete or not; after a question asked back, the draft of the answer.

        Raises:
            NotFound: There is no such case of this person.
            Conflict: It was submitted and nobody asks back, or the answer names other countries.
        """
        case = self._own_case(case_id, by)
        if ApplicationState.AWAITING_INFORMATION in case.countries.values():
            if _drafts(application).keys() != case.countries.keys():
                raise Conflict(
                    "countries-fixed",
                    "An answer cannot add or drop countries",
                    remedy="Keep the countries, and file another application for the others.",
                )
            case = replace(case, application=application)
        else:
            APPLICATION_STATES.after(case.state, "save")
            case = replace(case, application=application, countries=_drafts(application))
        return self._new_version(case, by, "application-saved")

    def submit(self, case_id: str, by: str) -> Case:
        """File a draft with every country's access body, or answer the questions asked back.

        Raises:
            Invalid: ``application-incomplete`` names every gap; ``no-access-body`` the countries
                that nobody answers for.
            Conflict: There is nothing to submit.
        """
        case = self._own_case(case_id, by)
        awaiting = [c for c, s in case.countries.items() if s is ApplicationState.AWAITING_INFORMATION]
        if not awaiting:
            APPLICATION_STATES.after(case.state, "submit")
        check_complete(case.application)
        self._check_access_bodies(case)
        verb, chosen = ("answer", awaiting) if awaiting else ("submit", list(case.countries))
        now = self._clock.now()
        due = decision_due(case.application, now)
        case = self._with_states(
            replace(
                case,
                submitted_at=case.submitted_at or now,
                # The hub's own reckoning until the access body reports its receipt.
                due=case.due | dict.fromkeys(chosen, due),
                reasons={c: r for c, r in case.reasons.items() if c not in chosen},
            ),
            {c: ApplicationState(APPLICATION_STATES.after(case.countries[c], verb)) for c in chosen},
        )
        case = self._new_version(case, by, "application-answered" if awaiting else "application-submitted")
        for country in chosen:
            self._forward(case, country)
        return case

    def answer(self, case_id: str, application: DataAccessApplication, by: str) -> Case:
        """Save and submit in one step, after a question asked back."""
        self.save(case_id, application, by)
        return self.submit(case_id, by)

    def withdraw(self, case_id: str, by: str) -> Case:
        """Withdraw the application in every country that has not decided yet.

        An access body that has decided meanwhile reports so, and its word stands.

        Raises:
            Conflict: All have decided.
        """
        case = self._own_case(case_id, by)
        before = case.countries
        undecided = [c for c, state in before.items() if can_step(state, "withdraw")]
        if not undecided and before:
            APPLICATION_STATES.after(case.state, "withdraw")
        case = self._with_states(
            replace(case, due={c: d for c, d in case.due.items() if c not in undecided}),
            dict.fromkeys(undecided, ApplicationState.WITHDRAWN),
        )
        if not before:
            case = replace(case, state=ApplicationState(APPLICATION_STATES.after(case.state, "withdraw")))
        case = self._new_version(case, by, "application-withdrawn")
        for country in undecided:
            if before[country] is not ApplicationState.DRAFT:
                self._forward(case, country, withdrawn=True)
        return case

    def outgoing_part(
        self, case_id: str, country: str, version: int, *, withdrawn: bool = False
    ) -> tuple[Participant, CasePart]:
        """What a forwarding job sends, and to whom."""
        case = self._found(case_id)
        application = self._store.application(case_id, version)
        if application is None or case.submitted_at is None:
            raise no_such_case()
        part = CasePart(
            case_id=case_id,
            version=version,
            country=country,
            application=part_for(application, country),
            applicant_id=case.applicant_id,
            submitted_at=case.submitted_at,
            withdrawn=withdrawn,
        )
        return self._access_body(country), part

    def note_undelivered(self, case_id: str, country: str, error: SalernoError) -> None:
        """Let the applicant see that a country's part could not be delivered; a later report clears it."""
        case = self._found(case_id)
        reason = f"Not delivered yet: {error}"
        if case.reasons.get(country) != reason:
            self._store.put_case(replace(case, reasons=case.reasons | {country: reason}))
            self._audit.append(
                actor=self._own.did,
                act="application-undelivered",
                subject=case_id,
                detail={"country": country},
            )

    def record(self, report: StatusReport, sender: str) -> Case:
        """Take in an access body's report; one that is not newer than what is known changes nothing.

        Args:
            report: The report.
            sender: DID of the participant that sent it.

        Raises:
            NotFound: There is no such case here, or it does not concern that country.
            Refused: The sender is not the country's access body, or the permit is not of this case.
        """
        self._at(ParticipantRole.HUB)
        body = self._peers.participant(sender)
        if body.role is not ParticipantRole.ACCESS_BODY or body.country != report.country:
            refusal = Refused(
                "not-your-country",
                f"{sender} is not the access body of {report.country}",
                rule="EHDS Art. 55(1)",
            )
            raise self._refuse_message(sender, report.case_id, refusal)
        case = self._found(report.case_id)
        country = report.country
        if country not in case.countries or case.submitted_at is None:
            raise no_such_case()
        if report.version <= case.status_versions.get(country, 0):
            return case
        permit_id = self._keep_permit(report, sender, case)
        reasons = {c: r for c, r in case.reasons.items() if c != country}
        due = {c: d for c, d in case.due.items() if c != country}
        decided = {c: d for c, d in case.decided_at.items() if c != country}
        case = self._with_states(
            replace(
                case,
                reasons=reasons | ({country: report.reason} if report.reason else {}),
                due=due | ({country: report.due} if report.due else {}),
                decided_at=decided | ({country: report.decided_at} if report.decided_at else {}),
                permit_ids=case.permit_ids | ({country: permit_id} if permit_id else {}),
                status_versions=case.status_versions | {country: report.version},
            ),
            {country: report.state},
        )
        self._store.put_case(case)
        self._audit.append(
            actor=sender,
            act="status-recorded",
            subject=case.id,
            detail={"country": country, "state": report.state.value, "version": report.version},
            rule="EHDS Art. 67, 68",
        )
        return case

    def permits_of(self, user_id: str) -> list[IssuedPermit]:
        """The permits that name a person, newest first, with their present state."""
        return [self._present(issued) for issued in self._store.permits(person_id=user_id)]

    def _keep_permit(self, report: StatusReport, sender: str, case: Case) -> str:
        if not report.token:
            return ""
        stored = self._store.permit(case.permit_ids.get(report.country, ""))
        # A known credential was checked when it came; its end must not keep a later status out.
        known = stored is not None and stored.token == report.token
        permit = stored.permit if stored and known else self._checked_permit(report, sender)
        revoked = report.permit_state is PermitState.REVOKED
        self._store.put_permit(
            IssuedPermit(
                permit=permit,
                token=report.token,
                state=PermitState.REVOKED if revoked else PermitState.GRANTED,
                revoked_at=report.revoked_at if revoked else None,
                revocation_reason=report.reason if revoked else "",
            )
        )
        return permit.id

    def _checked_permit(self, report: StatusReport, sender: str) -> DataPermit:
        permit = parse_permit(self._peers.verify_credential(report.token, type=CREDENTIAL_TYPE))
        if (permit.issuer, permit.application_id, permit.country, permit.environment) != (
            sender,
            report.case_id,
            report.country,
            self._own.did,
        ):
            refusal = Refused(
                "permit-mismatch",
                f"Permit {permit.id} is not of this case, country, access body and environment",
                rule="EHDS Art. 68(10)",
            )
            raise self._refuse_message(sender, report.case_id, refusal)
        return permit

    def _own_case(self, case_id: str, by: str) -> Case:
        self._at(ParticipantRole.HUB)
        case = self._found(case_id)
        if case.applicant_id != by:
            raise no_such_case()
        return case

    def _with_states(self, case: Case, changed: dict[str, ApplicationState]) -> Case:
        countries = case.countries | changed
        state = overall_state(countries.values()) if countries else case.state
        return replace(case, countries=countries, state=state)

    def _new_version(self, case: Case, by: str, act: str) -> Case:
        case = replace(case, version=case.version + 1)
        self._store.put_case(case)
        self._store.add_version(case.id, case.version, case.application, self._clock.now())
        self._audit.append(
            actor=by, act=act, subject=case.id, detail={"version": case.version}, rule="EHDS Art. 67"
        )
        return case

    def _forward(self, case: Case, country: str, *, withdrawn: bool = False) -> None:
        payload = {"case_id": case.id, "country": country, "version": case.version, "withdrawn": withdrawn}
        self._jobs.enqueue(FORWARD, payload, key=f"{FORWARD}/{case.id}/{country}/{case.version}")

    def _access_body(self, country: str) -> Participant:
        for body in self._peers.participants(ParticipantRole.ACCESS_BODY):
            if body.country == country:
                return body
        raise NotFound("no-access-body", f"No access body of {country} takes part", rule="EHDS Art. 55(1)")

    def _check_access_bodies(self, case: Case) -> None:
        present = {body.country for body in self._peers.participants(ParticipantRole.ACCESS_BODY)}
        missing = [country for country in case.countries if country not in present]
        if missing:
            raise Invalid(
                "no-access-body",
                f"No access body takes part for {', '.join(missing)}",
                rule="EHDS Art. 55(1)",
                remedy="Leave out the data sets of these countries, or ask the hub's operator.",
            )


def _drafts(application: DataAccessApplication) -> dict[str, ApplicationState]:
    return {scope.country: ApplicationState.DRAFT for scope in application.data}
