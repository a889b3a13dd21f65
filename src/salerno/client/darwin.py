"""What DARWIN EU's packages call the figures of epidemiological answers: one layout per method, in one place.

Sources: the results of IncidencePrevalence (incidence, prevalence), CohortCharacteristics (characteristics,
large-scale characteristics, attrition, overlap, timing) and DrugUtilisation, as omopgenerics writes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Figure:
    """One estimate of each record.

    Args:
        column: The record's member.
        estimate: Its name in the format; ``{ci}`` is the confidence level in percent.
        variable: What it is of; ``{…}`` takes a member of the record.
        level: The variable's level, likewise.
    """

    column: str
    estimate: str
    variable: str
    level: str = "NA"


@dataclass(frozen=True)
class Section:
    """A list of records of a result, and where its members go.

    Args:
        records: The result's member.
        figures: Estimates.
        group, strata, additional: The format's name for what a record is about, to its text; ``{…}`` takes
            a member of the record, ``{calendar}`` the length of intervals.
    """

    records: str
    figures: tuple[Figure, ...]
    group: Mapping[str, str] = field(default_factory=dict)
    strata: Mapping[str, str] = field(default_factory=dict)
    additional: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Layout:
    """A method's type of result and its sections."""

    result_type: str
    sections: tuple[Section, ...]


@dataclass(frozen=True)
class Told:
    """One figure, named as the format names it."""

    value: Any
    figure: Figure
    parts: Mapping[str, Mapping[str, str]]


def told(layout: Layout, result: Record) -> Iterator[Told]:
    """Every figure of a result, in the order of its layout."""
    percent = f"{100 * float(result.get('conf_level') or 0.95):g}"
    for section in layout.sections:
        for record in result.get(section.records) or ():
            # A record's interval is the year or month itself, the result's is their length.
            known = {"calendar": result.get("interval", ""), **record}
            _add_shares(known)
            parts = {
                prefix: {name: text.format_map(known) for name, text in named.items()}
                for prefix, named in (
                    ("group", section.group),
                    ("strata", section.strata),
                    ("additional", section.additional),
                )
            }
            for figure in section.figures:
                named = Figure(
                    figure.column,
                    figure.estimate.format(ci=percent),
                    _words(figure.variable.format_map(known)),
                    figure.level.format_map(known),
                )
                yield Told(known.get(figure.column), named, parts)


def _add_shares(pair: dict[str, Any]) -> None:
    """Of two cohorts, the shares of those in one only, which the format has beside that in both."""
    names = ("n_both", "n_first_only", "n_second_only")
    total = sum(pair.get(name) or 0 for name in names)
    if total and all(pair.get(name) is not None for name in names):
        for name in names[1:]:
            pair[name.replace("n_", "percentage_", 1)] = 100 * pair[name] / total


def _words(name: str) -> str:
    """A column's name as the format's packages write those that they compute themselves."""
    return _NAMES.get(name, name)


_NAMES = {
    "age": "Age",
    "sex": "Sex",
    "prior_observation": "Prior observation",
    "future_observation": "Future observation",
    "n_exposures": "number exposures",
    "n_eras": "number eras",
    "days_exposed": "days exposed",
    "first_duration": "initial exposure duration",
    "first_quantity": "initial quantity",
    "cumulative_quantity": "cumulative quantity",
    "days_to_first": "time to exposure",
}

_COHORT = {"cohort_name": "{group}"}
_PAIR = {"cohort_name_reference": "{first}", "cohort_name_comparator": "{second}"}
_POPULATION: dict[str, Any] = {
    "group": {"denominator_cohort_name": "population", "outcome_cohort_name": "{outcome}"},
    "strata": {"age_group": "{age_group}", "sex": "{sex}"},
}
_SUBJECTS = Section("groups", (Figure("n", "count", "Number subjects"),), group=_COHORT)
_NUMBERS = Section(
    "numbers",
    tuple(
        Figure(column, estimate, "{variable}")
        for column, estimate in (
            ("n", "count"), ("mean", "mean"), ("sd", "sd"), ("q05", "q05"), ("q25", "q25"),
            ("q50", "median"), ("q75", "q75"), ("q95", "q95"),
        )
    ),
    group=_COHORT,
)  # fmt: skip
_LEVELS = Section(
    "levels",
    (
        Figure("count", "count", "{variable}", "{level}"),
        Figure("percentage", "percentage", "{variable}", "{level}"),
    ),
    group=_COHORT,
)


