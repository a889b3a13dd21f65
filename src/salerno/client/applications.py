"""Applications and permits, as their applicant and as the officer who decides see them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields as fields_of
from typing import Any, Self

from salerno.client.datasets import Dataset
from salerno.client.link import Link
from salerno.kernel.errors import Invalid, Unavailable, near
from salerno.kernel.values import from_plain, to_plain
from salerno.permits.model import DataAccessApplication
from salerno.permits.rules import confirmations, sheet_of, with_answer

_WAITING = frozenset({"submitted", "pre-screening", "processing", "appealed"})


class Case:
    """An application before an access body: what its officer sees and does.

    Out of a list it knows what the list tells; the rest is read from the node when it is asked for.
    """

    _home = "/api/cases"

    def __init__(self, link: Link, case: Mapping[str, Any]) -> None:
        self._link = link
        self._take(case)

    def _take(self, case: Mapping[str, Any]) -> None:
        self._known = dict(case)

    @property
    def case(self) -> dict[str, Any]:
        """All that the node tells of it."""
        if "application" not in self._known:
            self.refresh()
        return self._known

    @property
    def line(self) -> dict[str, Any]:
        """What is known without asking the node again: the line of a list, or all."""
        return self._known

    @property
    def id(self) -> str:
        """Identifier, the same at the hub and at each access body."""
        return str(self._known["id"])

    @property
    def title(self) -> str:
        """Title of the application."""
        return str(self._known["title"] if "title" in self._known else self.application["title"])

    @property
    def application(self) -> dict[str, Any]:
        """The fields of Art. 67(2)."""
        return dict(self.case["application"])

    @property
    def kind(self) -> str:
        """``application``, ``amendment`` or ``renewal``."""
        return str(self._known["kind"])

    @property
    def state(self) -> str:
        """State at this node; at the hub that of its least advanced country."""
        return str(self._known["state"])

    @property
    def statuses(self) -> dict[str, dict[str, Any]]:
        """Where it stands by country, with all that is known."""
        return {country: dict(status) for country, status in self._known["countries"].items()}

    @property
    def countries(self) -> dict[str, str]:
        """State by country; what was decided where it was."""
        return {c: str(s.get("outcome") or s["state"]) for c, s in self.statuses.items()}

    @property
    def reasons(self) -> dict[str, str]:
        """Justification, or the question asked back, by country."""
        told = {
            c: str((s.get("asked") or {}).get("question") or s["reason"]) for c, s in self.statuses.items()
        }
        return {country: words for country, words in told.items() if words}

    @property
    def comments(self) -> dict[str, dict[str, str]]:
        """What an access body asks by field of the application, by country."""
        return {c: dict(s["asked"]["comments"]) for c, s in self.statuses.items() if s.get("asked")}

    @property
    def due(self) -> dict[str, str]:
        """Last day of what runs, by country: the decision's (Art. 68(4)), or the applicant's answer."""
        return {c: str(s["due"]) for c, s in self.statuses.items() if s.get("due")}

    @property
    def permit_ids(self) -> dict[str, str]:
        """Permit by country, once granted."""
        return {c: str(s["permit_id"]) for c, s in self.statuses.items() if s["permit_id"]}

    def refresh(self) -> Self:
        """Read it again from the node."""
        self._take(self._link.get(f"{self._home}/{self.id}"))
        return self

    def history(self) -> list[dict[str, Any]]:
        """What happened to it, in order."""
        return list(self._link.get(f"{self._home}/{self.id}/history"))

    def decisions(self) -> list[dict[str, Any]]:
        """The decisions with their assessments, the last one last (officers)."""
        return list(self._link.get(f"/api/cases/{self.id}/decisions"))

    def take_up(self) -> Self:
        """Begin to look whether it is complete; it is yours to handle from now on."""
        return self._act("take-up")

    def find_complete(self) -> Self:
        """End the pre-screening: it can be assessed."""
        return self._act("find-complete")

    def assign(self, to: str) -> Self:
        """Hand it to an officer by account; empty puts it back."""
        return self._act("assign", {"to": to})

    def declare_conflict(self, words: str) -> Self:
        """Declare a conflict of interest: you take no part in it from now on."""
        return self._act("declare-conflict", {"words": words})

    def ask_back(self, question: str = "", comments: Mapping[str, str] | None = None) -> Self:
        """Ask the applicant for more (Art. 68(4)), in words, by field of the application, or both."""
        return self._act("ask-back", {"question": question, "comments": dict(comments or {})})

    def extend(self, reason: str) -> Self:
        """Extend the period for the decision, once (Art. 68(4))."""
        return self._act("extend", {"words": reason})

    def propose(
        self,
        verdict: str,
        assessment: Mapping[str, Any] | Any,
        *,
        no_conflict: bool,
        reason: str = "",
        **terms: Any,
    ) -> Self:
        """Propose a decision, which another officer confirms.

        Args:
            verdict: ``grant``, ``refuse`` or ``request-instead`` (an answer by Art. 69 instead).
            assessment: The assessment of Art. 68(1), an ``Assessment`` or a mapping of its fields.
            no_conflict: You declare to have no conflict of interest in the case.
            reason: What the applicant and the public read; a refusal needs one.
            **terms: Of the permit: ``months``, ``until``, ``data``, ``persons`` and ``methods`` narrower than
                asked, ``policy``, ``conditions``, ``opt_out_exception``, ``fee_cents``.
        """
        body = {
            "verdict": verdict,
            "assessment": {"assessor": "", **to_plain(assessment)},
            "terms": to_plain(terms),
            "reason": reason,
            "no_conflict": no_conflict,
        }
        return self._act("propose", body)

    def send_back(self, remark: str) -> Self:
        """Do not confirm what a colleague proposed."""
        return self._act("send-back", {"words": remark})

    def confirm(self, *, no_conflict: bool) -> Self:
        """Confirm what a colleague proposed: it is decided, and a permit goes to the applicant.

        Args:
            no_conflict: You declare to have no conflict of interest in the case.
        """
        return self._act("confirm", {"no_conflict": no_conflict})

    def lapse(self) -> Self:
        """Close it, as the applicant did not complete it in time."""
        return self._act("lapse")

    def dismiss_appeal(self, reason: str) -> Self:
        """Leave the decision as it is."""
        return self._act("dismiss-appeal", {"words": reason})

    def uphold_appeal(self, reason: str) -> Self:
        """Process it again."""
        return self._act("uphold-appeal", {"words": reason})

    def _act(self, verb: str, body: Any = None) -> Self:
        self._take(self._link.post(f"{self._home}/{self.id}/{verb}", body))
        return self

    def __repr__(self) -> str:
        where = ", ".join(f"{country} {state}" for country, state in self.countries.items())
        return (
            f"<{type(self).__name__} {self.id} {self.title!r}: {self.state}{f' ({where})' if where else ''}>"
        )

    def __rich_repr__(self) -> Iterator[tuple[str, Any]]:
        yield "id", self.id
        yield "title", self.title
        yield "state", self.state
        yield "countries", self.countries


class Application(Case):
    """An application as its applicant sees it, with one state per country."""

    _home = "/api/applications"

    def submit(self) -> Application:
        """Hand it in, or answer what was asked back; from now on the legal clock runs."""
        return self._act("submit")

    def save(self, **fields: Any) -> Application:
        """Change fields of a draft, or answer what an access body asked back."""
        changed = check_application({**self.application, **fields})
        self._take(self._link.put(f"{self._home}/{self.id}", to_plain(changed)))
        return self

    def answer(self, field: str, answer: Any, country: str = "") -> list[dict[str, Any]]:
        """Keep one answer of the form, right or wrong; what is wrong with it comes back.

        Args:
            field: Name of the field, e.g. ``cohort-criteria``; see `Session.form`.
            answer: Its JSON; None takes it back.
            country: For fields that each country is answered by itself.
        """
        body = {"answer": to_plain(answer), "country": country}
        gaps = list(self._link.put(f"{self._home}/{self.id}/answers/{field}", body))
        self.refresh()
        return gaps

    def export(self) -> dict[str, Any]:
        """The form's name and all answers, for `Session.draft` here or at another hub."""
        told = self._link.get(f"{self._home}/{self.id}/answers")
        return {"form": told["form"], "answers": told["answers"]}

    def gaps(self) -> list[dict[str, Any]]:
        """What is missing or cannot be used: ``field``, ``what`` and ``rule`` of each."""
        return list(self._link.get(f"{self._home}/{self.id}/answers")["gaps"])

    def withdraw(self) -> Application:
        """Take it back."""
        return self._act("withdraw")

    def appeal(self, country: str, grounds: str) -> Application:
        """Appeal against a country's decision."""
        return self._act("appeal", {"country": country, "grounds": grounds})

    def wait(self, timeout: float = 60, *, every: float = 0.5) -> Application:
        """Wait until no country is still deciding, or one asks back.

        Args:
            timeout: Longest wait, seconds.
            every: First pause between looks, seconds; it grows to ten times that.

        Raises:
            Unavailable: The time is over; the application goes on as before.
        """
        end = time.monotonic() + timeout
        pause = every
        while waiting := [c for c, s in self.refresh().statuses.items() if s["state"] in _WAITING]:
            if time.monotonic() + pause > end:
                raise Unavailable(
                    "still-deciding",
                    f"{', '.join(waiting)} had not decided on {self.id} after {timeout:g} seconds",
                    remedy="Look again later; the application goes on as before.",
                )
            time.sleep(pause)
            pause = min(pause * 1.5, every * 10)
        return self


