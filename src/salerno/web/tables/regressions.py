"""Tables of regressions: coefficients, and what was asked for beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from salerno.web.tables.plain import records_table
from salerno.web.tables.texts import Table, Teller, exp, make_table, number_text, range_text, ratio_words

_TITLES = {"cox": "Cox regression", "lmm": "Fixed effects", "meta": "Over the holders"}


def regression(result: dict[str, Any], teller: Teller) -> list[Table]:
    """Coefficients, tests, and predictions, calibration and knots where the answer has them."""
    tables = [_terms(result.pop("terms", []), teller)]
    tests = [
        {"test": teller.word(name), **result.pop(name)}
        for name in ("likelihood_ratio", "wald", "score")
        if isinstance(result.get(name), Mapping)
    ]
    if tests:
        tables.append(records_table("Tests of the whole model", tests, teller))
    return [*tables, *_predictions(result, teller), *_diagnostics(result, teller), *_knots(result, teller)]


def mixed_model(result: dict[str, Any], teller: Teller) -> list[Table]:
    """Fixed effects, variances, and each holder's own deviations."""
    tables = [_terms(result.pop("terms", []), teller)]
    group = str(result.get("group", "group"))
    variances = [{"group": group, **row} for row in result.pop("random", [])]
    variances.append(
        {
            "group": "Residual",
            "term": "",
            "variance": result.pop("residual_variance", None),
            "sd": result.pop("residual_sd", None),
        }
    )
    tables.append(records_table("Variances", variances, teller))
    correlations = [
        {"terms": " and ".join(row["terms"]), "correlation": row["correlation"]}
        for row in result.pop("correlations", [])
    ]
    if correlations:
        tables.append(records_table("Correlations of the random effects", correlations, teller))
    effects = [
        {"holder": entry["holder"], **effect}
        for entry in result.pop("effects", [])
        for effect in entry["effects"]
    ]
    if effects:
        tables.append(records_table("Deviation of each holder", effects, teller))
    if isinstance(result.get("likelihood_ratio"), Mapping):
        test = result.pop("likelihood_ratio")
        tables.append(records_table("Test against a model without random effects", [test], teller))
    return [*tables, *_knots(result, teller)]


def meta_analysis(result: dict[str, Any], teller: Teller) -> list[Table]:
    """Pooled terms, how much they differ between holders, and each holder's own estimates."""
    terms = result.pop("terms", [])
    shown = ("tau2", "i2", "h2", "q", "q_df", "q_p_value", "n_holders")
    spread = [
        {
            "term": term["term"],
            **{name: term.get(name) for name in shown},
            "prediction_interval": range_text(term.get("prediction_low"), term.get("prediction_high")),
        }
        for term in terms
    ]
    fixed = [{"term": term["term"], **term["fixed"]} for term in terms if "fixed" in term]
    own = [
        {"holder": entry["holder"], "n": entry["n"], **row}
        for entry in result.pop("holders", [])
        for row in entry["terms"]
    ]
    left_out = result.pop("left_out", [])
    return [
        _terms(terms, teller),
        records_table("Differences between the holders", spread, teller),
        _terms(fixed, teller, "Fixed effect"),
        records_table("Each holder by itself", own, teller),
        *([records_table("Left out", left_out, teller)] if left_out else []),
    ]


def _terms(terms: list[dict[str, Any]], teller: Teller, title: str = "") -> Table:
    ratio = ratio_words(teller.question)
    columns = ["Term", "Estimate", "Standard error", teller.interval, "Statistic", "p-value"]
    if ratio:
        columns[1:1] = [ratio, f"{teller.interval} of the {ratio.lower()}"]
    rows = []
    for term in terms:
        low, high = term.get("conf_low"), term.get("conf_high")
        row = [
            str(term["term"]),
            teller.text("estimate", term.get("estimate")),
            teller.text("std_error", term.get("std_error")),
            range_text(low, high),
            teller.text("statistic", term.get("statistic")),
            teller.text("p_value", term.get("p_value")),
        ]
        if ratio:
            row[1:1] = [teller.text("ratio", exp(term.get("estimate"))), range_text(exp(low), exp(high))]
        rows.append(row)
    question = teller.question
    if isinstance(question.get("question"), Mapping):
        question = question["question"]
    title = title or _TITLES.get(teller.method, "Regression")
    return make_table(f"{title}: {question.get('formula', 'terms')}", columns, rows)


def _predictions(result: dict[str, Any], teller: Teller) -> list[Table]:
    """Predictions at the researcher's covariate values; others are left to the method's own shape."""
    predictions = result.get("predictions")
    if not isinstance(predictions, list) or not all(
        "response" in row and "link" in row for row in predictions
    ):
        return []
    result.pop("predictions")
    records = []
    for row in predictions:
        told = row["response"]
        at = {f"at {name}": value for name, value in row["at"].items()}
        records.append(
            {
                **at,
                "estimate": told["estimate"],
                "std_error": told["std_error"],
                teller.interval: range_text(told["conf_low"], told["conf_high"]),
                "linear_predictor": row["link"]["estimate"],
            }
        )
    return [records_table("Predictions", records, teller)]


def _diagnostics(result: dict[str, Any], teller: Teller) -> list[Table]:
    found = result.pop("diagnostics", None)
    if not isinstance(found, Mapping):
        return []
    calibration = found["calibration"]
    groups = [
        {"group": number_text(i), "n": g["n"], "mean observed": g["observed"], "mean expected": g["expected"]}
        for i, g in enumerate(calibration["groups"], start=1)
    ]
    tables = [
        records_table("Calibration, by groups of rising prediction", groups, teller),
        records_table("Pearson residuals", [found["pearson_residuals"]], teller),
    ]
    if "hosmer_lemeshow" in calibration:
        tables.append(records_table("Hosmer-Lemeshow test", [calibration["hosmer_lemeshow"]], teller))
    return tables


def _knots(result: dict[str, Any], teller: Teller) -> list[Table]:
    bases = result.pop("bases", None)
    if not isinstance(bases, list):
        return []
    records = [
        {
            "term": basis["term"],
            "knots": ", ".join(map(number_text, basis["knots"])),
            "boundary_knots": ", ".join(map(number_text, basis["boundary_knots"])),
            "in_r": basis["in_r"],
        }
        for basis in bases
    ]
    return [records_table("Knots of the splines", records, teller)]
