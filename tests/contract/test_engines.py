"""The same questions on every engine: DuckDB's answers, whether rows lie on PostgreSQL, Spark or Trino.

One holder's rows lie on the engine that is tested, the other's are files, as holders of one study differ.
Every engine is reached by its address, and its rows through the permitted view, as a holder's are.
"""

from __future__ import annotations

import functools
import io
import json
import re
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import ibis
import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from salerno.analysis.methods import METHODS, method_of, most_rounds
from salerno.analysis.model import Released, Result, Scope, Sums
from salerno.analysis.service.local import compute
from salerno.holdings.engine.numbers import bind
from salerno.holdings.engine.opening import IbisEngine
from salerno.holdings.engine.reading import read_cohort, read_rows
from salerno.holdings.engine.sources import open_source
from salerno.holdings.model import NO_NUMBERS, EventDefinition, Holding, Numbers, Population, StudyFrame
from salerno.holdings.rules import columns_needed, split_rows
from salerno.holdings.service import OpenedFrame, Persons, Stage
from salerno.kernel.errors import Invalid, SalernoError, Unavailable
from salerno.kernel.values import from_plain
from salerno.nodes.demo_data import GIBLEED_FRAME, synthetic_omop
from salerno.permits.model import Condition, DataScope, OptOutList
from salerno.permits.rules import opt_out_list
from tests.peer.test_circe_golden import DATA, definition, phenotype_records
from tests.unit.analysis.methods.harness import OPEN
from tests.unit.holdings.test_circe import circe, circe_cdm

pytestmark = [pytest.mark.serial, pytest.mark.slow, pytest.mark.timeout(900)]

QUESTIONS: dict[str, list[dict[str, Any]]] = {
    "count": [{"by": ["sex", "holder"]}],
    "describe": [{"variables": ["age", "flag", "dose", "stage"], "by": "site"}],
    "crosstab": [{"rows": "sick", "columns": "site"}],
    "histogram": [{"variable": "lab", "bins": 10}],
    "quantiles": [{"variable": "lab", "probabilities": [0.05, 0.5, 0.95]}, {"variable": "time"}],
    "correlation": [{"variables": ["age", "lab", "flag"]}],
    "pca": [{"variables": ["age", "lab", "time"]}],
    "t_test": [{"variable": "lab", "by": "sex"}],
    "kaplan_meier": [
        {"time": "time", "event": "sick", "by": "site"},
        {"time": "lab", "event": "flag", "grid": 1},
    ],
    "log_rank": [{"time": "time", "event": "flag", "by": "sex"}],
    "competing_risks": [{"time": "time", "event": "stage", "causes": [1, 2], "by": "sex"}],
    "restricted_mean": [{"time": "lab", "event": "sick", "by": "sex", "horizon": 5}],
    "cox": [
        {"formula": "Surv(time, sick) ~ age + sex + flag"},
        {"formula": "Surv(lab, sick) ~ log(age) * sex", "strata": None},
        {
            "formula": "Surv(stage, time, sick) ~ age + flag + cluster(dose)",
            "strata": None,
            "weights": "lab",
            "proportional_hazards": "log",
            "predict": {"age": 60, "flag": True},
        },
        {"formula": "Surv(stage, lab, sick) ~ sex + offset(log(lab))", "id": "dose", "errors": "HC0"},
    ],
    "glm": [
        {"formula": "sick ~ age * sex + flag", "family": "binomial"},
        {"formula": "time ~ age + I(lab^2)", "family": "poisson", "weights": "lab", "offset": "log(lab)"},
        {"formula": "lab ~ ns(age, df = 3) + sqrt(time) + site", "errors": "HC1"},
        {"formula": "lab ~ age + cluster(stage)", "family": "gamma", "link": "log", "diagnostics": True},
    ],
    "boosting": [
        {"outcome": "sick", "variables": ["age", "time", "site", "flag"], "trees": 2, "test": "there"},
        {"outcome": "lab", "variables": ["age", "dose"], "family": "gaussian", "trees": 1},
    ],
    "kmeans": [{"variables": ["age", "lab", "time"], "clusters": 3, "iterations": 3}],
    "federated_learning": [
        {
            "app": "0" * 64,
            "variables": ["age", "lab", "sex", "flag"],
            "arrays": [{"name": "0", "shape": [3]}],
        }
    ],
    "evaluate": [
        {"outcome": "sick", "score": "lab", "scale": "score"},
        {"outcome": "flag", "score": "risk"},
    ],
    "lmm": [{"formula": "lab ~ age + sex + (1 + age | time)"}, {"formula": "lab ~ age + (1 | holder)"}],
    "meta": [{"question": {"method": "glm", "formula": "sick ~ age + flag", "family": "binomial"}}],
}
"""Questions by method; a method without one, here or below, fails."""