def _dates(what: str) -> dict[str, str]:
    return {
        f"{what}_start_date": "{start_date}",
        f"{what}_end_date": "{end_date}",
        "analysis_interval": "{calendar}",
    }


_INCIDENCE = Section(
    "estimates",
    (
        Figure("n_persons", "denominator_count", "Denominator"),
        Figure("person_days", "person_days", "Denominator"),
        Figure("person_years", "person_years", "Denominator"),
        Figure("n_events", "outcome_count", "Outcome"),
        Figure("incidence_100000_pys", "incidence_100000_pys", "Outcome"),
        Figure("conf_low", "incidence_100000_pys_{ci}CI_lower", "Outcome"),
        Figure("conf_high", "incidence_100000_pys_{ci}CI_upper", "Outcome"),
    ),
    additional=_dates("incidence"),
    **_POPULATION,
)
_PREVALENCE = Section(
    "estimates",
    (
        Figure("n_population", "denominator_count", "Denominator"),
        Figure("n_cases", "outcome_count", "Outcome"),
        Figure("prevalence", "prevalence", "Outcome"),
        Figure("conf_low", "prevalence_{ci}CI_lower", "Outcome"),
        Figure("conf_high", "prevalence_{ci}CI_upper", "Outcome"),
    ),
    additional=_dates("prevalence"),
    **_POPULATION,
)
_OVERLAP = Section(
    "pairs",
    tuple(
        Figure(f"{kind}_{column}", estimate, variable, "Subjects")
        for column, variable in (
            ("first_only", "Only in reference cohort"),
            ("both", "In both cohorts"),
            ("second_only", "Only in comparator cohort"),
        )
        for kind, estimate in (("n", "count"), ("percentage", "percentage"))
    ),
    group=_PAIR,
)
_BETWEEN = "Days between cohort entries"
_TIMING = (
    Section(
        "pairs",
        (
            Figure("n", "count", "Number subjects"),
            Figure("q25", "q25", _BETWEEN),
            Figure("q50", "median", _BETWEEN),
            Figure("q75", "q75", _BETWEEN),
        ),
        group=_PAIR,
    ),
    Section(
        "days",
        (Figure("count", "count", _BETWEEN),),
        group=_PAIR,
        additional={"lower": "{lower}", "upper": "{upper}"},
    ),
)
_ATTRITION = Section(
    "steps",
    (
        Figure("n_left", "count", "number_subjects"),
        Figure("n_dropped", "count", "excluded_subjects"),
    ),
    strata={"reason": "{step}"},
)
_CONCEPTS = Section(
    "concepts",
    (
        Figure("n", "count", "{concept_id}", "{window}"),
        Figure("percentage", "percentage", "{concept_id}", "{window}"),
    ),
    group=_COHORT,
    additional={"table_name": "{table}", "concept_id": "{concept_id}"},
)

LAYOUTS: Mapping[str, Layout] = {
    "incidence": Layout("incidence", (_INCIDENCE,)),
    "prevalence": Layout("prevalence", (_PREVALENCE,)),
    "characteristics": Layout("summarise_characteristics", (_SUBJECTS, _LEVELS, _NUMBERS)),
    "large_scale_characteristics": Layout("summarise_large_scale_characteristics", (_SUBJECTS, _CONCEPTS)),
    "attrition": Layout("summarise_cohort_attrition", (_ATTRITION,)),
    "cohort_overlap": Layout("summarise_cohort_overlap", (_OVERLAP,)),
    "cohort_timing": Layout("summarise_cohort_timing", _TIMING),
    "drug_utilisation": Layout("summarise_drug_utilisation", (_SUBJECTS, _NUMBERS)),
}
"""Methods with a counterpart in those packages; the others are told by their tables' own columns."""
