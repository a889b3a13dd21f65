"""A synthetic population in OMOP tables, of any size, with effects that are known."""

from __future__ import annotations

from collections.abc import Mapping
from math import log
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from salerno.kernel.errors import Invalid

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CELECOXIB: Final = 1118084
DICLOFENAC: Final = 1124300
GASTROINTESTINAL_HAEMORRHAGE: Final = 192671
PEPTIC_ULCER: Final = 4027663
_VIRAL_SINUSITIS: Final = 40481087
_ACETAMINOPHEN: Final = 1125315

TRUE_LOG_HAZARD_RATIOS: Final[Mapping[str, float]] = {
    "groupdiclofenac": log(1.6),
    "age": 0.03,
    "sexM": 0.4,
    "peptic_ulcer": 0.7,
}
"""What `synthetic_omop` is made with, by term of a Cox regression on `GIBLEED_FRAME`."""

_DAILY_HAZARD = 4e-4
"""Of a woman of 55 on celecoxib without peptic ulcer: about 7 in 100 within half a year."""


def synthetic_omop(folder: Path, persons: int, seed: int = 1) -> Path:
    """Write a synthetic population as a folder of OMOP 5.4 Parquet files, with known effects.

    Two in three persons take celecoxib or diclofenac once; the older, the likelier celecoxib. Time to
    gastrointestinal haemorrhage is exponential with the hazard ratios of `TRUE_LOG_HAZARD_RATIOS`. Some had a
    haemorrhage before, some switch drugs later, a few start both on one day, some die, some leave early.

    Args:
        folder: Where to write.
        persons: How many, at least 1.
        seed: Same seed, same population.

    Raises:
        Invalid: Less than one person is asked for.
    """
    if persons < 1:
        raise Invalid("synthetic-persons", "A population has at least one person")
    folder.mkdir(parents=True, exist_ok=True)
    population = _Population(persons, seed)
    for name, columns in population.tables().items():
        _write(folder / f"{name}.parquet", name, columns)
    return folder