POPULATION = Population(
    study_start=date(2011, 4, 15),
    study_end=date(2016, 10, 20),
    age_groups=((0, 150), (18, 64)),
    prior_observation_days=30,
    outcomes={"bleed": EventDefinition(table="condition_era", concepts=(192671,))},
)

GALLERY = Path(__file__).parents[2] / "docs" / "gallery"
OMOP_QUESTIONS: dict[str, tuple[StudyFrame, dict[str, Any]]] = {
    "incidence": (StudyFrame(population=POPULATION), {"by": "sex", "interval": "quarters"}),
    "prevalence": (StudyFrame(population=POPULATION), {"interval": "years"}),
}
for _name in (
    "attrition",
    "characteristics",
    "cohort_overlap",
    "cohort_timing",
    "drug_utilisation",
    "large_scale_characteristics",
    "treatment_patterns",
):
    _example = json.loads((GALLERY / f"{_name}.json").read_text())
    _frame = from_plain(_example["frame"], StudyFrame, what=_name) if "frame" in _example else GIBLEED_FRAME
    OMOP_QUESTIONS[_name] = (replace(_frame, washout_days=0), _example["question"])
"""Frames and questions on OMOP data; those of the documentation's gallery where they will do."""

HOLDERS = {"did:web:here.example": "here", "did:web:there.example": "there"}


@pytest.mark.parametrize("name", list(METHODS))
def test_every_method_is_asked_here(name: str) -> None:
    assert (QUESTIONS | OMOP_QUESTIONS).get(name), f"add an example of {name!r} to QUESTIONS in {__file__}"


def rows(seed: int) -> pa.Table:
    """A holder's table, with what real ones have: gaps, signs in texts, and numbers that are none."""
    rng = np.random.default_rng(seed)
    n = 160
    age = rng.normal(60, 10, n)
    lab = rng.gamma(2.0, 3.0, n).round(1) + 0.1
    missing = np.arange(n) % 13 == 0
    lab[5], age[7] = np.nan, np.inf
    return pa.table(
        {
            "id": [f"{i:04d}" for i in range(n)],
            "age": pa.array(age, mask=missing),
            "lab": lab,
            "time": pa.array(rng.integers(1, 60, n)),
            "sick": pa.array((rng.random(n) < 0.5).astype("int32")),
            "flag": pa.array(rng.random(n) < 0.5, mask=np.arange(n) % 17 == 0),
            "sex": pa.array(rng.choice(["F", "M"], n), mask=missing),
            "site": rng.choice(["Tübingen", "L'Aquila", 'back\\slash "quoted"', "%_ 100"], n),
            "dose": pa.array([Decimal(int(i)) / 4 for i in rng.integers(0, 90, n)], pa.decimal128(10, 2)),
            "stage": pa.array(rng.integers(0, 3, n).astype("int16")),
            "huge": 1e15 + rng.integers(0, 100, n),
            "same": [1.5] * n,
            "seen": [date(2020, 1, 1) + timedelta(days=int(i)) for i in rng.integers(0, 900, n)],
            "risk": rng.uniform(0.2, 0.8, n),
        }
    )


def write(folder: Path, tables: Mapping[str, pa.Table]) -> str:
    folder.mkdir()
    for name, table in tables.items():
        pyarrow.parquet.write_table(table, folder / f"{name}.parquet")
    return str(folder)


