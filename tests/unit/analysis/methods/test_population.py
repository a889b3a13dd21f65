"""Incidence and prevalence against a count of single days, person by person, from the same OMOP tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import ibis
import numpy as np
import pandas as pd
import pytest

from salerno.analysis.methods.incidence import poisson_limits
from salerno.analysis.methods.prevalence import wilson_limits
from salerno.analysis.model import Result, Scope
from salerno.analysis.sums.calendar import UNITS
from salerno.catalogue.model import Datatype, Variable
from salerno.holdings.engine.population import age_label, study_period
from salerno.holdings.engine.reading import read_rows
from salerno.holdings.model import Dictionary, EventDefinition, Population, StudyFrame
from salerno.kernel.errors import Invalid, Refused
from salerno.permits.model import DisclosurePolicy

from .harness import OPEN, run_views

N = 150
DAY = timedelta(days=1)

POPULATION = Population(
    study_start=date(2010, 4, 15),
    study_end=date(2013, 10, 20),
    age_groups=((0, 150), (18, 39), (40, 64)),
    prior_observation_days=30,
    outcomes={
        "flu": EventDefinition(table="condition_occurrence", concepts=(7,)),
        "gout": EventDefinition(table="condition_occurrence", concepts=(8, 9)),
    },
)


@pytest.fixture(scope="module")
def lives() -> dict[str, pd.DataFrame]:
    """Persons of all ages, some born on 29 February, with several periods and outcomes that overlap."""
    rng = np.random.default_rng(11)
    persons, periods, conditions = [], [], []
    for key in range(1, N + 1):
        leap = key % 12 == 0
        persons.append(
            {
                "person_id": key,
                "gender_concept_id": [8507, 8532, 8532, 0][key % 4],
                "year_of_birth": None if key % 50 == 0 else 1972 if leap else int(rng.integers(1945, 2000)),
                "month_of_birth": None if key % 17 == 0 else 2 if leap else int(rng.integers(1, 13)),
                "day_of_birth": None if key % 13 == 0 else 29 if leap else int(rng.integers(1, 29)),
            }
        )
        begin = date(2008, 1, 1) + DAY * int(rng.integers(0, 1300))
        for _ in range(int(rng.integers(1, 4))):
            end = begin + DAY * int(rng.integers(0, 900))
            periods.append((key, begin, end))
            # Sometimes the next period begins in the same interval, the next day, or before this one ends.
            begin = end + DAY * int(rng.choice([-20, 1, 5, 40, 300]))
        for _ in range(int(rng.poisson(1.5))):
            begin = date(2008, 6, 1) + DAY * int(rng.integers(0, 2200))
            length = int(rng.choice([0, 3, 30, 400]))
            conditions.append((key, int(rng.choice([7, 8, 9])), begin, begin + DAY * length))
    return {
        "person": pd.DataFrame(persons).astype(
            {c: "Int64" for c in ("year_of_birth", "month_of_birth", "day_of_birth")}
        ),
        "observation_period": pd.DataFrame(
            periods, columns=["person_id", "observation_period_start_date", "observation_period_end_date"]
        ),
        "condition_occurrence": pd.DataFrame(
            conditions,
            columns=["person_id", "condition_concept_id", "condition_start_date", "condition_end_date"],
        ),
    }


@pytest.fixture(scope="module")
def cdm(lives: dict[str, pd.DataFrame], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cdm")
    with duckdb.connect() as connection:
        for name, frame in lives.items():
            connection.register("frame", frame)
            dates = ", ".join(f"{c}::DATE AS {c}" for c in frame.columns if c.endswith("_date"))
            replaced = f"REPLACE ({dates})" if dates else ""
            connection.execute(f"COPY (SELECT * {replaced} FROM frame) TO '{folder}/{name}.parquet'")
        connection.execute(
            f"COPY (SELECT 1 AS person_id, NULL::DATE AS death_date LIMIT 0) TO '{folder}/death.parquet'"
        )
    return folder


_views: dict[str, list[ibis.Table]] = {}
_counted: dict[str, list[tuple[Any, ...]]] = {}


def views_of(cdm: Path, frame: StudyFrame, holders: int) -> list[ibis.Table]:
    """The frame at holders that share the persons; made once."""
    key = f"{cdm} {holders} {frame}"
    if key not in _views:
        backend = ibis.duckdb.connect()
        _views[key] = []
        for number in range(holders):
            others = [str(person) for person in range(1, N + 1) if person % holders != number]
            backend.con.register(f"h{number}", read_rows(str(cdm), frame, without=others))
            _views[key].append(backend.table(f"h{number}").mutate(holder=ibis.literal(f"h{number}")))
    return _views[key]


def answer(
    question: dict[str, Any],
    cdm: Path,
    population: Population,
    *,
    policy: DisclosurePolicy = OPEN,
    holders: int = 3,
) -> Result:
    """The answer over holders that share the persons."""
    frame = StudyFrame(population=population)
    dids = tuple(f"did:web:h{i}.example" for i in range(holders))
    views = views_of(cdm, frame, holders)
    levels = {
        "age_group": tuple(age_label(group) for group in population.age_groups),
        "sex": ("F", "M", "U"),
        "outcome": tuple(population.outcomes),
        "study_period": (study_period(population),),
    }
    variables = {
        name: Variable(name=name, datatype=Datatype.STRING, levels=given) for name, given in levels.items()
    }
    scope = Scope(
        dictionary=Dictionary(variables=variables),
        policy=policy,
        holders=dids,
        names={did: f"h{i}" for i, did in enumerate(dids)},
    )
    return run_views(question, views, scope)


class Days:
    """What each person is on each day: observed in which age group, ill, at risk."""

    def __init__(self, lives: dict[str, pd.DataFrame], population: Population) -> None:
        self.population = population
        self.persons = lives["person"].to_dict("records")
        self.periods = lives["observation_period"].to_dict("records")
        self.conditions = lives["condition_occurrence"].to_dict("records")

    def born(self, person: dict[str, Any]) -> date | None:
        if pd.isna(person["year_of_birth"]):
            return None
        month = 7 if pd.isna(person["month_of_birth"]) else int(person["month_of_birth"])
        day = 15 if pd.isna(person["day_of_birth"]) else int(person["day_of_birth"])
        return date(int(person["year_of_birth"]), month, 1 if pd.isna(person["month_of_birth"]) else day)

    def observed(self, key: int) -> dict[date, tuple[date, date]]:
        """Days on which a person is in the population, each with the first and last day of that time."""
        asked = self.population
        spans = sorted(
            (p["observation_period_start_date"], p["observation_period_end_date"])
            for p in self.periods
            if p["person_id"] == key
        )
        merged: list[list[date]] = []
        for first, last in spans:
            if merged and first <= merged[-1][1]:
                merged[-1][1] = max(merged[-1][1], last)
            else:
                merged.append([first, last])
        found = {}
        for first, last in merged:
            begin = max(first + DAY * asked.prior_observation_days, asked.study_start)
            end = min(last, asked.study_end)
            day = begin
            while day <= end:
                found[day] = (begin, end)
                day += DAY
        return found

    def ill(self, key: int, outcome: str) -> list[tuple[date, date]]:
        """Outcomes that do not overlap."""
        wanted = self.population.outcomes[outcome].concepts
        spans = sorted(
            (c["condition_start_date"], c["condition_end_date"])
            for c in self.conditions
            if c["person_id"] == key and c["condition_concept_id"] in wanted
        )
        merged: list[list[date]] = []
        for first, last in spans:
            if merged and first <= merged[-1][1]:
                merged[-1][1] = max(merged[-1][1], last)
            else:
                merged.append([first, last])
        return [(first, last) for first, last in merged]

    def in_group(self, born: date, day: date, group: tuple[int, int]) -> bool:
        age = day.year - born.year - ((day.month, day.day) < (born.month, born.day))
        return group[0] <= age <= group[1]

    def at_risk(
        self, key: int, outcome: str, observed: dict[date, Any], groups: set[date]
    ) -> dict[date, bool]:
        """Days at risk, each with whether the outcome begins on it."""
        asked = self.population
        spells = self.ill(key, outcome)
        risky: dict[date, bool] = {}
        for day in sorted(groups):
            before = [s for s in spells if s[0] < day]
            if before and asked.outcome_washout_days is None:
                continue
            if before and day <= before[-1][1] + DAY * (asked.outcome_washout_days or 0):
                continue
            risky[day] = any(s[0] == day for s in spells)
        if not asked.repeated_events:
            first = next((day for day, hit in risky.items() if hit), None)
            risky = {day: hit for day, hit in risky.items() if first is None or day <= first}
        return risky


def key_of(day: date, unit: str) -> str:
    return {
        "years": str(day.year),
        "quarters": f"{day.year}-Q{(day.month + 2) // 3}",
        "months": f"{day.year}-{day.month:02}",
        "overall": "overall",
    }[unit]


Cells = dict[tuple[str, str, str, str], list[Any]]


def count_days(lives: dict[str, pd.DataFrame], population: Population, tell: Callable[..., None]) -> None:
    """Tell each person's days in each stratum, computed once for a population."""
    if str(population) not in _counted:
        _counted[str(population)] = list(strata_days(lives, population))
    for told_days in _counted[str(population)]:
        tell(*told_days)


