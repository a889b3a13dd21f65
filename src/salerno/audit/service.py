"""The append-only log of a node: one entry per act, in the act's own transaction."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from salerno.audit.model import Entry, Receipt, StoredEntry, VerifyReport
from salerno.audit.rules import Verifier, check_act, check_detail, read_entry, render_entry
from salerno.kernel.errors import Invalid, NotFound, SalernoError
from salerno.kernel.time import Clock
from salerno.standards import merkle
from salerno.standards.notes import Checkpoint, sign_checkpoint, verify_checkpoint

_CHUNK = 2048


class AuditStore(Protocol):
    """What the log needs of its store, within one transaction."""

    def lock(self) -> None:
        """Wait until no other transaction appends, and keep others from it until this one ends."""

    def size(self) -> int:
        """Number of entries: one more than the highest index."""

    def add(self, entry: StoredEntry, subtrees: list[bytes]) -> None:
        """Store an entry and the perfect subtrees that it completes, level 0 first."""

    def subtree(self, level: int, position: int) -> bytes:
        """Hash of a perfect subtree."""

    def entry(self, index: int) -> StoredEntry | None:
        """The entry at an index."""

    def entries(self, *, after: int, limit: int, act: str = "", subject: str = "") -> list[StoredEntry]:
        """Entries with a higher index than `after`, in order; only of that act or subject when given."""

    def subtrees(self, first: int, last: int) -> dict[tuple[int, int], bytes]:
        """Stored subtree hashes by (last leaf, level), where the last leaf is in `first` to `last`."""

    def last_leaf(self) -> int:
        """Highest leaf that a stored subtree ends with, -1 without any."""

    def add_checkpoint(self, size: int, note: str) -> None:
        """Keep a checkpoint."""

    def checkpoints(self) -> list[str]:
        """All kept checkpoints, the oldest first."""

    def latest_checkpoint(self) -> str:
        """The checkpoint kept last, empty when there is none."""

    def after_rollback(self, work: Callable[[AuditStore], None]) -> None:
        """Do `work` on a store of its own transaction when this one is rolled back."""


class CheckpointSigner(Protocol):
    """Signs checkpoints with the node's Ed25519 key."""

    def sign(self, data: bytes) -> bytes:
        """The Ed25519 signature of `data`."""

    def signing_jwk(self) -> dict[str, Any]:
        """The public key as JWK."""


