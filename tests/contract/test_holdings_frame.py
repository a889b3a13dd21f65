"""The study frame on DuckDB and on PostgreSQL: both equal a computation by pandas, person by person."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import psycopg
import pytest

from salerno.holdings.engine.opening import IbisEngine
from salerno.holdings.engine.reading import read_rows
from salerno.holdings.model import Covariate, EventDefinition, Holding, StudyFrame
from salerno.kernel.errors import Invalid, Refused, SalernoError, Unavailable
from salerno.nodes.demo_data import GIBLEED_FRAME, gibleed, person_identifiers, split_omop, synthetic_omop
from salerno.permits.model import Condition, DataScope, OptOutList
from salerno.permits.rules import opt_out_list
from salerno.standards.omop import EVENT_TABLES, FIELDS

SQL_TYPES = {
    "integer": "BIGINT",
    "float": "DOUBLE PRECISION",
    "date": "DATE",
    "datetime": "TIMESTAMP",
    "string": "TEXT",
}


def load_postgres(folder: Path, url: str) -> str:
    """Copy an OMOP folder into a schema of its own; returns the source's address."""
    with psycopg.connect(url, autocommit=True) as connection, duckdb.connect() as local:
        connection.execute("CREATE SCHEMA cdm")
        for file in sorted(folder.glob("*.parquet")):
            fields = FIELDS.get(file.stem)
            if fields is None:
                continue
            columns = [row[0] for row in local.execute(f"DESCRIBE SELECT * FROM '{file}'").fetchall()]
            columns = [column for column in columns if column in fields]
            defined = ", ".join(f"{column} {SQL_TYPES[fields[column]]}" for column in columns)
            connection.execute(f"CREATE TABLE cdm.{file.stem} ({defined})")
            text = io.StringIO()
            frame = local.execute(f"SELECT {', '.join(columns)} FROM '{file}'").df()
            for column in columns:
                if fields[column] == "integer":
                    frame[column] = frame[column].astype("Int64")
            frame.to_csv(text, index=False, header=False)
            with connection.cursor().copy(f"COPY cdm.{file.stem} FROM STDIN (FORMAT csv)") as copy:
                copy.write(text.getvalue())
    return f"{url}?schema=cdm"


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3,000 persons, with the irregular ones among them that real data have."""
    folder = synthetic_omop(tmp_path_factory.mktemp("synthetic"), 3000, seed=5)
    with duckdb.connect() as connection:
        person = f"{folder}/person.parquet"
        connection.execute(f"CREATE TABLE p AS SELECT * FROM '{person}'")
        connection.execute(
            "UPDATE p SET month_of_birth = NULL, day_of_birth = NULL WHERE person_id % 7 = 0;"
            "UPDATE p SET day_of_birth = NULL WHERE person_id % 11 = 0;"
            "UPDATE p SET gender_concept_id = 0 WHERE person_id % 13 = 0;"
            "UPDATE p SET person_source_value = CASE person_id % 2 WHEN 0 THEN NULL ELSE ' ' END "
            "WHERE person_id % 5 = 0;"
            "UPDATE p SET year_of_birth = NULL WHERE person_id = 21;"
        )
        connection.execute(f"COPY p TO '{person}' (FORMAT parquet)")
        periods = f"{folder}/observation_period.parquet"
        # Some have two periods that overlap, some none.
        connection.execute(
            f"CREATE TABLE o AS SELECT * FROM '{periods}' WHERE person_id % 17 <> 0 UNION ALL SELECT "
            "observation_period_id + 100000, person_id, observation_period_start_date - 100, "
            "observation_period_start_date + 500, period_type_concept_id "
            f"FROM '{periods}' WHERE person_id % 19 = 0"
        )
        connection.execute(f"COPY o TO '{periods}' (FORMAT parquet)")
    return folder


@pytest.fixture(scope="module")
def bleed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return gibleed(tmp_path_factory.mktemp("gibleed"))


@pytest.fixture(params=["duckdb", "postgresql"])
def engine_source(request: pytest.FixtureRequest) -> Callable[[Path], str]:
    """Turns a folder into a source of one engine."""

    def as_source(folder: Path) -> str:
        if request.param == "duckdb":
            return str(folder)
        return load_postgres(folder, request.getfixturevalue("postgres_database_url"))

    return as_source


def oracle(folder: Path, frame: StudyFrame, *, without: tuple[str, ...] = ()) -> pd.DataFrame:
    """The frame by pandas and plain loops, from the words of the model's documentation."""
    connection = duckdb.connect()

    def load(name: str) -> list[dict[str, Any]]:
        if not (folder / f"{name}.parquet").exists():
            return []
        rows = connection.execute(f"SELECT * FROM '{folder}/{name}.parquet'").fetch_arrow_table().to_pylist()
        return list(rows)

    tables = {
        name: load(name) for name in (*EVENT_TABLES, "person", "observation_period", "concept_ancestor")
    }

    def dates(definition: EventDefinition) -> dict[int, list[date]]:
        event = EVENT_TABLES[definition.table]
        wanted = set(definition.concepts)
        if definition.descendants:
            wanted |= {
                int(row["descendant_concept_id"])
                for row in tables["concept_ancestor"]
                if row["ancestor_concept_id"] in definition.concepts
            }
        found: dict[int, list[date]] = {}
        for row in tables[definition.table]:
            if row[event.start] is not None and (not event.concept or row[event.concept] in wanted):
                found.setdefault(row["person_id"], []).append(row[event.start])
        return found

    groups = {level: dates(definition) for level, definition in frame.groups.items()}
    outcomes = dates(frame.outcome) if frame.outcome else {}
    deaths = dates(EventDefinition(table="death"))
    covariates = {c.name: (dates(c.event), c.days_before) for c in frame.covariates}
    periods: dict[int, list[tuple[date, date]]] = {}
    for row in tables["observation_period"]:
        span = (row["observation_period_start_date"], row["observation_period_end_date"])
        periods.setdefault(row["person_id"], []).append(span)
    rows = []
    for person in tables["person"]:
        key = person["person_id"]
        if (person["person_source_value"] or "").strip() in without or str(key) in without:
            continue
        firsts = {level: min(found[key]) for level, found in groups.items() if key in found}
        if not firsts:
            continue
        index = min(firsts.values())
        starters = [level for level, day in firsts.items() if day == index]
        around = [span for span in periods.get(key, []) if span[0] <= index <= span[1]]
        if len(starters) > 1 or not around:
            continue
        if (index - min(span[0] for span in around)).days < frame.washout_days:
            continue
        had = outcomes.get(key, [])
        if not frame.allow_prior_outcome and any(day <= index for day in had):
            continue
        end = max(span[1] for span in around)
        if frame.follow_up_days is not None:
            end = min(end, index + timedelta(days=frame.follow_up_days))
        end = min([end, *deaths.get(key, [])])
        after = [day for day in had if index < day <= end]
        until = min(after) if after else end
        if (until - index).days < 1:
            continue
        born: date | None = None
        if person["year_of_birth"] is not None:
            month = person["month_of_birth"]
            day = person["day_of_birth"] or 15
            born = date(person["year_of_birth"], month or 7, day if month else 1)
        age = (
            None
            if born is None
            else index.year - born.year - ((index.month, index.day) < (born.month, born.day))
        )
        row = {
            "group": starters[0],
            "time": (until - index).days,
            "status": int(bool(after)),
            "age": age,
            "sex": {8532: "F", 8507: "M"}.get(person["gender_concept_id"], "U"),
            "index_year": index.year,
            "prior_observation": (index - min(span[0] for span in around)).days,
            "future_observation": (max(span[1] for span in around) - index).days,
        }
        for name, (seen, days_before) in covariates.items():
            row[name] = int(
                any(
                    day < index and (days_before is None or (index - day).days <= days_before)
                    for day in seen.get(key, [])
                )
            )
        rows.append(row)
    return pd.DataFrame(rows)


