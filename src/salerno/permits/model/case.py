"""An application on its way: cases, what nodes tell each other about them, assessment and decision."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from salerno.kernel.codes import Purpose
from salerno.permits.model.application import DataAccessApplication
from salerno.permits.model.permit import PermitState


class ApplicationState(StrEnum):
    """Statuses of TEHDAS2 D6.4, per country."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    PROCESSING = "processing"
    AWAITING_INFORMATION = "awaiting-information"
    GRANTED = "granted"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """An application as one node holds it.

    At the hub: the whole, with one row per country in `countries`. At an access body: its own part.

    Args:
        id: Identifier, the same at the hub and at each access body.
        applicant_id: Account identifier of the person who filed it.
        state: State at this node; at the hub the least advanced of its countries.
        countries: State by country code (hub), or only the own country (access body).
        permit_ids: Permit by country, once granted.
        reasons: Justification by country, once refused, or the question asked back.
        due: Decision due date by country (Art. 68(4)); while information is awaited, the applicant's last
            day to complete the application. No entry before submission and after a decision.
        decided_at: When each country decided.
        status_versions: Number of the last status change by country, counted by its access body; an
            older report never overwrites a newer one.
        forwarded_by: At an access body: DID of the hub that sent it. Empty at the hub.
        version: Number of the last change of the application by its applicant.
    """

    id: str
    application: DataAccessApplication
    applicant_id: str
    state: ApplicationState
    countries: dict[str, ApplicationState]
    created_at: datetime
    submitted_at: datetime | None = None
    permit_ids: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    due: dict[str, date] = field(default_factory=dict)
    version: int = 1
    decided_at: dict[str, datetime] = field(default_factory=dict)
    status_versions: dict[str, int] = field(default_factory=dict)
    forwarded_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CasePart:
    """What the hub sends to one access body: an application's part for its country, or its withdrawal.

    Args:
        case_id: Identifier of the case, the same at all nodes.
        version: Version of the application at the hub; a part that is not newer changes nothing.
        country: Country of the access body that it is meant for.
        application: The application with the data sets of that country alone.
        withdrawn: The applicant has withdrawn it.
    """

    case_id: str
    version: int
    country: str
    application: DataAccessApplication
    applicant_id: str
    submitted_at: datetime
    withdrawn: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """One criterion of Art. 68(1)(a)-(h), with the assessor's answer."""

    letter: str
    met: bool
    remark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """The structured assessment of Art. 68(1) that a decision stands on."""

    assessor: str
    criteria: tuple[Criterion, ...]
    risks: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReport:
    """What an access body tells the hub about a case after each change.

    Args:
        version: Number of the change, counted by the access body from 1.
        reason: Question asked back, justification of a refusal, or reason of a revocation.
        due: See `Case.due`.
        token: The permit's credential, once granted.
        permit_state: State of the permit, once granted.
    """

    case_id: str
    country: str
    version: int
    state: ApplicationState
    reason: str = ""
    due: date | None = None
    token: str = ""
    permit_state: PermitState | None = None
    revoked_at: datetime | None = None
    decided_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What an access body decided on a case, on which assessment and which version of the application."""

    case_id: str
    state: ApplicationState
    officer: str
    assessment: Assessment
    decided_at: datetime
    application_version: int
    reason: str = ""
    permit_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterEntry:
    """One line of the public register (Art. 57(1)(j)); says nothing about any person.

    Args:
        decision: ``pending``, ``granted``, ``refused``, ``withdrawn`` or ``revoked``, by country.
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