class AuditLog:
    """The node's log, bound to one transaction.

    Args:
        store: Where entries and hashes are kept.
        clock: Gives the instant of an entry.
        signer: The node's key, for checkpoints.
        origin: Name of the log in checkpoints, e.g. ``example.org/audit``.
    """

    def __init__(self, store: AuditStore, clock: Clock, signer: CheckpointSigner, origin: str) -> None:
        self._store = store
        self._clock = clock
        self._signer = signer
        self._origin = origin

    def append(
        self,
        *,
        actor: str,
        act: str,
        subject: str,
        detail: Mapping[str, Any] | None = None,
        rule: str = "",
    ) -> int:
        """Write down an act; it counts when the transaction is committed.

        Args:
            actor: Who did it: an account's or participant's identifier, never a name.
            act: What was done, e.g. ``permit-issued``.
            subject: Identifier of what it was done to.
            detail: Further facts: text, numbers, truth values, lists of text; no personal data.
            rule: Legal or technical ground.

        Returns:
            Index of the entry.

        Raises:
            Invalid: The act or a detail is not of the right kind.
        """
        check_act(act)
        checked = check_detail(detail or {})
        self._store.lock()
        index = self._store.size()
        entry = Entry(
            index=index,
            at=self._clock.now(),
            actor=actor,
            act=act,
            subject=subject,
            rule=rule,
            detail=checked,
        )
        text = render_entry(entry)
        subtrees = merkle.completed_subtrees(index, merkle.leaf_hash(text.encode()), self._store.subtree)
        self._store.add(StoredEntry(index, text, act, subject), subtrees)
        return index

    def append_refusal(
        self,
        *,
        actor: str,
        act: str,
        subject: str,
        detail: Mapping[str, Any] | None = None,
        rule: str = "",
    ) -> None:
        """Write down that something was refused, just before the refusal is raised.

        The raised error rolls the transaction back; the entry is then written in a transaction of its own.
        """
        self.append(actor=actor, act=act, subject=subject, detail=detail, rule=rule)

        def again(store: AuditStore) -> None:
            log = AuditLog(store, self._clock, self._signer, self._origin)
            log.append(actor=actor, act=act, subject=subject, detail=detail, rule=rule)

        self._store.after_rollback(again)

    def size(self) -> int:
        """Number of entries."""
        return self._store.size()

    def entries(self, *, after: int = -1, limit: int = 100, act: str = "", subject: str = "") -> list[Entry]:
        """Entries in order.

        Args:
            after: Only those with a higher index.
            limit: At most so many, 1 to 1000.
            act: Only this act; empty for all.
            subject: Only about this thing; empty for all.
        """
        stored = self._store.entries(after=after, limit=min(max(limit, 1), 1000), act=act, subject=subject)
        return [read_entry(s.text) for s in stored]

    def checkpoint(self) -> str:
        """The present state of the log as a signed note, which is kept."""
        self._store.lock()
        size = self._store.size()
        now = Checkpoint(self._origin, size, merkle.tree_root(size, self._store.subtree))
        latest = self._store.latest_checkpoint()
        if latest and self._is_ours(latest, now):
            return latest
        note = sign_checkpoint(now, self._signer.sign, self._signer.signing_jwk())
        self._store.add_checkpoint(size, note)
        return note

    def receipt(self, index: int) -> Receipt:
        """Proof that an entry is in the log, to be checked offline by `rules.verify_receipt`.

        Raises:
            NotFound: There is no such entry.
        """
        stored = self._store.entry(index) if index >= 0 else None
        if stored is None:
            raise NotFound("audit-entry", f"The log has no entry {index}")
        note = self.checkpoint()
        proof = merkle.inclusion_proof(index, self._store.size(), self._store.subtree)
        return Receipt(
            index=index,
            entry=stored.text,
            proof=tuple(b64encode(h).decode() for h in proof),
            checkpoint=note,
        )

    def consistency(self, old: int, new: int) -> list[str]:
        """Proof that the log at `old` entries is the beginning of that at `new`, base64 hashes.

        Raises:
            Invalid: Not 0 < old <= new <= size.
        """
        if not 0 < old <= new <= self._store.size():
            raise Invalid(
                "audit-range", f"There is no proof from {old} to {new} of {self._store.size()} entries"
            )
        return [b64encode(h).decode() for h in merkle.consistency_proof(old, new, self._store.subtree)]

    def verify(
        self, *, checkpoints: Iterable[str] = (), former_keys: Iterable[Mapping[str, Any]] = ()
    ) -> VerifyReport:
        """Recompute the whole log: each entry's hash, each subtree, each checkpoint.

        Takes time in proportion to the log; use a transaction that only reads.

        Args:
            checkpoints: Signed notes kept elsewhere, which detect what a thief of the whole store could hide.
            former_keys: Public keys that signed older checkpoints.
        """
        keys = [self._signer.signing_jwk(), *former_keys]
        verifier = Verifier([*self._store.checkpoints(), *checkpoints], self._origin, keys)
        size = self._store.size()
        for first in range(0, size, _CHUNK):
            last = min(first + _CHUNK, size) - 1
            stored = {e.index: e for e in self._store.entries(after=first - 1, limit=last - first + 1)}
            hashes = self._store.subtrees(first, last)
            for index in range(first, last + 1):
                verifier.check(index, stored.get(index), hashes)
        return verifier.finish(self._store.last_leaf())

    def _is_ours(self, note: str, expected: Checkpoint) -> bool:
        try:
            return verify_checkpoint(note, self._signer.signing_jwk()) == expected
        except SalernoError:
            return False
