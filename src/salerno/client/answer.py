"""The answer to a question, as an object: tables, plots, files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from salerno.client.frames import Grid, answer_grids
from salerno.client.summarised import summarised_rows
from salerno.kernel.errors import Invalid

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from salerno.client.models import TreeModel


class Plot:
    """A chart as SVG text: shown in notebooks, saved to files."""

    def __init__(self, svg: str) -> None:
        self.svg = svg

    def _repr_svg_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        return f"<Plot, {len(self.svg)} bytes of SVG; save(path) writes it>"

    def save(self, path: str | Path) -> Path:
        """Write the SVG file."""
        path = Path(path)
        path.write_text(self.svg, encoding="utf-8")
        return path


class Answer:
    """One released answer.

    Args:
        answer: The answer's JSON: method, question, holders, n, n_missing, result, disclosure, rounds,
            seconds, provenance.
    """

    def __init__(self, answer: Mapping[str, Any]) -> None:
        self.answer = dict(answer)

    @property
    def method(self) -> str:
        """Analysis method."""
        return str(self.answer["method"])

    @property
    def question(self) -> dict[str, Any]:
        """The question as it was asked."""
        return dict(self.answer["question"])

    @property
    def result(self) -> dict[str, Any]:
        """The figures, in the method's documented shape."""
        return dict(self.answer["result"])

    @property
    def n(self) -> int:
        """Complete cases."""
        return int(self.answer["n"])

    @property
    def n_missing(self) -> int:
        """Rows dropped for missing values."""
        return int(self.answer.get("n_missing", 0))

    @property
    def holders(self) -> list[str]:
        """Holders whose data are in it."""
        return list(self.answer["holders"])

    @property
    def synthetic(self) -> bool:
        """Whether this is a rehearsal on synthetic rows, not an answer about anybody."""
        return bool(self.answer.get("synthetic"))

    @property
    def notes(self) -> list[str]:
        """What disclosure control changed, as sentences."""
        return [str(note) for note in self.answer.get("disclosure", {}).get("notes", ())]

    def tables(self) -> dict[str, pd.DataFrame]:
        """All tables of the answer by title, at full precision; suppressed figures are missing values."""
        return {grid.title: _frame(grid) for grid in answer_grids(self.answer)}

    def table(self) -> pd.DataFrame:
        """The main table, e.g. the coefficients of a regression."""
        return _frame(answer_grids(self.answer)[0])

    def to_frame(self) -> pd.DataFrame:
        """The main table; that of a rehearsal says in each row that it is synthetic."""
        frame = self.table()
        return frame.assign(synthetic=True) if self.synthetic else frame

    def plot(self) -> Plot:
        """The answer's chart.

        Raises:
            Invalid: There is no chart for this method.
        """
        svg = svg_of(self.answer)
        if svg is None:
            raise Invalid("no-plot", f"An answer of {self.method} has no plot", remedy="Use .table().")
        return Plot(svg)

    def model(self) -> TreeModel:
        """The trained model of a boosting answer, to predict with on own rows.

        Raises:
            Invalid: The method trains no model.
        """
        from salerno.client.models import TreeModel

        if self.method != "boosting":
            raise Invalid(
                "no-model",
                f"An answer of {self.method} holds no model to predict with",
                remedy="Use .table().",
            )
        return TreeModel(self.result)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays of the model that federated learning trained, by name, in the app's order.

        ``flwr.app.ArrayRecord(list(answer.arrays().values()))`` makes a Flower record of them, and
        ``numpy.savez(path, **answer.arrays())`` a file to begin again with.

        Raises:
            Invalid: The method trains no arrays.
        """
        from salerno.client.models import read_arrays

        if "arrays" not in self.result:
            raise Invalid("no-model", f"An answer of {self.method} holds no arrays", remedy="Use .table().")
        return read_arrays(self.result["arrays"])

    def to_json(self, path: str | Path | None = None) -> str:
        """The answer as JSON text; written to `path` too when one is given."""
        text = json.dumps(self.answer, indent=2, ensure_ascii=False)
        if path is not None:
            Path(path).write_text(text + "\n", encoding="utf-8")
        return text

    def to_csv(self, path: str | Path) -> Path:
        """Write the main table as CSV; texts that a spreadsheet would run as a formula are quoted."""
        Path(path).write_text(self.csv_text(), encoding="utf-8", newline="")
        return Path(path)

    def csv_text(self) -> str:
        """The main table as CSV, as `to_csv` writes it."""
        frame = self.to_frame()
        texts = frame.select_dtypes(include=["object", "string"]).columns
        frame[texts] = frame[texts].map(_without_formula)
        return str(frame.to_csv(index=False))

    def to_parquet(self, path: str | Path) -> Path:
        """Write the main table as Parquet."""
        self.to_frame().to_parquet(path, index=False)
        return Path(path)

    def summarised_result(self) -> pd.DataFrame:
        """The answer in DARWIN EU's long format, one row per estimate; all columns but the first are text."""
        import pandas as pd

        return pd.DataFrame(summarised_rows(self.answer))

    def write_report(self, path: str | Path, title: str = "") -> Path:
        """Write a self-contained HTML page with the answer's tables and plot."""
        from salerno.client.report import Section, write_report

        heading = heading_of(self.answer)
        return write_report(path, title or "One question", [Section(title=heading, answers=(self.answer,))])

    def __repr__(self) -> str:
        holders = f"{len(self.holders)} holder{'s' if len(self.holders) != 1 else ''}"
        return f"<Answer {self.method}, n={self.n}, {holders}, {self.answer.get('rounds', 0)} rounds>"

    def _repr_html_(self) -> str:
        from salerno.client.report import html_of_answer

        return f"<h4>{escape(heading_of(self.answer))}</h4>{html_of_answer(self.answer)}"


