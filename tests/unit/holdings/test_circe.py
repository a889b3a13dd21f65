"""Circe definitions come from outside: what they read is known beforehand, and their texts stay texts."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import duckdb
import pytest

from salerno.adapters.vault import Vault
from salerno.holdings.engine.code_sets import code_sets
from salerno.holdings.engine.opening import IbisEngine
from salerno.holdings.engine.reading import read_cohort, read_rows
from salerno.holdings.engine.sources import open_source
from salerno.holdings.model import EventDefinition, Holding, KeptFor, StudyFrame
from salerno.holdings.rules import columns_needed
from salerno.kernel.errors import Conflict, Invalid, NotFound, Refused
from salerno.permits.model import DataScope, OptOutList
from salerno.permits.rules import opt_out_list
from salerno.standards.circe import CODE_SETS, PREFIX, circe_script
from salerno.standards.omop import VOCABULARY

START = date(2010, 1, 1)


def circe(**criteria: Any) -> dict[str, Any]:
    """First drug exposure to concept 1, with two rules: a condition 5 before, and at least 18 years old."""
    before = {
        "Criteria": {"ConditionOccurrence": {"CodesetId": 2}},
        "StartWindow": {
            "Start": {"Coeff": -1},
            "End": {"Days": 1, "Coeff": -1},
            "UseEventEnd": False,
        },
        "Occurrence": {"Type": 2, "Count": 1},
    }
    return {
        "ConceptSets": [
            {"id": n, "name": name, "expression": {"items": [{"concept": {"CONCEPT_ID": concept}}]}}
            for n, name, concept in ((1, "drug", 1), (2, "condition", 5))
        ],
        "PrimaryCriteria": {
            "CriteriaList": [{"DrugExposure": {"CodesetId": 1, "First": True, **criteria}}],
            "ObservationWindow": {"PriorDays": 0, "PostDays": 0},
            "PrimaryCriteriaLimit": {"Type": "First"},
        },
        "QualifiedLimit": {"Type": "First"},
        "ExpressionLimit": {"Type": "First"},
        "InclusionRules": [
            {"name": "condition before", "expression": {"Type": "ALL", "CriteriaList": [before],
             "DemographicCriteriaList": [], "Groups": []}},
            {"name": "of age", "expression": {"Type": "ALL", "CriteriaList": [],
             "DemographicCriteriaList": [{"Age": {"Value": 18, "Op": "gte"}}], "Groups": []}},
        ],
        "CensoringCriteria": [],
        "CollapseSettings": {"CollapseType": "ERA", "EraPad": 0},
        "CensorWindow": {},
    }  # fmt: skip


@pytest.fixture(scope="module")
def cdm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return circe_cdm(tmp_path_factory.mktemp("omop") / "cdm")


def circe_cdm(folder: Path) -> Path:
    """60 persons: each takes the drug on day 100; every third had the condition; every fifth is a child."""
    folder.mkdir()
    with duckdb.connect() as connection:
        tables = {
            "person": "i AS person_id, 8532 AS gender_concept_id, "
            "CASE WHEN i % 5 = 0 THEN 2005 ELSE 1960 END AS year_of_birth, 1 AS month_of_birth, "
            "1 AS day_of_birth, 'P' || i AS person_source_value",
            "observation_period": "i AS person_id, DATE '2010-01-01' AS observation_period_start_date, "
            "DATE '2012-12-31' AS observation_period_end_date",
            "drug_exposure": "i AS person_id, i AS drug_exposure_id, 1 AS drug_concept_id, "
            "DATE '2010-04-11' AS drug_exposure_start_date, DATE '2010-05-11' AS drug_exposure_end_date, "
            "30 AS days_supply, 'over' AS stop_reason",
            "condition_occurrence": "i AS person_id, i AS condition_occurrence_id, "
            "5 AS condition_concept_id, "
            "CASE WHEN i % 3 = 0 THEN DATE '2010-02-01' ELSE DATE '2011-02-01' END AS condition_start_date, "
            "NULL::DATE AS condition_end_date",
            "death": "i AS person_id, DATE '2030-01-01' AS death_date",
            "concept": "i AS concept_id, NULL::VARCHAR AS invalid_reason",
            "concept_ancestor": "i AS ancestor_concept_id, i AS descendant_concept_id",
        }
        for name, columns in tables.items():
            rows = f"SELECT {columns} FROM range(1, 61) t(i)"
            connection.execute(f"COPY ({rows}) TO '{folder}/{name}.parquet' (FORMAT parquet)")
    return folder


def cohort(**criteria: Any) -> EventDefinition:
    return EventDefinition(circe=circe(**criteria))


def test_the_rows_and_the_rules_that_persons_pass(cdm: Path) -> None:
    rows, passed = read_cohort(str(cdm), cohort())
    expected = {i for i in range(1, 61) if i % 3 == 0 and i % 5 != 0}
    assert {row["_person"] for row in rows.to_pylist()} == expected
    first = rows.to_pylist()[0]
    assert (first["date"], first["until"]) == (START + timedelta(days=100), date(2012, 12, 31))
    told = {row["_person"]: row["passed"] for row in passed.to_pylist()}
    # A rule counts only when the rules before it are met as well.
    assert told == {i: 0 if i % 3 else 1 if i % 5 == 0 else 2 for i in range(1, 61)}


def test_the_concepts_of_sets_are_those_of_the_whole_vocabulary(tmp_path: Path) -> None:
    """Of all ways to name a concept and to except one: the rows that are read suffice."""
    with duckdb.connect(str(tmp_path / "cdm.duckdb")) as made:
        for name, columns in {
            "concept": "i + 1 AS concept_id, CASE WHEN i % 9 = 0 THEN 'D' END AS invalid_reason",
            "concept_ancestor": "1 + i % 40 AS ancestor_concept_id, 1 + i * 7 % 97 AS descendant_concept_id",
            "concept_relationship": "1 + i % 120 AS concept_id_1, 1 + i * 11 % 97 AS concept_id_2, "
            "CASE WHEN i % 3 = 0 THEN 'Is a' ELSE 'Maps to' END AS relationship_id, "
            "CASE WHEN i % 7 = 0 THEN 'U' END AS invalid_reason",
        }.items():
            made.execute(f"CREATE TABLE {name} AS SELECT {columns} FROM range(97) t(i)")
    flags = ("includeDescendants", "includeMapped", "isExcluded")
    ways = [dict(zip(flags, chosen, strict=True)) for chosen in product((False, True), repeat=3)]
    asked = circe()
    asked["ConceptSets"] = [
        {"id": n, "name": "", "expression": {"items": [
            {"concept": {"CONCEPT_ID": c}, **way} for c, way in ((1 + n % 6, a), (4 + n % 5, b))
        ]}}
        for n, (a, b) in enumerate(product(ways, ways), 1)
    ]  # fmt: skip
    script = circe_script(asked, "postgresql")
    assert script.tables[0][0] != CODE_SETS
    with duckdb.connect(str(tmp_path / "cdm.duckdb")) as whole:
        for name in VOCABULARY:
            whole.execute(f"CREATE TEMP VIEW {PREFIX}{name} AS FROM {name}")
        wanted = set(whole.execute(script.code_sets).fetchall())
    with open_source(str(tmp_path / "cdm.duckdb")) as source:
        got = source.fetch(code_sets(source, source.table, script))
    assert len({number for number, _ in wanted}) > 40
    assert sorted(wanted) == sorted(zip(*(got[name].to_pylist() for name in got.column_names), strict=True))


def test_attrition_goes_through_the_rules(cdm: Path) -> None:
    frame = StudyFrame(groups={"new users": cohort()}, rows="attrition")
    steps = read_rows(str(cdm), frame).column("step").to_pylist()
    by_step = {step: steps.count(step) for step in set(steps)}
    assert by_step == {
        "1. qualifying event": 40,
        "2. inclusion rule: condition before": 4,
        "9. at least one day of follow-up": 16,
    }


def test_who_opted_out_is_not_even_read(cdm: Path) -> None:
    rows, passed = read_cohort(str(cdm), cohort(), without=["P3", "P4"])
    assert 3 not in {row["_person"] for row in rows.to_pylist()}
    assert not {3, 4} & {row["_person"] for row in passed.to_pylist()}


def test_the_columns_that_a_definition_reads() -> None:
    needed = columns_needed(StudyFrame(groups={"a": cohort()}))
    assert needed["drug_exposure"] == {
        "drug_concept_id",
        "drug_exposure_start_date",
        "drug_exposure_end_date",
        "days_supply",
    }
    assert needed["condition_occurrence"] >= {"condition_concept_id", "condition_start_date"}
    assert "stop_reason" not in needed["drug_exposure"]
    asked = cohort(StopReason={"Text": "over", "Op": "contains"})
    assert "stop_reason" in columns_needed(StudyFrame(groups={"a": asked}))["drug_exposure"]


def scope_for(definition: EventDefinition) -> DataScope:
    needed = columns_needed(StudyFrame(groups={"a": definition}))
    tables = {table: tuple(sorted(columns)) for table, columns in needed.items()}
    return DataScope(dataset="urn:d", holder="did:web:h", country="FR", tables=tables)


def left_out(*persons: str) -> OptOutList:
    return opt_out_list(persons, "0" * 32, datetime.now(UTC))


def opened(engine: IbisEngine, cdm: Path, frame: StudyFrame, scope: DataScope, **given: Any) -> Any:
    holding = Holding(
        id="cdm",
        dataset="urn:d",
        title="CDM",
        source=str(cdm),
        kind="omop",
        connected_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    asked = {"left_out": left_out(), "min_cell": 1, "holder_name": "H", **given}
    return engine.open(holding, frame, scope, **asked)


def test_a_column_outside_the_permit_is_refused_by_name(cdm: Path) -> None:
    asked = cohort(StopReason={"Text": "over", "Op": "contains"})
    with pytest.raises(Refused, match=r"drug_exposure\.stop_reason"):
        opened(IbisEngine(), cdm, StudyFrame(groups={"a": asked}), scope_for(cohort()))
    opened(IbisEngine(), cdm, StudyFrame(groups={"a": asked}), scope_for(asked)).close()


KEPT = KeptFor(permit="urn:permit:1", until=datetime(2099, 1, 1, tzinfo=UTC))


def test_a_saved_cohort_serves_the_next_question_of_its_permit_alone(cdm: Path, tmp_path: Path) -> None:
    vault = Vault(tmp_path / "permits", tmp_path / "keys")
    engine = IbisEngine(vault=vault)
    scope = scope_for(cohort())
    saving = StudyFrame(save={"new users": cohort()}, groups={"a": EventDefinition(cohort="new users")})
    view = opened(engine, cdm, saving, scope, kept_for=KEPT)
    assert view.n_persons == 16
    view.close()
    (folder,) = (tmp_path / "permits").iterdir()
    assert folder.stat().st_mode & 0o077 == 0
    kept = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.sealed")}
    assert len(kept) == 3  # rows, steps and names
    again = StudyFrame(groups={"a": EventDefinition(cohort="new users")})
    view = opened(engine, cdm, again, scope, kept_for=KEPT)
    assert view.n_persons == 16
    view.close()
    assert {path.name: path.stat().st_mtime_ns for path in folder.glob("*.sealed")} == kept
    with pytest.raises(NotFound, match="new users"):
        opened(engine, cdm, again, scope, kept_for=replace(KEPT, permit="urn:permit:2"))
    other = cohort(First=False)
    with pytest.raises(Conflict, match="another cohort"):
        opened(engine, cdm, replace(saving, save={"new users": other}), scope, kept_for=KEPT)
    misspelt = StudyFrame(groups={"a": EventDefinition(cohort="new user")})
    with pytest.raises(NotFound, match="Did you mean 'new users'"):
        opened(engine, cdm, misspelt, scope, kept_for=KEPT)


def test_kept_rows_do_not_outlive_an_opt_out_or_the_permit(cdm: Path, tmp_path: Path) -> None:
    vault = Vault(tmp_path / "permits", tmp_path / "keys")
    engine = IbisEngine(vault=vault)
    scope, frame = scope_for(cohort()), StudyFrame(groups={"a": cohort()})
    opened(engine, cdm, frame, scope, kept_for=KEPT).close()
    view = opened(engine, cdm, frame, scope, kept_for=KEPT, left_out=left_out("P3"))
    assert view.n_persons == 15
    view.close()
    rows = b"".join(path.read_bytes() for path in tmp_path.rglob("*.sealed"))
    assert rows
    assert b"PAR1" not in rows  # no file of a cohort lies there in clear
    vault.destroy_key(KEPT.permit)
    vault.clear(KEPT.permit)
    assert not vault.permits()
    view = opened(engine, cdm, frame, scope, kept_for=KEPT)  # computed again
    assert view.n_persons == 16
    view.close()


ATTACKS = (
    "over' OR 1=1 --",
    "over'; DROP TABLE person; --",
    "over\\' UNION SELECT * FROM person",
    "@cdm_database_schema.person",
    "{1 = 1}?{x}:{y}",
    "read_csv('/etc/passwd')",
    "a\nb",
    "a\x00b",
    "a--b",
    "a/*b",
    "DATEADD(day,1,x)",
    '"person"',
    "#Codesets",
    "x" * 300,
)


@pytest.mark.parametrize("text", ATTACKS)
@pytest.mark.parametrize("dialect", ["duckdb", "postgresql"])
def test_a_text_cannot_become_sql(text: str, dialect: str) -> None:
    with pytest.raises(Invalid, match="/StopReason/Text"):
        circe_script(circe(StopReason={"Text": text, "Op": "contains"}), dialect)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("PrimaryCriteria", "CriteriaList", 0, "DrugExposure", "CodesetId"), "1) OR (1=1"),
        (("ConceptSets", 0, "id"), "1; DROP TABLE person"),
        (("ConceptSets", 0, "expression", "items", 0, "concept", "CONCEPT_ID"), "1)) --"),
        (("PrimaryCriteria", "ObservationWindow", "PriorDays"), "0) --"),
        (("CollapseSettings", "EraPad"), "0) --"),
        (("InclusionRules", 1, "expression", "DemographicCriteriaList", 0, "Age", "Op"), "= 1 OR 1 ="),
        (("InclusionRules", 1, "expression", "DemographicCriteriaList", 0, "Age", "Value"), "18 OR 1=1"),
    ],
)
def test_a_number_or_choice_cannot_become_sql(path: tuple[Any, ...], value: str) -> None:
    definition = deepcopy(circe())
    place: Any = definition
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(Invalid):
        circe_script(definition, "duckdb")


def test_a_name_is_for_people_only(cdm: Path) -> None:
    definition = circe()
    definition["ConceptSets"][0]["name"] = "'; DROP TABLE person; --"
    definition["InclusionRules"][0]["name"] = "it's 'quoted' \\ {x} @y"
    rows, _ = read_cohort(str(cdm), EventDefinition(circe=definition))
    assert rows.num_rows == 16
    frame = StudyFrame(groups={"a": EventDefinition(circe=definition)}, rows="attrition")
    assert "2. inclusion rule: it's 'quoted' \\ {x} @y" in read_rows(str(cdm), frame)["step"].to_pylist()


def test_what_is_no_definition() -> None:
    deep: Any = {}
    for _ in range(200):
        deep = {"Groups": [deep]}
    for definition, told in (
        ({}, "PrimaryCriteria"),
        ({"primaryCriteria": {}}, "Did you mean"),
        ({"PrimaryCriteria": {}}, "cannot be used"),
        ({**circe(), "InclusionRules": [{}] * 100}, "more than 60"),
        ({**circe(), "InclusionRules": "all"}, "no list"),
        ({**circe(), "AdditionalCriteria": deep}, "nested"),
        ({**circe(), "x": ["a" * 150] * 20_000}, "longer"),
    ):
        with pytest.raises(Invalid, match=told):
            circe_script(definition, "duckdb")
