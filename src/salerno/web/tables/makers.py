"""The tables of each method's answer; each maker takes from the result what it shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from salerno.web.tables.plain import records_table
from salerno.web.tables.regressions import meta_analysis, mixed_model, regression
from salerno.web.tables.texts import (
    COUNTED,
    Table,
    Teller,
    make_table,
    number_text,
    range_text,
    value_text,
)

Maker = Callable[[dict[str, Any], Teller], list[Table]]


def no_tables(_result: dict[str, Any], _teller: Teller) -> list[Table]:
    """The maker of methods without tables of their own."""
    return []


def _cox(result: dict[str, Any], teller: Teller) -> list[Table]:
    tables = regression(result, teller)
    check = result.pop("proportional_hazards", None)
    if check is not None:
        title = f"Test of proportional hazards, time as {teller.word(check['transform']).lower()}"
        tables.append(records_table(title, check["tests"], teller))
    for curve in result.pop("survival", []):
        tables.append(_curve_table("Survival", curve, teller))
    return tables


def _survival(result: dict[str, Any], teller: Teller) -> list[Table]:
    strata = result.pop("strata", [])
    result.pop("grid", None)  # the times of the curves, which their tables show
    tables = []
    summary = []
    title = "Cumulative incidence" if teller.method == "competing_risks" else "Survival"
    for stratum in strata:
        single = {k: v for k, v in stratum.items() if not isinstance(v, (list, dict)) and k != "stratum"}
        summary.append({"stratum": str(stratum.get("stratum", "") or "all"), **single})
        tables.append(_curve_table(title, stratum, teller))
    if any(len(row) > 1 for row in summary):
        tables.insert(0, records_table(f"{title} by group", summary, teller))
    return tables


def _curve_table(title: str, stratum: Mapping[str, Any], teller: Teller) -> Table:
    """One curve, a row for each time."""
    lists = {k: v for k, v in stratum.items() if isinstance(v, list)}
    names = [n for n in ("time", "at_risk", "events", "survival", "incidence", "std_error") if n in lists]
    rows = []
    for i in range(len(lists.get("time", []))):
        row = [teller.text(n, lists[n][i]) for n in names]
        if "conf_low" in lists:
            row.append(range_text(lists["conf_low"][i], lists["conf_high"][i]))
        rows.append(row)
    heads = [teller.word(n) for n in names] + ([teller.interval] if "conf_low" in lists else [])
    hidden = [v for n in names if n in COUNTED for v in lists[n]]
    return make_table(f"{title}: {curve_name(stratum)}", heads, rows, teller.note(hidden))


def curve_name(stratum: Mapping[str, Any]) -> str:
    """Whom and what a curve is about: its group, its cause where there are several, covariate values."""
    group = str(stratum.get("stratum", "") or "all")
    told = [str(stratum["cause"])] if stratum.get("cause") is not None else []
    told += [f"{name} = {value_text(value)}" for name, value in (stratum.get("at") or {}).items()]
    return ", ".join(told if told and group == "all" else [group, *told])


def _restricted_mean(result: dict[str, Any], teller: Teller) -> list[Table]:
    strata, contrasts = result.pop("strata", []), result.pop("contrasts", [])
    title = f"Mean time without the event up to {number_text(result.get('horizon', 0))}"
    rows = [
        [
            str(s["stratum"]),
            *(teller.text(n, s[n]) for n in ("n", "mean", "std_error")),
            range_text(s["conf_low"], s["conf_high"]),
            teller.text("lost", s["lost"]),
        ]
        for s in strata
    ]
    heads = ["Group", "Persons", "Mean", "Standard error", teller.interval, "Mean time lost"]
    tables = [make_table(title, heads, rows, teller.note([s["n"] for s in strata]))]
    for name, low, high, p_value in (
        ("difference", "conf_low", "conf_high", "p_value"),
        ("ratio", "ratio_low", "ratio_high", "ratio_p_value"),
    ):
        lines = [
            [
                f"{c['stratum']} against {c['reference']}",
                teller.text(name, c.get(name)),
                range_text(c.get(low), c.get(high)),
                teller.text("p_value", c.get(p_value)),
            ]
            for c in contrasts
        ]
        if lines:
            heads = ["Groups", teller.word(name), teller.interval, "p-value"]
            tables.append(make_table(f"{teller.word(name)} of means", heads, lines))
    return tables


def _crosstab(result: dict[str, Any], teller: Teller) -> list[Table]:
    if not isinstance(result.get("counts"), list):
        return []
    rows, columns, counts = result.pop("rows"), result.pop("columns"), result.pop("counts")
    row_totals, column_totals = result.pop("row_totals", None), result.pop("column_totals", None)
    total = result.pop("n", "")
    result.pop("row_variable", None), result.pop("column_variable", None)
    row_name, column_name = teller.question.get("rows", "Rows"), teller.question.get("columns", "Columns")
    heads = [f"{row_name} by {column_name}", *(value_text(c) for c in columns)]
    body = [
        [value_text(r), *(teller.text("counts", v) for v in line)]
        for r, line in zip(rows, counts, strict=True)
    ]
    hidden: list[Any] = [v for line in counts for v in line]
    if row_totals is not None:
        heads.append("All")
        hidden += row_totals
        for line, value in zip(body, row_totals, strict=True):
            line.append(teller.text_of_total(value))
    if column_totals is not None:
        hidden += column_totals
        last = [] if row_totals is None else [teller.text_of_total(total)]
        body.append(["All", *(teller.text_of_total(v) for v in column_totals), *last])
    return [make_table(f"Persons by {row_name} and {column_name}", heads, body, teller.note(hidden))]


def _histogram(result: dict[str, Any], teller: Teller) -> list[Table]:
    edges, counts = result.get("edges"), result.get("counts")
    if not isinstance(edges, list) or not isinstance(counts, list) or len(edges) != len(counts) + 1:
        return []
    result.pop("edges"), result.pop("counts")
    variable = teller.question.get("variable", "value")
    names = [range_text(low, high) for low, high in pairwise(edges)]
    if not isinstance(teller.question.get("bins"), list) and len(names) > 1:
        # The outermost values are kept to the holders: the first and the last bin are open.
        names[0], names[-1] = f"below {number_text(edges[1])}", f"{number_text(edges[-2])} or more"
    rows = [[name, teller.text("counts", count)] for name, count in zip(names, counts, strict=True)]
    return [make_table(f"Histogram of {variable}", [str(variable), "Persons"], rows, teller.note(counts))]


def _correlation(result: dict[str, Any], teller: Teller) -> list[Table]:
    found = matrix_of(result)
    if found is None:
        return []
    key, names, matrix = found
    result.pop(key), result.pop("variables", None)
    tables = [_matrix("Correlation", names, matrix, teller)]
    tables += _by_variable(result, names, teller)
    covariance = result.pop("covariance", None)
    if covariance is not None:
        tables.append(_matrix("Covariance", names, covariance, teller))
    return tables


def _matrix(title: str, names: list[str], matrix: list[list[float | None]], teller: Teller) -> Table:
    rows = [[str(n), *(teller.text("r", v) for v in line)] for n, line in zip(names, matrix, strict=True)]
    return make_table(title, ["Variable", *map(str, names)], rows)


def _by_variable(result: dict[str, Any], names: list[str], teller: Teller) -> list[Table]:
    columns = {name: result.pop(name) for name in ("means", "sds") if isinstance(result.get(name), list)}
    if not columns:
        return []
    records = [{"variable": n, **{k: v[i] for k, v in columns.items()}} for i, n in enumerate(names)]
    return [records_table("Variables", records, teller)]


def _components(result: dict[str, Any], teller: Teller) -> list[Table]:
    names, loadings = result.pop("variables", []), result.pop("loadings", [])
    values, explained = result.pop("eigenvalues", []), result.pop("explained", [])
    records = [
        {"component": str(i + 1), "eigenvalue": value, "explained": share}
        for i, (value, share) in enumerate(zip(values, explained, strict=True))
    ]
    rows = [[str(n), *(teller.text("r", v) for v in line)] for n, line in zip(names, loadings, strict=True)]
    heads = ["Variable", *(f"Component {i + 1}" for i in range(len(values)))]
    return [
        records_table("Principal components", records, teller),
        make_table("Loadings", heads, rows),
        *_by_variable(result, names, teller),
    ]


def _quantiles(result: dict[str, Any], teller: Teller) -> list[Table]:
    probabilities, values = result.pop("probabilities", []), result.pop("values", [])
    variable = result.pop("variable", teller.question.get("variable", "value"))
    groups, by = result.pop("groups", []), result.pop("by", [])
    if groups:
        heads = [*by, "Persons", *(number_text(p) for p in groups[0]["probabilities"])]
        lines = [
            [
                *map(value_text, group["levels"]),
                teller.text("n", group["n"]),
                *(teller.text("value", v) for v in group["values"]),
            ]
            for group in groups
        ]
        note = teller.note(group["n"] for group in groups)
        return [make_table(f"Quantiles of {variable} by {by[0]}", heads, lines, note)]
    rows = [[number_text(p), teller.text("value", v)] for p, v in zip(probabilities, values, strict=True)]
    return [make_table(f"Quantiles of {variable}", ["Probability", str(variable)], rows)]


def _describe(result: dict[str, Any], teller: Teller) -> list[Table]:
    listed = result.pop("variables", None)
    entries = listed if isinstance(listed, list) else [dict(result)]
    if not all(isinstance(entry, Mapping) and "variable" in entry for entry in entries):
        return []
    if listed is None:
        result.clear()
    records: list[dict[str, Any]] = []
    for entry in entries:
        by = entry.get("by", [])
        for group in entry.get("groups", [entry]):
            levels = dict(zip(by, map(value_text, group.get("levels", [])), strict=False))
            figures = {k: v for k, v in group.items() if k not in ("levels", "variable", "by", "groups")}
            records.append({"variable": entry["variable"], **levels, **figures})
    named = ", ".join(dict.fromkeys(str(r["variable"]) for r in records))
    return [records_table(f"Description of {named}", records, teller)]


def _log_rank(result: dict[str, Any], teller: Teller) -> list[Table]:
    strata = result.pop("strata", [])
    return [records_table("Events observed, and expected if survival were equal", strata, teller)]


def _t_test(result: dict[str, Any], teller: Teller) -> list[Table]:
    groups = result.pop("groups", [])
    return [records_table(f"Mean of {teller.question.get('variable', 'the variable')}", groups, teller)]


def matrix_of(result: Mapping[str, Any]) -> tuple[str, list[str], list[list[float | None]]] | None:
    """Member name, variables and square matrix of a correlation's result; None when there is none."""
    names = result.get("variables")
    for key in ("correlation", "matrix", "correlations", "r"):
        matrix = result.get(key)
        if isinstance(names, list) and isinstance(matrix, list) and len(matrix) == len(names):
            return key, names, matrix
    return None


