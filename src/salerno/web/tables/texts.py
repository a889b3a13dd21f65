"""Numbers, intervals and members' names as texts, and the table that holds them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NARROW_SPACE = "\N{NARROW NO-BREAK SPACE}"
NOTHING = "–"

COUNT_NAMES = frozenset(
    {"n", "count", "counts", "events", "at_risk", "observed", "n_persons", "missing", "n_missing", "persons",
     "censored", "below", "above"}
)  # fmt: skip
"""Members that count persons: null there means suppressed, elsewhere that there is no such figure."""

TOTAL_NAMES = frozenset({"total", "row_totals", "column_totals", "n_events"})
"""Members that are totals: null there means hidden for the sake of a part, and says nothing of their size."""

COUNTED = COUNT_NAMES | TOTAL_NAMES
HIDDEN = "hidden"

WORDS: dict[str, str] = {
    "auc": "AUC", "auc_conf_high": "AUC, interval to", "auc_conf_low": "AUC, interval from",
    "auc_resolution": "Resolution of the AUC", "auc_std_error": "Standard error of the AUC",
    "between_ss": "Sum of squares between", "brier": "Brier score", "explained_gain": "Share of the gain",
    "mae": "Mean absolute error", "n_trees": "Trees", "r_squared": "R²",
    "rmse": "Root mean square error", "total_ss": "Sum of squares in all",
    "within_ss": "Sum of squares within",
    "bic": "BIC", "h2": "H²", "i2": "I² (%)", "icc": "Intraclass correlation", "in_r": "In R",
    "q": "Cochran's Q", "q_df": "Degrees of freedom of Q", "q_p_value": "p-value of Q", "tau2": "τ²",
    "left_out": "Left out", "n_holders": "Holders", "n_groups": "Groups", "is_singular": "Singular fit",
    "above": "Above the last edge", "aic": "AIC", "at_risk": "At risk", "below": "Below the first edge",
    "by": "By", "cause": "Cause", "chi_square": "Chi-square",
    "chi_square_yates": "Chi-square with Yates' correction", "column_totals": "Column totals",
    "component": "Component", "concordance": "Concordance", "conf_level": "Confidence level",
    "conf_type": "Kind of confidence interval", "count": "Persons", "counts": "Persons",
    "covariance": "Covariance", "deviance": "Deviance", "df": "Degrees of freedom",
    "df_null": "Null degrees of freedom", "df_residual": "Residual degrees of freedom",
    "difference": "Difference", "dispersion": "Dispersion", "eigenvalue": "Eigenvalue",
    "eigenvalues": "Eigenvalue", "equal_variance": "Equal variances", "estimate": "Estimate",
    "events": "Events", "expected": "Expected events", "explained": "Share of variance", "family": "Family",
    "group": "Group", "horizon": "Horizon", "incidence": "Cumulative incidence", "iterations": "Iterations",
    "level": "Level", "likelihood_ratio": "Likelihood ratio", "link": "Link",
    "log_likelihood": "Log likelihood", "log_likelihood_null": "Null log likelihood",
    "loglik": "Log likelihood", "loglik_null": "Null log likelihood", "mean": "Mean", "means": "Mean",
    "median": "Median survival", "missing": "Missing", "n": "Persons", "n_events": "Events",
    "n_missing": "Rows with a missing value", "null_deviance": "Null deviance",
    "observed": "Observed events", "p_value": "p-value", "p_value_yates": "p-value with Yates' correction",
    "probabilities": "Probability", "probability": "Probability", "ratio": "Ratio",
    "resolution": "Resolution", "score": "Score", "sd": "Standard deviation", "sds": "Standard deviation",
    "statistic": "Statistic", "std_error": "Standard error", "strata": "Strata", "stratum": "Group",
    "survival": "Survival", "term": "Term", "test": "Test", "ties": "Tied times", "time": "Time",
    "total": "All", "value": "Value", "values": "Value", "variable": "Variable", "variables": "Variable",
    "variance": "Variance", "wald": "Wald",
}  # fmt: skip
"""Words for the members of results."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of texts, ready to show.

    Args:
        title: What it shows; unique among the tables of an answer.
        columns: Heads.
        rows: Cells, as many in each row as there are columns; the first one names the row.
        numeric: By column, whether it holds numbers, to be set flush right.
        note: A sentence below it, or empty.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[bool, ...] = ()
    note: str = ""