def same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    assert list(found.columns) == list(expected.columns)
    order = list(expected.columns)
    found, expected = (
        frame.astype({"age": "Float64"}).sort_values(order).reset_index(drop=True)
        for frame in (found, expected)
    )
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)


FRAMES = {
    "the demo's": GIBLEED_FRAME,
    "no end": replace(GIBLEED_FRAME, follow_up_days=None, washout_days=0, covariates=()),
    "prior outcome allowed": replace(GIBLEED_FRAME, allow_prior_outcome=True, follow_up_days=1000),
    "no outcome": replace(GIBLEED_FRAME, outcome=None),
    "death as outcome": replace(GIBLEED_FRAME, outcome=EventDefinition(table="death"), follow_up_days=None),
    "exposures, one group, recent covariates": StudyFrame(
        groups={"any": EventDefinition(table="drug_exposure", concepts=(1118084, 1124300))},
        outcome=EventDefinition(table="condition_era", concepts=(192671,)),
        covariates=(
            Covariate(
                name="ulcer",
                event=EventDefinition(table="condition_era", concepts=(4027663,)),
                days_before=90,
            ),
            Covariate(name="sinusitis", event=EventDefinition(table="condition_era", concepts=(40481087,))),
            Covariate(
                name="index_date", event=EventDefinition(table="visit_occurrence", concepts=(9202, 9201))
            ),
        ),
    ),
}


