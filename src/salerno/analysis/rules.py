"""What all nodes of a run must agree on, and what a holder and the coordinator accept of each other."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from salerno.analysis.model import (
    Question,
    RoundCall,
    Scope,
    Share,
    ShareHeader,
    Study,
    StudyOptions,
)
from salerno.catalogue.model import Datatype, Variable
from salerno.holdings.model import Dictionary
from salerno.kernel.errors import Invalid, Refused
from salerno.kernel.time import to_text
from salerno.kernel.values import canonical
from salerno.permits.model import DataPermit, DisclosurePolicy, IssuedPermit, PermitState

FEW_HOLDERS = (
    "Fewer than three holders: a holder that knows the total can subtract its own part from it, "
    "so the thresholds were applied at each holder."
)


@dataclass(frozen=True, kw_only=True)
class Merged:
    """Dictionaries of several holders as one.

    Args:
        dictionary: Columns that every holder has with types that agree; levels are the union.
        absent: Columns that some holders lack, with the names of those.
        conflicts: Columns whose types do not agree, with the type by holder name.
    """

    dictionary: Dictionary
    absent: Mapping[str, tuple[str, ...]]
    conflicts: Mapping[str, Mapping[str, str]]


def merge_dictionaries(dictionaries: Mapping[str, Dictionary], names: Mapping[str, str]) -> Merged:
    """Agree on columns, types and factor levels.

    Args:
        dictionaries: By holder DID.
        names: Name for people by DID.
    """
    columns = dict.fromkeys(c for did in sorted(dictionaries) for c in dictionaries[did].variables)
    merged: dict[str, Variable] = {}
    absent: dict[str, tuple[str, ...]] = {}
    conflicts: dict[str, dict[str, str]] = {}
    for column in columns:
        lacking = [did for did in sorted(dictionaries) if column not in dictionaries[did].variables]
        if lacking:
            absent[column] = tuple(names[did] for did in lacking)
            continue
        found = {did: dictionaries[did].variables[column] for did in sorted(dictionaries)}
        datatype = _common_type({v.datatype for v in found.values()})
        if datatype is None:
            conflicts[column] = {names[did]: v.datatype.value for did, v in found.items()}
            continue
        counts = [v.n for v in found.values()]
        merged[column] = replace(
            next(iter(found.values())),
            datatype=datatype,
            levels=_sort_levels({level for v in found.values() for level in v.levels}, datatype),
            n=None if None in counts else sum(n for n in counts if n is not None),
        )
    return Merged(dictionary=Dictionary(variables=merged), absent=absent, conflicts=conflicts)


def check_columns(question: Question, merged: Merged) -> None:
    """Refuse a question that names a column which a holder lacks or has with another type.

    Raises:
        Invalid: ``column-missing`` or ``column-types``; column and holders are named.
    """
    for column, holders in merged.absent.items():
        if mentions(question, column):
            raise Invalid(
                "column-missing",
                f"{_list(holders)} has no column {column!r}"
                if len(holders) == 1
                else f"{_list(holders)} have no column {column!r}",
                remedy="Leave the column out, or ask without these holders.",
            )
    for column, types in merged.conflicts.items():
        if mentions(question, column):
            listed = ", ".join(f"{kind} at {name}" for name, kind in types.items())
            raise Invalid(
                "column-types",
                f"The column {column!r} has types that do not agree: {listed}",
                remedy="The holders must give it one type before it can be pooled.",
            )


def mentions(question: Any, name: str) -> bool:
    """Whether a text in the question, other than the method, names a column."""
    if isinstance(question, str):
        return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", question) is not None
    if isinstance(question, Mapping):
        return any(mentions(value, name) for key, value in question.items() if key != "method")
    if isinstance(question, Sequence):
        return any(mentions(value, name) for value in question)
    return False


def merge_policies(policies: Iterable[DisclosurePolicy]) -> DisclosurePolicy:
    """The policy that satisfies all; there must be at least one."""
    first, *others = policies
    for policy in others:
        first = first.stricter(policy)
    return first


def threshold_of(study: Study, permits: Sequence[IssuedPermit]) -> int | None:
    """The smallest cell that a study's permits allow, as far as they are known."""
    known = [issued.permit.policy.min_cell for issued in permits if issued.permit.id in study.permits]
    return max(known, default=None)


