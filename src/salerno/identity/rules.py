"""Who may take part and log in, and the signed messages between nodes. Pure.

A message carries a token in ``Authorization: Bearer``: a JWT signed by the sender that names sender,
receiver, method, path and the digest of the body, holds for a short time and counts once (after the
self-issued token of DCP 1.0 section 4.3 and the bound proofs of RFC 9449).
"""

from __future__ import annotations

import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Protocol
from urllib.parse import urlsplit

from salerno.identity.model import (
    Account,
    MessageClaims,
    Participant,
    ParticipantRole,
    PersonRole,
)
from salerno.kernel.codes import COUNTRIES
from salerno.kernel.errors import Invalid, NotFound, Refused, SalernoError, near
from salerno.kernel.time import Clock
from salerno.kernel.values import canonical, from_json
from salerno.standards.did import DidDocument, did_web, document_url
from salerno.standards.jose import read_claims, read_header, sign_compact, verify_compact
from salerno.standards.vc import render_credential
from salerno.web.languages import LANGUAGES

MESSAGE_TYPE = "salerno-message+jwt"
MESSAGE_SECONDS = 90
LONGEST_MESSAGE_SECONDS = 120
CLOCK_SKEW_SECONDS = 30

SESSION_HOURS = 12
SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 256
FREE_FAILURES = 5
"""Failed log-ins before one must wait."""

_FIRST_WAIT_SECONDS = 30
_LONGEST_WAIT_SECONDS = 900

_EMAIL = re.compile(r"[^\s@<>,;:\"]{1,64}@[^\s@<>,;:\"]{1,253}\.[^\s@<>,;:\".]{2,63}")
_LOGIN = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_MESSAGE_RULE = "DCP 1.0 section 4.3.1; RFC 9449 section 4.3"


class SigningKeys(Protocol):
    """A node's signing keys, e.g. `adapters.keys.KeyRing`."""

    def signing_jwk(self, alg: str = "EdDSA") -> dict[str, Any]:
        """The public key as JWK with ``kid``."""

    def private_jwk(self, alg: str = "EdDSA") -> dict[str, Any]:
        """The private key as JWK."""


class AllKeys(SigningKeys, Protocol):
    """Signing keys and the key for agreeing on secrets."""

    def agreement_jwk(self) -> dict[str, Any]:
        """The public X25519 key as JWK with ``kid``."""


@dataclass(slots=True)
class StaticKeyResolver:
    """Resolves the documents that it was given: for nodes that share a process."""

    documents: dict[str, DidDocument] = field(default_factory=dict)

    def add(self, document: DidDocument) -> None:
        """Know a document."""
        self.documents[document.did] = document

    def knows(self, did: str, *, kid: str = "") -> bool:
        """Always: nobody is asked."""
        return True

    def resolve(self, did: str, *, kid: str = "") -> DidDocument:
        """The document of a DID.

        Raises:
            NotFound: It was not given.
        """
        try:
            return self.documents[did]
        except KeyError:
            raise NotFound("did-unknown", f"No document of {did} is known") from None


def key_id(did: str, jwk: Mapping[str, Any]) -> str:
    """The full identifier under which a DID document lists a key."""
    return f"{did}#{jwk['kid']}"


def make_document(did: str, keys: AllKeys, *, services: Mapping[str, str] | None = None) -> DidDocument:
    """The DID document of a node with these keys."""
    signing = [keys.signing_jwk("EdDSA"), keys.signing_jwk("ES256")]
    agreement = keys.agreement_jwk()
    return DidDocument(
        did=did,
        keys={key_id(did, jwk): jwk for jwk in signing},
        agreement={key_id(did, agreement): agreement},
        services=dict(services or {}),
    )


def check_participant(participant: Participant) -> None:
    """A participant can be admitted when its members make sense together.

    Raises:
        Invalid: One does not; it is named.
    """
    document_url(participant.did)
    did_web(participant.url)  # https, or http on this machine
    if participant.url.endswith("/"):
        raise Invalid("participant-url", f"{participant.url!r} ends with a slash", remedy="Leave it out.")
    if participant.country not in COUNTRIES:
        raise Invalid(
            "participant-country",
            f"{participant.country!r} is not a country of the data space",
            remedy=near(participant.country, COUNTRIES),
        )
    if not participant.name.strip():
        raise Invalid("participant-name", "A participant needs a name")
    is_holder = participant.role == ParticipantRole.HOLDER
    if is_holder and not participant.access_body:
        raise Invalid(
            "participant-access-body",
            "A data holder names the access body in charge of it",
            rule="EHDS Art. 55",
        )
    if participant.access_body:
        if not is_holder:
            raise Invalid("participant-access-body", f"A participant of role {participant.role} has none")
        document_url(participant.access_body)


