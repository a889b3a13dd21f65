"""Kept frames: the same one for the same rows, another for any other, none after the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import ibis
import pytest

from salerno.holdings.engine.keeping import KeepingEngine
from salerno.holdings.model import Holding, StudyFrame
from salerno.holdings.service import OpenedFrame, Stage
from salerno.kernel.errors import Refused, Unavailable
from salerno.permits.model import Condition, DataScope, OptOutList

NOBODY = OptOutList(salt="0" * 32, tokens=b"", as_of=datetime(2031, 1, 1, tzinfo=UTC))

ROWS = "id,age,sex\n" + "".join(f"{n},{20 + n},{'FM'[n % 2]}\n" for n in range(40))


@pytest.fixture
def holding(tmp_path: Path) -> Holding:
    (tmp_path / "cohort.csv").write_text(ROWS)
    return Holding(
        id="cohort",
        dataset="http://127.0.0.1:1/datasets/cohort",
        title="Cohort",
        source=str(tmp_path / "cohort.csv"),
        kind="tables",
        connected_at=datetime(2031, 1, 1, tzinfo=UTC),
        person_column="id",
    )


@pytest.fixture
def scope(holding: Holding) -> DataScope:
    return DataScope(
        dataset=holding.dataset, holder="did:web:h", country="FR", tables={"cohort": ("age", "sex")}
    )


@pytest.fixture
def engine() -> Iterator[KeepingEngine]:
    engine = KeepingEngine(idle_seconds=300, most=1)
    yield engine
    engine.close()


def open_with(engine: KeepingEngine, holding: Holding, scope: DataScope, **changes: Any) -> OpenedFrame:
    frame = changes.pop("frame", StudyFrame())
    given = {"left_out": NOBODY, "min_cell": 5, "holder_name": "H"} | changes
    return engine.open(holding, frame, scope, **given)


def mean_age(frame: OpenedFrame) -> float:
    return float(frame.compute(frame.table.agg(mean=frame.table.age.mean()))["mean"][0].as_py())


def test_a_second_question_gets_the_frame_of_the_first(
    engine: KeepingEngine, holding: Holding, scope: DataScope
) -> None:
    first = open_with(engine, holding, scope)
    first.close()
    second = open_with(engine, holding, scope)
    assert second.table is first.table
    assert mean_age(second) == 39.5


@pytest.mark.parametrize(
    "changes",
    [
        {"left_out": replace(NOBODY, tokens=b"a" * 16)},
        {"left_out": replace(NOBODY, salt="1" * 32)},
        {"min_cell": 6},
        {"frame": StudyFrame(where=(Condition(column="age", operator=">", value=30),))},
        {"frame": StudyFrame(complete=("age",))},
    ],
)
def test_whatever_decides_on_the_rows_makes_another_frame(
    engine: KeepingEngine, holding: Holding, scope: DataScope, changes: dict[str, Any]
) -> None:
    first = open_with(engine, holding, scope)
    assert open_with(engine, holding, scope, **changes).table is not first.table


def test_a_changed_file_makes_another_frame(
    engine: KeepingEngine, holding: Holding, scope: DataScope
) -> None:
    open_with(engine, holding, scope).close()
    Path(holding.source).write_text(ROWS + "40,100,F\n")
    assert open_with(engine, holding, scope).n_persons == 41


def test_a_narrower_permit_gets_no_wider_frame(
    engine: KeepingEngine, holding: Holding, scope: DataScope
) -> None:
    wide = open_with(engine, holding, scope)
    narrow = open_with(engine, holding, replace(scope, tables={"cohort": ("sex",)}))
    assert set(wide.table.columns) == {"age", "sex", "holder"}
    assert set(narrow.table.columns) == {"sex", "holder"}


def test_unused_frames_beyond_the_limit_are_dropped(
    engine: KeepingEngine, holding: Holding, scope: DataScope
) -> None:
    old = open_with(engine, holding, scope)
    new = open_with(engine, holding, scope, min_cell=6)
    old.close()
    new.close()
    assert open_with(engine, holding, scope, min_cell=6).table is new.table
    assert open_with(engine, holding, scope).table is not old.table


def test_a_frame_in_use_outlives_the_limit(engine: KeepingEngine, holding: Holding, scope: DataScope) -> None:
    used = open_with(engine, holding, scope)
    for min_cell in (6, 7, 8):
        open_with(engine, holding, scope, min_cell=min_cell).close()
    engine.close()
    assert mean_age(used) == 39.5


def test_a_hold_is_let_go_once(engine: KeepingEngine, holding: Holding, scope: DataScope) -> None:
    first, second = open_with(engine, holding, scope), open_with(engine, holding, scope)
    first.close()
    first.close()
    engine.close()
    assert mean_age(second) == 39.5
    second.close()
    engine.close()
    with pytest.raises(Unavailable):
        mean_age(second)


def test_rows_are_made_in_stages_once_and_again_when_others_took_their_place(
    engine: KeepingEngine, holding: Holding, scope: DataScope
) -> None:
    made = []

    def stage(name: str, years: int) -> Stage:
        def make(rows: ibis.Table) -> ibis.Table:
            made.append(name)
            return rows.select(age=rows.age + years)

        return name, make

    def added(*stages: Stage) -> float:
        with frame.staged(stages) as rows:
            expression = rows.agg(mean=rows.age.mean())
            frame.check(expression, rows)
            return round(frame.compute(expression)["mean"][0].as_py() - mean_age(frame), 6)

    one, two, other = stage("one", 1), stage("two", 10), stage("other", 5)
    with closing(open_with(engine, holding, scope)) as frame:
        assert added() == 0
        assert (added(one), added(one, two), added(one, two), added(other)) == (1, 11, 11, 5)
        assert made == ["one", "two", "other"]
        assert added(one, two, stage("three", 100)) == 111
        assert added(stage("fourth", 7)) == 7  # takes the place of "other"
        assert (added(other), added(one, two)) == (5, 11)
        assert made == ["one", "two", "other", "three", "fourth", "other", "one", "two"]


def test_a_stage_reads_the_rows_before_it_and_hands_out_none(
    engine: KeepingEngine, holding: Holding, scope: DataScope
) -> None:
    with closing(open_with(engine, holding, scope)) as frame:
        first: Stage = ("first", lambda rows: rows.select("age"))
        with frame.staged([first]) as rows:
            for expression, code in ((rows, "not-an-aggregate"), (frame.table.agg(n=1), "outside-view")):
                with pytest.raises(Refused) as refused:
                    frame.check(expression, rows)
                assert refused.value.code == code
            made = frame.table
        with pytest.raises(Refused, match="another table"), frame.staged([first, ("second", lambda _: made)]):
            pass
        with frame.staged([first]) as rows:
            assert frame.compute(rows.agg(n=rows.count()))["n"].to_pylist() == [40]
