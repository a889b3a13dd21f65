"""The life cycle of an application through legal and illegal steps, with messages late and repeated."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from salerno.kernel.errors import Conflict, Invalid, Refused, SalernoError
from salerno.permits.model import (
    ApplicationState,
    CasePart,
    CountryStatus,
    PermitState,
    Proposal,
    StatusReport,
    Verdict,
)  # fmt: skip
from salerno.permits.rules import ACTS, APPLICATION_STATES, can_step, overall_state
from tests.unit.permits.world import COLLEAGUE, MARIE, OFFICER, World, application, assessment

A = ApplicationState
COUNTRIES = ("FR", "DE")
countries = st.sampled_from(COUNTRIES)
officers = st.sampled_from([OFFICER, COLLEAGUE])


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
        self.old: list[tuple[str, PermitState]] = []
        self.proposed: dict[str, tuple[str, Verdict]] = {}
        self.deciders: dict[str, set[str]] = {}
        self.extended: set[str] = set()

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
        undecided = [c for c in COUNTRIES if can_step(self.seen[c], "withdraw")]
        sent = [c for c in undecided if self.seen[c] is not A.DRAFT]
        with self.world.hub.desk() as desk:
            self._attempt(bool(undecided), lambda: desk.withdraw(self.case_id, MARIE))
        if undecided:
            self.version += 1
            self.seen |= dict.fromkeys(undecided, A.WITHDRAWN)
            self._keep_parts(sent, withdrawn=True)

    @rule(country=countries, grounds=st.sampled_from(["The criteria are met", " "]))
    def appeal(self, country: str, grounds: str) -> None:
        legal = self.seen[country] is A.DECIDED
        with self.world.hub.desk() as desk:
            if legal and not grounds.strip():
                with pytest.raises(Invalid):
                    desk.appeal(self.case_id, country, grounds, MARIE)
                return
            self._attempt(legal, lambda: desk.appeal(self.case_id, country, grounds, MARIE))
        if legal:
            self.version += 1
            self.seen[country] = A.APPEALED
            self._keep_parts([country], appeal=True)

    # -------------------------------------------------------------- officer

    @rule(
        country=countries,
        verb=st.sampled_from(
            ["take up", "find complete", "ask back", "extend", "propose", "send back", "decide", "lapse"]
        ),
        verdict=st.sampled_from(list(Verdict)),
        officer=officers,
    )
    def handle(self, country: str, verb: str, verdict: Verdict, officer: str) -> None:
        state = self.here[country]
        if state is None:
            return
        legal = any(step.verb == verb for step in APPLICATION_STATES.steps_from(state))
        proposed = self.proposed.get(country)
        if verb in ("send back", "decide"):
            legal = legal and proposed is not None
        if verb == "extend":
            legal = legal and country not in self.extended
        if verb == "lapse":
            legal = False  # the clock stands still here, so the applicant always has time to answer
        granting = verdict is Verdict.GRANT
        given = Proposal(
            verdict=verdict,
            assessment=assessment(*(() if granting else ("d",))),
            reason="" if granting else "No expertise",
        )
        with self.world.bodies[country].desk() as desk:
            acts: dict[str, Any] = {
                "take up": lambda: desk.take_up(self.case_id, officer),
                "find complete": lambda: desk.find_complete(self.case_id, officer),
                "ask back": lambda: desk.ask_back(self.case_id, officer, "Which drugs?"),
                "extend": lambda: desk.extend(self.case_id, officer, "Hard"),
                "propose": lambda: desk.propose(self.case_id, officer, given, no_conflict=True),
                "send back": lambda: desk.send_back(self.case_id, officer, "Look again"),
                "decide": lambda: desk.confirm(self.case_id, officer, no_conflict=True),
                "lapse": lambda: desk.lapse(self.case_id, officer),
            }
            if legal and verb == "decide" and proposed is not None and proposed[0] == officer:
                with pytest.raises(Refused, match="own-proposal"):
                    acts[verb]()
                return
            result = self._attempt(legal, acts[verb])
        if not legal:
            return
        self.here[country] = A(APPLICATION_STATES.after(state, verb))
        if verb == "propose":
            self.proposed[country] = (officer, verdict)
        elif verb in ("send back", "ask back"):
            self.proposed.pop(country, None)
        elif verb == "extend":
            self.extended.add(country)
        elif verb == "decide":
            assert proposed is not None
            self.proposed.pop(country)
            self.deciders[country] = {proposed[0], officer}
            if proposed[1] is Verdict.GRANT:
                if country in self.permits and self.permits[country][1] is PermitState.GRANTED:
                    self.old.append((self.permits[country][0], PermitState.AMENDED))
                self.permits[country] = (result.countries[country].permit_id, PermitState.GRANTED)
        if verb not in ("propose", "send back"):
            self._keep_report(country)

    @rule(
        country=countries,
        verdict=st.sampled_from(list(Verdict)),
        officer=st.sampled_from([OFFICER, COLLEAGUE]),
    )
    def go_on(self, country: str, verdict: Verdict, officer: str) -> None:
        """What officers mostly do next, so that many walks get to a decision."""
        verbs = {A.SUBMITTED: "take up", A.PRE_SCREENING: "find complete", A.PROCESSING: "propose"}
        state = self.here[country]
        if state in verbs:
            verb = "decide" if country in self.proposed else verbs[state]
            self.handle(country=country, verb=verb, verdict=verdict, officer=officer)

    @rule(country=countries, verb=st.sampled_from(["dismiss", "uphold"]))
    def answer_appeal(self, country: str, verb: str) -> None:
        legal = self.here[country] is A.APPEALED
        if self.here[country] is None:
            return
        with self.world.bodies[country].desk() as desk:
            act = desk.dismiss_appeal if verb == "dismiss" else desk.uphold_appeal
            if legal:
                for decider in self.deciders[country]:
                    with pytest.raises(Refused, match="own-decision"):
                        act(self.case_id, decider, "It is right")
            self._attempt(legal, lambda: act(self.case_id, "did:web:fr.example#third", "It is right"))
        if legal:
            self.here[country] = A.DECIDED if verb == "dismiss" else A.PROCESSING
            if verb == "uphold":
                self.extended.discard(country)
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
        over = (A.DECIDED, A.APPEALED, A.WITHDRAWN)
        late = state in ((A.APPEALED, A.WITHDRAWN) if part.appeal else over)
        if part.appeal and state is not None and not can_step(state, "appeal"):
            late = True
        ignored = state is not None and (late or part.version <= self._version_at(part.country))
        verb = "withdraw" if part.withdrawn else "appeal" if part.appeal else "answer"
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
                self.here[part.country] = A.APPEALED if part.appeal else A.PROCESSING
            self._keep_report(part.country)

    @precondition(lambda self: self.reports)
    @rule(data=st.data())
    def repeat_report(self, data: st.DataObject) -> None:
        """Any status that was ever reported arrives, again or late; an old one changes nothing."""
        report = data.draw(st.sampled_from(self.reports))
        sender = self.world.bodies[report.country].own.did
        before = self._hub_case().countries[report.country].version
        with self.world.hub.desk() as desk:
            desk.record(report, sender)
        if report.status.version > before:
            self.seen[report.country] = report.status.state

    @rule(country=countries)
    def forge_report(self, country: str) -> None:
        """Another country's access body cannot speak for this one."""
        other = next(c for c in COUNTRIES if c != country)
        status = CountryStatus(state=A.DECIDED, version=999)
        forged = StatusReport(case_id=self.case_id, country=country, status=status)
        with pytest.raises(SalernoError), self.world.hub.desk() as desk:
            desk.record(forged, self.world.bodies[other].own.did)

    # ----------------------------------------------------------- invariants

    @invariant()
    def the_hub_holds_what_the_model_says(self) -> None:
        if not hasattr(self, "world"):
            return
        case = self._hub_case()
        assert {country: status.state for country, status in case.countries.items()} == self.seen
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
                assert case.countries.keys() == {country}
                status = case.countries[country]
                assert status.state is state
                assert (case.handling.proposal is not None) == (country in self.proposed)
                assert {scope.country for scope in case.application.data} == {country}
                closed = (A.DECIDED, A.APPEALED, A.WITHDRAWN)
                assert (status.due is not None) == (state not in closed)
                assert bool(status.permit_id) == (country in self.permits)
                events = self.world.events(country, self.case_id)
                assert [event.number for event in events] == list(range(1, len(events) + 1))
                assert all(event.act in ACTS for event in events)

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

    def _keep_parts(self, chosen: list[str], *, withdrawn: bool = False, appeal: bool = False) -> None:
        with self.world.hub.desk() as desk:
            for country in chosen:
                part = desk.outgoing_part(
                    self.case_id, country, self.version, withdrawn=withdrawn, appeal=appeal
                )[1]
                self.parts.append(part)

    def _keep_report(self, country: str) -> None:
        with self.world.bodies[country].desk() as desk:
            self.reports.append(desk.outgoing_report(self.case_id)[1])

    def _settle(self) -> None:
        """After a full delivery hub and access bodies agree; the model takes over what they agree on."""
        case = self._hub_case()
        for country in COUNTRIES:
            if case.countries[country].state is A.DRAFT:
                continue
            if self.here[country] is None and case.submitted_at is None:
                continue
            body = self.world.body_case(country, self.case_id)
            # A withdrawal that met a decision: the access body's word stands.
            assert case.countries[country].state is body.state
            permit = self.permits.get(country)
            if permit is not None:
                with self.world.hub.desk() as desk:
                    known = {issued.permit.id: issued.state for issued in desk.permits_of(MARIE)}
                assert known[permit[0]] is permit[1]
            self.seen[country] = case.countries[country].state
            if self.here[country] is not body.state:
                assert self.here[country] is not A.WITHDRAWN
                self.proposed.pop(country, None)
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
