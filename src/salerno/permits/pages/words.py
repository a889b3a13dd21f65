"""Applications, cases and permits in words: facts, tables, timelines."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from salerno.catalogue.model import DatasetDescription
from salerno.kernel.codes import COUNTRIES
from salerno.permits.model import (
    ApplicationState,
    Case,
    DataAccessApplication,
    DataScope,
    IssuedPermit,
)
from salerno.permits.pages.forms import condition_text
from salerno.permits.rules import FINAL_STATES
from salerno.web.components import Moment, day_words, instant_words, short_did

STATE_WORDS: Mapping[ApplicationState, str] = {
    ApplicationState.DRAFT: "Not submitted yet: the next step is yours",
    ApplicationState.SUBMITTED: "Received: the access body has not begun yet",
    ApplicationState.PROCESSING: "The access body is assessing it",
    ApplicationState.AWAITING_INFORMATION: "The access body has asked something: the next step is yours",
    ApplicationState.GRANTED: "A data permit was issued",
    ApplicationState.REFUSED: "Refused",
    ApplicationState.WITHDRAWN: "Withdrawn by the applicant",
}
"""What a state means to the applicant, and whose turn it is."""


def country_name(code: str) -> str:
    """A country's name by its code."""
    return COUNTRIES.get(code, code)


def application_facts(application: DataAccessApplication) -> list[tuple[str, str]]:
    """The fields of Art. 67(2) in its order, each with its letter."""
    a = application
    persons = "; ".join(
        p.name + (f", {p.function}" if p.function else "") + (" (leads)" if p.principal_investigator else "")
        for p in a.persons
    )
    basis = "Pseudonymised data" if a.pseudonymised else "Anonymised answers only"
    return [
        ("(a) Who applies", a.applicant + (" (public body)" if a.is_public_body else "")),
        ("(a) Contact", a.contact_email),
        ("(a) Who gets access", persons),
        ("(b) Purpose", a.purpose.label),
        ("(c) Intended use", a.intended_use),
        ("(c) Expected benefit", a.expected_benefit),
        ("(e) Form of the data", basis + (f". {a.why_not_anonymised}" if a.why_not_anonymised else "")),
        ("(f) Own data sets", a.own_datasets),
        ("(g) Safeguards", a.safeguards),
        ("(h) Period", f"{a.period_months} months"),
        ("(i) Methods", ", ".join(a.methods) or "All that the environment offers"),
        ("(i) Tools", a.tools),
        ("(j) Ethics assessment", a.ethics_assessment),
        ("(k) Exception from the opt-out", a.opt_out_exception),
        ("Legal basis (GDPR Art. 6(1))", a.gdpr_basis),
        ("For the public", a.lay_summary),
    ]


def scope_facts(scope: DataScope, dataset: DatasetDescription | None) -> dict[str, Any]:
    """What is asked for, or permitted, of one data set."""
    covers = " to ".join(day_words(d) for d in (scope.covers_from, scope.covers_to) if d)
    return {
        "dataset": scope.dataset,
        "title": dataset.title if dataset else scope.dataset,
        "country": country_name(scope.country),
        "holder": dataset.holder.name if dataset else short_did(scope.holder),
        "tables": list(scope.tables.items()),
        "rows": [f"{table}: {condition_text(c)}" for table, listed in scope.rows.items() for c in listed],
        "covers": covers,
    }


def country_rows(case: Case, today: date) -> list[dict[str, Any]]:
    """State of a case by country, with whose turn it is and until when."""
    return [
        {
            "code": code,
            "country": country_name(code),
            "state": state,
            "words": STATE_WORDS[state],
            "due": due_words(case, code, today),
            "reason": case.reasons.get(code, ""),
            "permit": case.permit_ids.get(code, ""),
        }
        for code, state in sorted(case.countries.items())
    ]


def due_words(case: Case, country: str, today: date) -> str:
    """The deadline that runs in a country, and how many days are left."""
    due = case.due.get(country)
    if due is None:
        decided = case.decided_at.get(country)
        return f"Decided on {day_words(decided)}" if decided else ""
    left = (due - today).days
    whose = (
        "Your answer" if case.countries.get(country) is ApplicationState.AWAITING_INFORMATION else "Decision"
    )
    if left < 0:
        return f"{whose} was due on {day_words(due)}, {-left} {_days(-left)} ago"
    return f"{whose} due by {day_words(due)}, {left} {_days(left)} left"


def _days(n: int) -> str:
    return "day" if n == 1 else "days"


def timeline(case: Case, today: date) -> list[Moment]:
    """What has happened to a case, and what comes next."""
    moments = [Moment(what="Begun", when=instant_words(case.created_at))]
    if case.submitted_at is None:
        return [*moments, Moment(what="To be submitted", tone="")]
    moments.append(Moment(what="Submitted", when=instant_words(case.submitted_at)))
    decided = sorted(case.decided_at.items(), key=lambda item: item[1])
    for code, at in decided:
        state = case.countries.get(code)
        word = {"granted": "granted a permit", "refused": "refused"}.get(str(state), str(state))
        tone = "bad" if state is ApplicationState.REFUSED else "done"
        reason = case.reasons.get(code, "")
        moments.append(
            Moment(what=f"{country_name(code)} {word}", when=instant_words(at), detail=reason, tone=tone)
        )
    for code, state in sorted(case.countries.items()):
        if state not in FINAL_STATES:
            what = f"{country_name(code)}: {STATE_WORDS[state].lower()}"
            moments.append(
                Moment(
                    what=what, when=due_words(case, code, today), detail=case.reasons.get(code, ""), tone=""
                )
            )
    return moments


def permit_facts(issued: IssuedPermit) -> list[tuple[str, str]]:
    """A permit in words."""
    permit = issued.permit
    return [
        ("Permit", permit.id),
        ("Issued by", f"{short_did(permit.issuer)}, {country_name(permit.country)}"),
        ("Valid", f"{day_words(permit.valid_from)} to {day_words(permit.valid_until)}"),
        ("Purpose", permit.purpose.label),
        ("Who gets access", ", ".join(p.name for p in permit.persons)),
        ("Methods", ", ".join(permit.methods) or "All that the environment offers"),
        ("Smallest number of persons behind a figure", str(permit.policy.min_cell)),
        ("Conditions", permit.conditions),
        ("Opted-out persons", permit.opt_out_exception or "Left out of every answer"),
        (
            "Revoked",
            f"{instant_words(issued.revoked_at)}: {issued.revocation_reason}" if issued.revoked_at else "",
        ),
    ]
