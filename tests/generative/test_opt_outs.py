"""The list that a holder gets, and whom its engine leaves out, against the law said in one line."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salerno.adapters.database import Database
from salerno.holdings.engine.persons import left_out_keys
from salerno.holdings.engine.source import EngineLimits, Source
from salerno.holdings.engine.sources import open_source
from salerno.kernel.codes import Purpose
from salerno.permits.model import OptOut
from salerno.permits.rules import binds, covers, opt_out_list, parse_levels
from salerno.permits.store import SqlPermitStore, metadata

LEVELS = parse_levels("""
[research]
title = "Research"
purposes = ["research"]
[genomes]
title = "Genomes"
categories = ["HGPD"]
""")
START = datetime(2031, 1, 1, tzinfo=UTC)
PERSONS = [(1, "0001"), (2, "é-2"), (3, ""), (4, None), (5, "0001"), (6, "x" * 80), (7, "7"), (8, " 8")]
"""Keys with identifiers; without one, the key counts."""

moments = st.integers(0, 6).map(lambda hours: START + timedelta(hours=hours))
periods = st.builds(
    lambda name, level, since, hours: OptOut(
        person=name, level=level, since=since, until=since + timedelta(hours=hours) if hours else None
    ),
    st.sampled_from(["0001", "é-2", "3", "4", "x" * 80, "7", " 8", "8", "elsewhere"]),
    st.sampled_from(["", "research", "genomes", "given up"]),
    moments,
    st.integers(0, 3),
)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Source]:
    path = Path(tmp_path_factory.mktemp("data")) / "people.parquet"
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE people (key BIGINT, id VARCHAR)")
        connection.executemany("INSERT INTO people VALUES (?, ?)", PERSONS)
        connection.execute(f"COPY people TO '{path}'")
    with open_source(str(path), EngineLimits()) as opened:
        yield opened


@settings(max_examples=60, deadline=None)
@given(
    given_periods=st.lists(periods, max_size=12, unique_by=lambda o: (o.person, o.level)),
    approved_at=moments,
    purpose=st.sampled_from([Purpose.RESEARCH, Purpose.STATISTICS]),
    categories=st.sampled_from([(), ("EHRS",), ("EHRS", "HGPD")]),
)
def test_the_engine_leaves_out_whom_the_law_leaves_out(
    source: Source,
    given_periods: list[OptOut],
    approved_at: datetime,
    purpose: Purpose,
    categories: tuple[str, ...],
) -> None:
    database = Database("sqlite://")
    metadata.create_all(database.engine)
    with database.transaction() as connection:
        store = SqlPermitStore(connection)
        for number, period in enumerate(given_periods):
            store.add_opt_out(f"o-{number}", OptOut(**{**_fields(period), "receipt": number}))
        free = [level.name for level in LEVELS if not covers(level, purpose, categories)]
        listed = opt_out_list(
            store.opted_out(approved_at, except_levels=free), f"{len(given_periods):032x}", approved_at
        )
    by_name = {level.name: level for level in LEVELS}
    out = {
        o.person
        for o in given_periods
        if binds(o, approved_at) and (o.level not in by_name or covers(by_name[o.level], purpose, categories))
    }
    assert len(listed) == len(out)
    keys = left_out_keys(source, source.table("people"), "key", "id", listed)
    found = set() if keys is None else set(source.fetch(keys).column(0).to_pylist())
    source.drop("opt_out_list")
    assert found == {key for key, name in PERSONS if (name if name and name.strip() else str(key)) in out}


def _fields(period: OptOut) -> dict[str, object]:
    return {name: getattr(period, name) for name in ("person", "level", "since", "until")}
