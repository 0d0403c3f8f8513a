"""Proofs from stored tiles: inclusion of a leaf, and consistency of two sizes, in the tree of one head.

The needed subtrees follow from the sizes alone, so the tiles of a proof are read in one round trip. In a log of up to
2^32 leaves an inclusion proof reads three full tiles at most, a consistency proof eight. Partial tiles are in the head.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from shared.ledger.log.head import LogBroken, TreeHead
from shared.ledger.log.merkle import (
    HashAt,
    consistency_proof,
    inclusion_proof,
    is_consistent,
    root_at,
    root_of_inclusion,
)
from shared.ledger.log.tiles import tile_place

_UNREAD = bytes(32)


class Subtrees(Protocol):
    """Hashes of the subtrees of one head, such as `tile_reader.TileReader`."""

    def load(self, tiles: Sequence[tuple[int, int]]) -> None:
        """Read the full ones of these tiles, by level and number. Raises LogBroken, StoreUnavailable."""

    def hash_at(self, level: int, index: int) -> bytes:
        """Return the hash of the complete subtree `index` of 2^level leaves."""


def prove_inclusion(leaf: bytes, index: int, head: TreeHead, subtrees: Subtrees) -> list[bytes]:
    """Return the inclusion proof of a leaf hash at `index`. Raises LogBroken if the stored log does not hold it."""
    proof = _loaded(lambda hash_at: inclusion_proof(index, head.size, hash_at), subtrees)
    if root_of_inclusion(leaf, index, head.size, proof) != head.root:
        raise LogBroken("inclusion", f"The log does not hold this leaf at index {index}.")
    return proof


def prove_consistency(old: int, new: int, head: TreeHead, subtrees: Subtrees) -> tuple[bytes, bytes, list[bytes]]:
    """Return the roots of two sizes up to that of the head, and the proof between them.

    Raises LogBroken if the tiles do not agree with each other or with the root of the head.
    """
    roots: list[bytes] = []

    def proved(hash_at: HashAt) -> list[bytes]:
        roots[:] = [root_at(old, hash_at), root_at(new, hash_at)]
        return consistency_proof(old, new, hash_at)

    proof = _loaded(proved, subtrees)
    old_root, new_root = roots
    is_of_head = new != head.size or new_root == head.root
    if not (is_of_head and is_consistent(old, old_root, new, new_root, proof)):
        raise LogBroken("consistency", f"The stored tiles do not lead from size {old} to size {new}.")
    return old_root, new_root, proof


def _loaded(make: Callable[[HashAt], list[bytes]], subtrees: Subtrees) -> list[bytes]:
    """Return the proof that `make` builds. Called twice: first to learn the needed tiles, then with their hashes."""
    places: list[tuple[int, int]] = []

    def noted(level: int, index: int) -> bytes:
        places.append(tile_place(level, index))
        return _UNREAD

    make(noted)
    subtrees.load(places)
    return make(subtrees.hash_at)
