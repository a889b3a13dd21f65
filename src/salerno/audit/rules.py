"""What may be written to the audit log, its exact text, and the check of a receipt without the node."""

from __future__ import annotations

import binascii
import math
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from salerno.audit.model import Detail, Entry, Problem, Receipt, StoredEntry, VerifyReport
from salerno.kernel.errors import Invalid, SalernoError
from salerno.kernel.time import to_text
from salerno.kernel.values import canonical, from_json
from salerno.standards import merkle
from salerno.standards.notes import Checkpoint, parse_checkpoint, verify_checkpoint

MAX_ENTRY_BYTES = 16 * 1024
_MAX_PROBLEMS = 100
_ACT = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)+")
_NAME = re.compile(r"[a-z][a-z0-9_]*")


def check_act(act: str) -> None:
    """An act is named by lower-case words with hyphens, e.g. ``permit-issued``.

    Raises:
        Invalid: It is not.
    """
    if not _ACT.fullmatch(act):
        raise Invalid("audit-act", f"{act!r} does not name an act", remedy="Write it like 'permit-issued'.")


def check_detail(detail: Mapping[Any, Any]) -> dict[str, Detail]:
    """Details are short facts: text, numbers, truth values and lists of text, under snake_case names.

    Nested values are refused, since that is how whole records, and persons in them, would slip in.

    Raises:
        Invalid: A name or a value is not of that kind.
    """
    checked: dict[str, Detail] = {}
    for name, value in detail.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise Invalid("audit-detail", f"{name!r} does not name a detail", remedy="Use snake_case names.")
        if isinstance(value, list | tuple) and all(isinstance(v, str) for v in value):
            checked[name] = [str(v) for v in value]
        elif isinstance(value, str):
            checked[name] = str(value)
        elif isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
            checked[name] = value
        else:
            raise Invalid(
                "audit-detail",
                f"Detail {name!r} is a {type(value).__name__}, which the log does not take",
                remedy="Give text, a finite number, true or false, or a list of text.",
            )
    return checked


def render_entry(entry: Entry) -> str:
    """The entry as the exact text that is hashed and kept: JSON, members sorted, no white space.

    Raises:
        Invalid: It is longer than an entry may be.
    """
    members = {
        "index": entry.index,
        "at": to_text(entry.at),
        "actor": entry.actor,
        "act": entry.act,
        "subject": entry.subject,
        "rule": entry.rule,
        "detail": dict(entry.detail),
    }
    data = canonical(members)
    if len(data) > MAX_ENTRY_BYTES:
        raise Invalid("audit-entry", f"An entry of {len(data)} bytes is too long; {MAX_ENTRY_BYTES} may be")
    return data.decode()


def read_entry(text: str) -> Entry:
    """The entry that `render_entry` wrote.

    Raises:
        Invalid: The text is no entry.
    """
    return from_json(text, Entry, what="the audit entry")


def verify_receipt(receipt: Receipt, jwk: Mapping[str, Any], *, origin: str = "") -> Entry:
    """Check a receipt with the public key of the node that gave it; nothing else is needed.

    Args:
        receipt: What the node gave.
        jwk: The node's public Ed25519 key.
        origin: Name that the log must have; empty accepts any that the key signed.

    Returns:
        The entry that it proves.

    Raises:
        Refused: The checkpoint is not signed by that key.
        Invalid: The proof does not lead from the entry to the checkpoint (``receipt-forged``).
    """
    checkpoint = verify_checkpoint(receipt.checkpoint, jwk)
    if origin and checkpoint.origin != origin:
        raise Invalid("receipt-forged", "The receipt is of another log")
    try:
        proof = [b64decode(text, validate=True) for text in receipt.proof]
    except (ValueError, binascii.Error) as error:
        raise Invalid("receipt-forged", "The receipt's proof is not made of hashes") from error
    leaf = merkle.leaf_hash(receipt.entry.encode())
    entry = read_entry(receipt.entry)
    if entry.index != receipt.index or not merkle.verify_inclusion(
        leaf, receipt.index, checkpoint.size, proof, checkpoint.root
    ):
        raise Invalid(
            "receipt-forged",
            f"The receipt does not prove that this is entry {receipt.index} of the log",
            rule="RFC 9162 section 2.1.3.2",
            remedy="Ask the node for a fresh receipt; if that fails too, its log was changed.",
        )
    return entry