@pytest.mark.parametrize("name", list(FRAMES))
def test_the_frame_on_a_synthetic_population(
    synthetic: Path, name: str, engine_source: Callable[[Path], str]
) -> None:
    found = read_rows(engine_source(synthetic), FRAMES[name]).to_pandas()
    expected = oracle(synthetic, FRAMES[name])
    assert len(expected) > 800
    same(found, expected)


def test_the_frame_on_gibleed_with_descendants(bleed: Path, engine_source: Callable[[Path], str]) -> None:
    # 437312 is bleeding, with gastrointestinal haemorrhage below it; 4177703 is above peptic ulcer.
    frame = replace(
        GIBLEED_FRAME,
        outcome=EventDefinition(table="condition_occurrence", concepts=(437312,), descendants=True),
        covariates=(
            Covariate(
                name="ulcer",
                event=EventDefinition(table="condition_occurrence", concepts=(4177703,), descendants=True),
            ),
        ),
    )
    expected = oracle(bleed, frame)
    same(read_rows(engine_source(bleed), frame).to_pandas(), expected)
    assert len(expected) > 2000
    assert expected.status.sum() > 400
    assert 0.1 < expected.ulcer.mean() < 0.9


def test_persons_who_opted_out_are_gone_on_every_engine(
    synthetic: Path, engine_source: Callable[[Path], str]
) -> None:
    # Identifiers where the source has them, keys as text where it does not (persons 5, 10, 15 …).
    without = ("SYN-5-1", "SYN-5-2", "SYN-5-3", "SYN-5-4", "5", "10", "15", "20", "nobody")
    frame = replace(GIBLEED_FRAME, washout_days=0)
    found = read_rows(engine_source(synthetic), frame, without=without).to_pandas()
    expected = oracle(synthetic, frame, without=without)
    assert len(expected) < len(oracle(synthetic, frame))
    same(found, expected)


def left_out(*persons: str) -> OptOutList:
    return opt_out_list(persons, "0" * 32, datetime.now(UTC))


def holding(source: str) -> Holding:
    return Holding(
        id="cdm", dataset="urn:d", title="CDM", source=source, kind="omop", connected_at=datetime.now(UTC)
    )


def scope(**changes: Any) -> DataScope:
    from salerno.holdings.rules import columns_needed

    tables = {name: tuple(sorted(columns)) for name, columns in columns_needed(GIBLEED_FRAME).items()}
    return replace(DataScope(dataset="urn:d", holder="did:web:h", country="FR", tables=tables), **changes)


def aggregates(engine: IbisEngine, source: str, permitted: DataScope, *, without: Sequence[str] = ()) -> Any:
    opened = engine.open(
        holding(source),
        GIBLEED_FRAME,
        permitted,
        left_out=left_out(*without),
        min_cell=10,
        holder_name="H",
    )
    try:
        view = opened.table
        expression = view.group_by(["holder", "group", "sex"]).aggregate(
            n=view.count(), events=view.status.sum(), time=view.time.sum(), age=view.age.mean()
        )
        opened.check(expression)
        rows = opened.compute(expression).to_pylist()
        return opened.dictionary, opened.n_persons, sorted(rows, key=lambda r: (r["group"], r["sex"]))
    finally:
        opened.close()


def test_both_engines_give_the_same_view(synthetic: Path, postgres_database_url: str) -> None:
    engine = IbisEngine()
    sources = [str(synthetic), load_postgres(synthetic, postgres_database_url)]
    permitted = scope(
        rows={"person": (Condition(column="year_of_birth", operator=">=", value=1940),)},
        covers_from=date(2010, 1, 1),
        covers_to=date(2018, 12, 31),
    )
    without = [f"SYN-5-{n}" for n in range(1, 400)]
    results = [aggregates(engine, source, permitted, without=without) for source in sources]
    first, second = results
    assert first[0] == second[0]
    assert first[1] == second[1] > 500
    for a, b in zip(first[2], second[2], strict=True):
        assert {**a, "age": None} == {**b, "age": None}
        assert a["age"] == pytest.approx(b["age"], rel=1e-12)
    assert first[0].variables["group"].levels == ("celecoxib", "diclofenac")
    measured = [engine.measure(holding(source)) for source in sources]
    assert measured[0] == measured[1]
    assert measured[0].n_persons == 3000
    attrition = [engine.attrition(holding(source), GIBLEED_FRAME) for source in sources]
    assert attrition[0] == attrition[1]
    counts = [step.persons for step in attrition[0] if step.persons is not None]
    assert counts == sorted(counts, reverse=True)