def load_postgres(url: str, schema: str, tables: Mapping[str, pa.Table]) -> str:
    kinds = {"double": "double precision", "int64": "bigint", "int32": "int", "int16": "smallint"}
    kinds |= {
        "string": "text",
        "bool": "boolean",
        "date32[day]": "date",
        "decimal128(10, 2)": "numeric(10, 2)",
    }
    kinds |= {"timestamp[us]": "timestamp"}
    with psycopg.connect(url, autocommit=True) as own:
        own.execute(f"CREATE SCHEMA {schema}")
        for name, table in tables.items():
            columns = ", ".join(f'"{field.name}" {kinds[str(field.type)]}' for field in table.schema)
            own.execute(f'CREATE TABLE {schema}."{name}" ({columns})')
            text = io.BytesIO()
            pyarrow.csv.write_csv(table, text)
            with own.cursor().copy(f'COPY {schema}."{name}" FROM STDIN (FORMAT csv, HEADER)') as copy:
                copy.write(text.getvalue())
    return f"{url}?schema={schema}"


SPELT = {"inf": "Infinity", "nan": "NaN"}


def load_trino(url: str, schema: str, tables: Mapping[str, pa.Table]) -> str:
    import trino

    kinds = {"int64": "bigint", "int32": "integer", "int16": "smallint", "string": "varchar"}
    kinds |= {"bool": "boolean", "date32[day]": "date", "decimal128(10, 2)": "decimal(10, 2)"}
    kinds |= {"timestamp[us]": "timestamp(6)"}

    parts = urlsplit(url)
    with trino.dbapi.connect(host=parts.hostname, port=parts.port, user="tester", catalog="memory") as own:
        cursor = own.cursor()
        for wanted in (schema, "kept"):
            cursor.execute(f"CREATE SCHEMA IF NOT EXISTS memory.{wanted}").fetchall()
        for name, table in tables.items():
            typed = {f.name: kinds.get(str(f.type), "double") for f in table.schema}
            columns = ", ".join(f'"{column}" {kind}' for column, kind in typed.items())
            cursor.execute(f'CREATE TABLE memory.{schema}."{name}" ({columns})').fetchall()
            # As one text, since Trino takes its time to read thousands of numbers as such.
            cells = ", ".join(f"CAST(cell[{n}] AS {kind})" for n, kind in enumerate(typed.values(), 1))
            for start in range(0, table.num_rows, 5_000):
                part = table.slice(start, 5_000).to_pydict().values()
                text = json.dumps(
                    [[None if v is None else str(v) for v in row] for row in zip(*part, strict=True)]
                )
                text = re.sub('"(inf|nan)"', lambda found: f'"{SPELT[found[1]]}"', text).replace("'", "''")
                cursor.execute(
                    f'INSERT INTO memory.{schema}."{name}" SELECT {cells} FROM UNNEST(CAST('
                    f"json_parse('{text}') AS array(array(varchar)))) AS t(cell)"
                ).fetchall()
    return f"{url}/memory/{schema}?keep=memory.kept"


Load = Callable[[str, Mapping[str, pa.Table]], str]
"""Puts tables under a name on an engine and tells their address."""


@pytest.fixture(scope="session", params=["postgresql", "spark", "trino"])
def load(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, clusters: object) -> Load:
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url").removesuffix("postgres") + "engines"
        with psycopg.connect(request.getfixturevalue("postgres_url"), autocommit=True) as admin:
            admin.execute("CREATE DATABASE engines")
        return lambda name, tables: load_postgres(url, name, tables)
    if request.param == "trino":
        server = request.getfixturevalue("trino_server")
        return lambda name, tables: load_trino(server, name, tables)
    server = request.getfixturevalue("spark_server")
    place = tmp_path_factory.mktemp("spark [files]")
    return lambda name, tables: f"{server}?path={write(place / name, tables)}"


def holding(source: str) -> Holding:
    return Holding(
        id="h",
        dataset="urn:d",
        title="H",
        source=source,
        kind="tables",
        person_column="id",
        date_column="seen",
        connected_at=datetime.now(UTC),
    )


def left_out(*persons: str) -> OptOutList:
    return opt_out_list(persons, "0" * 32, datetime.now(UTC))


def opened(source: str, name: str, frame: StudyFrame | None = None, **changes: Any) -> OpenedFrame:
    columns = tuple(rows(0).column_names)
    scope = DataScope(dataset="urn:d", holder="did:web:h", country="FR", tables={"patients": columns})
    return IbisEngine().open(
        holding(source),
        frame or StudyFrame(),
        replace(scope, **changes),
        left_out=left_out(*(f"{i:04d}" for i in (3, 4, 158))),
        min_cell=1,
        holder_name=name,
    )