def strata_days(lives: dict[str, pd.DataFrame], population: Population) -> Iterator[tuple[Any, ...]]:
    days = Days(lives, population)
    for person in days.persons:
        born = days.born(person)
        if born is None:
            continue
        sex = {8507: "M", 8532: "F"}.get(person["gender_concept_id"], "U")
        observed = days.observed(person["person_id"])
        groups = [{d for d in observed if days.in_group(born, d, g)} for g in population.age_groups]
        for outcome in population.outcomes:
            risky = days.at_risk(person["person_id"], outcome, observed, set().union(*groups))
            spells = days.ill(person["person_id"], outcome)
            for group, mine in zip(population.age_groups, groups, strict=True):
                for label in (sex, "Both"):
                    yield (outcome, age_label(group), label), person["person_id"], mine, risky, spells


def expected_incidence(lives: dict[str, pd.DataFrame], population: Population, unit: str) -> Cells:
    persons: dict[Any, set[int]] = defaultdict(set)
    time: dict[Any, int] = defaultdict(int)
    events: dict[Any, int] = defaultdict(int)

    def tell(stratum: Any, key: int, mine: set[date], risky: dict[date, bool], spells: Any) -> None:
        for day, hit in risky.items():
            if day in mine:
                cell = (*stratum, key_of(day, unit))
                persons[cell].add(key)
                time[cell] += 1
                events[cell] += hit

    count_days(lives, population, tell)
    return {cell: [len(persons[cell]), time[cell], events[cell]] for cell in persons}


