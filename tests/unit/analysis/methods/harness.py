"""Runs a method over data frames as a coordinator and holders would, without network and masks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import count
from typing import Any

import ibis
import pandas as pd
import pyarrow as pa

from salerno.analysis.methods import method_of, most_rounds
from salerno.analysis.model import Question, Result, Scope
from salerno.catalogue.model import Datatype, Variable
from salerno.holdings.model import Dictionary
from salerno.permits.model import DisclosurePolicy

OPEN = DisclosurePolicy(min_cell=1, max_parameter_ratio=1.0, min_degrees_of_freedom=0)
"""A policy that lets everything out, to compare with pooled analyses."""


def dictionary_of(frames: Sequence[pd.DataFrame], *, max_levels: int = 40) -> Dictionary:
    """Columns over all frames, with levels where the values are few."""
    pooled = pd.concat(frames, ignore_index=True)
    variables = {}
    for name in pooled.columns:
        values = pooled[name].dropna()
        kind = _datatype(values)
        distinct = sorted(values.unique().tolist(), key=str if kind is Datatype.STRING else None)
        levels: tuple[str, ...] = ()
        if kind is Datatype.INTEGER:
            distinct = [int(v) for v in distinct]
        if kind is not Datatype.NUMBER and len(distinct) <= max_levels:
            levels = tuple(str(v).lower() if kind is Datatype.BOOLEAN else str(v) for v in distinct)
        variables[name] = Variable(name=name, datatype=kind, levels=levels)
    return Dictionary(variables=variables)


def _datatype(values: pd.Series) -> Datatype:
    if values.dtype == object:
        return Datatype.BOOLEAN if len(values) and isinstance(values.iloc[0], bool) else Datatype.STRING
    if values.dtype.kind == "b" or str(values.dtype) == "boolean":
        return Datatype.BOOLEAN
    whole = values.dtype.kind in "iu" or (len(values) and (values == values.round()).all())
    return Datatype.INTEGER if whole else Datatype.NUMBER


def scope_of(
    frames: Sequence[pd.DataFrame], policy: DisclosurePolicy = OPEN, names: Sequence[str] = ()
) -> Scope:
    """What the nodes agree on: one holder per frame."""
    dids = tuple(f"did:web:h{i}.example" for i in range(len(frames)))
    shown = names or [f"h{i}" for i in range(len(frames))]
    return Scope(
        dictionary=dictionary_of(frames),
        policy=policy,
        holders=dids,
        names=dict(zip(dids, shown, strict=True)),
    )


def views_of(frames: Sequence[pd.DataFrame], scope: Scope) -> list[ibis.Table]:
    """Each frame as a table of one DuckDB, with the ``holder`` column."""
    connection = _duckdb()
    views = []
    for holder, table in zip(scope.holders, tables_of(frames, scope), strict=True):
        name = f"view{next(_numbers)}"
        connection.con.register(name, table)
        views.append(connection.table(name).mutate(holder=ibis.literal(scope.names[holder])))
    return views


def tables_of(frames: Sequence[pd.DataFrame], scope: Scope) -> list[pa.Table]:
    """Each frame with the columns and types of the dictionary."""
    variables = scope.dictionary.variables
    schema = pa.schema([(name, _TYPES[v.datatype]) for name, v in variables.items()])
    return [
        pa.Table.from_pandas(
            pd.DataFrame({name: frame[name].astype(_DTYPES[v.datatype]) for name, v in variables.items()}),
            schema=schema,
            preserve_index=False,
        )
        for frame in frames
    ]


@cache
def _duckdb() -> Any:
    return ibis.duckdb.connect()


_numbers = count()

_DTYPES = {
    Datatype.STRING: "object",
    Datatype.INTEGER: "Int64",
    Datatype.NUMBER: "float64",
    Datatype.BOOLEAN: "boolean",
}
_TYPES = {
    Datatype.STRING: pa.string(),
    Datatype.INTEGER: pa.int64(),
    Datatype.NUMBER: pa.float64(),
    Datatype.BOOLEAN: pa.bool_(),
}


def run(
    question: Question,
    frames: Sequence[pd.DataFrame],
    policy: DisclosurePolicy = OPEN,
    *,
    scope: Scope | None = None,
) -> Result:
    """The answer to a question over holders that have a frame each."""
    scope = scope or scope_of(frames, policy)
    return run_views(question, views_of(frames, scope), scope)


def run_views(question: Question, views: Sequence[ibis.Table], scope: Scope) -> Result:
    """The same over views that lie in an engine already; checks what every round must keep."""
    method = method_of(question)
    state = method.start(question, scope)
    for _ in range(most_rounds(method, scope.policy)):
        shares = []
        for view in views:
            aggregate = method.local(view, state)
            sums = aggregate.finish(aggregate.expression.to_pyarrow())
            sums = method.guard(sums, state, scope)
            for array in sums.values():
                assert array.dtype in ("int64", "float64")
                assert array.dtype == "int64" or (abs(array) < 1e200).all()
            shares.append(sums)
        layouts = [{n: (a.shape, a.dtype) for n, a in s.items()} for s in shares]
        assert all(layout == layouts[0] for layout in layouts)
        total = {n: sum((s[n] for s in shares[1:]), shares[0][n]) for n in shares[0]}
        state = method.step(total, state)
        if isinstance(state, Result):
            return state
    raise AssertionError("no answer within the rounds that are allowed")
