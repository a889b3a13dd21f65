"""An access body decides (Art. 68): one officer proposes on a structured assessment, another confirms."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from salerno.kernel.errors import Conflict as Clash
from salerno.kernel.errors import Invalid, Refused
from salerno.kernel.time import to_text
from salerno.permits.model import (
    ApplicationState,
    Assessment,
    Case,
    Decision,
    IssuedPermit,
    Outcome,
    Proposal,
    Terms,
    Verdict,
)
from salerno.permits.rules import can_step, check_assessment, outcome_of
from salerno.permits.service.issuing import Issuing

_LAPSED = "The application was not completed within four weeks"
_TWO = "EHDS Art. 55(2); decisions by two persons"


class Deciding(Issuing):
    """Use cases of the officers who decide."""

    def propose(self, case_id: str, officer: str, proposal: Proposal, *, no_conflict: bool) -> Case:
        """Propose a decision; where one officer decides alone, this decides.

        The proposal is checked as if it were the decision, so that a confirmation finds nothing wrong.

        Args:
            case_id: The case.
            officer: Account identifier of the officer, who becomes the assessor.
            proposal: Verdict, assessment, terms and reason.
            no_conflict: The officer declares to have no conflict of interest in the case.

        Raises:
            Refused: ``criteria-not-met``; ``permit-too-wide`` with everything that was not asked for; the
                officer has a conflict of interest.
            Invalid: The assessment is incomplete, or a reason is missing.
            Conflict: The case is not being processed.
        """
        case = self._for(case_id, officer)
        self._after(case, "propose")
        _check_declared(no_conflict)
        proposal = replace(
            proposal,
            officer=officer,
            proposed_at=self._clock.now(),
            assessment=replace(proposal.assessment, assessor=officer),
            reason=proposal.reason.strip(),
        )
        self._check(case, proposal)
        case = replace(case, handling=replace(case.handling, proposal=proposal))
        country = self._own.country
        case = self._keep(
            case, "proposed", officer, country=country, detail={"verdict": proposal.verdict.value}
        )
        return self._decide(case, officer) if self._procedure.persons_per_decision == 1 else case

    def send_back(self, case_id: str, officer: str, remark: str) -> Case:
        """Do not confirm: the proposal falls, and the remark says why.

        Raises:
            Invalid: There is no remark.
            Conflict: Nothing is proposed.
        """
        case = self._for(case_id, officer)
        self._after(case, "send back")
        _proposed(case)
        if not remark.strip():
            raise Invalid("remark-missing", "Say what has to be changed", rule=_TWO)
        case = replace(case, handling=replace(case.handling, proposal=None))
        country = self._own.country
        return self._keep(case, "sent-back", officer, country=country, detail={"remark": remark.strip()})

    def confirm(self, case_id: str, officer: str, *, no_conflict: bool) -> Case:
        """Confirm what another officer proposed: the case is decided.

        Args:
            case_id: The case.
            officer: Account identifier of the officer.
            no_conflict: The officer declares to have no conflict of interest in the case.

        Raises:
            Refused: The officer proposed it, or has a conflict of interest; or what is proposed does not hold
                any more.
            Conflict: Nothing is proposed, or the case is not being processed.
        """
        case = self._for(case_id, officer)
        self._after(case, "decide")
        if _proposed(case).officer == officer:
            raise Refused(
                "own-proposal",
                "A decision is confirmed by another officer than the one who proposed it",
                rule=_TWO,
                remedy="Ask a colleague to confirm it.",
            )
        _check_declared(no_conflict)
        return self._decide(case, officer)

    def lapse(self, case_id: str, officer: str) -> Case:
        """Close a case that the applicant did not complete in time (Art. 68(4)): no permit is issued.

        Raises:
            Conflict: Nothing was asked back, or the applicant still has time to answer.
        """
        case = self._for(case_id, officer)
        state = self._after(case, "lapse")
        due = self._status(case).due
        if due is not None and self._clock.now().date() <= due:
            raise Clash(
                "still-time",
                f"The applicant has time to answer until {due}",
                rule="EHDS Art. 68(4)",
                remedy="Wait for the answer.",
            )
        assessment = Assessment(assessor=officer, criteria=())
        return self._decided(case, state, Outcome.LAPSED, officer, officer, assessment, reason=_LAPSED)

    def dismiss_appeal(self, case_id: str, officer: str, reason: str) -> Case:
        """Leave the decision as it is, with the reason that the applicant reads."""
        return self._appeal_decided(case_id, officer, reason, "dismiss", "appeal-dismissed")

    def uphold_appeal(self, case_id: str, officer: str, reason: str) -> Case:
        """Process the case again; a permit that was issued stays until the new decision."""
        return self._appeal_decided(case_id, officer, reason, "uphold", "appeal-upheld")

    def decisions(self, case_id: str) -> list[Decision]:
        """The decisions on a case with their assessments, the last one last."""
        return self._store.decisions(self._here(case_id).id)

    def _appeal_decided(self, case_id: str, officer: str, reason: str, verb: str, act: str) -> Case:
        case = self._for(case_id, officer)
        state = self._after(case, verb)
        if not reason.strip():
            raise Invalid("reason-missing", "An appeal is answered with a reason", rule=_TWO)
        decided = self._store.decisions(case.id)
        deciders = {decided[-1].officer, decided[-1].confirmed_by} if decided else set()
        if officer in deciders and self._procedure.persons_per_decision > 1:
            raise Refused(
                "own-decision",
                "An appeal is answered by somebody who did not take the decision",
                rule=_TWO,
                remedy="Ask a colleague to answer it.",
            )
        detail = {"reason": reason.strip()}
        return self._change(case, act, officer, detail=detail, state=state)

    def _check(self, case: Case, proposal: Proposal) -> None:
        granting = proposal.verdict is Verdict.GRANT
        check_assessment(proposal.assessment, granting=granting, reason=proposal.reason)
        if granting:
            self._permit(case, proposal.terms)
        elif proposal.terms != Terms():
            raise Invalid("terms-without-permit", "Terms are of a permit, and none is proposed")

    def _decide(self, case: Case, officer: str) -> Case:
        proposal = _proposed(case)
        self._check(case, proposal)
        state = self._after(case, "decide")
        if proposal.verdict is not Verdict.GRANT:
            outcome = Outcome.REFUSAL if proposal.verdict is Verdict.REFUSE else Outcome.REQUEST_INSTEAD
            return self._decided(
                case, state, outcome, proposal.officer, officer, proposal.assessment, reason=proposal.reason
            )
        issued = self._issue(case, proposal.terms)
        case = self._decided(
            case,
            state,
            outcome_of(issued.permit, case.application),
            proposal.officer,
            officer,
            proposal.assessment,
            reason=proposal.reason,
            issued=issued,
        )
        return self._keep(
            case,
            "issued",
            officer,
            country=self._own.country,
            about=issued.permit.id,
            detail={"permit": issued.permit.id, "valid_until": to_text(issued.permit.valid_until)},
            rule="EHDS Art. 68(10)",
        )

    def _decided(
        self,
        case: Case,
        state: ApplicationState,
        outcome: Outcome,
        proposed_by: str,
        confirmed_by: str,
        assessment: Assessment,
        *,
        reason: str,
        issued: IssuedPermit | None = None,
    ) -> Case:
        now = self._clock.now()
        decision = Decision(
            case_id=case.id,
            number=len(self._store.decisions(case.id)) + 1,
            outcome=outcome,
            officer=proposed_by,
            confirmed_by=confirmed_by,
            assessment=assessment,
            decided_at=now,
            application_version=case.version,
            reason=reason,
            permit_id=issued.permit.id if issued else "",
        )
        decision = replace(decision, token=self._signer.decision(decision))
        self._store.add_decision(decision)
        given = {"permit_id": issued.permit.id, "permit_state": issued.state} if issued else {}
        case = self._change(
            replace(case, handling=replace(case.handling, proposal=None)),
            "decided",
            confirmed_by,
            detail={"outcome": outcome.value, "reason": reason},
            state=state,
            outcome=outcome,
            reason=reason,
            asked=None,
            decided_at=now,
            decision=decision.token,
            appeal_until=now.date() + timedelta(days=self._procedure.appeal_days),
            **given,
        )
        # The register shows it from now on.
        self._happened(case, "decision-published", self._own.did, state, self._own.country)
        return case


def _check_declared(no_conflict: bool) -> None:
    if not no_conflict:
        raise Invalid(
            "conflict-undeclared",
            "Who takes part in a decision declares to have no conflict of interest",
            rule=_TWO,
            remedy="Declare that there is none, or declare the conflict and leave the case to a colleague.",
        )


def _proposed(case: Case) -> Proposal:
    if case.handling.proposal is None or not can_step(case.state, "decide"):
        raise Clash(
            "nothing-proposed",
            "No decision is proposed on this case",
            rule=_TWO,
            remedy="Assess the application and propose a decision first.",
        )
    return case.handling.proposal