@dataclass
class Open:
    """A frame as the part of a holder that computes rounds sees it."""

    frame: OpenedFrame
    is_postgres: bool = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.frame, name)

    def run(
        self,
        build: Callable[[ibis.Table], ibis.Table],
        stages: Sequence[Stage] = (),
        numbers: Callable[[], Numbers] = lambda: NO_NUMBERS,
    ) -> pa.Table:
        with self.frame.staged(stages) as made:
            expression = build(made)
            self.frame.check(expression, made)
            return self.frame.compute(expression, numbers())


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Open]]:
    """Both holders' frames on DuckDB."""
    place = tmp_path_factory.mktemp("files")
    frames = [
        opened(write(place / name, {"patients": rows(seed)}), name)
        for seed, name in enumerate(HOLDERS.values())
    ]
    yield [Open(frame) for frame in frames]
    for frame in frames:
        frame.close()


@pytest.fixture(scope="session")
def here(load: Load) -> Iterator[Open]:
    """The first holder's frame on the engine that is tested."""
    source = load("here", {"patients": rows(0)})
    with closing(opened(source, "here")) as frame:
        yield Open(frame, source.startswith("postgres"))


def ask(question: Mapping[str, Any], views: Sequence[Any], scope: Scope) -> Result:
    method = method_of(question)
    state = method.start(question, scope)
    for _ in range(most_rounds(method, scope.policy)):
        total: Sums = {}
        for view, name in zip(views, HOLDERS.values(), strict=len(views) == len(HOLDERS)):
            sums = method.guard(compute(view, method, state, scope, name), state, scope)
            total = {key: total[key] + value if total else value for key, value in sums.items()}
        state = method.step(total, state)
        if isinstance(state, Result):
            return state
    raise AssertionError("no answer")


@dataclass
class Round:
    """What a round is on DuckDB.

    Args:
        state: What it is asked with.
        wanted: The first holder's sums.
        shape: What is asked of the engine, without its numbers.
    """

    state: Any
    wanted: Sums
    shape: str


@dataclass
class Recording:
    """A frame that notes what is asked of it."""

    open: Open
    asked: str = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.open, name)

    def run(
        self,
        build: Callable[[ibis.Table], ibis.Table],
        stages: Sequence[Stage] = (),
        numbers: Callable[[], Numbers] = lambda: NO_NUMBERS,
    ) -> pa.Table:
        def noted(table: ibis.Table) -> ibis.Table:
            expression = build(table)
            self.asked += str(ibis.to_sql(bind(expression, numbers()), dialect="duckdb"))
            return expression

        return self.open.run(noted, stages, numbers)


SCOPE_HOLDERS = {"holders": tuple(HOLDERS), "names": HOLDERS}


@pytest.fixture(scope="session")
def on_duckdb(files: list[Open]) -> Callable[[Mapping[str, Any]], list[Round]]:
    """All rounds of a question, computed once for all engines."""
    known: dict[str, list[Round]] = {}

    def rounds_of(question: Mapping[str, Any]) -> list[Round]:
        key = json.dumps(question)
        if key not in known:
            known[key] = list(_rounds(question, files))
        return known[key]

    return rounds_of


def _rounds(question: Mapping[str, Any], files: list[Open]) -> Iterator[Round]:
    scope = Scope(dictionary=files[0].dictionary, policy=OPEN, **SCOPE_HOLDERS)
    method = method_of(question)
    state = method.start(question, scope)
    for _ in range(most_rounds(method, scope.policy)):
        if hasattr(method, "train") and method.train(state) is not None:
            yield Round(state, {}, "an app's training")
            return
        here = Recording(files[0])
        wanted, others = (
            method.guard(compute(view, method, state, scope, name), state, scope)
            for view, name in ((here, "here"), (files[1], "there"))
        )
        yield Round(state, wanted, re.sub(r"\d+(\.\d+)?(e[-+]?\d+)?", "0", here.asked))
        state = method.step({name: sums + others[name] for name, sums in wanted.items()}, state)
        if isinstance(state, Result):
            assert state.n > 0
            return
    raise AssertionError("no answer")


CLUSTER_ROUNDS = 3
"""On a cluster a round takes a second, so only those are asked there that differ by more than numbers from
the ones before, and so many of them."""


