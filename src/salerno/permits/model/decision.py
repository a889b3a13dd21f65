"""How an access body comes to a decision (Art. 68): assessment, terms, the proposal that another confirms."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from salerno.permits.model.application import DataScope, NamedPerson
from salerno.permits.model.policy import DisclosurePolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """One criterion of Art. 68(1)(a)-(h), with the assessor's answer."""

    letter: str
    met: bool
    remark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """The structured assessment of Art. 68(1) that a decision stands on; `risks` are those of 68(2)."""

    assessor: str
    criteria: tuple[Criterion, ...]
    risks: str = ""


class Outcome(StrEnum):
    """What an access body decided."""

    FULL = "full"
    PARTIAL = "partial"
    REFUSAL = "refusal"
    REQUEST_INSTEAD = "request-instead"
    LAPSED = "lapsed"

    @property
    def grants(self) -> bool:
        """Whether a permit was issued."""
        return self in (Outcome.FULL, Outcome.PARTIAL)


class Verdict(StrEnum):
    """What an officer proposes; whether a grant is full or partial follows from its terms."""

    GRANT = "grant"
    REFUSE = "refuse"
    REQUEST_INSTEAD = "request-instead"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a permit gives; None means as asked.

    Args:
        data: Permitted data sets.
        persons: Persons who get access.
        methods: Permitted analysis methods; empty means all.
        months: Duration from the decision on, months.
        until: End to the second, where an earlier one than after `months` is wanted.
        policy: Disclosure policy that answers must meet.
        conditions: Further conditions in words.
        opt_out_exception: Reason why data of opted-out persons are included (Art. 71(4)).
        fee_cents: Fee in cents.
    """

    data: tuple[DataScope, ...] | None = None
    persons: tuple[NamedPerson, ...] | None = None
    methods: tuple[str, ...] | None = None
    months: int | None = None
    until: datetime | None = None
    policy: DisclosurePolicy | None = None
    conditions: str = ""
    opt_out_exception: str = ""
    fee_cents: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """The decision that one officer proposes.

    Args:
        verdict: What.
        assessment: All criteria.
        terms: Of the permit, when one is to be issued.
        reason: Justification, which a refusal needs.
        officer: Who proposes.
        proposed_at: When.
    """

    verdict: Verdict
    assessment: Assessment
    terms: Terms = field(default_factory=Terms)
    reason: str = ""
    officer: str = ""
    proposed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """An officer's declaration of a conflict of interest."""

    officer: str
    words: str
    declared_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What an access body decided on a case, on which assessment and which version of the application.

    Args:
        number: Place among the decisions on the case, from 1; a later one follows an appeal.
        officer: Who proposed it.
        confirmed_by: Who confirmed it; the same person where the access body decides by one.
        token: The decision as the access body signed it (a JWT).
    """

    case_id: str
    number: int
    outcome: Outcome
    officer: str
    confirmed_by: str
    assessment: Assessment
    decided_at: datetime
    application_version: int
    reason: str = ""
    permit_id: str = ""
    token: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Procedure:
    """What national law and the access body's own rules leave to settings.

    Args:
        persons_per_decision: How many officers a decision takes: 2, or 1 where an access body has one.
        appeal_days: Days after the decision within which an applicant may appeal.
    """

    persons_per_decision: int = 2
    appeal_days: int = 30
