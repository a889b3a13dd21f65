"""Applications and permits, as their applicant and as the officer who decides see them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields as fields_of
from typing import Any

from salerno.client.datasets import Dataset
from salerno.client.link import Link
from salerno.kernel.errors import Invalid, Unavailable, near
from salerno.kernel.values import from_plain, to_plain
from salerno.permits.model import DataAccessApplication

_WAITING = frozenset({"submitted", "processing"})


class Case:
    """An application before an access body: what its officer sees and decides."""

    _home = "/api/cases"

    def __init__(self, link: Link, case: Mapping[str, Any]) -> None:
        self._link = link
        self._take(case)

    def _take(self, case: Mapping[str, Any]) -> None:
        self.case = dict(case)

    @property
    def id(self) -> str:
        """Identifier, the same at the hub and at each access body."""
        return str(self.case["id"])

    @property
    def title(self) -> str:
        """Title of the application."""
        return str(self.case["application"]["title"])

    @property
    def application(self) -> dict[str, Any]:
        """The fields of Art. 67(2)."""
        return dict(self.case["application"])

    @property
    def state(self) -> str:
        """State at this node; at the hub that of its least advanced country."""
        return str(self.case["state"])

    @property
    def countries(self) -> dict[str, str]:
        """State by country."""
        return dict(self.case.get("countries", {}))

    @property
    def reasons(self) -> dict[str, str]:
        """Justification, or the question asked back, by country."""
        return dict(self.case.get("reasons", {}))

    @property
    def due(self) -> dict[str, str]:
        """Date by which each country must decide (Art. 68(4))."""
        return dict(self.case.get("due", {}))

    @property
    def permit_ids(self) -> dict[str, str]:
        """Permit by country, once granted."""
        return dict(self.case.get("permit_ids", {}))

    def refresh(self) -> Case:
        """Read it again from the node."""
        self._take(self._link.get(f"{self._home}/{self.id}"))
        return self

    def take_up(self) -> Case:
        """Begin to process it."""
        return self._act("take-up")

    def ask_back(self, question: str) -> Case:
        """Ask the applicant for more (Art. 68(4))."""
        return self._act("ask-back", {"question": question})

    def grant(self, assessment: Mapping[str, Any] | Any, **terms: Any) -> Case:
        """Grant it; the data permit goes to the applicant.

        Args:
            assessment: The assessment of Art. 68(1), an ``Assessment`` or a mapping of its fields.
            **terms: ``months``, ``data`` (narrower than asked), ``policy``, ``conditions``,
                ``opt_out_exception``.
        """
        return self._act("grant", {"assessment": to_plain(assessment), **to_plain(terms)})

    def refuse(self, assessment: Mapping[str, Any] | Any, reason: str) -> Case:
        """Refuse it, with the reason that the applicant reads."""
        return self._act("refuse", {"assessment": to_plain(assessment), "reason": reason})

    def _act(self, verb: str, body: Any = None) -> Case:
        self._link.post(f"{self._home}/{self.id}/{verb}", body)
        return self.refresh()

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
        """Hand it in; from now on the legal clock runs."""
        self._act("submit")
        return self

    def save(self, **fields: Any) -> Application:
        """Change fields of a draft, or answer what an access body asked back."""
        changed = check_application({**self.application, **fields})
        self._take(self._link.put(f"{self._home}/{self.id}", to_plain(changed)))
        return self

    def withdraw(self) -> Application:
        """Take it back."""
        self._act("withdraw")
        return self

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
        while any(state in _WAITING for state in self.refresh().countries.values()):
            if time.monotonic() + pause > end:
                waiting = [c for c, s in self.countries.items() if s in _WAITING]
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
        """``granted``, ``revoked`` or ``expired``."""
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
    given: Mapping[str, Any], datasets: Sequence[Dataset], me: Callable[[], Mapping[str, Any]]
) -> DataAccessApplication:
    """A checked application out of what a person wrote, with what need not be written filled in.

    Args:
        given: Fields by name.
        datasets: Data sets to ask for whole, when `given` has no ``data``.
        me: The caller's account, for who applies; asked only when needed.
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
    return check_application(filled)


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
