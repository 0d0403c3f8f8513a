"""Merkle trees: the published vectors, and proofs of every leaf and size held against a naive tree."""

import json
from base64 import b64decode
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from shared.ledger.log.merkle import (
    EMPTY_ROOT,
    InvalidProof,
    consistency_proof,
    inclusion_proof,
    is_consistent,
    leaf_hash,
    node_hash,
    root_at,
    root_of,
    root_of_inclusion,
)

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[3] / "data" / "merkle_vectors.json").read_text())
LEAVES = [leaf_hash(bytes([number])) for number in range(70)]


def naive_root(leaves: list[bytes]) -> bytes:
    """The definition of RFC 6962 §2.1, as it stands there."""
    if len(leaves) <= 1:
        return leaves[0] if leaves else EMPTY_ROOT
    split = max(1 << power for power in range(len(leaves).bit_length()) if 1 << power < len(leaves))
    return node_hash(naive_root(leaves[:split]), naive_root(leaves[split:]))


def hash_at(level: int, index: int) -> bytes:
    first, end = index << level, (index + 1) << level
    assert end <= len(LEAVES), "only complete subtrees are asked for"
    return naive_root(LEAVES[first:end])


def is_included(leaf: bytes, index: int, size: int, root: bytes, proof: list[bytes]) -> bool:
    try:
        return root_of_inclusion(leaf, index, size, proof) == root
    except InvalidProof:
        return False


@pytest.mark.parametrize("vector", VECTORS["inclusion"], ids=lambda vector: vector["name"])
def test_each_published_inclusion_proof_is_judged_as_published(vector):
    leaf, root, *proof = (b64decode(text) for text in (vector["leafHash"], vector["root"], *vector["proof"]))

    assert is_included(leaf, vector["leafIdx"], vector["treeSize"], root, proof) is not vector["wantErr"]


@pytest.mark.parametrize("vector", VECTORS["consistency"], ids=lambda vector: vector["name"])
def test_each_published_consistency_proof_is_judged_as_published(vector):
    old, new, *proof = (b64decode(text) for text in (vector["root1"], vector["root2"], *vector["proof"]))

    assert is_consistent(vector["size1"], old, vector["size2"], new, proof) is not vector["wantErr"]


def test_all_196_published_proofs_are_tried():
    assert len(VECTORS["inclusion"]) + len(VECTORS["consistency"]) == 196


def test_the_root_is_that_of_the_definition_at_every_size():
    sizes = range(len(LEAVES) + 1)

    expected = [naive_root(LEAVES[:size]) for size in sizes]

    assert [root_of(LEAVES[:size]) for size in sizes] == expected
    assert [root_at(size, hash_at) for size in sizes] == expected


def test_every_leaf_is_proved_at_every_size_and_no_other_leaf():
    for size in range(1, len(LEAVES) + 1):
        root = naive_root(LEAVES[:size])
        for index in range(size):
            proof = inclusion_proof(index, size, hash_at)

            assert is_included(LEAVES[index], index, size, root, proof)
            assert not is_included(LEAVES[index], index ^ 1, size, root, proof)
            assert not is_included(LEAVES[index - 1], index, size, root, proof) or size == 1


def test_every_tree_is_proved_to_begin_with_every_smaller_one():
    roots = [naive_root(LEAVES[:size]) for size in range(len(LEAVES) + 1)]
    for new in range(1, len(LEAVES) + 1):
        for old in range(1, new + 1):
            proof = consistency_proof(old, new, hash_at)

            assert is_consistent(old, roots[old], new, roots[new], proof)
            assert not is_consistent(old, roots[old - 1], new, roots[new], proof)
            assert not is_consistent(old, roots[old], new, roots[new - 1], proof)


@pytest.mark.parametrize(("index", "size"), [(0, 1), (5, 7), (41, 70), (69, 70)])
def test_an_inclusion_proof_with_one_changed_bit_is_refused(index, size):
    proof, root = inclusion_proof(index, size, hash_at), naive_root(LEAVES[:size])
    for place, each in enumerate(proof):
        for bit in range(0, 256, 37):
            changed = (int.from_bytes(each) ^ 1 << bit).to_bytes(32)

            assert not is_included(LEAVES[index], index, size, root, [*proof[:place], changed, *proof[place + 1 :]])


def test_a_proof_of_another_length_is_refused_with_a_sentence():
    proof = inclusion_proof(41, 70, hash_at)

    for wrong, sentence in [(proof[:-1], "fewer hashes"), ([*proof, LEAVES[0]], "more hashes")]:
        with pytest.raises(InvalidProof, match=f"{sentence} than leaf 41 of 70 needs"):
            root_of_inclusion(LEAVES[41], 41, 70, wrong)


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0), (4, 3)])
def test_a_leaf_outside_the_tree_has_no_proof(index, size):
    with pytest.raises(InvalidProof):
        inclusion_proof(index, size, hash_at)
    with pytest.raises(InvalidProof):
        root_of_inclusion(LEAVES[0], index, size, [])


@pytest.mark.parametrize(("old", "new"), [(0, 3), (4, 3), (-1, 3), (0, 0)])
def test_a_tree_is_not_proved_to_begin_with_none_or_a_larger_one(old, new):
    with pytest.raises(InvalidProof):
        consistency_proof(old, new, hash_at)
    assert not is_consistent(old, EMPTY_ROOT, new, root_of(LEAVES[:3]), [])


def test_a_proof_asks_for_few_hashes_of_a_large_tree():
    asked: list[tuple[int, int]] = []

    def recorded(level: int, index: int) -> bytes:
        asked.append((level, index))
        return bytes(32)

    inclusion_proof(2**26 + 12345, 2**27 + 2**13 + 7, recorded)

    assert len(asked) <= 2 * 28
    assert len(set(asked)) == len(asked)
    assert all(upper < 2**28 >> level for level, upper in asked)


def test_a_leaf_is_no_node():
    left, right = LEAVES[:2]

    assert leaf_hash(left + right) != node_hash(left, right)
    assert all(first != second for first, second in pairwise(LEAVES))
