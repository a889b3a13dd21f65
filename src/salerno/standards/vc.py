"""Verifiable Credentials Data Model 2.0 secured as JWT (W3C VC-JOSE-COSE: the payload is the credential)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from salerno.kernel.errors import Invalid, Refused
from salerno.kernel.time import from_text, to_text
from salerno.kernel.values import canonical, from_json
from salerno.standards.jose import read_claims, sign_compact, verify_compact

CONTEXT = "https://www.w3.org/ns/credentials/v2"
TYP = "vc+jwt"
_CREDENTIAL = "VerifiableCredential"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiableCredential:
    """A credential whose signature holds and whose members fit together.

    Args:
        id: Identifier.
        issuer: DID of who says it.
        subject: Identifier of whom it is about.
        types: Its types without ``VerifiableCredential``.
        claims: What is said about the subject, without its identifier.
        issued_at: When it was signed; `valid_from` where the token does not say.
        valid_from: First instant of its validity.
        valid_until: Last instant of its validity.
    """

    id: str
    issuer: str
    subject: str
    types: tuple[str, ...]
    claims: dict[str, Any]
    issued_at: datetime
    valid_from: datetime
    valid_until: datetime


def render_credential(
    *,
    id: str,
    issuer: str,
    subject: str,
    types: Sequence[str],
    claims: Mapping[str, Any],
    issued_at: datetime,
    valid_from: datetime,
    valid_until: datetime,
    key: Mapping[str, Any],
    kid: str,
    alg: str = "EdDSA",
    contexts: Sequence[str] = (),
    status: Mapping[str, Any] | None = None,
) -> str:
    """Sign a credential.

    Args:
        id: Identifier; an absolute URI (a bare name is given ``urn:salerno:`` in front).
        issuer: DID of the signer.
        subject: Identifier of whom it is about.
        types: Its types; ``VerifiableCredential`` is put first by itself.
        claims: JSON values about the subject.
        issued_at: When it is signed.
        valid_from: First instant of its validity.
        valid_until: Last instant of its validity.
        key: Private key as JWK.
        kid: Full identifier of the public key in the issuer's DID document.
        alg: ``EdDSA`` or ``ES256``, fitting the key.
        contexts: JSON-LD contexts after the standard one.
        status: Where its status can be seen (``credentialStatus``).

    Raises:
        Invalid: It would end before it begins, or key and algorithm do not fit.
    """
    if valid_until <= valid_from:
        raise Invalid("credential-times", "A credential cannot end before it begins", rule="VC 2.0, 4.9")
    credential = {
        "@context": [CONTEXT, *contexts],
        "id": _uri(id),
        "type": [_CREDENTIAL, *(t for t in types if t != _CREDENTIAL)],
        "issuer": issuer,
        "validFrom": to_text(valid_from),
        "validUntil": to_text(valid_until),
        "credentialSubject": {**claims, "id": subject},
        "iss": issuer,
        "sub": subject,
        "jti": _uri(id),
        "iat": int(issued_at.timestamp()),
        "nbf": int(valid_from.timestamp()),
        "exp": int(valid_until.timestamp()),
    }
    if status is not None:
        credential["credentialStatus"] = dict(status)
    return sign_compact(canonical(credential), key, kid, TYP, alg)


def issuer_of(token: str) -> str:
    """Who claims to have signed a credential, NOT verified: only to look up the keys.

    Raises:
        Invalid: It is no credential.
    """
    claims = read_claims(token)
    issuer = claims.get("issuer")
    name = issuer.get("id") if isinstance(issuer, dict) else issuer
    if not isinstance(name, str) or not name:
        raise Invalid("credential-shape", "The credential does not name its issuer", rule="VC 2.0, 4.7")
    return name


def parse_credential(
    token: str, keys: Mapping[str, Mapping[str, Any]], *, at: datetime | None = None
) -> VerifiableCredential:
    """Check and read a credential.

    Args:
        token: VC-JWT.
        keys: Public keys of its issuer by full identifier.
        at: Instant at which it must be valid; None leaves its times unchecked.

    Raises:
        Refused: The signature is wrong (codes of `verify_compact`), or it is not valid then
            (``credential-not-yet-valid``, ``credential-expired``).
        Invalid: ``credential-shape``: it is not a credential of data model 2.0, or says two things.
    """
    plain = from_json(verify_compact(token, keys, typ=TYP), dict[str, Any], what="the credential")
    contexts, types, subject = plain.get("@context"), plain.get("type"), plain.get("credentialSubject")
    if not isinstance(contexts, list) or contexts[:1] != [CONTEXT]:
        raise _shape("its first context is not that of data model 2.0", "4.3")
    if not isinstance(types, list) or _CREDENTIAL not in types or not all(isinstance(t, str) for t in types):
        raise _shape("it is not of type VerifiableCredential", "4.5")
    if not isinstance(subject, dict) or not isinstance(subject.get("id"), str):
        raise _shape("it is not about exactly one named subject", "4.8")
    if "vc" in plain or "vp" in plain:
        raise _shape("it has a wrapper of data model 1.1", "VC-JOSE-COSE 1.1.2.1")
    credential = VerifiableCredential(
        id=_text(plain, "id"),
        issuer=issuer_of(token),
        subject=subject["id"],
        types=tuple(t for t in types if t != _CREDENTIAL),
        claims={k: v for k, v in subject.items() if k != "id"},
        issued_at=_instant(plain, "iat", "validFrom"),
        valid_from=_instant(plain, "validFrom"),
        valid_until=_instant(plain, "validUntil"),
    )
    _check_claims(plain, credential)
    if at is not None:
        _check_times(credential, at)
    return credential


def _check_claims(plain: Mapping[str, Any], credential: VerifiableCredential) -> None:
    # The JWT's own claims may be absent, but must not contradict the credential (VC-JOSE-COSE 3.1.3).
    said = {
        "iss": credential.issuer,
        "sub": credential.subject,
        "jti": credential.id,
        "nbf": int(credential.valid_from.timestamp()),
        "exp": int(credential.valid_until.timestamp()),
    }
    for name, value in said.items():
        if name in plain and plain[name] != value:
            raise _shape(f"its claim {name!r} contradicts the credential", "VC-JOSE-COSE 3.1.3")


def _check_times(credential: VerifiableCredential, at: datetime) -> None:
    if at < credential.valid_from:
        raise Refused(
            "credential-not-yet-valid",
            f"The credential is valid from {credential.valid_from:%Y-%m-%d} only",
            rule="VC 2.0, 4.9",
        )
    if at > credential.valid_until:
        raise Refused(
            "credential-expired",
            f"The credential ended on {credential.valid_until:%Y-%m-%d}",
            rule="VC 2.0, 4.9",
        )


def _uri(identifier: str) -> str:
    return identifier if ":" in identifier else f"urn:salerno:{identifier}"


def _text(plain: Mapping[str, Any], name: str) -> str:
    value = plain.get(name)
    if not isinstance(value, str) or not value:
        raise _shape(f"it has no {name}", "4.4")
    return value


def _instant(plain: Mapping[str, Any], *names: str) -> datetime:
    name = next((n for n in names if n in plain), names[-1])
    value = plain.get(name)
    try:
        if isinstance(value, int) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, tz=UTC)
        return from_text(str(value))
    except (ValueError, OverflowError, OSError) as error:
        raise _shape(f"its {name} is not an instant", "4.9") from error


def _shape(what: str, rule: str) -> Invalid:
    source = rule if rule.startswith("VC-") else f"VC 2.0, {rule}"
    return Invalid("credential-shape", f"This is no credential of data model 2.0: {what}", rule=source)
