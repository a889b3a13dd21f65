"""The hub's desk: an applicant files one application for several countries and follows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from salerno.identity.model import Participant, ParticipantRole
from salerno.kernel.errors import Conflict, Invalid, NotFound, Refused, SalernoError
from salerno.kernel.ids import is_id, new_id
from salerno.permits.model import (
    ApplicationState,
    Case,
    CaseKind,
    CasePart,
    CountryStatus,
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
    check_earlier,
    overall_state,
    part_for,
)
from salerno.permits.rules.notices import applicant_tellings
from salerno.permits.service.cases import CaseFile, no_such_case, no_such_permit
from salerno.permits.wire import CREDENTIAL_TYPE, parse_permit

FORWARD = "forward-application"


class Filing(CaseFile):
    """Use cases of applicants, and the reports of access bodies."""

    def draft(self, application: DataAccessApplication, applicant_id: str, *, case_id: str = "") -> Case:
        """Begin an application; it may be incomplete.

        Args:
            application: What is known so far.
            applicant_id: Account identifier of the person who files it.
            case_id: Identifier that the asker has made, so that asking twice begins one application.

        Raises:
            NotFound: It is somebody else's.
            Invalid: It is no identifier of a case.
        """
        if case_id and self._store.case(case_id) is not None:
            return self._own_case(case_id, applicant_id)
        if case_id and not is_id(case_id, "case"):
            raise Invalid("wrong-case-id", "This is no identifier of an application", remedy="Leave it out.")
        return self._draft(application, applicant_id, case_id=case_id)

    def draft_change(self, permit_ids: Sequence[str], kind: CaseKind, by: str) -> Case:
        """Begin an application for permits in the place of others: an amendment or a renewal (Art. 68(12)).

        It begins as what was asked for before; each country decides on its own permit.

        Args:
            permit_ids: The permits, of one application of this person.
            kind: Amendment or renewal.
            by: Account identifier of the person who files it.

        Raises:
            NotFound: There is no such permit, or its application is not this person's.
            Invalid: The permits are of several applications, or none is given.
            Conflict: A permit has ended, was extended before, or ends within a month.
        """
        self._at(ParticipantRole.HUB)
        earlier: dict[str, IssuedPermit] = {}
        for permit_id in permit_ids:
            stored = self._store.permit(permit_id)
            if stored is None or self._found(stored.permit.application_id).applicant_id != by:
                raise no_such_permit()
            check_earlier(kind, self._present(stored), self._clock.now().date())
            earlier[stored.permit.country] = stored
        origins = {issued.permit.application_id for issued in earlier.values()}
        if len(origins) != 1 or len(earlier) != len(permit_ids):
            raise Invalid(
                "permits-of-one",
                "An amendment or renewal is for permits of one application",
                rule="EHDS Art. 68(12)",
                remedy="Give one or more permits of the same application.",
            )
        application = self._found(origins.pop()).application
        data = tuple(scope for scope in application.data if scope.country in earlier)
        ids = {country: issued.permit.id for country, issued in earlier.items()}
        return self._draft(replace(application, data=data), by, kind=kind, earlier=ids)

    def save(self, case_id: str, application: DataAccessApplication, by: str) -> Case:
        """Keep a changed draft, complete or not; after a question asked back, the draft of the answer.

        Raises:
            NotFound: There is no such case of this person.
            Conflict: It was submitted and nobody asks back, or it names other countries than it may.
        """
        return self._new_version(self._changed(case_id, application, by), by, "saved")

    def _changed(self, case_id: str, application: DataAccessApplication, by: str) -> Case:
        case = self._own_case(case_id, by)
        named = {scope.country for scope in application.data}
        if _awaiting(case):
            if named != case.countries.keys():
                raise Conflict(
                    "countries-fixed",
                    "An answer cannot add or drop countries",
                    remedy="Keep the countries, and file another application for the others.",
                )
            return replace(case, application=application)
        APPLICATION_STATES.after(case.state, "save")
        if case.earlier and named != case.earlier.keys():
            raise Conflict(
                "countries-fixed",
                "An amendment or renewal is for the countries of its permits",
                rule="EHDS Art. 68(12)",
                remedy="File another application for further countries.",
            )
        return replace(case, application=application, countries=_drafts(application))

    def keep(self, case_id: str, application: DataAccessApplication, by: str) -> Case:
        """Keep what is being written, as it is, without a version of its own: called at each field.

        Raises:
            As `save`.
        """
        case = self._changed(case_id, application, by)
        self._store.put_case(case, self._clock.now())
        return case

    def submit(self, case_id: str, by: str) -> Case:
        """File a draft with every country's access body, or answer the questions asked back.

        Raises:
            Invalid: ``application-incomplete`` names every gap; ``no-access-body`` the countries
                that nobody answers for.
            Conflict: There is nothing to submit, or a permit that is to be changed has ended meanwhile.
        """
        case = self._own_case(case_id, by)
        awaiting = _awaiting(case)
        if not awaiting:
            APPLICATION_STATES.after(case.state, "submit")
        check_complete(case.application)
        self._check_access_bodies(case)
        now = self._clock.now()
        for permit_id in () if awaiting else case.earlier.values():
            stored = self._store.permit(permit_id)
            if stored is None:
                raise no_such_permit()
            check_earlier(case.kind, self._present(stored), now.date())
        verb, chosen = ("answer", awaiting) if awaiting else ("submit", list(case.countries))
        changed = {c: replace(s, due=None, asked=None) for c, s in case.countries.items() if c in chosen}
        case = self._step(replace(case, submitted_at=case.submitted_at or now), changed, verb)
        case = self._new_version(case, by, "information-given" if awaiting else "submitted")
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
        undecided = {c: replace(s, due=None) for c, s in before.items() if can_step(s.state, "withdraw")}
        if undecided:
            case = self._step(case, undecided, "withdraw")
        else:
            case = replace(case, state=ApplicationState(APPLICATION_STATES.after(case.state, "withdraw")))
        case = self._new_version(case, by, "withdrawn")
        for country in undecided:
            if before[country].state is not ApplicationState.DRAFT:
                self._forward(case, country, withdrawn=True)
        return case

    def appeal(self, case_id: str, country: str, grounds: str, by: str) -> Case:
        """Appeal against a country's decision, within the time that its law gives.

        Raises:
            Invalid: There are no grounds.
            NotFound: The application does not concern that country.
            Conflict: Nothing is decided, or the time is over.
        """
        case = self._own_case(case_id, by)
        status = case.countries.get(country)
        if status is None:
            raise no_such_case()
        APPLICATION_STATES.after(status.state, "appeal")
        if not grounds.strip():
            raise Invalid("grounds-missing", "An appeal needs its grounds", rule=_APPEAL)
        if status.appeal_until is not None and self._clock.now().date() > status.appeal_until:
            raise Conflict(
                "appeal-late",
                f"An appeal could be lodged until {status.appeal_until}",
                rule=_APPEAL,
                remedy="File a new application.",
            )
        case = self._step(case, {country: status}, "appeal")
        case = self._new_version(case, by, "appealed", country=country, detail={"grounds": grounds.strip()})
        self._forward(case, country, appeal=True)
        return case

    def outgoing_part(
        self, case_id: str, country: str, version: int, *, withdrawn: bool = False, appeal: bool = False
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
            kind=case.kind,
            earlier=case.earlier.get(country, ""),
            withdrawn=withdrawn,
            appeal=self._grounds(case_id, country) if appeal else "",
        )
        return self._access_body(country), part

    def note_undelivered(self, case_id: str, country: str, error: SalernoError) -> None:
        """Let the applicant see that a country's part could not be delivered; a later report clears it."""
        case = self._found(case_id)
        status = case.countries[country]
        if status.undelivered != str(error):
            countries = case.countries | {country: replace(status, undelivered=str(error))}
            case = replace(case, countries=countries)
            self._keep(case, "undelivered", self._own.did, country=country, detail={"code": error.code})

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
        country, status = report.country, report.status
        if body.role is not ParticipantRole.ACCESS_BODY or body.country != country:
            refusal = Refused(
                "not-your-country",
                f"{sender} is not the access body of {country}",
                rule="EHDS Art. 55(1)",
            )
            raise self._refuse_message(sender, report.case_id, refusal)
        case = self._found(report.case_id)
        if country not in case.countries or case.submitted_at is None:
            raise no_such_case()
        if status.version <= case.countries[country].version:
            return case
        before, permit_id = case.countries[country], self._keep_permit(report, sender, case)
        countries = case.countries | {country: replace(status, permit_id=permit_id, undelivered="")}
        case = replace(case, countries=countries, state=overall_state(s.state for s in countries.values()))
        detail = {"outcome": status.outcome.value if status.outcome else "", "reason": status.reason}
        if status.asked:
            detail |= {"question": status.asked.question}
        case = self._keep(case, status.act or "received", sender, country=country, detail=detail)
        for telling in applicant_tellings(case.id, country, before, case.countries[country]):
            self._tell(case.applicant_id, telling, case.id)
        return case

    def permits_of(self, user_id: str) -> list[IssuedPermit]:
        """The permits that name a person, newest first, with their present state."""
        return [self._present(issued) for issued in self._store.permits(person_id=user_id)]

    def _draft(
        self,
        application: DataAccessApplication,
        applicant_id: str,
        kind: CaseKind = CaseKind.APPLICATION,
        earlier: dict[str, str] | None = None,
        case_id: str = "",
    ) -> Case:
        self._at(ParticipantRole.HUB)
        now = self._clock.now()
        case = Case(
            id=case_id or new_id("case"),
            application=application,
            applicant_id=applicant_id,
            state=ApplicationState.DRAFT,
            countries=_drafts(application),
            created_at=now,
            kind=kind,
            earlier=earlier or {},
        )
        self._store.put_case(case, now)
        self._store.add_version(case.id, case.version, application, now)
        return self._keep(case, "drafted", applicant_id, rule="EHDS Art. 67")

    def _keep_permit(self, report: StatusReport, sender: str, case: Case) -> str:
        if not report.token:
            return ""
        status = report.status
        stored = self._store.permit(case.countries[report.country].permit_id)
        # A known credential was checked when it came; its end must not keep a later status out.
        known = stored is not None and stored.token == report.token
        permit = stored.permit if stored and known else self._checked_permit(report, sender)
        replaced = self._store.permit(permit.replaces)
        if replaced is not None and replaced.state is PermitState.GRANTED:
            renewed = permit.renewals > replaced.permit.renewals
            state = PermitState.RENEWED if renewed else PermitState.AMENDED
            self._store.put_permit(replace(replaced, state=state))
        revoked = status.permit_state is PermitState.REVOKED
        self._store.put_permit(
            IssuedPermit(
                permit=permit,
                token=report.token,
                state=status.permit_state or PermitState.GRANTED,
                revoked_at=status.revoked_at if revoked else None,
                revocation_reason=status.reason if revoked else "",
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

    def _step(self, case: Case, changed: dict[str, CountryStatus], verb: str) -> Case:
        """Take a step in some countries."""
        stepped = {
            country: replace(status, state=ApplicationState(APPLICATION_STATES.after(status.state, verb)))
            for country, status in changed.items()
        }
        countries = case.countries | stepped
        return replace(case, countries=countries, state=overall_state(s.state for s in countries.values()))

    def _new_version(
        self, case: Case, by: str, act: str, *, country: str = "", detail: dict[str, str] | None = None
    ) -> Case:
        case = replace(case, version=case.version + 1)
        self._store.add_version(case.id, case.version, case.application, self._clock.now())
        return self._keep(case, act, by, country=country, detail=detail, rule="EHDS Art. 67")

    def _grounds(self, case_id: str, country: str) -> str:
        appeals = [e for e in self._store.events(case_id) if e.act == "appealed" and e.country == country]
        return str(appeals[-1].detail["grounds"]) if appeals else ""

    def _forward(self, case: Case, country: str, *, withdrawn: bool = False, appeal: bool = False) -> None:
        payload = {
            "case_id": case.id,
            "country": country,
            "version": case.version,
            "withdrawn": withdrawn,
            "appeal": appeal,
        }
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


_APPEAL = "TEHDAS2 D6.4; national law on appeals"


def _drafts(application: DataAccessApplication) -> dict[str, CountryStatus]:
    return {scope.country: CountryStatus(state=ApplicationState.DRAFT) for scope in application.data}


def _awaiting(case: Case) -> list[str]:
    asked = ApplicationState.AWAITING_INFORMATION
    return [country for country, status in case.countries.items() if status.state is asked]