class Teller:
    """Turns values into texts with the words that one answer needs.

    Args:
        answer: The answer, for its question, its smallest cell and its level of confidence.
    """

    def __init__(self, answer: Mapping[str, Any]) -> None:
        self.question: Mapping[str, Any] = answer.get("question") or {}
        self.method = str(answer.get("method") or self.question.get("method", ""))
        self.interval = f"{confidence_percent(answer)} % CI"
        self.min_cell = min_cell_of(answer)
        self.suppressed = f"<{self.min_cell}"

    def word(self, name: str) -> str:
        """A member's name in words."""
        if name in ("conf_low", "conf_high"):
            return f"{self.interval} {'from' if name == 'conf_low' else 'to'}"
        return words(name)

    def text(self, name: str, value: Any) -> str:
        """The value of a member as a text."""
        if value is None:
            return self.suppressed if name in COUNT_NAMES else HIDDEN if name in TOTAL_NAMES else NOTHING
        if "p_value" in name and isinstance(value, (int, float)):
            return p_text(float(value))
        return value_text(value)

    def note(self, values: Iterable[Any]) -> str:
        """The sentence that explains suppressed cells, empty when there are none."""
        if not any(value is None for value in values):
            return ""
        return (
            f"{self.suppressed}: fewer than {self.min_cell} persons, or {HIDDEN} so that such a figure "
            "cannot be worked out from the others."
        )

    def text_of_total(self, value: Any) -> str:
        """A total of counts as a text."""
        return self.text("total", value)


def min_cell_of(answer: Mapping[str, Any]) -> int:
    """The smallest number of persons behind a figure of an answer, by its ``disclosure``."""
    disclosure = answer.get("disclosure") or {}
    found = disclosure.get("min_cell", (disclosure.get("policy") or {}).get("min_cell", 10))
    return int(found)


def confidence_percent(answer: Mapping[str, Any]) -> str:
    """The confidence level of an answer's intervals, in percent."""
    level = (answer.get("result") or {}).get("conf_level") or (answer.get("question") or {}).get("conf_level")
    return f"{100 * float(level or 0.95):g}"


def number_text(value: float, digits: int = 4) -> str:
    """A number with four significant digits; whole numbers in full, thousands set apart."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return _grouped(f"{value:,}", value)
    if math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == round(value, 2) and abs(value) < 1000:
        return f"{value:g}"  # a figure that somebody chose, such as 0.05, not one with digits cut off
    if 10 ** (digits - 1) <= abs(value) < 1e15:
        return _grouped(f"{value:,.0f}", value)
    if abs(value) < 1e-4 or abs(value) >= 1e15:
        return f"{value:.{digits - 1}e}"
    return f"{value:#.{digits}g}".rstrip(".")


def p_text(value: float) -> str:
    """A p-value: three decimals, and ``<0.001`` below."""
    if math.isnan(value):
        return NOTHING
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def value_text(value: Any) -> str:
    """Any scalar as a text."""
    if isinstance(value, (bool, int, float)):
        return number_text(value)
    if isinstance(value, (list, tuple)):
        return ", ".join(value_text(v) for v in value)
    return NOTHING if value is None else str(value)


def words(name: str) -> str:
    """A member's name in words."""
    return WORDS.get(name) or name.replace("_", " ").strip().capitalize()


def _grouped(text: str, value: float) -> str:
    return text.replace(",", NARROW_SPACE if abs(value) >= 10_000 else "")


def make_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], note: str = "") -> Table:
    """A table of texts; a column is numeric when every cell in it reads as a number."""
    cells = tuple(tuple(row) for row in rows)
    numeric = tuple(
        bool(cells) and all(_is_numeric(row[i]) for row in cells) and any(row[i] != NOTHING for row in cells)
        for i in range(len(columns))
    )
    return Table(title, tuple(columns), cells, numeric, note)


def _is_numeric(text: str) -> bool:
    plain = text.replace(NARROW_SPACE, "").lstrip("<≥±").removesuffix(" %")
    if plain in (NOTHING, HIDDEN, "∞", "-∞"):
        return True
    low, _, high = plain.partition(" to ")
    try:
        float(low)
        float(high or "0")
    except ValueError:
        return False
    return True


def ratio_words(question: Mapping[str, Any]) -> str:
    """What the exponential of a coefficient is called; empty where it means nothing."""
    if question.get("method") == "cox":
        return "Hazard ratio"
    if question.get("method") == "meta" and isinstance(question.get("question"), Mapping):
        return ratio_words(question["question"])
    if question.get("method") == "glm":
        family = str(question.get("family"))
        if family == "gamma" and question.get("link") == "log":
            return "Ratio of means"
        return {"binomial": "Odds ratio", "poisson": "Rate ratio"}.get(family, "")
    return ""


def exp(value: float | None) -> float | None:
    """The exponential, infinite where it is too large for a float, None for None."""
    if value is None:
        return None
    return math.exp(value) if value < 700 else math.inf


def range_text(low: float | None, high: float | None) -> str:
    """An interval in words."""
    if low is None or high is None:
        return NOTHING
    return f"{number_text(low)} to {number_text(high)}"
