"""Start nodes as processes of their own on loopback, wait until they answer, stop or kill them."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path

from salerno.kernel.errors import Unavailable
from salerno.nodes.settings import load_settings

START_SECONDS = 60.0


def free_ports(count: int) -> list[int]:
    """Ports on loopback that nothing listens on at the moment."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


class NodeProcesses:
    """A set of nodes, each `salerno node serve` in a process of its own; their output goes to a log file."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self._folders = dict(folders)
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> NodeProcesses:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, names: Iterable[str] | None = None) -> None:
        """Start nodes (all by default) and wait until each answers.

        Raises:
            Unavailable: A node ended or did not answer in time; its log file is named.
        """
        wanted = list(self._folders if names is None else names)
        for name in wanted:
            folder = self._folders[name]
            with (folder / "node.log").open("ab") as log:
                self._running[name] = subprocess.Popen(  # noqa: S603  (our own interpreter, our own arguments)
                    [sys.executable, "-m", "salerno", "node", "serve", str(folder)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # Ctrl-C reaches the story first, which then stops them in order
                )
        for name in wanted:
            self.wait_ready(name)

    def wait_ready(self, name: str) -> None:
        """Wait until a node answers.

        Raises:
            Unavailable: It ended, or did not answer in time.
        """
        folder = self._folders[name]
        url = load_settings(folder).url
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if self._running[name].poll() is not None:
                break
            try:
                with urllib.request.urlopen(f"{url}/health", timeout=2):  # noqa: S310  (loopback)
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        raise Unavailable(
            "node-not-started",
            f"The node {name} did not start",
            remedy=f"Its log is {folder / 'node.log'}.",
        )

    def kill(self, name: str) -> None:
        """End a node as a power cut would (SIGKILL)."""
        process = self._running.pop(name)
        process.kill()
        process.wait()

    def process_id(self, name: str) -> int:
        """The operating system's number of a node's process."""
        return self._running[name].pid

    def stop(self) -> None:
        """End all nodes in order; those that do not end within ten seconds are killed."""
        for process in self._running.values():
            process.send_signal(signal.SIGTERM)
        for process in self._running.values():
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()
