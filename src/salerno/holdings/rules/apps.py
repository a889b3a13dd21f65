"""Flower apps as bundles: one file that says all of an app, named by its digest, the same on every machine.

A bundle is a zip file with the app's ``pyproject.toml``, its Python files, and ``initial.npz``: the arrays
that training begins with. Nothing of it is run to read it.
"""

from __future__ import annotations

import hashlib
import io
import tomllib
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from salerno.kernel.errors import Invalid

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

INITIAL = "initial.npz"
PROJECT = "pyproject.toml"
MOST_BYTES = 64 * 1024 * 1024
"""Largest bundle, and largest content of one."""

_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """What a bundle says.

    Args:
        digest: SHA-256 of its bytes, in hex.
        client: Where its ``ClientApp`` is, as ``module:name``.
        config: Its run configuration, with dots between nested names.
        initial: Arrays that training begins with, in their order.
    """

    digest: str
    name: str
    version: str
    client: str
    config: dict[str, Any]
    initial: dict[str, NDArray[Any]] = field(repr=False)


def pack_bundle(files: Mapping[str, bytes]) -> bytes:
    """The bundle of an app's files; the same files give the same bytes.

    Args:
        files: Content by path in the app's folder, with ``/``.

    Raises:
        Invalid: They are no app.
    """
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in sorted(files):
            # Stored as it is: what a compressor makes of it differs between its versions.
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, files[name])
    read_bundle(packed.getvalue())
    return packed.getvalue()


def pack_folder(folder: Path, initial: bytes) -> bytes:
    """The bundle of a Flower app's folder: its project file, Python files, and the arrays to begin with.

    Args:
        folder: Where its ``pyproject.toml`` is.
        initial: Content of an ``.npz`` file.

    Raises:
        Invalid: The folder holds no Flower app, or the arrays are none.
    """
    paths = [
        path
        for path in folder.rglob("*")
        if path.is_file()
        and (path.suffix == ".py" or path == folder / PROJECT)
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    return pack_bundle({**files, INITIAL: initial})


def render_arrays(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Arrays as the content of an ``.npz`` file, the same on every machine."""
    import numpy as np

    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(
                content, np.ascontiguousarray(array).reshape(array.shape), version=(1, 0)
            )
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _EPOCH), content.getvalue())
    return written.getvalue()


def read_bundle(data: bytes) -> Bundle:
    """What a bundle says of itself.

    Raises:
        Invalid: It is no bundle; the sentence says what it lacks.
    """
    files = _files(data)
    for name in (PROJECT, INITIAL):
        if name not in files:
            raise _wrong(f"it has no {name}")
    try:
        project = tomllib.loads(files[PROJECT].decode())
    except ValueError as error:
        raise _wrong(f"its {PROJECT} is no TOML ({error})") from error
    flower = project.get("tool", {}).get("flwr", {}).get("app", {})
    client = flower.get("components", {}).get("clientapp", "")
    module, _, attribute = str(client).partition(":")
    if not module or not attribute:
        raise _wrong(f'its {PROJECT} has no [tool.flwr.app.components] with clientapp = "module:name"')
    place = module.replace(".", "/")
    if f"{place}.py" not in files and f"{place}/__init__.py" not in files:
        raise _wrong(f"it has no module {module}")
    about = project.get("project", {})
    return Bundle(
        digest=hashlib.sha256(data).hexdigest(),
        name=str(about.get("name", "")) or module.partition(".")[0],
        version=str(about.get("version", "")),
        client=str(client),
        config=dict(_flat(flower.get("config", {}))),
        initial=_arrays(files[INITIAL]),
    )


def _files(data: bytes) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            if len(data) > MOST_BYTES or sum(entry.file_size for entry in entries) > MOST_BYTES:
                raise _wrong(f"it is larger than {MOST_BYTES >> 20} MB")
            for entry in entries:
                parts = entry.filename.split("/")
                if entry.filename.startswith("/") or ".." in parts or "\\" in entry.filename:
                    raise _wrong("a path in it leads out of its folder")
            return {entry.filename: archive.read(entry) for entry in entries}
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError) as error:
        raise _wrong("it is no zip file that can be read") from error


def _arrays(data: bytes) -> dict[str, NDArray[Any]]:
    import numpy as np

    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (ValueError, OSError, zipfile.BadZipFile, EOFError, KeyError) as error:
        raise _wrong(f"its {INITIAL} holds no plain NumPy arrays") from error
    if not arrays:
        raise _wrong(f"its {INITIAL} holds no array")
    for name, array in arrays.items():
        if array.dtype.kind not in "fiu" or array.dtype.itemsize > 8 or not np.isfinite(array).all():
            raise _wrong(f"the array {name!r} of its {INITIAL} has other values than finite numbers")
    return arrays


def _flat(config: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in config.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _wrong(what: str) -> Invalid:
    return Invalid(
        "app-bundle",
        f"This is no bundle of a Flower app: {what}",
        remedy="Make one with: salerno app bundle FOLDER --initial ARRAYS.npz",
    )


def split_rows(rows: pa.Table, holdout: float) -> tuple[pa.Table, pa.Table]:
    """Rows for training, and rows that are kept from it.

    Both depend on the rows' values alone, and so does their order: not on the engine that they come from, nor
    on the order in which it gives them. Equal rows fall anywhere, each by itself: were they to stay together,
    the sides would differ in more than chance, and so would a model's losses on them.

    Args:
        rows: Complete rows.
        holdout: Share that is kept from training.
    """
    import pandas as pd

    frame = rows.to_pandas()
    frame = frame.assign(**{" ": frame.groupby(list(frame.columns), dropna=False, sort=False).cumcount()})
    hashes: NDArray[np.uint64] = pd.util.hash_pandas_object(frame, index=False).to_numpy()
    order = hashes.argsort(kind="stable")
    held = round(holdout * len(order))
    return rows.take(order[held:]), rows.take(order[:held])
