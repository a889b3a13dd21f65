"""Applications (Art. 67), assessments, data permits (Art. 68) and opt-outs (Art. 71) as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Literal

from salerno.kernel.codes import Purpose

Operator = Literal["==", "!=", "<", "<=", ">", ">=", "in"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One row condition; a list of them holds when all hold. `value` is a list for ``in``."""

    # One list type only: a JSON reader cannot tell two apart.

    column: str
    operator: Operator
    value: str | int | float | bool | list[str | int]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataScope:
    """What is asked for, or permitted, of one data set (Art. 67(2)(d), 68(10)(a)).

    Args:
        dataset: IRI of the data set.
        holder: DID of its holder.
        country: Country of the access body in charge.
        tables: Column names by table; a column that is not named is not permitted.
        rows: Conditions by table that every permitted row meets.
        covers_from, covers_to: Dates of records, inclusive; None means no bound.
    """

    dataset: str
    holder: str
    country: str
    tables: dict[str, tuple[str, ...]]
    rows: dict[str, tuple[Condition, ...]] = field(default_factory=dict)
    covers_from: date | None = None
    covers_to: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedPerson:
    """A person who gets access (Art. 67(2)(a), 68(10)(d)); `id` is the account's identifier."""

    id: str
    name: str
    function: str = ""
    principal_investigator: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DataAccessApplication:
    """One application for several countries, with the fields of Art. 67(2).

    The letters in the comments are those of Art. 67(2).
    """

    title: str
    applicant: str  # (a) natural or legal person
    contact_email: str
    persons: tuple[NamedPerson, ...]  # (a) who gets access
    purpose: Purpose  # (b)
    intended_use: str  # (c)
    expected_benefit: str  # (c)
    data: tuple[DataScope, ...]  # (d)
    pseudonymised: bool  # (e) pseudonymised data asked for; False means anonymised answers only
    why_not_anonymised: str = ""  # (e)
    own_datasets: str = ""  # (f)
    safeguards: str = ""  # (g)
    period_months: int = 12  # (h)
    methods: tuple[str, ...] = ()  # (i) analysis methods; empty means all that the environment offers
    tools: str = ""  # (i)
    ethics_assessment: str = ""  # (j)
    opt_out_exception: str = ""  # (k)
    gdpr_basis: str = ""  # Art. 67(4), when pseudonymised
    lay_summary: str = ""
    is_public_body: bool = False


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
class DisclosurePolicy:
    """How small what leaves a holder may be; a holder's own policy, tightened by the permit's.

    A number of 0, other than a share, switches its rule off. With a `min_cell` of 1 everything may be told,
    so nothing is checked but the shape of a model.

    Args:
        min_cell: Smallest number of persons behind a published figure.
        min_holders: Fewest holders in a pooled answer.
        max_parameter_ratio: Most model parameters per observation.
        min_degrees_of_freedom: Fewest residual degrees of freedom of a model.
        max_rounds: Most rounds of one question.
        max_training_rounds: Most rounds of a question that trains a model step by step.
        shared_risk_sets: Whether the coordinator may see pooled risk-set sums per event time.
        holder_estimates: Whether figures of one holder alone may be told where they pass all other rules, as
            in a meta-analysis of the holders' own models, or in random effects by holder.
        masks: Whether sums must be masked.
        dominance_persons, dominance_share: A sum may not be told when this many persons make up more than
            this share of it.
        p_percent: A sum may not be told when the second largest contributor could work out the largest to
            within this percentage.
        rounding: Counts of tables are told as multiples of this.
        differencing: Whether a question is refused when its persons differ from those of an earlier one by
            fewer than `min_cell`.
        max_questions_per_variable: Most different questions of one user that name the same column.
        max_membership_advantage: How much better than chance an attack may tell the records that a released
            model was trained on; 1 for no check.
        max_update_norm: Largest change that one holder's training may make to a model in a round.
        epsilon: Budget of differential privacy of a permit at each holder; with one, only methods that add
            noise are answered.
        epsilon_per_question: What one question spends of it.
        delta: With one, noise is Gaussian and the budget is (epsilon, delta), of which a question spends its
            share of both; 0 for Laplace noise and epsilon alone.
    """

    min_cell: int = 10
    min_holders: int = 1
    max_parameter_ratio: float = 0.33
    min_degrees_of_freedom: int = 10
    max_rounds: int = 25
    max_training_rounds: int = 300
    shared_risk_sets: bool = True
    holder_estimates: bool = True
    masks: bool = True
    dominance_persons: int = 2
    dominance_share: float = 0.9
    p_percent: float = 10.0
    rounding: int = 0
    differencing: bool = True
    max_questions_per_variable: int = 200
    max_membership_advantage: float = 0.1
    max_update_norm: float = 0.0
    epsilon: float = 0.0
    epsilon_per_question: float = 0.1
    delta: float = 0.0

    def stricter(self, other: DisclosurePolicy) -> DisclosurePolicy:
        """The policy that satisfies both."""
        return DisclosurePolicy(
            min_cell=max(self.min_cell, other.min_cell),
            min_holders=max(self.min_holders, other.min_holders),
            max_parameter_ratio=min(self.max_parameter_ratio, other.max_parameter_ratio),
            min_degrees_of_freedom=max(self.min_degrees_of_freedom, other.min_degrees_of_freedom),
            max_rounds=min(self.max_rounds, other.max_rounds),
            max_training_rounds=min(self.max_training_rounds, other.max_training_rounds),
            shared_risk_sets=self.shared_risk_sets and other.shared_risk_sets,
            holder_estimates=self.holder_estimates and other.holder_estimates,
            masks=self.masks or other.masks,
            dominance_persons=max(self.dominance_persons, other.dominance_persons),
            dominance_share=min(self.dominance_share, other.dominance_share),
            p_percent=max(self.p_percent, other.p_percent),
            rounding=max(self.rounding, other.rounding),
            differencing=self.differencing or other.differencing,
            max_questions_per_variable=int(
                _least_but_zero(self.max_questions_per_variable, other.max_questions_per_variable)
            ),
            max_membership_advantage=min(self.max_membership_advantage, other.max_membership_advantage),
            max_update_norm=_least_but_zero(self.max_update_norm, other.max_update_norm),
            epsilon=_least_but_zero(self.epsilon, other.epsilon),
            epsilon_per_question=_least_but_zero(self.epsilon_per_question, other.epsilon_per_question),
            # No delta is stricter than any, but says nothing where no noise is asked for.
            delta=min(
                one.delta for one in (self, other) if one.epsilon or not (self.epsilon or other.epsilon)
            ),
        )