def _groups(result: dict[str, Any], teller: Teller) -> list[Table]:
    """Counts by the levels of factors, a column for each factor."""
    groups, by = result.get("groups"), result.get("by")
    if not isinstance(groups, list) or not isinstance(by, list) or not by:
        return []
    result.pop("groups"), result.pop("by")
    records = []
    for group in groups:
        levels = dict(zip(by, map(value_text, group["levels"]), strict=True))
        records.append({**levels, **{k: v for k, v in group.items() if k != "levels"}})
    return [records_table(f"Persons by {' and '.join(by)}", records, teller)]


def _boosting(result: dict[str, Any], teller: Teller) -> list[Table]:
    """The trees themselves are for programs: thousands of nodes, in the client's tables and model."""
    result.pop("trees", None)
    parts = result.pop("evaluation", [])
    importance = [
        {"variable": row["variable"], "explained_gain": row["gain"], "splits": row["splits"]}
        for row in result.pop("importance", [])
    ]
    tables = [records_table("How well the model predicts", parts, teller)]
    tables.append(records_table("What the model rests on", importance, teller))
    return tables + _calibration(result, teller)


_SHARES = {"predicted": "predicted_share", "observed": "observed_share"}


def _calibration(result: dict[str, Any], teller: Teller) -> list[Table]:
    groups = [
        {_SHARES.get(name, name): value for name, value in group.items()}
        for group in result.pop("calibration", None) or ()
    ]
    return [records_table("Predicted and observed share of events", groups, teller)] if groups else []