@pytest.mark.parametrize(
    "question",
    [{"method": name, **question} for name, listed in QUESTIONS.items() for question in listed],
    ids=lambda q: f"{q['method']}-{q.get('formula', q.get('variable', ''))}",
)
def test_the_same_sums_as_on_duckdb(
    question: dict[str, Any],
    here: Open,
    files: list[Open],
    on_duckdb: Callable[[Mapping[str, Any]], list[Round]],
) -> None:
    """Round by round, so that a difference is told where it arises."""
    scope = Scope(dictionary=files[0].dictionary, policy=OPEN, **SCOPE_HOLDERS)
    method = method_of(question)
    rounds = on_duckdb(question)
    if not here.is_postgres:
        rounds = list({each.shape: each for each in reversed(rounds)}.values())[::-1][:CLUSTER_ROUNDS]
    for each in rounds:
        training = method.train(each.state) if hasattr(method, "train") else None
        if training is not None:
            # From here on an app computes; what it sees, and in which order, is the engine's part.
            seen, known = (
                split_rows(view.frame.rows(training.rows(view.frame.table)), 0.2) for view in (here, files[0])
            )
            assert seen[0].num_rows > 0
            assert [part.to_pydict() for part in seen] == [part.to_pydict() for part in known]
            return
        got = method.guard(compute(here, method, each.state, scope, "here"), each.state, scope)
        assert got.keys() == each.wanted.keys()
        for name, sums in each.wanted.items():
            if sums.dtype == np.int64:
                np.testing.assert_array_equal(got[name], sums, err_msg=name)
            else:
                scale = float(np.abs(sums).max(initial=1.0))
                np.testing.assert_allclose(got[name], sums, rtol=1e-9, atol=1e-11 * scale, err_msg=name)


def same(got: Any, wanted: Any) -> None:
    if isinstance(wanted, dict):
        assert got.keys() == wanted.keys()
        for key, value in wanted.items():
            same(got[key], value)
    elif isinstance(wanted, list):
        assert len(got) == len(wanted)
        for left, right in zip(got, wanted, strict=True):
            same(left, right)
    elif isinstance(wanted, float):
        assert got == pytest.approx(wanted, rel=1e-9, abs=1e-11, nan_ok=True)
    else:
        assert got == wanted


def test_not_a_number_is_missing(files: list[Open]) -> None:
    """Writers of Parquet leave it out of a column's smallest and largest value."""
    scope = Scope(dictionary=files[0].dictionary, policy=OPEN, **SCOPE_HOLDERS)
    n = sum(rows(seed).num_rows for seed in range(2))
    answer = ask({"method": "describe", "variables": ["lab"]}, files, scope)
    assert (answer.n, answer.n_missing) == (n - 6 - 2, 2)


def test_the_same_dictionary(here: Open, files: list[Open]) -> None:
    assert here.dictionary == files[0].dictionary
    assert here.n_persons == files[0].n_persons == 157
    assert "L'Aquila" in here.dictionary.variables["site"].levels


CONDITIONS = (
    Condition(column="site", operator="in", value=["L'Aquila", 'back\\slash "quoted"']),
    Condition(column="site", operator="!=", value="%_ 100"),
    Condition(column="dose", operator=">=", value=2.25),
    Condition(column="flag", operator="==", value=True),
    Condition(column="lab", operator=">", value=0.1),
    Condition(column="seen", operator=">", value="2020-03-01"),
)


def test_the_same_rows_are_permitted(load: Load, tmp_path: Path) -> None:
    """Conditions of the permit and the question, dates, opted-out persons; and sums of large numbers."""

    def sums(source: str) -> dict[str, Any]:
        frame = StudyFrame(where=CONDITIONS[2:])
        limits = {"rows": {"patients": CONDITIONS[:2]}, "covers_to": date(2022, 1, 1)}
        with closing(opened(source, "h", frame, **limits)) as ready:
            view = ready.table
            known = view.filter(view.lab.between(-1e300, 1e300))
            figures = {
                "n": view.count(),
                "huge": view.huge.sum(),
                "same": view.same.var(),
                "lab": known.lab.sum(),
            }
            row = ready.compute(
                known.aggregate(**{k: v for k, v in figures.items() if k != "n"})
            ).to_pylist()[0]
            return row | {"n": ready.n_persons, "names": list(ready.dictionary.variables)}

    tables = {"patients": rows(0)}
    wanted = sums(write(tmp_path / "wanted", tables))
    assert wanted["n"] > 15
    assert wanted["huge"] > 15e15
    same(sums(load("permitted", tables)), wanted)


