"""Data permits (Art. 68)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from salerno.kernel.codes import Purpose
from salerno.permits.model.application import DataScope, NamedPerson
from salerno.permits.model.policy import DisclosurePolicy


class PermitState(StrEnum):
    """State of a data permit."""

    GRANTED = "granted"
    AMENDED = "amended"
    RENEWED = "renewed"
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
        version: Number among the permits of the same work; an amended or renewed one counts on.
        replaces: The permit that this one takes the place of.
        renewals: How many extensions it stands on; the law allows one (Art. 68(12)).
        status_list, status_place: Address of the access body's status list and the permit's place in it,
            where a bit of 1 means revoked; empty where it has none.
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
    replaces: str = ""
    renewals: int = 0
    status_list: str = ""
    status_place: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedPermit:
    """A permit with its credential and present state, as a node stores it."""

    permit: DataPermit
    token: str
    state: PermitState
    revoked_at: datetime | None = None
    revocation_reason: str = ""
