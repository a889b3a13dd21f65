"""Where data lie: each kind of source, its quirks, and what is said of a broken one."""

from __future__ import annotations

import csv
import gzip
import os
from pathlib import Path
from typing import Any

import duckdb
import pytest

from salerno.holdings.engine.omop_tables import check_types, omop_table, open_omop
from salerno.holdings.engine.source import EngineLimits
from salerno.holdings.engine.sources import open_source
from salerno.kernel.errors import Invalid, SalernoError, Unavailable

EXACTNESS = Path(__file__).parents[4] / "shared" / "data" / "exactness"


def read(
    folder: Path, text: str | bytes, name: str = "t.csv", **options: Any
) -> tuple[dict[str, str], list[Any]]:
    """Types by column and rows of a CSV file."""
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with open_source(str(file), **options) as source:
        table = source.table(source.names[0])
        kinds = {column: str(table[column].type()) for column in table.columns}
        return kinds, [tuple(row.values()) for row in source.fetch(table).to_pylist()]


def test_quoted_numbers_are_numbers_and_na_is_missing(tmp_path: Path) -> None:
    kinds, rows = read(tmp_path, '"a","b","c"\n"0",NA,"x, y"\n"1",2.5,\n')
    assert kinds == {"a": "int64", "b": "float64", "c": "string"}
    assert rows == [(0, None, "x, y"), (1, 2.5, None)]


def test_a_type_is_that_of_all_rows(tmp_path: Path) -> None:
    text = "a,b\n" + "1,1\n" * 50_000 + "1.5,x\n"
    kinds, rows = read(tmp_path, text)
    assert kinds == {"a": "float64", "b": "string"}
    assert len(rows) == 50_001


@pytest.mark.parametrize(
    "text",
    [
        "a;b\n1;2,5\n3;-4,25\n",
        "a;b\n1;2.5\n3;-4.25\n",
        "a\tb\r\n1\t2.5\r\n3\t-4.25\r\n",
        "\ufeffa|b\n1|2.5\n3|-4.25",
    ],
)
def test_the_dialects_of_europe(tmp_path: Path, text: str) -> None:
    kinds, rows = read(tmp_path, text)
    assert kinds == {"a": "int64", "b": "float64"}
    assert rows == [(1, 2.5), (3, -4.25)]


def test_dates_booleans_and_compressed_files(tmp_path: Path) -> None:
    packed = gzip.compress(b"day,yes,at\n2020-02-29,true,2020-02-29 12:00:00\n")
    kinds, rows = read(tmp_path, packed, "t.csv.gz")
    assert kinds["day"] == "date"
    assert kinds["yes"] == "boolean"
    assert kinds["at"].startswith("timestamp")
    assert len(rows) == 1


BROKEN = [
    ("a,b,c\n1,2,3\nSECRET,5\n", r"t\.csv, line 3: the header has 3 columns, this line has 2"),
    ("a,b,c\n1,2,3\n4,5,SECRET,7\n", r"t\.csv, line 3: the header has 3 columns, this line has 4"),
    ('a,b\n1,"SECRET\n2,y\n', r"t\.csv, line 2: a quoted field is not closed"),
    (b"a,b\n1,SECRET\xe9\n", r"t\.csv, line 2: the text is not UTF-8"),
    (b"caf\xe9,b\n1,2\n", r"t\.csv, line 1: the text is not UTF-8"),
    ("a,A\n1,2\n", r"t\.csv, line 1: the header names a column twice: 'a'"),
    ("", r"t\.csv has no header line"),
    ("\n\n", r"t\.csv has no header line"),
]


