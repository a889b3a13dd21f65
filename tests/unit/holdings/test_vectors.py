"""Sums over rows by numpy against the same sums by DuckDB."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from salerno.analysis.methods import method_of
from salerno.analysis.model import Result
from salerno.analysis.sums.columns import every
from salerno.holdings.engine import blocks, vectors
from salerno.holdings.engine.numbers import bind
from salerno.holdings.engine.operations import NotVectors, Unmet
from salerno.holdings.engine.source import Source
from salerno.holdings.engine.sources import open_source
from salerno.holdings.model import NO_NUMBERS, Numbers
from tests.unit.analysis.methods.harness import run_views, scope_of, views_of

ROWS = 30_000  # several blocks


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({f"x{i}": rng.normal(size=ROWS) for i in range(4)})
    frame["sex"] = rng.choice(["F", "M"], ROWS)
    frame["stage"] = rng.choice([1, 2, 3], ROWS)
    frame["count"] = rng.poisson(np.exp(0.3 * frame.x0))
    frame["years"] = rng.uniform(0.5, 4.0, ROWS)
    frame["ill"] = (rng.random(ROWS) < 1 / (1 + np.exp(1 - frame.x0 + frame.x1 * (frame.sex == "F")))).astype(
        int
    )
    return frame


@pytest.fixture(scope="module")
def view(frame: pd.DataFrame) -> ir.Table:
    return _table(pa.Table.from_pandas(frame, preserve_index=False))


def _table(rows: pa.Table) -> ir.Table:
    connection = ibis.duckdb.connect()
    connection.con.register("numbers", rows)
    return connection.table("numbers")


def carried_out(plan: vectors.Plan, numbers: Numbers = NO_NUMBERS) -> pa.Table:
    read = plan.rows.to_pyarrow_batches(chunk_size=10_000)
    return blocks.compute(plan, map(blocks.columns_of, read), numbers)


def by_numpy(expression: ir.Table, numbers: Numbers = NO_NUMBERS) -> pa.Table | None:
    plans = vectors.plans(expression)
    assert plans
    for plan in plans:
        with suppress(NotVectors):
            return carried_out(plan, numbers)
    return None


def rows_of(table: pa.Table, keys: Sequence[str] = ()) -> list[tuple[Any, ...]]:
    return sorted((tuple(row.values()) for row in table.to_pylist()), key=lambda row: row[: len(keys)])


def same(expression: ir.Table, keys: Sequence[str] = ()) -> None:
    found = by_numpy(expression)
    assert found is not None
    wanted = expression.to_pyarrow()
    assert found.schema == wanted.schema
    for ours, theirs in zip(rows_of(found, keys), rows_of(wanted, keys), strict=True):
        assert ours[: len(keys)] == theirs[: len(keys)]
        assert list(ours[len(keys) :]) == pytest.approx(list(theirs[len(keys) :]), rel=1e-11, abs=1e-8)


def products(view: ir.Table, **others: ir.Value) -> dict[str, ir.Value]:
    """Enough sums of products to be worth the way."""
    return {f"h{i}": (view.x0 * view[f"x{i % 4}"] * (i + 1.0)).sum() for i in range(8)} | others


def test_sums_of_products(view: ir.Table) -> None:
    kept = view.filter(view.x1 > -1)
    kept = kept.mutate(z=kept.x2 - 0.5).mutate(w=lambda t: t.z * t.z)
    same(
        kept.aggregate(
            n=kept.count(), k=(kept.x3 > 0).sum(), s=kept.stage.sum(), **products(kept, w=kept.w.sum())
        )
    )


@pytest.mark.parametrize(
    "value",
    [
        lambda t: (-t.x0).exp() / (1.0 + t.years),
        lambda t: t.years.ln() * t.x1.abs(),
        lambda t: t.years.sqrt() - t.years**3,
        lambda t: ibis.greatest(ibis.least(t.x0, 1.0), -1.0),
        lambda t: ibis.cases((t.sex == "F", t.x0), (t.x1 > 0, 2.0), else_=-1.0),
        lambda t: ibis.cases((t.sex == "F", 1.0), (t.sex == "M", 2.0)),
        lambda t: t.sex.isin(["F", "X"]).cast("int64").cast("float64"),
        lambda t: ((t.stage == 2) | ~(t.ill == 1)).ifelse(t.x0, t.x1),
        lambda t: t.x0.between(-1, 1).ifelse(t.x0, 0.0),
    ],
)
def test_operations(view: ir.Table, value: Callable[[ir.Table], ir.Value]) -> None:
    kept = view.filter(view.x0 < 2)
    kept = kept.mutate(z=value(kept))
    same(kept.aggregate(**products(kept, z=kept.z.sum(), zx=(kept.z * kept.x3).sum())))


def test_groups(view: ir.Table) -> None:
    kept = view.filter(view.x1 > 0)
    same(kept.group_by(kept.sex, kept.stage).aggregate(n=kept.count(), **products(kept)), ["sex", "stage"])


def test_nobody_meets_the_filter(view: ir.Table) -> None:
    kept = view.filter(view.x0 > 1e6)
    found, wanted = (
        by_numpy(kept.aggregate(n=kept.count(), **products(kept))),
        kept.aggregate(n=kept.count(), **products(kept)).to_pyarrow(),
    )
    assert found is not None
    assert found.to_pylist() == wanted.to_pylist()
    grouped = by_numpy(kept.group_by(kept.sex).aggregate(**products(kept)))
    assert grouped is not None
    assert grouped.num_rows == 0


def test_left_to_the_engine(view: ir.Table) -> None:
    few = view.aggregate(a=view.x0.sum(), b=view.x1.sum())
    assert vectors.plans(few) == ()  # not worth it
    assert vectors.plans(view.aggregate(**products(view, t=view.sex.nunique()))) == ()
    assert vectors.plans(view.aggregate(**products(view, t=view.x0.sum(where=view.x1 > 0)))) == ()
    assert vectors.plans(view.aggregate(**products(view, t=view.x0.round().sum()))) == ()
    assert vectors.plans(view.select("x0")) == ()


@pytest.mark.parametrize(
    "value",
    [
        lambda t: t.x0.ln(),  # no value below zero
        lambda t: t.x0.sqrt(),
        lambda t: t.x0 / (t.ill - 1).cast("float64"),
        lambda t: ibis.cases((t.x0 > 0, t.x0)),
        lambda t: t.x0.nullif(0.0),
    ],
)
def test_what_has_no_value_somewhere_is_left_to_the_engine(
    view: ir.Table, value: Callable[[ir.Table], ir.Value]
) -> None:
    changed = view.mutate(z=value(view))
    for plan in vectors.plans(changed.aggregate(**products(changed, z=changed.z.sum()))):
        with pytest.raises(NotVectors):
            carried_out(plan)


def test_missing_values_are_left_to_the_engine() -> None:
    table = pa.table({f"x{i}": [1.0, None if i == 2 else 2.0] for i in range(4)})
    view = _table(table)
    assert by_numpy(view.aggregate(**products(view))) is None
    same(view.filter(view.x2.notnull()).aggregate(**products(view.filter(view.x2.notnull()))))


def test_rows_that_meet_the_filter_are_not_asked_of_the_engine(view: ir.Table) -> None:
    kept = view.filter((view.years > 0) & view.x0.notnull()).mutate(z=view.x0 * 2.0)
    kept = kept.filter(kept.z < 1e9)
    expression = kept.aggregate(n=kept.count(), **products(kept))
    first, second = vectors.plans(expression)
    assert first.rows.op().parent == view.op()
    assert carried_out(first).to_pylist() == carried_out(second).to_pylist()
    with pytest.raises(Unmet):
        carried_out(vectors.plans(view.filter(view.x0 > 0).aggregate(**products(view)))[0])


def test_numbers_are_given_with_each_computation(view: ir.Table) -> None:
    a, b, c, d = (ibis.param("float64") for _ in range(4))
    kept = view.mutate(z=view.x0 * a + view.x1 * b + view.x2 * c + view.years + d, w=view.ill * a)
    expression = kept.aggregate(
        zx=(kept.z * kept.x3).sum(), e=kept.z.exp().sum(), w=kept.w.sum(), **products(view)
    )
    for values in ([0.5, -1.0, 2.0, 1e-3], [1.0, 0.0, 0.1, -3.0]):
        numbers = {place.op(): value for place, value in zip((a, b, c, d), values, strict=True)}
        found = by_numpy(expression, numbers)
        assert found is not None
        wanted = bind(expression, numbers).to_pyarrow()
        assert rows_of(found)[0] == pytest.approx(rows_of(wanted)[0], rel=1e-11)


def test_many_groups_are_left_to_the_engine(view: ir.Table) -> None:
    assert by_numpy(view.group_by(view.x3).aggregate(**products(view))) is None


@pytest.mark.parametrize(
    "question",
    [
        {"method": "glm", "family": "binomial", "formula": "ill ~ x0 + x1 * sex + x2 + log(years)"},
        {
            "method": "glm",
            "family": "poisson",
            "formula": "count ~ x0 + sex + x1 + x2",
            "offset": "log(years)",
        },
        {"method": "glm", "formula": "x3 ~ x0 + x1 + C(stage) + I(x2^2)", "weights": "years"},
        {"method": "correlation", "variables": ["x0", "x1", "x2", "years"]},
    ],
)
def test_methods_give_the_same_answer(
    frame: pd.DataFrame, question: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = [frame.iloc[:9_000], frame.iloc[9_000:]]
    scope = scope_of(frames)
    views = views_of(frames, scope)
    wanted = run_views(question, views, scope)
    used = []
    fetch = ir.Table.to_pyarrow

    def sums(expression: ir.Table, **kwargs: Any) -> pa.Table:
        found = by_numpy(expression) if vectors.plans(expression) else None
        used.append(found is not None)
        return fetch(expression, **kwargs) if found is None else found

    monkeypatch.setattr(ir.Table, "to_pyarrow", sums)
    got = run_views(question, views, scope)
    assert sum(used) >= 2, f"only {used} of the rounds of {method_of(question).NAME} went this way"
    assert _numbers(got) == pytest.approx(_numbers(wanted), rel=1e-9, abs=1e-9)


def _numbers(result: Result) -> list[float]:
    def walk(value: Any) -> list[float]:
        if isinstance(value, dict):
            return [n for item in value.values() for n in walk(item)]
        if isinstance(value, list):
            return [n for item in value for n in walk(item)]
        return [float(value)] if isinstance(value, (int, float)) else []

    return walk(result.result)


@pytest.fixture
def source(frame: pd.DataFrame, tmp_path: Path) -> Iterator[Source]:
    rows = pa.Table.from_pandas(frame, preserve_index=False)
    some = rows.set_column(0, "x0", pc.if_else(pc.greater(rows["x1"], 2.0), None, rows["x0"]))
    pq.write_table(rows, tmp_path / "whole.parquet")
    pq.write_table(some, tmp_path / "some.parquet")
    with open_source(str(tmp_path)) as opened:
        yield opened


@pytest.mark.parametrize("name", ["whole", "some"])
def test_rounds_with_other_numbers_on_a_source(source: Source, name: str) -> None:
    """Held rows, rows that the engine filters, and a sum over missing values, which is the engine's own."""
    table = source.table(name)
    number = ibis.param("float64")
    for rows in (table, table.filter(table.x0.abs() < 1e300), table.filter(table.x0.abs() < 1.0)):
        expression = rows.aggregate(t=(rows.x2 * number).sum(), n=rows.count(), **products(rows))
        for value in (0.5, -2.0):
            numbers = {number.op(): value}
            wanted = source.fetch(bind(expression, numbers))
            assert rows_of(source.sums(expression, numbers))[0] == pytest.approx(
                rows_of(wanted)[0], rel=1e-11
            )


def test_what_is_known_of_held_rows(source: Source) -> None:
    whole, some = source.table("whole"), source.table("some")
    positive = whole.years > 0
    assert not source.is_met(whole, positive)  # nothing is held yet
    read = whole.filter(positive)
    source.sums(read.aggregate(z=read.years.sum(), **products(read)))
    columns = every([whole[name].abs() < 1e9 for name in ("x0", "x1", "x2", "x3", "years")])
    assert source.is_met(whole, columns)
    assert source.is_met(whole, columns)
    assert not source.is_met(whole, columns & (whole.x0 < 0))
    assert not source.is_met(whole, positive)  # a query of other columns
    source.sums(some.aggregate(z=some.years.sum(), **products(some)))
    assert not source.is_met(
        some, every([some[name].abs() < 1e9 for name in ("x0", "x1", "x2", "x3", "years")])
    )
