"""The queue of leased jobs, on every database: once asked, done once, whatever dies in between."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from salerno.adapters import jobs
from salerno.adapters.clock import FixedClock, SystemClock
from salerno.adapters.database import Database
from salerno.kernel.errors import Conflict, Unavailable

CLOCK = SystemClock()


@pytest.fixture
def database(database: Database) -> Database:
    with database.transaction() as connection:
        jobs.metadata.create_all(connection)
    return database


def put(
    database: Database, key: str, *, clock: Any = CLOCK, delay_seconds: float = 0, **payload: Any
) -> bool:
    with database.transaction() as connection:
        return jobs.enqueue(connection, "greet", payload, key=key, clock=clock, delay_seconds=delay_seconds)


def find(database: Database, key: str) -> jobs.Job:
    with database.reading() as connection:
        job = jobs.find(connection, key)
    assert job is not None
    return job


def wait_until(true: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def test_a_job_runs_at_once_and_once(database: Database) -> None:
    done: list[dict[str, Any]] = []
    worker = jobs.Worker(database, {"greet": done.append}, CLOCK)
    worker.start()
    try:
        time.sleep(0.2)  # the threads sleep now; only the commit wakes them
        start = time.monotonic()
        assert put(database, "k", name="x")
        assert not put(database, "k", name="y")
        wait_until(lambda: find(database, "k").state == "done")
        assert time.monotonic() - start < 0.9
        assert not put(database, "k", name="z")
        time.sleep(0.1)
    finally:
        worker.stop()
    assert done == [{"name": "x"}]


def test_a_job_of_a_rolled_back_act_does_not_exist(database: Database) -> None:
    def act() -> None:
        with database.transaction() as connection:
            jobs.enqueue(connection, "greet", {}, key="k", clock=CLOCK)
            raise Conflict("x", "no")

    with pytest.raises(Conflict):
        act()
    with database.reading() as connection:
        assert jobs.find(connection, "k") is None


def test_workers_share_many_jobs_and_run_each_once(database: Database) -> None:
    done: list[int] = []
    lock = threading.Lock()

    def greet(payload: dict[str, Any]) -> None:
        with lock:
            done.append(payload["n"])

    workers = [jobs.Worker(database, {"greet": greet}, CLOCK, threads=2) for _ in range(3)]
    for worker in workers:
        worker.start()
    for n in range(60):
        put(database, f"k{n}", n=n)
    wait_until(lambda: len(done) >= 60)
    for worker in workers:
        worker.stop()
    assert sorted(done) == list(range(60))


def test_what_cannot_be_reached_is_tried_again_with_growing_waits(database: Database) -> None:
    clock = FixedClock(datetime(2031, 1, 1, tzinfo=UTC))
    calls: list[int] = []

    def greet(_: dict[str, Any]) -> None:
        calls.append(1)
        raise Unavailable("peer-unreachable", "nobody there")

    worker = jobs.Worker(database, {"greet": greet}, clock)
    put(database, "k", clock=clock)
    assert worker.run_due() == 1
    assert worker.run_due() == 0  # not due yet
    assert find(database, "k").state == "waiting"
    for _ in range(40):
        clock.advance(seconds=30)
        worker.run_due()
    job = find(database, "k")
    assert (job.state, len(calls), job.attempts) == ("failed", jobs.MAX_ATTEMPTS, jobs.MAX_ATTEMPTS)
    assert "peer-unreachable" in job.error
    with database.reading() as connection:
        assert [j.key for j in jobs.failed(connection)] == ["k"]


@pytest.mark.parametrize("error", [Conflict("gone", "too late"), ValueError("odd")])
def test_other_errors_fail_the_job_and_are_kept(database: Database, error: Exception) -> None:
    def greet(_: dict[str, Any]) -> None:
        raise error

    worker = jobs.Worker(database, {"greet": greet}, CLOCK)
    put(database, "k")
    assert worker.run_due() == 1
    assert worker.run_due() == 0
    job = find(database, "k")
    assert job.state == "failed"
    assert str(error) in job.error


def test_delayed_jobs_wait_and_unknown_kinds_are_left_alone(database: Database) -> None:
    clock = FixedClock(datetime(2031, 1, 1, tzinfo=UTC))
    done: list[dict[str, Any]] = []
    put(database, "k", clock=clock, delay_seconds=60)
    assert jobs.Worker(database, {"other": done.append}, clock).run_due() == 0
    worker = jobs.Worker(database, {"greet": done.append}, clock)
    assert worker.run_due() == 0
    clock.advance(seconds=61)
    assert jobs.Worker(database, {"other": done.append}, clock).run_due() == 0
    assert worker.run_due() == 1
    assert find(database, "k").state == "done"


def test_a_long_job_keeps_its_lease(database: Database) -> None:
    calls: list[int] = []
    release = threading.Event()

    def greet(_: dict[str, Any]) -> None:
        calls.append(1)
        release.wait(20)

    slow = jobs.Worker(database, {"greet": greet}, CLOCK, threads=1, lease_seconds=0.6)
    other = jobs.Worker(database, {"greet": greet}, CLOCK, threads=1, lease_seconds=0.6)
    slow.start()
    other.start()
    put(database, "k")
    time.sleep(2)
    release.set()
    wait_until(lambda: find(database, "k").state == "done")
    slow.stop()
    other.stop()
    assert len(calls) == 1


def test_a_lease_that_ran_out_is_taken_over_and_its_late_end_does_not_count(database: Database) -> None:
    clock = FixedClock(datetime(2031, 1, 1, tzinfo=UTC))
    second: list[int] = []

    def late(_: dict[str, Any]) -> None:
        clock.advance(seconds=61)
        jobs.Worker(database, {"greet": lambda _: second.append(1)}, clock).run_due()
        raise ValueError("too late")

    put(database, "k", clock=clock)
    jobs.Worker(database, {"greet": late}, clock).run_due()
    assert second == [1]
    assert find(database, "k").state == "done"


CHILD = """
import sys, time
from pathlib import Path
from salerno.adapters import jobs
from salerno.adapters.clock import SystemClock
from salerno.adapters.database import Database

