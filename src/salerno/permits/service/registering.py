"""The public register (Art. 57(1)(j), 58(1)): a view of the cases that says nothing about any person."""

from __future__ import annotations

from salerno.permits.model import (
    ApplicationState,
    Case,
    CountryStatus,
    IssuedPermit,
    PermitState,
    RegisterEntry,
    RegisterPage,
)
from salerno.permits.service.cases import PAGE, CaseFile


class Registering(CaseFile):
    """Use cases of the public."""

    def register(self, *, after: str = "", limit: int = PAGE) -> RegisterPage:
        """The public register, newest first: every application from its receipt on, and what became of it.

        Args:
            after: `RegisterPage.next` of the part before.
            limit: Most entries.

        Source:
            EHDS Art. 57(1)(j), 58(1).
        """
        cases, further = self._store.received(after=after, limit=limit)
        ids = [status.permit_id for case in cases for status in case.countries.values() if status.permit_id]
        permits = {issued.permit.id: self._present(issued) for issued in self._store.permits(ids=ids)}
        return RegisterPage(entries=tuple(_entry(case, permits) for case in cases), next=further)


def _entry(case: Case, permits: dict[str, IssuedPermit]) -> RegisterEntry:
    assert case.submitted_at is not None
    statuses = case.countries
    decisions = {
        country: _decision(status, permits.get(status.permit_id)) for country, status in statuses.items()
    }
    return RegisterEntry(
        case_id=case.id,
        applicant=case.application.applicant,
        title=case.application.title,
        lay_summary=case.application.lay_summary,
        purpose=case.application.purpose,
        datasets=tuple(scope.dataset for scope in case.application.data),
        received_at=case.submitted_at,
        decision=decisions,
        # A question asked back is between the parties; what was decided is justified in public.
        reason={c: s.reason for c, s in statuses.items() if s.reason and decisions[c] != "pending"},
        decided_at={c: s.decided_at for c, s in statuses.items() if s.decided_at},
        permit_ids={c: s.permit_id for c, s in statuses.items() if s.permit_id},
        valid_until={
            c: permits[s.permit_id].permit.valid_until for c, s in statuses.items() if s.permit_id in permits
        },
    )


def _decision(status: CountryStatus, issued: IssuedPermit | None) -> str:
    if status.state is ApplicationState.WITHDRAWN:
        return "withdrawn"
    if status.outcome is None:
        return "pending"
    if issued is not None and issued.state is PermitState.REVOKED:
        return "revoked"
    return status.outcome.value
