"""Anchors: each signed checkpoint and each tile as an object of its own, where nothing can be changed or deleted.

The bucket has a locked retention policy, and each object is created on the condition that the name is free. So the
anchors outlive the database and its backups, and show which tree was signed. The tiles of a checkpoint are
anchored before the checkpoint, and both before anybody is served: the bucket alone proves the newest anchor.

    checkpoint/{2^63 - 1 - size}-{size}       the note; a listing begins with the largest tree
    tile/{level}/{number}[.p/{width}]         C2SP tlog-tiles; partial tiles as of each checkpoint
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shared.kernel.objects import ObjectNotFound, Objects
from shared.kernel.side_by_side import side_by_side
from shared.ledger.log.checkpoints import SIZE_MAX, Checkpoint, parse_checkpoint
from shared.ledger.log.head import LogBroken, TreeHead
from shared.ledger.log.merkle import HASH_BYTES
from shared.ledger.log.notes import ForgedNote, MalformedNote, SignedNote, VerifierKey, parse_note
from shared.ledger.log.tile_reader import TileReader
from shared.ledger.log.tiles import TILE_WIDTH, hash_in_tile, level_width, levels_of, tile_place, tile_width

CHECKPOINTS = "checkpoint/"
FOREIGN_MAX = 100
"""Most objects that are no checkpoints of this log before the newest one is given up."""
UPLOADS_AT_ONCE = 16
TILES_AT_ONCE = 64
"""Tiles that are read from the store and uploaded together: half a MiB."""
NOTE_TYPE, TILE_TYPE = "text/plain; charset=utf-8", "application/octet-stream"

Tile = tuple[int, int, int]
"""Level, number and width of a tile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchoredCheckpoint:
    """Signed checkpoint that the bucket holds."""

    checkpoint: Checkpoint
    note: SignedNote


class Anchors:
    """Anchors of one log in one bucket. `keys` are all keys that ever signed checkpoints of this log."""

    def __init__(self, objects: Objects, origin: str, keys: Sequence[VerifierKey]) -> None:
        self._objects = objects
        self._origin = origin
        self._keys = keys

    def newest(self) -> AnchoredCheckpoint | None:
        """Return the anchored checkpoint of the largest tree, None if there is none. Raises StorageUnavailable.

        Objects that this log did not sign are passed over: anybody who may create objects can add those. Raises
        LogBroken if the first FOREIGN_MAX are such.
        """
        names = self._objects.names(CHECKPOINTS, FOREIGN_MAX)
        for name in names:
            found = self._anchored(name)
            if found is not None:
                return found
        if len(names) == FOREIGN_MAX:
            raise LogBroken("anchor", "The bucket of anchors begins with objects that this log did not sign.")
        return None

    def add_checkpoint(self, note: SignedNote) -> None:
        """Anchor a signed checkpoint. Does nothing if the bucket holds the same one already.

        Raises LogBroken if the bucket holds another checkpoint of this size, StorageUnavailable.
        """
        name = checkpoint_name(parse_checkpoint(note.text).size)
        if self._objects.put(name, str(note).encode(), NOTE_TYPE):
            return
        found = self._anchored(name)
        if found is None or found.note.text != note.text:
            raise LogBroken("anchor", f"The bucket of anchors holds another object as {name}.")

    def add_tiles(self, reader: TileReader, first: int, last: int) -> None:
        """Anchor the tiles that a tree of `last` leaves has beyond those of a tree of `first` leaves.

        Raises LogBroken if the bucket holds another tile under a tile's name, StorageUnavailable.
        """
        tiles = list(new_tiles(first, last))
        for start in range(0, len(tiles), TILES_AT_ONCE):
            some = tiles[start : start + TILES_AT_ONCE]
            reader.load([(level, number) for level, number, _ in some])
            side_by_side(
                lambda tile: self._add_tile(tile, reader.tile(*tile)), some, at_once=min(UPLOADS_AT_ONCE, len(some))
            )

    def tile(self, level: int, number: int, width: int) -> bytes:
        """Return the first `width` hashes of an anchored tile. Raises LogBroken without the tile, StorageUnavailable.

        A full tile serves every width, so a partial tile is only needed until the full one is anchored.
        """
        for each in dict.fromkeys((width, TILE_WIDTH)):
            content = self._read(tile_name(level, number, each))
            if content is not None and len(content) == each * HASH_BYTES:
                return content[: width * HASH_BYTES]
        raise LogBroken("anchor", f"The bucket of anchors lacks the tile {tile_name(level, number, width)}.")

    def _add_tile(self, tile: Tile, hashes: bytes) -> None:
        name = tile_name(*tile)
        if not self._objects.put(name, hashes, TILE_TYPE) and self._read(name) != hashes:
            raise LogBroken("anchor", f"The bucket of anchors holds another tile as {name}.")

    def _anchored(self, name: str) -> AnchoredCheckpoint | None:
        """Return the checkpoint of an object, None unless this log signed a checkpoint for this name."""
        try:
            note = parse_note(self._read(name) or b"")
            checkpoint = parse_checkpoint(note.text)
            is_ours = bool(note.signatures_by(self._keys)) and checkpoint.origin == self._origin
        except (MalformedNote, ForgedNote):
            return None
        if not is_ours or checkpoint_name(checkpoint.size) != name:
            return None
        return AnchoredCheckpoint(checkpoint=checkpoint, note=note)

    def _read(self, name: str) -> bytes | None:
        try:
            return self._objects.read(name)
        except ObjectNotFound:
            return None