trace = Path(sys.argv[2])

def greet(payload):
    with trace.open("a") as file:
        file.write(payload["name"] + "\\n")
    if payload["name"] == "long":
        time.sleep(600)

worker = jobs.Worker(Database(sys.argv[1]), {"greet": greet}, SystemClock(), threads=1)
worker.start()
time.sleep(600)
"""


def test_a_killed_process_loses_no_job_and_repeats_no_finished_one(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    put(database, "k1", name="short")
    put(database, "k2", name="long")
    child = subprocess.Popen([sys.executable, "-c", CHILD, database_url, str(trace)])
    try:
        wait_until(lambda: trace.exists() and trace.read_text().split() == ["short", "long"], 60)
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    assert find(database, "k2").state == "running"
    done: list[dict[str, Any]] = []
    worker = jobs.Worker(database, {"greet": done.append}, CLOCK)
    start = time.monotonic()
    worker.start()
    try:
        wait_until(lambda: find(database, "k2").state == "done")
        # Its process is known to be dead, so nobody waits for the lease of a minute to run out.
        assert time.monotonic() - start < 10
    finally:
        worker.stop()
    assert done == [{"name": "long"}]
    assert find(database, "k1").attempts == 1


def test_a_job_that_kills_its_process_each_time_is_given_up(database: Database) -> None:
    clock = FixedClock(datetime(2031, 1, 1, tzinfo=UTC))
    put(database, "k", clock=clock)

    class Killed(BaseException):
        pass

    def greet(_: dict[str, Any]) -> None:
        raise Killed

    for _ in range(jobs.MAX_ATTEMPTS):
        with pytest.raises(Killed):
            jobs.Worker(database, {"greet": greet}, clock).run_due()
        clock.advance(seconds=61)
    assert jobs.Worker(database, {"greet": greet}, clock).run_due() == 1
    assert find(database, "k").state == "failed"


def test_a_worker_survives_a_database_that_is_gone_for_a_while(tmp_path: Path) -> None:
    path = tmp_path / "node.db"
    done: list[dict[str, Any]] = []
    database = Database(f"sqlite:///{path}")  # no table yet
    with database.transaction() as connection:
        jobs.metadata.create_all(connection)
    worker = jobs.Worker(database, {"greet": done.append}, CLOCK)
    worker.start()
    other = Database(f"sqlite:///{path}")
    try:
        with other.transaction() as held:  # the worker cannot take the job meanwhile
            jobs.enqueue(held, "greet", {}, key="k", clock=CLOCK)
            time.sleep(0.3)
        wait_until(lambda: find(database, "k").state == "done", 5)  # found by the fallback poll
    finally:
        worker.stop()
        other.close()
        database.close()
    assert done == [{}]
