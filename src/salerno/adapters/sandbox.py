"""A program that is not trusted, run by bubblewrap: no network, no home, nothing to write but scratch.

The program sees the system's libraries and the folders that it is given, read-only, in namespaces of its own
(users, processes, network, mounts, names). A filter of system calls lets it make threads but no process, no
socket and no memory that its limit would not count. It speaks with its caller over standard input and output
alone; what it prints elsewhere is lost.

Source:
    bubblewrap 0.8, bwrap(1); Linux seccomp(2), ``linux/seccomp.h`` and ``linux/filter.h`` for the filter.
"""

from __future__ import annotations

import errno
import os
import platform
import shutil
import struct
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

from salerno.kernel.errors import Refused

_MB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxLimits:
    """What a sandboxed program may use.

    Args:
        memory_mb: Address space, and so memory, of its one process.
        scratch_mb: Size of its ``/tmp``.
        threads: Threads that numerical libraries are told to use.
        seconds: Longest time for one exchange.
    """

    memory_mb: int = 8192
    scratch_mb: int = 256
    threads: int = 2
    seconds: float = 600.0


class Sandbox:
    """A running program in its sandbox; see `open_sandbox`.

    Args:
        process: Bubblewrap.
        seconds: Longest time for one exchange.
    """

    def __init__(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        self._process = process
        self._seconds = seconds
        assert process.stdin is not None
        assert process.stdout is not None
        self._in: IO[bytes] = process.stdin
        self._out: IO[bytes] = process.stdout
        self.timed_out = False

    @contextmanager
    def exchange(self) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
        """Where to write a request and read its reply; the program is ended when it takes too long.

        A program that has ended, by itself or for its time, shows as the end of its output or a broken pipe.
        """
        watch = threading.Timer(self._seconds, self._too_long)
        watch.daemon = True
        watch.start()
        try:
            yield self._in, self._out
        finally:
            watch.cancel()

    def _too_long(self) -> None:
        self.timed_out = True
        self._process.kill()

    def close(self) -> None:
        """End the program, and all that it has left."""
        self._process.kill()  # with it goes the namespace of processes, and so everything in it
        self._process.wait()
        for pipe in (self._in, self._out):
            with suppress(OSError):
                pipe.close()


def open_sandbox(
    program: Sequence[str],
    *,
    readable: Sequence[Path] = (),
    files: Mapping[str, bytes] | None = None,
    environment: Mapping[str, str] | None = None,
    limits: SandboxLimits | None = None,
    show: bool = False,
) -> Sandbox:
    """Start a program in a sandbox of its own.

    The limit on memory is the program's to take on before it does anything else.

    Args:
        program: Path and arguments.
        readable: Folders beside the system's that it may read.
        files: Absolute path in the sandbox and content; they are in memory alone.
        environment: Its variables; it gets none of ours.
        limits: What it may use.
        show: Let what it writes on standard error through.

    Raises:
        Refused: ``no-sandbox``, with the remedy: nothing is ever run without one.
    """
    reason = why_not()
    if reason:
        raise _no_sandbox(reason)
    limits = limits or SandboxLimits()
    return _STARTER.submit(_start, program, readable, files or {}, environment or {}, limits, show).result()


@cache
def why_not() -> str:
    """Why programs cannot be run in a sandbox on this machine; empty when they can."""
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed"
    if platform.machine() not in _ARCHITECTURES:
        return f"there is no filter of system calls for {platform.machine()}"
    try:
        process = _STARTER.submit(_start, ["/usr/bin/env", "true"], (), {}, {}, SandboxLimits()).result()
        with suppress(subprocess.TimeoutExpired):
            process._process.wait(10)
        done = process._process.returncode == 0
        process.close()
    except OSError:
        done = False
    return "" if done else "the kernel lets this account make no namespaces"


def _no_sandbox(reason: str) -> Refused:
    return Refused(
        "no-sandbox",
        f"A researcher's program is run in a sandbox or not at all, and {reason}",
        rule="Nothing of a researcher's is run bare",
        remedy="Have the holder install bubblewrap and allow unprivileged user namespaces.",
    )


_STARTER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sandbox")
"""Starts all sandboxes: the kernel ends them with the thread that started them, so here with the process."""


def _start(
    program: Sequence[str],
    readable: Sequence[Path],
    files: Mapping[str, bytes],
    environment: Mapping[str, str],
    limits: SandboxLimits,
    show: bool = False,
) -> Sandbox:
    held: list[int] = []
    try:
        arguments = [shutil.which("bwrap") or "bwrap", *_namespaces(), *_system()]
        arguments += ["--size", str(limits.scratch_mb * _MB), "--tmpfs", "/tmp"]  # noqa: S108 - its own
        for folder in readable:
            arguments += ["--ro-bind", str(folder), str(folder)]
        for path, content in files.items():
            held.append(_in_memory(content))
            arguments += ["--ro-bind-data", str(held[-1]), path]
        for name, value in {**_threads(limits.threads), **environment}.items():
            arguments += ["--setenv", name, value]
        held.append(_in_memory(_filter()))
        arguments += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/tmp"]  # noqa: S108
        arguments += ["--seccomp", str(held[-1]), "--", *program]
        process = subprocess.Popen(  # noqa: S603 - the program is the caller's, its cage is ours
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if show else subprocess.DEVNULL,
            pass_fds=held,
            close_fds=True,
            env={"PATH": os.defpath},
            cwd="/",
        )
    finally:
        for descriptor in held:
            os.close(descriptor)
    return Sandbox(process, limits.seconds)


def _namespaces() -> list[str]:
    return [
        *("--unshare-all", "--unshare-user", "--disable-userns", "--uid", "65534", "--gid", "65534"),
        *("--hostname", "sandbox", "--cap-drop", "ALL", "--new-session", "--die-with-parent", "--clearenv"),
    ]


def _system() -> list[str]:
    """The system's programs and libraries, and nothing of what it keeps elsewhere."""
    found = ["--ro-bind", "/usr", "/usr"]
    for name in ("/bin", "/sbin", "/lib", "/lib32", "/lib64"):
        place = Path(name)
        if place.is_symlink():
            found += ["--symlink", str(place.readlink()), name]
        elif place.is_dir():
            found += ["--ro-bind", name, name]
    for name in ("/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime"):
        found += ["--ro-bind-try", name, name]
    found += ["--proc", "/proc", "--dev", "/dev"]
    return [*found, "--size", str(16 * _MB), "--tmpfs", "/dev/shm"]  # noqa: S108 - its own


def _threads(number: int) -> dict[str, str]:
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")
    return {**dict.fromkeys(names, str(number)), "PATH": "/usr/bin:/bin", "HOME": "/tmp"}  # noqa: S108


def _in_memory(content: bytes) -> int:
    """A descriptor from which bubblewrap reads a file that never was on disk."""
    descriptor = os.memfd_create("salerno")
    with open(descriptor, "wb", closefd=False) as file:
        file.write(content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


# What the program may not ask of the kernel, by architecture: (audit number, clone, numbers that are
# refused). Making processes, so that limits of one process are limits of all; sockets; memory that no limit
# counts; and what has often been a way out of sandboxes.
_REFUSED = {
    "x86_64": {
        *(57, 58),  # fork, vfork
        *(41, 53),  # socket, socketpair
        *(319, 425, 426, 427),  # memfd_create, io_uring_setup, _enter, _register
        *(
            101,
            310,
            311,
            272,
            308,
            165,
            166,
            155,
        ),  # ptrace, process_vm_*, unshare, setns, (u)mount, pivot_root
        *(
            248,
            249,
            250,
            321,
            298,
            323,
            175,
            313,
            246,
        ),  # add_key … keyctl, bpf, perf, userfaultfd, modules, kexec
        *(29, 30, 31, 64, 68, 240),  # shmget, shmat, shmctl, semget, msgget, mq_open
    },
    "aarch64": {
        *(198, 199),
        *(279, 425, 426, 427),
        *(117, 270, 271, 97, 268, 40, 39, 41),
        *(217, 218, 219, 280, 241, 282, 105, 273, 104),
        *(194, 196, 195, 190, 186, 180),
    },
}
_ARCHITECTURES = {"x86_64": (0xC000003E, 56), "aarch64": (0xC00000B7, 220)}
_CLONE3, _CLONE_THREAD, _X32 = 435, 0x00010000, 0x40000000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERROR, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data, little-endian


@cache
def _filter() -> bytes:
    """The filter of system calls, as the program of the kernel's small machine that bubblewrap loads."""
    audit, clone = _ARCHITECTURES[platform.machine()]
    refused = sorted(_REFUSED[platform.machine()])

    def step(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
        return struct.pack("<HBBI", code, yes, no, value)

    lines = [
        step(_LOAD, _ARCHITECTURE),
        step(_EQUAL, audit, 1, 0),
        step(_RETURN, _KILL),
        step(_LOAD, _NUMBER),
        step(_AT_LEAST, _X32, 0, 1),  # x86-64's second set of numbers would pass by the list
        step(_RETURN, _ERROR | errno.EPERM),
        # Its flags cannot be read here; the C library then takes clone, whose flags can.
        step(_EQUAL, _CLONE3, 0, 1),
        step(_RETURN, _ERROR | errno.ENOSYS),
        step(_EQUAL, clone, 0, 4),
        step(_LOAD, _FIRST_ARGUMENT),
        step(_ANY_BIT, _CLONE_THREAD, 0, 1),
        step(_RETURN, _ALLOW),
        step(_RETURN, _ERROR | errno.EPERM),
    ]
    for number in refused:
        lines += [step(_EQUAL, number, 0, 1), step(_RETURN, _ERROR | errno.EPERM)]
    return b"".join([*lines, step(_RETURN, _ALLOW)])