def check_scope(
    scope: Scope,
    *,
    own: str,
    dictionary: Dictionary,
    policy: DisclosurePolicy,
) -> None:
    """A holder's check of what the coordinator says that all agreed on.

    Raises:
        Refused: Its own levels are missing, a type differs, the policy is weaker than its own in any
            member, it is not among the holders, or these are too few or out of order.
    """
    rule = "the holder's disclosure policy"
    if own not in scope.holders or list(scope.holders) != sorted(set(scope.holders)):
        raise Refused("scope-holders", "The agreed holders are not in order or lack this one", rule=rule)
    if scope.policy.stricter(policy) != scope.policy:
        raise Refused(
            "scope-policy", "The agreed disclosure policy is weaker than the holder's own", rule=rule
        )
    if len(scope.holders) < scope.policy.min_holders:
        raise Refused(
            "too-few-holders",
            f"A pooled answer needs {scope.policy.min_holders} holders, and {len(scope.holders)} take part",
            rule=rule,
        )
    for name, agreed in scope.dictionary.variables.items():
        mine = dictionary.variables.get(name)
        if mine is None:
            raise Refused("scope-dictionary", f"The agreed column {name!r} is not one of this holder's")
        if _common_type({mine.datatype, agreed.datatype}) != agreed.datatype:
            raise Refused("scope-dictionary", f"The agreed type of {name!r} does not fit this holder's")
        if not set(mine.levels) <= set(agreed.levels):
            raise Refused("scope-dictionary", f"The agreed levels of {name!r} lack some of this holder's")


def check_next_round(call: RoundCall, *, last: int, most: int) -> None:
    """A round follows the one before, and there are not too many.

    Args:
        call: Which round is asked for.
        last: The last one that was answered.
        most: How many the disclosure policy lets the question have.

    Raises:
        Refused: ``round-order`` or ``too-many-rounds``.
    """
    if call.round != last + 1:
        raise Refused("round-order", f"Round {call.round} does not follow round {last}")
    if call.round > most:
        raise Refused(
            "too-many-rounds",
            f"Round {call.round} is more than the {most} that one question may have",
            rule="the holder's disclosure policy",
        )


def check_header(header: ShareHeader, expected: ShareHeader, words: bytes) -> None:
    """A share belongs to the round and carries the words that were signed.

    Args:
        header: Signed by the sender.
        expected: Where it must belong; layout and hash are not compared.
        words: What came with it.

    Raises:
        Refused: ``share-misplaced`` for another question, run, round, scope or holders;
            ``share-altered`` when the words are not those that were signed.
    """
    place = ("question_id", "run", "round", "scope", "holders")
    wrong = [name for name in place if getattr(header, name) != getattr(expected, name)]
    if wrong:
        raise Refused("share-misplaced", f"The share is signed for another {wrong[0].removesuffix('_id')}")
    if hashlib.sha256(words).hexdigest() != header.words_sha256 or (words and header.refusal is not None):
        raise Refused("share-altered", "The share's words are not those that were signed")


def share_digest(share: Share) -> str:
    """SHA-256 of a share's signed header, which in turn fixes its words."""
    return hashlib.sha256(share.header.encode()).hexdigest()


def round_context(
    *,
    coordinator: str,
    study: str,
    question_id: str,
    run: int,
    round: int,
    scope: str,
    holders: Sequence[str],
) -> bytes:
    """What makes the pads of a round unique."""
    return canonical(
        {
            "coordinator": coordinator,
            "study": study,
            "question": question_id,
            "run": run,
            "round": round,
            "scope": scope,
            "holders": sorted(holders),
        }
    )