class Verifier:
    """Recomputes a log entry by entry and notes where it does not hold together.

    Args:
        checkpoints: Signed notes, kept by the node or elsewhere.
        origin: Name that they must have.
        keys: Public keys that may have signed them.
    """

    def __init__(self, checkpoints: Iterable[str], origin: str, keys: Sequence[Mapping[str, Any]]) -> None:
        self._problems: list[Problem] = []
        self._frontier = merkle.Frontier()
        self._held_at = 0
        self._n_checkpoints = 0
        self._expected: dict[int, set[bytes]] = {}
        for note in checkpoints:
            self._n_checkpoints += 1
            checkpoint = self._read(note, origin, keys)
            if checkpoint is not None:
                self._expected.setdefault(checkpoint.size, set()).add(checkpoint.root)
        self._compare()

    def check(self, index: int, stored: StoredEntry | None, hashes: Mapping[tuple[int, int], bytes]) -> None:
        """Take the next entry.

        Args:
            index: Its place; call with 0, 1, 2 and so on.
            stored: What lies there, None when nothing does.
            hashes: Stored subtree hashes by (last leaf, level), at least those that end with this leaf.
        """
        if stored is None:
            self._note(index, f"entry {index} is missing")
            leaf = hashes.get((index, 0), b"")
        else:
            leaf = merkle.leaf_hash(stored.text.encode())
            self._check_text(index, stored)
        for level, computed in enumerate(self._frontier.append(leaf)):
            if hashes.get((index, level)) != computed:
                what = "its text is not what was hashed" if level == 0 else "the tree above it was changed"
                self._note(index, f"entry {index}: {what}")
                break
        self._compare()

    def finish(self, last_leaf: int) -> VerifyReport:
        """What was found.

        Args:
            last_leaf: Highest leaf of which the store has a hash.
        """
        size = self._frontier.size
        if last_leaf >= size:
            self._note(size, f"entries {size} to {last_leaf} are gone; their hashes are still there")
        for larger in sorted(s for s in self._expected if s > size):
            self._note(size, f"a checkpoint counts {larger} entries, {size} are there: the end was cut off")
        return VerifyReport(
            size=size,
            root=b64encode(self._frontier.root()).decode(),
            checkpoints=self._n_checkpoints,
            problems=tuple(self._problems),
        )

    def _check_text(self, index: int, stored: StoredEntry) -> None:
        try:
            entry = read_entry(stored.text)
        except SalernoError:
            self._note(index, f"entry {index} cannot be read")
            return
        if entry.index != index:
            self._note(index, f"entry {index} says that it is entry {entry.index}")
        if (entry.act, entry.subject) != (stored.act, stored.subject):
            self._note(index, f"entry {index} is filed under another act or subject than it states")

    def _compare(self) -> None:
        size = self._frontier.size
        roots = self._expected.get(size)
        if roots is None:
            return
        if roots == {self._frontier.root()}:
            self._held_at = size
        else:
            what = f"entries {self._held_at} to {size - 1} are not those of the checkpoint at {size}"
            self._note(self._held_at, what)

    def _read(self, note: str, origin: str, keys: Sequence[Mapping[str, Any]]) -> Checkpoint | None:
        try:
            size = parse_checkpoint(note).size
        except SalernoError:
            self._note(0, "a checkpoint cannot be read")
            return None
        for key in keys:
            try:
                checkpoint = verify_checkpoint(note, key)
            except SalernoError:
                continue
            if checkpoint.origin == origin:
                return checkpoint
        self._note(size, f"the checkpoint at {size} is not signed by this log's key")
        return None

    def _note(self, index: int, what: str) -> None:
        if len(self._problems) < _MAX_PROBLEMS:
            self._problems.append(Problem(index=index, what=what))