def test_the_same_measures(load: Load, tmp_path: Path) -> None:
    tables = {"patients": rows(0), "visits": rows(1).slice(0, 50)}
    sources = [write(tmp_path / "wanted", tables), load("measured", tables)]
    wanted, got = (IbisEngine().measure(holding(source)) for source in sources)
    assert got == wanted


@pytest.fixture(scope="session")
def cdm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """OMOP data of 250 persons as Parquet."""
    return synthetic_omop(tmp_path_factory.mktemp("omop") / "cdm", 250, seed=5)


@pytest.fixture(scope="session")
def loaded_cdm(load: Load, cdm: Path) -> str:
    """The same data on the engine that is tested."""
    return load("cdm", {f.stem: pyarrow.parquet.read_table(f) for f in sorted(cdm.glob("*.parquet"))})


def test_the_same_frame_of_omop_data(cdm: Path, loaded_cdm: str) -> None:
    frame = replace(GIBLEED_FRAME, washout_days=0)
    without = ("SYN-5-1", "SYN-5-2", "SYN-5-3", "nobody")
    wanted, got = (
        sorted(map(repr, read_rows(source, frame, without=without).to_pylist()))
        for source in (str(cdm), loaded_cdm)
    )
    assert len(wanted) > 100
    assert got == wanted


def answer_on_omop_data(name: str, source: str) -> Result:
    frame, question = OMOP_QUESTIONS[name]
    permitted = {table: tuple(sorted(columns)) for table, columns in columns_needed(frame).items()}
    ready = IbisEngine().open(
        replace(holding(source), kind="omop"),
        frame,
        DataScope(dataset="urn:d", holder="did:web:h", country="FR", tables=permitted),
        left_out=left_out(),
        min_cell=1,
        holder_name="here",
    )
    scope = Scope(dictionary=ready.dictionary, policy=OPEN, holders=("did:web:here.example",), names=HOLDERS)
    with closing(ready):
        return ask({**question, "method": name}, [Open(ready)], scope)


@pytest.fixture(scope="session")
def answered(cdm: Path) -> Callable[[str], Result]:
    """DuckDB's answer to each question on OMOP data, computed once for all engines."""
    return functools.cache(lambda name: answer_on_omop_data(name, str(cdm)))


@pytest.mark.parametrize("name", list(OMOP_QUESTIONS))
def test_the_same_answer_on_omop_data(name: str, answered: Callable[[str], Result], loaded_cdm: str) -> None:
    wanted = answered(name)
    assert wanted.n > 0
    same(answer_on_omop_data(name, loaded_cdm).result, wanted.result)


@pytest.mark.parametrize("key", ["whole number", "text", "none"])
def test_the_same_sets_of_persons(key: str, load: Load, tmp_path: Path) -> None:
    """What the holder's ledger compares; persons have several rows, and some rows are the same."""
    once = rows(0)
    table = pa.concat_tables([once, once.slice(0, 40), rows(1).slice(30, 40)])
    if key == "whole number":
        table = table.set_column(0, "id", table["id"].cast("int64"))
    elif key == "none":
        table = table.drop_columns(["id"])
    tables = {"patients": table}
    name = f"sets_{key.split()[0]}"

    def tell(view: ibis.Table) -> tuple[ibis.Table, Sequence[Released]]:
        keys = (view.sex, view.site)
        return view, (
            Released(view.time > 20),
            Released(view.time > 20, keys=keys, sums=(view.time, view.huge)),
            Released((view.time > 20) & (view.stage < 2), keys=keys[:1], sums=(view.time,)),
            Released(ibis.literal(True)),
        )

    def told(source: str) -> list[Persons]:
        named = replace(holding(source), person_column="" if key == "none" else "id")
        scope = DataScope(
            dataset="urn:d", holder="h", country="FR", tables={"patients": tuple(table.column_names)}
        )
        how = {"left_out": left_out(), "min_cell": 1, "holder_name": "h"}
        with closing(IbisEngine().open(named, StudyFrame(), scope, **how)) as frame:
            return frame.persons(tell, b"0123456789abcdef", 2)

    wanted, got = told(write(tmp_path / name, tables)), told(load(name, tables))
    for (left, sums), (right, wanted_sums) in zip(got, wanted, strict=True):
        assert left.rows == right.rows
        assert len(left.persons) == len(right.persons)
        assert {cell: len(who) for cell, who in left.cells.items()} == {
            cell: len(who) for cell, who in right.cells.items()
        }
        if key == "whole number":  # others have numbers of the engine's own
            assert (left.persons, left.cells) == (right.persons, right.cells)
        for name in ("total", "top", "first", "second"):
            for mine, other in zip(sums, wanted_sums, strict=True):
                np.testing.assert_allclose(np.sort(getattr(mine, name)), np.sort(getattr(other, name)))
    (first, _), (_, _), (part, _), (everybody, _) = got
    assert part.persons < first.persons < everybody.persons
    assert len(everybody.persons) == (table.num_rows if key == "none" else once.num_rows)


