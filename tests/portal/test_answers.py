"""Real answers of every method become tables and, where they have one, a drawn chart.

The questions are the examples of the documentation's gallery, so that those are known to be answered.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from salerno.analysis.methods import METHODS
from salerno.kernel.errors import SalernoError
from salerno.nodes.demo_data import gibleed, split_omop
from salerno.web.charts import MAKERS, answer_chart, to_svg
from salerno.web.tables import answer_tables

spec = importlib.util.spec_from_file_location("gallery", Path(__file__).parents[2] / "docs" / "gallery.py")
assert spec is not None
assert spec.loader is not None
gallery = importlib.util.module_from_spec(spec)
spec.loader.exec_module(gallery)


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("gibleed")
    parts = split_omop(gibleed(folder / "whole"), [folder / name for name in gallery.HOLDERS])
    found: dict[str, Any] = gallery.answers_of(parts, {name: gallery.example_of(name) for name in METHODS})
    return found


@pytest.mark.parametrize("method", sorted(METHODS))
def test_answer_is_shown_in_full(method: str, answers: dict[str, Any]) -> None:
    answer = answers[method]
    assert not isinstance(answer, SalernoError), answer
    tables = answer_tables(answer)
    assert tables
    assert len({table.title for table in tables}) == len(tables), "titles name the tables"
    for table in tables:
        assert table.rows
        assert all(len(row) == len(table.columns) == len(table.numeric) for row in table.rows)
        assert len(set(table.columns)) == len(table.columns), table.columns
    chart = answer_chart(answer)
    if chart is not None:
        svg = to_svg(chart)
        assert svg.startswith("<svg")
        assert "NaN" not in svg
        assert 'style="' not in svg, "the security policy of the portal would drop inline styles"
    elif method in MAKERS:
        assert method in WITHOUT_CHART, "there is a maker for this method, and it draws nothing"


WITHOUT_CHART = {"describe", "evaluate"}
"""Methods whose example is better shown by a table, though others of their answers have a chart."""