class _Population:
    """Arrays with one entry per person; dates are days since 1970."""

    def __init__(self, persons: int, seed: int) -> None:
        import numpy as np

        rng = np.random.default_rng(seed)
        n = persons
        self.np, self.rng, self.n, self.seed = np, rng, n, seed
        self.id = np.arange(1, n + 1)
        self.male = rng.random(n) < 0.48
        self.born = _day("1930-01-01") + rng.integers(0, 60 * 365, n)
        self.seen_from = _day("2008-01-01") + rng.integers(0, 4 * 365, n)
        self.seen_to = np.minimum(
            self.seen_from + 400 + rng.exponential(3000, n).astype(np.int64), _day("2024-12-31")
        )
        self.user = rng.random(n) < 2 / 3
        span = np.maximum(self.seen_to - self.seen_from - 20, 1)
        self.index = self.seen_from + (rng.random(n) * span).astype(np.int64)
        self.age = self._full_years(self.index)
        self.diclofenac = rng.random(n) < 1 / (1 + np.exp(0.4 + 0.02 * (self.age - 55)))
        self.ulcer = rng.random(n) < 0.15
        effect = TRUE_LOG_HAZARD_RATIOS
        hazard = _DAILY_HAZARD * np.exp(
            effect["groupdiclofenac"] * self.diclofenac
            + effect["age"] * (self.age - 55)
            + effect["sexM"] * self.male
            + effect["peptic_ulcer"] * self.ulcer
        )
        # Whole days, the next one at the earliest: an event within the first day is on day 1.
        self.bleed = self.index + np.ceil(rng.exponential(1 / hazard)).astype(np.int64)
        self.death = self.seen_from + np.ceil(
            rng.exponential(1 / (2e-5 * np.exp(0.07 * (self.age - 55))))
        ).astype(np.int64)
        self.dies = (self.death > self.index) & (self.death < self.seen_to)
        self.bleeds = self.user & (self.bleed <= np.where(self.dies, self.death, self.seen_to))

    def _full_years(self, day: NDArray[np.int64]) -> NDArray[np.int64]:
        year, month, dom = _calendar(day)
        b_year, b_month, b_dom = _calendar(self.born)
        years: NDArray[np.int64] = year - b_year - ((month * 100 + dom) < (b_month * 100 + b_dom))
        return years

    def tables(self) -> dict[str, dict[str, Any]]:
        """Columns by table."""
        np, rng, n = self.np, self.rng, self.n
        year, month, dom = _calendar(self.born)
        drugs = self._drugs()
        conditions = self._conditions()
        visits = rng.random(n) < 0.5
        visit_day = self.seen_from + (rng.random(n) * (self.seen_to - self.seen_from)).astype(np.int64)
        measured = rng.random(n) < 0.5
        return {
            "person": {
                "person_id": self.id,
                "gender_concept_id": np.where(self.male, 8507, 8532),
                "year_of_birth": year,
                "month_of_birth": month,
                "day_of_birth": dom,
                "race_concept_id": np.zeros(n, np.int64),
                "ethnicity_concept_id": np.zeros(n, np.int64),
                "person_source_value": np.char.add(f"SYN-{self.seed}-", self.id.astype(str)),
                "gender_source_value": np.where(self.male, "M", "F"),
            },
            "observation_period": {
                "observation_period_id": self.id,
                "person_id": self.id,
                "observation_period_start_date": self.seen_from,
                "observation_period_end_date": np.where(self.dies, self.death, self.seen_to),
                "period_type_concept_id": np.full(n, 32817),
            },
            **drugs,
            **conditions,
            "procedure_occurrence": {
                "procedure_occurrence_id": self.id[self.bleeds],
                "person_id": self.id[self.bleeds],
                "procedure_concept_id": np.full(int(self.bleeds.sum()), 4249893),
                "procedure_date": self.bleed[self.bleeds],
                "procedure_type_concept_id": np.full(int(self.bleeds.sum()), 32817),
            },
            "measurement": {
                "measurement_id": self.id[measured],
                "person_id": self.id[measured],
                "measurement_concept_id": np.full(int(measured.sum()), 3000963),
                "measurement_date": visit_day[measured],
                "measurement_type_concept_id": np.full(int(measured.sum()), 32817),
                "value_as_number": np.round(rng.normal(13.5, 1.3, int(measured.sum())), 1),
            },
            "observation": {
                "observation_id": self.id[~measured],
                "person_id": self.id[~measured],
                "observation_concept_id": np.full(int((~measured).sum()), 4275495),
                "observation_date": visit_day[~measured],
                "observation_type_concept_id": np.full(int((~measured).sum()), 32817),
            },
            "visit_occurrence": {
                "visit_occurrence_id": self.id[visits],
                "person_id": self.id[visits],
                "visit_concept_id": np.full(int(visits.sum()), 9202),
                "visit_start_date": visit_day[visits],
                "visit_end_date": visit_day[visits],
                "visit_type_concept_id": np.full(int(visits.sum()), 32817),
            },
            "death": {
                "person_id": self.id[self.dies],
                "death_date": self.death[self.dies],
                "death_type_concept_id": np.full(int(self.dies.sum()), 32817),
            },
            **_VOCABULARY_TABLES,
        }

    def _drugs(self) -> dict[str, dict[str, Any]]:
        np, rng = self.np, self.rng
        other = rng.random(self.n)
        switch = self.user & (other < 0.1)
        both = self.user & (other > 0.999)
        common = rng.random(self.n) < 0.4
        own = np.where(self.diclofenac, DICLOFENAC, CELECOXIB)
        second = np.where(self.diclofenac, CELECOXIB, DICLOFENAC)
        person = np.concatenate([self.id[self.user], self.id[switch], self.id[both], self.id[common]])
        concept = np.concatenate(
            [own[self.user], second[switch], second[both], np.full(int(common.sum()), _ACETAMINOPHEN)]
        )
        start = np.concatenate(
            [self.index[self.user], self.index[switch] + 40, self.index[both], self.seen_from[common]]
        )
        number, kind = np.arange(1, len(person) + 1), np.full(len(person), 32817)
        return {
            "drug_era": {
                "drug_era_id": number,
                "person_id": person,
                "drug_concept_id": concept,
                "drug_era_start_date": start,
                "drug_era_end_date": start + 30,
                "drug_exposure_count": np.ones(len(person), np.int64),
                "gap_days": np.zeros(len(person), np.int64),
            },
            "drug_exposure": {
                "drug_exposure_id": number,
                "person_id": person,
                "drug_concept_id": concept,
                "drug_exposure_start_date": start,
                "drug_exposure_end_date": start + 30,
                "drug_type_concept_id": kind,
                "days_supply": np.full(len(person), 30),
            },
        }

    def _conditions(self) -> dict[str, dict[str, Any]]:
        np, rng = self.np, self.rng
        before = self.user & (rng.random(self.n) < 0.02)
        earlier = self.seen_from + ((self.index - self.seen_from) * rng.random(self.n)).astype(np.int64)
        ulcer = self.ulcer & (earlier < self.index)
        common = rng.random(self.n) < 0.5
        groups = [
            (self.bleeds, self.bleed, GASTROINTESTINAL_HAEMORRHAGE),
            (before, earlier, GASTROINTESTINAL_HAEMORRHAGE),
            (ulcer, earlier, PEPTIC_ULCER),
            (common, self.seen_from, _VIRAL_SINUSITIS),
        ]
        person = np.concatenate([self.id[mask] for mask, _, _ in groups])
        start = np.concatenate([day[mask] for mask, day, _ in groups])
        concept = np.concatenate([np.full(int(mask.sum()), code) for mask, _, code in groups])
        number = np.arange(1, len(person) + 1)
        return {
            "condition_occurrence": {
                "condition_occurrence_id": number,
                "person_id": person,
                "condition_concept_id": concept,
                "condition_start_date": start,
                "condition_end_date": start + 7,
                "condition_type_concept_id": np.full(len(person), 32817),
            },
            "condition_era": {
                "condition_era_id": number,
                "person_id": person,
                "condition_concept_id": concept,
                "condition_era_start_date": start,
                "condition_era_end_date": start + 7,
                "condition_occurrence_count": np.ones(len(person), np.int64),
            },
        }