def told(result: Result, *figures: str) -> Cells:
    return {
        (e["outcome"], e["age_group"], e["sex"], e["interval"]): [e[name] for name in figures]
        for e in result.result["estimates"]
    }


VARIANTS = {
    "first ever": {},
    "washout": {"outcome_washout_days": 60},
    "washout of none": {"outcome_washout_days": 0, "repeated_events": True},
    "repeated": {"outcome_washout_days": 365, "repeated_events": True},
    "no prior observation": {"prior_observation_days": 0, "age_groups": ((18, 64),)},
}


@pytest.mark.parametrize(
    ("name", "unit"), [*((name, "years") for name in VARIANTS), *(("repeated", u) for u in UNITS[1:])]
)
def test_incidence_is_what_a_count_of_days_gives(
    lives: dict[str, pd.DataFrame], cdm: Path, name: str, unit: str
) -> None:
    population = replace(POPULATION, **VARIANTS[name])
    question = {"method": "incidence", "interval": unit, "by": "sex", "complete_intervals": False}
    result = answer(question, cdm, population)
    found = told(result, "n_persons", "person_days", "n_events")
    expected = expected_incidence(lives, population, unit)
    assert {cell: v for cell, v in found.items() if v != [0, 0, 0]} == expected
    assert sum(v[2] for v in expected.values()) > 40
    for estimate in result.result["estimates"]:
        if estimate["person_days"]:
            years = estimate["person_days"] / 365.25
            assert estimate["incidence_100000_pys"] == pytest.approx(estimate["n_events"] / years * 1e5)


def test_incomplete_intervals_are_left_out(cdm: Path) -> None:
    names = {e["interval"] for e in answer({"method": "incidence"}, cdm, POPULATION).result["estimates"]}
    assert names == {"2011", "2012"}
    quarters = answer({"method": "incidence", "interval": "quarters"}, cdm, POPULATION)
    listed = sorted({e["interval"] for e in quarters.result["estimates"]})
    assert (listed[0], listed[-1], len(listed)) == ("2010-Q3", "2013-Q3", 13)


def test_the_target_cohort_bounds_the_population(lives: dict[str, pd.DataFrame], cdm: Path) -> None:
    """Only the days with flu count: the person-days are those of the cases among all."""
    whole = replace(
        POPULATION,
        outcomes={"gout": POPULATION.outcomes["gout"]},
        outcome_washout_days=0,
        repeated_events=True,
    )
    inside = replace(whole, target=POPULATION.outcomes["flu"])
    question = {"method": "incidence", "interval": "overall"}
    found = told(answer(question, cdm, inside), "person_days")
    time: dict[Any, int] = defaultdict(int)

    def tell(stratum: Any, key: int, mine: set[date], risky: dict[date, bool], spells: Any) -> None:
        flu = Days(lives, POPULATION).ill(key, "flu")
        time[stratum] += sum(day in mine and any(a <= day <= b for a, b in flu) for day in risky)

    count_days(lives, whole, tell)
    assert found == {
        (*stratum, "overall"): [days] for stratum, days in time.items() if stratum[2] == "Both" and days
    }  # fmt: skip


