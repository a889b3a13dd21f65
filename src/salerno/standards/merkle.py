"""Merkle trees of append-only logs: RFC 6962 hashing, RFC 9162 section 2.1 proofs. Pure.

A tree over `n` leaves is described by its perfect subtrees: the one at `level` and `position` covers the
leaves from ``position * 2**level`` on, ``2**level`` of them. Functions that need hashes ask a `Subtrees`
function for them, so that a proof over millions of leaves reads a few dozen hashes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256

Subtrees = Callable[[int, int], bytes]
"""Gives the hash of the perfect subtree at (level, position)."""


def leaf_hash(data: bytes) -> bytes:
    """Hash of one leaf: SHA-256 of 0x00 and the data."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node: SHA-256 of 0x01 and both children."""
    return sha256(b"\x01" + left + right).digest()


def root(leaves: Iterable[bytes]) -> bytes:
    """Root of the tree over leaf hashes; of no leaves, the SHA-256 of nothing."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier.root()


class Frontier:
    """The perfect subtrees at the right edge of a growing tree: enough to go on and to name its root."""

    def __init__(self) -> None:
        self.size = 0
        self._edge: list[bytes] = []

    def append(self, leaf: bytes) -> list[bytes]:
        """Add a leaf hash.

        Returns:
            Hashes of the perfect subtrees that it completes, level 0 (the leaf) first.
        """
        done = [leaf]
        number = self.size
        while number & 1:
            done.append(node_hash(self._edge.pop(), done[-1]))
            number >>= 1
        self._edge.append(done[-1])
        self.size += 1
        return done

    def root(self) -> bytes:
        """Root of the tree so far."""
        return _fold(self._edge)


def completed_subtrees(size: int, leaf: bytes, subtrees: Subtrees) -> list[bytes]:
    """Hashes of the perfect subtrees that are completed by appending a leaf to a tree of `size` leaves.

    Level 0 (the leaf itself) comes first; the number of hashes asked for is one less than that returned.
    """
    done = [leaf]
    position = size
    while position & 1:
        done.append(node_hash(subtrees(len(done) - 1, position - 1), done[-1]))
        position >>= 1
    return done


def tree_root(size: int, subtrees: Subtrees) -> bytes:
    """Root of the tree over the first `size` leaves."""
    return _range_hash(0, size, subtrees)


def inclusion_proof(index: int, size: int, subtrees: Subtrees) -> list[bytes]:
    """Proof that leaf `index` is in the tree over the first `size` leaves (RFC 9162 2.1.3.1).

    Raises:
        ValueError: There is no such leaf in that tree.
    """
    if not 0 <= index < size:
        raise ValueError(f"no leaf {index} in a tree of {size}")
    return [_range_hash(start, end, subtrees) for start, end in _inclusion_ranges(index, 0, size)]


def consistency_proof(old: int, new: int, subtrees: Subtrees) -> list[bytes]:
    """Proof that the tree over `old` leaves is the beginning of that over `new` (RFC 9162 2.1.4.1).

    Raises:
        ValueError: Not 0 < old <= new.
    """
    if not 0 < old <= new:
        raise ValueError(f"no proof from {old} to {new} leaves")
    return [_range_hash(start, end, subtrees) for start, end in _consistency_ranges(old, 0, new, True)]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether the proof leads from the leaf hash at `index` to the root (RFC 9162 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    first, last, computed = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if first & 1 or first == last:
            computed = node_hash(sibling, computed)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            computed = node_hash(computed, sibling)
        first, last = first >> 1, last >> 1
    return last == 0 and computed == root


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows that the old tree is the beginning of the new one (RFC 9162 2.1.4.2)."""
    if not 0 <= old <= new:
        return False
    if old in (0, new):
        # Every tree begins with the empty one; a tree equals itself.
        return not proof and (old_root == new_root if old == new else old_root == sha256(b"").digest())
    path = list(proof)
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    first, last = old - 1, new - 1
    while first & 1:
        first, last = first >> 1, last >> 1
    from_old = from_new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if first & 1 or first == last:
            from_old = node_hash(sibling, from_old)
            from_new = node_hash(sibling, from_new)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            from_new = node_hash(from_new, sibling)
        first, last = first >> 1, last >> 1
    return last == 0 and from_old == old_root and from_new == new_root


def _split(count: int) -> int:
    """Largest power of two that is smaller than `count`, which is at least 2."""
    return 1 << ((count - 1).bit_length() - 1)


def _range_hash(start: int, end: int, subtrees: Subtrees) -> bytes:
    """Hash of the tree over leaves `start` to `end`; `start` lies where a tree of that size can begin."""
    parts = []
    while start < end:
        level = (end - start).bit_length() - 1
        parts.append(subtrees(level, start >> level))
        start += 1 << level
    return _fold(parts)


def _fold(parts: Sequence[bytes]) -> bytes:
    if not parts:
        return sha256(b"").digest()
    computed = parts[-1]
    for left in reversed(parts[:-1]):
        computed = node_hash(left, computed)
    return computed


def _inclusion_ranges(index: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    if end - start == 1:
        return
    middle = start + _split(end - start)
    if index < middle:
        yield from _inclusion_ranges(index, start, middle)
        yield middle, end
    else:
        yield from _inclusion_ranges(index, middle, end)
        yield start, middle


def _consistency_ranges(old: int, start: int, end: int, whole: bool) -> Iterator[tuple[int, int]]:
    if old == end:
        if not whole:
            yield start, end
        return
    middle = start + _split(end - start)
    if old <= middle:
        yield from _consistency_ranges(old, start, middle, whole)
        yield middle, end
    else:
        yield from _consistency_ranges(old, middle, end, False)
        yield start, middle
