"""Who takes part: nodes with a DID, and persons with an account at a node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class ParticipantRole(StrEnum):
    """What a node is in the data space."""

    HOLDER = "holder"
    ACCESS_BODY = "access-body"
    HUB = "hub"
    SPE = "spe"


class PersonRole(StrEnum):
    """What a person may do at a node; an account can have several."""

    RESEARCHER = "researcher"
    OFFICER = "officer"
    STEWARD = "steward"
    OPERATOR = "operator"
    CITIZEN = "citizen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """A node that this node has admitted.

    Args:
        did: did:web identifier; its document gives the keys.
        role: What it is in the data space.
        name: Name for people.
        country: ISO 3166-1 code, or EU.
        url: Base address of its node, without a slash at the end.
        access_body: DID of the access body in charge of it; empty for all but holders.
    """

    did: str
    role: ParticipantRole
    name: str
    country: str
    url: str
    access_body: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A person's log-in at one node.

    Args:
        id: Identifier that other nodes see: the node's DID, ``#``, the log-in name.
        login: Log-in name at this node.
        name: Name for people.
        roles: What the person may do here.
        person: The natural person's identifier at the holders, for citizens only; never shown or logged.
        created_at: When the account was made.
        email: Where notices go as well; empty for the portal alone. Never told to other nodes.
        language: Language of notices, one of `web.languages.LANGUAGES`.
    """

    id: str
    login: str
    name: str
    roles: tuple[PersonRole, ...]
    created_at: datetime
    person: str = ""
    email: str = field(default="", repr=False)
    language: str = "en"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A verified credential: who says what about whom, for how long (VC Data Model 2.0 as JWT)."""

    id: str
    issuer: str
    subject: str
    types: tuple[str, ...]
    claims: dict[str, Any]
    issued_at: datetime
    valid_from: datetime
    valid_until: datetime
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRecord:
    """An account with the hash of its password, as the store keeps it."""

    account: Account
    password_hash: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageClaims:
    """What a signed message between nodes states about itself, once its signature holds.

    Args:
        sender: DID of the node that signed it.
        jti: The message's own identifier, used once.
        expires_at: Last instant at which it may arrive.
    """

    sender: str
    jti: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeKind:
    """A kind of thing that persons are told; what it says, in English, is the key of its translations.

    Texts name their values in braces: ``{reference}``. Some are put into the reader's language: ``{day}`` is
    an ISO date, ``{country}`` an ISO code, ``{deadline}`` a text with translations, ``{count}`` a number.

    Args:
        name: Identifier.
        subject: One line.
        text: A sentence or two, as it is for one.
        plural: The text for any other count; empty where nothing is counted.
    """

    name: str
    subject: str
    text: str
    plural: str = ""


class MailState(StrEnum):
    """Whether a notice goes by e-mail."""

    NONE = "none"
    DUE = "due"
    SENT = "sent"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What a person was told.

    Args:
        id: Identifier.
        account_id: Whom.
        kind: Name of its kind.
        values: What its text names; no personal and no health details, since it goes by e-mail.
        path: Page at this node where the reader can see and act.
        told_at: When.
        read_at: When the person marked it as read.
        mail: Whether it goes by e-mail.
    """

    id: str
    account_id: str
    kind: str
    values: Mapping[str, str | int]
    path: str
    told_at: datetime
    read_at: datetime | None = None
    mail: MailState = MailState.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeWords:
    """A notice in its reader's language."""

    language: str
    subject: str
    text: str
