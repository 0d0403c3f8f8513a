"""Head of the log: size, root and the partial tile of each level. Enough to append leaves without reading a tile.

`ledger_log/head` stores the newest head; each checkpoint stores the head that it signs, so that a proof of that size
reads no partial tile from elsewhere. Full tiles are stored at `ledger_log/head/tiles/{level}-{number}`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.kernel.documents import Data, Value
from shared.kernel.errors import Conflict
from shared.ledger.log.merkle import EMPTY_ROOT, HASH_BYTES, root_at
from shared.ledger.log.tiles import (
    TILE_BYTES,
    TILE_HEIGHT,
    TILE_WIDTH,
    hash_in_tile,
    hashes_of,
    level_width,
    levels_of,
    tile_place,
    tile_root,
)

HEAD_PATH = "ledger_log/head"
SIZE_MAX = 2**62
NUMBER_DIGITS = 10


class LogBroken(Conflict):
    """Stored data of the log that the sequencer did not write so. Nothing is appended; an operator must act.

    `rule` names the law: head, tile, behind, gap.
    """

    code = "log_broken"

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(detail, rule=rule)


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeHead:
    """Tree of the first `size` leaves: the root, and the partial tile of each level from the leaves up."""

    size: int
    root: bytes
    edge: tuple[bytes, ...] = ()

    def partial_tile(self, level: int, number: int) -> bytes | None:
        """Return the tile's hashes if the tile is the partial one of the level, else None."""
        if level >= len(self.edge) or number != level_width(self.size, level) // TILE_WIDTH:
            return None
        return self.edge[level] or None


@dataclass(frozen=True, slots=True, kw_only=True)
class GrownTree:
    """Head with more leaves, and the tiles that became full, by level and number."""

    head: TreeHead
    tiles: Mapping[tuple[int, int], bytes]


EMPTY_HEAD = TreeHead(size=0, root=EMPTY_ROOT)


def appended(head: TreeHead, leaf_hashes: Sequence[bytes]) -> GrownTree:
    """Return the head with these leaves behind the last, and the tiles that became full."""
    edge, full = list(head.edge), dict[tuple[int, int], bytes]()
    new, level = list(leaf_hashes), 0
    while new:
        if level == len(edge):
            edge.append(b"")
        number = level_width(head.size, level) // TILE_WIDTH
        row = edge[level] + b"".join(new)
        cut = len(row) - len(row) % TILE_BYTES
        tiles = [row[start : start + TILE_BYTES] for start in range(0, cut, TILE_BYTES)]
        full.update({(level, number + more): tile for more, tile in enumerate(tiles)})
        edge[level], new, level = row[cut:], [tile_root(hashes_of(tile)) for tile in tiles], level + 1
    size = head.size + len(leaf_hashes)
    return GrownTree(head=TreeHead(size=size, root=_root(size, edge), edge=tuple(edge)), tiles=full)


def tile_path(level: int, number: int) -> str:
    """Return `ledger_log/head/tiles/{level}-{number}`, the path of a full tile's document `{hashes}`."""
    return f"{HEAD_PATH}/tiles/{level}-{number:0{NUMBER_DIGITS}d}"


def head_data(head: TreeHead) -> Data:
    """Return the stored fields of a head: `tree` with size, root, and the partial tiles one behind another."""
    return {"tree": {"size": head.size, "root": head.root, "edge": b"".join(head.edge)}}


def stored_head(data: Data) -> TreeHead:
    """Return the head in the fields of a document. Raises LogBroken unless its partial tiles give its root."""
    tree = data.get("tree")
    fields: Mapping[str, Value] = tree if isinstance(tree, Mapping) else {}
    size, root, edge = fields.get("size"), fields.get("root"), fields.get("edge")
    if not (isinstance(size, int) and isinstance(root, bytes) and isinstance(edge, bytes)):
        raise LogBroken("head", "The head of the log has fields of a wrong type.")
    if isinstance(size, bool) or not 0 <= size <= SIZE_MAX or len(edge) != sum(_edge_bytes(size)):
        raise LogBroken("head", "The head of the log has partial tiles that do not fit its size.")
    parts = _split(edge, _edge_bytes(size))
    if _root(size, parts) != root:
        raise LogBroken("head", "The head of the log has a root that its partial tiles do not give.")
    return TreeHead(size=size, root=root, edge=tuple(parts))


def _edge_bytes(size: int) -> list[int]:
    """Return the bytes of the partial tile of each level."""
    return [level_width(size, level) % TILE_WIDTH * HASH_BYTES for level in range(levels_of(size))]


def _split(edge: bytes, lengths: Sequence[int]) -> list[bytes]:
    parts, at = list[bytes](), 0
    for length in lengths:
        parts.append(edge[at : at + length])
        at += length
    return parts


def _root(size: int, edge: Sequence[bytes]) -> bytes:
    """Return the root. Its peaks are complete subtrees at the right edge, and each is made from one partial tile."""

    def hash_at(level: int, index: int) -> bytes:
        return hash_in_tile(edge[tile_place(level, index)[0]], level, index)

    assert len(edge) * TILE_HEIGHT >= size.bit_length(), "every level with a hash has a partial tile, perhaps empty"
    return root_at(size, hash_at)
