from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from salerno import Answer, Invalid
from salerno.client.answer import heading_of
from salerno.client.frames import answer_grids
from tests.unit.client import answers


@pytest.mark.parametrize("plain", answers.ALL, ids=lambda a: a["method"])
def test_every_figure_of_the_result_is_in_a_table(plain: dict[str, Any]) -> None:
    cells = [cell for grid in answer_grids(plain) for row in grid.rows for cell in row]
    for number in _numbers(plain["result"]):
        assert number in cells


@pytest.mark.parametrize("plain", answers.ALL, ids=lambda a: a["method"])
def test_grids_are_rectangular_and_do_not_change_the_answer(plain: dict[str, Any]) -> None:
    before = json.dumps(plain)
    for grid in answer_grids(plain):
        assert {len(row) for row in grid.rows} == {len(grid.columns)}
    assert json.dumps(plain) == before


def test_a_regression_has_its_coefficients_at_full_precision() -> None:
    table = Answer(answers.COX).table()
    assert list(table["term"]) == ["age", "sexM"]
    assert table.loc[0, "estimate"] == 0.0169897540295
    assert Answer(answers.COX).tables()["figures"].set_index("figure").loc["n_events", "value"] == 165


def test_curves_come_as_one_long_table() -> None:
    table = Answer(answers.CURVES).table()
    assert list(table["stratum"]) == ["F", "F", "F", "M", "M"]
    assert table["at_risk"].dtype == "Int64"
    assert table["at_risk"].isna().sum() == 1


def test_suppressed_counts_are_missing_values_not_numbers() -> None:
    table = Answer(answers.CROSSTAB).table().set_index("DIS_DIAB")
    assert table.loc["1", "F"] == 97
    assert pd.isna(table.loc["1", "M"])
    assert table.loc["total", "total"] == 9379


def test_an_unknown_method_is_shown_by_the_shape_of_its_result() -> None:
    plain = answers.answer(
        "new", {"a": 1, "series": [1, 2], "parts": [{"x": 3}], "inner": {"deep": {"y": 4}}}
    )
    tables = Answer(plain).tables()
    assert tables["parts"].loc[0, "x"] == 3
    assert tables["figures"].loc[0, "value"] == 1
    assert tables["inner"].loc[0, "y"] == 4


def test_figures_by_level_are_one_table_with_a_column_for_each_factor() -> None:
    by = ["sex", "country"]
    parts = [
        {"variable": "age", "by": by, "groups": [{"levels": ["F", "FR"], "n": 12, "mean": 61.0}]},
        {"variable": "time", "by": by, "groups": [{"levels": ["M", "DE"], "n": 15, "mean": 300.5}]},
    ]
    plain = answers.answer("describe", {"variables": parts}, question={"by": by})
    table = Answer(plain).table()
    assert list(table.columns) == ["variable", "sex", "country", "n", "mean"]
    assert table.loc[1].tolist() == ["time", "M", "DE", 15, 300.5]


def test_facts_are_properties() -> None:
    answer = Answer(answers.COX)
    assert (answer.method, answer.n, answer.n_missing, len(answer.holders)) == ("cox", 228, 1, 3)
    assert answer.notes == ["2 steps were merged."]
    assert repr(answer) == "<Answer cox, n=228, 3 holders, 4 rounds>"


@pytest.mark.parametrize(
    ("plain", "heading"),
    [
        (answers.COX, "Cox regression: Surv(time, status) ~ age + sex"),
        (answers.CURVES, "Kaplan-Meier curves by sex"),
        (answers.CROSSTAB, "Cross table of DIS_DIAB by GENDER"),
        (answers.QUANTILES, "Quantiles of LAB_TSC"),
        (answers.CORRELATION, "Correlation of age, time"),
        (
            answers.answer("glm", {}, question={"formula": "y ~ x", "family": "binomial"}),
            "Binomial regression: y ~ x",
        ),
        (answers.answer("new_method", {}), "New method"),
    ],
)
def test_headings(plain: dict[str, Any], heading: str) -> None:
    assert heading_of(plain) == heading


def test_files(tmp_path: Path) -> None:
    answer = Answer(answers.COX)
    assert json.loads(answer.to_json(tmp_path / "a.json")) == answers.COX
    assert json.loads((tmp_path / "a.json").read_text()) == answers.COX
    again = pd.read_csv(answer.to_csv(tmp_path / "a.csv"))
    assert math.isclose(again.loc[1, "estimate"], 0.556881065089, rel_tol=1e-15)
    assert pq.read_table(answer.to_parquet(tmp_path / "a.parquet")).num_rows == 2


def test_csv_never_starts_a_formula(tmp_path: Path) -> None:
    plain = answers.answer("count", {"by": ["x"], "groups": [{"levels": ["=1+1"], "n": 12}]})
    text = Answer(plain).to_csv(tmp_path / "a.csv").read_text()
    assert "'=1+1" in text
    assert "\n=1+1" not in text


def test_plot_is_svg_and_can_be_saved(tmp_path: Path) -> None:
    plot = Answer(answers.CURVES).plot()
    assert plot._repr_svg_().lstrip().startswith("<svg")
    assert plot.save(tmp_path / "curve.svg").read_text() == plot.svg


def test_a_method_without_a_plot_says_so() -> None:
    with pytest.raises(Invalid, match="no-plot"):
        Answer(answers.answer("new", {"a": 1})).plot()


def test_a_notebook_shows_tables_plot_and_what_disclosure_control_did() -> None:
    html = Answer(answers.CURVES)._repr_html_()
    assert "<svg" in html
    assert "<table>" in html
    assert "2 steps were merged." in html


def _numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [n for inner in value.values() for n in _numbers(inner)]
    if isinstance(value, list):
        return [n for inner in value for n in _numbers(inner)]
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else []
