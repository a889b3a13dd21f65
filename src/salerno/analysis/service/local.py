"""The local part of a round: one aggregate over the permitted view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ibis

from salerno.analysis.methods import stages_of
from salerno.analysis.model import Aggregate, Method, Released, Scope, Stage, Sums, Training
from salerno.analysis.service.ports import View
from salerno.analysis.sums.kept import for_same
from salerno.catalogue.model import Datatype
from salerno.holdings.model import Dictionary
from salerno.holdings.service import Persons
from salerno.kernel.errors import Invalid, SalernoError


def compute(view: View, method: Method, state: Any, scope: Scope, holder_name: str) -> Sums:
    """The holder's own sums of a round.

    Args:
        view: What may be read.
        method: Whose local part is computed.
        state: The round's state.
        scope: What all agreed on; its columns, in its types, are what the method sees.
        holder_name: Value of the column ``holder``, as the scope spells it.

    Raises:
        SalernoError: The view refuses, or the method.
        Invalid: ``local-failed`` for any other error; no value of the data is in the sentence.
    """
    training: Training | None = method.train(state) if hasattr(method, "train") else None
    parts: list[Aggregate] = []
    own = view.dictionary

    def agreed(table: ibis.Table) -> ibis.Table:
        return _agreed(table, own, scope, holder_name)

    stages = stages_of(method, state)

    def build(table: ibis.Table) -> ibis.Table:
        parts.append(method.local(table if stages else agreed(table), state))
        return parts[-1].expression

    def rows_of(table: ibis.Table) -> ibis.Table:
        assert training is not None
        return training.rows(agreed(table))

    try:
        if training is not None:
            return training.finish(view.train(rows_of, training.learning, training.task))
        made = _made_of(stages, (scope, holder_name), agreed)
        rows = view.run(build, made, lambda: parts[-1].numbers)
        return parts[-1].finish(rows)
    except SalernoError:
        raise
    except Exception as error:
        raise _failed(method, holder_name, error) from error


def _made_of(
    stages: Sequence[Stage], key: Any, agreed: Callable[[ibis.Table], ibis.Table]
) -> list[tuple[Any, Callable[[ibis.Table], ibis.Table]]]:
    """A method's stages; the first is made of what all agreed on, by which it is known too."""
    made: list[tuple[Any, Callable[[ibis.Table], ibis.Table]]] = [(one, one.rows) for one in stages]
    if stages:
        made[0] = (key, stages[0]), lambda table: stages[0].rows(agreed(table))
    return made


def told_of(
    view: View, method: Method, state: Any, scope: Scope, holder_name: str, secret: bytes, most: int
) -> list[Persons]:
    """Whom the figures of an answer will rest on, by its first round; a method that does not say, all rows.

    Args:
        view: What may be read.
        method: Whose figures they are.
        state: The method's first state.
        scope: What all agreed on.
        holder_name: Value of the column ``holder``, as the scope spells it.
        secret: Key of the persons' numbers.
        most: How many of the largest contributors to a sum to look at.

    Raises:
        SalernoError: The view refuses, or the method.
        Invalid: ``local-failed`` for any other error; no value of the data is in the sentence.
    """

    def tell(table: ibis.Table) -> tuple[ibis.Table, Sequence[Released]]:
        agreed = _agreed(table, view.dictionary, scope, holder_name)
        return agreed, method.local(agreed, state).released or (Released(ibis.literal(True)),)

    try:
        return view.persons(tell, secret, most)
    except SalernoError:
        raise
    except Exception as error:
        raise _failed(method, holder_name, error) from error


def _failed(method: Method, holder_name: str, error: Exception) -> Invalid:
    """The engine's own words could quote values, so only the kind of error leaves the holder."""
    return Invalid(
        "local-failed",
        f"The computation of {method.NAME!r} failed at {holder_name} ({type(error).__name__})",
    )


@for_same
def _agreed(table: ibis.Table, own: Dictionary, scope: Scope, holder_name: str) -> ibis.Table:
    """The view's common columns; whole numbers become numbers where other holders have those."""
    columns: dict[str, Any] = {}
    for name, variable in scope.dictionary.variables.items():
        column = table[name]
        if variable.datatype is Datatype.NUMBER and own.variables[name].datatype is Datatype.INTEGER:
            column = column.cast("float64")
        columns[name] = column
    columns["holder"] = ibis.literal(holder_name)
    # In the holder's own ledger the rows have a key as well, which no method knows of.
    keys = {name: table[name] for name in table.columns if name not in own.variables and name != "holder"}
    return table.select(**columns, **keys)
