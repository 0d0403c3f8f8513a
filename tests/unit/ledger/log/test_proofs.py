"""Proofs from tiles: every leaf and every pair of sizes, few reads in a large log, and no proof from damaged tiles."""

import pytest

from shared.ledger.log.head import LogBroken
from shared.ledger.log.merkle import is_consistent, leaf_hash, root_of, root_of_inclusion
from shared.ledger.log.proof_text import ProofText
from shared.ledger.log.proofs import prove_consistency, prove_inclusion
from tests.support.log_trees import MemoryLog, MemoryTiles, large_tree

LEAVES = [f"leaf {number}".encode() for number in range(700)]
LARGE = 2**27


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 511, 512, 700])
def test_every_leaf_is_proved_from_tiles_of_any_width(size):
    log = MemoryLog(LEAVES[:size])

    for index in [*range(0, size, 37), size - 1]:
        proof = prove_inclusion(leaf_hash(LEAVES[index]), index, log.head, log.subtrees())

        assert root_of_inclusion(leaf_hash(LEAVES[index]), index, size, proof) == log.head.root


@pytest.mark.parametrize(("old", "new"), [(1, 1), (1, 700), (255, 257), (256, 512), (512, 513), (699, 700), (700, 700)])
def test_two_sizes_are_proved_to_be_of_one_log(old, new):
    log = MemoryLog(LEAVES)

    old_root, new_root, proof = prove_consistency(old, new, log.head, log.subtrees())

    hashes = [leaf_hash(leaf) for leaf in LEAVES]
    assert (old_root, new_root) == (root_of(hashes[:old]), root_of(hashes[:new]))
    assert is_consistent(old, old_root, new, new_root, proof)


def test_a_checkpoint_behind_the_log_proves_with_its_own_edge():
    log = MemoryLog(LEAVES[:300])
    signed = log.head
    log.append(LEAVES[300:])

    proof = prove_inclusion(leaf_hash(LEAVES[299]), 299, signed, MemoryTiles(signed, log.tiles))

    assert root_of_inclusion(leaf_hash(LEAVES[299]), 299, 300, proof) == signed.root


@pytest.mark.parametrize("index", [0, 12_345_678, LARGE - 1])
@pytest.mark.parametrize("size", [LARGE, LARGE + 77_777, LARGE + 2**16 + 1])
def test_a_proof_reads_three_tiles_and_is_short_in_a_large_log(index, size):
    leaf = leaf_hash(b"leaf")
    head, tiles = large_tree(size, leaf, index)
    subtrees = MemoryTiles(head, tiles)

    proof = prove_inclusion(leaf, index, head, subtrees)

    text = str(ProofText(index=index, hashes=tuple(proof), note=MemoryLog([b""]).checkpoint()))
    assert len(subtrees.read) <= 3
    assert len(text) <= 1_600


def test_a_consistency_proof_reads_few_tiles_in_a_large_log():
    head, _ = large_tree(LARGE + 12_345, leaf_hash(b""), 0)
    loaded: list[tuple[int, int]] = []

    class Noted(MemoryTiles):
        def load(self, tiles):
            loaded.extend(tiles)
            super().load(tiles)

    with pytest.raises(LogBroken):
        prove_consistency(12_345_678, LARGE, head, Noted(head, {}))
    assert len({place for place in loaded if head.partial_tile(*place) is None}) <= 8


def test_no_proof_is_made_for_another_leaf():
    log = MemoryLog(LEAVES[:300])

    with pytest.raises(LogBroken, match="does not hold this leaf at index 7"):
        prove_inclusion(leaf_hash(b"another"), 7, log.head, log.subtrees())


def test_no_proof_is_made_from_a_damaged_tile():
    log = MemoryLog(LEAVES)
    tile = bytearray(log.tiles[0, 1])
    tile[100] ^= 1
    log.tiles[0, 1] = bytes(tile)

    with pytest.raises(LogBroken, match="does not hold"):
        prove_inclusion(leaf_hash(LEAVES[300]), 300, log.head, log.subtrees())
    with pytest.raises(LogBroken, match="do not lead"):
        prove_consistency(300, 700, log.head, log.subtrees())


@pytest.mark.parametrize("tile", [None, b"", bytes(32), bytes(8_191)])
def test_no_proof_is_made_from_a_missing_or_cut_tile(tile):
    log = MemoryLog(LEAVES)
    del log.tiles[0, 0]
    if tile is not None:
        log.tiles[0, 0] = tile

    with pytest.raises(LogBroken, match="is missing"):
        prove_inclusion(leaf_hash(LEAVES[3]), 3, log.head, log.subtrees())
