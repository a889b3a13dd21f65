"""An access body's permits: made on a decision's terms, amended, renewed, revoked, asked about."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from salerno.identity.model import ParticipantRole
from salerno.kernel.errors import Invalid
from salerno.kernel.ids import new_id
from salerno.kernel.time import add_months
from salerno.permits.model import (
    Case,
    CaseKind,
    DataPermit,
    DisclosurePolicy,
    IssuedPermit,
    NamedPerson,
    PermitState,
    Terms,
)
from salerno.permits.rules import (
    MAX_PERIOD_MONTHS,
    PERMIT_STATES,
    check_earlier,
    check_narrower,
)
from salerno.permits.service.cases import no_such_permit
from salerno.permits.service.handling import CaseHandling

_DURATION = "EHDS Art. 68(12)"


class Issuing(CaseHandling):
    """Permits of an access body."""

    def revoke(self, permit_id: str, officer: str, reason: str) -> IssuedPermit:
        """Revoke a permit at once.

        Raises:
            NotFound: This access body issued no such permit.
            Invalid: There is no reason.
            Conflict: It has ended before.
        """
        self._at(ParticipantRole.ACCESS_BODY)
        if not reason.strip():
            raise Invalid("reason-missing", "A revocation needs a reason", rule="EHDS Art. 63")
        stored = self._store.permit(permit_id)
        if stored is None:
            raise no_such_permit()
        now = self._clock.now()
        issued = self._end(stored, "revoke", revoked_at=now, revocation_reason=reason.strip())
        self._change(
            self._found(issued.permit.application_id),
            "revoked",
            officer,
            about=permit_id,
            detail={"reason": reason.strip()},
            rule="EHDS Art. 63",
            reason=reason.strip(),
            permit_state=issued.state,
            revoked_at=now,
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

    def _permit(self, case: Case, terms: Terms) -> DataPermit:
        """The permit that a decision's terms make.

        Raises:
            Refused: ``permit-too-wide``.
            Conflict: The permit whose place it takes has ended, or was extended before.
        """
        asked, now = case.application, self._clock.now()
        earlier = self._earlier(case)
        begin = now.replace(microsecond=0)  # a credential's envelope counts whole seconds
        permit = DataPermit(
            id=f"urn:salerno:permit:{new_id(self._own.country.lower())}",
            application_id=case.id,
            issuer=self._own.did,
            country=self._own.country,
            applicant=asked.applicant,
            approved_at=now,
            valid_from=begin,
            valid_until=_end_of(case, terms, begin, earlier),
            data=asked.data if terms.data is None else terms.data,
            pseudonymised=asked.pseudonymised,
            purpose=asked.purpose,
            purpose_detail=asked.intended_use,
            persons=_with_lead(asked.persons if terms.persons is None else terms.persons),
            environment=case.forwarded_by,
            methods=asked.methods if terms.methods is None else terms.methods,
            opt_out_exception=terms.opt_out_exception.strip(),
            fee_cents=terms.fee_cents,
            conditions=terms.conditions,
            policy=terms.policy or DisclosurePolicy(),
            version=earlier.version + 1 if earlier else 1,
            replaces=earlier.id if earlier else "",
            renewals=(earlier.renewals if earlier else 0) + (case.kind is CaseKind.RENEWAL),
        )
        check_narrower(permit, asked, earlier)
        return permit

    def _issue(self, case: Case, terms: Terms) -> IssuedPermit:
        """Sign and store a permit; the one whose place it takes ends."""
        permit = self._listed(self._permit(case, terms))
        issued = IssuedPermit(permit=permit, token=self._signer.permit(permit), state=PermitState.GRANTED)
        self._store.put_permit(issued)
        replaced = self._store.permit(permit.replaces)
        if replaced is not None:
            verb = "renew" if case.kind is CaseKind.RENEWAL else "amend"
            ended = self._end(replaced, verb)
            if replaced.permit.application_id == case.id:
                return issued
            self._change(
                self._found(replaced.permit.application_id),
                ended.state.value,
                self._own.did,
                about=replaced.permit.id,
                detail={"permit": permit.id},
                rule=_DURATION,
                permit_state=ended.state,
            )
        return issued

    def _earlier(self, case: Case) -> DataPermit | None:
        """The permit whose place another one takes: by amendment, renewal, or a decision after an appeal."""
        if case.kind is CaseKind.APPLICATION:
            decided = self._store.permit(self._status(case).permit_id)
            return decided.permit if decided else None
        stored = self._store.permit(case.earlier.get(self._own.country, ""))
        if stored is None or stored.permit.applicant != case.application.applicant:
            raise no_such_permit()
        assert case.submitted_at is not None
        check_earlier(case.kind, self._present(stored), case.submitted_at.date())
        return stored.permit

    def _end(self, stored: IssuedPermit, verb: str, **facts: Any) -> IssuedPermit:
        state = PermitState(PERMIT_STATES.after(self._present(stored).state, verb))
        issued = replace(stored, state=state, **facts)
        self._store.put_permit(issued)
        return issued


def _end_of(case: Case, terms: Terms, begin: datetime, earlier: DataPermit | None) -> datetime:
    asked = min(case.application.period_months, MAX_PERIOD_MONTHS)
    months = asked if terms.months is None else terms.months
    if terms.until is not None:
        return _chosen(terms.until, begin)
    if earlier is None:
        return _months_later(begin, months)
    if case.kind is CaseKind.RENEWAL:
        return _months_later(earlier.valid_until, months)
    latest = earlier.valid_until
    return latest if terms.months is None else min(latest, _months_later(begin, months))


def _chosen(until: datetime, begin: datetime) -> datetime:
    if until.tzinfo is None:
        raise Invalid(
            "permit-period", "The permit's end has no time zone", remedy="Write it with an offset or Z."
        )
    end = until.replace(microsecond=0)
    if not begin < end:
        raise Invalid("permit-period", "The permit would end before it begins", rule=_DURATION)
    return end


def _months_later(instant: datetime, months: int) -> datetime:
    if not 1 <= months <= MAX_PERIOD_MONTHS:
        raise Invalid("permit-period", f"A permit runs for 1 to {MAX_PERIOD_MONTHS} months", rule=_DURATION)
    return datetime.combine(add_months(instant.date(), months), instant.timetz())


def _with_lead(persons: tuple[NamedPerson, ...]) -> tuple[NamedPerson, ...]:
    # Art. 68(10)(d) wants the principal investigator named; one person alone is that.
    return tuple(replace(p, principal_investigator=True) for p in persons) if len(persons) == 1 else persons
