"""The sandbox itself; what Flower apps try in it is in the federation tests."""

from __future__ import annotations

import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from salerno.adapters import sandbox
from salerno.adapters.sandbox import SandboxLimits, open_sandbox
from salerno.kernel.errors import Refused


def run(code: str, *, seconds: float = 20.0) -> tuple[str, bool]:
    """What a program wrote, and whether its time was up."""
    if sandbox.why_not():
        pytest.skip(sandbox.why_not())
    folders = [Path(sys.prefix), Path(sys.base_prefix)]
    limits = SandboxLimits(seconds=seconds, scratch_mb=8)
    started = open_sandbox(
        [sys.executable, "-I", "-c", code], readable=folders, files={"/in/a": b"given"}, limits=limits
    )
    with closing(started), started.exchange() as (_, out):
        return out.read().decode(), started.timed_out


def test_a_program_sees_what_it_is_given_and_has_threads() -> None:
    code = (
        "import threading, os; t = threading.Thread(target=lambda: print(open('/in/a').read(), os.getuid()));"
        "t.start(); t.join()"
    )
    assert run(code) == ("given 65534\n", False)


def test_a_program_that_forks_for_ever_makes_no_process_and_ends_in_time() -> None:
    began = time.monotonic()
    code = (
        "import os\nprint(len([p for p in os.listdir('/proc') if p.isdigit()]), flush=True)\n"
        "while True:\n    try: os.fork()\n    except OSError: pass\n    else: print('forked', flush=True)"
    )
    told, timed_out = run(code, seconds=2.0)
    assert (told, timed_out) in [("2\n", True), ("", True)]
    assert time.monotonic() - began < 15


def test_without_bubblewrap_nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox.shutil, "which", lambda _: None)
    sandbox.why_not.cache_clear()
    try:
        with pytest.raises(Refused, match="install bubblewrap"):
            open_sandbox(["/usr/bin/true"])
    finally:
        sandbox.why_not.cache_clear()