def test_permitted_dates_bound_what_is_observed(synthetic: Path, tmp_path: Path) -> None:
    """A permit for some years gives what a source cut to these years gives."""
    first, last = date(2011, 1, 1), date(2014, 12, 31)
    cut = tmp_path / "cut"
    cut.mkdir()
    with duckdb.connect() as connection:
        for file in synthetic.glob("*.parquet"):
            event = EVENT_TABLES.get(file.stem)
            rows = f"SELECT * FROM '{file}'"
            if event:
                rows += f" WHERE {event.start} BETWEEN DATE '{first}' AND DATE '{last}'"
            if file.stem == "observation_period":
                begin, end = "observation_period_start_date", "observation_period_end_date"
                rows = (
                    f"SELECT * REPLACE (greatest({begin}, DATE '{first}') AS {begin}, "
                    f"least({end}, DATE '{last}') AS {end}) FROM '{file}' "
                    f"WHERE {begin} <= DATE '{last}' AND {end} >= DATE '{first}'"
                )
            connection.execute(f"COPY ({rows}) TO '{cut}/{file.name}'")
    engine = IbisEngine()
    whole = aggregates(engine, str(synthetic), scope(covers_from=first, covers_to=last))
    assert whole[1:] == aggregates(engine, str(cut), scope())[1:]
    assert whole[1] == len(oracle(cut, GIBLEED_FRAME))


def test_three_parts_make_the_whole(bleed: Path, tmp_path: Path) -> None:
    parts = split_omop(bleed, [tmp_path / str(n) for n in range(3)])
    frames = [read_rows(str(part), GIBLEED_FRAME).to_pandas() for part in parts]
    same(pd.concat(frames), read_rows(str(bleed), GIBLEED_FRAME).to_pandas())
    for frame in frames:
        assert frame.groupby("group").status.sum().min() >= 20
    again = split_omop(bleed, [tmp_path / f"again {n}" for n in range(3)])
    assert [person_identifiers(p, 3) for p in parts] == [person_identifiers(p, 3) for p in again]


def test_what_postgresql_says_when_it_cannot(postgres_database_url: str) -> None:
    url = postgres_database_url
    said = {
        f"{url}?schema=cdm": ("no-tables", Invalid),
        url.rsplit("/", 1)[0] + "/nowhere": ("no-such-database", Unavailable),
        url.replace("postgres@", "nobody:hush@"): ("database-log-in", Unavailable),
    }
    for source, (code, branch) in said.items():
        with pytest.raises(SalernoError) as caught:
            IbisEngine().check(holding(source))
        assert caught.value.code == code
        assert isinstance(caught.value, branch)
        assert "hush" not in str(caught.value)


@pytest.fixture
def table_url(postgres_database_url: str) -> str:
    with psycopg.connect(postgres_database_url, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE visits AS SELECT lpad(i::text, 4, '0') AS id, (i % 50)::numeric / 3 AS dose, "
            "(i % 4)::smallint AS stage, i % 2 = 0 AS ill, DATE '2020-01-01' + i AS seen, "
            "gen_random_uuid() AS record, '{}'::json AS more FROM generate_series(1, 300) i"
        )
    return postgres_database_url


def test_a_plain_table_in_postgresql(table_url: str) -> None:
    engine = IbisEngine()
    plain = replace(holding(table_url), kind="tables", person_column="id", date_column="seen")
    engine.check(plain)
    opened = engine.open(
        plain,
        StudyFrame(where=(Condition(column="ill", operator="==", value=True),)),
        scope(
            tables={"visits": ("id", "dose", "stage", "ill", "seen", "record", "more")},
            covers_to=date(2020, 7, 19),
        ),
        left_out=left_out("0002"),
        min_cell=10,
        holder_name="H",
    )
    try:
        assert list(opened.dictionary.variables) == ["dose", "stage", "ill", "seen", "record"]
        assert opened.dictionary.variables["stage"].levels == ("0", "2")
        assert opened.dictionary.variables["record"].levels == ()
        assert opened.n_persons == 99
        view = opened.table
        row = opened.compute(view.aggregate(dose=view.dose.sum(), stage=view.stage.sum())).to_pylist()[0]
        days = [i for i in range(4, 201, 2)]
        assert row["dose"] == pytest.approx(sum(i % 50 / 3 for i in days))
        assert row["stage"] == sum(i % 4 for i in days)
    finally:
        opened.close()
    with pytest.raises(Refused, match="permit-dates"):
        engine.open(
            replace(plain, date_column=""),
            StudyFrame(),
            scope(tables={"visits": ("dose",)}, covers_to=date(2021, 1, 1)),
            left_out=left_out(),
            min_cell=10,
            holder_name="H",
        )