def test_a_circe_cohort_has_the_same_rows(load: Load, tmp_path: Path) -> None:
    """Rows, and the rules that persons pass; also of a second cohort, without those who opted out."""
    made = circe_cdm(tmp_path / "cdm")
    source = load("circe", {f.stem: pyarrow.parquet.read_table(f) for f in sorted(made.glob("*.parquet"))})
    asked = {(): circe(), ("P3", "P4", "P6"): circe(StopReason={"Text": "ove", "Op": "contains"})}
    for without, sought in asked.items():
        event = EventDefinition(circe=sought)
        wanted, got = (
            [sorted(map(str, part.to_pylist())) for part in read_cohort(place, event, without=without)]
            for place in (str(made), source)
        )
        assert len(wanted[0]) == 16 - 2 * bool(without)
        assert got == wanted


def test_the_same_persons_enter_phenotypes_on_trino(trino_server: str, tmp_path: Path) -> None:
    """Of 100 persons, as a person's entries depend on that person's records alone; on the other engines the
    rows of 20,000 are the golden ones.
    """
    if not (DATA / "phenotypes").is_dir():
        pytest.skip("the folder ../shared/data/omop is not here")
    cohorts = ("1316", "218")
    tables = phenotype_records(tmp_path / "cdm.duckdb", 100, cohorts)
    places = write(tmp_path / "files", tables), load_trino(trino_server, "phenotypes", tables)
    for cohort in cohorts:
        wanted, got = (
            [sorted(map(str, part.to_pylist())) for part in read_cohort(place, definition(cohort))]
            for place in places
        )
        assert wanted[0]
        assert got == wanted


def test_nothing_but_the_named_schema_can_be_reached(load: Load) -> None:
    source = load("named", {"patients": rows(0)})
    load("unnamed", {"secrets": rows(1)})
    with open_source(source) as found:
        assert found.names == ("patients",)
        with pytest.raises(Invalid, match="missing-table"):
            found.table("secrets")


def test_a_master_can_be_named_instead_of_a_server(files: list[Open], tmp_path: Path) -> None:
    """The driver is this process's own; it stays until the process ends."""
    pytest.importorskip("pyspark")
    from tests.contract.clusters import needs_java

    needs_java()
    folder = write(tmp_path / "files", {"patients": rows(0)})
    source = f"spark+local[2]?path={folder}&spark.sql.shuffle.partitions=2"
    scope = Scope(dictionary=files[0].dictionary, policy=OPEN, **SCOPE_HOLDERS)
    question = {"method": "describe", **QUESTIONS["describe"][0]}
    with closing(opened(source, "here")) as frame:
        got = ask(question, [Open(frame), files[1]], scope)
        same(got.result, ask(question, files, scope).result)
    with pytest.raises(Invalid, match="a process can have one"):
        open_source(source.replace("[2]", "[1]"))


