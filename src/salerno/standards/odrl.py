"""ODRL 2.2 agreements as JSON-LD: the part of the information model that a data permit needs.

Source: W3C Recommendations "ODRL Information Model 2.2" and "ODRL Vocabulary & Expression 2.2".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from salerno.kernel.errors import Invalid

CONTEXT = "http://www.w3.org/ns/odrl.jsonld"

OPERATORS = frozenset(
    ["eq", "neq", "gt", "gteq", "lt", "lteq", "isA", "hasPart", "isPartOf", "isAnyOf", "isAllOf", "isNoneOf"]
)  # fmt: skip
"""Operators of a constraint (ODRL Vocabulary 3.15)."""

Scalar: TypeAlias = str | int | float | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """An atomic constraint, or a refinement of a target.

    Args:
        left: Left operand: a term of the vocabulary, e.g. ``purpose``, or an IRI of a profile.
        operator: One of `OPERATORS`.
        right: Right operand; a tuple for the set operators.
        datatype: XML Schema type of the right operand, e.g. ``xsd:dateTime``; empty for JSON's own.
    """

    left: str
    operator: str
    right: Scalar | tuple[Scalar, ...]
    datatype: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """What the assignee has to do, within its constraints."""

    action: str
    constraints: tuple[Constraint, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A permission or a prohibition.

    Args:
        target: IRI of the asset.
        refinements: What narrows the target to a part of it.
        duties: Duties that a permission depends on.
    """

    action: str
    target: str
    refinements: tuple[Constraint, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    duties: tuple[Duty, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """An agreement between one assigner and one assignee."""

    uid: str
    assigner: str
    assignee: str
    permissions: tuple[Rule, ...]
    prohibitions: tuple[Rule, ...] = ()
    obligations: tuple[Duty, ...] = ()
    profile: str = ""
    conflict: str = field(default="prohibit")


def render_agreement(agreement: Agreement) -> dict[str, Any]:
    """The agreement as a JSON-LD object in ODRL's own context."""
    document: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "Agreement",
        "uid": agreement.uid,
        "profile": agreement.profile,
        "conflict": agreement.conflict,
        "assigner": agreement.assigner,
        "assignee": agreement.assignee,
        "permission": [_render_rule(rule) for rule in agreement.permissions],
        "prohibition": [_render_rule(rule) for rule in agreement.prohibitions],
        "obligation": [_render_duty(duty) for duty in agreement.obligations],
    }
    return {key: value for key, value in document.items() if value not in ("", [])}


def parse_agreement(document: Any) -> Agreement:
    """Read an agreement; members that are not of the information model are ignored.

    Raises:
        Invalid: ``odrl-shape``: a member is missing or wrong; its path is named.
    """
    top = _object(document, "policy")
    if top.get("@type") != "Agreement":
        raise _wrong("policy.@type", "is not Agreement")
    permissions = tuple(
        _parse_rule(rule, f"permission[{i}]") for i, rule in enumerate(_list(top, "permission"))
    )
    if not permissions:
        raise _wrong("policy.permission", "is empty")
    return Agreement(
        uid=_text(top, "uid", "policy"),
        assigner=_text(top, "assigner", "policy"),
        assignee=_text(top, "assignee", "policy"),
        permissions=permissions,
        prohibitions=tuple(
            _parse_rule(rule, f"prohibition[{i}]") for i, rule in enumerate(_list(top, "prohibition"))
        ),
        obligations=tuple(
            _parse_duty(duty, f"obligation[{i}]") for i, duty in enumerate(_list(top, "obligation"))
        ),
        profile=_text(top, "profile", "policy", default=""),
        conflict=_text(top, "conflict", "policy", default="prohibit"),
    )


def _render_rule(rule: Rule) -> dict[str, Any]:
    target: Any = rule.target
    if rule.refinements:
        # A refined asset is a collection with a source (Information Model 2.2, 2.2.3).
        refinements = [_render_constraint(c) for c in rule.refinements]
        target = {"@type": "AssetCollection", "source": rule.target, "refinement": refinements}
    rendered: dict[str, Any] = {"action": rule.action, "target": target}
    if rule.constraints:
        rendered["constraint"] = [_render_constraint(c) for c in rule.constraints]
    if rule.duties:
        rendered["duty"] = [_render_duty(d) for d in rule.duties]
    return rendered


def _render_duty(duty: Duty) -> dict[str, Any]:
    rendered: dict[str, Any] = {"action": duty.action}
    if duty.constraints:
        rendered["constraint"] = [_render_constraint(c) for c in duty.constraints]
    return rendered


def _render_constraint(constraint: Constraint) -> dict[str, Any]:
    def value(right: Scalar) -> Any:
        return {"@value": right, "@type": constraint.datatype} if constraint.datatype else right

    right = constraint.right
    return {
        "leftOperand": constraint.left,
        "operator": constraint.operator,
        "rightOperand": [value(r) for r in right] if isinstance(right, tuple) else value(right),
    }


def _parse_rule(document: Any, place: str) -> Rule:
    rule = _object(document, place)
    target = rule.get("target")
    refinements: tuple[Constraint, ...] = ()
    if isinstance(target, Mapping):
        refinements = _parse_constraints(target, "refinement", f"{place}.target")
        target = target.get("source")
    if not isinstance(target, str) or not target:
        raise _wrong(f"{place}.target", "names no asset")
    return Rule(
        action=_text(rule, "action", place),
        target=target,
        refinements=refinements,
        constraints=_parse_constraints(rule, "constraint", place),
        duties=tuple(_parse_duty(d, f"{place}.duty[{i}]") for i, d in enumerate(_list(rule, "duty"))),
    )


def _parse_duty(document: Any, place: str) -> Duty:
    duty = _object(document, place)
    return Duty(
        action=_text(duty, "action", place), constraints=_parse_constraints(duty, "constraint", place)
    )


def _parse_constraints(holder: Mapping[str, Any], member: str, place: str) -> tuple[Constraint, ...]:
    return tuple(
        _parse_constraint(item, f"{place}.{member}[{i}]") for i, item in enumerate(_list(holder, member))
    )


def _parse_constraint(document: Any, place: str) -> Constraint:
    constraint = _object(document, place)
    operator = _text(constraint, "operator", place)
    if operator not in OPERATORS:
        raise _wrong(f"{place}.operator", "is no operator of ODRL")
    if "rightOperand" not in constraint:
        raise _wrong(f"{place}.rightOperand", "is missing")
    right = constraint["rightOperand"]
    items = right if isinstance(right, list) else [right]
    values, types = [], set()
    for item in items:
        typed = isinstance(item, Mapping)
        value = item.get("@value") if typed else item
        if not isinstance(value, str | int | float | bool):
            raise _wrong(f"{place}.rightOperand", "has no value")
        values.append(value)
        types.add(str(item.get("@type", "")) if typed else "")
    if len(types) > 1:
        raise _wrong(f"{place}.rightOperand", "mixes data types")
    return Constraint(
        left=_text(constraint, "leftOperand", place),
        operator=operator,
        right=tuple(values) if isinstance(right, list) else values[0],
        datatype=types.pop() if types else "",
    )


def _object(value: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _wrong(place, "is no object")
    return value


def _list(holder: Mapping[str, Any], member: str) -> Sequence[Any]:
    value = holder.get(member, [])
    return value if isinstance(value, list) else [value]


def _text(holder: Mapping[str, Any], member: str, place: str, default: str | None = None) -> str:
    value = holder.get(member, default)
    if not isinstance(value, str) or (not value and default is None):
        raise _wrong(f"{place}.{member}", "is missing or no text")
    return value


def _wrong(place: str, what: str) -> Invalid:
    return Invalid("odrl-shape", f"In the ODRL policy, {place} {what}", rule="ODRL Information Model 2.2")
