"""Applications, cases and permits in words: facts, tables, timelines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from urllib.parse import urlencode

from salerno.catalogue.model import DatasetDescription
from salerno.kernel.codes import COUNTRIES
from salerno.permits.model import (
    ApplicationState,
    CaseEvent,
    CaseKind,
    CountryStatus,
    DataAccessApplication,
    DataScope,
    IssuedPermit,
    Outcome,
)
from salerno.permits.model.clock import Clock
from salerno.permits.model.form import FieldKind, FormField
from salerno.permits.pages.forms import condition_text
from salerno.permits.rules import ACTS, CURRENT, answer_of, asked, can_step, forms, sheet_of
from salerno.web.components import Moment, day_words, instant_words, short_did

STATE_WORDS: Mapping[ApplicationState, str] = {
    ApplicationState.DRAFT: "Not submitted yet: the next step is yours",
    ApplicationState.SUBMITTED: "Received: the access body has not begun yet",
    ApplicationState.PRE_SCREENING: "The access body looks whether it is complete",
    ApplicationState.PROCESSING: "The access body is assessing it",
    ApplicationState.AWAITING_INFORMATION: "The access body has asked something: the next step is yours",
    ApplicationState.DECIDED: "Decided",
    ApplicationState.APPEALED: "The access body looks at your appeal",
    ApplicationState.WITHDRAWN: "Withdrawn by the applicant",
}
"""What a state means to the applicant, and whose turn it is."""

OUTCOME_WORDS: Mapping[Outcome, str] = {
    Outcome.FULL: "A data permit was issued for what was asked for",
    Outcome.PARTIAL: "A data permit was issued for a part of what was asked for",
    Outcome.REFUSAL: "Refused",
    Outcome.REQUEST_INSTEAD: "An answer in anonymised statistical format is offered instead (Art. 69)",
    Outcome.LAPSED: "Closed, as it was not completed in time",
}
"""What a decision means to the applicant."""

KIND_WORDS: Mapping[CaseKind, str] = {
    CaseKind.APPLICATION: "",
    CaseKind.AMENDMENT: "Amendment of a permit",
    CaseKind.RENEWAL: "Renewal of a permit",
}
"""What is asked for, where it is not a first permit."""


def country_name(code: str) -> str:
    """A country's name by its code."""
    return COUNTRIES.get(code, code)


def application_facts(application: DataAccessApplication) -> list[tuple[str, str]]:
    """Every answer but the data sets, in the order of the form, with the article that asks for it."""
    facts = []
    for field, country in asked(sheet_of(application.form), application):
        shown = answer_words(field, answer_of(application, field.id, country))
        if shown and field.kind is not FieldKind.DATASETS:
            where = f", {country_name(country)}" if country else ""
            facts.append((f"{field.label}{where}{f' ({field.rule})' if field.rule else ''}", shown))
    return facts


def answer_words(field: FormField, answer: Any) -> str:
    """An answer for people; empty where there is none."""
    if answer in (None, "", [], ()):
        return ""
    if isinstance(answer, bool):
        return "Yes" if answer else "No"
    if field.kind is FieldKind.PERSONS:
        return "; ".join(_person_words(person) for person in answer if isinstance(person, dict))
    if isinstance(answer, list | tuple):
        return ", ".join(map(str, answer))
    return dict(field.options).get(str(answer), str(answer))


def _person_words(person: Mapping[str, Any]) -> str:
    function = f", {person['function']}" if person.get("function") else ""
    return f"{person.get('name', '')}{function}{' (leads)' if person.get('principal_investigator') else ''}"


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


def country_rows(countries: Mapping[str, CountryStatus], today: date) -> list[dict[str, Any]]:
    """Where a case stands by country, with whose turn it is and until when."""
    return [
        {
            "code": code,
            "country": country_name(code),
            "state": status.state,
            "shown": status.outcome or status.state,
            "words": OUTCOME_WORDS[status.outcome]
            if status.outcome and status.state is ApplicationState.DECIDED
            else STATE_WORDS[status.state],
            "due": due_words(status, today),
            "reason": status.reason or (status.asked.question if status.asked else ""),
            "comments": comments_of(status),
            "undelivered": status.undelivered,
            "permit": status.permit_id,
            "may_appeal": can_step(status.state, "appeal")
            and (status.appeal_until is None or today <= status.appeal_until),
            "appeal_until": day_words(status.appeal_until),
        }
        for code, status in sorted(countries.items())
    ]