WRONG = {
    "sc://127.0.0.1:9/?schema=cdm": ("database-down", Unavailable),
    "sc://127.0.0.1:9/;token=hush?path=/data": ("database-down", Unavailable),
    "spark://127.0.0.1:9?schema=cdm": ("database-down", Unavailable),
    "sc://127.0.0.1:9/": ("source-parameter", Invalid),
    "spark+yarn?schema=cdm&path=/data": ("source-parameter", Invalid),
    "spark+yarn?shema=cdm": ("source-parameter", Invalid),
    "trino://me:hush@127.0.0.1:9/hive/cdm": ("database-down", Unavailable),
    "trino://127.0.0.1:9/hive": ("source-parameter", Invalid),
    "trino://127.0.0.1:9/hive/cdm?shema=x": ("source-parameter", Invalid),
    "trino://127.0.0.1:9/hive/cdm?keep=cdm": ("source-parameter", Invalid),
    "trino://127.0.0.1:9/hive/cdm?keep=hive.cdm": ("source-parameter", Invalid),
    "mysql://127.0.0.1/cdm": ("source-kind", Invalid),
}


@pytest.mark.parametrize("source", list(WRONG))
def test_what_is_said_of_an_address_that_leads_nowhere(source: str) -> None:
    pytest.importorskip("pyspark")
    pytest.importorskip("trino")
    code, branch = WRONG[source]
    with pytest.raises(SalernoError) as caught:
        open_source(source)
    assert caught.value.code == code
    assert isinstance(caught.value, branch)
    assert "hush" not in str(caught.value)


def test_what_the_clusters_say_when_a_name_is_wrong(spark_server: str, trino_server: str) -> None:
    load_trino(trino_server, "written", {"patients": rows(0).slice(0, 5)})
    said = {
        f"{spark_server}?path=/nowhere": "There is no folder '/nowhere'",
        f"{spark_server}?schema=defualt": "Did you mean 'default'",
        f"{trino_server}/memori/written": "Did you mean 'memory'",
        f"{trino_server}/memory/writen": "Did you mean 'written'",
        f"{trino_server}/memory/written?keep=memory.kpt": "Did you mean 'kept'",
    }
    for source, sentence in said.items():
        with pytest.raises(Invalid, match=sentence):
            open_source(source)


def test_tables_on_trino_go_with_their_source_or_at_the_next_start(trino_server: str) -> None:
    import trino

    source = load_trino(trino_server, "swept", {"patients": rows(0).slice(0, 5)})
    ended = subprocess.Popen(["true"])
    ended.wait()
    host, today = sha256(socket.gethostname().encode()).hexdigest()[:8], f"{datetime.now(UTC):%Y%m%d}"
    killed = f"salerno_{today}_{host}_{ended.pid}_5_{'0' * 24}"
    elsewhere = f"salerno_{today}_{'0' * 8}_{ended.pid}_5_{'0' * 24}"
    long_ago = f"salerno_20250101_{'0' * 8}_{ended.pid}_5_{'0' * 24}"
    parts = urlsplit(trino_server)
    with trino.dbapi.connect(host=parts.hostname, port=parts.port, user="tester") as own:

        def run(statement: str) -> list[Any]:
            return [row[0] for row in own.cursor().execute(statement).fetchall()]

        run("CREATE SCHEMA memory.swept_up")
        for name in (killed, elsewhere, long_ago, "others"):
            run(f"CREATE TABLE memory.swept_up.{name} AS SELECT 1 AS x")
        kept = "SHOW TABLES FROM memory.swept_up"
        address = source.replace("memory.kept", "memory.swept_up")
        with open_source(address) as opened:
            assert sorted(run(kept)) == ["others", elsewhere]
            many = opened.keep("many", ibis.memtable(pa.table({"key": list(range(12_000))})))
            assert opened.fetch(many.aggregate(n=many.key.sum()))["n"].to_pylist() == [71_994_000]
            made = set(run(kept)) - {"others", elsewhere}
            assert made
            open_source(address).close()
            assert made < set(run(kept))
        assert sorted(run(kept)) == ["others", elsewhere]


def test_trino_says_that_it_was_given_no_place_for_tables(trino_server: str, cdm: Path) -> None:
    tables = {f.stem: pyarrow.parquet.read_table(f).slice(0, 50) for f in sorted(cdm.glob("*.parquet"))}
    source = load_trino(trino_server, "placeless", tables).partition("?")[0]
    with pytest.raises(Unavailable, match="keep=catalog"):
        read_cohort(source, EventDefinition(circe=circe()))
    with pytest.raises(Unavailable, match="keep=catalog"):
        answer_on_omop_data("incidence", source)
