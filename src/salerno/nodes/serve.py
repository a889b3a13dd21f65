"""Serve one node over HTTP until it is told to stop."""

from __future__ import annotations

import gc
import os
import socket
from pathlib import Path

# Several questions run side by side; numpy's own threads would only get in their way. It looks for this as it
# is loaded, which is what the next lines do.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import uvicorn

from salerno.adapters import logs
from salerno.kernel.errors import Unavailable
from salerno.nodes.assemble import open_node
from salerno.nodes.routes import application

STOP_SECONDS = 5


def serve(folder: Path | str) -> None:
    """Serve the node in a folder; returns after SIGTERM or SIGINT, when all that ran has been left in order.

    Raises:
        Unavailable: The port is taken.
        NotFound: The folder holds no node.
    """
    node = open_node(folder)
    settings = node.settings
    logs.configure(settings.log_level)
    listening = _listen(settings.host, settings.port)
    server = uvicorn.Server(
        uvicorn.Config(
            application(node, _keep_loaded),
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=STOP_SECONDS,
            server_header=False,
        )
    )
    try:
        server.run(sockets=[listening])
    finally:
        node.close()


def _keep_loaded() -> None:
    """Leave what is loaded out of the search for garbage: that took a tenth of a second in a question."""
    gc.collect()
    gc.freeze()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends small answers at once only on sockets that name their protocol; without, each round of an
    # analysis waits for the receiver's delayed acknowledgement.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise Unavailable(
            "port-taken",
            f"The node cannot listen on {host}:{port}: {error.strerror}",
            remedy="End what listens there, or set listen_port in the node's settings.",
        ) from None
    return listening