def sign_message(
    keys: SigningKeys, own_did: str, audience: str, *, method: str, url: str, body: bytes, clock: Clock
) -> str:
    """Sign a message to another node; each token serves once, so sign anew when sending again.

    Args:
        keys: The sender's keys.
        own_did: The sender.
        audience: DID of the receiver.
        method: HTTP method.
        url: Path with query exactly as on the wire; of a whole address only these count.
        body: The body's bytes.
        clock: Gives the present instant.
    """
    now = int(clock.now().timestamp())
    claims = {
        "iss": own_did,
        "sub": own_did,
        "aud": audience,
        "jti": secrets.token_urlsafe(18),
        "iat": now,
        "exp": now + MESSAGE_SECONDS,
        "htm": method.upper(),
        "htu": target_of(url),
        "digest": body_digest(body),
    }
    kid = key_id(own_did, keys.signing_jwk())
    return sign_compact(canonical(claims), keys.private_jwk(), kid, MESSAGE_TYPE)


def claimed_sender(token: str) -> str:
    """The DID that a message claims to be from, NOT verified: only to look up its keys.

    Raises:
        Refused: It names no sender, or two.
    """
    try:
        claims = read_claims(token)
    except Invalid as error:
        raise _refuse("malformed", "The message's token cannot be read") from error
    issuer = claims.get("iss")
    if not isinstance(issuer, str) or not issuer or claims.get("sub") != issuer:
        raise _refuse("sender", "The message does not name one sender as its issuer and subject")
    return issuer


def key_named_by(token: str) -> str:
    """The full identifier of the key that a token names, NOT verified; empty when it names none."""
    try:
        return str(read_header(token).get("kid", ""))
    except Invalid:
        return ""  # the check of the whole token says what is wrong with it


def check_message(
    token: str,
    document: DidDocument,
    *,
    own_did: str,
    method: str,
    url: str,
    body: bytes,
    now: datetime,
) -> MessageClaims:
    """Check everything about a message but whether it came before.

    Args:
        token: What stood in ``Authorization: Bearer``.
        document: The claimed sender's DID document.
        own_did: The receiver.
        method: Method of the request that carried it.
        url: Path with query of that request.
        body: Its body.
        now: Present instant.

    Raises:
        Refused: Codes ``message-malformed``, ``-type``, ``-key``, ``-algorithm``, ``-signature``,
            ``-sender``, ``-audience``, ``-future``, ``-expired``, ``-lifetime``, ``-method``, ``-path``,
            ``-body``.
    """
    try:
        payload = verify_compact(token, document.keys, typ=MESSAGE_TYPE)
        claims = from_json(payload, dict[str, Any], what="the message's token")
    except SalernoError as error:
        code = error.code.removeprefix("token-") if error.code.startswith("token-") else "malformed"
        raise _refuse(code, error.what) from error
    sender = claimed_sender(token)
    if sender != document.did:
        raise _refuse("sender", "The message is not from whom its key belongs to")
    if claims.get("aud") != own_did:
        raise _refuse("audience", "The message is meant for another node")
    issued, expires = claims.get("iat"), claims.get("exp")
    if not isinstance(issued, int) or not isinstance(expires, int):
        raise _refuse("lifetime", "The message does not say when it was made and when it ends")
    if issued > now.timestamp() + CLOCK_SKEW_SECONDS:
        raise _refuse("future", "The message was made in the future; check both nodes' clocks")
    if expires <= now.timestamp():
        raise _refuse("expired", "The message came too late")
    if not issued < expires <= issued + LONGEST_MESSAGE_SECONDS:
        raise _refuse("lifetime", f"A message may live {LONGEST_MESSAGE_SECONDS} s at most")
    if claims.get("htm") != method.upper():
        raise _refuse("method", "The message was signed for another method")
    if claims.get("htu") != target_of(url):
        raise _refuse("path", "The message was signed for another path or query")
    if claims.get("digest") != body_digest(body):
        raise _refuse("body", "The message's body is not the one that was signed")
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 16 <= len(jti) <= 128:
        raise _refuse("malformed", "The message has no identifier of its own of 16 to 128 characters")
    return MessageClaims(sender=sender, jti=jti, expires_at=datetime.fromtimestamp(expires, UTC))


