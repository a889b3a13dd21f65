"""What opt-outs cost a holder: a million of them against ten million persons; by default a hundredth of it.

Half of those who opted out are persons of this holder. Timed are the access body's making of the list, once
per permit; what the holder does with it before it has it on disk, once too; and how much longer a view takes
to open with it than without.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any

import duckdb
from sqlalchemy import insert

from salerno.adapters.database import Database
from salerno.adapters.vault import Vault
from salerno.holdings.engine.opening import IbisEngine
from salerno.holdings.engine.source import EngineLimits
from salerno.holdings.model import Holding, StudyFrame
from salerno.kernel.time import to_text
from salerno.kernel.values import from_json, from_plain, to_json
from salerno.permits.model import DataScope, OptOutList
from salerno.permits.rules import opt_out_list
from salerno.permits.store import SqlPermitStore, metadata

NOW = datetime(2031, 1, 1, tzinfo=UTC)
GOAL_SECONDS = 5.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--persons", type=int, default=100_000)
    parser.add_argument("--full", action="store_true", help="ten million persons")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    persons = 10_000_000 if given.full else given.persons
    with tempfile.TemporaryDirectory(prefix="salerno-bench-") as place:
        run(Path(place), persons, given.repeats)


def run(place: Path, persons: int, repeats: int) -> None:
    database = register(place, persons // 10)

    def made() -> OptOutList:
        with database.transaction() as connection:
            return opt_out_list(SqlPermitStore(connection).opted_out(NOW), token_hex(16), NOW)

    listed = told("the access body makes the list", made)
    sent = to_json(listed)

    def kept() -> None:
        read = from_plain(from_json(sent, object, what="the answer"), OptOutList, what="the list")
        vault = Vault(place / "permits", place / "keys")
        vault.write("p", "list", to_json(read), until=NOW)
        assert vault.read("p", "list") is not None

    told(f"the holder reads and keeps {len(sent) / 1e6:.1f} MB", kept)
    source = people(place, persons)
    nobody = replace(listed, tokens=b"")
    without, counted = opening(source, nobody, repeats)
    with_list, left = opening(source, listed, repeats)
    assert counted - left == persons // 20, (counted, left)
    added = with_list[0] - without[0]
    print(
        f"a view opens in {without[0]:.2f} s without and {with_list[0]:.2f} s with them: {added:.2f} s added"
    )
    print(f"processor time: {with_list[1] - without[1]:.2f} s added, on {os.cpu_count()} cores")
    print(f"ratio of the goal's {GOAL_SECONDS:.0f} s for 10,000,000 persons: {added / GOAL_SECONDS:.2f}")


def register(place: Path, opted_out: int) -> Database:
    """An access body's register: half of its persons are of the holder."""
    database = Database(f"sqlite:///{place / 'body.db'}")
    metadata.create_all(database.engine)
    since = to_text(NOW - timedelta(days=1))
    rows = [
        {"id": f"o-{n}", "person": person(n), "since": since, "until": "", "receipt": n}
        for n in range(opted_out)
    ]
    with database.transaction() as connection:
        connection.execute(insert(metadata.tables["permits_opt_out"]), rows)
    return database


def person(number: int) -> str:
    return f"{number * 10:012d}" if number % 2 else f"elsewhere {number}"


def people(place: Path, persons: int) -> str:
    path = place / "people.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT printf('%012d', range) AS id, (range * 7919) % 90 AS age"
            f" FROM range({persons})) TO '{path}'"
        )
    return str(path)


def opening(source: str, listed: OptOutList, repeats: int) -> tuple[tuple[float, float], int]:
    """Median wall and processor seconds to open a view and take a sum over it; and its persons."""
    holding = Holding(
        id="h", dataset="d", title="H", source=source, kind="tables", person_column="id", connected_at=NOW
    )
    scope = DataScope(dataset="d", holder="h", country="FR", tables={"people": ("age",)})
    engine = IbisEngine(EngineLimits())
    walls, processors = [], []
    for _ in range(repeats):
        wall, processor = time.perf_counter(), time.process_time()
        frame = engine.open(holding, StudyFrame(), scope, left_out=listed, min_cell=10, holder_name="H")
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
        persons = frame.n_persons
        frame.close()
    return (statistics.median(walls), statistics.median(processors)), persons


def told(name: str, act: Callable[[], Any]) -> Any:
    began = time.perf_counter()
    result = act()
    print(f"{name}: {time.perf_counter() - began:.2f} s")
    return result


if __name__ == "__main__":
    main()
