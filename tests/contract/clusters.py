"""A Spark cluster and a Trino server of the test session, on this machine."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

TRINO = Path(__file__).parent / "trino"
QUICK = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""Java compiles quickly instead of well: no test asks anything often enough for more."""


def needs_java() -> None:
    """Skip where there is none."""
    if shutil.which("java") is None:
        pytest.skip("no Java is installed (Debian package 'default-jdk-headless')")


Start = Callable[[str], Future[str]]
"""Starts a cluster, where it has not been started, and tells its address as soon as it answers."""


@pytest.fixture(scope="session")
def clusters(request: pytest.FixtureRequest) -> Iterator[Start]:
    """Spark and Trino; those that a test is named after start at once, while others are tested."""
    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        made = {"spark": _spark, "trino": _trino}
        start = functools.cache(lambda name: pool.submit(lambda: stack.enter_context(made[name]())))
        for item in request.session.items:
            named = getattr(item, "callspec", None)
            if named and named.params.get("load") in made:
                start(named.params["load"])
        yield start


@pytest.fixture(scope="session")
def spark_server(clusters: Start) -> str:
    """Address of a Spark Connect server whose cluster has two workers, each a process of its own."""
    return clusters("spark").result()


@pytest.fixture(scope="session")
def trino_server(clusters: Start) -> str:
    """Address of a Trino server with the catalog ``memory``; its libraries come by Maven, once a machine."""
    return clusters("trino").result()


@contextmanager
def _spark() -> Iterator[str]:
    needs_java()
    pyspark = pytest.importorskip("pyspark")
    from tests.contract.conftest import free_port

    port = free_port()
    place = Path(tempfile.mkdtemp(prefix="salerno-spark-"))
    settings = {
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": port,
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.executor.extraJavaOptions": QUICK,
        "spark.executor.memory": "512m",
        "spark.local.dir": place,
        # Data so small need no plans that adapt to it, nor plans written out for people.
        "spark.sql.adaptive.enabled": "false",
        "spark.sql.shuffle.partitions": 2,
        "spark.sql.ui.explainMode": "simple",
        "spark.sql.warehouse.dir": place / "warehouse",
        "spark.ui.enabled": "false",
    }
    command = [Path(pyspark.__file__).parent / "bin" / "spark-submit", "--driver-memory", "640m"]
    command += [
        "--driver-java-options",
        QUICK,
        "--class",
        "org.apache.spark.sql.connect.service.SparkConnectServer",
    ]
    command += ["--master", "local-cluster[2,1,512]"]
    command += [part for name, value in settings.items() for part in ("--conf", f"{name}={value}")]
    server = _start([*map(str, command), "spark-internal"], place)
    try:
        _wait_for_log(server, place / "log", "Spark Connect server started")
        yield f"sc://127.0.0.1:{port}/"
    finally:
        _stop(server)
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def _trino() -> Iterator[str]:
    needs_java()
    if shutil.which("mvn") is None:
        pytest.skip("no Maven is installed (Debian package 'maven')")
    place = Path(tempfile.mkdtemp(prefix="salerno-trino-"))
    listed = place / "classpath"
    ask = ["mvn", "-q", "-B", "-f", str(TRINO / "pom.xml"), "dependency:build-classpath"]
    ask.append(f"-Dmdep.outputFile={listed}")
    try:
        if subprocess.run([*ask, "-o"], capture_output=True, cwd=place, timeout=120).returncode:
            subprocess.run(ask, capture_output=True, cwd=place, timeout=280, check=True)
    except subprocess.SubprocessError:
        shutil.rmtree(place, ignore_errors=True)
        pytest.skip("Maven cannot get Trino's libraries here")
    command = [
        "java",
        *QUICK.split(),
        "-Xmx768m",
        "-cp",
        listed.read_text().strip(),
        str(TRINO / "Server.java"),
    ]
    server = _start(command, place, stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        address = server.stdout.readline().decode().strip()
        assert address, (place / "log").read_text()[-4000:]
        yield f"trino://tester@{address}"
    finally:
        _stop(server)
        shutil.rmtree(place, ignore_errors=True)


def _start(command: list[str], place: Path, stdout: int | None = None) -> subprocess.Popen[bytes]:
    """A process with children of its own, whose log is kept in its place."""
    with (place / "log").open("wb") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=log if stdout is None else stdout,
            stderr=log,
            cwd=place,
            env={**os.environ, "SPARK_LOCAL_IP": "127.0.0.1"},
            start_new_session=True,
        )


def _wait_for_log(server: subprocess.Popen[bytes], log: Path, sentence: str) -> None:
    end = time.monotonic() + 120
    while sentence not in log.read_text(errors="replace"):
        if server.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"Spark did not start:\n{log.read_text(errors='replace')[-4000:]}")
        time.sleep(0.2)


def _stop(server: subprocess.Popen[bytes]) -> None:
    for kind in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(server.pid, kind)
        with suppress(subprocess.TimeoutExpired):
            server.wait(15)
            return