def _evaluate(result: dict[str, Any], teller: Teller) -> list[Table]:
    figures = {k: v for k, v in result.items() if not isinstance(v, list)}
    for name in figures:
        del result[name]
    tables = [records_table("How well the score predicts", [figures], teller)]
    terms = result.pop("terms", [])
    if terms:
        tables.append(records_table("Calibration by logistic regression", terms, teller))
    return tables + _calibration(result, teller)


def _clusters(result: dict[str, Any], teller: Teller) -> list[Table]:
    clusters = result.pop("clusters", [])
    result.pop("start", None)
    rows = [
        [
            str(cluster["cluster"]),
            teller.text("n", cluster["n"]),
            *(teller.text("mean", value) for value in cluster["centre"].values()),
            teller.text("within_ss", cluster["within_ss"]),
        ]
        for cluster in clusters
    ]
    heads = ["Cluster", "Persons", *(clusters[0]["centre"] if clusters else ()), "Sum of squares"]
    return [make_table("Clusters and their means", heads, rows)]


def _federated_learning(result: dict[str, Any], teller: Teller) -> list[Table]:
    """The arrays themselves are for programs: the client gives them as NumPy arrays."""
    arrays = [
        {"array": entry["name"], "shape": " × ".join(map(str, entry["shape"])) or "1", "type": entry["dtype"]}
        for entry in result.pop("arrays", [])
    ]
    return [
        records_table("Training by round", result.pop("history", []), teller),
        records_table("Whether the model tells whose records it knows", result.pop("membership", []), teller),
        records_table("Arrays of the model", arrays, teller),
    ]


MAKERS: dict[str, Maker] = {
    "federated_learning": _federated_learning,
    "boosting": _boosting,
    "evaluate": _evaluate,
    "kmeans": _clusters,
    "count": _groups,
    "describe": _describe,
    "log_rank": _log_rank,
    "pca": _components,
    "quantiles": _quantiles,
    "t_test": _t_test,
    "cox": _cox,
    "glm": regression,
    "lmm": mixed_model,
    "meta": meta_analysis,
    "kaplan_meier": _survival,
    "competing_risks": _survival,
    "restricted_mean": _restricted_mean,
    "crosstab": _crosstab,
    "histogram": _histogram,
    "correlation": _correlation,
}