@pytest.mark.parametrize("unit", ["years", "quarters", "overall"])
@pytest.mark.parametrize("full", [False, True])
def test_period_prevalence(lives: dict[str, pd.DataFrame], cdm: Path, unit: str, full: bool) -> None:
    question = {"method": "prevalence", "interval": unit, "by": "sex", "full_contribution": full}
    result = answer(question, cdm, POPULATION)
    bounds = {
        e["interval"]: (date.fromisoformat(e["start_date"]), date.fromisoformat(e["end_date"]))
        for e in result.result["estimates"]
    }
    persons: dict[Any, set[int]] = defaultdict(set)
    cases: dict[Any, set[int]] = defaultdict(set)

    def tell(stratum: Any, key: int, mine: set[date], risky: dict[date, bool], spells: Any) -> None:
        for name, (first, last) in bounds.items():
            days = [day for day in mine if first <= day <= last]
            if not days or (full and len(days) < (last - first).days + 1):
                continue
            persons[*stratum, name].add(key)
            if any(a <= day <= b for day in days for a, b in spells):
                cases[*stratum, name].add(key)

    count_days(lives, POPULATION, tell)
    found = told(result, "n_population", "n_cases")
    assert {cell: v for cell, v in found.items() if v[0]} == {
        cell: [len(who), len(cases[cell])] for cell, who in persons.items()
    }
    if not full:
        assert sum(map(len, cases.values())) > 40


@pytest.mark.parametrize("unit", ["years", "months"])
def test_point_prevalence(lives: dict[str, pd.DataFrame], cdm: Path, unit: str) -> None:
    question = {"method": "prevalence", "kind": "point", "interval": unit, "by": "sex"}
    result = answer(question, cdm, POPULATION)
    points = {e["interval"]: date.fromisoformat(e["start_date"]) for e in result.result["estimates"]}
    counts: dict[Any, list[int]] = defaultdict(lambda: [0, 0])

    def tell(stratum: Any, key: int, mine: set[date], risky: dict[date, bool], spells: Any) -> None:
        for name, day in points.items():
            if day in mine:
                counts[*stratum, name][0] += 1
                counts[*stratum, name][1] += any(a <= day <= b for a, b in spells)

    count_days(lives, POPULATION, tell)
    found = told(result, "n_population", "n_cases")
    assert {cell: v for cell, v in found.items() if v[0]} == dict(counts)
    assert sum(v[1] for v in counts.values()) > 20


def test_the_limits_are_those_of_r() -> None:
    # R: poisson.test(7, 1234)$conf.int * 1234; poisson.test(0, 1)$conf.int; conf.level = 0.9 for the third
    assert poisson_limits(7, 0.95) == pytest.approx((2.814363, 14.42268), rel=1e-6)
    assert poisson_limits(0, 0.95) == pytest.approx((0, 3.688879), rel=1e-6)
    assert poisson_limits(3, 0.90) == pytest.approx((0.8176914, 7.753657), rel=1e-6)
    # R: prop.test(7, 120, correct = FALSE)$conf.int; prop.test(0, 30, correct = FALSE)$conf.int
    assert wilson_limits(7, 120, 0.95) == pytest.approx((0.02854101, 0.11552592), rel=1e-6)
    assert wilson_limits(0, 30, 0.95) == pytest.approx((0, 0.11351339), rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("method", ["incidence", "prevalence"])
@pytest.mark.parametrize("holders", [1, 2, 3])
def test_small_figures_cannot_be_had_by_subtraction(cdm: Path, method: str, holders: int) -> None:
    question = {"method": method, "by": "sex"}
    result = answer(question, cdm, POPULATION, policy=DisclosurePolicy(), holders=holders)
    figure = "n_events" if method == "incidence" else "n_cases"
    true = told(answer(question, cdm, POPULATION, holders=holders), figure)
    assert result.suppressed > 0
    groups: dict[Any, dict[str, Any]] = defaultdict(dict)
    for (outcome, age, sex, interval), (value,) in told(result, figure).items():
        assert value is None or value == 0 or value >= 10
        groups[outcome, age, interval][sex] = value
    for (outcome, age, interval), by_sex in groups.items():
        hidden = [sex for sex, value in by_sex.items() if sex != "Both" and value is None]
        if by_sex["Both"] is not None and hidden:
            assert len(hidden) > 1
            assert sum(true[outcome, age, sex, interval][0] for sex in hidden) >= 10


def test_what_cannot_be_asked(cdm: Path) -> None:
    for question, said in (
        ({"interval": "year"}, "'years'"),
        ({"outcomes": ["fluu"]}, "Did you mean 'flu'"),
        ({"by": "region"}, "'region'"),
        ({"complete_intervals": 3}, "true or false"),
    ):
        with pytest.raises(Invalid, match=said):
            answer({"method": "incidence", **question}, cdm, POPULATION)
    short = replace(POPULATION, study_end=date(2010, 6, 1))
    with pytest.raises(Invalid, match="shorter intervals"):
        answer({"method": "prevalence"}, cdm, short)
    nobody = replace(POPULATION, age_groups=((120, 130),))
    with pytest.raises(Refused, match="no-persons"):
        answer({"method": "incidence"}, cdm, nobody)
