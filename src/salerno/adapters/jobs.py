"""A small queue of leased jobs in the node's own database.

A job is stored in the transaction that asks for it, so it exists if and only if the act does. A worker
takes it under a lease; when its process dies, the job runs again. Handlers must therefore bear being run
twice.
"""

from __future__ import annotations

import logging
import os
import random
import secrets
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from weakref import WeakSet

from sqlalchemy import Column, Connection, Index, Integer, MetaData, Table, Text, and_, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from salerno.adapters.database import Database, after_commit
from salerno.kernel.errors import SalernoError, Unavailable
from salerno.kernel.time import Clock, to_text
from salerno.kernel.values import from_json, to_json

metadata = MetaData()

_jobs = Table(
    "jobs_job",
    metadata,
    Column("key", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("leased_until", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("ended_at", Text, nullable=False),
)
Index("jobs_job_due", _jobs.c.state, _jobs.c.due_at)

Handler = Callable[[dict[str, Any]], None]

MAX_ATTEMPTS = 20
_FIRST_DELAY_SECONDS = 0.5
_LONGEST_DELAY_SECONDS = 30.0
_POLL_SECONDS = 1.0

_log = logging.getLogger(__name__)
_workers: WeakSet[Worker] = WeakSet()


@dataclass(frozen=True, slots=True)
class Job:
    """A stored job.

    Args:
        key: Its name; a second job of the same name is not stored.
        kind: Which handler takes it.
        payload: What the handler gets.
        state: ``waiting``, ``running``, ``done`` or ``failed``.
        attempts: How often it was taken.
        error: What went wrong at the last attempt.
    """

    key: str
    kind: str
    payload: dict[str, Any]
    state: str
    attempts: int
    error: str


def enqueue(
    connection: Connection,
    kind: str,
    payload: dict[str, Any],
    *,
    key: str,
    clock: Clock,
    delay_seconds: float = 0,
) -> bool:
    """Store a job in the caller's transaction; it can run once that is committed.

    Args:
        connection: The transaction.
        kind: Which handler takes it.
        payload: JSON values for the handler; no personal data.
        key: Its name, e.g. ``permit-status/permit-7/revoked``; a job of that name is stored once for ever.
        clock: Gives the present instant.
        delay_seconds: Earliest start from now.

    Returns:
        Whether it is new.
    """
    now = clock.now()
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    stored = connection.execute(
        insert(_jobs)
        .values(
            key=key,
            kind=kind,
            payload=to_json(payload).decode(),
            state="waiting",
            attempts=0,
            due_at=to_text(now + timedelta(seconds=delay_seconds)),
            owner="",
            leased_until="",
            error="",
            created_at=to_text(now),
            ended_at="",
        )
        .on_conflict_do_nothing(index_elements=["key"])
        .returning(_jobs.c.key)
    )
    is_new = stored.first() is not None
    engine = connection.engine
    after_commit(connection, lambda: _wake_workers(engine))
    return is_new


def find(connection: Connection, key: str) -> Job | None:
    """The job of that name, None when there is none."""
    row = connection.execute(select(_jobs).where(_jobs.c.key == key)).one_or_none()
    return None if row is None else _job(row)


def failed(connection: Connection) -> list[Job]:
    """Jobs that were given up, the oldest first."""
    rows = connection.execute(select(_jobs).where(_jobs.c.state == "failed").order_by(_jobs.c.created_at))
    return [_job(row) for row in rows]


class Worker:
    """Runs the jobs of one database in threads of this process.

    Args:
        database: Where the jobs are.
        handlers: What to do by kind of job; jobs of other kinds are left alone. A handler gets the payload,
            opens its own transactions, and must bear being run twice with the same payload.
        clock: Gives due times and leases.
        threads: How many jobs run at once.
        lease_seconds: How long a job stays with a worker that gives no sign of life.
    """

    def __init__(
        self,
        database: Database,
        handlers: Mapping[str, Handler],
        clock: Clock,
        *,
        threads: int = 2,
        lease_seconds: float = 60,
    ) -> None:
        self.database = database
        self._handlers = dict(handlers)
        self._clock = clock
        self._lease = timedelta(seconds=lease_seconds)
        self._owner = f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._running: set[str] = set()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._work, name=f"jobs-{number}", daemon=True)
            for number in range(threads)
        ]
        self._threads.append(
            threading.Thread(target=self._keep, args=(lease_seconds / 3,), name="jobs-keeper", daemon=True)
        )

    def start(self) -> None:
        """Take back what a dead process of this machine left, then start the threads."""
        _workers.add(self)
        self._take_back()
        for thread in self._threads:
            thread.start()

    def stop(self, timeout_seconds: float = 10) -> None:
        """Take no further job and wait for the running ones; what is not done by then runs again later."""
        self._stop.set()
        self._wake.set()
        _workers.discard(self)
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout_seconds)

    def wake(self) -> None:
        """Look for jobs now; `enqueue` does so by itself when its transaction commits."""
        self._wake.set()

    def run_due(self) -> int:
        """Run every job that is due, in the calling thread; for tests and for one-shot commands.

        Returns:
            How many were taken.
        """
        taken = 0
        while (job := self._claim()) is not None:
            self._run(job)
            taken += 1
        return taken

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                job = self._claim()
            except SalernoError as error:
                _log.warning("jobs cannot be read: %s", error.code)
                self._stop.wait(_POLL_SECONDS)
                continue
            if job is None:
                self._wake.wait(_POLL_SECONDS)
                self._wake.clear()
                continue
            self._wake.set()  # there may be more: let the sibling threads look
            try:
                self._run(job)
            except SalernoError as error:
                # The lease runs out and the job comes back.
                _log.warning("the end of a job cannot be stored: %s", error.code)

    def _claim(self) -> Job | None:
        now = to_text(self._clock.now())
        due = and_(
            _jobs.c.kind.in_(sorted(self._handlers)),
            or_(
                and_(_jobs.c.state == "waiting", _jobs.c.due_at <= now),
                and_(_jobs.c.state == "running", _jobs.c.leased_until <= now),
            ),
        )
        with self.database.reading() as connection:
            if connection.execute(select(_jobs.c.key).where(due).limit(1)).first() is None:
                return None
        with self.database.transaction() as connection:
            row = connection.execute(
                select(_jobs).where(due).order_by(_jobs.c.due_at).limit(1).with_for_update(skip_locked=True)
            ).one_or_none()
            if row is None:
                return None
            connection.execute(
                update(_jobs)
                .where(_jobs.c.key == row.key)
                .values(
                    state="running",
                    attempts=row.attempts + 1,
                    owner=self._owner,
                    leased_until=to_text(self._clock.now() + self._lease),
                )
            )
            with self._lock:
                self._running.add(row.key)
            return _job(row, attempts=row.attempts + 1)

    def _run(self, job: Job) -> None:
        try:
            if job.attempts > MAX_ATTEMPTS:
                self._end(job, "failed", "job-lost: its process died each time")
                return
            try:
                self._handlers[job.kind](job.payload)
            except Unavailable as error:
                if job.attempts >= MAX_ATTEMPTS:
                    self._end(job, "failed", str(error))
                else:
                    self._put_back(job, str(error))
            except SalernoError as error:
                self._end(job, "failed", str(error))
            except Exception as error:
                _log.exception("job %s failed", job.key)
                self._end(job, "failed", f"{type(error).__name__}: {error}")
            else:
                self._end(job, "done", "")
        finally:
            with self._lock:
                self._running.discard(job.key)

    def _end(self, job: Job, state: str, error: str) -> None:
        if error:
            _log.warning("job %s is given up: %s", job.key, error)
        self._store(job, state=state, error=error, ended_at=to_text(self._clock.now()))

    def _put_back(self, job: Job, error: str) -> None:
        wait = min(_LONGEST_DELAY_SECONDS, _FIRST_DELAY_SECONDS * 2.0 ** (job.attempts - 1))
        wait *= random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, hides nothing
        due = self._clock.now() + timedelta(seconds=wait)
        self._store(job, state="waiting", error=error, due_at=to_text(due))

    def _store(self, job: Job, **values: str) -> None:
        # Only while it is ours: after a lost lease somebody else runs it.
        mine = and_(_jobs.c.key == job.key, _jobs.c.owner == self._owner, _jobs.c.state == "running")
        with self.database.transaction() as connection:
            connection.execute(update(_jobs).where(mine).values(owner="", leased_until="", **values))

    def _keep(self, period_seconds: float) -> None:
        while not self._stop.wait(period_seconds):
            with self._lock:
                keys = sorted(self._running)
            if not keys:
                continue
            try:
                with self.database.transaction() as connection:
                    connection.execute(
                        update(_jobs)
                        .where(_jobs.c.key.in_(keys), _jobs.c.owner == self._owner)
                        .values(leased_until=to_text(self._clock.now() + self._lease))
                    )
            except SalernoError as error:
                _log.warning("leases cannot be kept: %s", error.code)

    def _take_back(self) -> None:
        with self.database.transaction() as connection:
            owners = connection.execute(
                select(_jobs.c.owner).where(_jobs.c.state == "running").distinct()
            ).scalars()
            dead = [owner for owner in owners if _is_dead(owner)]
            if dead:
                connection.execute(
                    update(_jobs)
                    .where(_jobs.c.state == "running", _jobs.c.owner.in_(dead))
                    .values(state="waiting", owner="", leased_until="")
                )


def _wake_workers(engine: object) -> None:
    for worker in list(_workers):
        if worker.database.engine is engine:
            worker.wake()


def _is_dead(owner: str) -> bool:
    """Whether a job's owner was a process of this machine that has ended; others are left to their lease."""
    host, _, rest = owner.partition("/")
    pid = rest.partition("/")[0]
    if host != socket.gethostname() or not pid.isdigit():
        return False
    if int(pid) == os.getpid():
        return all(worker._owner != owner for worker in list(_workers))
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _job(row: Any, attempts: int | None = None) -> Job:
    return Job(
        key=row.key,
        kind=row.kind,
        payload=from_json(row.payload, dict[str, Any], what="the job"),
        state=row.state,
        attempts=row.attempts if attempts is None else attempts,
        error=row.error,
    )
