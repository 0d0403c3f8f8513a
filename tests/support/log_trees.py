"""Logs in memory: leaves in tiles, a signed checkpoint, and proofs from the tiles that were read."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from shared.ledger.log.checkpoints import Checkpoint
from shared.ledger.log.head import EMPTY_HEAD, LogBroken, TreeHead, appended, head_data, stored_head
from shared.ledger.log.merkle import leaf_hash, root_at
from shared.ledger.log.notes import SeedSigner, signed
from shared.ledger.log.proof_text import ProofText
from shared.ledger.log.proofs import prove_inclusion
from shared.ledger.log.tile_names import TileName
from shared.ledger.log.tiles import (
    TILE_BYTES,
    TILE_HEIGHT,
    TILE_WIDTH,
    hash_in_tile,
    hashes_of,
    levels_of,
    tile_place,
    tile_root,
    tile_width,
)

TilePlace = tuple[int, int]


ORIGIN = "ledger.example.com/prod-1"
SIGNER = SeedSigner(ORIGIN, bytes(range(32)))


class MemoryTiles:
    """Subtrees from a dictionary of full tiles. `read` names the tiles that were read."""

    def __init__(self, head: TreeHead, tiles: Mapping[TilePlace, bytes]) -> None:
        self._head = head
        self._tiles = tiles
        self.read: list[TilePlace] = []

    def load(self, tiles: Sequence[TilePlace]) -> None:
        for place in dict.fromkeys(tiles):
            if self._head.partial_tile(*place) is None:
                self.read.append(place)
                if len(self._tiles.get(place, b"")) != TILE_BYTES:
                    raise LogBroken("tile", f"{place} is missing")

    def hash_at(self, level: int, index: int) -> bytes:
        place = tile_place(level, index)
        return hash_in_tile(self._head.partial_tile(*place) or self._tiles[place], level, index)


class MemoryLog:
    """Log whose full tiles stand in a dictionary."""

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self.tiles: dict[TilePlace, bytes] = {}
        self.head: TreeHead = EMPTY_HEAD
        self.leaves: list[bytes] = []
        self.append(leaves)

    def append(self, leaves: Iterable[bytes]) -> None:
        new = list(leaves)
        grown = appended(self.head, [leaf_hash(leaf) for leaf in new])
        self.leaves += new
        self.head, self.tiles = grown.head, {**self.tiles, **grown.tiles}

    def subtrees(self) -> "MemoryTiles":
        return MemoryTiles(self.head, self.tiles)

    def tile(self, level: int, number: int) -> bytes:
        """Full or partial."""
        return self.head.partial_tile(level, number) or self.tiles[level, number]

    def checkpoint(self, signer: SeedSigner = SIGNER) -> str:
        head = self.head
        return str(signed(str(Checkpoint(origin=signer.vkey.name, size=head.size, root=head.root)), signer))

    def proof(self, index: int, signer: SeedSigner = SIGNER) -> str:
        hashes = prove_inclusion(leaf_hash(self.leaves[index]), index, self.head, self.subtrees())
        return str(ProofText(index=index, hashes=tuple(hashes), note=self.checkpoint(signer)))


def large_tree(size: int, leaf: bytes, index: int) -> tuple[TreeHead, dict[TilePlace, bytes]]:
    """A log of any size with the leaf hash at an index: random hashes, but the tiles above the leaf are right."""
    tiles: dict[TilePlace, bytes] = {}
    at, here = index, leaf
    for level in range(levels_of(size)):
        number, place = divmod(at, TILE_WIDTH)
        width = tile_width(size, level, number)
        hashes = [hashlib.sha256(f"{level} {number} {each}".encode()).digest() for each in range(width)]
        hashes[place] = here
        tiles[level, number] = b"".join(hashes)
        if width < TILE_WIDTH:
            break
        at, here = number, tile_root(hashes)
    head = _head(size, tiles)
    return head, {place: tile for place, tile in tiles.items() if head.partial_tile(*place) is None}


def _head(size: int, tiles: Mapping[TilePlace, bytes]) -> TreeHead:
    edge: list[bytes] = []
    for level in range(levels_of(size)):
        count = size >> (TILE_HEIGHT * level)
        last, width = count // TILE_WIDTH, count % TILE_WIDTH
        random = (hashlib.sha256(f"{level} {last} {each}".encode()).digest() for each in range(width))
        edge.append(tiles.get((level, last)) or b"".join(random))

    def hash_at(level: int, index: int) -> bytes:
        return hash_in_tile(edge[tile_place(level, index)[0]], level, index)

    return stored_head(head_data(TreeHead(size=size, root=root_at(size, hash_at), edge=tuple(edge))))


def changed_bits(data: bytes, every: int = 1) -> Iterable[bytes]:
    """The data with one bit changed, for every so many bits."""
    for bit in range(0, len(data) * 8, every):
        yield data[: bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1 :]


def log_folder_files(log: MemoryLog) -> Mapping[str, bytes]:
    """The log's public files by path, as a client of C2SP tlog-tiles would fetch them."""
    files = {"vkey": str(SIGNER.vkey).encode(), "checkpoint": log.checkpoint().encode()}
    for level in range(levels_of(log.head.size)):
        for number in range(-(-(log.head.size >> (TILE_HEIGHT * level)) // TILE_WIDTH)):
            tile = log.tile(level, number)
            files[f"tile/{TileName(level=level, number=number, width=len(hashes_of(tile)))}"] = tile
    return files
