"""What a question will meet, told from the published dictionaries alone: nobody is asked for it.

The checks are the run's own (the method's ``start``, the agreement on columns, the rules of disclosure
control), so that the sentences are those that the run would give.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from math import prod
from typing import Any

from salerno.analysis.disclosure.persons import check_model_size, check_persons
from salerno.analysis.methods import method_of
from salerno.analysis.model import Question, Scope
from salerno.analysis.rules import FEW_HOLDERS, check_columns, mentions, merge_dictionaries
from salerno.catalogue.model import DatasetDescription, Datatype, Variable
from salerno.holdings.model import Dictionary, StudyFrame
from salerno.kernel.errors import Invalid, Refused, SalernoError, near
from salerno.permits.model import DisclosurePolicy


@dataclass(frozen=True, kw_only=True)
class Foresight:
    """What was found.

    Args:
        problem: Why the question cannot be asked like that; None when nothing speaks against it.
        refusals: Why disclosure control is likely to refuse it, judged by published counts.
        notes: What else is worth knowing before asking.
    """

    problem: SalernoError | None = None
    refusals: tuple[Refused, ...] = ()
    notes: tuple[str, ...] = ()


def foresee(
    question: Question,
    frame: StudyFrame,
    descriptions: Sequence[DatasetDescription],
    policy: DisclosurePolicy | None = None,
) -> Foresight:
    """Look at a question before it is asked.

    Args:
        question: The question as JSON.
        frame: What the study reads.
        descriptions: Of the study's data sets, one per holder.
        policy: Disclosure policy of the permits.
    """
    policy = policy or DisclosurePolicy()
    try:
        method = method_of(question)
        dictionaries = {d.iri: dictionary_of(d, frame) for d in descriptions}
        known = {iri: each for iri, each in dictionaries.items() if each is not None}
        if not descriptions or len(known) < len(descriptions):
            return Foresight(notes=(_UNKNOWN,))
        names = {d.iri: d.holder.name for d in descriptions}
        merged = merge_dictionaries(known, names)
        check_columns(question, merged)
        scope = Scope(dictionary=merged.dictionary, policy=policy, holders=tuple(sorted(known)), names=names)
        method.start(question, scope)
    except Refused as refused:
        return Foresight(refusals=(refused,))
    except SalernoError as error:
        return Foresight(problem=error)
    used = [v for name, v in merged.dictionary.variables.items() if mentions(question, name)]
    return Foresight(
        refusals=tuple(_refusals(question, used, known, scope)),
        notes=tuple(_notes(used, known, scope)),
    )


_UNKNOWN = (
    "The columns of this study are known once its data are opened. A rehearsal shows what they look like."
)


def dictionary_of(description: DatasetDescription, frame: StudyFrame) -> Dictionary | None:
    """Columns that a frame over a data set will have, by its description; None when that does not tell.

    Raises:
        Invalid: The data set has no table of that name.
    """
    if not _is_plain(frame):
        return Dictionary(variables=_entry_columns(frame)) if _is_entries(frame) else None
    tables = {table.name: table for table in description.tables}
    if not tables or (not frame.table and len(tables) > 1):
        return None
    if frame.table and frame.table not in tables:
        what = f"{description.holder.name} has no table {frame.table!r}"
        raise Invalid("unknown-table", what, remedy=near(frame.table, tables))
    table = tables[frame.table] if frame.table else next(iter(tables.values()))
    return Dictionary(variables={variable.name: variable for variable in table.variables})


_ENTRIES = frozenset(
    {
        "groups",
        "washout_days",
        "outcome",
        "allow_prior_outcome",
        "follow_up_days",
        "covariates",
        "where",
        "complete",
    }
)
_PLAIN = frozenset({"table", "where", "complete"})


def _set_fields(frame: StudyFrame) -> set[str]:
    usual = StudyFrame()
    return {f.name for f in fields(frame) if getattr(frame, f.name) != getattr(usual, f.name)}


def _is_plain(frame: StudyFrame) -> bool:
    return _set_fields(frame) <= _PLAIN


def _is_entries(frame: StudyFrame) -> bool:
    return bool(frame.groups) and _set_fields(frame) <= _ENTRIES


def _entry_columns(frame: StudyFrame) -> dict[str, Variable]:
    """The columns of one row per person who enters; how many persons that is, nobody has published."""
    whole, text = Datatype.INTEGER, Datatype.STRING
    found = [
        Variable(name="group", datatype=text, levels=tuple(sorted(frame.groups))),
        Variable(name="time", datatype=whole),
        Variable(name="status", datatype=whole, levels=("0", "1")),
        Variable(name="age", datatype=whole),
        Variable(name="sex", datatype=text, levels=("F", "M")),
        Variable(name="index_year", datatype=whole),
        *(Variable(name=c.name, datatype=whole, levels=("0", "1")) for c in frame.covariates),
    ]
    return {variable.name: variable for variable in found}


def _refusals(
    question: Question, used: Sequence[Variable], known: Mapping[str, Dictionary], scope: Scope
) -> Iterator[Refused]:
    for iri, dictionary in known.items():
        if not any(v.n for v in dictionary.variables.values()):
            continue  # it publishes no counts, so nothing can be told from them
        for variable in used:
            if dictionary.variables[variable.name].n is None:
                who = f"{scope.names[iri]}: This holder's part, with {variable.name!r},"
                yield from _caught(lambda who=who: check_persons(1, scope.policy, who=who))
    counts = [variable.n for variable in used if variable.n]
    if counts and "formula" in question:
        parameters = 1 + sum(max(len(v.levels) - 1, 1) for v in used)
        yield from _caught(lambda: check_model_size(min(counts), parameters, scope.policy))


def _notes(used: Sequence[Variable], known: Mapping[str, Dictionary], scope: Scope) -> Iterator[str]:
    small = scope.policy.min_cell
    for variable in used:
        for iri, dictionary in known.items():
            lacking = [x for x in variable.levels if x not in dictionary.variables[variable.name].levels]
            if lacking:
                yield (
                    f"{scope.names[iri]} publishes no {variable.name} = {', '.join(lacking)}: "
                    f"it has fewer than {small} such persons, or none."
                )
    factors = [variable for variable in used if variable.levels]
    counts = [variable.n for variable in used if variable.n]
    cells = prod(len(variable.levels) for variable in factors)
    if len(factors) > 1 and counts and min(counts) < small * cells:
        names = " by ".join(variable.name for variable in factors)
        yield f"{names} has {cells} cells: many would have fewer than {small} persons and be hidden."
    if scope.few:
        yield FEW_HOLDERS


def _caught(check: Any) -> Iterator[Refused]:
    try:
        check()
    except Refused as refused:
        yield refused
