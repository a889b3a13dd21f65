"""A data permit as a verifiable credential with its ODRL policy; a decision as a signed token."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from salerno.identity.model import Credential
from salerno.kernel.errors import Refused
from salerno.kernel.time import to_text
from salerno.kernel.values import canonical, from_plain, to_plain
from salerno.permits.model import Condition, DataPermit, DataScope, Decision
from salerno.standards.jose import sign_compact
from salerno.standards.odrl import Agreement, Constraint, Duty, Rule, render_agreement
from salerno.standards.status_list import (
    LIST_CREDENTIAL,
    StatusEntry,
    is_set,
    parse_list,
    render_entry,
    render_list,
)
from salerno.standards.vc import render_credential

CREDENTIAL_TYPE = "DataPermit"
DECISION_TYP = "salerno-decision+jwt"

STATUS_LIST_LIFETIME = timedelta(seconds=15)
"""A revocation is known to whoever reads the list alone after that time at the latest."""

PROFILE = "urn:salerno:odrl:permit:1"
"""ODRL profile of the operands and actions below, for what ODRL's own vocabulary does not name."""

TABLE = f"{PROFILE}#table"
COLUMN = f"{PROFILE}#column"
ROW = f"{PROFILE}#row/"
RECORD_DATE = f"{PROFILE}#recordDate"
METHOD = f"{PROFILE}#method"
PSEUDONYMISED = f"{PROFILE}#pseudonymised"
OPTED_OUT = f"{PROFILE}#optedOutPersons"
POLICY = f"{PROFILE}#disclosure/"
REIDENTIFY = f"{PROFILE}#reidentify"
PUBLISH_RESULTS = f"{PROFILE}#publishResults"

_OPERATORS: Mapping[str, str] = {
    "==": "eq",
    "!=": "neq",
    "<": "lt",
    "<=": "lteq",
    ">": "gt",
    ">=": "gteq",
    "in": "isAnyOf",
}


def policy_of(permit: DataPermit) -> Agreement:
    """The ODRL agreement that says what the permit says, between access body and environment.

    One permission per table: to use the named columns and rows for the purpose, in the period, by the
    named persons, in the environment. Re-identification (Art. 61(3)) and passing data on (Art. 61(2)) are
    prohibited; results are published within 18 months with their source (Art. 61(4)).
    """
    limits = _limits(permit)
    # Sorted, since the order of a JSON object's members is lost on the way.
    tables = [(scope, table) for scope in permit.data for table in sorted(scope.tables)]
    datasets = list(dict.fromkeys(scope.dataset for scope in permit.data))
    return Agreement(
        uid=permit.id,
        assigner=permit.issuer,
        assignee=permit.environment,
        profile=PROFILE,
        permissions=tuple(
            Rule(
                action="use",
                target=scope.dataset,
                refinements=tuple(_refinements(scope, table)),
                constraints=limits,
            )
            for scope, table in tables
        ),
        prohibitions=tuple(
            Rule(action=action, target=dataset)
            for dataset in datasets
            for action in (REIDENTIFY, "distribute")
        ),
        obligations=(
            Duty(
                action=PUBLISH_RESULTS,
                constraints=(
                    Constraint(left="elapsedTime", operator="lteq", right="P18M", datatype="xsd:duration"),
                ),
            ),
            Duty(action="attribute"),
        ),
    )


def permit_claims(permit: DataPermit) -> dict[str, Any]:
    """What the credential says about its subject: the permit, and the policy derived from it."""
    return {"permit": to_plain(permit), "policy": render_agreement(policy_of(permit))}


def render_permit(permit: DataPermit, *, key: Mapping[str, Any], kid: str, alg: str = "EdDSA") -> str:
    """The permit as VC-JWT, signed by its issuer; the environment that it is given to is the subject.

    Args:
        permit: The permit.
        key: The issuer's private key as JWK.
        kid: Full identifier of the public key in the issuer's DID document.
        alg: ``EdDSA`` or ``ES256``.
    """
    return render_credential(
        id=permit.id,
        issuer=permit.issuer,
        subject=permit.environment,
        types=(CREDENTIAL_TYPE,),
        claims=permit_claims(permit),
        issued_at=permit.approved_at,
        valid_from=permit.valid_from,
        valid_until=permit.valid_until,
        key=key,
        kid=kid,
        alg=alg,
        status=render_entry(StatusEntry(url=permit.status_list, index=permit.status_place))
        if permit.status_list
        else None,
    )


def render_decision(
    decision: Decision, *, issuer: str, key: Mapping[str, Any], kid: str, alg: str = "EdDSA"
) -> str:
    """A decision with its time and reasons as a JWT, signed by the access body (TEHDAS2 D6.4).

    It names neither officers nor remarks on the assessment, which stay with the access body.
    """
    said = {
        "iss": issuer,
        "sub": f"urn:salerno:case:{decision.case_id}",
        "jti": f"urn:salerno:decision:{decision.case_id}:{decision.number}",
        "iat": _second(decision.decided_at),
        "decided_at": to_text(decision.decided_at),
        "outcome": decision.outcome.value,
        "reason": decision.reason,
        "application_version": decision.application_version,
        "criteria": {criterion.letter: criterion.met for criterion in decision.assessment.criteria},
        "permit": decision.permit_id,
    }
    return sign_compact(canonical(said), key, kid, DECISION_TYP, alg)


