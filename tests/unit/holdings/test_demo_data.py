"""The demo's data: GiBleed as it should be, a synthetic population with the effects it was made with."""

from __future__ import annotations

import filecmp
from pathlib import Path

import duckdb
import numpy as np
import pytest

from salerno.holdings.engine.reading import read_rows
from salerno.kernel.errors import Invalid, Unavailable
from salerno.nodes import demo_data
from salerno.nodes.demo_data import (
    GIBLEED_FRAME,
    TRUE_LOG_HAZARD_RATIOS,
    gibleed,
    person_identifiers,
    pooled_frame,
    split_omop,
    synthetic_omop,
)


def test_gibleed_is_repaired(tmp_path: Path) -> None:
    folder = gibleed(tmp_path)
    with duckdb.connect() as connection:
        rows = {
            file.stem: connection.execute(f"SELECT count(*) FROM '{file}'").fetchall()[0][0]
            for file in folder.glob("*.parquet")
        }
        columns = [
            row[0]
            for row in connection.execute(f"DESCRIBE SELECT * FROM '{folder}/death.parquet'").fetchall()
        ]
    assert rows["person"] == 2694
    assert rows["observation_period"] == 5343
    assert sum(count == 0 for count in rows.values()) == 20
    assert columns[:2] == ["person_id", "death_date"]
    frame = read_rows(str(folder), GIBLEED_FRAME).to_pandas()
    assert len(frame) == 2630
    assert frame.status.sum() == 479


def test_without_the_package_the_remedy_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_data, "find_spec", lambda name: None)
    with pytest.raises(Unavailable, match="gibleed-missing"):
        gibleed(tmp_path)


def test_a_population_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    a, b, c = (synthetic_omop(tmp_path / name, 300, seed) for name, seed in (("a", 1), ("b", 1), ("c", 2)))
    names = [file.name for file in a.glob("*.parquet")]
    assert len(names) == 13
    assert filecmp.cmpfiles(a, b, names, shallow=False)[0] == names
    assert not filecmp.cmp(a / "person.parquet", c / "person.parquet", shallow=False)
    with pytest.raises(Invalid):
        synthetic_omop(tmp_path / "none", 0)


@pytest.mark.parametrize("persons", [1, 2, 7])
def test_the_smallest_populations_can_be_made_and_read(tmp_path: Path, persons: int) -> None:
    read_rows(str(synthetic_omop(tmp_path, persons, seed=3)), GIBLEED_FRAME)


def test_a_cox_regression_finds_the_effects_again(tmp_path: Path) -> None:
    lifelines = pytest.importorskip("lifelines")
    frame = read_rows(str(synthetic_omop(tmp_path, 40_000, seed=4)), GIBLEED_FRAME).to_pandas()
    design = frame.assign(groupdiclofenac=frame.group == "diclofenac", sexM=frame.sex == "M")
    design = design[["time", "status", *TRUE_LOG_HAZARD_RATIOS]].astype(float)
    fit = lifelines.CoxPHFitter().fit(design, "time", "status")
    for term, truth in TRUE_LOG_HAZARD_RATIOS.items():
        assert abs(fit.params_[term] - truth) < 4 * fit.standard_errors_[term]
    assert np.all(fit.standard_errors_ < 0.06)


def test_parts_hold_each_person_once_and_all_words(tmp_path: Path) -> None:
    whole = synthetic_omop(tmp_path / "whole", 900, seed=6)
    parts = split_omop(whole, [tmp_path / str(n) for n in range(3)])
    persons = [set(person_identifiers(part, 10_000)) for part in parts]
    assert all(len(part) > 250 for part in persons)
    assert len(set.union(*persons)) == sum(map(len, persons)) == 900
    for part in parts:
        assert (part / "concept_ancestor.parquet").exists()
    names = ["x", "y", "z"]
    pooled = pooled_frame(parts, GIBLEED_FRAME, names=names)
    left_out = [person_identifiers(part, 40) for part in parts]
    fewer = pooled_frame(parts, GIBLEED_FRAME, names=names, without=left_out)
    assert set(pooled.holder) == set(names)
    assert len(pooled) - 120 < len(fewer) < len(pooled)
    with pytest.raises(Invalid):
        split_omop(tmp_path / "nowhere", parts)