def comments_of(status: CountryStatus) -> list[tuple[str, str]]:
    """What an access body asks by field, with the fields' labels."""
    fields = forms()[CURRENT].by_id
    comments = status.asked.comments if status.asked else {}
    return [(fields[name].label if name in fields else name, words) for name, words in comments.items()]


def due_words(status: CountryStatus, today: date) -> str:
    """The deadline that runs in a country, and how many days are left."""
    due = status.due
    if due is None:
        return f"Decided on {day_words(status.decided_at)}" if status.decided_at else ""
    left = (due - today).days
    answering = status.state is ApplicationState.AWAITING_INFORMATION
    screening = status.state in (ApplicationState.SUBMITTED, ApplicationState.PRE_SCREENING)
    whose = "Your answer" if answering else "First look" if screening else "Decision"
    if left < 0:
        return f"{whose} was due on {day_words(due)}, {-left} {_days(-left)} ago"
    return f"{whose} due by {day_words(due)}, {left} {_days(left)} left"


def _days(n: int) -> str:
    return "day" if n == 1 else "days"


def timeline(events: Sequence[CaseEvent], names: Mapping[str, str] | None = None) -> list[Moment]:
    """What has happened to a case, for people.

    Args:
        events: In order.
        names: Of the officers by account, where whoever reads may know them.
    """
    return [
        Moment(
            what=f"{country_name(e.country)}: {ACTS[e.act]}" if e.country and names is None else ACTS[e.act],
            when=instant_words(e.at) + (f", {names[e.actor]}" if names and e.actor in names else ""),
            detail=_detail(e, names or {}),
            tone=_TONES.get(str(e.detail.get("outcome") or e.act), "done"),
        )
        for e in events
        if e.act not in _UNSHOWN
    ]


_SAID = ("verdict", "reason", "question", "remark", "words", "grounds")
_UNSHOWN = frozenset({"application-published", "decision-published"})
_TONES = {"refusal": "bad", "lapsed": "bad", "revoked": "bad", "undelivered": "bad"}


def _detail(event: CaseEvent, names: Mapping[str, str]) -> str:
    detail = dict(event.detail)
    said = [
        OUTCOME_WORDS[Outcome(detail["outcome"])] if detail.get("outcome") else "",
        names.get(str(detail.get("to")), "nobody") if event.act == "assigned" else "",
        *(
            str(detail.get(name) or "")
            for name in ("verdict", "reason", "question", "remark", "words", "grounds")
        ),
        *(f"{field}: {words}" for field, words in (detail.get("comments") or {}).items()),
    ]
    return ". ".join(words for words in said if words)


def clock_rows(clocks: Sequence[Clock]) -> list[dict[str, Any]]:
    """The legal clocks of a case in words, those that are over last."""
    return [
        {
            "label": c.deadline.label,
            "rule": c.deadline.rule,
            "state": c.state.value,
            "due": day_words(c.due),
            "left": ""
            if c.days_left is None
            else f"{abs(c.days_left)} {_days(abs(c.days_left))}" + (" left" if c.days_left >= 0 else " over"),
            "turn": c.turn,
            "missed": c.deadline.missed,
        }
        for c in clocks
    ]


def permit_facts(issued: IssuedPermit) -> list[tuple[str, str]]:
    """A permit in words."""
    permit = issued.permit
    return [
        ("Permit", permit.id),
        ("In the place of", permit.replaces),
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


def further(path: str, after: str, **query: str) -> str:
    """Address of a list's next page; empty at the end."""
    if not after:
        return ""
    return f"{path}?{urlencode({name: value for name, value in query.items() if value} | {'after': after})}"