@dataclass(frozen=True)
class DeskSigner:
    """Signs what an access body issues.

    Args:
        issuer: Its DID.
        key: Its private key as JWK.
        kid: Full identifier of the public key in its DID document.
        alg: ``EdDSA`` or ``ES256``.
    """

    issuer: str
    key: Mapping[str, Any]
    kid: str
    alg: str = "EdDSA"

    def permit(self, permit: DataPermit) -> str:
        """See `render_permit`."""
        return render_permit(permit, key=self.key, kid=self.kid, alg=self.alg)

    def decision(self, decision: Decision) -> str:
        """See `render_decision`."""
        return render_decision(decision, issuer=self.issuer, key=self.key, kid=self.kid, alg=self.alg)


def render_status_list(
    url: str, revoked: Iterable[int], *, issuer: str, now: datetime, key: Mapping[str, Any], kid: str
) -> str:
    """The status list of all permits as VC-JWT, valid for `STATUS_LIST_LIFETIME`.

    Args:
        url: Address of the list.
        revoked: Places of the permits that have been revoked.
        issuer: DID of the access body.
        now: The present instant.
        key: Its private key as JWK.
        kid: Full identifier of the public key in its DID document.
    """
    return render_credential(
        id=url,
        issuer=issuer,
        subject=f"{url}#list",
        types=(LIST_CREDENTIAL,),
        claims=render_list(revoked),
        issued_at=now,
        valid_from=now,
        valid_until=now + STATUS_LIST_LIFETIME,
        key=key,
        kid=kid,
    )


def is_revoked(credential: Credential, permit: DataPermit) -> bool:
    """Whether a verified status list says that a permit has been revoked.

    Raises:
        Refused: ``status-list-other``: it is not the list that the permit names, by the permit's issuer.
        Invalid: It is no status list.
    """
    if (credential.issuer, credential.id) != (permit.issuer, permit.status_list):
        raise Refused(
            "status-list-other",
            f"The status list {credential.id} is not that of permit {permit.id}",
            rule="Bitstring Status List 1.0, 3.2",
        )
    return is_set(parse_list(credential.claims), permit.status_place)


def parse_permit(credential: Credential) -> DataPermit:
    """The permit in a verified credential.

    Raises:
        Refused: ``permit-credential``: it is no permit's credential, or its envelope says something else
            than the permit; ``permit-policy-differs``: its policy is not the one that follows from the
            permit.
        Invalid: The permit does not have the right shape.
    """
    if CREDENTIAL_TYPE not in credential.types:
        raise _refuse(f"Credential {credential.id} is not of type {CREDENTIAL_TYPE}")
    permit = from_plain(credential.claims.get("permit"), DataPermit, what="the permit")
    said: dict[str, tuple[Any, Any]] = {
        "identifier": (credential.id, permit.id),
        "issuer": (credential.issuer, permit.issuer),
        "subject": (credential.subject, permit.environment),
        "begin": (_second(credential.valid_from), _second(permit.valid_from)),
        "end": (_second(credential.valid_until), _second(permit.valid_until)),
    }
    differing = [name for name, (outside, inside) in said.items() if outside != inside]
    if differing:
        raise _refuse(f"Credential and permit {permit.id} differ in {', '.join(differing)}")
    policy = credential.claims.get("policy")
    if canonical(policy) != canonical(render_agreement(policy_of(permit))):
        raise Refused(
            "permit-policy-differs",
            f"The ODRL policy of permit {permit.id} is not the one that follows from the permit",
            rule="EHDS Art. 68(10)",
            remedy="Ask the access body to issue the permit again.",
        )
    return permit


def _limits(permit: DataPermit) -> tuple[Constraint, ...]:
    limits = [
        Constraint(left="purpose", operator="eq", right=permit.purpose.value),
        _at("gteq", permit.valid_from),
        _at("lt", permit.valid_until),
        Constraint(left="recipient", operator="isAnyOf", right=tuple(person.id for person in permit.persons)),
        Constraint(left="virtualLocation", operator="eq", right=permit.environment),
        Constraint(left=PSEUDONYMISED, operator="eq", right=permit.pseudonymised),
        Constraint(
            left=OPTED_OUT, operator="eq", right="included" if permit.opt_out_exception else "left-out"
        ),
    ]
    if permit.methods:
        limits.append(Constraint(left=METHOD, operator="isAnyOf", right=permit.methods))
    # Named like the policy's fields: whatever is added to the policy later is in the ODRL by itself.
    limits += [
        Constraint(left=POLICY + quote(name), operator="eq", right=value)
        for name, value in to_plain(permit.policy).items()
    ]
    return tuple(limits)


def _refinements(scope: DataScope, table: str) -> Iterator[Constraint]:
    yield Constraint(left=TABLE, operator="eq", right=table)
    yield Constraint(left=COLUMN, operator="isAnyOf", right=scope.tables[table])
    for condition in scope.rows.get(table, ()):
        yield _row(condition)
    if scope.covers_from:
        yield Constraint(
            left=RECORD_DATE, operator="gteq", right=scope.covers_from.isoformat(), datatype="xsd:date"
        )
    if scope.covers_to:
        yield Constraint(
            left=RECORD_DATE, operator="lteq", right=scope.covers_to.isoformat(), datatype="xsd:date"
        )


def _row(condition: Condition) -> Constraint:
    value = condition.value
    return Constraint(
        left=ROW + quote(condition.column, safe=""),
        operator=_OPERATORS[condition.operator],
        right=tuple(value) if isinstance(value, list) else value,
    )


def _at(operator: str, instant: datetime) -> Constraint:
    return Constraint(left="dateTime", operator=operator, right=to_text(instant), datatype="xsd:dateTime")


def _second(instant: datetime) -> int:
    return int(instant.timestamp())


def _refuse(what: str) -> Refused:
    return Refused(
        "permit-credential",
        what,
        rule="EHDS Art. 68(10); W3C VC Data Model 2.0",
        remedy="Use the credential as the access body issued it.",
    )