_CONCEPTS: Final = (
    (CELECOXIB, "celecoxib", "Drug", "RxNorm", "Ingredient", "140587"),
    (DICLOFENAC, "diclofenac", "Drug", "RxNorm", "Ingredient", "3355"),
    (_ACETAMINOPHEN, "acetaminophen", "Drug", "RxNorm", "Ingredient", "161"),
    (
        GASTROINTESTINAL_HAEMORRHAGE,
        "Gastrointestinal hemorrhage",
        "Condition",
        "SNOMED",
        "Disorder",
        "74474003",
    ),
    (PEPTIC_ULCER, "Peptic ulcer", "Condition", "SNOMED", "Disorder", "13200003"),
    (_VIRAL_SINUSITIS, "Viral sinusitis", "Condition", "SNOMED", "Disorder", "444814009"),
    (8507, "MALE", "Gender", "Gender", "Gender", "M"),
    (8532, "FEMALE", "Gender", "Gender", "Gender", "F"),
)

_VOCABULARY_TABLES: Final[dict[str, dict[str, Any]]] = {
    "concept": {
        "concept_id": [row[0] for row in _CONCEPTS],
        "concept_name": [row[1] for row in _CONCEPTS],
        "domain_id": [row[2] for row in _CONCEPTS],
        "vocabulary_id": [row[3] for row in _CONCEPTS],
        "concept_class_id": [row[4] for row in _CONCEPTS],
        "standard_concept": ["S"] * len(_CONCEPTS),
        "concept_code": [row[5] for row in _CONCEPTS],
    },
    "concept_ancestor": {
        "ancestor_concept_id": [row[0] for row in _CONCEPTS],
        "descendant_concept_id": [row[0] for row in _CONCEPTS],
        "min_levels_of_separation": [0] * len(_CONCEPTS),
        "max_levels_of_separation": [0] * len(_CONCEPTS),
    },
}


def _write(file: Path, table: str, columns: Mapping[str, Any]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from salerno.standards.omop import FIELDS

    kinds = {"integer": pa.int64(), "float": pa.float64(), "date": pa.date32(), "string": pa.string()}
    arrays = {}
    for name, values in columns.items():
        kind = kinds[FIELDS[table][name]]
        days = pa.array(values, type=pa.int32()) if kind == pa.date32() else None
        arrays[name] = days.cast(kind) if days is not None else pa.array(values, type=kind)
    pq.write_table(pa.table(arrays), file, compression="zstd", row_group_size=250_000)


def _day(text: str) -> int:
    from datetime import date

    return (date.fromisoformat(text) - date(1970, 1, 1)).days


def _calendar(days: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Year, month and day of the month of days since 1970."""
    import numpy as np

    dates = days.astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    year = dates.astype("datetime64[Y]").astype(np.int64) + 1970
    month = months.astype(np.int64) % 12 + 1
    return year, month, (dates - months).astype(np.int64) + 1
