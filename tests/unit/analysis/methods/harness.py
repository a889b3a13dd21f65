"""Runs a method over data frames as a coordinator and holders would, without network and masks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache, reduce
from itertools import count
from typing import Any

import ibis
import pandas as pd
import pyarrow as pa

from salerno.analysis.methods import method_of, most_rounds, stages_of
from salerno.analysis.model import Aggregate, Method, Question, Result, Scope, Sums
from salerno.catalogue.model import Datatype, Variable
from salerno.holdings.engine.events import KEY
from salerno.holdings.engine.numbers import bind
from salerno.holdings.engine.sets import Keyed
from salerno.holdings.engine.source import Source
from salerno.holdings.model import Dictionary
from salerno.kernel.errors import Invalid
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


class _Frames:
    """Rounds over frames: an expression is made and rendered once, then run on each holder's rows.

    Most of a round on few rows is that, so tests take a third of the time. An expression that depends on
    whose the view is is made for each holder.
    """

    def __init__(self, frames: Sequence[pd.DataFrame], scope: Scope) -> None:
        self._names = [scope.names[holder] for holder in scope.holders]
        self._tables = [
            table.append_column("holder", pa.array([name] * len(table), pa.string()))
            for name, table in zip(self._names, tables_of(frames, scope), strict=True)
        ]
        self._view = f"view{next(_numbers)}"

    def views(self) -> Iterator[ibis.Table]:
        """The view of each holder, until the next one's."""
        for name, table in zip(self._names, self._tables, strict=True):
            view = self._show(table)
            yield view.select(*[c for c in view.columns if c != "holder"], holder=ibis.literal(name))

    def shares(self, method: Method, state: Any) -> list[Sums]:
        """Each holder's sums of a round."""
        view = self._show(self._tables[0])
        try:
            aggregate = _local(method, view, state)
        except Invalid as error:
            if error.code != "local-failed":
                raise
            return shares_of(method, state, self.views())
        connection, shares = _duckdb(), []
        connection._run_pre_execute_hooks(aggregate.expression)
        sql = connection.compile(aggregate.expression)
        for table in self._tables:
            self._show(table)
            rows = connection.con.sql(sql).fetch_arrow_table()
            shares.append(aggregate.finish(aggregate.expression.__pyarrow_result__(rows)))
        return shares

    def _show(self, table: pa.Table) -> ibis.Table:
        _duckdb().con.register(self._view, table)
        return _duckdb().table(self._view)


def shares_of(method: Method, state: Any, views: Iterable[ibis.Table]) -> list[Sums]:
    """Each holder's sums of a round, in full."""
    aggregates = (_local(method, view, state) for view in views)
    return [aggregate.finish(aggregate.expression.to_pyarrow()) for aggregate in aggregates]


def _local(method: Method, view: ibis.Table, state: Any) -> Aggregate:
    """A round's aggregate with its numbers, and with the stages of its rows in one expression."""
    rows = reduce(lambda rows, stage: stage.rows(rows), stages_of(method, state), view)
    aggregate = method.local(rows, state)
    return replace(aggregate, expression=bind(aggregate.expression, aggregate.numbers))


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
    holders = _Frames(frames, scope)
    return _run(question, scope, holders.views, holders.shares)


def run_views(question: Question, views: Sequence[ibis.Table], scope: Scope) -> Result:
    """The same over views that lie in an engine already."""
    return _run(question, scope, lambda: views, lambda method, state: shares_of(method, state, views))


def _run(
    question: Question,
    scope: Scope,
    views: Callable[[], Iterable[ibis.Table]],
    shares_in: Callable[[Method, Any], list[Sums]],
) -> Result:
    """Round by round; checks what every round must keep."""
    method = method_of(question)
    state = method.start(question, scope)
    told = _told(question, scope, views, state)
    for _ in range(most_rounds(method, scope.policy)):
        shares = [method.guard(sums, state, scope) for sums in shares_in(method, state)]
        for array in (array for sums in shares for array in sums.values()):
            assert array.dtype in ("int64", "float64")
            assert array.dtype == "int64" or (abs(array) < 1e200).all()
        layouts = [{n: (a.shape, a.dtype) for n, a in s.items()} for s in shares]
        assert all(layout == layouts[0] for layout in layouts)
        total = {n: sum((s[n] for s in shares[1:]), shares[0][n]) for n in shares[0]}
        state = method.step(total, state)
        if isinstance(state, Result):
            assert told is None or told >= state.n
            return state
    raise AssertionError("no answer within the rounds that are allowed")


_asked: set[str] = set()


def _told(
    question: Question, scope: Scope, views: Callable[[], Iterable[ibis.Table]], state: Any
) -> int | None:
    """How many rows the ledgers would hold the answer to rest on, evaluated as a holder does it.

    Once for each question, as what is told are expressions, whatever the rows.
    """
    key = json.dumps(question)
    if key in _asked:
        return None
    _asked.add(key)
    method, rows = method_of(question), 0
    for holder, view in zip(scope.holders, views(), strict=True):
        keyed = view.mutate(**{KEY: ibis.row_number()})
        keyed = keyed.mutate(holder=ibis.literal(scope.names[holder]))
        released = method.local(keyed, state).released
        assert released, f"{method.NAME} does not tell whom its figures rest on"
        n_rows = view.count().to_pyarrow().as_py()
        source = Source(view.get_backend(), {})
        engine = Keyed(source, keyed, by_row=False, one_row_each=False, n_rows=n_rows)
        rows += max(engine.sets(keyed, each, b"a secret of 16 b").rows for each in released)
        for each in released:
            engine.contributions(keyed, each, 2)
    return rows
