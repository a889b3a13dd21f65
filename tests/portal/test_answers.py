"""Real answers of every method become tables and, where they have one, a drawn chart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from salerno.analysis.methods import METHODS
from salerno.nodes.local import LocalSpace
from salerno.web.charts import answer_chart, to_svg
from salerno.web.tables import answer_tables
from tests.portal.space import write_patients

QUESTIONS: dict[str, dict[str, Any]] = {
    "count": {"by": ["sex", "holder"]},
    "describe": {"variables": ["age", "bmi"], "by": "sex"},
    "crosstab": {"rows": "sex", "columns": "treatment"},
    "histogram": {"variable": "age", "bins": 6},
    "quantiles": {"variable": "bmi", "probabilities": [0.25, 0.5, 0.75]},
    "t_test": {"variable": "bmi", "by": "treatment"},
    "correlation": {"variables": ["age", "bmi", "time"]},
    "pca": {"variables": ["age", "bmi", "time"]},
    "kaplan_meier": {"time": "time", "event": "status", "by": "treatment"},
    "log_rank": {"time": "time", "event": "status", "by": "treatment"},
    "cox": {"formula": "Surv(time, status) ~ age + treatment"},
    "glm": {"formula": "status ~ age + sex", "family": "binomial"},
}
WITHOUT_CHART = {"log_rank", "describe"}


@pytest.fixture(scope="module")
def try_space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSpace]:
    folder = tmp_path_factory.mktemp("sites")
    sites = [folder / f"{name}.csv" for name in ("lyon", "jena", "oulu")]
    for seed, site in enumerate(sites):
        write_patients(Path(site), seed)
    with LocalSpace(sites) as space:
        yield space


def test_every_method_is_asked() -> None:
    assert set(QUESTIONS) == set(METHODS)


@pytest.mark.parametrize("method", sorted(QUESTIONS))
def test_answer_is_shown_in_full(method: str, try_space: LocalSpace) -> None:
    answer = try_space.ask({"method": method, **QUESTIONS[method]})
    tables = answer_tables(answer)
    assert tables
    assert len({table.title for table in tables}) == len(tables), "titles name the tables"
    for table in tables:
        assert table.rows
        assert all(len(row) == len(table.columns) == len(table.numeric) for row in table.rows)
        assert len(set(table.columns)) == len(table.columns), table.columns
    chart = answer_chart(answer)
    if method in WITHOUT_CHART:
        assert chart is None
        return
    assert chart is not None
    svg = to_svg(chart)
    assert svg.startswith("<svg")
    assert "NaN" not in svg
    assert 'style="' not in svg, "the security policy of the portal would drop inline styles"
