"""Answers as charts: Vega-Lite as plain JSON, drawn to SVG on the server; a table always stands beside."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from salerno.web.charts import distributions, epidemiology, models, survival
from salerno.web.charts.parts import FRAME, PALETTE, Chart, Maker

__all__ = ["MAKERS", "PALETTE", "Chart", "answer_chart", "describe_chart", "to_svg"]


def answer_chart(answer: Mapping[str, Any]) -> Chart | None:
    """A Vega-Lite chart of an answer; None for answers that a table shows better.

    Args:
        answer: The JSON of an answer.
    """
    make = MAKERS.get(str(answer.get("method")))
    chart = make(answer.get("result") or {}, answer.get("question") or {}, answer) if make else None
    if chart is None:
        return None
    return {**FRAME, **chart, **({"title": _synthetic(chart["title"])} if answer.get("synthetic") else {})}


def _synthetic(title: Any) -> Chart:
    """A title that says that the chart is of made-up rows."""
    titled = title if isinstance(title, dict) else {"text": title}
    return {**titled, "text": f"SYNTHETIC: {titled['text']}", "color": "#b01e1b"}


def to_svg(chart: Mapping[str, Any]) -> str:
    """Draw a Vega-Lite chart as SVG, without network."""
    import vl_convert  # takes most of a second to load, and few commands draw

    return str(vl_convert.vegalite_to_svg(json.dumps(chart)))


def describe_chart(answer: Mapping[str, Any]) -> str:
    """What a chart shows, in a sentence for people who do not see it."""
    chart = answer_chart(answer)
    if chart is None:
        return ""
    title = chart["title"]
    return f"{title['text'] if isinstance(title, dict) else title}. The table beside it has the same figures."


MAKERS: dict[str, Maker] = {
    "kaplan_meier": survival.kaplan_meier,
    "competing_risks": survival.cumulative_incidence,
    "restricted_mean": survival.restricted_means,
    "cox": survival.cox,
    "glm": models.forest,
    "lmm": models.forest,
    "meta": models.study_forest,
    "count": distributions.count,
    "attrition": epidemiology.attrition,
    "crosstab": distributions.crosstab,
    "histogram": distributions.histogram,
    "correlation": distributions.correlation,
    "quantiles": distributions.quantiles,
    "describe": distributions.means,
    "t_test": distributions.means,
    "pca": models.components,
    "kmeans": models.clusters,
    "federated_learning": models.training,
    "boosting": models.calibration,
    "evaluate": models.calibration,
    "incidence": epidemiology.rates,
    "prevalence": epidemiology.proportions,
    "cohort_overlap": epidemiology.overlap,
    "cohort_timing": epidemiology.timing,
    "treatment_patterns": epidemiology.paths,
    "characteristics": epidemiology.characteristics,
    "drug_utilisation": epidemiology.drug_use,
}
