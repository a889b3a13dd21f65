"""Connecting and describing, by service and by route."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from salerno.catalogue.model import ContactPoint, DatasetDescription
from salerno.holdings.api import routes
from salerno.holdings.model import Holding
from salerno.holdings.service import Holdings
from salerno.kernel.errors import Conflict, Invalid, NotFound, SalernoError
from salerno.nodes.demo_data import synthetic_omop
from salerno.web.callers import Caller
from salerno.web.problems import problem_handlers


def test_a_description_is_computed_from_the_data(hospital: Any, cohort: Holding) -> None:
    description = hospital.desk.describe("cohort", "stella", provenance="Clinic")
    assert description.iri == "https://hospital.example/datasets/cohort"
    assert (description.n_records, description.n_persons) == (100, 100)
    assert description.covers_from == date(2020, 1, 1)
    assert description.covers_to == date(2020, 3, 1)  # nine days of April are too few
    assert (description.min_age, description.max_age) == (None, None)
    (table,) = description.tables
    levels = {variable.name: variable.levels for variable in table.variables}
    assert levels["sex"] == ("F", "M")
    assert levels["id"] == levels["place"] == ()
    assert description.holder.contact.page == "https://hospital.example"
    assert description.access_body.iri == "did:web:body.example"
    assert hospital.acts() == ["holding-connected", "holding-described"]


def test_an_omop_description(hospital: Any, tmp_path: Path) -> None:
    hospital.connect("omop", synthetic_omop(tmp_path / "cdm", 500, seed=2), kind="omop")
    description = hospital.desk.describe(
        "omop", "stella", contact=ContactPoint(name="Desk", email="d@h.example")
    )
    assert description.n_persons == 500
    assert description.min_age is not None
    assert description.min_age % 5 == 0
    assert description.covers_from is not None
    assert description.covers_from.day == 1
    assert description.coding_systems
    tables = {table.name: {v.name: v for v in table.variables} for table in description.tables}
    assert "concept" not in tables
    assert tables["person"]["gender_concept_id"].levels == ("8507", "8532")
    assert tables["person"]["person_source_value"].levels == ()
    assert all(not v.levels for table in tables.values() for v in table.values() if v.name == "person_id")


def test_what_cannot_be_connected_is_told_and_nothing_is_kept(hospital: Any, cohort: Holding) -> None:
    folder = hospital.folder
    (folder / "broken.csv").write_text("a,b\n1\n")
    tries: list[tuple[type[SalernoError], str, str, dict[str, Any]]] = [
        (Invalid, "holding-id", "No Good", {}),
        (Invalid, "holding-id", "", {}),
        (Conflict, "holding-exists", "cohort", {}),
        (Invalid, "unknown-column", "other", {"person_column": "idd"}),
        (Invalid, "unknown-column", "other", {"date_column": "dat"}),
        (Invalid, "missing-table", "other", {"kind": "omop"}),
        (Invalid, "broken-csv", "other", {"source": folder / "broken.csv"}),
    ]
    for branch, code, name, options in tries:
        source = options.pop("source", folder / "cohort.csv")
        with pytest.raises(branch) as caught:
            hospital.connect(name, source, **options)
        assert caught.value.code == code
    with hospital.holdings() as holdings:
        assert [holding.id for holding in holdings.holdings()] == ["cohort"]
        with pytest.raises(NotFound, match="Did you mean 'cohort'"):
            holdings.holding("cohorts")


def test_an_identifier_keeps_its_zeros(hospital: Any, cohort: Holding) -> None:
    with hospital.engine._source(cohort) as source:
        table = source.table("cohort")
        assert source.fetch(table.select("id").order_by("id").limit(1))["id"].to_pylist() == ["000"]


@pytest.fixture
def client(hospital: Any) -> Iterator[TestClient[Litestar]]:
    published: list[DatasetDescription] = []
    caller = Caller(
        kind="person", id="https://hospital.example#stella", name="Stella", roles=frozenset({"steward"})
    )

    def known(app: Any) -> Any:
        async def middleware(scope: Any, receive: Any, send: Any) -> None:
            scope["caller"] = caller
            await app(scope, receive, send)

        return middleware

    app = Litestar(
        routes(hospital.holdings, hospital.desk, lambda description, by: published.append(description)),
        middleware=[known],
        exception_handlers=problem_handlers(),
    )
    with TestClient(app) as opened:
        opened.published = published  # type: ignore[attr-defined]
        yield opened


def test_the_routes(client: Any, hospital: Any, cohort: Holding, tmp_path: Path) -> None:
    shown = client.get("/api/holdings").json()
    assert [holding["id"] for holding in shown] == ["cohort"]
    assert "source" not in shown[0]
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT i FROM range(50) t(i)) TO '{tmp_path}/more.parquet'")
    body = {"id": "more", "source": str(tmp_path / "more.parquet"), "title": "More"}
    answer = client.post("/api/holdings", json=body)
    assert answer.status_code == 201
    assert answer.json()["dataset"] == "https://hospital.example/datasets/more"
    described = client.post(
        "/api/holdings/more/describe", json={"keywords": ["more"], "categories": ["PHDR"]}
    )
    assert described.status_code == 201
    assert described.json()["n_persons"] == 50
    assert [one.iri for one in client.published] == ["https://hospital.example/datasets/more"]
    assert client.post("/api/holdings/nothing/describe").status_code == 404
    assert client.post("/api/holdings", json={"id": "x"}).status_code == 422


def test_holdings_can_be_connected_within_one_transaction(hospital: Any, tmp_path: Path) -> None:
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT i FROM range(50) t(i)) TO '{tmp_path}/t.parquet'")
    holdings: Holdings
    with hospital.holdings() as holdings:
        holdings.connect("t", str(tmp_path / "t.parquet"), "stella")
        assert holdings.describe("t", "stella").n_records == 50
