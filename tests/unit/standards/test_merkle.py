"""Merkle trees against the recursive definitions of RFC 9162 section 2.1, written down literally."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from salerno.standards import merkle

# ---- the definitions, as the RFC states them


def mth(leaves: list[bytes]) -> bytes:
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def split(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def path(m: int, leaves: list[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def subproof(m: int, leaves: list[bytes], whole: bool) -> list[bytes]:
    if m == len(leaves):
        return [] if whole else [mth(leaves)]
    k = split(len(leaves))
    if m <= k:
        return [*subproof(m, leaves[:k], whole), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), mth(leaves[:k])]


# ---- a store of perfect subtrees, grown one leaf at a time


class Tree:
    def __init__(self) -> None:
        self.hashes: dict[tuple[int, int], bytes] = {}
        self.size = 0
        self.asked = 0

    def subtrees(self, level: int, position: int) -> bytes:
        self.asked += 1
        return self.hashes[level, position]

    def append(self, leaf: bytes) -> None:
        for level, value in enumerate(merkle.completed_subtrees(self.size, leaf, self.subtrees)):
            self.hashes[level, self.size >> level] = value
        self.size += 1


def leaves_of(n: int) -> list[bytes]:
    return [merkle.leaf_hash(str(i).encode()) for i in range(n)]


def tree_of(n: int) -> Tree:
    tree = Tree()
    for leaf in leaves_of(n):
        tree.append(leaf)
    return tree


def test_hashing_is_that_of_rfc_6962() -> None:
    assert merkle.leaf_hash(b"").hex() == sha256(b"\x00").hexdigest()
    assert merkle.node_hash(b"a", b"b") == sha256(b"\x01ab").digest()
    assert merkle.root([]).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize("n", range(70))
def test_roots_and_inclusion_proofs_of_small_trees(n: int) -> None:
    leaves, tree = leaves_of(n), tree_of(n)
    assert merkle.root(leaves) == merkle.tree_root(n, tree.subtrees) == mth(leaves)
    for m in range(n):
        proof = merkle.inclusion_proof(m, n, tree.subtrees)
        assert proof == path(m, leaves)
        assert merkle.verify_inclusion(leaves[m], m, n, proof, mth(leaves))


@pytest.mark.parametrize("n", range(1, 40))
def test_consistency_proofs_of_small_trees(n: int) -> None:
    leaves, tree = leaves_of(n), tree_of(n)
    for m in range(1, n + 1):
        proof = merkle.consistency_proof(m, n, tree.subtrees)
        assert proof == subproof(m, leaves, True)
        assert merkle.verify_consistency(m, n, mth(leaves[:m]), mth(leaves), proof)


TREES = st.lists(st.binary(max_size=8), min_size=1, max_size=120)


@given(TREES, st.data())
def test_inclusion_holds_for_its_leaf_place_size_and_root_alone(
    data: list[bytes], draw: st.DataObject
) -> None:
    leaves = [merkle.leaf_hash(d) for d in data]
    tree = Tree()
    for leaf in leaves:
        tree.append(leaf)
    n, root = len(leaves), mth(leaves)
    m = draw.draw(st.integers(0, n - 1))
    proof = merkle.inclusion_proof(m, n, tree.subtrees)
    assert merkle.verify_inclusion(leaves[m], m, n, proof, root)
    assert not merkle.verify_inclusion(merkle.leaf_hash(b"another" * 2), m, n, proof, root)
    assert not merkle.verify_inclusion(leaves[m], m, n, proof, sha256(root).digest())
    other = draw.draw(st.integers(0, n + 3))
    if other >= n or leaves[other] != leaves[m]:
        assert not merkle.verify_inclusion(leaves[m], other, n, proof, root) or other == m
    assert not merkle.verify_inclusion(leaves[m], m, n, [*proof, root], root)
    if proof:
        assert not merkle.verify_inclusion(leaves[m], m, n, proof[:-1], root)
        spoilt = draw.draw(st.integers(0, len(proof) - 1))
        changed = [sha256(h).digest() if i == spoilt else h for i, h in enumerate(proof)]
        assert not merkle.verify_inclusion(leaves[m], m, n, changed, root)


@given(st.integers(1, 100), st.integers(0, 100), st.data())
def test_consistency_holds_for_its_two_trees_alone(m: int, more: int, draw: st.DataObject) -> None:
    n = m + more
    leaves, tree = leaves_of(n), tree_of(n)
    old, new = mth(leaves[:m]), mth(leaves)
    proof = merkle.consistency_proof(m, n, tree.subtrees)
    assert merkle.verify_consistency(m, n, old, new, proof)
    assert not merkle.verify_consistency(m, n, sha256(old).digest(), new, proof)
    assert not merkle.verify_consistency(m, n, old, sha256(new).digest(), proof)
    assert not merkle.verify_consistency(m, n, old, new, [*proof, new])
    if proof:
        assert not merkle.verify_consistency(m, n, old, new, proof[:-1])
        spoilt = draw.draw(st.integers(0, len(proof) - 1))
        changed = [sha256(h).digest() if i == spoilt else h for i, h in enumerate(proof)]
        assert not merkle.verify_consistency(m, n, old, new, changed)
    # A rewritten history of the same length is not consistent.
    place = draw.draw(st.integers(0, m - 1))
    rewritten = [merkle.leaf_hash(b"forged") if i == place else h for i, h in enumerate(leaves)]
    assert not merkle.verify_consistency(m, n, old, mth(rewritten), proof)


def test_edges_of_consistency() -> None:
    root = mth(leaves_of(5))
    empty = sha256(b"").digest()
    assert merkle.verify_consistency(0, 5, empty, root, [])
    assert not merkle.verify_consistency(0, 5, root, root, [])
    assert not merkle.verify_consistency(0, 5, empty, root, [root])
    assert merkle.verify_consistency(5, 5, root, root, [])
    assert not merkle.verify_consistency(6, 5, root, root, [])
    assert not merkle.verify_consistency(3, 5, root, root, [])
    for old in (0, 6):
        with pytest.raises(ValueError, match="no proof"):
            merkle.consistency_proof(old, 5, tree_of(5).subtrees)
    with pytest.raises(ValueError, match="no leaf"):
        merkle.inclusion_proof(5, 5, tree_of(5).subtrees)


def test_proofs_of_a_large_tree_ask_for_few_hashes() -> None:
    tree = tree_of(5000)
    tree.asked = 0
    merkle.inclusion_proof(1234, 5000, tree.subtrees)
    merkle.consistency_proof(4097, 5000, tree.subtrees)
    assert tree.asked < 60


def test_a_frontier_names_the_subtrees_that_a_leaf_completes() -> None:
    frontier, tree = merkle.Frontier(), tree_of(64)
    for index, leaf in enumerate(leaves_of(64)):
        for level, value in enumerate(frontier.append(leaf)):
            assert tree.hashes[level, index >> level] == value
        assert frontier.root() == mth(leaves_of(index + 1))
