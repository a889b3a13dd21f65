"""An application on its way: the case that each node keeps of it, and what nodes tell each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from salerno.kernel.codes import Purpose
from salerno.permits.model.application import DataAccessApplication
from salerno.permits.model.decision import Conflict, Outcome, Proposal
from salerno.permits.model.permit import PermitState


class ApplicationState(StrEnum):
    """Statuses of TEHDAS2 D6.4 for one country, and the appeal that national law adds."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    PRE_SCREENING = "pre-screening"
    PROCESSING = "processing"
    AWAITING_INFORMATION = "awaiting-information"
    DECIDED = "decided"
    APPEALED = "appealed"
    WITHDRAWN = "withdrawn"


class Turn(StrEnum):
    """Who has to act next."""

    APPLICANT = "applicant"
    ACCESS_BODY = "access body"
    NOBODY = ""


class CaseKind(StrEnum):
    """What is asked for: a first permit, or another one in the place of an earlier (Art. 68(12))."""

    APPLICATION = "application"
    AMENDMENT = "amendment"
    RENEWAL = "renewal"


@dataclass(frozen=True, slots=True, kw_only=True)
class InformationRequest:
    """What an access body asks of the applicant before it goes on (Art. 68(4)).

    Args:
        question: In words.
        comments: What is missing or unclear by field of the application, e.g. ``safeguards``.
        asked_at: When.
    """

    question: str
    asked_at: datetime
    comments: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CountryStatus:
    """Where an application stands in one country.

    Args:
        state: Its state.
        version: Number of the last change, counted by the access body; an older report never overwrites a
            newer one.
        act: The last change, see `CaseEvent`; what officers do among themselves is none.
        outcome: What was decided.
        reason: Justification of what was decided, or of the permit's revocation.
        asked: What the applicant has to add, while the state says so.
        due: Last day of what runs now: the decision's deadline, or the applicant's. None before
            submission and after a decision.
        extended: The decision's deadline was extended (Art. 68(4)).
        decided_at: When it was decided.
        decision: The decision, signed by the access body (a JWT).
        appeal_until: Last day on which the applicant may appeal.
        permit_id: The permit that was issued.
        permit_state: Its state.
        revoked_at: When it was revoked.
        undelivered: Why the access body has not received the application yet; said by the hub.
    """

    state: ApplicationState
    version: int = 0
    act: str = ""
    outcome: Outcome | None = None
    reason: str = ""
    asked: InformationRequest | None = None
    due: date | None = None
    extended: bool = False
    decided_at: datetime | None = None
    decision: str = ""
    appeal_until: date | None = None
    permit_id: str = ""
    permit_state: PermitState | None = None
    revoked_at: datetime | None = None
    undelivered: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handling:
    """What an access body's officers know about a case; it never leaves the access body.

    Args:
        assignee: Account of the officer who handles it; empty when nobody does.
        conflicts: Who declared a conflict of interest; they take no part in it any more.
        proposal: The decision that one officer proposes and another has to confirm.
    """

    assignee: str = ""
    conflicts: tuple[Conflict, ...] = ()
    proposal: Proposal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """An application as one node holds it.

    At the hub: the whole, with one entry per country. At an access body: its own part.

    Args:
        id: Identifier, the same at the hub and at each access body.
        applicant_id: Account identifier of the person who filed it.
        state: State at this node; at the hub the least advanced of its countries.
        countries: Where it stands by country code (hub), or in the own country alone (access body).
        kind: Whether it asks for a first permit, or for an amended or renewed one.
        earlier: By country, the permit that an amendment or renewal takes the place of.
        version: Number of the last change of the application by its applicant.
        forwarded_by: At an access body: DID of the hub that sent it. Empty at the hub.
        handling: At an access body: what its officers know.
    """

    id: str
    application: DataAccessApplication
    applicant_id: str
    state: ApplicationState
    countries: dict[str, CountryStatus]
    created_at: datetime
    submitted_at: datetime | None = None
    kind: CaseKind = CaseKind.APPLICATION
    earlier: dict[str, str] = field(default_factory=dict)
    version: int = 1
    forwarded_by: str = ""
    handling: Handling = field(default_factory=Handling)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseLine:
    """A case in a list: what a person needs to choose one.

    Args:
        due: Earliest day of what runs; None when nothing does.
        turn: Who has to act next.
        proposed: A decision is proposed and waits for a second officer.
    """

    id: str
    kind: CaseKind
    title: str
    applicant: str
    state: ApplicationState
    turn: Turn
    countries: dict[str, CountryStatus]
    created_at: datetime
    updated_at: datetime
    submitted_at: datetime | None = None
    due: date | None = None
    assignee: str = ""
    proposed: bool = False


class BoardView(StrEnum):
    """Which cases of an access body a list shows."""

    OPEN = "open"
    MINE = "mine"
    UNASSIGNED = "unassigned"
    OVERDUE = "overdue"
    PROPOSED = "proposed"
    AWAITING = "awaiting"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class CasePage:
    """A part of a list of cases; `next` asks for what comes after it, and is empty at the end."""

    lines: tuple[CaseLine, ...]
    next: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseEvent:
    """One thing that happened to a case; never changed afterwards.

    Args:
        number: Place among the case's events, from 1.
        at: When.
        act: What, e.g. ``information-requested``; the names are the rows of `rules.ACTS`.
        actor: Account or node that did it.
        country: Which country's part, at the hub.
        state: State afterwards.
        detail: Further facts by name; what it may hold depends on the act.
    """

    number: int
    at: datetime
    act: str
    actor: str
    state: ApplicationState
    country: str = ""
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CasePart:
    """What the hub sends to one access body: an application's part for its country, or a later act.

    Args:
        case_id: Identifier of the case, the same at all nodes.
        version: Version of the application at the hub; a part that is not newer changes nothing.
        country: Country of the access body that it is meant for.
        application: The application with the data sets of that country alone.
        kind: What is asked for.
        earlier: Permit that an amendment or renewal takes the place of.
        withdrawn: The applicant has withdrawn it.
        appeal: Grounds of the applicant's appeal against the decision; empty when there is none.
    """

    case_id: str
    version: int
    country: str
    application: DataAccessApplication
    applicant_id: str
    submitted_at: datetime
    kind: CaseKind = CaseKind.APPLICATION
    earlier: str = ""
    withdrawn: bool = False
    appeal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReport:
    """What an access body tells the hub about a case after each change.

    Args:
        token: The permit's credential, once granted.
    """

    case_id: str
    country: str
    status: CountryStatus
    token: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterEntry:
    """One line of the public register (Art. 57(1)(j)); says nothing about any person.

    Args:
        decision: ``pending``, ``withdrawn``, ``revoked`` or an `Outcome`, by country.
        reason: Justification of a refusal or revocation, by country.
    """

    case_id: str
    applicant: str
    title: str
    lay_summary: str
    purpose: Purpose
    datasets: tuple[str, ...]
    received_at: datetime
    decision: dict[str, str]
    reason: dict[str, str] = field(default_factory=dict)
    decided_at: dict[str, datetime] = field(default_factory=dict)
    permit_ids: dict[str, str] = field(default_factory=dict)
    valid_until: dict[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterPage:
    """A part of the public register, newest first; `next` asks for what comes after it."""

    entries: tuple[RegisterEntry, ...]
    next: str = ""