def check_permits(
    permits: Sequence[IssuedPermit], *, user: str, purpose: str, environment: str, now: datetime
) -> None:
    """The permits let this user work for this purpose in this environment at this moment.

    Raises:
        Refused: One of them does not; the permit and the reason are named.
        Invalid: There are none.
    """
    if not permits:
        raise Invalid("no-permits", "A study needs at least one data permit", rule="EHDS Art. 68")
    for issued in permits:
        permit = issued.permit
        if issued.state is not PermitState.GRANTED:
            raise Refused(
                f"permit-{issued.state.value}",
                f"Permit {permit.id} is {issued.state.value}",
                rule="EHDS Art. 68",
            )
        if now < permit.valid_from:
            raise Refused(
                "permit-not-yet-valid",
                f"Permit {permit.id} begins on {to_text(permit.valid_from)[:10]}",
                rule="EHDS Art. 68(10)(e)",
            )
        if now >= permit.valid_until:
            raise Refused(
                "permit-expired",
                f"Permit {permit.id} ended on {to_text(permit.valid_until)[:10]}",
                rule="EHDS Art. 68(12)",
                remedy="Ask for an extension before the end date, or apply again.",
            )
        if user not in {person.id for person in permit.persons}:
            raise Refused(
                "permit-other-user", f"Permit {permit.id} does not name this user", rule="EHDS Art. 68(10)(d)"
            )
        if str(permit.purpose) != purpose:
            raise Refused(
                "permit-other-purpose",
                f"Permit {permit.id} is for {permit.purpose}, not for {purpose}",
                rule="EHDS Art. 68(10)(b)",
            )
        if permit.environment != environment:
            raise Refused(
                "permit-other-environment",
                f"Permit {permit.id} is for the environment {permit.environment}",
                rule="EHDS Art. 68(10)(f)",
            )


def check_method_permitted(method: str, permits: Iterable[DataPermit]) -> None:
    """Every permit lets the method be used.

    Raises:
        Refused: ``method-not-permitted``, with the methods that are.
    """
    for permit in permits:
        if permit.methods and method not in permit.methods:
            raise Refused(
                "method-not-permitted",
                f"Permit {permit.id} does not cover the method {method!r}",
                rule="EHDS Art. 68(10)(f)",
                remedy=f"It covers {', '.join(permit.methods)}.",
            )


def datasets_of(permits: Iterable[DataPermit], options: StudyOptions) -> dict[str, str]:
    """The data set to read by holder DID.

    Raises:
        Invalid: The permits cover several data sets of a holder and the options do not choose, or choose
            one that is not covered.
    """
    covered: dict[str, list[str]] = {}
    for permit in permits:
        for scope in permit.data:
            listed = covered.setdefault(scope.holder, [])
            if scope.dataset not in listed:
                listed.append(scope.dataset)
    chosen = {}
    for holder, datasets in covered.items():
        choice = options.datasets.get(holder)
        if choice is None and len(datasets) > 1:
            raise Invalid(
                "several-data-sets",
                f"The permits cover several data sets of {holder}: {', '.join(sorted(datasets))}",
                remedy="Name the one to read in the study's option 'datasets'.",
            )
        if choice is not None and choice not in datasets:
            raise Refused(
                "data-set-not-permitted",
                f"The permits do not cover the data set {choice}",
                rule="EHDS Art. 68(10)(a)",
                remedy=f"They cover {', '.join(sorted(datasets))}.",
            )
        chosen[holder] = choice or datasets[0]
    stray = sorted(set(options.datasets) - set(covered))
    if stray:
        raise Refused(
            "data-set-not-permitted",
            f"The permits cover no data set of {stray[0]}",
            rule="EHDS Art. 68(10)(a)",
        )
    return dict(sorted(chosen.items()))


def can_go_on(remaining: int, options: StudyOptions, policy: DisclosurePolicy | None = None) -> bool:
    """Whether a run may be started again with fewer holders."""
    least = max(policy.min_holders if policy else 1, 1)
    return options.min_holders is not None and remaining >= max(options.min_holders, least)


def _common_type(types: set[Datatype]) -> Datatype | None:
    if len(types) == 1:
        return next(iter(types))
    return Datatype.NUMBER if types == {Datatype.INTEGER, Datatype.NUMBER} else None


def _sort_levels(levels: set[str], datatype: Datatype) -> tuple[str, ...]:
    if datatype in (Datatype.INTEGER, Datatype.NUMBER):
        try:
            return tuple(sorted(levels, key=lambda level: (float(level), level)))
        except ValueError:
            pass
    return tuple(sorted(levels))


def _list(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