class AnchoredTree:
    """Hashes of an anchored tree, from the bucket alone. Reads each tile once. Not for threads."""

    def __init__(self, anchors: Anchors, size: int) -> None:
        self._anchors = anchors
        self._size = size
        self._tiles: dict[tuple[int, int], bytes] = {}

    def hash_at(self, level: int, index: int) -> bytes:
        """Return the hash of the complete subtree `index` of 2^level leaves. Raises LogBroken, StorageUnavailable."""
        place = tile_place(level, index)
        return hash_in_tile(self.tile(*place), level, index)

    def tile(self, level: int, number: int) -> bytes:
        """Return the hashes of the tile, as many as the tree has. Raises LogBroken, StorageUnavailable."""
        if (level, number) not in self._tiles:
            width = tile_width(self._size, level, number)
            self._tiles[level, number] = self._anchors.tile(level, number, width)
        return self._tiles[level, number]

    def head(self, root: bytes) -> TreeHead:
        """Return the head of the tree, with the partial tiles."""
        edge = tuple(self._partial(level) for level in range(levels_of(self._size)))
        return TreeHead(size=self._size, root=root, edge=edge)

    def _partial(self, level: int) -> bytes:
        width = level_width(self._size, level)
        return self.tile(level, width // TILE_WIDTH) if width % TILE_WIDTH else b""


def checkpoint_name(size: int) -> str:
    """Return the name of the object for the checkpoint of this size."""
    return f"{CHECKPOINTS}{SIZE_MAX - size:019d}-{size}"


def tile_name(level: int, number: int, width: int) -> str:
    """Return the path of a tile in the form of C2SP tlog-tiles: `tile/0/x001/234`, with `.p/7` for 7 hashes."""
    groups = [f"{number % 1_000:03d}"]
    while number := number // 1_000:
        groups.insert(0, f"x{number % 1_000:03d}")
    partial = "" if width == TILE_WIDTH else f".p/{width}"
    return f"tile/{level}/{'/'.join(groups)}{partial}"


def new_tiles(first: int, last: int) -> Iterator[Tile]:
    """Yield the tiles of a tree of `last` leaves that one of `first` leaves lacks: full ones, then a partial one."""
    for level in range(levels_of(last)):
        old, new = level_width(first, level), level_width(last, level)
        for number in range(old // TILE_WIDTH, new // TILE_WIDTH):
            yield level, number, TILE_WIDTH
        if new % TILE_WIDTH and new != old:
            yield level, new // TILE_WIDTH, new % TILE_WIDTH
