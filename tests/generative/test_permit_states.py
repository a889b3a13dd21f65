"""The life cycle of an application through legal and illegal steps, with messages late and repeated."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from salerno.kernel.errors import Conflict, SalernoError
from salerno.permits.model import ApplicationState, CasePart, PermitState, StatusReport
from salerno.permits.rules import APPLICATION_STATES, FINAL_STATES, overall_state
from tests.unit.permits.world import MARIE, OFFICER, World, application, assessment

A = ApplicationState
COUNTRIES = ("FR", "DE")
countries = st.sampled_from(COUNTRIES)


class LifeCycle(RuleBasedStateMachine):
    """A plain model of what each node should hold, beside the real nodes.

    `here` is each access body's state (None before the first delivery), `seen` the hub's.
    """

    @initialize()
    def start(self) -> None:
        self.world = World(*COUNTRIES)
        with self.world.hub.desk() as desk:
            self.case_id = desk.draft(application(*COUNTRIES), MARIE).id
        self.seen = dict.fromkeys(COUNTRIES, A.DRAFT)
        self.here: dict[str, A | None] = dict.fromkeys(COUNTRIES, None)
        self.version = 1
        self.parts: list[CasePart] = []
        self.reports: list[StatusReport] = []
        self.permits: dict[str, tuple[str, PermitState]] = {}

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.close()

    # ------------------------------------------------------------ applicant

    @rule()
    def save(self) -> None:
        legal = A.AWAITING_INFORMATION in self.seen.values() or set(self.seen.values()) == {A.DRAFT}
        with self.world.hub.desk() as desk:
            changed = replace(desk.case(self.case_id, _marie()).application, title=f"Draft {self.version}")
            self._attempt(legal, lambda: desk.save(self.case_id, changed, MARIE))
        self.version += legal

    @rule()
    def submit(self) -> None:
        awaiting = [c for c in COUNTRIES if self.seen[c] is A.AWAITING_INFORMATION]
        chosen = awaiting or [c for c in COUNTRIES if self.seen[c] is A.DRAFT]
        with self.world.hub.desk() as desk:
            self._attempt(bool(chosen), lambda: desk.submit(self.case_id, MARIE))
        if chosen:
            self.version += 1
            self.seen |= dict.fromkeys(chosen, A.PROCESSING if awaiting else A.SUBMITTED)
            self._keep_parts(chosen, withdrawn=False)

    @rule()
    def withdraw(self) -> None:
        undecided = [c for c in COUNTRIES if self.seen[c] not in FINAL_STATES]
        sent = [c for c in undecided if self.seen[c] is not A.DRAFT]
        with self.world.hub.desk() as desk:
            self._attempt(bool(undecided), lambda: desk.withdraw(self.case_id, MARIE))
        if undecided:
            self.version += 1
            self.seen |= dict.fromkeys(undecided, A.WITHDRAWN)
            self._keep_parts(sent, withdrawn=True)

    # -------------------------------------------------------------- officer

    @rule(country=countries, verb=st.sampled_from(["take up", "ask back", "grant", "refuse"]))
    def decide(self, country: str, verb: str) -> None:
        state = self.here[country]
        if state is None:
            return
        legal = any(step.verb == verb for step in APPLICATION_STATES.steps_from(state))
        with self.world.bodies[country].desk() as desk:
            acts: dict[str, Any] = {
                "take up": lambda: desk.take_up(self.case_id, OFFICER),
                "ask back": lambda: desk.ask_back(self.case_id, OFFICER, "Which drugs?"),
                "grant": lambda: desk.grant(self.case_id, OFFICER, assessment()),
                "refuse": lambda: desk.refuse(self.case_id, OFFICER, assessment("d"), "No expertise"),
            }
            result = self._attempt(legal, acts[verb])
        if legal:
            self.here[country] = A(APPLICATION_STATES.after(state, verb))
            if verb == "grant":
                self.permits[country] = (result.permit.id, PermitState.GRANTED)
            self._keep_report(country)

    @rule(country=countries)
    def revoke(self, country: str) -> None:
        if country not in self.permits:
            return
        permit_id, state = self.permits[country]
        with self.world.bodies[country].desk() as desk:
            legal = state is PermitState.GRANTED
            self._attempt(legal, lambda: desk.revoke(permit_id, OFFICER, "Misuse"))
        if legal:
            self.permits[country] = (permit_id, PermitState.REVOKED)
            self._keep_report(country)

    # ------------------------------------------------------------- messages

    @rule()
    def deliver(self) -> None:
        """Everything that is on its way arrives."""
        self.world.deliver()
        self._settle()

    @precondition(lambda self: self.parts)
    @rule(data=st.data())
    def repeat_part(self, data: st.DataObject) -> None:
        """Any part that was ever sent arrives, again or for the first time, in any order."""
        part = data.draw(st.sampled_from(self.parts))
        body = self.world.bodies[part.country]
        state = self.here[part.country]
        ignored = state is not None and (
            state in FINAL_STATES or part.version <= self._version_at(part.country)
        )
        verb = "withdraw" if part.withdrawn else "answer"
        legal = (
            state is None
            or ignored
            or any(step.verb == verb for step in APPLICATION_STATES.steps_from(state))
        )
        with body.desk() as desk:
            self._attempt(legal, lambda: desk.receive(part, self.world.hub.own.did))
        if legal and not ignored:
            self.here[part.country] = A.WITHDRAWN if part.withdrawn else A.SUBMITTED
            if state is not None and not part.withdrawn:
                self.here[part.country] = A.PROCESSING
            self._keep_report(part.country)

    @precondition(lambda self: self.reports)
    @rule(data=st.data())
    def repeat_report(self, data: st.DataObject) -> None:
        """Any status that was ever reported arrives, again or late; an old one changes nothing."""
        report = data.draw(st.sampled_from(self.reports))
        sender = self.world.bodies[report.country].own.did
        before = self._hub_case().status_versions.get(report.country, 0)
        with self.world.hub.desk() as desk:
            desk.record(report, sender)
        if report.version > before:
            self.seen[report.country] = report.state

    @rule(country=countries)
    def forge_report(self, country: str) -> None:
        """Another country's access body cannot speak for this one."""
        other = next(c for c in COUNTRIES if c != country)
        forged = StatusReport(case_id=self.case_id, country=country, version=999, state=A.GRANTED)
        with pytest.raises(SalernoError), self.world.hub.desk() as desk:
            desk.record(forged, self.world.bodies[other].own.did)

    # ----------------------------------------------------------- invariants

    @invariant()
    def the_hub_holds_what_the_model_says(self) -> None:
        if not hasattr(self, "world"):
            return
        case = self._hub_case()
        assert case.countries == self.seen
        assert case.state is overall_state(self.seen.values())
        assert case.version == self.version

    @invariant()
    def access_bodies_hold_what_the_model_says(self) -> None:
        if not hasattr(self, "world"):
            return
        for country, state in self.here.items():
            if state is not None:
                case = self.world.body_case(country, self.case_id)
                assert case.state is state
                assert case.countries == {country: state}
                assert {scope.country for scope in case.application.data} == {country}
                assert (country in case.due) == (state not in FINAL_STATES)
                assert (state is A.GRANTED) == (country in case.permit_ids)

    # -------------------------------------------------------------- helpers

    def _attempt(self, legal: bool, act: Any) -> Any:
        if legal:
            return act()
        with pytest.raises(Conflict):
            act()
        return None

    def _hub_case(self) -> Any:
        return self.world.hub_case(self.case_id)

    def _version_at(self, country: str) -> int:
        return self.world.body_case(country, self.case_id).version

    def _keep_parts(self, chosen: list[str], *, withdrawn: bool) -> None:
        with self.world.hub.desk() as desk:
            for country in chosen:
                part = desk.outgoing_part(self.case_id, country, self.version, withdrawn=withdrawn)[1]
                self.parts.append(part)

    def _keep_report(self, country: str) -> None:
        with self.world.bodies[country].desk() as desk:
            self.reports.append(desk.outgoing_report(self.case_id)[1])

    def _settle(self) -> None:
        """After a full delivery hub and access bodies agree; the model takes over what they agree on."""
        case = self._hub_case()
        for country in COUNTRIES:
            if case.countries[country] is A.DRAFT:
                continue
            if self.here[country] is None and case.submitted_at is None:
                continue
            body = self.world.body_case(country, self.case_id)
            # A withdrawal that met a decision: the access body's word stands.
            assert case.countries[country] is body.state
            permit = self.permits.get(country)
            if permit is not None:
                with self.world.hub.desk() as desk:
                    known = {issued.permit.id: issued.state for issued in desk.permits_of(MARIE)}
                assert known[permit[0]] is permit[1]
            self.seen[country] = case.countries[country]
            if self.here[country] is not body.state:
                assert self.here[country] not in FINAL_STATES
                self.here[country] = body.state
                self._keep_report(country)


def _marie() -> Any:
    from tests.unit.permits.world import person

    return person(MARIE, "researcher")


LifeCycle.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
test_life_cycle = LifeCycle.TestCase