@pytest.mark.parametrize(("text", "said"), BROKEN)
@pytest.mark.parametrize("cached", [False, True])
def test_a_broken_file_is_named_with_its_line_and_without_its_values(
    tmp_path: Path, text: str | bytes, said: str, cached: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("salerno.holdings.engine.sources.SMALL_CSV_BYTES", -1)
    limits = EngineLimits(cache_folder=tmp_path / "cache") if cached else EngineLimits()
    with pytest.raises(Invalid, match=said) as caught:
        read(tmp_path, text, limits=limits)
    assert "SECRET" not in str(caught.value)
    assert not list((tmp_path / "cache").glob("*.parquet*"))


def test_a_wrong_type_is_named_with_its_line_and_without_its_value(tmp_path: Path) -> None:
    with pytest.raises(
        Invalid, match=r"t\.csv, line 3: a value of column 'a' is not a whole number"
    ) as caught:
        read(tmp_path, "a,b\n1,2\nSECRET,3\n", types=lambda table: {"a": "BIGINT"})
    assert "SECRET" not in str(caught.value)


def test_a_large_file_is_copied_once_for_this_node_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("salerno.holdings.engine.sources.SMALL_CSV_BYTES", -1)
    cache = tmp_path / "cache"
    limits = EngineLimits(cache_folder=cache)
    assert read(tmp_path, "a\n1\n", limits=limits)[1] == [(1,)]
    (copy,) = cache.glob("*.parquet")
    assert os.stat(cache).st_mode & 0o777 == 0o700
    assert os.stat(copy).st_mode & 0o777 == 0o600
    made = copy.stat().st_mtime_ns
    with open_source(str(tmp_path / "t.csv"), limits) as source:
        source.table("t")
    assert copy.stat().st_mtime_ns == made
    assert read(tmp_path, "a\n1\n2\n", limits=limits)[1] == [(1,), (2,)]
    assert len(list(cache.glob("*.parquet"))) == 1  # the copy of the earlier state is gone
    assert not list(cache.glob("spill-*"))


def test_what_a_killed_process_spilled_is_removed(tmp_path: Path) -> None:
    left = tmp_path / "spill-4194305-abc"  # above the largest process number of Linux
    left.mkdir()
    read(tmp_path, "a\n1\n", limits=EngineLimits(cache_folder=tmp_path))
    assert not left.exists()


def test_a_folder_holds_a_table_per_file_and_per_folder_of_parts(tmp_path: Path) -> None:
    (tmp_path / "Two.csv").write_text("x\n1\n")
    (tmp_path / "_notes.csv").write_text("not,a\ntable")
    (tmp_path / "readme.txt").write_text("no table")
    parts = tmp_path / "one"
    parts.mkdir()
    with duckdb.connect() as connection:
        for number in range(3):
            connection.execute(f"COPY (SELECT {number} AS x) TO '{parts}/{number}.parquet'")
    with open_source(str(tmp_path)) as source:
        assert source.names == ("Two", "one")
        assert sorted(source.fetch(source.table("one"))["x"].to_pylist()) == [0, 1, 2]
    with open_source(str(tmp_path), lower=True) as source, pytest.raises(Invalid, match="Did you mean 'two'"):
        source.table("tow")


@pytest.mark.parametrize("name", ["a'; DROP TABLE x; --", 'a"b', "a[1]*?", "ünï cöde", "select", "a.b-c d"])
def test_names_of_files_and_columns_are_never_code(tmp_path: Path, name: str) -> None:
    with (tmp_path / f"{name}.csv").open("w") as file:
        csv.writer(file).writerows([[name, "other"], [1, 2]])
    folder = tmp_path / f"x {name}"
    folder.mkdir()
    column = '"' + name.replace('"', '""') + '"'
    with duckdb.connect() as connection:
        target = str(folder / f"{name}.parquet").replace("'", "''")
        connection.execute(f"COPY (SELECT 7 AS {column}) TO '{target}'")
    for place, value in ((tmp_path, 1), (folder, 7)):
        with open_source(str(place)) as source:
            assert name in source.names
            table = source.table(name)
            shown = source.show("view", table.select(name))
            kept = source.keep("kept", shown)
            assert source.fetch(kept.aggregate(s=kept[name].sum())).to_pylist() == [{"s": value}]


def test_a_duckdb_file_is_read_and_not_changed(tmp_path: Path) -> None:
    file = tmp_path / "d.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute("CREATE TABLE T AS SELECT 1 AS x")
        connection.execute("CREATE SCHEMA s")
        connection.execute("CREATE VIEW s.v AS SELECT 2 AS y")
    before = file.read_bytes()
    with open_source(str(file)) as source:
        assert source.names == ("T", "v")
        assert source.fetch(source.keep("k", source.table("v")))["y"].to_pylist() == [2]
    assert file.read_bytes() == before


def test_sources_that_cannot_be_used_say_why(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.parquet").write_text("no parquet")
    (tmp_path / "x.duckdb").write_text("no duckdb" * 1000)
    (tmp_path / "x.xlsx").write_text("")
    with duckdb.connect(str(tmp_path / "none.duckdb")):
        pass
    twice = tmp_path / "twice"
    twice.mkdir()
    for name in ("t.csv", "t.tsv"):
        (twice / name).write_text("a\n1\n")
    said = {
        "nowhere": "no-such-source",
        "empty": "no-tables",
        "x.parquet": "broken-parquet",
        "x.duckdb": "broken-duckdb",
        "x.xlsx": "no-tables",
        "none.duckdb": "no-tables",
        "twice": "table-twice",
    }
    for name, code in said.items():
        with pytest.raises(SalernoError) as caught, open_source(str(tmp_path / name)) as source:
            source.tables()
        assert caught.value.code == code
        assert caught.value.remedy
    with pytest.raises(Invalid, match="source-kind"):
        open_source("mysql://host/db")


def test_a_database_that_is_down_is_named_without_its_password() -> None:
    with pytest.raises(
        Unavailable, match=r"database-down: No PostgreSQL server answers at 127\.0\.0\.1:9"
    ) as caught:
        open_source("postgresql://anna:hush@127.0.0.1:9/cdm")
    assert "hush" not in str(caught.value)


def test_the_engine_reads_nothing_but_its_source(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    (tmp_path / "t.parquet").parent.mkdir(exist_ok=True)
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT 1 AS x) TO '{tmp_path}/t.parquet'")
    with open_source(str(tmp_path / "t.parquet")) as source:
        for sql in (
            f"SELECT * FROM read_csv('{tmp_path}/secret.csv')",
            f"COPY (SELECT 1) TO '{tmp_path}/out.csv'",
            "SET enable_external_access = true",
            "INSTALL httpfs",
        ):
            with pytest.raises(duckdb.Error):
                source.backend.con.execute(sql)
        assert source.fetch(source.table("t")).num_rows == 1


def test_datashield_sample_data_have_the_types_of_r() -> None:
    if not EXACTNESS.exists():
        pytest.skip(f"{EXACTNESS} is missing")
    with open_source(str(EXACTNESS / "CNSIM1.csv")) as source:
        table = source.table("CNSIM1")
        kinds = {column: str(table[column].type()) for column in table.columns}
        assert set(kinds.values()) == {"float64", "int64"}
        assert kinds["DIS_DIAB"] == kinds["GENDER"] == kinds["PM_BMI_CATEGORICAL"] == "int64"
        missing = table.LAB_TSC.isnull().sum()
        assert source.fetch(table.aggregate(n=table.count(), missing=missing)).to_pylist() == [
            {"n": 2163, "missing": 356}
        ]


# OMOP


def omop(folder: Path, **tables: str) -> Path:
    """A small OMOP folder; each argument is a SELECT, or the text of a CSV file."""
    folder.mkdir(exist_ok=True)
    given = {
        "person": "SELECT 1 AS person_id, 8532 AS gender_concept_id, 1960 AS year_of_birth",
        "observation_period": "SELECT 1 AS person_id, DATE '2000-01-01' AS observation_period_start_date, "
        "DATE '2020-01-01' AS observation_period_end_date",
    } | tables
    with duckdb.connect() as connection:
        for name, content in given.items():
            if content.startswith("SELECT"):
                connection.execute(f"COPY ({content}) TO '{folder}/{name}.parquet'")
            elif content:
                (folder / f"{name}.csv").write_text(content)
    return folder


def test_omop_columns_get_the_standard_s_names_and_types(tmp_path: Path) -> None:
    death = (
        "SELECT 1.0::DOUBLE AS PERSON_ID, TIMESTAMP '2010-05-06 00:00:00' AS Death_Date, 'x' AS own_column"
    )
    folder = omop(
        tmp_path / "cdm", DEATH=death, drug_era="PERSON_ID,DRUG_CONCEPT_ID,DRUG_ERA_START_DATE\n1,2,\n"
    )
    with open_omop(str(folder)) as source:
        table = omop_table(source, "death")
        assert {c: str(table[c].type()) for c in table.columns} == {
            "person_id": "int64",
            "death_date": "date",
        }
        assert str(source.fetch(table)["death_date"][0]) == "2010-05-06"
        eras = omop_table(source, "drug_era")
        assert str(eras.drug_era_start_date.type()) == "date"


def test_a_table_that_holds_but_its_header_is_empty(tmp_path: Path) -> None:
    named = "SELECT 'PERSON_ID' AS person_id, 'death_date' AS death_date"
    generic = "SELECT 'PERSON_ID' AS column0, 'DRUG_CONCEPT_ID' AS column1, 'DRUG_ERA_START_DATE' AS column2"
    folder = omop(tmp_path / "cdm", death=named, drug_era=generic)
    with open_omop(str(folder)) as source:
        assert source.fetch(omop_table(source, "death")).num_rows == 0
        eras = omop_table(source, "drug_era")
        assert eras.columns == ("person_id", "drug_concept_id", "drug_era_start_date")
        assert source.fetch(eras).num_rows == 0


BAD_TABLES = [
    ({"observation_period": ""}, "missing-table", "observation_period"),
    ({"death": "SELECT 1 AS person_id, 1 AS deathdate"}, "missing-column", "Did you mean 'deathdate'"),
    ({"death": "SELECT 1 AS person_id, true AS death_date"}, "wrong-type", "'death_date'.*should be date"),
    (
        {"death": "SELECT 1 AS person_id, 'SECRET' AS death_date"},
        "wrong-type",
        "'death_date'.* 1 of its values",
    ),
    ({"death": "person_id,death_date\n1,SECRET\n"}, "broken-csv", r"death\.csv, line 2.*'death_date'.*date"),
    ({"death": "SELECT 'SECRET' AS person_id, DATE '2000-01-01' AS death_date"}, "wrong-type", "'person_id'"),
    ({"person": "SELECT 1 AS person_id, 8532 AS gender_concept_id"}, "missing-column", "'year_of_birth'"),
]


@pytest.mark.parametrize(("tables", "code", "said"), BAD_TABLES)
def test_bad_omop_tables_are_told_at_connection(
    tmp_path: Path, tables: dict[str, str], code: str, said: str
) -> None:
    folder = omop(tmp_path / "cdm", **tables)

    def connect() -> None:
        with open_omop(str(folder)) as source:
            for name in source.names:
                check_types(source, name)

    with pytest.raises(Invalid, match=said) as caught:
        connect()
    assert caught.value.code == code
    assert "SECRET" not in str(caught.value)


def test_vocabulary_files_of_athena_know_no_quotes(tmp_path: Path) -> None:
    header = (
        "ancestor_concept_id\tdescendant_concept_id\tmin_levels_of_separation\tmax_levels_of_separation\n"
    )
    concept = 'concept_id\tconcept_name\tvalid_start_date\n1\tOpioid 5" plaster\t19700101\n'
    folder = omop(tmp_path / "cdm", concept_ancestor=header + "1\t2\t1\t1\n", concept=concept)
    with open_omop(str(folder)) as source:
        assert source.fetch(source.table("concept_ancestor")).num_rows == 1
        assert source.fetch(source.table("concept"))["concept_name"].to_pylist() == ['Opioid 5" plaster']