def _least_but_zero(one: float, other: float) -> float:
    """The smaller limit, where 0 means that there is none."""
    return min(one, other) if one and other else max(one, other)


class PermitState(StrEnum):
    """State of a data permit."""

    GRANTED = "granted"
    REVOKED = "revoked"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPermit:
    """A data permit with the fields of Art. 68(10); crosses nodes as a VC-JWT with an ODRL policy.

    Args:
        id: IRI (``urn:salerno:permit:…``).
        application_id: The case that it decides.
        issuer: DID of the access body.
        country: Its country.
        approved_at: When it was issued; opt-outs before this instant bind it (Art. 71).
        valid_from, valid_until: Period in which runs may start and go on.
        data: (a) what is permitted, per data set.
        pseudonymised: (a) pseudonymised rather than anonymised data is processed.
        purpose, purpose_detail: (b).
        opt_out_exception: (c) reason when opted-out persons are included; empty otherwise.
        persons: (d).
        environment: (f) DID of the secure processing environment that coordinates, i.e. the hub.
        methods: (f) permitted analysis methods; empty means all.
        fee_cents: (g).
        conditions: (h) further conditions in words.
        policy: Disclosure policy that answers must meet.
    """

    id: str
    application_id: str
    issuer: str
    country: str
    applicant: str
    approved_at: datetime
    valid_from: datetime
    valid_until: datetime
    data: tuple[DataScope, ...]
    pseudonymised: bool
    purpose: Purpose
    purpose_detail: str
    persons: tuple[NamedPerson, ...]
    environment: str
    methods: tuple[str, ...] = ()
    opt_out_exception: str = ""
    fee_cents: int = 0
    conditions: str = ""
    policy: DisclosurePolicy = field(default_factory=DisclosurePolicy)
    version: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedPermit:
    """A permit with its credential and present state, as a node stores it."""

    permit: DataPermit
    token: str
    state: PermitState
    revoked_at: datetime | None = None
    revocation_reason: str = ""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class OptOut:
    """One period in which a natural person had opted out of secondary use (Art. 71).

    Args:
        person: At the access body: the person's identifier. At a holder: the keyed token that only
            this holder can match with its own persons.
        since: When the opt-out took effect.
        until: When it was reversed; None while it stands.
        receipt: Index of the audit entry that proves the opt-out; None at a holder.
        reversal_receipt: Index of the audit entry that proves the reversal.
    """

    person: str
    since: datetime
    until: datetime | None = None
    receipt: int | None = None
    reversal_receipt: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OptOutList:
    """All opt-outs as one holder may know them (Art. 71).

    Args:
        salt_hex: This holder's salt; another holder's tokens cannot be matched with it.
        entries: Every period, reversed ones too, with `OptOut.person` as token.
        as_of: Instant of the list, by the access body's clock. It is complete for every permit that
            was approved up to then: a later opt-out does not bind that permit, a later reversal
            does not free it.
        revision: Differs whenever the register has changed, so that an unchanged list is not sent again.
    """

    salt_hex: str
    entries: tuple[OptOut, ...]
    as_of: datetime
    revision: str = ""