class Permit:
    """A data permit with its present state; `token` is the signed credential."""

    def __init__(self, issued: Mapping[str, Any]) -> None:
        self.issued = dict(issued)

    @property
    def permit(self) -> dict[str, Any]:
        """The fields of Art. 68(10)."""
        return dict(self.issued["permit"])

    @property
    def id(self) -> str:
        """IRI of the permit."""
        return str(self.permit["id"])

    @property
    def country(self) -> str:
        """Country whose access body issued it."""
        return str(self.permit["country"])

    @property
    def state(self) -> str:
        """``granted``, ``amended``, ``renewed``, ``revoked`` or ``expired``."""
        return str(self.issued["state"])

    @property
    def valid_until(self) -> str:
        """Instant after which no run starts."""
        return str(self.permit["valid_until"])

    @property
    def token(self) -> str:
        """The permit as a verifiable credential (JWT)."""
        return str(self.issued["token"])

    def __repr__(self) -> str:
        return f"<Permit {self.id} ({self.country}): {self.state} until {self.valid_until[:10]}>"


def application_of(
    given: Mapping[str, Any],
    datasets: Sequence[Dataset],
    me: Callable[[], Mapping[str, Any]],
    *,
    confirm: bool = False,
) -> DataAccessApplication:
    """A checked application out of what a person wrote, with what need not be written filled in.

    Args:
        given: Fields by name.
        datasets: Data sets to ask for whole, when `given` has no ``data``.
        me: The caller's account, for who applies; asked only when needed.
        confirm: Everything that the form has confirmed is confirmed.
    """
    filled = dict(given)
    if datasets and not filled.get("data"):
        filled["data"] = [dataset.scope() for dataset in datasets]
    if not filled.get("persons"):
        account = me()
        filled["persons"] = [{"id": account["id"], "name": account["name"], "principal_investigator": True}]
        filled.setdefault("applicant", account["name"])
    filled.setdefault("purpose", "research")
    filled.setdefault("pseudonymised", False)
    application = check_application(filled)
    if confirm:
        for field in confirmations(sheet_of(application.form)):
            application = with_answer(application, field, True)
    return application


def check_application(fields: Mapping[str, Any]) -> DataAccessApplication:
    """The application as a value.

    Raises:
        Invalid: A field is unknown, missing or of the wrong type.
    """
    known = [field.name for field in fields_of(DataAccessApplication)]
    for name in fields:
        if name not in known:
            raise Invalid("unknown-field", f"An application has no field {name!r}", remedy=near(name, known))
    return from_plain(to_plain(dict(fields)), DataAccessApplication, what="The application")