def unknown_sender() -> Refused:
    """The refusal of a message from who is not admitted."""
    return Refused("message-unknown-sender", "The message is from nobody whom this node has admitted")


def replayed() -> Refused:
    """The refusal of a message that came before."""
    return _refuse("replayed", "The message came before")


def body_digest(body: bytes) -> str:
    """SHA-256 of a body, base64url without padding."""
    return urlsafe_b64encode(sha256(body).digest()).rstrip(b"=").decode("ascii")


def target_of(url: str) -> str:
    """Path with query of an address; a path stays as it is."""
    if url.startswith("/"):
        return url
    parts = urlsplit(url)
    path = parts.path or "/"
    return f"{path}?{parts.query}" if parts.query else path


def sign_credential(
    keys: SigningKeys,
    own_did: str,
    *,
    id: str,
    subject: str,
    types: Sequence[str],
    claims: Mapping[str, Any],
    valid_from: datetime,
    valid_until: datetime,
    clock: Clock,
    contexts: Sequence[str] = (),
    alg: str = "EdDSA",
) -> str:
    """Sign a credential with a node's key; the arguments are those of `standards.vc.render_credential`."""
    return render_credential(
        id=id,
        issuer=own_did,
        subject=subject,
        types=types,
        claims=claims,
        issued_at=clock.now(),
        valid_from=valid_from,
        valid_until=valid_until,
        key=keys.private_jwk(alg),
        kid=key_id(own_did, keys.signing_jwk(alg)),
        alg=alg,
        contexts=contexts,
    )


def check_account(account: Account) -> None:
    """An account can be made when its log-in name, roles and person make sense together.

    Raises:
        Invalid: One does not; its value is not repeated.
    """
    if not _LOGIN.fullmatch(account.login):
        raise Invalid(
            "account-login",
            "A log-in name has 1 to 63 lower-case letters, digits, dots, hyphens and underscores",
        )
    if not account.name.strip():
        raise Invalid("account-name", "An account needs a name for people")
    check_roles(account.roles)
    check_contact(account)
    if bool(account.person) != (PersonRole.CITIZEN in account.roles):
        raise Invalid("account-person", "A citizen's account, and no other, names the natural person")


def check_contact(account: Account) -> None:
    """Notices can reach a person: the address is one, and the language has translations.

    Raises:
        Invalid: The address or the language is not in order; the address is not repeated.
    """
    if account.email and not _EMAIL.fullmatch(account.email):
        raise Invalid("account-email", "The e-mail address does not have the shape of one",
                      remedy="Write it as name@example.eu, or leave it empty.")  # fmt: skip
    if account.language not in LANGUAGES:
        raise Invalid("account-language", f"There are no notices in {account.language!r}",
                      remedy=near(account.language, LANGUAGES))  # fmt: skip


def check_roles(roles: Iterable[PersonRole]) -> None:
    """An account has one role at least.

    Raises:
        Invalid: It has none.
    """
    if not list(roles):
        raise Invalid("account-roles", "An account needs a role", remedy=near("", PersonRole))


def check_password(password: str, login: str) -> None:
    """A password is long enough and not the log-in name (NIST SP 800-63B section 3.1.1.2).

    Raises:
        Invalid: It is not.
    """
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise Invalid(
            "password-length",
            f"A password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters",
            rule="NIST SP 800-63B section 3.1.1.2",
            remedy="Take a sentence that only you know.",
        )
    if login and login in password.lower() and len(password) < len(login) + SHORTEST_PASSWORD:
        raise Invalid("password-login", "The password repeats the log-in name")


def wait_seconds(failures: int) -> int:
    """How long one must wait after so many failed log-ins in a row."""
    if failures < FREE_FAILURES:
        return 0
    return min(_LONGEST_WAIT_SECONDS, _FIRST_WAIT_SECONDS << min(failures - FREE_FAILURES, 10))


def new_session_token() -> str:
    """A fresh session token with 256 random bits; it has no dots, so it is never taken for a signed one."""
    return secrets.token_urlsafe(32)


def secret_digest(secret: str) -> str:
    """SHA-256, hexadecimal: what the store keeps of a session token."""
    return sha256(secret.encode()).hexdigest()


def _refuse(kind: str, what: str) -> Refused:
    return Refused(f"message-{kind}", what, rule=_MESSAGE_RULE)
