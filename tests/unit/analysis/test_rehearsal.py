"""Synthetic rows: the description's columns, types and levels, and a question answered on them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest

from salerno.analysis.rehearsal import MOST_ROWS, synthetic_tables
from salerno.catalogue.model import (
    Agent,
    ContactPoint,
    DatasetDescription,
    Datatype,
    TableDescription,
    Variable,
)
from salerno.kernel.errors import Invalid, Refused
from salerno.nodes.rehearse import Rehearsals


def description(name: str, *tables: TableDescription, n_persons: int | None = 600) -> DatasetDescription:
    contact = ContactPoint(name="Desk", email="desk@example.org")
    holder = Agent(
        iri=f"did:web:{name.lower()}.example", name=f"Hospital St. {name}", country="FR", contact=contact
    )
    return DatasetDescription(
        iri=f"https://{name.lower()}.example/datasets/heart", identifier="heart", title="Heart",
        description="",
        holder=holder, access_body=holder, categories=(), keywords=(), provenance="", n_persons=n_persons,
        modified=datetime(2026, 1, 1, tzinfo=UTC), tables=tables, min_age=40, max_age=60,
        covers_from=date(2020, 1, 1), covers_to=date(2020, 12, 1),
    )  # fmt: skip


VARIABLES = (
    Variable(name="age", datatype=Datatype.INTEGER, n=600),
    Variable(name="sex", datatype=Datatype.STRING, n=600, levels=("F", "M")),
    Variable(name="status", datatype=Datatype.INTEGER, n=600, levels=("0", "1")),
    Variable(name="time", datatype=Datatype.NUMBER, n=300),
    Variable(name="smokes", datatype=Datatype.BOOLEAN, n=600),
    Variable(name="seen", datatype=Datatype.DATE, n=600),
    Variable(name="note", datatype=Datatype.STRING, n=600),
)
HEART = TableDescription(name="heart", variables=VARIABLES, n_rows=600)
LYON, JENA, OULU = (description(name, HEART) for name in ("Lyon", "Jena", "Oulu"))


def test_rows_have_the_published_columns_types_levels_and_gaps() -> None:
    (table,) = synthetic_tables(LYON).values()
    assert table.num_rows == 600
    assert table.column_names == [v.name for v in VARIABLES]
    assert [str(kind) for kind in table.schema.types] == [
        "int64", "string", "int64", "double", "bool", "date32[day]", "string",
    ]  # fmt: skip
    sexes = table["sex"].value_counts().to_pylist()
    assert sorted((row["values"], row["counts"]) for row in sexes) == [("F", 300), ("M", 300)]
    ages = table["age"].to_pylist()
    assert min(ages) >= 40
    assert max(ages) <= 60
    assert 0.4 < table["time"].null_count / 600 < 0.6
    assert table["age"].null_count == 0
    assert min(table["time"].drop_null().to_pylist()) > 0
    assert min(table["seen"].to_pylist()) >= date(2020, 1, 1)
    assert len(set(table["note"].to_pylist())) == 600  # no level of a free text is made up


def test_the_same_description_gives_the_same_rows_and_another_others() -> None:
    assert synthetic_tables(LYON)["heart"].equals(synthetic_tables(LYON)["heart"])
    assert not synthetic_tables(LYON)["heart"].equals(synthetic_tables(JENA)["heart"])


def test_large_and_unknown_numbers_of_rows() -> None:
    large = replace(LYON, tables=(replace(HEART, n_rows=10_000_000),))
    assert synthetic_tables(large)["heart"].num_rows == MOST_ROWS
    unknown = replace(LYON, n_persons=None, tables=(replace(HEART, n_rows=None),))
    assert synthetic_tables(unknown)["heart"].num_rows == 1000


@pytest.fixture(scope="module")
def rehearse() -> Rehearsals:
    return Rehearsals()


def test_a_rehearsal_has_the_shape_of_the_answer_and_says_what_it_is(rehearse: Rehearsals) -> None:
    question = {"method": "cox", "formula": "Surv(time, status) ~ age + sex"}
    answer = rehearse(question, [LYON, JENA, OULU])
    assert answer["synthetic"] is True
    names = [f"Hospital St. {name} (synthetic)" for name in ("Lyon", "Jena", "Oulu")]
    assert answer["holders"] == names
    assert [term["term"] for term in answer["result"]["terms"]] == ["age", "sexM"]
    assert answer["provenance"]["synthetic"] is True
    assert "permits" not in answer["provenance"]


def test_what_the_run_would_refuse_is_refused_in_the_same_words(rehearse: Rehearsals) -> None:
    with pytest.raises(Invalid, match="Did you mean 'age'"):
        rehearse({"method": "describe", "variable": "agee"}, [LYON])
    with pytest.raises(Refused, match=r"fewer than 1000 persons|Fewer than 1000 persons"):
        rehearse({"method": "count"}, [LYON], threshold=1000)
    lacks = replace(JENA, tables=(replace(HEART, variables=VARIABLES[:1]),))
    with pytest.raises(Invalid, match="Jena has no column 'sex'"):
        rehearse({"method": "count", "by": "sex"}, [LYON, lacks])


def test_what_cannot_be_rehearsed_on(rehearse: Rehearsals) -> None:
    with pytest.raises(Invalid, match="one to 8"):
        rehearse({"method": "count"}, [])
    with pytest.raises(Invalid, match="no variables"):
        rehearse({"method": "count"}, [description("Empty")])


def columns(table: str, **kinds: Datatype) -> TableDescription:
    return TableDescription(
        name=table, variables=tuple(Variable(name=name, datatype=kind) for name, kind in kinds.items())
    )


INT, DAY = Datatype.INTEGER, Datatype.DATE
CDM = (
    columns("person", person_id=INT, gender_concept_id=INT, year_of_birth=INT, month_of_birth=INT,
            day_of_birth=INT),
    columns("observation_period", observation_period_id=INT, person_id=INT,
            observation_period_start_date=DAY, observation_period_end_date=DAY),
    columns("drug_era", drug_era_id=INT, person_id=INT, drug_concept_id=INT, drug_era_start_date=DAY,
            drug_era_end_date=DAY),
    columns("condition_occurrence", condition_occurrence_id=INT, person_id=INT, condition_concept_id=INT,
            condition_start_date=DAY),
    columns("death", person_id=INT, death_date=DAY),
)  # fmt: skip
FRAME: dict[str, Any] = {
    "groups": {
        "new": {"table": "drug_era", "concepts": [11]},
        "old": {"table": "drug_era", "concepts": [12]},
    },
    "washout_days": 30,
    "outcome": {"table": "condition_occurrence", "concepts": [21], "descendants": True},
    "covariates": [{"name": "before", "event": {"table": "condition_occurrence", "concepts": [22]}}],
}


def test_an_omop_frame_is_rehearsed_with_its_own_concepts(rehearse: Rehearsals) -> None:
    cdm = description("Lund", *CDM, n_persons=800)
    tables = synthetic_tables(cdm, FRAME)
    assert set(tables["drug_era"]["drug_concept_id"].to_pylist()) == {11, 12}
    assert set(tables["concept_ancestor"]["ancestor_concept_id"].to_pylist()) == {11, 12, 21, 22}
    assert pa.compute.min(tables["death"]["person_id"]).as_py() >= 1
    answer = rehearse({"method": "cox", "formula": "Surv(time, status) ~ group + age + before"}, [cdm], FRAME)
    assert [term["term"] for term in answer["result"]["terms"]] == ["groupold", "age", "before"]
    assert answer["n"] > 300