METHOD_TITLES = {
    "count": "Number of persons",
    "describe": "Description",
    "crosstab": "Cross table",
    "histogram": "Histogram",
    "quantiles": "Quantiles",
    "t_test": "t-test",
    "correlation": "Correlation",
    "kaplan_meier": "Kaplan-Meier curves",
    "log_rank": "Log-rank test",
    "competing_risks": "Cumulative incidence",
    "restricted_mean": "Restricted mean survival time",
    "cox": "Cox regression",
    "glm": "Regression",
    "boosting": "Gradient-boosted trees",
    "federated_learning": "Federated learning",
    "kmeans": "Clusters",
    "evaluate": "Test of a score",
    "pca": "Principal components",
    "lmm": "Mixed model",
    "meta": "Meta-analysis",
}
"""Titles of answers; a method that is not named here goes by its own name."""


def heading_of(answer: Mapping[str, Any]) -> str:
    """The question in one line, e.g. ``Cox regression: Surv(time, status) ~ age``."""
    words = _question_words(str(answer["method"]), answer.get("question") or {})
    return f"Synthetic: {words}" if answer.get("synthetic") else words


def _question_words(method: str, question: Mapping[str, Any]) -> str:
    title = METHOD_TITLES.get(method, method.replace("_", " ").capitalize())
    inner = question.get("question")
    if isinstance(inner, Mapping):
        return f"{title} of {_question_words(str(inner.get('method', '')), inner)}"
    if question.get("family"):
        title = f"{str(question['family']).capitalize()} {title.lower()}"
    if question.get("formula"):
        return f"{title}: {question['formula']}"
    if question.get("rows") and question.get("columns"):
        return f"{title} of {question['rows']} by {question['columns']}"
    about = _listed(question.get("variable") or question.get("variables"))
    by = _listed(question.get("by"))
    return f"{title}{f' of {about}' if about else ''}{f' by {by}' if by else ''}"


def _listed(names: Any) -> str:
    return names if isinstance(names, str) else ", ".join(map(str, names or ()))


def svg_of(answer: Mapping[str, Any]) -> str | None:
    """The answer's chart as SVG, None when its method has none."""
    from salerno.web.charts import answer_chart, to_svg

    chart = answer_chart(answer)
    return None if chart is None else to_svg(chart)


def _frame(grid: Grid) -> pd.DataFrame:
    import pandas as pd

    frame = pd.DataFrame([list(row) for row in grid.rows], columns=list(grid.columns))
    for index, name in enumerate(grid.columns):
        kinds = {type(row[index]) for row in grid.rows}
        if kinds == {int, type(None)}:
            # Counts with suppressed cells stay whole numbers: pandas' own choice would be floats.
            frame[name] = frame[name].astype("Int64")
    return frame


def _without_formula(value: Any) -> Any:
    """A text that spreadsheets do not take for a formula (ASVS 5.0, 1.2.10)."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return value
