"""The how-to's method runs as it stands there, found by its file alone."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import gmean

from salerno.analysis import methods
from salerno.analysis.pages.methods import method_labels, read_question
from salerno.kernel.errors import Invalid
from salerno.permits.model import DisclosurePolicy
from salerno.web.sessions import Form
from salerno.web.tables import answer_tables
from tests.unit.analysis.methods.harness import run

PAGE = Path(__file__).parents[4] / "docs" / "how-to" / "add-a-method.md"


@pytest.fixture(autouse=True)
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (source,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    (tmp_path / "geometric_mean.py").write_text(source, encoding="utf-8")
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(tmp_path)])
    known = methods._Methods()
    monkeypatch.setattr(methods, "METHODS", known)
    monkeypatch.setattr("salerno.analysis.pages.methods.METHODS", known)
    yield
    sys.modules.pop("salerno.analysis.methods.geometric_mean", None)


def patients() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"crp": rng.gamma(2, 3, 300), "sex": rng.choice(["F", "M"], 300)})
    frame.loc[:8, "crp"] = [0.0, -1.0, *[np.nan] * 7]
    return frame


def test_it_answers() -> None:
    frame = patients()
    frames = [frame.iloc[i::3].reset_index(drop=True) for i in range(3)]
    answer = run({"method": "geometric_mean", "variable": "crp", "by": "sex"}, frames)
    for group in answer.result["groups"]:
        own = frame.loc[(frame["sex"] == group["level"]) & (frame["crp"] > 0), "crp"]
        assert group["geometric_mean"] == pytest.approx(gmean(own))
    assert (answer.n, answer.n_missing) == (291, 9)


def test_small_groups_are_hidden() -> None:
    frame = patients().assign(sex=["F"] * 293 + ["M"] * 7)
    frames = [frame.iloc[i::2].reset_index(drop=True) for i in range(2)]
    question = {"method": "geometric_mean", "variable": "crp", "by": "sex"}
    groups = run(question, frames, DisclosurePolicy()).result["groups"]
    assert all(group["geometric_mean"] is None for group in groups)


def test_its_form_check_and_table_come_with_it() -> None:
    assert ("geometric_mean", "Geometric mean") in method_labels()
    method = methods.METHODS["geometric_mean"]
    asked, errors = read_question(Form({"variable": ["crp"]}), method)
    assert (asked, errors) == ({"method": "geometric_mean", "variable": "crp"}, {})
    with pytest.raises(Invalid, match="no 'varible'"):
        run({"method": "geometric_mean", "varible": "crp"}, [patients()])
    result = run(asked, [patients()]).result
    (table, *_) = answer_tables({"method": "geometric_mean", "question": asked, "result": result})
    assert "Geometric mean" in table.columns
