"""What runs inside the sandbox: a Flower app's functions, called by messages over standard input and output.

This file is handed into the sandbox as it stands and is run by the app's own interpreter, so it imports
nothing of Salerno, and Flower only where an app is loaded. The holder imports it too, for the form of the
messages: a JSON object that names its arrays, and then their bytes.
"""

from __future__ import annotations

import json
import math
import os
import struct
import sys
import time
from typing import IO, Any

MOST_HEADER = 1 << 20
"""Largest JSON part of a message, bytes."""

BUNDLE, DATA = "/app/bundle.zip", "/data"
_ITEM = {"f8": "<f8", "f4": "<f4", "f2": "<f2", "i8": "<i8", "i4": "<i4", "i2": "<i2", "i1": "|i1"}
_ITEM |= {"u8": "<u8", "u4": "<u4", "u2": "<u2", "u1": "|u1"}


def write_message(stream: IO[bytes], header: dict[str, Any], arrays: dict[str, Any]) -> None:
    """Write one message.

    Args:
        stream: Where to.
        header: Any JSON; its member ``arrays`` is set here.
        arrays: NumPy arrays by name.
    """
    import numpy as np

    flat = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    listed = [[name, list(arrays[name].shape), array.dtype.str[1:]] for name, array in flat.items()]
    text = json.dumps({**header, "arrays": listed}).encode()
    stream.write(struct.pack("<I", len(text)) + text)
    for array in flat.values():
        stream.write(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
    stream.flush()


def read_message(stream: IO[bytes], most_bytes: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read one message, trusting nothing of it.

    Args:
        stream: Where from.
        most_bytes: Largest size of all its arrays.

    Raises:
        EOFError: The other side has ended.
        ValueError: It is not of this form, or too large.
    """
    import numpy as np

    (length,) = struct.unpack("<I", _exactly(stream, 4))
    if length > MOST_HEADER:
        raise ValueError("the message is too long")
    header = json.loads(_exactly(stream, length))
    if not isinstance(header, dict):
        raise ValueError("the message is no object")
    arrays, left = {}, most_bytes
    for name, shape, kind in header.pop("arrays"):
        sides = [int(side) for side in shape]
        item = np.dtype(_ITEM[kind])
        size = math.prod(sides) * item.itemsize
        if min(sides, default=0) < 0 or size > left:
            raise ValueError("the arrays are too large")
        left -= size
        arrays[str(name)] = np.frombuffer(_exactly(stream, size), item).reshape(sides)
    return header, arrays


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data


class Wrong(Exception):
    """The app did not do what was asked; the word says in which respect."""


class Loaded:
    """An app in this process."""

    def __init__(self, given: dict[str, Any]) -> None:
        try:
            import flwr.app
            import flwr.clientapp
        except ImportError as error:
            raise Wrong("no-flower") from error
        self._flower = flwr.app
        self._config = dict(given["config"])
        self._state = flwr.app.RecordDict()
        self._app = _load(given["client"])

    def call(
        self, kind: str, arrays: dict[str, Any], settings: dict[str, Any], data: str, state: Any = None
    ) -> Any:
        """The content of the app's reply to a message."""
        flower = self._flower
        content = flower.RecordDict(
            {
                "arrays": flower.ArrayRecord({name: flower.Array(array) for name, array in arrays.items()}),
                "config": flower.ConfigRecord(dict(settings)),
            }
        )
        about = flower.Metadata(
            run_id=1,
            message_id="asked",
            src_node_id=1,
            dst_node_id=2,
            reply_to_message_id="",
            group_id="",
            created_at=time.time(),
            ttl=flower.DEFAULT_TTL,
            message_type=kind,
        )
        message = flower.Message(content=content, metadata=about)
        context = flower.Context(
            run_id=1,
            node_id=2,
            node_config={"data-path": data},
            state=self._state if state is None else state,
            run_config=dict(self._config),
        )
        reply = self._app(message, context)
        if reply.has_error():
            raise Wrong(kind)
        return reply.content

    def train(self, arrays: dict[str, Any], asked: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Arrays after training, and ``[rows, metrics]``."""
        found = self.call("train", arrays, asked["settings"], f"{DATA}/train.parquet")
        records = list(found.array_records.values())
        if len(records) != 1 or set(records[0]) != set(arrays):
            raise Wrong("arrays")
        trained = {name: records[0][name].numpy() for name in arrays}
        if any(trained[name].shape != array.shape for name, array in arrays.items()):
            raise Wrong("arrays")
        return trained, {"trained": _metrics(found, asked["train"])}

    def evaluate(self, arrays: dict[str, Any], asked: dict[str, Any], names: list[str], data: str) -> Any:
        """``[rows, metrics]`` on other rows; what the app remembers of them is forgotten."""
        found = self.call("evaluate", arrays, asked["settings"], data, self._flower.RecordDict())
        return _metrics(found, names)


def _load(client: str) -> Any:
    import zipfile
    from importlib import import_module

    folder = "/tmp/app"  # noqa: S108 - the sandbox's own
    with zipfile.ZipFile(BUNDLE) as archive:
        archive.extractall(folder)
    sys.path.insert(0, folder)
    module, _, name = client.partition(":")
    return getattr(import_module(module), name)


def _metrics(content: Any, names: list[str]) -> list[Any]:
    """Number of rows and the metrics asked for, out of a reply."""
    found = {
        key: value
        for record in content.metric_records.values()
        for key, value in record.items()
        if isinstance(value, (int, float))
    }
    if "num-examples" not in found or any(name not in found for name in names):
        raise Wrong("metrics")
    return [int(found["num-examples"]), [float(found[name]) for name in names]]


def answer(app: Loaded, asked: dict[str, Any], arrays: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """The reply to one request: header and arrays."""
    told: dict[str, Any] = {}
    if asked.get("evaluate") is not None:
        told["evaluated"] = app.evaluate(arrays, asked, asked["evaluate"], f"{DATA}/heldout.parquet")
    for side, count in asked.get("audit", {}).items():
        paths = (f"{DATA}/{side}/{number}.parquet" for number in range(count))
        told[side] = [app.evaluate(arrays, asked, [asked["loss"]], path)[1][0] for path in paths]
    trained: dict[str, Any] = {}
    if asked.get("train") is not None:
        trained, more = app.train(arrays, asked)
        told |= more
    return told, trained


def limit(given: dict[str, Any]) -> None:
    """Take the limits on, for good."""
    import resource

    size = given["memory_mb"] << 20
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    """Answer until nobody asks."""
    given = json.loads(sys.argv[1])
    limit(given)
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    app: Loaded | None = None
    while True:
        try:
            asked, arrays = read_message(requests, given["most_bytes"])
        except EOFError:
            return
        told: dict[str, Any] = {}
        trained: dict[str, Any] = {}
        step = "load"
        try:
            app = app or Loaded(given)
            step = "run"
            told, trained = answer(app, asked, arrays)
        except Wrong as wrong:
            told = {"wrong": str(wrong)}
        except Exception:  # whatever the app raises; its words are lost but where somebody tries the app
            import traceback

            traceback.print_exc()
            told = {"wrong": step}
        write_message(replies, told, trained)


if __name__ == "__main__":
    main()
