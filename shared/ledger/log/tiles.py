"""Tiles (C2SP tlog-tiles): 256 hashes of one level in one value, and the hashes of subtrees made from tiles.

Tile level L has the hashes of the complete subtrees of 256^L leaves. Tile `number` of a level has the hashes from
`number`·256 on. A full tile never changes and is stored once; the partial tile of each level is part of the head.
"""

from collections.abc import Sequence

from shared.ledger.log.merkle import HASH_BYTES, node_hash

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
"""Hashes of a full tile."""
TILE_BYTES = TILE_WIDTH * HASH_BYTES
TILE_LEVELS_MAX = 8
"""Tile levels of the largest log: 2^63 leaves."""


def tile_width(size: int, level: int, number: int) -> int:
    """Return the number of hashes that the tile has in a tree of `size` leaves: 0 to 256. 0: there is no such tile."""
    return max(0, min(TILE_WIDTH, level_width(size, level) - number * TILE_WIDTH))


def level_width(size: int, level: int) -> int:
    """Return the number of complete subtrees of 256^level leaves in a tree of `size` leaves."""
    return size >> (TILE_HEIGHT * level)


def levels_of(size: int) -> int:
    """Return the number of tile levels with a hash in a tree of `size` leaves."""
    return -(-size.bit_length() // TILE_HEIGHT)


def tile_place(level: int, index: int) -> tuple[int, int]:
    """Return level and number of the tile from which the hash of subtree `index` of 2^level leaves is made."""
    below = level % TILE_HEIGHT
    return level // TILE_HEIGHT, (index << below) // TILE_WIDTH


def hash_in_tile(tile: bytes, level: int, index: int) -> bytes:
    """Return the hash of subtree `index` of 2^level leaves, made from the tile that `tile_place` names."""
    below = level % TILE_HEIGHT
    first = (index << below) % TILE_WIDTH
    return tile_root(hashes_of(tile)[first : first + (1 << below)])


def hashes_of(tile: bytes) -> list[bytes]:
    """Return the hashes of a full or partial tile."""
    return [tile[start : start + HASH_BYTES] for start in range(0, len(tile), HASH_BYTES)]


def tile_root(hashes: Sequence[bytes]) -> bytes:
    """Return the hash of the complete subtree above these hashes, whose number is a power of two."""
    while len(hashes) > 1:
        hashes = [node_hash(hashes[at], hashes[at + 1]) for at in range(0, len(hashes), 2)]
    return hashes[0]
