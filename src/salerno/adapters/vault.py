"""Files that are kept under a permit, each permit's under a key of its own: to delete the key is to delete
the files, in every copy of them that was ever made.

The keys lie in a folder apart, which no backup may hold: whoever restores a backup gets sealed files without
their keys. Nothing in a vault is the only copy of anything, so a lost key costs time and no data.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from secrets import token_bytes

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from salerno.kernel.errors import Invalid, Unavailable
from salerno.kernel.time import from_text, to_text
from salerno.kernel.values import from_json, to_json

_CHUNK = 16 * 1024 * 1024
_TAG = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Shredded:
    """What was deleted with a key.

    Args:
        files: Sealed files.
        size_bytes: Their size.
        digest: SHA-256 over names and SHA-256 of the sealed files: who holds a copy can tell that it is one.
    """

    files: int
    size_bytes: int
    digest: str


class Vault:
    """Sealed files by permit and name.

    Args:
        folder: Where the sealed files lie, for this node alone.
        keys: Where the keys lie, for this node alone; never part of a backup.
    """

    def __init__(self, folder: Path, keys: Path) -> None:
        self._folder = folder
        self._keys = keys

    def write(self, permit: str, name: str, data: bytes, *, until: datetime) -> None:
        """Seal data under a permit's key, in place of what had the name.

        Args:
            permit: Identifier of the permit.
            name: Name of the data under it.
            data: What is sealed.
            until: When the permit ends.

        Raises:
            Unavailable: ``vault-unwritable``: the disk does not take it.
        """
        place = _place(permit)
        try:
            key = self._key(place, make=True)
            assert key is not None
            folder = self._folder / place
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            about = {"permit": permit, "until": to_text(until)}
            _replace(folder / "permit.json", to_json(about))
            _replace(folder / _file(name), b"".join(_seal(key, f"{place}/{name}", data)))
        except OSError as error:
            raise Unavailable(
                "vault-unwritable",
                f"What is kept under a permit cannot be written: {error.strerror}",
                remedy="Make room, or give the node's folder back its rights.",
            ) from error

    def read(self, permit: str, name: str) -> bytes | None:
        """What was sealed; None where there is nothing, it was changed, or its key is gone."""
        place = _place(permit)
        try:
            key = self._key(place)
            sealed = (self._folder / place / _file(name)).read_bytes()
        except OSError:
            return None
        return None if key is None else _open(key, f"{place}/{name}", sealed)

    def permits(self) -> dict[str, datetime]:
        """The permits under which anything is kept, with their ends."""
        found = {}
        for folder in sorted(self._folder.iterdir()) if self._folder.is_dir() else ():
            with suppress(OSError, Invalid, KeyError, ValueError):
                about = from_json((folder / "permit.json").read_bytes(), dict[str, str], what="the permit")
                found[about["permit"]] = from_text(about["until"])
        return found

    def destroy_key(self, permit: str) -> Shredded:
        """Delete a permit's key: from here on nobody can read its files, in whatever copy.

        The files stay until `clear`, so that a process that is killed in between can be followed up.
        """
        place = _place(permit)
        key = self._keys / place
        with suppress(FileNotFoundError):
            size = key.stat().st_size
            # Written over first, for file systems that write in place.
            with key.open("r+b") as file:
                file.write(token_bytes(size))
                file.flush()
                os.fsync(file.fileno())
            key.unlink()
            _sync(self._keys)
        sealed = {path.name: path.read_bytes() for path in sorted((self._folder / place).glob("*.sealed"))}
        digests = {name: sha256(data).hexdigest() for name, data in sealed.items()}
        return Shredded(
            files=len(sealed),
            size_bytes=sum(map(len, sealed.values())),
            digest=sha256(to_json(digests)).hexdigest(),
        )

    def clear(self, permit: str) -> None:
        """Remove a permit's files, after `destroy_key`."""
        shutil.rmtree(self._folder / _place(permit), ignore_errors=True)

    def _key(self, place: str, *, make: bool = False) -> bytes | None:
        path = self._keys / place
        try:
            return path.read_bytes()
        except FileNotFoundError:
            if not make:
                return None
        self._keys.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self._keys, prefix=".new-")
        with os.fdopen(handle, "wb") as file:
            file.write(token_bytes(32))
            file.flush()
            os.fsync(file.fileno())
        try:
            # Two first writers agree on the key that was there first.
            os.link(name, path)
        except FileExistsError:
            pass
        finally:
            Path(name).unlink()
        _sync(self._keys)
        return path.read_bytes()


def _place(permit: str) -> str:
    return sha256(permit.encode()).hexdigest()[:32]


def _file(name: str) -> str:
    return f"{sha256(name.encode()).hexdigest()[:32]}.sealed"


def _seal(key: bytes, name: str, data: bytes) -> Iterator[bytes]:
    """AES-256-GCM by chunks; name, place and whether it is the last one are bound to each."""
    cipher, start = AESGCM(key), token_bytes(8)
    yield start
    count = max(1, -(-len(data) // _CHUNK))
    for number in range(count):
        part = data[number * _CHUNK : (number + 1) * _CHUNK]
        bound = f"{name}/{number}/{number == count - 1}".encode()
        yield cipher.encrypt(start + number.to_bytes(4, "big"), part, bound)


def _open(key: bytes, name: str, sealed: bytes) -> bytes | None:
    cipher, start, body = AESGCM(key), sealed[:8], sealed[8:]
    count = max(1, -(-len(body) // (_CHUNK + _TAG)))
    parts = []
    try:
        for number in range(count):
            part = body[number * (_CHUNK + _TAG) : (number + 1) * (_CHUNK + _TAG)]
            bound = f"{name}/{number}/{number == count - 1}".encode()
            parts.append(cipher.decrypt(start + number.to_bytes(4, "big"), part, bound))
    except (InvalidTag, ValueError):
        return None
    return b"".join(parts)


def _replace(path: Path, data: bytes) -> None:
    # Written beside and renamed, so that a killed process leaves the old or the new file, never half.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except OSError:
        with suppress(OSError):
            Path(name).unlink()
        raise


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
